"""Write what transformers makes of generation_config.json: the values it generates by, and the ids.

usage: generation_config_goldens.py MODELS_DIR OUT_FILE
       (crates/model/tests/goldens crates/generate/tests/goldens/generation_config.json)

Needs transformers 4.57 and torch. Each case is a file that lies beside the tiny mT5 model; `generate` is then called
without any argument but the source and, in some cases, decoder_input_ids. Close calls are left out as in
make_generation_goldens.py. Where tokens would be drawn there are no ids. Same versions and processor, same bytes out.
"""
import os

import torch
from make_generation_goldens import (
    EOS, LOADERS, PAD, SOURCES, agreed, arguments, made_with, models, opened, trimmed, write,
)
from transformers import GenerationConfig

MODEL = "mt5"
# What t5kit has options for, as transformers names them in the end.
SHOWN = ("do_sample", "temperature", "top_k", "top_p", "min_p", "num_beams", "length_penalty", "early_stopping",
         "repetition_penalty", "no_repeat_ngram_size", "num_return_sequences", "max_length", "min_length")


def cases(pieces):
    plain = {"suppress_tokens": list(range(pieces - 10, pieces))}
    return {
        "ids alone": ({"eos_token_id": 1, "pad_token_id": 0, "max_new_tokens": 12}, []),
        "greedy": ({"max_new_tokens": 12, "repetition_penalty": 1.5, "no_repeat_ngram_size": 2}, []),
        "max_length": ({"max_length": 9, "num_beams": 3}, []),
        "max_length and prefix": ({"max_length": 11, "num_beams": 3}, [17, 4, 9]),
        "max_length of 20": ({"max_length": 20}, [17, 4]),
        "both lengths": ({"max_length": 6, "max_new_tokens": 10, "num_beams": 2}, []),
        "min_length": ({"min_length": 8, "max_length": 14, "num_beams": 4}, [21]),
        "min_new_tokens": ({"min_length": 3, "min_new_tokens": 9, "max_new_tokens": 14, "num_beams": 4}, []),
        "beams": ({"num_beams": 4, "length_penalty": 2.0, "early_stopping": True, "max_new_tokens": 14,
                   "num_return_sequences": 3}, []),
        "never": ({"num_beams": 4, "length_penalty": 0.6, "early_stopping": "never", "max_new_tokens": 14,
                   "bad_words_ids": [[5], [7, 8]]}, []),
        "other end": ({"eos_token_id": 30, "num_beams": 2, "max_new_tokens": 14}, []),
        "other start": ({"decoder_start_token_id": 12, "max_new_tokens": 14}, []),
        "idle warpers": ({"temperature": 0.7, "top_p": 0.8, "max_new_tokens": 12}, []),
        "sampling": ({"do_sample": True, "temperature": 0.7, "top_p": 0.9, "max_new_tokens": 12}, []),
        "sampling from all": ({"do_sample": True, "top_k": 0, "min_p": 0.1, "num_return_sequences": 2,
                               "max_new_tokens": 12}, []),
    }, plain


def search(model, source, prefix):
    ids = torch.tensor([source])
    start = model.generation_config.decoder_start_token_id
    given = {"decoder_input_ids": torch.tensor([[start, *prefix]])} if prefix else {}
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), return_dict_in_generate=True,
                         output_scores=True, **given)
    end = model.generation_config.eos_token_id
    rows = [[EOS if i == end else EOS + 10**6 if i == EOS else i for i in row] for row in out.sequences.tolist()]
    back = [[end if i == EOS else EOS if i == EOS + 10**6 else i for i in row] for row in trimmed(rows, 1 + len(prefix))]
    scores = out.sequences_scores.tolist() if model.generation_config.num_beams > 1 else [None] * len(back)
    return list(zip(back, scores))


def main():
    args = arguments(__doc__)
    directory = os.path.join(args.models, MODEL)
    golden, sources = opened(directory)
    runs = models(directory, LOADERS[MODEL])
    out, (all_cases, plain) = {}, cases(golden["pieces"])
    rows = runs[0].config.vocab_size
    plain["suppress_tokens"] = list(range(golden["pieces"] - 10, rows))
    with torch.inference_mode():
        for name, (what, prefix) in all_cases.items():
            ids = {"pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": PAD}
            file = {**ids, **plain, **what}
            for model in runs:
                model.generation_config = GenerationConfig.from_dict(file)
            effective, _ = runs[0]._prepare_generation_config(None, True)
            given = 1 + len(prefix)
            effective = runs[0]._prepare_generated_length(
                effective, "max_length" not in file or file["max_length"] == 20, "min_length" not in file,
                "decoder_input_ids", given, torch.zeros(1, given))
            outputs = None
            if not effective.do_sample:
                outputs = [agreed(runs, lambda model: search(model, source, prefix)) for source in sources]
                assert sum(o is not None for o in outputs) >= 2, name
            out[name] = {"file": {**what, **plain}, "prefix": prefix,
                         "effective": {k: getattr(effective, k) for k in SHOWN}, "outputs": outputs}
    print(f"{len(out)} cases")
    write({"made_with": made_with(), "model": MODEL, "sources": SOURCES, "cases": out}, args.out)


if __name__ == "__main__":
    main()
