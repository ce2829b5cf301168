"""Times `t5kit count` against the usual Python pipeline: the sentencepiece library in a process pool.

usage: count.py T5KIT SPIECE CORPUS.jsonl... [--megabytes 60] [--rounds 3] [--processes N] [--threads N]

The corpora ("sentence" or "content" in JSON lines) are repeated into one file of about so many megabytes of
text, of which both count all pieces from one file to finished counts, starting included. The pipeline reads lines
in the parent; batches of 1,000 are parsed, tokenized and counted in the pool, and the Counters added up. Results
are compared before anything is timed; both then run in turn. CPU seconds are given beside, which other programs on
the machine disturb less.
"""
import argparse
import collections
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import sentencepiece

BATCH = 1000
library = None


def load(spiece):
    global library
    library = sentencepiece.SentencePieceProcessor(model_file=spiece)


def count_batch(lines):
    counter = collections.Counter()
    for line in lines:
        counter.update(library.encode(json.loads(line)["text"]))
    return counter


def batches(path):
    batch = []
    with open(path, encoding="utf8") as file:
        for line in file:
            batch.append(line)
            if len(batch) == BATCH:
                yield batch
                batch = []
    yield batch


def pipeline(spiece, path, processes):
    """Parsing and counting in the workers: the better of the ways to write it."""
    total = collections.Counter()
    with multiprocessing.Pool(processes, load, (spiece,)) as pool:
        for counter in pool.imap_unordered(count_batch, batches(path)):
            total.update(counter)
    return total


def ours(args, path, output):
    command = [args.t5kit, "count", "--tokenizer", args.spiece, "--output", output, "--force", path]
    if args.threads:
        command += ["--threads", str(args.threads)]
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("t5kit")
    parser.add_argument("spiece")
    parser.add_argument("corpora", nargs="+")
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    texts = []
    for corpus in args.corpora:
        for line in open(corpus, encoding="utf8"):
            row = json.loads(line)
            texts.append(row.get("sentence") or row["content"])
    size = sum(len(text.encode()) for text in texts)
    repeats = max(1, round(args.megabytes * 1e6 / size))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "corpus.jsonl"
        with open(path, "w", encoding="utf8") as file:
            for _ in range(repeats):
                for text in texts:
                    file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        megabytes = size * repeats / 1e6
        output = pathlib.Path(folder) / "counts.json"
        load(args.spiece)
        expected = pipeline(args.spiece, path, args.processes)
        ours(args, path, output)
        if json.load(open(output)) != {library.id_to_piece(i): n for i, n in expected.items()}:
            sys.exit("the counts differ: nothing is timed")
        print(f"equal counts of {sum(expected.values())} tokens in {megabytes:.1f} MB of text")
        seconds, cpu = collections.defaultdict(list), collections.defaultdict(list)
        for _ in range(args.rounds):
            for name, run in (
                ("pipeline", lambda: pipeline(args.spiece, path, args.processes)),
                ("t5kit", lambda: ours(args, path, output)),
            ):
                start, used = time.perf_counter(), sum(os.times()[:4])
                run()
                seconds[name].append(time.perf_counter() - start)
                cpu[name].append(sum(os.times()[:4]) - used)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        used = {name: statistics.median(times) for name, times in cpu.items()}
        print(f"| program | median s of {args.rounds} | MB/s | ratio | CPU s | MB/s of a core | ratio |")
        print("|---|---|---|---|---|---|---|")
        for name, label in (
            ("pipeline", f"sentencepiece, {args.processes} processes"),
            ("t5kit", "t5kit count"),
        ):
            wall = f"{medians[name]:.2f} | {megabytes / medians[name]:.1f} | {medians['pipeline'] / medians[name]:.1f}"
            core = f"{used[name]:.2f} | {megabytes / used[name]:.1f} | {used['pipeline'] / used[name]:.1f}"
            print(f"| {label} | {wall} | {core} |")
