"""Makes crates/eval/tests/goldens/chrf.json: chrF2 of growing lists of lines by sacrebleu 2, between 0 and 1.

usage: chrf_goldens.py [--output FILE]
"""
import argparse
import json
import os

from sacrebleu.metrics import CHRF

LINES = [
    ("今天天气很好", "今天天气好"), ("", "标题"), ("标题", "标题"), ("标", "标题标题"), ("好好好好好好好", "好"), ("a b\tc  d", "abcd"),
    ("the cat sat on the mat", "the cat is on the mat"), ("基于深度学习的图像识别方法研究", "一种图像识别的深度学习方法"),
    ("完全不同", "the other side"), ("👩‍💻🎉", "🎉👩‍💻"), ("非常长的一句话，" * 20, "非常长的一段话。" * 18), ("abcabcabc", "cbacba"),
]

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
here = os.path.dirname(os.path.abspath(__file__))
parser.add_argument("--output", default=os.path.join(here, "../crates/eval/tests/goldens/chrf.json"))
args = parser.parse_args()
chrf = CHRF()
cases = []
for part in [[line] for line in LINES] + [LINES[:n] for n in range(2, len(LINES) + 1)]:
    predictions, references = [p for p, _ in part], [r for _, r in part]
    cases.append({"lines": part, "chrf": chrf.corpus_score(predictions, [references]).score / 100})
with open(args.output, "w", encoding="utf8") as out:
    json.dump(cases, out, ensure_ascii=False, indent=0)
    out.write("\n")
