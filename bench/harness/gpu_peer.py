"""What PyTorch and transformers reach with a model's folder: one JSON line.

usage: gpu_peer.py ids|generate|train MODEL_DIR --device cuda|cpu [--batch 16] [--beams 1] [--new-tokens 32] …

ids: greedy ids of given sources in float32, and by how much each choice led. generate: exactly so many new tokens for sources
of random ids in bfloat16, the best of some rounds. train: AdamW steps on random ids under bfloat16 autocast, weights in
float32, all sequences of full length (no padding: its best case).
"""
import argparse
import json
import time

import torch
from transformers import AutoModelForSeq2SeqLM

arguments = argparse.ArgumentParser()
arguments.add_argument("what", choices=["ids", "generate", "train"])
arguments.add_argument("model")
arguments.add_argument("--device", default="cuda")
arguments.add_argument("--batch", type=int, default=16)
arguments.add_argument("--beams", type=int, default=1)
arguments.add_argument("--new-tokens", type=int, default=32)
arguments.add_argument("--source-tokens", type=int, default=256)
arguments.add_argument("--rounds", type=int, default=3)
arguments.add_argument("--steps", type=int, default=20)
arguments.add_argument("--ids", help="JSON: lists of ids")
arguments.add_argument("--pieces", type=int, help="ids from there on are never said")
asked = arguments.parse_args()
device = torch.device(asked.device)


def model(dtype):
    try:
        return AutoModelForSeq2SeqLM.from_pretrained(asked.model, dtype=dtype).to(device)
    except TypeError:  # its name before transformers 4.56
        return AutoModelForSeq2SeqLM.from_pretrained(asked.model, torch_dtype=dtype).to(device)


def wait():
    if device.type == "cuda":
        torch.cuda.synchronize()


def random_ids(rows, tokens, vocabulary):
    ids = torch.randint(3, min(vocabulary, 30000), (rows, tokens), generator=torch.Generator().manual_seed(1))
    ids[:, -1] = 1
    return ids.to(device)


def lengths(beams):
    return dict(max_new_tokens=asked.new_tokens, min_new_tokens=asked.new_tokens, num_beams=beams, do_sample=False)


@torch.inference_mode()
def ids():
    m = model(torch.float32).eval()
    found, leads = [], []
    for source in json.load(open(asked.ids, encoding="utf-8")):
        given = torch.tensor([source], device=device)
        never = list(range(asked.pieces, m.config.vocab_size)) or None
        out = m.generate(input_ids=given, output_scores=True, return_dict_in_generate=True, suppress_tokens=never, **lengths(1))
        best = [torch.topk(score[0].float(), 2).values for score in out.scores]
        found.append(out.sequences[0, 1:].tolist())
        leads.append([float(two[0] - two[1]) for two in best])
    return {"ids": found, "leads": leads}


@torch.inference_mode()
def generate():
    m = model(torch.bfloat16).eval()
    sources = random_ids(asked.batch, asked.source_tokens, m.config.vocab_size)
    mask = torch.ones_like(sources)
    seconds = []
    for _ in range(asked.rounds + 1):
        wait()
        begun = time.perf_counter()
        out = m.generate(input_ids=sources, attention_mask=mask, **lengths(asked.beams))
        wait()
        seconds.append(time.perf_counter() - begun)
    assert out.shape == (asked.batch, asked.new_tokens + 1)
    rest = sorted(seconds[1:])
    return {"tokens_a_second": asked.batch * asked.new_tokens / rest[len(rest) // 2], "seconds": seconds}


def train():
    m = model(torch.float32).train()
    optimizer = torch.optim.AdamW(m.parameters(), lr=2e-4, fused=device.type == "cuda")
    sources = random_ids(asked.batch, asked.source_tokens, m.config.vocab_size)
    targets = random_ids(asked.batch, asked.new_tokens, m.config.vocab_size)
    seconds = []
    for _ in range(asked.steps):
        wait()
        begun = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = m(input_ids=sources, labels=targets).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        wait()
        seconds.append(time.perf_counter() - begun)
    rest = seconds[len(seconds) // 4:]
    tokens = asked.batch * (asked.source_tokens + asked.new_tokens) * len(rest)
    reserved = torch.cuda.max_memory_reserved() >> 20 if device.type == "cuda" else None
    return {"real_tokens_a_second": tokens / sum(rest), "reserved_mib": reserved, "seconds": seconds}


print(json.dumps({"ids": ids, "generate": generate, "train": train}[asked.what]()))
