"""Write the reference results that beam search, its options, and the sampling warpers are tested against.

usage: make_generation_goldens.py MODELS_DIR OUT_FILE
       (crates/model/tests/goldens crates/generate/tests/goldens/generation.json)

Needs transformers 4.57 and torch. The models are the tiny ones that make_goldens.py wrote. Every search is run three
times: in float64, in float32, and in float64 with every weight moved by one part in 300,000. A source whose ids are not
the same in all three was a close call and is written as null; a case where too few sources are left is an error.
Diverse beam search left transformers' `generate` in 4.57; its parts did not, and the loop over them here is that of 4.56
(`GenerationMixin._group_beam_search`). Same versions and processor, same bytes out.
"""
import argparse
import itertools
import json
import logging
import os

import torch
import transformers
from transformers import MT5ForConditionalGeneration, T5ForConditionalGeneration, UMT5ForConditionalGeneration
from transformers.generation.beam_search import BeamSearchScorer
from transformers.generation.logits_process import (
    HammingDiversityLogitsProcessor, LogitsProcessorList, MinNewTokensLengthLogitsProcessor, MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor, SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper,
)

PAD, EOS = 0, 1
LOADERS = {"mt5": MT5ForConditionalGeneration, "t5-v1_0": T5ForConditionalGeneration, "umt5": UMT5ForConditionalGeneration}
SOURCES = [1, 2, 3, 4, 5]  # of the models' six; the first is long


def arguments(doc):
    """The two paths of the command line; torch set so that results repeat."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("models")
    parser.add_argument("out")
    args = parser.parse_args()
    if not transformers.__version__.startswith("4.57."):
        parser.error(f"transformers 4.57 is the reference, this is {transformers.__version__}")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    return args


def opened(directory):
    """A model's golden.json, and the sources of it that are used."""
    with open(os.path.join(directory, "golden.json"), encoding="utf8") as f:
        golden = json.load(f)
    return golden, [golden["sources"][i] for i in SOURCES]


def made_with():
    return {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}


def write(golden, path):
    with open(path, "w", encoding="utf8") as f:
        json.dump(golden, f, separators=(",", ":"))
        f.write("\n")
    print(f"{os.path.getsize(path) / 1e3:.0f} kB")


def cases(rows, pieces):
    """Name → options under transformers' names; `prefix` is what follows the start token in `decoder_input_ids`."""
    plain = dict(max_new_tokens=16, suppress_tokens=list(range(pieces - 10, rows)))
    stops = {"early": True, "late": False, "never": "never"}
    out = {}
    for beams, penalty, (name, stop) in itertools.product((2, 4, 5), (0.0, 0.6, 1.0, 2.0), stops.items()):
        out[f"beam{beams}_{penalty}_{name}"] = dict(plain, num_beams=beams, length_penalty=penalty, early_stopping=stop)
    four = dict(plain, num_beams=4, num_return_sequences=2)
    bad = [[5], [6], [7, 8], [9, 10], [11, 12, 13], [EOS]] + [[i, j] for i in range(14, 30, 3) for j in range(2, 40)]
    changes = {
        "repetition": dict(repetition_penalty=1.7), "below_one": dict(repetition_penalty=0.7),
        "no_repeat_1": dict(no_repeat_ngram_size=1), "no_repeat_2": dict(no_repeat_ngram_size=2),
        "no_repeat_3": dict(no_repeat_ngram_size=3), "min_new": dict(min_new_tokens=10),
        "bad_words": dict(bad_words_ids=bad), "prefix": dict(prefix=[17, 4, 9]),
        "all": dict(repetition_penalty=1.3, no_repeat_ngram_size=2, min_new_tokens=5, bad_words_ids=bad, prefix=[21]),
    }
    for name, change in changes.items():
        out[f"greedy_{name}"] = dict(plain, **change)
        out[f"beam4_{name}"] = dict(four, **change)
    for beams, groups, penalty in ((4, 2, 0.5), (4, 4, 2.0), (6, 3, 1.0), (6, 2, 10.0)):
        for name, stop in stops.items():
            out[f"groups_{beams}_{groups}_{penalty}_{name}"] = dict(
                plain, num_beams=beams, num_beam_groups=groups, diversity_penalty=penalty, early_stopping=stop,
                num_return_sequences=beams if name == "late" else 2)
    group = dict(plain, num_beams=4, num_beam_groups=2, diversity_penalty=1.0, num_return_sequences=4)
    out["groups_processors"] = dict(group, repetition_penalty=1.4, no_repeat_ngram_size=2, min_new_tokens=6)
    out["groups_prefix"] = dict(group, prefix=[17, 4], length_penalty=0.6)
    return out


def trimmed(rows, given, eos=EOS):
    """Ids without the start token and without what follows the first `</s>` beyond the given ids."""
    out = []
    for row in rows:
        end = next((i + 1 for i in range(given, len(row)) if row[i] == eos), len(row))
        out.append(row[1:end])
    return out


def search(model, source, options):
    """[(ids, score)], best first; greedy has no score."""
    options = dict(options)
    prefix = options.pop("prefix", [])
    ids, start = torch.tensor([source]), torch.tensor([[PAD, *prefix]])
    if options.get("num_beam_groups", 1) > 1:
        encoded = model.get_encoder()(input_ids=ids).last_hidden_state

        def logits(ids):
            outputs = (encoded.expand(len(ids), -1, -1),)
            return model(encoder_outputs=outputs, decoder_input_ids=ids).logits[:, -1]
        return beam_search(logits, start, **options)
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), decoder_input_ids=start, do_sample=False,
                         return_dict_in_generate=True, output_scores=True, use_cache=False, **options)
    found = trimmed(out.sequences.tolist(), start.shape[1])
    scores = out.sequences_scores.tolist() if "num_beams" in options else [None] * len(found)
    return list(zip(found, scores))


def beam_search(logits, start, num_beams, max_new_tokens, suppress_tokens=(), num_beam_groups=1, diversity_penalty=0.0,
                early_stopping=False, length_penalty=1.0, num_return_sequences=1, repetition_penalty=None,
                no_repeat_ngram_size=None, min_new_tokens=None, pad=PAD, eos=EOS):
    """transformers 4.56's `_group_beam_search` for one source; `logits(ids)` are those of what follows each row."""
    size, given = num_beams // num_beam_groups, start.shape[1]
    limit = given + max_new_tokens
    scorer = BeamSearchScorer(1, num_beams, "cpu", length_penalty, early_stopping, num_return_sequences,
                              num_beam_groups, limit)
    diversity = None
    if num_beam_groups > 1:
        diversity = HammingDiversityLogitsProcessor(diversity_penalty, num_beams, num_beam_groups)
    processors = LogitsProcessorList()
    if repetition_penalty:
        processors.append(RepetitionPenaltyLogitsProcessor(repetition_penalty))
    if no_repeat_ngram_size:
        processors.append(NoRepeatNGramLogitsProcessor(no_repeat_ngram_size))
    if min_new_tokens:
        processors.append(MinNewTokensLengthLogitsProcessor(given, min_new_tokens, eos))
    if suppress_tokens:
        processors.append(SuppressTokensLogitsProcessor(suppress_tokens))
    ids = start.expand(num_beams, -1).clone()
    beam_scores = torch.full((num_beams,), -1e9)
    beam_scores[::size] = 0
    while True:
        current = torch.zeros(num_beams, dtype=torch.long)
        found = logits(ids).float()
        for g in range(num_beam_groups):
            rows = slice(g * size, (g + 1) * size)
            scores = found[rows].log_softmax(-1)
            if diversity:
                scores = diversity(ids[rows], scores, current_tokens=current, beam_group_idx=g)
            scores = processors(ids[rows], scores) + beam_scores[rows, None]
            vocab = scores.shape[-1]
            best, places = scores.view(1, -1).topk(2 * size)
            beams = scorer.process(ids[rows], best, places % vocab, places // vocab, pad_token_id=pad, eos_token_id=eos,
                                   group_index=g, decoder_prompt_len=given)
            beam_scores[rows] = beams["next_beam_scores"]
            current[rows] = beams["next_beam_tokens"]
            ids[rows] = ids[rows][beams["next_beam_indices"]]
        ids = torch.cat([ids, current[:, None]], 1)
        if scorer.is_done or ids.shape[1] >= limit:
            break
    out = scorer.finalize(ids, beam_scores, current, None, max_length=limit, pad_token_id=pad, eos_token_id=eos,
                          decoder_prompt_len=given)
    return list(zip(trimmed(out["sequences"].tolist(), given, eos), out["sequence_scores"].tolist()))


def close(found):
    """Whether two hypotheses score alike, so that their order is a close call."""
    scores = [s for _, s in found if s is not None]
    return any(a - b < 4e-6 for a, b in zip(scores, scores[1:]))


def models(directory, loader):
    exact = loader.from_pretrained(directory, dtype=torch.float64).eval()
    moved = loader.from_pretrained(directory, dtype=torch.float64).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in moved.parameters():
            p.mul_(1 + torch.randn(p.shape, generator=generator, dtype=torch.float64) / 3e5)
    return [exact, loader.from_pretrained(directory, dtype=torch.float32).eval(), moved]


def agreed(runs, search):
    """What `search(model)` finds, [(ids, score)], or None where the models' ids differ or the order is a close call."""
    found = [search(model) for model in runs]
    same = all([ids for ids, _ in f] == [ids for ids, _ in found[0]] for f in found)
    return found[0] if same and not close(found[0]) else None


def searches(directory, name):
    golden, sources = opened(os.path.join(directory, name))
    runs = models(os.path.join(directory, name), LOADERS[name])
    out, dropped, ended = {}, 0, 0
    for case, options in cases(runs[0].config.vocab_size, golden["pieces"]).items():
        outputs = [agreed(runs, lambda model: search(model, source, options)) for source in sources]
        left = [o for o in outputs if o]
        assert len(left) >= 2, f"{name}, {case}: {len(left)} sources are no close calls"
        dropped += len(outputs) - len(left)
        ended += sum(o[0][0][-1] == EOS for o in left)
        out[case] = {"options": {k: v for k, v in options.items() if k != "suppress_tokens"}, "outputs": outputs}
    print(f"{name}: {len(out)} cases of {len(sources)} sources, {dropped} close calls left out, {ended} best ended")
    return {"suppress_from": golden["pieces"] - 10, "sources": SOURCES, "cases": out}


def warpers():
    """Random logits (three decimals, so that JSON holds them), the warpers, and which ids are left with which value."""
    out = []
    for number, (temperature, k, p, least) in enumerate([
        (1.0, 5, 1.0, 0.0), (1.0, 0, 0.5, 0.0), (1.0, 0, 0.95, 0.0), (1.0, 0, 1.0, 0.1), (0.5, 0, 0.8, 0.0),
        (2.0, 20, 0.7, 0.02), (1.3, 40, 1.0, 0.05), (0.7, 0, 0.99, 0.01), (1.0, 1, 0.3, 0.9), (5.0, 0, 0.9, 0.5),
    ]):
        generator = torch.Generator().manual_seed(number)
        logits = (torch.randn(1, 60, generator=generator) * 3).mul(1000).round().div(1000)
        chain = LogitsProcessorList()
        if temperature != 1.0:
            chain.append(TemperatureLogitsWarper(temperature))
        if k:
            chain.append(TopKLogitsWarper(k))
        if p < 1.0:
            chain.append(TopPLogitsWarper(p))
        if least:
            chain.append(MinPLogitsWarper(least))
        warped, exact = chain(None, logits)[0], chain(None, logits.double())[0]
        kept = [i for i, x in enumerate(warped.tolist()) if x > -float("inf")]
        assert kept == [i for i, x in enumerate(exact.tolist()) if x > -float("inf")], "a close call"
        out.append({"temperature": temperature, "top_k": k, "top_p": p, "min_p": least,
                    "logits": [round(x, 3) for x in logits[0].tolist()], "kept": kept,
                    "probabilities": [round(x, 9) for x in exact.softmax(-1)[kept].tolist()]})
    return out


def main():
    args = arguments(__doc__)
    with torch.inference_mode():
        golden = {"made_with": made_with(), "warpers": warpers(),
                  **{name: searches(args.models, name) for name in LOADERS}}
    write(golden, args.out)


if __name__ == "__main__":
    main()
