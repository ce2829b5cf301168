"""Makes crates/eval/tests/goldens/csl.json, the reference scores of the `csl` preset.

usage: metrics_goldens.py [--reference metrics_reference.py] [--output FILE]

Needs `rouge` 1.0.1 and `nltk`. The lines are generated here from a fixed seed: ordinary predictions made by editing
a reference, and the corners where the two packages behave in ways of their own (dots, spaces of every kind,
repetitions, mixed case, characters outside the basic plane, lines shorter than an n-gram, long lines). Lines that
the packages refuse (a side without any sentence) are left out. With --reference the mean over all lines is taken
from that script and must agree with the scores of the single lines.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge import Rouge

KEYS = ("rouge-1", "rouge-2", "rouge-l", "bleu")
HANZI = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经"
LATIN = "abcdefgXYZÀÉßΣσςİıǅЖ"
ASTRAL = "𠀀𠮷𝔘🎉👩‍💻"
SPACES = " \t\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2003\u2028\u202f\u205f\u3000"  # no line ends: \n and \r
MARKS = ".。，．…!?"

CORNERS = [
    ("", "标题"), (" ", "标题"), ("\u3000\t", "标题"), ("\x1c", "标题"), ("\u200b", "标题"), ("\ufeff", "标题"),
    ("标", "标题"), ("标题", "标题"), ("标题一", "标题一"), ("标题一二", "标题一二"), ("标题", "标"), ("题", "标题标题标题"),
    ("题标", "标题"), ("好好好好好好", "好"), ("好", "好好好好好好"), ("ababab", "bababa"), ("abcabc", "cbacba"),
    ("A.", "a."), (".a", "a"), ("a.b", "ab"), ("ab", "a.b"), ("a.b", "b.a"), ("..", "标题"), ("标题", ".."), ("a..b", "a. .b"),
    ("a.b.c.d", "d.c.b.a"), ("标题.", "标题"), ("...标题...", ".标.题."), ("a b", "ab"), (" a", "a "), ("a  b", "a b"),
    ("标题", " "), (". .", "a"), ("a", ". ."), ("a.\u3000.b", "a..b"), ("İ", "i̇"), ("İI", "iı"), ("ΑΣ", "ας"), ("ΣΣ", "σσ"),
    ("ǅ", "ǆ"), ("ẞ", "ß"), ("ß", "ss"), ("🎉🎉", "🎉"), ("👩‍💻", "👩💻"), ("𠮷野家", "吉野家"), ("e\u0301", "é"), ("ＡＢ", "ａｂ"),
    ("a\u2028b", "a\u2028b"), ("a\x85b", "ab"), ("\ufeff标题", "标题"), ("abc", "xyz"), ("ab.cd.ab.cd", "cd.ab.cd"),
]


def edited(rng, text, pool):
    out = []
    for c in text:
        what = rng.random()
        if what < 0.12:
            continue
        if what < 0.24:
            out.append(rng.choice(pool))
        if what < 0.30:
            out.append(c)
        out.append(c.swapcase() if what < 0.5 else c)
    if rng.random() < 0.3 and len(out) > 3:
        cut = rng.randrange(len(out))
        out = out[cut:] + out[:cut]
    return "".join(out)


def generated(rng):
    pools = [HANZI, HANZI[:6], LATIN, HANZI + LATIN + SPACES, HANZI[:12] + MARKS + " ", "ab. ", "aA. ", ASTRAL + HANZI[:8],
             MARKS + SPACES, HANZI + ASTRAL + LATIN + SPACES + MARKS]
    for round_ in range(600):
        pool = pools[round_ % len(pools)]
        reference = "".join(rng.choice(pool) for _ in range(rng.choice([1, 2, 3, 4, 5, 8, 13, 20, 32, 66])))
        if rng.random() < 0.2:
            yield "".join(rng.choice(pool) for _ in range(rng.randrange(1, 40))), reference
        else:
            yield edited(rng, reference, pool), reference
    for length in (150, 300, 600):
        reference = "".join(rng.choice(HANZI[:20] + ".") for _ in range(length))
        yield edited(rng, reference, HANZI[:20]), reference


def scores(prediction, reference, rouge, smooth):
    """The lines of the reference evaluation, for one pair."""
    prediction, reference = " ".join(prediction).lower(), " ".join(reference).lower()
    if not prediction.strip():
        return dict.fromkeys(KEYS, 0.0)
    found = rouge.get_scores(hyps=prediction, refs=reference)[0]
    out = {k: found[k]["f"] for k in KEYS[:3]}
    out["bleu"] = sentence_bleu([reference.split(" ")], prediction.split(" "), smoothing_function=smooth)
    return out


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reference", help="the reference script, to check the mean against")
    parser.add_argument("--output", default=os.path.join(here, "../crates/eval/tests/goldens/csl.json"))
    args = parser.parse_args()
    sys.setrecursionlimit(10_000)  # `rouge` walks its table by recursion
    rouge, smooth = Rouge(), SmoothingFunction().method1
    lines, refused = [], 0
    for prediction, reference in [*CORNERS, *generated(random.Random(20240))]:
        try:
            found = scores(prediction, reference, rouge, smooth)
        except ValueError:  # a side without a sentence
            refused += 1
            continue
        lines.append([prediction, reference, *(float(found[k]) for k in KEYS)])
    mean = {k: sum(line[2 + i] for line in lines) / len(lines) for i, k in enumerate(KEYS)}
    if args.reference:
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("predictions", "references")]
            for i, path in enumerate(paths):
                with open(path, "w", encoding="utf8", newline="") as f:
                    f.writelines(line[i] + "\n" for line in lines)
            run = "import sys, runpy; sys.setrecursionlimit(10000); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"
            printed = json.loads(subprocess.check_output([sys.executable, "-c", run, args.reference, *paths]))
        assert all(abs(printed[k] - mean[k]) < 1e-12 for k in KEYS), (printed, mean)
        mean = printed
    with open(args.output, "w", encoding="utf8") as f:
        f.write('{"mean": ' + json.dumps(mean) + ',\n"lines": [\n')
        f.write(",\n".join(json.dumps(line) for line in lines))
        f.write("\n]}\n")
    print(f"{len(lines)} lines, {refused} refused by rouge, mean {mean}")


main()
