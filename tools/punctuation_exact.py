#!/usr/bin/env python3
"""How well `t5kit detokenize --restore-punctuation` gives Chinese texts their full-width marks back.

usage: tools/punctuation_exact.py T5KIT TOKENIZER [DATA]

Every line of the data with ，！？：；（） or their half-width forms goes through `tokenize` and back. Lines that the
tokenizer changes in anything but these marks say nothing and are left out. Of the others the table says which share
comes back exactly without and with the rule, and which share of the marks; "consistent" are the lines whose author
wrote full-width marks and no half-width one beside a Han character: the rule cannot know that somebody mixes both.
Standard library only.
"""

import json
import subprocess
import sys
from pathlib import Path

FULL = "，！？：；（）"
HALF = ",!?:;()"
TO_HALF = str.maketrans(FULL, HALF)


def is_han(c):
    return "\u3400" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" or "\U00020000" <= c <= "\U0003ffff"


def texts(data):
    """Name and lines of each kind of text."""
    titles = [line.rstrip("\n").split("\t") for line in open(data / "csl/title.tsv", encoding="utf-8")]
    yield "CSL titles", [row[-1] for row in titles]
    yield "CSL abstracts", [row[-2] for row in titles]
    contexts, questions = [], []
    for article in json.load(open(data / "qa/cmrc2018_dev.json", encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            contexts.append(paragraph["context"])
            questions += [qa["question"] for qa in paragraph["qas"]]
    yield "CMRC contexts", contexts
    yield "CMRC questions", questions
    for name, file, key in [
        ("news headlines", "tnews/train.jsonl", "sentence"),
        ("app descriptions", "text/iflytek_descriptions.jsonl", "sentence"),
        ("reviews", "text/eprstmt_unlabeled.jsonl", "sentence"),
    ]:
        yield name, [json.loads(line)[key] for line in open(data / file, encoding="utf-8")]


def consistent(line):
    for at, c in enumerate(line):
        if c in HALF and any(is_han(n) for n in line[max(at - 1, 0):at] + line[at + 1:at + 2]):
            return False
    return any(c in FULL for c in line)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.split("\n\n")[1])
    program, tokenizer = sys.argv[1:3]
    here = Path(__file__).resolve().parent
    data = Path(sys.argv[3]) if len(sys.argv) == 4 else here / "../../shared/data"

    def run(command, lines, *flags):
        arguments = [program, command, "--tokenizer", tokenizer, "--encoding", "utf-8", *flags]
        done = subprocess.run(arguments, input="\n".join(lines) + "\n", text=True, stdout=subprocess.PIPE, check=True)
        return done.stdout.split("\n")[:-1]

    print("| texts | lines | as they are | restored | marks right | consistent lines | restored |")
    print("|---|---|---|---|---|---|---|")
    total = [0, 0]
    for name, lines in texts(data):
        lines = [" ".join(line.split()) for line in lines]
        lines = [line for line in lines if any(c in FULL + HALF for c in line)]
        ids = run("tokenize", lines)
        kept, restored = run("detokenize", ids), run("detokenize", ids, "--restore-punctuation")
        rows = [(l, k, r) for l, k, r in zip(lines, kept, restored) if l.translate(TO_HALF) == k]
        marks = [a == b for l, _, r in rows for a, b in zip(l, r) if a in FULL + HALF]
        pure = [(l, r) for l, _, r in rows if consistent(l)]
        right = sum(l == r for l, r in pure)
        total = [total[0] + right, total[1] + len(pure)]
        print(
            f"| {name} | {len(rows)} of {len(lines)} | {sum(l == k for l, k, _ in rows) / len(rows):.1%} "
            f"| {sum(l == r for l, _, r in rows) / len(rows):.1%} | {sum(marks) / len(marks):.2%} "
            f"| {len(pure)} | {right / len(pure) if pure else 0:.1%} |"
        )
    print(f"| all | | | | | {total[1]} | {total[0] / total[1]:.2%} |")


if __name__ == "__main__":
    main()
