"""Encoding and loading speed of t5kit beside the sentencepiece library, in turn on the same machine.

usage: tokenize.py [--rounds 7] [--data ../shared/data]

Needs the `sentencepiece` package and `cargo build --release`d binaries (it builds them). Checks first that both
give the same ids for every text; then prints medians over the rounds. MB are 10^6 bytes of UTF-8.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import tempfile
import time

import sentencepiece as spm

ROOT = os.path.normpath(os.path.join(os.path.dirname(__file__), ".."))


def texts(data):
    """name -> list of texts: the unlabelled text, and the CSL abstracts."""
    unlabelled = []
    for path in sorted(glob.glob(os.path.join(data, "text", "*.jsonl"))):
        for line in open(path, encoding="utf8"):
            row = json.loads(line)
            unlabelled.append((row.get("sentence") or row.get("content")).replace("\n", " "))
    with open(os.path.join(data, "csl", "title.tsv"), encoding="utf8") as f:
        abstracts = [line.rstrip("\n").split("\t")[1] for line in f]
    return {"text": unlabelled, "CSL abstracts": abstracts * 8}


def build():
    cargo = ["cargo", "build", "--release", "-p"]
    subprocess.run([*cargo, "t5kit-tokenizer", "--example", "speed"], cwd=ROOT, check=True)
    subprocess.run([*cargo, "t5kit-cli"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "release", "examples", "speed"), os.path.join(target, "release", "t5kit")


def check(program, model, path, lines):
    with open(path, "rb") as f:
        ours = subprocess.run([program, "tokenize", "--tokenizer", model], stdin=f, stdout=subprocess.PIPE, check=True)
    ours = ours.stdout.decode().split("\n")[:-1]
    theirs = spm.SentencePieceProcessor(model_file=model).encode(lines)
    assert ours == [" ".join(map(str, ids)) for ids in theirs], f"{model}: ids differ"


def library(model, lines, size, threads):
    start = time.perf_counter()
    sp = spm.SentencePieceProcessor(model_file=model)
    load_ms = (time.perf_counter() - start) * 1e3
    best = 1e9
    for _ in range(3):
        start = time.perf_counter()
        sp.encode(lines, num_threads=threads)
        best = min(best, time.perf_counter() - start)
    return load_ms, size / best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", default=os.path.join(ROOT, "..", "shared", "data"))
    args = parser.parse_args()
    speed, program = build()
    print("| model | text | threads | sentencepiece, MB/s | t5kit, MB/s | ratio | load, sentencepiece | load, t5kit |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        for model in sorted(glob.glob(os.path.join(args.data, "tokenizer", "*.model")), reverse=True):
            for name, lines in texts(args.data).items():
                path = os.path.join(directory, "lines.txt")
                with open(path, "w", encoding="utf8") as f:
                    f.write("\n".join(lines) + "\n")
                size = os.path.getsize(path) / 1e6
                check(program, model, path, lines)
                for threads in (1, 2):
                    rounds = []
                    for _ in range(args.rounds):
                        theirs = library(model, lines, size, threads)
                        run = subprocess.run([speed, model, path, str(threads)], stdout=subprocess.PIPE, check=True)
                        rounds.append((*theirs, json.loads(run.stdout)))
                    load_theirs, theirs = (statistics.median(r[i] for r in rounds) for i in (0, 1))
                    load_ours, ours = (statistics.median(r[2][key] for r in rounds) for key in ("load_ms", "mb_s"))
                    print(
                        f"| {os.path.basename(model)} | {name} | {threads} | {theirs:.1f} | {ours:.1f} | "
                        f"{ours / theirs:.1f} | {load_theirs:.0f} ms | {load_ours:.0f} ms |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
