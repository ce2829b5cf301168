"""Write the sizes of every released model of the T5 family, as transformers builds it from its configuration.

usage: released_goldens.py OUT_FILE
       (crates/model/tests/goldens/released.json)

Needs transformers 4.57 and torch. The configurations are those of the models' config.json on the hub, as far as they
differ from transformers' defaults; the models are made on the meta device, so nothing is allocated. `published` is the
number of parameters that the model's authors give (T5: Raffel et al. 2020, table in section 3.7; mT5: Xue et al. 2021,
table 1; ByT5: Xue et al. 2022, table 1), rounded as there. Same versions, same bytes out.
"""
import argparse
import json

import torch
import transformers
from transformers import (MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration, UMT5Config,
                          UMT5ForConditionalGeneration)

CLASSES = {"t5": (T5Config, T5ForConditionalGeneration), "mt5": (MT5Config, MT5ForConditionalGeneration),
           "umt5": (UMT5Config, UMT5ForConditionalGeneration)}
# d_model, d_ff, num_heads, d_kv, num_layers, num_decoder_layers
T5_1_0 = {"small": (512, 2048, 8, 64, 6, 6), "base": (768, 3072, 12, 64, 12, 12), "large": (1024, 4096, 16, 64, 24, 24),
          "3b": (1024, 16384, 32, 128, 24, 24), "11b": (1024, 65536, 128, 128, 24, 24)}
T5_1_1 = {"small": (512, 1024, 6, 64, 8, 8), "base": (768, 2048, 12, 64, 12, 12), "large": (1024, 2816, 16, 64, 24, 24),
          "xl": (2048, 5120, 32, 64, 24, 24), "xxl": (4096, 10240, 64, 64, 24, 24)}
BYT5 = {"small": (1472, 3584, 6, 64, 12, 4), "base": (1536, 3968, 12, 64, 18, 6), "large": (1536, 3840, 16, 64, 36, 12),
        "xl": (2560, 6720, 32, 64, 36, 12), "xxl": (4672, 12352, 64, 64, 36, 12)}
UMT5 = {size: T5_1_1[size] for size in ("small", "base", "xl", "xxl")}
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
# Name of the models on the hub, family, model_type, rows, the rest, sizes, published millions of parameters.
FAMILIES = [
    ("google-t5/t5-", "T5 1.0", "t5", 32128, {}, T5_1_0, dict(zip(T5_1_0, (60, 220, 770, 3000, 11000)))),
    ("google/t5-v1_1-", "T5 1.1", "t5", 32128, GATED, T5_1_1, {}),
    ("google/t5-{}-lm-adapt", "T5 1.1", "t5", 32128, GATED, T5_1_1, {}),
    ("google/flan-t5-", "T5 1.1", "t5", 32128, GATED, T5_1_1, dict(zip(T5_1_1, (80, 250, 780, 3000, 11000)))),
    ("google/mt5-", "mT5", "mt5", 250112, GATED, T5_1_1, dict(zip(T5_1_1, (300, 580, 1200, 3700, 13000)))),
    ("google/umt5-", "umT5", "umt5", 256384, GATED, UMT5, {}),
    ("google/byt5-", "ByT5", "t5", 384, {**GATED, "tokenizer_class": "ByT5Tokenizer"}, BYT5,
     dict(zip(BYT5, (300, 582, 1230, 3740, 12900)))),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    args = parser.parse_args()
    if not transformers.__version__.startswith("4.57."):
        parser.error(f"transformers 4.57 is the reference, this is {transformers.__version__}")
    out = []
    for name, family, kind, rows, rest, sizes, published in FAMILIES:
        for size, (d_model, d_ff, heads, d_kv, layers, decoder_layers) in sizes.items():
            config = {"model_type": kind, "vocab_size": rows, "d_model": d_model, "d_ff": d_ff, "num_heads": heads,
                      "d_kv": d_kv, "num_layers": layers, "num_decoder_layers": decoder_layers, **rest}
            config_class, model_class = CLASSES[kind]
            with torch.device("meta"):
                model = model_class(config_class(**config))
            parts, seen = {}, set()
            for key, value in model.named_parameters():
                part = key.split(".")[0]
                parts[part] = parts.get(part, 0) + value.numel()
                seen.add(id(value))
            full = model.config
            out.append({"name": name.format(size) if "{}" in name else name + size, "family": family, "config": config,
                        "tied": "lm_head" not in parts, "gated": full.is_gated_act, "activation": full.dense_act_fn,
                        "tensors": len(seen), "parts": parts, "parameters": sum(parts.values()),
                        "published_millions": published.get(size)})
    golden = {"made_with": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
              "models": out}
    with open(args.out, "w", encoding="utf8") as f:
        json.dump(golden, f, separators=(",", ":"))
        f.write("\n")
    print("\n".join(f"{m['name']}: {m['parameters']:,} {m['tied']} {m['parts']}" for m in out))


if __name__ == "__main__":
    main()
