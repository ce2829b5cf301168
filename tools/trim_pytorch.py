"""Writes the checkpoint of PyTorch that crates/trim/tests/checkpoints.rs cuts, with torch.

usage: trim_pytorch.py [OUT]      needs torch; OUT defaults to crates/trim/tests/data/mt5.bin

The weights are those of TensorFlow's `mt5.ckpt-1000` in crates/formats/tests/data, so that cuts of both can be
compared, and the embedding is listed under three names, as in the checkpoints of the T5 family on the hub.
"""
import json
import os
import sys

import torch

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../crates/trim/tests/data/mt5.bin")
expected = json.load(open(os.path.join(here, "../crates/formats/tests/data/tensorflow/expected.json")))
state = {}
for name, tensor in expected["mt5"].items():
    assert tensor["dtype"] == "F32", name
    raw = bytearray.fromhex(tensor["bytes"])
    state[name] = torch.frombuffer(raw, dtype=torch.float32).reshape(tensor["shape"]).clone()
state["encoder.embed_tokens.weight"] = state["decoder.embed_tokens.weight"] = state["shared.weight"]
os.makedirs(os.path.dirname(out), exist_ok=True)
torch.save(state, out)
print(os.path.getsize(out), "bytes")
