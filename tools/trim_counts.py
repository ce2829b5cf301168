"""Compares `t5kit count` with the sentencepiece library, piece by piece.

usage: trim_counts.py T5KIT SPIECE INPUT...   (text, JSON lines with "sentence" or "content", or TSV files)

Counts every input with both and compares the counts, byte pieces and <unk> included; with --train also for a
small model without byte fallback that is trained on the inputs, so that <unk> occurs. Exits with 1 where
anything differs.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

import sentencepiece


def texts_of(path):
    for line in open(path, encoding="utf8", newline="\n"):
        line = line.rstrip("\n")
        if path.endswith(".jsonl"):
            row = json.loads(line)
            yield row.get("sentence") or row["content"]
        elif path.endswith(".tsv"):
            yield from line.split("\t")
        else:
            yield line


def field_of(path):
    if path.endswith(".jsonl"):
        row = json.loads(open(path, encoding="utf8").readline())
        return ["sentence" if "sentence" in row else "content"]
    if path.endswith(".tsv"):
        columns = open(path, encoding="utf8").readline().count("\t") + 1
        return [str(n + 1) for n in range(columns)]
    return []


def compare(t5kit, spiece, path, folder):
    library = sentencepiece.SentencePieceProcessor(model_file=str(spiece))
    expected = collections.Counter()
    for text in texts_of(path):
        expected.update(library.encode(text))
    expected = {library.id_to_piece(i): n for i, n in expected.items()}
    output = pathlib.Path(folder) / "counts.json"
    fields = [a for f in field_of(path) for a in ("--field", f)]
    command = [t5kit, "count", "--tokenizer", spiece, "--output", output, "--force", *fields, path]
    subprocess.run(command, check=True, capture_output=True)
    counts = json.load(open(output))
    differ = {p: (counts.get(p, 0), n) for p, n in expected.items() if counts.get(p, 0) != n}
    differ.update({p: (n, 0) for p, n in counts.items() if p not in expected})
    byte_tokens = sum(n for p, n in expected.items() if p.startswith("<0x"))
    unknown = expected.get("<unk>", 0)
    print(
        f"{'BAD' if differ else 'ok '} {pathlib.Path(path).name}: {sum(expected.values())} tokens, "
        f"{len(expected)} pieces, {byte_tokens} byte tokens, {unknown} <unk>, {len(differ)} counts differ"
    )
    for piece, (ours, theirs) in list(differ.items())[:5]:
        print(f"    {piece!r}: {ours} for {theirs}")
    return not differ


parser = argparse.ArgumentParser()
parser.add_argument("t5kit")
parser.add_argument("spiece")
parser.add_argument("inputs", nargs="+")
parser.add_argument("--train", action="store_true")
args = parser.parse_args()
good = True
with tempfile.TemporaryDirectory() as folder:
    for path in args.inputs:
        good &= compare(args.t5kit, args.spiece, path, folder)
    if args.train:
        lines = (line for path in args.inputs for line in texts_of(path))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines, model_prefix=f"{folder}/small", vocab_size=4000, character_coverage=0.98,
            byte_fallback=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
        )
        for path in args.inputs:
            good &= compare(args.t5kit, f"{folder}/small.model", path, folder)
sys.exit(not good)
