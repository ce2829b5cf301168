"""Write the reference results of T5's own beam search: its length normalisation and its rule of stopping.

usage: t5_beam_goldens.py MODELS_DIR OUT_FILE
       (crates/model/tests/goldens crates/generate/tests/goldens/t5_beam.json)

The search is written here in numpy after the description in mesh_tensorflow/beam_search.py (arrays of fixed size, alive
and finished hypotheses apart, minus 1e7 for what is not there), for one source, in float64. The logits are those of
transformers 4.57, and for bert4keras's peculiarities those of bert4keras_t5.py. As in make_generation_goldens.py a source
whose ids change in float32 or with weights moved a little is a close call and null. Same versions and
processor, same bytes out.
"""
import itertools
import os

import numpy as np
import torch
from bert4keras_t5 import Bert4kerasT5
from make_generation_goldens import EOS, LOADERS, PAD, SOURCES, agreed, arguments, models, opened, write

INF = 1e7
# The id that ends a text, where a model's own never comes.
OTHER_EOS = {"t5-v1_0": 65, "bert4keras": 31}


def beam_search(log_probs_of, beams, alpha, length, eos):
    """Finished hypotheses, best first, [(ids with the end, score)]; those alive, without scores, where none finished.

    `log_probs_of([beams, i + 1] ids)` gives the log-probabilities of the next id, [beams, rows].
    """
    alive, alive_log_probs = np.full((beams, 1), PAD), np.where(np.arange(beams) == 0, 0.0, -INF)
    finished, finished_scores, ended = [[]] * beams, np.full(beams, -INF), np.zeros(beams, bool)
    largest_penalty = ((5 + length) / 6) ** alpha
    for i in range(length):
        worst = (finished_scores * ended).min() if ended.any() else -INF
        if worst > alive_log_probs[0] / largest_penalty:
            break
        log_probs = log_probs_of(alive) + alive_log_probs[:, None]
        penalty = ((5 + i + 1) / 6) ** alpha
        scores = (log_probs / penalty).ravel()
        top = np.argsort(-scores, kind="stable")[: 2 * beams]
        top_scores, ids = scores[top], top % log_probs.shape[1]
        sequences = np.concatenate([alive[top // log_probs.shape[1]], ids[:, None]], 1)
        ends = ids == eos
        going = np.argsort(-(top_scores - ends * INF), kind="stable")[:beams]
        all_scores = np.concatenate([finished_scores, top_scores - ~ends * INF])
        all_ended, all_sequences = np.concatenate([ended, ends]), finished + list(sequences)
        best = np.argsort(-all_scores, kind="stable")[:beams]
        alive, alive_log_probs = sequences[going], top_scores[going] * penalty
        finished, finished_scores, ended = [all_sequences[b] for b in best], all_scores[best], all_ended[best]
    plain = lambda ids: [int(x) for x in ids[1:]]
    if not ended.any():
        return [(plain(ids), None) for ids in alive]
    return [(plain(ids), float(score)) for ids, score, end in zip(finished, finished_scores, ended) if end]


def reader(model, source, banned):
    """`log_probs_of` for a source; what never comes still has its share of the probability, as in t5kit."""
    ids = torch.tensor([source])

    def log_probs_of(alive):
        if isinstance(model, Bert4kerasT5):
            encoded = model.stack("encoder", model.config.num_layers, ids[0])
            logits = torch.stack([model.decode(torch.tensor(row), encoded)[-1] for row in alive])
        else:
            logits = model(input_ids=ids.expand(len(alive), -1), decoder_input_ids=torch.tensor(alive)).logits[:, -1]
        log_probs = logits.log_softmax(-1).double().numpy()
        log_probs[:, banned] = -INF
        return log_probs

    return log_probs_of


def runs_of(directory, name):
    if name in LOADERS:
        return models(directory, LOADERS[name])
    runs = [Bert4kerasT5(directory, dtype) for dtype in (torch.float64, torch.float32, torch.float64)]
    generator = torch.Generator().manual_seed(1)
    for p in runs[2].parameters():
        p.data.mul_(1 + torch.randn(p.shape, generator=generator, dtype=torch.float64) / 3e5)
    return runs


def main():
    args = arguments(__doc__)
    out = {}
    for name in (*LOADERS, "bert4keras"):
        directory = os.path.join(args.models, name)
        golden, sources = opened(directory)
        runs, eos = runs_of(directory, name), OTHER_EOS.get(name, EOS)
        rows, start = runs[0].config.vocab_size, golden["pieces"] - 10
        banned, cases, ended, few = list(range(start, rows)), [], 0, 0
        for beams, alpha, length in itertools.product((2, 4), (0.0, 0.6, 2.0), (5, 16)):
            with torch.inference_mode():
                outputs = [
                    agreed(runs, lambda m: beam_search(reader(m, source, banned), beams, alpha, length, eos))
                    for source in sources
                ]
            ended += sum(o[0][1] is not None for o in outputs if o)
            few += sum(len(o) < beams for o in outputs if o)
            assert sum(o is not None for o in outputs) >= 2, (name, beams, alpha, length)
            cases.append({"num_beams": beams, "length_penalty": alpha, "max_new_tokens": length, "outputs": outputs})
        print(f"{name}: {len(cases)} cases of {len(sources)} sources, {ended} with an end, {few} with fewer than beams")
        out[name] = {"suppress_from": start, "eos": eos, "sources": SOURCES, "cases": cases}
    write(out, args.out)


if __name__ == "__main__":
    main()
