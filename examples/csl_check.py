"""The checks of examples/csl.sh: each prints what it compared, and ends with an error where it does not hold.

usage: csl_check.py pieces  CUT_DIR PUBLISHED_SPM PUBLISHED_KEEP_LIST
       csl_check.py logits  FULL_DIR CUT_DIR PAIRS_TSV
       csl_check.py scores  MODEL_DIR PAIRS_TSV SCORES_TSV
       csl_check.py losses  TRAIN_LOG
       csl_check.py metrics OURS_JSON REFERENCE_JSON
"""
import json
import os
import statistics
import sys

EXAMPLES = 8


def fail(message):
    sys.exit(f"csl_check.py: FAILED: {message}")


def read_json(path):
    with open(path, encoding="utf8") as f:
        return json.load(f)


def rows(path):
    with open(path, encoding="utf8") as f:
        return [line.rstrip("\n").split("\t") for line in f]


def tokenizer(path):
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(path)


def load(directory):
    """The model through transformers; every tensor of the file must have its place."""
    import torch
    from transformers import MT5ForConditionalGeneration

    torch.set_grad_enabled(False)
    model, info = MT5ForConditionalGeneration.from_pretrained(directory, output_loading_info=True)
    wrong = {k: v for k, v in info.items() if v}
    if wrong:
        fail(f"{directory} does not load cleanly: {wrong}")
    return model.eval()


def encode(sp, source, target):
    """Ids cut at 256 and 32, `</s>` included."""
    return sp.encode(source)[:255] + [1], sp.encode(target)[:31] + [1]


def logits(model, source, target):
    import torch

    return model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits[0]


def pieces(cut_dir, published_spm, published_keep):
    from sentencepiece import sentencepiece_model_pb2 as pb

    def read(path):
        model = pb.ModelProto()
        with open(path, "rb") as f:
            model.ParseFromString(f.read())
        return [(p.piece, p.score, p.type) for p in model.pieces]

    ours, theirs = read(os.path.join(cut_dir, "spiece.model")), read(published_spm)
    differing = sum(a != b for a, b in zip(ours, theirs))
    if len(ours) != len(theirs) or differing:
        fail(f"{len(ours)} pieces, published {len(theirs)}; {differing} differ")
    print(f"pieces: {len(ours)}, text, score and type equal to the published ones")
    keep, published = read_json(os.path.join(cut_dir, "keep_tokens.json")), read_json(published_keep)
    if keep != published:
        fail(f"keep list: {len(keep)} rows, published {len(published)}")
    print(f"keep list: {len(keep)} rows, equal to the published one")


def check_logits(full_dir, cut_dir, pairs):
    keep = read_json(os.path.join(cut_dir, "keep_tokens.json"))
    sp = tokenizer(os.path.join(cut_dir, "spiece.model"))
    examples = [encode(sp, source, target) for source, target in rows(pairs)[:EXAMPLES]]
    model = load(cut_dir)
    if model.config.vocab_size < len(keep):
        fail(f"{model.config.vocab_size} rows for {len(keep)} kept ones")
    found = [logits(model, s, t)[:, : len(keep)] for s, t in examples]
    del model
    model = load(full_dir)
    largest = scale = 0.0
    for (source, target), cut in zip(examples, found):
        full = logits(model, [keep[i] for i in source], [keep[i] for i in target])[:, keep]
        largest = max(largest, (cut - full).abs().max().item())
        scale = max(scale, full.abs().max().item())
    # The rows are the same numbers; a matrix product of another width may add them in another order.
    if not largest <= 1e-5 * scale:
        fail(f"logits differ by {largest:.2e}, the largest is {scale:.2f}")
    count = sum(len(t) for _, t in examples)
    print(f"transformers: {count} × {len(keep)} logits of kept rows, cut against uncut model: largest difference "
          f"{largest:.2e} (largest logit {scale:.2f})")


def scores(model_dir, pairs, found):
    sp, model = tokenizer(os.path.join(model_dir, "spiece.model")), load(model_dir)
    pairs, found = rows(pairs), rows(found)
    if len(pairs) != len(found):
        fail(f"t5kit score printed {len(found)} lines for {len(pairs)} pairs")
    worst = 0.0
    for number, ((source, target), line) in enumerate(zip(pairs, found), 1):
        s, t = encode(sp, source, target)
        lp = logits(model, s, t).log_softmax(-1)
        expected = sum(lp[i, id].item() for i, id in enumerate(t))
        if int(line[1]) != len(t):
            fail(f"pair {number}: {line[1]} tokens, the library gives {len(t)}")
        worst = max(worst, abs(float(line[0]) - expected) / abs(expected))
    if not worst <= 1e-5:
        fail(f"log-probabilities differ from transformers' by up to {worst:.2e} of their value")
    print(f"t5kit score: {len(pairs)} log-probabilities within {worst:.1e} of transformers', relative; same token counts")


def losses(log):
    with open(log, encoding="utf8") as f:
        found = [e["loss"] for e in map(json.loads, f) if "grad_norm" in e]
    n = max(1, len(found) // 6)
    first, last = statistics.mean(found[:n]), statistics.mean(found[-n:])
    if not last < 0.9 * first:
        fail(f"loss does not fall: {first:.3f} over the first {n} steps, {last:.3f} over the last {n}")
    print(f"loss: {first:.3f} over the first {n} of {len(found)} steps, {last:.3f} over the last {n}")


def metrics(ours, reference):
    ours, reference = read_json(ours), read_json(reference)
    for key, value in reference.items():
        if not abs(ours[key] - value) <= 1e-9:
            fail(f"{key}: {ours[key]}, the reference gives {value}")
    print("metrics, equal to the reference: " + ", ".join(f"{k} {v:.4f}" for k, v in reference.items()))


if __name__ == "__main__":
    commands = {"pieces": pieces, "logits": check_logits, "scores": scores, "losses": losses, "metrics": metrics}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
