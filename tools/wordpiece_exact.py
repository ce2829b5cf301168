"""Compares t5kit's WordPiece and WoBERT words with transformers and bert4keras, token by token.

usage: wordpiece_exact.py T5KIT [--data ../shared/data] [--bert4keras SDIST] [--goldens DIR] [--only NAMES] [--share N]

T5KIT is the program (target/release/t5kit). Needs Python 3.11 (its Unicode is the reference), `transformers` 4.57 and
`jieba` 0.42.1; bert4keras 0.11.5 as an installed package or as SDIST, its .tar.gz (keras is not needed). No vocabulary
of a real model is used: one is made of the data's characters and words, the same every time. Checks
- BERT: ids of transformers' slow BertTokenizer in several settings, special pieces in the text among them,
- WoBERT: ids of bert4keras' Tokenizer with pre_tokenize=jieba.cut(HMM=False), also with all of jieba's dictionary as
  vocabulary, so that every difference in cutting shows,
- text of bert4keras' Tokenizer.decode for these ids and for random ones,
on every line and field of DATA, on the lines of tokenizer_exact.py and some of its own, and for odd vocab.txt files.
Ends with exit code 1 if anything differs. The references are slow: --only takes some parts (uncased,cased,words,odd; see
BERT and WORDS below), --share N one line in N (default 1) in all but the first setting of each kind. --goldens (crates/tokenizer/tests/goldens/wordpiece) writes small
samples for the tests that run without Python.
"""

import argparse
import collections
import hashlib
import importlib
import json
import logging
import os
import random
import re
import sys
import tarfile
import tempfile
import types
import unicodedata
import unittest.mock

import jieba
import transformers

from tokenizer_exact import SENTENCES, adversarial_lines, corpus_lines, random_ids, run

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# Settings of BertTokenizer, as tokenizer_config.json has them.
BERT = {
    "uncased": {},
    "cased": dict(do_lower_case=False),
    "accents": dict(do_lower_case=True, strip_accents=False),
    "cased-bare": dict(do_lower_case=False, strip_accents=True),
    "joined": dict(tokenize_chinese_chars=False),
    "special": dict(
        additional_special_tokens=["<mask>", "<e>", "[unused1]"], mask_token="<MASK>", never_split=["the", "天气", "é", "。"]
    ),
}
# Of bert4keras.
WORDS = {"words": dict(do_lower_case=True), "words-cased": dict(do_lower_case=False)}

ODD_VOCABULARIES = {
    "equal lines": "[PAD]\n[UNK]\na\nb\na\n##c\n天气\nc\nb\n天\n",
    "equal lines at the end": "[UNK]\na\nb\nc\nb\nb\na\n",
    "line ends": "[UNK]\r\na\rb\n\n\r\r天\r\n\n##b\n天气",
    "spaces": "[UNK]\n a\nb c\n\u3000天\n\u2028\n天\u00a0气\n\ufeffb\nab\n",
}


def bert4keras_tokenizers(sdist):
    """bert4keras.tokenizers, with a stub in the place of its backend (keras)."""
    if sdist:
        folder = tempfile.mkdtemp()
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        sys.path.insert(0, os.path.join(folder, os.listdir(folder)[0]))
    sys.modules["bert4keras.backend"] = types.SimpleNamespace(K=None, keras=unittest.mock.MagicMock(), tf=None)
    return importlib.import_module("bert4keras.tokenizers")


def vocabulary(lines, pieces=30000, words=20000, every=1):
    """Special pieces, every character alone and inside a word, frequent parts of Latin words, words of jieba's (from one
    line in `every`)."""
    chars, latin, cut = collections.Counter(), collections.Counter(), collections.Counter()
    for i, line in enumerate(lines):
        text = line.decode()
        for form in (text, text.lower(), unicodedata.normalize("NFD", text)):
            chars.update(form)
        if i % every:
            continue
        for form in (text, text.lower()):
            for word in re.findall(r"[A-Za-z0-9]+", form):
                latin.update(word[:n] for n in range(2, min(len(word), 12) + 1))
                latin.update("##" + word[n:] for n in range(max(1, len(word) - 8), len(word)))
        cut.update(word for word in jieba.cut(text.lower(), HMM=False) if len(word) > 1)

    def by_count(counter, n):
        return [key for key, _ in sorted(counter.items(), key=lambda item: (-item[1], item[0]))][:n]

    extra = ["[unused1]", "<mask>", "<MASK>", "<e>", "##", "é", "##é", "가", "##가", "ᄀ", "##ᅡ", "σ", "##σ", "##ς", "≠"]
    single = [c for c in by_count(chars, len(chars)) if not c.isspace()]
    # Rare characters stay unknown, so that unknown words are compared as well.
    single = [c for i, c in enumerate(single) if i < 7000 or i % 3]
    all_pieces = SPECIALS + extra + single + ["##" + c for c in single] + by_count(latin, pieces) + by_count(cut, words)
    return [p for p in dict.fromkeys(all_pieces) if not any(c.isspace() for c in p) and p]


def more_lines(seed=5):
    """What WordPiece and jieba may stumble over and the SentencePiece lines lack."""
    rng = random.Random(seed)
    lines = ["ΑΣ", "ΑΣ Σ ΣΑ", "İI ıi", "Å Å K ſ", "a" * 100, "a" * 101, "b" * 200, "b" * 201, "天" * 300, "a\n[MASK]\nb"]
    lines += ["é" * 100, "é" * 101, "e\u0301" * 100, "[MA\u200bSK]", "[MÁSK]", "[mask]", "<ë>", "<Mask>x<MASK>", "[UNK][MASK"]
    for code in range(0x80, 0x20000):
        c = chr(code)
        kind = unicodedata.category(c)
        if kind in ("Mn", "Me", "Cf", "Lm", "Sk", "Lt", "Cn") or kind[0] == "P" or c.lower() != c:
            lines += ["ΑΣ" + c, "ΑΣ" + c + "Α", c + "Σ", "ab" + c + "cd=" + c]
    parts = ["[MASK]", "[mask]", "[MA", "SK]", "[UNK]", "<mask>", "<MASK>", "<e>", "<é>", "[unused1]", "the", "天气", "é", "e\u0301", "É",
             "\u200b", "\ufffd", " ", "\u3000", "\t", "\u2028", "。", ".", "unaffable", "Weather", "中国", "研究生命起源", "北京大学",
             "c++", "C#", "T恤", "B超", "卡拉OK", "AA制", "1号店", "%", "-", "+", "#", "&", "_", "3.14", "100%", "Ａ", "１", "\U00020000", "龦",
             "\u9fd6", "😀", "\ue000", "\U000f0000", "한국어", "\r\n", "가", "𝕳", "ﬃ", "Straße", "ΑΣ", "=\u0338", "豈", "𠀀", "\ua7cb", "\u0897"]  # fmt: skip
    for _ in range(30000):
        lines.append("".join(rng.choices(parts, k=rng.randrange(1, 10))))
    words = [word for word, count in jieba.dt.FREQ.items() if count]
    words.sort()
    for _ in range(60000):
        # Words that run into one another make jieba choose.
        lines.append("".join(rng.choices(words, k=rng.randrange(2, 8))))
        text = "".join(rng.choices(words, k=4))
        start = rng.randrange(len(text))
        lines.append(text[start:] + text[:start])
    common = "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从"
    for _ in range(60000):
        lines.append("".join(rng.choices(common, k=rng.randrange(2, 30))))
    return [line.replace("\n", "\u2029").encode() for line in lines]


def bert_tokenizer(path, settings):
    tokenizer = transformers.BertTokenizer(path, **settings)
    tokenizer.verbose = False
    return lambda text: tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))


def words_tokenizer(tokenizers, path, settings):
    tokenizer = tokenizers.Tokenizer(path, pre_tokenize=lambda text: jieba.cut(text, HMM=False), **settings)
    return tokenizer, lambda text: tokenizer.encode(text)[0][1:-1]


def expected_text(tokenizer, ids):
    """None where the reference fails: an unused id, or a text that begins with an empty piece."""
    try:
        return tokenizer.decode(ids)
    except (KeyError, IndexError):
        return None


class Comparison:
    def __init__(self, program, directory):
        self.program = program
        self.directory = directory
        self.differences = 0

    def folder(self, name, pieces, config):
        """A folder with vocab.txt and tokenizer_config.json."""
        folder = os.path.join(self.directory, re.sub(r"\W", "-", name))
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf8", newline="") as f:
            f.write(pieces if isinstance(pieces, str) else "\n".join(pieces) + "\n")
        # Where no class is named the vocabulary decides, and this one has words.
        if "pre_tokenize" not in config:
            config = dict(tokenizer_class="BertTokenizer", **config)
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf8") as f:
            json.dump(config, f)
        return folder, os.path.join(folder, "vocab.txt")

    def report(self, what, count, bad, skipped=0):
        note = f" ({skipped} on which the reference fails)" if skipped else ""
        print(f"{what}: {count} compared, {len(bad)} differ{note}", flush=True)
        self.differences += len(bad)
        for example in bad[:3]:
            print("   ", *map(repr, example), sep="\n      ")

    def ids(self, what, folder, lines, reference, flags=()):
        ours = run(self.program, ["tokenize", "--tokenizer", folder, *flags], b"\n".join(lines) + b"\n")
        bad, rows = [], []
        for line, mine in zip(lines, ours, strict=True):
            theirs = reference(line.decode(errors="replace"))
            rows.append(theirs)
            if mine != " ".join(map(str, theirs)).encode():
                bad.append((line[:200], mine[:200], theirs[:50]))
        self.report(what, len(lines), bad)
        return rows

    def text(self, what, folder, rows, tokenizer, flags=()):
        stdin = b"".join(b" ".join(b"%d" % i for i in row) + b"\n" for row in rows)
        ours = run(self.program, ["detokenize", "--output", "json", "--tokenizer", folder, *flags], stdin)
        expected = [expected_text(tokenizer, row) for row in rows]
        pairs = [(row, mine, text) for row, mine, text in zip(rows, ours, expected, strict=True) if text is not None]
        bad = [(row[:60], mine[:200], text[:200]) for row, mine, text in pairs if json.loads(mine)["text"] != text]
        self.report(what, len(pairs), bad, len(rows) - len(pairs))


def flags_of(settings):
    """The same settings as flags of the program."""
    flags = []
    for name, flag in (("do_lower_case", "--lower-case"), ("strip_accents", "--strip-accents")):
        if name in settings:
            flags += [flag, str(settings[name]).lower()]
    return flags


def sample(rows, random_rows):
    return [row for row in rows[:: max(1, len(rows) // 60000)]] + random_rows


def compare_all(compare, tokenizers, corpus, lines, share, only):
    pieces = vocabulary(corpus, every=20)
    print(f"vocabulary: {len(pieces)} pieces; {len(corpus)} lines of data, {len(lines)} others", flush=True)
    every = corpus + lines
    fewer = every[::share]
    for name, settings in BERT.items():
        if name not in only:
            continue
        folder, vocab = compare.folder(name, pieces, settings)
        reference = bert_tokenizer(vocab, settings)
        chosen = every if name == "uncased" else fewer
        rows = compare.ids(f"BertTokenizer, {name}: ids", folder, chosen, reference)
        if name == "uncased":
            decode, _ = words_tokenizer(tokenizers, vocab, {})
            compare.text("bert4keras decode: text", folder, sample(rows, random_ids(len(pieces), 40000)), decode)
    jieba_words = sorted(word for word, count in jieba.dt.FREQ.items() if count)
    chars = sorted({c for line in corpus for c in line.decode() if not c.isspace()})
    everything = list(dict.fromkeys(SPECIALS + chars + jieba_words))
    for name, settings in WORDS.items():
        if name not in only:
            continue
        for kind, some in (("", pieces), (", jieba's dictionary", everything)):
            folder, vocab = compare.folder(name + kind, some, settings | {"pre_tokenize": "jieba"})
            tokenizer, reference = words_tokenizer(tokenizers, vocab, settings)
            chosen = every if name == "words" else fewer
            rows = compare.ids(f"bert4keras, {name}{kind}: ids", folder, chosen, reference)
            compare.text(f"bert4keras, {name}{kind}: text", folder, sample(rows, random_ids(len(some), 20000)), tokenizer)
    if "odd" in only:
        compare_odd(compare, tokenizers, pieces, fewer[::29])


def compare_odd(compare, tokenizers, pieces, some):
    # Flags say the same as tokenizer_config.json, and against it.
    for name in ("cased", "accents", "cased-bare"):
        folder, vocab = compare.folder("flags", pieces, dict(do_lower_case=True, pre_tokenize="jieba"))
        flags = flags_of(BERT[name]) + ["--pre-tokenize", "none"]
        compare.ids(f"BertTokenizer, {name} by flags: ids", folder, some, bert_tokenizer(vocab, BERT[name]), flags)
    folder, vocab = compare.folder("flags-words", pieces, {})
    flags = ["--pre-tokenize", "jieba", "--lower-case", "false"]
    _, reference = words_tokenizer(tokenizers, vocab, WORDS["words-cased"])
    compare.ids("bert4keras, by flags: ids", folder, some, reference, flags)
    texts = ["a b c ab ac 天气 天 bb", "", "\ufeffb 天\u00a0气", "abc [PAD]"]
    for name, content in ODD_VOCABULARIES.items():
        odd = [text.encode() for text in texts]
        # transformers would append the special pieces that are missing.
        settings = dict(pad_token=None, cls_token=None, sep_token=None, mask_token=None)
        folder, vocab = compare.folder("odd", content, settings)
        compare.ids(f"BertTokenizer, {name}: ids", folder, odd, bert_tokenizer(vocab, settings))
        tokenizer, reference = words_tokenizer(tokenizers, vocab, WORDS["words"])
        rows = compare.ids(f"bert4keras, {name}: ids", folder, odd, reference, ["--pre-tokenize", "jieba"])
        size = max(tokenizer._token_dict_inv) + 1
        rows += [[i] for i in range(size)]
        compare.text(f"bert4keras, {name}: text", folder, rows, tokenizer, ["--pre-tokenize", "jieba"])


def write_goldens(directory, tokenizers):
    os.makedirs(directory, exist_ok=True)
    sentences = [sentence.encode() for sentence in SENTENCES]
    pieces = vocabulary(sentences, pieces=300, words=150)
    path = os.path.join(directory, "vocab.txt")
    with open(path, "w", encoding="utf8") as f:
        f.write("\n".join(pieces) + "\n")
    pool = adversarial_lines(seed=12, every_scalar=False) + more_lines(seed=13)
    pool = [line for line in pool if len(line) < 120]
    rng = random.Random(11)
    decode, _ = words_tokenizer(tokenizers, path, {})
    for name, settings in (BERT | WORDS).items():
        words = name in WORDS
        reference = words_tokenizer(tokenizers, path, settings)[1] if words else bert_tokenizer(path, settings)
        config = settings | ({"pre_tokenize": "jieba"} if words else {})
        with open(os.path.join(directory, f"{name}.jsonl"), "w", encoding="utf8") as f:
            f.write(json.dumps(config, ensure_ascii=False) + "\n")
            for line in sentences + rng.sample(pool, 120):
                ids = reference(line.decode(errors="replace"))
                row = {"bytes": line.hex(), "ids": ids, "text": expected_text(decode, ids)}
                f.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    # What Python's Unicode says about every scalar value, as hashes of 4,096 values each.
    hashes = []
    for start in range(0, 0x110000, 0x1000):
        text = "".join(
            f"{c}\t{unicodedata.category(c)}\t{c.lower()}\t{unicodedata.normalize('NFC', c)}\t"
            + "".join(d for d in unicodedata.normalize("NFD", c) if unicodedata.category(d) != "Mn")
            + "".join("\t" + text.lower() for text in ("ΑΣ" + c, "ΑΣ" + c + "Α", c + "Σ"))
            + "\n"
            for c in map(chr, range(start, start + 0x1000))
            if not 0xD800 <= ord(c) < 0xE000
        )
        hashes.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    with open(os.path.join(directory, "unicode.txt"), "w") as f:
        f.write("\n".join(hashes) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--data", default=os.path.join(os.path.dirname(__file__), "..", "..", "shared", "data"))
    parser.add_argument("--bert4keras")
    parser.add_argument("--goldens")
    parser.add_argument("--only", default=",".join([*BERT, *WORDS, "odd"]))
    parser.add_argument("--share", type=int, default=1)
    args = parser.parse_args()
    assert unicodedata.unidata_version == "14.0.0", "run this with Python 3.11: its Unicode is the reference"
    transformers.logging.set_verbosity_error()
    jieba.setLogLevel(logging.ERROR)
    jieba.initialize()
    tokenizers = bert4keras_tokenizers(args.bert4keras)
    if args.goldens:
        write_goldens(args.goldens, tokenizers)
    with tempfile.TemporaryDirectory() as directory:
        compare = Comparison(args.program, directory)
        # A text that comes twice is compared once.
        corpus = list(dict.fromkeys(corpus_lines(args.data)))
        lines = list(dict.fromkeys(adversarial_lines() + more_lines()))
        compare_all(compare, tokenizers, corpus, lines, args.share, args.only.split(","))
    print(f"{compare.differences} differences")
    sys.exit(1 if compare.differences else 0)


if __name__ == "__main__":
    main()
