"""Compares t5kit's SentencePiece tokenizer with the sentencepiece library, token by token.

usage: tokenizer_exact.py T5KIT [--data ../shared/data] [--goldens crates/tokenizer/tests/goldens]

T5KIT is the program (target/release/t5kit). Needs the packages `sentencepiece` and `transformers` (4.57). Checks, for both models in
DATA/tokenizer and for small models that it trains with other settings:
- ids and pieces of every line and field of every file in DATA,
- ids of adversarial lines: every Unicode scalar value alone and between Chinese characters, combining sequences,
  half- and full-width forms, emoji with joiners, control characters, runs of spaces, U+2581, sentinels, rare
  hanzi, invalid UTF-8, empty lines, one line of 10 MB,
- text decoded from all of these ids and from random ids,
- the same once more through `tokenizer.json`, for the models that transformers' converter can express.
Ends with exit code 1 if anything differs. With --goldens it also writes the small models, and a sample of lines
with their ids and decoded text, for the tests that run without Python.
"""

import argparse
import glob
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unicodedata

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2
from transformers.convert_slow_tokenizer import SpmConverter

# Small vocabularies, trained on the sentences below: name -> settings of the trainer.
TRAINED = {
    "bytes": dict(byte_fallback=True, normalization_rule_name="nmt_nfkc", vocab_size=650),
    "unk": dict(normalization_rule_name="nmt_nfkc", vocab_size=400, character_coverage=0.98),
    "identity": dict(normalization_rule_name="identity", vocab_size=400, remove_extra_whitespaces=False),
    "casefold": dict(normalization_rule_name="nmt_nfkc_cf", vocab_size=400, bos_id=3, eos_id=0, unk_id=1, pad_id=2),
    "noprefix": dict(normalization_rule_name="nfkc", vocab_size=400, add_dummy_prefix=False),
    "raw": dict(
        normalization_rule_name="identity", vocab_size=400, add_dummy_prefix=False, remove_extra_whitespaces=False
    ),
    "suffix": dict(
        normalization_rule_name="nmt_nfkc", vocab_size=400, treat_whitespace_as_suffix=True, unk_surface="[?]"
    ),
    "noescape": dict(normalization_rule_name="nfkc_cf", vocab_size=400),  # changed after training, see below
    "denormal": dict(normalization_rule_name="nmt_nfkc", vocab_size=400, denormalization_rule_tsv=""),
    "spaces": dict(
        normalization_rule_name="nmt_nfkc",
        vocab_size=400,
        allow_whitespace_only_pieces=True,
        remove_extra_whitespaces=False,
    ),
    "symbols": dict(
        normalization_rule_name="nmt_nfkc",
        vocab_size=400,
        user_defined_symbols=["<mask>", "<m", " ", "天气", "▁<extra_id_0>", "Ａ", "e\u0301"],
        control_symbols=["<ctl>", "天"],
        pad_id=3,
    ),
}

# Of these, those whose settings `tokenizer.json` can say.
AS_JSON = ["bytes", "unk", "casefold", "noprefix", "symbols"]

SENTENCES = """今天天气很好，我们一起去公园散步吧！
天气预报说明天会下雨，请记得带伞。
The weather is nice today, so we went to the park.
She said: "It will rain tomorrow"; bring an umbrella.
我们一起学习自然语言处理，学习深度学习。
机器学习模型需要大量的数据和计算资源。
Models need data, data, and more data.
北京大学（PKU）位于北京市海淀区。
价格是３９９元，打８折后是３１９．２元。
カタカナとひらがなのテスト。 ｶﾞｷﾞｸﾞ
Café naïve résumé coöperate ÀÉÎÕÜ
Straße, GROSS, ǅ, ﬁne ligature, Ⅷ and ½
Привет, мир! Это тест.
مرحبا بالعالم
한국어 문장도 있습니다.
天天向上，好好学习，学习学习再学习。
the the of of and and in in to to a a is is
2023年12月31日 10:30:45 3.14159 1,000,000""".split("\n")


def few_rules(path):
    """A character map of some dozen rules of every kind, in place of the 240 KB of nmt_nfkc."""
    rules = {chr(c): chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F)}
    rules |= {c: " " for c in "\t\r\u3000\u00a0\u2009\u200b\u200d\ufeff\u2581\ufffd"}
    rules |= {c: "" for c in "\x01\x0b\x1f\x7f"}
    rules |= {c: unicodedata.normalize("NFKC", c) for c in "½Ⅷﬁﬃ①㍿ﷺ¨´カｶﾊｳ\u0344\u212b"}
    for letter in "aeoucnszAEOUCNSZカハ":
        for mark in "\u0300\u0301\u0302\u0308\u030c\u0327\u3099":
            for tail in ("", "\u0301"):
                pair = letter + mark + tail
                composed = unicodedata.normalize("NFKC", pair)
                if len(composed) < len(pair):
                    rules[pair] = composed
    rules |= {"ｶ\uff9e": "ガ", "ﾊ\uff9f": "パ"}
    with open(path, "w", encoding="utf8") as f:
        for key, value in ((k, v) for k, v in rules.items() if k != v):
            f.write("\t".join(" ".join(f"{ord(c):X}" for c in text) for text in (key, value)) + "\n")


def train(directory, small):
    """The models of TRAINED; `small` ones know a few rules only."""
    rules = os.path.join(directory, "rules.tsv")
    few_rules(rules)
    denormal = os.path.join(directory, "denormal.tsv")
    with open(denormal, "w", encoding="utf8") as f:
        # a b becomes one letter, a comma full-width, the question mark vanishes
        f.write("61 62\tE6\n2C\tFF0C\n3F\t\n74 68 65\t54 48 45\n")
    models = {}
    for name, settings in TRAINED.items():
        if small and settings["normalization_rule_name"] != "identity":
            settings = {k: v for k, v in settings.items() if k != "normalization_rule_name"}
            settings["normalization_rule_tsv"] = rules
        if "denormalization_rule_tsv" in settings:
            settings = settings | {"denormalization_rule_tsv": denormal}
        data = io.BytesIO()
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES * 30),
            model_writer=data,
            model_type="unigram",
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
            **settings,
        )
        path = os.path.join(directory, f"{name}{'-small' if small else ''}.model")
        proto = sentencepiece_model_pb2.ModelProto.FromString(data.getvalue())
        for spec in (proto.normalizer_spec, proto.denormalizer_spec):
            # The path of a temporary file: same settings, same bytes.
            spec.ClearField("normalization_rule_tsv")
        if not proto.denormalizer_spec.precompiled_charsmap:
            proto.ClearField("denormalizer_spec")
        if name == "noescape":
            # The library reads such models but does not train them.
            proto.normalizer_spec.escape_whitespaces = False
            for piece in proto.pieces:
                piece.piece = piece.piece.replace("▁", " ")
        model = proto.SerializeToString(deterministic=True)
        with open(path, "wb") as f:
            f.write(model)
        models[name] = path
    return models


def to_json(path, directory):
    """The model as transformers' converter writes it: a folder with nothing but `tokenizer.json`."""

    class Slow:
        vocab_file = path

    with open(path, "rb") as f:
        spec = sentencepiece_model_pb2.ModelProto.FromString(f.read()).normalizer_spec
    Slow.add_prefix_space = spec.add_dummy_prefix
    folder = os.path.join(directory, os.path.basename(path) + ".json")
    os.makedirs(folder)
    SpmConverter(Slow).converted().save(os.path.join(folder, "tokenizer.json"))
    return folder


def strings(value):
    """All strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for v in value:
            yield from strings(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from strings(v)


def corpus_lines(data):
    """Every line of every text file, and every field of it."""
    lines = []
    for path in sorted(glob.glob(os.path.join(data, "*", "*"))):
        if path.endswith(".tsv"):
            for line in open(path, encoding="utf8"):
                line = line.rstrip("\n")
                lines.append(line)
                lines.extend(line.split("\t"))
        elif path.endswith(".jsonl"):
            for line in open(path, encoding="utf8"):
                lines.append(line.rstrip("\n"))
                lines.extend(strings(json.loads(line)))
        elif path.endswith(".json") and "tokenizer" not in path:
            lines.extend(strings(json.load(open(path, encoding="utf8"))))
        elif path.endswith(".json"):
            content = json.load(open(path, encoding="utf8"))
            if isinstance(content, dict):
                lines.extend(content)
    return [line.replace("\n", " ").encode() for line in lines]


def adversarial_lines(seed=7, every_scalar=True):
    rng = random.Random(seed)
    scalars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c != 10]
    lines = []
    if every_scalar:
        for start in range(0, len(scalars), 1):
            c = chr(scalars[start])
            lines.append(c)
            lines.append("中" + c + "文")
    marks = [chr(c) for c in range(0x300, 0x370)] + ["\u3099", "\u309a", "\uff9e", "\uff9f", "\u0653", "\u09be"]
    letters = list("aAeEoOuUiIcCnNsSzZyY한가각カハう中") + ["ｶ", "ﾊ", "ｳ", "\u1100", "\u1161", "\u11a8", "\u0627", "\u09c7"]
    for _ in range(4000):
        lines.append("".join(rng.choice(letters) + "".join(rng.choices(marks, k=rng.randrange(4))) for _ in range(6)))
    wide = [chr(c) for c in range(0xFF00, 0xFFF0)] + [chr(c) for c in range(0x3000, 0x3040)]
    for _ in range(2000):
        lines.append("".join(rng.choices(wide + list("中文ab1 "), k=12)))
    emoji = ["👨‍👩‍👧‍👦", "👍🏽", "🇨🇳", "❤️", "🏳️‍🌈", "😀", "\u200d", "\ufe0f", "👩", "🏽"]
    spaces = [" ", "  ", "\t", "\u3000", "\u00a0", "\u2009", "\u200b", "\ufeff", "\r", "\x0b", "\x00", "\x1f", "▁", "▁▁"]
    specials = ["<extra_id_0>", "▁<extra_id_0>", "<extra_id_99>", "▁<extra_id_100>", "<extra_id_", "</s>", "<pad>",
                "<unk>", "<s>", "<0x41>", "▁<", "<", ">", "<mask>", "<m", "天", "天气", "<ctl>", "Ａ", "e\u0301", "\ufffd"]
    rare = ["𠀀", "𪚥", "㐀", "龘", "鱻", "𝕳", "ﷺ", "㍿", "①", "ﬃ", "¨", "´", "\u0344"]
    words = ["今天", "天气", "weather", "the", "123", "，", "。", "好"]
    everything = emoji + spaces + specials + rare + words
    for _ in range(40000):
        lines.append("".join(rng.choices(everything, k=rng.randrange(1, 14))))
    for n in (1, 2, 7, 63, 64, 65, 511, 512, 513, 1023, 1024, 1025, 5000):
        lines += ["中" * n, " " * n, "▁" * n, "a" * n, "<" * n, "e\u0301" * n, "𠀀" * n, "今天天气很好" * n, " a" * n]
    lines += ["", " ", "▁", "\u3000", "\x00", "a\x00b", "\x00\x00"]
    lines = [line.encode() for line in lines]
    # Invalid UTF-8: lone continuations, cut sequences, surrogates, overlong forms, too large numbers.
    broken = [b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe0\x80\x80", b"\xe4\xb8", b"\xe4", b"\xed\xa0\x80",
              b"\xed\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xff",
              b"\xfe", b"\xe4\xb8\xad", b"a", b" ", b"\xef\xbf\xbd"]
    for _ in range(20000):
        lines.append(b"".join(rng.choices(broken, k=rng.randrange(1, 9))))
    for _ in range(5000):
        line = bytearray("今天天气 weather <extra_id_0> ▁ é 😀".encode() * 2)
        for _ in range(rng.randrange(1, 6)):
            line[rng.randrange(len(line))] = rng.randrange(256)
        lines.append(bytes(line).replace(b"\n", b" "))
    return lines


def random_ids(size, count, seed=3):
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        top = rng.choice([size, min(size, 300), min(size, 20)])
        rows.append([rng.randrange(top) for _ in range(rng.randrange(0, 30))])
    return rows


def run(program, args, data):
    result = subprocess.run([program, *args], input=data, stdout=subprocess.PIPE, check=True)
    lines = result.stdout.split(b"\n")
    assert lines.pop() == b""
    return lines


class Comparison:
    def __init__(self, program):
        self.program = program
        self.differences = 0

    def report(self, what, count, bad):
        print(f"{what}: {count} compared, {len(bad)} differ", flush=True)
        self.differences += len(bad)
        for example in bad[:3]:
            print("   ", *map(repr, example), sep="\n      ")

    def model(self, name, path, lines, library_path=None):
        """What t5kit makes of `path` beside what the library makes of it, or of `library_path`."""
        sp = spm.SentencePieceProcessor(model_file=library_path or path)
        stdin = b"\n".join(lines) + b"\n"
        ours = run(self.program, ["tokenize", "--tokenizer", path], stdin)
        expected = [sp.encode(line) for line in lines]
        bad = [
            (line[:200], mine[:200], theirs[:50])
            for line, mine, theirs in zip(lines, ours, expected, strict=True)
            if mine != " ".join(map(str, theirs)).encode()
        ]
        self.report(f"{name}: ids", len(lines), bad)
        # Pieces are text where the line is (the library's Python wheel cannot show others).
        sample = [i for i in range(len(lines)) if i % 7 == 0 and valid(lines[i])]
        ours = run(self.program, ["tokenize", "--output", "json", "--tokenizer", path], join(lines, sample))
        bad = [
            (lines[i][:200], mine[:200])
            for i, mine in zip(sample, ours, strict=True)
            if json.loads(mine)["pieces"] != sp.encode(lines[i].decode(), out_type=str)
        ]
        self.report(f"{name}: pieces", len(sample), bad)
        rows = [expected[i] for i in sample] + random_ids(sp.get_piece_size(), 20000)
        stdin = b"".join(b" ".join(b"%d" % i for i in row) + b"\n" for row in rows)
        ours = run(self.program, ["detokenize", "--output", "json", "--tokenizer", path], stdin)
        bad = [
            (row[:60], mine[:200])
            for row, mine in zip(rows, ours, strict=True)
            if json.loads(mine)["text"] != sp.decode(row)
        ]
        self.report(f"{name}: decoded", len(rows), bad)


def join(lines, chosen):
    return b"".join(lines[i] + b"\n" for i in chosen)


def valid(line):
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def write_goldens(directory, models):
    """A few hundred lines for each trained model, with the library's ids and decoded text."""
    os.makedirs(directory, exist_ok=True)
    rng = random.Random(11)
    pool = adversarial_lines(seed=12, every_scalar=False)
    # Long runs add size and nothing else.
    pool = [line for line in pool if len(line) < 120]
    for name, path in models.items():
        sp = spm.SentencePieceProcessor(model_file=path)
        with open(path, "rb") as f, open(os.path.join(directory, f"{name}.model"), "wb") as out:
            out.write(f.read())
        lines = [s.encode() for s in SENTENCES] + rng.sample(pool, 100)
        with open(os.path.join(directory, f"{name}.jsonl"), "w", encoding="utf8") as out:
            for line in lines:
                ids = sp.encode(line)
                row = {"bytes": line.hex(), "ids": ids, "text": sp.decode(ids)}
                if valid(line):
                    row["pieces"] = sp.encode(line.decode(), out_type=str)
                out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
            for ids in random_ids(sp.get_piece_size(), 30, seed=13):
                row = {"ids": ids, "text": sp.decode(ids)}
                out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--data", default=os.path.join(os.path.dirname(__file__), "..", "..", "shared", "data"))
    parser.add_argument("--goldens")
    args = parser.parse_args()
    compare = Comparison(args.program)
    with tempfile.TemporaryDirectory() as directory:
        if args.goldens:
            small = train(directory, small=True)
            write_goldens(args.goldens, small)
            os.makedirs(os.path.join(args.goldens, "json"), exist_ok=True)
            for name in ("bytes", "symbols"):
                file = os.path.join(to_json(small[name], directory), "tokenizer.json")
                shutil.copy(file, os.path.join(args.goldens, "json", f"{name}.json"))
        trained = train(directory, small=False)
        adversarial = adversarial_lines()
        for name, path in trained.items():
            compare.model(name, path, adversarial)
        for name in AS_JSON:
            compare.model(f"{name}, tokenizer.json", to_json(trained[name], directory), adversarial, trained[name])
        corpus = corpus_lines(args.data)
        long = [("今天天气很好，the weather is nice. " * 250_000).encode()[: 10 << 20], b"\xe4" * (10 << 20), b"a" * (10 << 20)]
        for path in sorted(glob.glob(os.path.join(args.data, "tokenizer", "*.model"))):
            name = os.path.basename(path)
            compare.model(f"{name}, corpus", path, corpus)
            compare.model(f"{name}, adversarial", path, adversarial)
            compare.model(f"{name}, lines of 10 MB", path, long)
            compare.model(f"{name}, corpus, tokenizer.json", to_json(path, directory), corpus, path)
    print(f"{compare.differences} differences")
    sys.exit(1 if compare.differences else 0)


if __name__ == "__main__":
    main()
