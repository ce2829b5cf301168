"""Write a golden model of make_goldens.py in PyTorch's formats and in shards, with transformers and torch.

usage: pytorch_goldens.py [OUT]      needs transformers 4.57; OUT defaults to crates/model/tests/stored

The logits they must give are those in crates/model/tests/goldens/t5-v1_0, whose model has all the second names of the
embedding: encoder.embed_tokens, decoder.embed_tokens and lm_head.
"""
import os
import shutil
import sys

import torch
from transformers import T5ForConditionalGeneration

here = os.path.dirname(os.path.abspath(__file__))
golden = os.path.join(here, "../crates/model/tests/goldens/t5-v1_0")
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../crates/model/tests/stored")
model = T5ForConditionalGeneration.from_pretrained(golden, dtype=torch.float32)


def folder(name):
    path = os.path.join(out, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    shutil.copy(os.path.join(golden, "config.json"), path)
    return path


torch.save(model.state_dict(), os.path.join(folder("zip"), "pytorch_model.bin"))
torch.save(
    model.state_dict(), os.path.join(folder("legacy"), "pytorch_model.bin"), _use_new_zipfile_serialization=False
)
for name, safe in (("shards-pytorch", False), ("shards-safetensors", True)):
    path = folder(name)
    model.save_pretrained(path, max_shard_size="24KB", safe_serialization=safe)
    shutil.copy(os.path.join(golden, "config.json"), path)
    os.remove(os.path.join(path, "generation_config.json"))
print(sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(out) for f in files), "bytes")
