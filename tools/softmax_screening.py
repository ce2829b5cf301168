"""How many rows of a softmax in int8 could be the best, so that settling those from wider rows gives what the wider rows give.

usage: softmax_screening.py MODEL SPM TSV COLUMN [--sources 24] [--steps 8]
Needs torch, transformers and sentencepiece. Hidden states are those of greedy decoding in float32.

Rows and hidden states are rounded as t5kit does it: a scale a row, and one for every 128 columns of a state. Wider rows are in
bf16. A logit in int8 is off by at most ‖x − x̂‖·‖w‖ + ‖x̂‖·‖w − ŵ‖; what cannot be below the k-th best by that is a candidate.
"""
import argparse

import numpy
import sentencepiece
import torch
from transformers import MT5ForConditionalGeneration

GROUP = 128


def rounded(x):
    """Rows as int8 has them, with a scale each."""
    scales = numpy.maximum(numpy.abs(x).max(1, keepdims=True) / 127, 1e-30)
    return (numpy.rint(x / scales) * scales).astype(numpy.float32)


def states(model, sources, steps):
    """The hidden states before the softmax: [all steps, d_model]."""
    found = []
    with torch.no_grad():
        for ids in sources:
            out = model.generate(input_ids=torch.tensor([ids]), max_new_tokens=steps, min_new_tokens=min(steps, 4),
                                 output_hidden_states=True, return_dict_in_generate=True)
            found += [step[-1][0, -1].numpy() for step in out.decoder_hidden_states]
    return numpy.array(found, dtype=numpy.float32)


def log_probability(logits, at):
    most = logits.max(1)
    return logits[numpy.arange(len(at)), at] - most - numpy.log(numpy.exp(logits - most[:, None]).sum(1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "spm", "table"):
        p.add_argument(name)
    p.add_argument("column", type=int, help="of the sources, from 0; the first row is left out")
    p.add_argument("--sources", type=int, default=24)
    p.add_argument("--steps", type=int, default=8)
    a = p.parse_args()
    model = MT5ForConditionalGeneration.from_pretrained(a.model).eval()
    pieces = sentencepiece.SentencePieceProcessor(a.spm)
    with open(a.table, encoding="utf8") as f:
        texts = [line.rstrip("\n").split("\t")[a.column] for line in f][1:a.sources + 1]
    x = states(model, [pieces.encode(text)[:255] + [1] for text in texts], a.steps)
    w = model.lm_head.weight.detach().bfloat16().float().numpy()
    quick_w = rounded(model.lm_head.weight.detach().numpy())
    quick_x = numpy.concatenate([rounded(x[:, at:at + GROUP]) for at in range(0, x.shape[1], GROUP)], 1)
    exact, quick = x @ w.T, quick_x @ quick_w.T
    norm = lambda v: numpy.linalg.norm(v.astype(numpy.float64), axis=1)
    bound = numpy.outer(norm(x - quick_x), norm(w)) + numpy.outer(norm(quick_x), norm(w - quick_w))
    print(f"{len(x)} states of {x.shape[1]}, {len(w)} rows; errors reach {(abs(exact - quick) / bound).max():.2f} of the bound")
    for k in (1, 2, 8):
        least = numpy.sort(quick - bound, axis=1)[:, -k]
        count = (quick + bound >= least[:, None]).sum(1)
        print(f"best {k}: {count.mean():.1f} candidates on average, {count.max()} at most")
    best = exact.argmax(1)
    off = abs(log_probability(exact, best) - log_probability(quick, best))
    print(f"another is best in int8: {(best != quick.argmax(1)).mean():.1%}; the best's log-probability is off by "
          f"{off.mean():.4f} on average, {off.max():.4f} at most")


if __name__ == "__main__":
    main()
