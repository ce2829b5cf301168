"""Compares how t5kit reads a tokenizer's files with transformers and tokenizers, and writes the goldens of that.

usage: tokenizer_files_exact.py [--t5kit target/release/t5kit] [--goldens crates/tokenizer/tests/goldens/files]

Needs `transformers` 4.57, `sentencepiece` and `tokenizers` 0.22. Makes small tokenizers as people bring them, a folder
each: T5 with sentinels behind the pieces, with added tokens in each of the files that can say them, tokenizer.json in
the forms that transformers has written and in forms that only the library runs, byte-level BPE, WordPiece, ByT5. The
reference's ids of random texts are the right ones:
- sentinels: sentencepiece with `▁<extra_id_N>` appended as user-defined pieces, as seqio does it,
- added tokens beside a spiece.model: T5Tokenizer (slow),
- everything else: the library.
With --t5kit the program is compared, with --goldens the folders and the first texts of each are written for the tests
that run without Python. Ends with exit code 1 if anything differs.
"""

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizer, BertTokenizerFast, ByT5Tokenizer, RobertaTokenizer, T5Tokenizer, T5TokenizerFast

SENTENCES = """今天天气很好，我们一起去公园散步吧！
天气预报说明天会下雨，请记得带伞。
The weather is nice today, so we went to the park.
She said: "It will rain tomorrow"; bring an umbrella.
机器学习模型需要大量的数据和计算资源。
Models need data, data, and more data.
def add(a, b): return a + b
水运工程项目管理研究
Привет, мир! Это тест.
Café naïve résumé, 3.14 and 2024""".splitlines()
WORDS = [w for s in SENTENCES for w in s.split(" ")]
SPACES = ["", "", " ", " ", "  ", "\u3000", "\t", "\u00a0", "\u0085"]
TOKENS = ["<event>", "</event>", "<L>", "<R>", "<B>", "re", "事件", "<SEP2>", "<eventful>"]


def train(folder, **settings):
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4), model_writer=out, vocab_size=230, model_type="unigram", pad_id=0,
        eos_id=1, unk_id=2, bos_id=-1, character_coverage=0.98, minloglevel=2, hard_vocab_limit=False, **settings)
    with open(os.path.join(folder, "spiece.model"), "wb") as file:
        file.write(out.getvalue())


def texts(rng, extra, count):
    found = ["", " ", extra[0], " " + extra[0], extra[0] + extra[-1] + " "]
    while len(found) < count:
        parts = []
        for _ in range(rng.randint(1, 7)):
            parts += [rng.choice(WORDS if rng.random() < 0.6 else extra), rng.choice(SPACES)]
        found.append("".join(parts))
    return found


def added():
    return [
        AddedToken("<event>", normalized=True), AddedToken("</event>", normalized=False),
        AddedToken("<L>", lstrip=True, normalized=False), AddedToken("<R>", rstrip=True, normalized=False),
        AddedToken("<B>", lstrip=True, rstrip=True, normalized=False, special=True),
        AddedToken("<eventful>", normalized=False), AddedToken("事件", normalized=True),
    ]


def write(folder, name, value):
    with open(os.path.join(folder, name), "w") as file:
        json.dump(value, file, ensure_ascii=False)


def sentinels(folder):
    train(folder, normalization_rule_name="identity")
    write(folder, "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "extra_ids": 7})
    model = pb.ModelProto()
    with open(os.path.join(folder, "spiece.model"), "rb") as file:
        model.ParseFromString(file.read())
    for n in reversed(range(7)):
        kind = pb.ModelProto.SentencePiece.USER_DEFINED
        model.pieces.add(piece=f"▁<extra_id_{n}>", score=0.0, type=kind)
    reference = spm.SentencePieceProcessor(model_proto=model.SerializeToString())
    # seqio knows a sentinel only after a space.
    return reference.encode, [f" <extra_id_{n}>" for n in (0, 1, 6, 7)]


def slow(legacy):
    def make(folder):
        train(folder, normalization_rule_name="identity")
        made = T5Tokenizer(os.path.join(folder, "spiece.model"), extra_ids=0, legacy=legacy)
        made.add_tokens(added())
        made.add_special_tokens({"additional_special_tokens": ["<SEP2>"]})
        made.save_pretrained(folder)
        read = T5Tokenizer.from_pretrained(folder)
        # A token that is not special does not take the space of a text that begins with it.
        return lambda text: read(text, add_special_tokens=False).input_ids, TOKENS[:5] + TOKENS[6:]

    return make


def older(folder):
    train(folder, normalization_rule_name="identity")
    write(folder, "added_tokens.json", {"<event>": 240, "</event>": 241, "事件": 242})
    write(folder, "special_tokens_map.json", {"eos_token": "</s>", "additional_special_tokens": ["</event>", "<SEP2>"]})
    write(folder, "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "extra_ids": 0})
    read = T5Tokenizer.from_pretrained(folder)
    return lambda text: read(text, add_special_tokens=False).input_ids, ["<event>", "</event>", "事件", "<SEP2>"]


def only_json(folder, tokenizer, extra=TOKENS):
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids, extra


def converted(legacy, single_word=False):
    def make(folder):
        train(folder, normalization_rule_name="identity")
        made = T5TokenizerFast.from_pretrained(folder, extra_ids=0, legacy=legacy)._tokenizer
        more = [AddedToken("re", single_word=True, normalized=False)] if single_word else []
        made.add_tokens(added() + more)
        return only_json(folder, made)

    return make


def unigram(folder):
    train(folder, normalization_rule_name="identity")
    model = spm.SentencePieceProcessor(model_file=os.path.join(folder, "spiece.model"))
    vocab = [(model.id_to_piece(i), model.get_score(i)) for i in range(len(model))]
    return Tokenizer(models.Unigram(vocab, unk_id=2, byte_fallback=False))


def words(folder):
    made = unigram(folder)
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    made.decoder = decoders.Metaspace()
    made.add_tokens(added())
    return only_json(folder, made)


def flax(folder):
    made = unigram(folder)
    made.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation()])
    made.decoder = decoders.Metaspace()
    made.add_tokens(added())
    return only_json(folder, made)


def byte_pairs(folder):
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=330, special_tokens=special, initial_alphabet=alphabet,
                                       show_progress=False))
    made.model.save(folder)
    write(folder, "added_tokens.json", {"<event>": 330, "<L>": 331})
    write(folder, "tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer"})
    from transformers import RobertaTokenizerFast

    read = RobertaTokenizerFast.from_pretrained(folder)
    return lambda text: read(text, add_special_tokens=False).input_ids, ["<event>", "<L>"]


def bpe_json(folder):
    encode, extra = byte_pairs(folder)
    from transformers import RobertaTokenizerFast

    return only_json(folder, RobertaTokenizerFast.from_pretrained(folder)._tokenizer, extra)


def bert_vocab(folder):
    chars = sorted({c for s in SENTENCES for c in s.lower() if not c.isspace()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + chars + ["##" + c for c in chars if c.isalnum()]
    with open(os.path.join(folder, "vocab.txt"), "w") as file:
        file.write("\n".join(pieces + ["weather", "data", "##ay"]) + "\n")


def bert(folder):
    bert_vocab(folder)
    # Lower-casing, the slow tokenizer does not find what is neither special nor normalized.
    made = BertTokenizer(os.path.join(folder, "vocab.txt"), do_lower_case=False)
    made.add_tokens(added())
    made.save_pretrained(folder)
    read = BertTokenizer.from_pretrained(folder)
    return lambda text: read(text, add_special_tokens=False).input_ids, TOKENS[:5] + TOKENS[6:]


def bert_json(folder):
    bert_vocab(folder)
    made = BertTokenizerFast(os.path.join(folder, "vocab.txt"))
    made.add_tokens(added())
    made.save_pretrained(folder)
    return only_json(folder, made._tokenizer)


def byt5(folder):
    made = ByT5Tokenizer(extra_ids=20)
    made.add_tokens([AddedToken("<event>"), AddedToken("<B>", lstrip=True, rstrip=True)])
    made.save_pretrained(folder)
    read = ByT5Tokenizer.from_pretrained(folder)
    return lambda text: read(text, add_special_tokens=False).input_ids, ["<event>", "<B>", "<extra_id_19>", "<extra_id_20>"]


FOLDERS = {
    "sentinels": sentinels, "added": slow(True), "added-first": slow(False), "older": older,
    "json": converted(True, True), "json-first": converted(False), "json-words": words, "json-flax": flax,
    "byte-pairs": byte_pairs, "bpe-json": bpe_json, "bert": bert, "bert-json": bert_json, "byt5": byt5,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--t5kit")
    parser.add_argument("--goldens")
    parser.add_argument("--texts", type=int, default=3000)
    options = parser.parse_args()
    differences = 0
    for name, make in FOLDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            encode, extra = make(folder)
            rng = random.Random(name)
            lines = [line.replace("\n", " ").replace("\r", " ") for line in texts(rng, extra, options.texts)]
            right = [list(encode(line)) for line in lines]
            if options.goldens:
                out = os.path.join(options.goldens, name)
                shutil.rmtree(out, ignore_errors=True)
                shutil.copytree(folder, out, ignore=shutil.ignore_patterns("special_tokens_map.json")
                                if name.startswith("added") else None)
                with open(os.path.join(out, "ids.jsonl"), "w") as file:
                    for line, ids in zip(lines[:120], right):
                        file.write(json.dumps({"text": line, "ids": ids}, ensure_ascii=False) + "\n")
            if options.t5kit:
                program = [options.t5kit, "tokenize", "--tokenizer", folder]
                ran = subprocess.run(program, input="\n".join(lines) + "\n", capture_output=True, text=True)
                got = [[int(id) for id in line.split()] for line in ran.stdout.split("\n")[:-1]]
                wrong = [(t, r, g) for t, r, g in zip(lines, right, got) if r != g]
                bad = len(wrong) + abs(len(got) - len(lines))
                differences += bad
                print(f"{name}: {len(lines)} texts, {bad} differences")
                for text, r, g in wrong[:3]:
                    print(f"  {text!r}\n    right {r}\n    t5kit {g}")
                if ran.returncode:
                    print(f"  {ran.stderr.strip()}")
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
