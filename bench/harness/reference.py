"""Reference results by PyTorch and transformers, for the checks that come before the timings. Run by the peers' Python.

usage: reference.py greedy  OUT MODEL_DIR SPM CSL_TSV SAMPLES
       reference.py beam    OUT MODEL_DIR SPM CSL_TSV SAMPLES BEAMS
       reference.py losses  OUT MODEL_DIR SPM CSL_TSV ROWS STEPS
       reference.py batches OUT SPM CSL_TSV BATCH STEPS
       reference.py pieces  OUT SPM CSL_TSV BATCH STEPS
       reference.py lengths OUT SPM CSL_TSV
`greedy`: per sample the ids of exactly 32 new tokens and, per token, its lead over the next best logit. Sentinels and
rows without a piece are left out, as t5kit leaves them out.
`beam`: per sample the ids of exactly 32 new tokens of the best of BEAMS beams, and its score.
`losses`: losses of STEPS steps of AdamW (2e-4, no dropout) on one batch, the first ROWS rows.
`batches`: the row numbers (from 0) that hf_train.py trains on, in file order and bucketed, as lists of batches.
`pieces`: how many different ids those rows have, in file order and bucketed.
`lengths`: per row the tokens of source and target.
Sources are cut at 256 tokens, targets at 32. OUT is JSON.
"""
import json
import sys

import sentencepiece

EOS = 1


def rows(path):
    with open(path, encoding="utf8") as f:
        return [line.rstrip("\n").split("\t") for line in f]


def pairs(spm, path):
    sp = sentencepiece.SentencePieceProcessor(spm)
    return [(sp.encode(r[1])[:255] + [EOS], sp.encode(r[2])[:31] + [EOS]) for r in rows(path)]


def load(model_dir, spm):
    """The model, and the ids that t5kit leaves out."""
    from transformers import MT5ForConditionalGeneration

    model = MT5ForConditionalGeneration.from_pretrained(model_dir).eval()
    sp = sentencepiece.SentencePieceProcessor(spm)
    sentinels = [i for i in range(sp.get_piece_size()) if "<extra_id_" in sp.id_to_piece(i)]
    return model, sentinels + list(range(sp.get_piece_size(), model.config.vocab_size))


def generated(model, never, source, **options):
    import torch

    ids = torch.tensor([source])
    with torch.inference_mode():
        return model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=32, min_new_tokens=32, do_sample=False,
            suppress_tokens=never or None, return_dict_in_generate=True, output_scores=True, **options,
        )


def greedy(model_dir, spm, path, samples):
    model, never = load(model_dir, spm)
    out = []
    for source, _ in pairs(spm, path)[: int(samples)]:
        result = generated(model, never, source)
        tops = [step[0].topk(2).values for step in result.scores]
        out.append({"ids": result.sequences[0, 1:].tolist(), "leads": [(a - b).item() for a, b in tops]})
    return out


def beam(model_dir, spm, path, samples, beams):
    model, never = load(model_dir, spm)
    out = []
    for source, _ in pairs(spm, path)[: int(samples)]:
        result = generated(model, never, source, num_beams=int(beams))
        out.append({"ids": result.sequences[0, 1:].tolist(), "score": result.sequences_scores[0].item()})
    return out


def losses(model_dir, spm, path, count, steps):
    import torch
    from transformers import MT5ForConditionalGeneration

    model = MT5ForConditionalGeneration.from_pretrained(model_dir).eval()  # eval: no dropout
    batch = pairs(spm, path)[: int(count)]
    width, height = max(len(x) for x, _ in batch), max(len(y) for _, y in batch)
    ids = torch.tensor([x + [0] * (width - len(x)) for x, _ in batch])
    mask = torch.tensor([[1] * len(x) + [0] * (width - len(x)) for x, _ in batch])
    labels = torch.tensor([y + [-100] * (height - len(y)) for _, y in batch])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
    out = []
    for _ in range(int(steps)):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        out.append(loss.item())
    return out


def batches(spm, path, batch, steps):
    """The same choice as hf_train.py's, without its warm-up step."""
    batch, steps = int(batch), int(steps)
    lengths = [len(x) for x, _ in pairs(spm, path)]
    starts = list(range(0, len(lengths) - batch + 1, batch))
    by_length = sorted(range(len(lengths)), key=lambda i: lengths[i])
    spread = [starts[int((i + 0.5) * len(starts) / steps)] for i in range(steps)]
    return {"file order": [list(range(s, s + batch)) for s in starts[:steps]],
            "bucketed": [by_length[s : s + batch] for s in spread]}


def distinct(spm, path, batch, steps):
    rows = pairs(spm, path)
    seen = {order: {i for batch in chosen for row in batch for side in rows[row] for i in side}
            for order, chosen in batches(spm, path, batch, steps).items()}
    return {order: len(ids) for order, ids in seen.items()}


def lengths(spm, path):
    return [(len(x), len(y)) for x, y in pairs(spm, path)]


if __name__ == "__main__":
    what, out, *arguments = sys.argv[1:]
    known = {"greedy": greedy, "beam": beam, "losses": losses, "batches": batches, "pieces": distinct,
             "lengths": lengths}
    result = known[what](*arguments)
    with open(out, "w", encoding="utf8") as f:
        json.dump(result, f)
