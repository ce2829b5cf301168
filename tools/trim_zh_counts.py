"""Writes crates/trim/src/sets/zh_counts.tsv.zst: the published counts of mT5's pieces in Chinese text.

usage: trim_zh_counts.py MT5_TOKEN_COUNTS_ZH_JSON

The counts are those of bojone/t5_in_bert4keras (its mt5_token_counts_zh.json: piece → count in the author's tens of
gigabytes of general Chinese text, 8.79 billion tokens). Pieces that occur less than ten times are left out: they are
17 % of the pieces and a hundred-thousandth of the tokens. Needs the program zstd.
"""
import json
import pathlib
import subprocess
import sys

OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "crates/trim/src/sets/zh_counts.tsv.zst"
LEAST = 10

counts = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf8"))
kept = sorted(((n, piece) for piece, n in counts.items() if n >= LEAST), key=lambda item: (-item[0], item[1]))
assert not any("\n" in piece for _, piece in kept)
text = "".join(f"{piece}\t{n}\n" for n, piece in kept).encode("utf8")
packed = subprocess.run(["zstd", "--ultra", "-22", "-c"], input=text, stdout=subprocess.PIPE, check=True).stdout
OUTPUT.write_bytes(packed)
print(len(kept), "of", len(counts), "pieces,", sum(n for n, _ in kept), "tokens,", len(packed), "bytes")
