"""What a user of PyTorch runs where t5kit runs a BERT as UniLM: transformers' `BertForMaskedLM`. Run by the peers' Python.

usage: unilm_peer.py model    OUT CSL_TSV
       unilm_peer.py vocabulary OUT CSL_TSV ROWS [--words]
       unilm_peer.py lengths  OUT MODEL_DIR CSL_TSV
       unilm_peer.py losses   OUT MODEL_DIR CSL_TSV ROWS STEPS
       unilm_peer.py greedy   OUT MODEL_DIR CSL_TSV SAMPLES
       unilm_peer.py train    MODEL_DIR CSL_TSV [--batch 16] [--steps 4] [--bf16] [--threads 2] [--careful]
       unilm_peer.py generate MODEL_DIR CSL_TSV [--samples 32] [--batch 16] [--bf16] [--threads 2]

`model`: a folder of BERT base with random weights and a vocab.txt of 21,128 pieces, the characters of CSL_TSV among them.
`vocabulary`: a vocab.txt of so many pieces, with --words the 20,000 words of several characters that jieba's dictionary
has as the most frequent among them, as WoBERT has words. `lengths`: per row the tokens of source and target. `losses`: of STEPS steps of AdamW (2e-4, no dropout) on the first ROWS
rows. `greedy`: per sample the ids of exactly 32 new tokens and, per token, its lead over the next best logit.
`train` prints seconds a step and real tokens a second of fine-tuning with the explicit mask of queries × keys, batches
padded to their longest; the head runs on all positions, as `BertForMaskedLM` with labels does, or with --careful on the
rows that say the target alone. `generate` prints samples a second of greedy search with a cache of keys and values.
Sources are cut at 256 tokens, targets at 32, `[CLS]` and `[SEP]` counted. OUT is JSON but for `model` and `vocabulary`.
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

NEW_TOKENS = 32
PAD, UNK, CLS, SEP, MASK = 0, 100, 101, 102, 103
ROWS = 21128


def rows(path):
    with open(path, encoding="utf8") as f:
        return [line.rstrip("\n").split("\t") for line in f]


def words(count):
    """The most frequent words of several Chinese characters."""
    import jieba

    with jieba.get_dict_file() as f:
        entries = [line.decode("utf8").split(" ")[:2] for line in f]
    entries = [(int(n), w) for w, n in entries if len(w) > 1 and all("\u4e00" <= c <= "\u9fff" for c in w)]
    return [word for _, word in sorted(entries, key=lambda entry: (-entry[0], entry[1]))[:count]]


def vocabulary(path, size=ROWS, more=()):
    """BERT's special pieces in their places, every character of the texts alone and within a word, more words, and what
    fills up."""
    characters = sorted({c for row in rows(path) for c in "".join(row).lower() if not c.isspace()})
    ascii_pieces = [c for c in characters if c.isascii() and c.isalnum()]
    pieces = [f"[unused{i}]" for i in range(1, 104)]
    for place, piece in ((PAD, "[PAD]"), (UNK, "[UNK]"), (CLS, "[CLS]"), (SEP, "[SEP]"), (MASK, "[MASK]")):
        pieces.insert(place, piece)
    pieces = pieces[: MASK + 1] + characters + ["##" + c for c in ascii_pieces] + list(more)
    return pieces + [f"[unused{i}]" for i in range(1000, 1000 + size - len(pieces))]


def write_vocabulary(out, pieces):
    with open(out, "w", encoding="utf8") as f:
        f.writelines(piece + "\n" for piece in pieces)


def make_model(out, path):
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(vocab_size=ROWS))
    model.save_pretrained(out)
    write_vocabulary(os.path.join(out, "vocab.txt"), vocabulary(path))


def pairs(directory, path, count=None):
    """(source, target) ids."""
    from transformers import BertTokenizer

    t = BertTokenizer(os.path.join(directory, "vocab.txt"))
    ids = lambda text: t.convert_tokens_to_ids(t.tokenize(text))
    return [([CLS, *ids(r[1])[:254], SEP], [*ids(r[2])[:31], SEP]) for r in rows(path)[:count]]


def load(directory, bf16=False, **options):
    import torch
    from transformers import BertForMaskedLM

    return BertForMaskedLM.from_pretrained(directory, dtype=torch.bfloat16 if bf16 else torch.float32, **options)


def padded(batch):
    """Ids, segments, mask of queries × keys and labels of a batch, padded to its longest sequence."""
    import torch

    longest = max(len(x) + len(y) for x, y in batch) - 1
    ids = torch.full((len(batch), longest), PAD)
    segments, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    lengths = torch.tensor([len(x) + len(y) - 1 for x, y in batch])
    for i, (x, y) in enumerate(batch):
        whole = torch.tensor(x + y[:-1])
        ids[i, : len(whole)] = whole
        segments[i, len(x) :] = 1
        labels[i, len(x) - 1 : len(whole)] = torch.tensor(y)
    reached = segments.cumsum(1)
    mask = (reached[:, None, :] <= reached[:, :, None]) & (torch.arange(longest) < lengths[:, None])[:, None, :]
    return ids, segments, mask.long(), labels


def loss_of(model, batch, careful):
    import torch.nn.functional as F

    ids, segments, mask, labels = padded(batch)
    if not careful:
        return model(input_ids=ids, attention_mask=mask, token_type_ids=segments, labels=labels).loss
    hidden = model.bert(input_ids=ids, attention_mask=mask, token_type_ids=segments).last_hidden_state
    says = labels != -100
    return F.cross_entropy(model.cls(hidden[says]), labels[says])


def losses(directory, path, count, steps):
    import torch

    model, batch = load(directory).eval(), pairs(directory, path, int(count))
    optimizer, out = torch.optim.AdamW(model.parameters(), lr=2e-4), []
    for _ in range(int(steps)):
        loss = loss_of(model, batch, True)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        out.append(loss.item())
    return out


def peak():
    return f"peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"


def train(a):
    import torch

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    data, model = pairs(a.model, a.data, a.batch * a.steps), load(a.model).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
    seconds, tokens = [], []
    for i in range(-1, a.steps):  # the first is a warm-up
        batch = data[max(i, 0) * a.batch :][: a.batch]
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.bf16):
            loss = loss_of(model, batch, a.careful)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if i >= 0:
            seconds.append(time.perf_counter() - start)
            tokens.append(sum(len(x) + len(y) for x, y in batch))
    print(f"median {statistics.median(seconds):.2f} s/step, {sum(tokens) / sum(seconds):.0f} real tokens/s, {peak()}")


def search(model, sources):
    """Exactly NEW_TOKENS new ids of each source, and their leads: keys and values of the sources once, then a position a
    step."""
    import torch

    n, longest = torch.tensor([len(x) for x in sources]), max(map(len, sources))
    ids = torch.tensor([x + [PAD] * (longest - len(x)) for x in sources])
    valid = (torch.arange(longest) < n[:, None]).long()
    out = model.bert(input_ids=ids, attention_mask=valid[:, None, :].expand(-1, longest, -1), use_cache=True)
    hidden, cache = out.last_hidden_state[torch.arange(len(n)), n - 1][:, None], out.past_key_values
    found, leads = [], []
    for step in range(NEW_TOKENS):
        logits = model.cls(hidden)[:, -1].float()
        logits[:, SEP] = -torch.inf
        top = logits.topk(2)
        found.append(top.indices[:, :1])
        leads.append(top.values[:, 0] - top.values[:, 1])
        if step + 1 == NEW_TOKENS:
            break
        valid = torch.cat([valid, torch.ones_like(valid[:, :1])], 1)
        out = model.bert(
            input_ids=found[-1], attention_mask=valid[:, None, :], token_type_ids=torch.ones_like(found[-1]),
            position_ids=(n + step)[:, None], past_key_values=cache, use_cache=True)
        hidden, cache = out.last_hidden_state, out.past_key_values
    return torch.cat(found, 1).tolist(), torch.stack(leads, 1).tolist()


def greedy(directory, path, samples):
    import torch

    model, out = load(directory, is_decoder=True).eval(), []
    with torch.inference_mode():
        for source, _ in pairs(directory, path, int(samples)):
            (ids,), (leads,) = search(model, [source])
            out.append({"ids": ids, "leads": leads})
    return out


def generate(a):
    import torch

    torch.set_num_threads(a.threads)
    model = load(a.model, a.bf16, is_decoder=True).eval()
    sources = [x for x, _ in pairs(a.model, a.data, a.samples)]
    start = time.perf_counter()
    with torch.inference_mode():
        for i in range(0, len(sources), a.batch):
            search(model, sources[i : i + a.batch])
    s = time.perf_counter() - start
    print(f"{len(sources) / s:.2f} samples/s, {NEW_TOKENS * len(sources) / s:.0f} tokens/s, {peak()}")


def timed():
    p = argparse.ArgumentParser()
    p.add_argument("what")
    p.add_argument("model")
    p.add_argument("data")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--steps", type=int, default=4)
    p.add_argument("--samples", type=int, default=32)
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--careful", action="store_true")
    p.add_argument("--threads", type=int, default=2)
    return p.parse_args()


def lengths(directory, path):
    return [(len(x), len(y)) for x, y in pairs(directory, path)]


if __name__ == "__main__":
    if sys.argv[1] in ("train", "generate"):
        {"train": train, "generate": generate}[sys.argv[1]](timed())
    elif sys.argv[1] == "model":
        make_model(*sys.argv[2:])
    elif sys.argv[1] == "vocabulary":
        out, path, size, *options = sys.argv[2:]
        write_vocabulary(out, vocabulary(path, int(size), words(20000) if options else ()))
    else:
        what, out, *arguments = sys.argv[1:]
        result = {"lengths": lengths, "losses": losses, "greedy": greedy}[what](*arguments)
        with open(out, "w", encoding="utf8") as f:
            json.dump(result, f)
