#!/usr/bin/env python3
"""Runs the four CSL recipes as they are shipped, on real data, with stand-ins for the checkpoints.

A small hub on the loopback has checkpoints with random weights under the names that the recipes give, so that who has
the real weights runs exactly this. Widths and layers are those of the command line: with random weights and little time
the figures are not the blog post's, but every stage of its story happens. At the end the figures of every evaluation are
computed again from predictions.tsv by the Python packages that define them.

usage: csl_recipes.py T5KIT TITLES SPIECE OUT [--epochs N] [--layers N] [--width N] [--set KEY=VALUE ...]

TITLES: prompt, abstract, title, a paper a line. SPIECE: mT5's SentencePiece model, whole. Needs torch,
transformers 4.57, rouge, nltk, jieba.
"""
import argparse
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("t5kit", type=Path)
parser.add_argument("titles", type=Path)
parser.add_argument("spiece", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--width", type=int, default=256)
parser.add_argument("--learning-rate", type=float, help="instead of the recipes', which are for trained weights")
parser.add_argument("--only", nargs="*", default=["mt5_small", "mt5_base", "bert", "wobert"])
parser.add_argument("--set", nargs="*", default=[])
args = parser.parse_args()
RECIPES = Path(__file__).resolve().parent.parent / "recipes"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_mt5(folder, layers, heads):
    """A checkpoint of mT5's form with the whole vocabulary."""
    from transformers import MT5Config, MT5ForConditionalGeneration

    config = MT5Config(
        vocab_size=250112, d_model=args.width, d_kv=64, d_ff=2 * args.width, num_heads=heads, num_layers=layers,
        num_decoder_layers=layers, feed_forward_proj="gated-gelu", tie_word_embeddings=False, pad_token_id=0,
        eos_token_id=1, decoder_start_token_id=0,
    )
    model = MT5ForConditionalGeneration(config)
    # transformers begins the softmax at 1.0, which is meant to be overwritten.
    model.lm_head.weight.data.normal_(0, args.width ** -0.5)
    model.save_pretrained(folder)
    shutil.copy(args.spiece, folder / "spiece.model")


def make_bert(folder, words):
    """A checkpoint of BERT's form whose vocabulary is the characters (and words) of the titles and abstracts."""
    from collections import Counter

    from transformers import BertConfig, BertForMaskedLM

    text = args.titles.read_text(encoding="utf-8").lower()
    chinese = Counter(c for c in text if "\u4e00" <= c <= "\u9fff" or not c.isspace() and not c.isalnum())
    latin = Counter(c for c in text if c.isalnum() and c < "\u4e00")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + sorted(chinese) + sorted(latin)
    pieces += ["##" + c for c in sorted(latin)]
    if words:
        import jieba

        jieba.setLogLevel(60)
        count = Counter(w for w in jieba.cut(text, HMM=False) if len(w) > 1 and all("\u4e00" <= c <= "\u9fff" for c in w))
        pieces += sorted(w for w, n in count.items() if n >= 3)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=args.width, num_hidden_layers=args.layers,
        num_attention_heads=args.width // 64, intermediate_size=4 * args.width, max_position_embeddings=512,
    )
    BertForMaskedLM(config).save_pretrained(folder)


def models():
    """The stand-ins by the names that the recipes give."""
    named = {}
    for recipe in args.only:
        text = (RECIPES / f"csl_title_{recipe}.toml").read_text(encoding="utf-8")
        name = re.search(r'^path = "([^"]+)"', text, re.M).group(1)
        folder = args.out / "hub" / name
        if not folder.exists():
            if recipe.startswith("mt5"):
                make_mt5(folder, args.layers, args.width // 64 * (1 if recipe == "mt5_small" else 2))
            else:
                make_bert(folder, recipe == "wobert")
        named[name] = folder
    return named


class Hub(http.server.BaseHTTPRequestHandler):
    """The parts of the hub's protocol that fetching a model takes."""

    named = {}

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.split("?")[0]
        for name, folder in self.named.items():
            if path.startswith(f"/api/models/{name}/revision/"):
                files = [{"rfilename": file.name} for file in folder.iterdir()]
                body = json.dumps({"sha": COMMIT, "siblings": files, "modelId": name}).encode()
                return self.reply(200, body, [("Content-Type", "application/json")])
            if path.startswith(f"/{name}/resolve/"):
                file = folder / path.rsplit("/", 1)[1]
                if file.is_file():
                    return self.file(file)
        self.reply(404, b"", [])

    do_HEAD = do_GET

    def file(self, file):
        size = file.stat().st_size
        etag = hashlib.sha1(f"{file}{size}".encode()).hexdigest()
        first, last = 0, size - 1
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked.group(1)), min(int(asked.group(2) or last), last)
        with file.open("rb") as data:
            data.seek(first)
            body = data.read(last - first + 1)
        headers = [("ETag", f'"{etag}"'), ("X-Repo-Commit", COMMIT), ("Content-Range", f"bytes {first}-{last}/{size}")]
        self.reply(206 if asked else 200, body, headers)

    def reply(self, code, body, headers):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def recomputed(predictions):
    """ROUGE and BLEU of the CSL preset by the packages `rouge` and `nltk`: the third column against the second."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge import Rouge

    rouge, smooth = Rouge(), SmoothingFunction().method1
    total = dict.fromkeys(["rouge-1", "rouge-2", "rouge-l", "bleu"], 0.0)
    rows = [line.rstrip("\n").split("\t") for line in predictions.open(encoding="utf-8")][1:]
    for _, reference, prediction in rows:
        reference, prediction = (" ".join(text).lower() for text in (reference, prediction))
        if prediction.strip():
            scores = rouge.get_scores(hyps=prediction, refs=reference)[0]
            for name in ("rouge-1", "rouge-2", "rouge-l"):
                total[name] += scores[name]["f"]
            total["bleu"] += sentence_bleu([reference.split(" ")], prediction.split(" "), smoothing_function=smooth)
    return {name: value / len(rows) for name, value in total.items()}


def main():
    args.out.mkdir(parents=True, exist_ok=True)
    Hub.named = models()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = dict(os.environ, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}", HF_HOME=str(args.out / "home"))
    worst = 0.0
    print(f"{'recipe':<10} {'ROUGE-L':>8} {'ROUGE-1':>8} {'ROUGE-2':>8} {'BLEU':>8} {'samples/s':>10} {'seconds':>8}")
    for recipe in args.only:
        run = args.out / recipe
        settings = [
            f"data.file={args.titles.resolve()}", f"output={run.resolve()}", "data.valid=100", "data.test=100",
            f"finetune.epochs={args.epochs}",
        ]
        if args.learning_rate:
            settings.append(f"finetune.learning_rate={args.learning_rate}")
        command = [args.t5kit, "run", RECIPES / f"csl_title_{recipe}.toml"]
        for setting in settings + args.set:
            command += ["--set", setting]
        begun = time.time()
        with (args.out / f"{recipe}.log").open("w") as log:
            done = subprocess.run(command, env=environment, stdout=log, stderr=log)
        if done.returncode:
            sys.exit(f"{recipe}: exit {done.returncode}, see {log.name}")
        found = next(run.rglob("evaluation.json"))
        figures = json.loads(found.read_text(encoding="utf-8"))["models"][0]
        again = recomputed(found.parent / "predictions.tsv")
        for name, value in again.items():
            worst = max(worst, abs(value - figures["metrics"][name]["value"]))
        shown = [100 * figures["metrics"][name]["value"] for name in ("rouge-l", "rouge-1", "rouge-2", "bleu")]
        speed = figures["speed"]["samples_per_second"]
        print(f"{recipe:<10}", *(f"{x:8.2f}" for x in shown), f"{speed:10.2f} {time.time() - begun:8.0f}", flush=True)
    print(f"largest difference from the figures of rouge and nltk: {worst:.1e}")
    if worst > 1e-9:
        sys.exit("the figures are not those of the packages")


main()
