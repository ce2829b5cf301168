"""Shows that a trimmed model is the uncut one with fewer rows.

usage: trim_check.py FULL_MODEL_DIR FULL_SPIECE CUT_DIR TEXT_FILE [--limit N] [--skip-ctranslate2]

FULL_MODEL_DIR is the uncut Hugging Face directory, CUT_DIR what `t5kit trim --model` wrote from it, TEXT_FILE
held-out text (a text a line, or JSON lines with "sentence" or "content"). Checked are:

1. AutoTokenizer on CUT_DIR, fast and slow, gives the ids of the sentencepiece library on every text (the fast
   one adds scores in double precision and so breaks exact ties, as in "!!!!!!!!", another way: such texts are
   counted apart);
2. where a text is segmented as before (the same pieces by both tokenizers, through keep_tokens.json), the
   logits of kept rows are the uncut model's, bit for bit, in transformers (teacher forcing on a second text);
   the remaining rows are no part of the comparison;
3. the cut model generates in transformers and, converted, in CTranslate2, with the same greedy ids from both.

Needs torch, transformers 4.57, sentencepiece and ctranslate2. Exits with 1 where anything differs.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import sentencepiece
import torch
from transformers import AutoTokenizer, MT5ForConditionalGeneration
from transformers.utils import logging

warnings.filterwarnings("ignore")
logging.set_verbosity_error()
logging.disable_progress_bar()
parser = argparse.ArgumentParser()
parser.add_argument("full_model")
parser.add_argument("full_spiece")
parser.add_argument("cut")
parser.add_argument("text")
parser.add_argument("--limit", type=int, default=2000)
parser.add_argument("--skip-ctranslate2", action="store_true")
args = parser.parse_args()
cut_dir = pathlib.Path(args.cut)
failures = 0


def check(what, good, of):
    global failures
    failures += good != of
    print(f"{'ok ' if good == of else 'BAD'} {what}: {good} of {of}")


texts = []
for line in open(args.text, encoding="utf8"):
    line = line.rstrip("\n")
    if args.text.endswith(".jsonl"):
        row = json.loads(line)
        line = row.get("sentence") or row.get("content")
    texts.append(line)
texts = texts[: args.limit]
texts += ["龘靐齉 𠀀", "😀👍 e\u0301 ﷺ ½ ‰№℡", "Hello <extra_id_0> world", "ｆｕｌｌ　ｗｉｄｔｈ", "  a  b\tc ", "\ue000"]

full = sentencepiece.SentencePieceProcessor(model_file=args.full_spiece)
cut = sentencepiece.SentencePieceProcessor(model_file=str(cut_dir / "spiece.model"))
keep = json.load(open(cut_dir / "keep_tokens.json"))
same_pieces = sum(full.id_to_piece(keep[i]) == cut.id_to_piece(i) for i in range(len(cut)))
check("pieces of the cut tokenizer are the kept ones", same_pieces, len(cut))
for fast in (True, False):
    tokenizer = AutoTokenizer.from_pretrained(args.cut, use_fast=fast)
    equal = ties = 0
    for t in texts:
        ours, theirs = tokenizer(t).input_ids, cut.encode(t) + [1]
        equal += ours == theirs
        tie = abs(sum(map(cut.get_score, ours)) - sum(map(cut.get_score, theirs))) < 1e-4
        ties += ours != theirs and tie and len(ours) == len(theirs) and fast
    check(f"texts with the ids of sentencepiece, {type(tokenizer).__name__} ({ties} ties)", equal + ties, len(texts))
    decoded = sum(
        tokenizer.decode(cut.encode(t), clean_up_tokenization_spaces=False) == cut.decode(cut.encode(t))
        for t in texts
        if "extra_id" not in t
    )
    print(f"    decoded as by sentencepiece: {decoded} of {sum('extra_id' not in t for t in texts)}")

as_before = [t for t in texts if [keep[i] for i in cut.encode(t)] == full.encode(t) and cut.encode(t)]
print(f"    segmented as before: {len(as_before)} of {len(texts)} texts")
torch.set_num_threads(2)
old = MT5ForConditionalGeneration.from_pretrained(args.full_model, torch_dtype="auto").eval()
new = MT5ForConditionalGeneration.from_pretrained(args.cut, torch_dtype="auto").eval()
check("rows of the cut model", new.lm_head.weight.shape[0], len(keep))
rows = torch.tensor(keep)
check("rows of the embeddings that are equal", int((old.shared.weight[rows] == new.shared.weight).all(1).sum()), len(keep))
check("rows of the softmax that are equal", int((old.lm_head.weight[rows] == new.lm_head.weight).all(1).sum()), len(keep))
equal = compared = 0
worst = 0.0
with torch.no_grad():
    for source, target in zip(as_before[:20], as_before[1:21]):
        s, t = cut.encode(source)[:64] + [1], [0] + cut.encode(target)[:16]
        a = old(input_ids=torch.tensor([[keep[i] for i in s]]), decoder_input_ids=torch.tensor([[keep[i] for i in t]]), output_hidden_states=True)
        b = new(input_ids=torch.tensor([s]), decoder_input_ids=torch.tensor([t]), output_hidden_states=True)
        # The softmax of kept rows, computed by products of one shape: a library may add up the terms of a row in
        # another order when the matrix has other columns, which would say nothing about the weights.
        hidden_a, hidden_b = a.decoder_hidden_states[-1], b.decoder_hidden_states[-1]
        logits_a, logits_b = hidden_a @ old.lm_head.weight[rows].T, hidden_b @ new.lm_head.weight.T
        equal += int(torch.equal(logits_a, logits_b))
        compared += 1
        worst = max(worst, (a.logits[..., rows] - b.logits).abs().max().item())
check("texts with bit-identical logits of kept rows", equal, compared)
print(f"    largest difference of the logits as the two models' own products give them: {worst:.2e}")

sources = [cut.encode(t)[:64] + [1] for t in as_before[:4]]
banned = [[i] for i in range(len(cut), len(keep))]
with torch.no_grad():
    greedy = [
        new.generate(torch.tensor([s]), max_new_tokens=12, do_sample=False, num_beams=1, bad_words_ids=banned or None)[0, 1:].tolist()
        for s in sources
    ]
greedy = [ids[: ids.index(1)] if 1 in ids else ids for ids in greedy]
check("texts generated by transformers", sum(len(ids) <= 12 for ids in greedy), len(sources))
if not args.skip_ctranslate2:
    import ctranslate2

    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "ct2"
        converter = pathlib.Path(sys.executable).parent / "ct2-transformers-converter"
        subprocess.run([converter, "--model", args.cut, "--output_dir", out], check=True, capture_output=True)
        translator = ctranslate2.Translator(str(out), device="cpu", intra_threads=2)
        vocabulary = json.load(open(out / "shared_vocabulary.json"))
        check("entries of CTranslate2's vocabulary", len(vocabulary), len(keep))
        results = translator.translate_batch(
            [[vocabulary[i] for i in s] for s in sources], beam_size=1, max_decoding_length=12,
            suppress_sequences=[[vocabulary[i[0]]] for i in banned],
        )
        ids = {piece: id for id, piece in enumerate(vocabulary)}
        theirs = [[ids[p] for p in r.hypotheses[0]] for r in results]
        check("texts with the greedy ids of transformers, CTranslate2", sum(a == b for a, b in zip(theirs, greedy)), len(sources))
sys.exit(failures > 0)
