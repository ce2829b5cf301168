"""WordPiece and WoBERT words of t5kit beside transformers' BertTokenizerFast and bert4keras with jieba, one thread each.

usage: wordpiece.py [--rounds 5] [--data ../shared/data] [--bert4keras SDIST]

Needs `transformers` 4.57, `jieba`, bert4keras as for tools/wordpiece_exact.py, and cargo (it builds t5kit). The text is
the CSL abstracts; the vocabulary is made of them, as wordpiece_exact.py does it. Checks first that t5kit's ids are
those of the slow BertTokenizer and of bert4keras, and counts the lines where BertTokenizerFast's are; then times both
sides in turn and prints medians over the rounds. MB are 10^6 bytes of UTF-8.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

# One thread on the peer's side.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

ROOT = os.path.normpath(os.path.join(os.path.dirname(__file__), ".."))
# In the place of this folder, whose tokenize.py would hide Python's own.
sys.path[0] = os.path.join(ROOT, "tools")

import jieba
import transformers
import wordpiece_exact as exact


def build():
    cargo = ["cargo", "build", "--release", "-p"]
    subprocess.run([*cargo, "t5kit-tokenizer", "--example", "speed"], cwd=ROOT, check=True)
    subprocess.run([*cargo, "t5kit-cli"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "release", "examples", "speed"), os.path.join(target, "release", "t5kit")


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", default=os.path.join(ROOT, "..", "shared", "data"))
    parser.add_argument("--bert4keras")
    args = parser.parse_args()
    speed, program = build()
    jieba.setLogLevel("ERROR")
    jieba.initialize()
    tokenizers = exact.bert4keras_tokenizers(args.bert4keras)
    with open(os.path.join(args.data, "csl", "title.tsv"), encoding="utf8") as f:
        texts = [line.rstrip("\n").split("\t")[1] for line in f]
    size = sum(len(text.encode()) + 1 for text in texts) / 1e6
    pieces = exact.vocabulary([text.encode() for text in texts])
    print(f"{len(texts)} abstracts, {size:.2f} MB, {len(pieces)} pieces")
    with tempfile.TemporaryDirectory() as directory:
        compare = exact.Comparison(program, directory)
        bert, vocab = compare.folder("bert", pieces, {})
        words, _ = compare.folder("words", pieces, {"pre_tokenize": "jieba"})
        lines = [text.encode() for text in texts]
        ids = compare.ids("BertTokenizer", bert, lines, exact.bert_tokenizer(vocab, {}))
        _, bert4keras = exact.words_tokenizer(tokenizers, vocab, {"do_lower_case": True})
        compare.ids("bert4keras", words, lines, bert4keras)
        assert compare.differences == 0
        fast = transformers.BertTokenizerFast(vocab).backend_tokenizer
        encode = lambda: fast.encode_batch_fast(texts, add_special_tokens=False)
        same = sum(e.ids == i for e, i in zip(encode(), ids, strict=True))
        print(f"BertTokenizerFast gives the ids of BertTokenizer on {same} of {len(texts)} lines\n")
        path = os.path.join(directory, "lines.txt")
        with open(path, "wb") as f:
            f.write(b"\n".join(lines * 10))
        peers = {
            "WordPiece, BertTokenizerFast": (bert, encode),
            "WoBERT, bert4keras + jieba": (words, lambda: [bert4keras(text) for text in texts]),
        }
        print("| what, peer | peer, MB/s | t5kit, MB/s | ratio | load, t5kit |")
        print("|---|---|---|---|---|")
        for name, (folder, work) in peers.items():
            rounds = []
            for _ in range(args.rounds):
                theirs = size / min(seconds(work) for _ in range(2))
                ours = json.loads(subprocess.run([speed, folder, path, "1"], stdout=subprocess.PIPE, check=True).stdout)
                rounds.append((theirs, ours["mb_s"], ours["load_ms"]))
            theirs, ours, load = (statistics.median(column) for column in zip(*rounds))
            print(f"| {name} | {theirs:.2f} | {ours:.1f} | {ours / theirs:.1f} | {load:.0f} ms |", flush=True)


if __name__ == "__main__":
    main()
