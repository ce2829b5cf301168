"""Makes crates/tasks/tests/golden/suites.json: examples of the suites' tasks, and scores, as the references make them.

usage: suite_goldens.py [--output FILE] [--packages FOLDER...]

Needs `tensorflow` 2.15 (its regular expressions are part of the reference), `scikit-learn`, `scipy`, `sacrebleu`,
`rouge_score`, and in a folder of `--packages` the unpacked wheel of `t5` 0.9.4, of which `t5/data/preprocessors.py`,
`t5/data/postprocessors.py` and `t5/evaluation/metrics.py` are loaded as they are; modules that they import and do not
use for this (seqio, babel, gin, editdistance) are replaced by what is needed of them.

The rows are made up here, in the formats that the data sets are published in. They are read by the rules of TFDS
(tensorflow_datasets/text/glue.py, super_glue.py, definite_pronoun_resolution.py, wikiann.py), written anew here, and put
through `t5`'s preprocessors. mT5's (google-research/multilingual-t5, preprocessors.py: xquad, wikiann, process_xnli) and
its span F1 come in no package; they are written anew from their definitions, with TensorFlow's expressions. The Chinese
tasks' words are this project's: an independent version of docs/suites.md's definitions.
"""
import argparse
import json
import os
import sys

from suites import chinese, english, multilingual, reference, scores

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT = os.path.join(HERE, "..", "crates", "tasks", "tests", "golden", "suites.json")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--output", default=DEFAULT)
    arguments.add_argument("--packages", nargs="*", default=[])
    arguments = arguments.parse_args()
    sys.path.extend(arguments.packages)
    reference.load(arguments.packages)
    english.glue_cases()
    english.superglue_cases()
    multilingual.question_cases()
    multilingual.zero_shot_cases()
    chinese.chinese_cases()
    chinese.summary_cases()
    cases = reference.CASES
    with open(arguments.output, "w", encoding="utf-8") as out:
        json.dump(dict(examples=cases, scores=scores.scores()), out, ensure_ascii=False, indent=1)
        out.write("\n")
    print(f"{len(cases)} cases, {sum(len(c['examples']) for c in cases)} examples", file=sys.stderr)


if __name__ == "__main__":
    main()
