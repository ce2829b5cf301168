"""Write the reference results that constrained generation and the scoring of labels are tested against.

usage: constrain_goldens.py MODELS_DIR OUT_FILE
       (crates/model/tests/goldens crates/generate/tests/goldens/constrain.json)

Needs transformers 4.57 and torch. The models are the tiny ones of make_goldens.py and bert_goldens.py. Lists of random
ids are constraints: transformers' `prefix_allowed_tokens_fn` with a tree of them, greedily and with beams; labels are
scored by the logits of teacher forcing, in float64. A search is run in float64, in float32 and with every weight moved by
one part in 300,000; where these differ it was a close call and is written as null. transformers fills up with impossible
hypotheses where fewer are possible than there are beams: they are left out, and with `early_stopping` True, where they end the
search, nothing is compared.
"""
import random

import torch

import bert_goldens
from make_generation_goldens import LOADERS, agreed, arguments, made_with, models, opened, trimmed, write

BEAMS = {"greedy": {}, "beam2": dict(num_beams=2), "beam4": dict(num_beams=4, num_return_sequences=4),
         "beam5": dict(num_beams=5, num_return_sequences=5, length_penalty=0.0)}
NEW = 12


def lists(pieces, first, rng):
    """Name → texts as ids without an end: many that begin alike, few, one inside another, and a single one."""
    def ids(n):
        return [rng.randrange(first, pieces) for _ in range(n)]
    heads = [ids(2) for _ in range(4)]
    many = [rng.choice(heads) + ids(rng.randrange(5)) for _ in range(40)]
    a, b, c = ids(3), ids(2), ids(4)
    return {"many": unique(many), "few": [ids(1), ids(3), ids(6)], "nested": [a, a + b, a + b + c, a[:1]], "one": [ids(4)]}


def unique(texts):
    return [text for i, text in enumerate(texts) if text not in texts[:i]]


def allowed(texts, given, end):
    def after(_, ids):
        said = ids[given:].tolist()
        found = {text[len(said)] for text in texts if text[:len(said)] == said and len(text) > len(said)}
        # What has ended, or is impossible, goes on with the end.
        return sorted(found | ({end} if said in texts else set())) or [end]
    return after


def searched(model, source, texts, options, end):
    ids = torch.tensor([source])
    given = 1
    found = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW,
        prefix_allowed_tokens_fn=allowed(texts, given, end), return_dict_in_generate=True, output_scores=True, **options)
    rows = trimmed(found.sequences.tolist(), given, end)
    scores = found.sequences_scores.tolist() if "num_beams" in options else [None] * len(rows)
    return [(row, score) for row, score in zip(rows, scores) if row[:-1] in texts and (score is None or score > -1e6)]


def log_prob(model, source, target):
    logits = model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits[0]
    return logits.log_softmax(-1).gather(1, torch.tensor(target)[:, None]).sum().item()


def of_model(runs, golden, sources, first, end, seed):
    rng = random.Random(seed)
    out = {"end": end, "sources": sources, "lists": {}}
    left = 0
    for name, texts in lists(golden["pieces"] - 10, first, rng).items():
        searches = {}
        for case, options in BEAMS.items():
            found = [agreed(runs, lambda model: searched(model, source, texts, options, end)) for source in sources]
            left += sum(f is not None for f in found)
            searches[case] = found
        probabilities = [torch.tensor([log_prob(runs[0], source, text + [end]) for text in texts], dtype=torch.float64)
                         for source in sources]
        out["lists"][name] = {"texts": texts, "searches": searches, "log_probs": [p.tolist() for p in probabilities],
                              "probabilities": [p.softmax(0).tolist() for p in probabilities]}
    print(f"{left} of {4 * len(BEAMS) * len(sources)} searches are no close calls")
    return out


def bert(directory, name):
    spec = bert_goldens.MODELS[name]
    runs = [bert_goldens.load(directory, spec, t) for t in (torch.float64, torch.float32, torch.float64)]
    generator = torch.Generator().manual_seed(1)
    for p in runs[2].parameters():
        p.mul_(1 + torch.randn(p.shape, generator=generator, dtype=torch.float64) / 3e5)
    return runs


def main():
    args = arguments(__doc__)
    golden = {"made_with": made_with()}
    with torch.no_grad():
        for seed, name in enumerate(["mt5", "t5-v1_0", "umt5", "bert", "roformer"]):
            directory = f"{args.models}/{name}"
            beside, sources = opened(directory)
            if name in LOADERS:
                runs, first, end = models(directory, LOADERS[name]), 3, 1
            else:
                runs, first, end = bert(directory, name), bert_goldens.MASK + 1, bert_goldens.SEP
            golden[name] = of_model(runs, beside, sources, first, end, seed)
    write(golden, args.out)


if __name__ == "__main__":
    main()
