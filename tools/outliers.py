"""Puts outliers into a T5: its function stays, but a few channels of what its layers read become many times as large as
the others, as in T5s that were trained for long. Such models are what quantised activations have to bear.

    python tools/outliers.py MODEL OUTPUT [--channels 3] [--factor 50] [--seed 0]

MODEL is a folder as `t5kit convert --dtype f32` writes it, of any T5 (mT5, T5 1.1). Every norm's weight is multiplied by
the factor in some channels, the same ones everywhere, and the columns of the linear layers behind that norm are divided by
it: queries, keys and values, the feed-forward layer's first matrices, the keys and values of the attention to the source
behind the encoder's last norm, and the softmax behind the decoder's where it is a matrix of its own. Norms whose readers
cannot be changed (a tied softmax) are left alone. A power of two loses nothing; other factors round in the last bit.
Needs numpy and safetensors.
"""
import argparse
import json
import pathlib
import re
import shutil

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file


def readers(norm, names):
    """The linear layers that read what a norm gives, by their tensors' names."""
    if norm == "encoder.final_layer_norm.weight":
        return [n for n in names if re.fullmatch(r"decoder\.block\.\d+\.layer\.1\.EncDecAttention\.[kv]\.weight", n)]
    if norm == "decoder.final_layer_norm.weight":
        return [n for n in names if n == "lm_head.weight"]
    layer = norm.removesuffix("layer_norm.weight")
    inner = r"(SelfAttention\.[qkv]|EncDecAttention\.q|DenseReluDense\.wi(_[01])?)\.weight"
    return [n for n in names if n.startswith(layer) and re.fullmatch(inner, n.removeprefix(layer))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--factor", type=float, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    with safe_open(args.model / "model.safetensors", "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    wrong = sorted({str(t.dtype) for t in tensors.values()} - {"float32"})
    if wrong:
        raise SystemExit(f"{args.model}: holds {', '.join(wrong)}; write it by t5kit convert --dtype f32 first")
    d_model = json.loads((args.model / "config.json").read_text())["d_model"]
    channels = np.random.default_rng(args.seed).choice(d_model, args.channels, replace=False)

    changed = 0
    for norm in [name for name in tensors if name.endswith("layer_norm.weight")]:
        behind = readers(norm, tensors)
        if not behind:
            continue
        tensors[norm][channels] *= args.factor
        for name in behind:
            tensors[name][:, channels] /= args.factor
        changed += 1
    if changed == 0:
        raise SystemExit(f"{args.model}: has no norms of a T5")

    shutil.copytree(args.model, args.output)
    save_file(tensors, args.output / "model.safetensors", metadata={"format": "pt"})
    print(f"{changed} norms, channels {sorted(channels.tolist())} times {args.factor:g}")


if __name__ == "__main__":
    main()
