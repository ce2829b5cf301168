"""Write the files that crates/formats/tests/pytorch.rs reads, with torch, and what is in them.

usage: formats_pytorch.py [OUT]      needs torch; OUT defaults to crates/formats/tests/data/pytorch
"""
import argparse
import collections
import functools
import json
import os
import pathlib
import sys

import torch

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../crates/formats/tests/data/pytorch")
os.makedirs(out, exist_ok=True)

base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 4
state = collections.OrderedDict(
    matrix=base,
    alias=base,
    transposed=base.t(),
    column=base[:, 2],
    part=base[1:3, 1:4],
    rows=base[2:],
    permuted=torch.arange(24, dtype=torch.int64).reshape(2, 3, 4).permute(2, 0, 1),
    scalar=torch.tensor(2.5),
    empty=torch.zeros(0, 3),
    double=torch.tensor([1.0, -2.0], dtype=torch.float64),
    half=torch.tensor([1.0, -2.0, 0.5], dtype=torch.float16),
    bfloat=torch.tensor([1.0, -2.0, 0.5], dtype=torch.bfloat16),
    long=torch.tensor([2**40, -1]),
    int=torch.tensor([7, -7], dtype=torch.int32),
    short=torch.tensor([7, -7], dtype=torch.int16),
    char=torch.tensor([7, -7], dtype=torch.int8),
    byte=torch.tensor([7, 255], dtype=torch.uint8),
    bool=torch.tensor([True, False]),
    parameter=torch.nn.Parameter(torch.tensor([[1.5]])),
)


class Unsafe:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


# A tensor and a parameter with attributes of their own.
tagged = base.clone()
tagged.tag = "a"
tagged_parameter = torch.nn.Parameter(torch.tensor([[1.5]]))
tagged_parameter.tag = "a"
module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
for p in module.parameters():
    torch.nn.init.constant_(p, 0.25)
files = {
    "state": state,
    "plain_dict": dict(state),
    "module": module.state_dict(),  # carries _metadata
    "wrapped": {"epoch": 3, "loss": 0.5, "state_dict": state, "none": None},
    "unsafe": {"a": base, "b": Unsafe()},
    "whole_module": module,
    "not_tensors": {"a": base, "b": [1, 2]},
    "numbers_among": {**state, "epoch": 3, "name": "t5", "best": 0.5, "done": True, "none": None},
    # As Lightning saves it: beside the weights whatever its parts want, of classes that only Python knows.
    "lightning": {
        "epoch": 3, "pytorch-lightning_version": "2.1.0", "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}, "progress": collections.OrderedDict(total=1)}},
        "callbacks": {"EarlyStopping{'mode': 'min'}": {"best": base[0, 0], "dir": pathlib.PurePosixPath("a/b")}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0), "exp_avg": base}}, "param_groups": [{"lr": 1e-3}]}],
        "lr_schedulers": [{"lr_lambdas": [None, {"_": functools.partial(max, 1)}]}],
        "hyper_parameters": argparse.Namespace(lr=1e-3, tags={"a"}, names=frozenset({"b"}), raw=bytearray(b"x")),
        "rng": collections.defaultdict(list, a=[1]),
    },
    "deepspeed": {"module": state, "optimizer": {"exp_avg": base}, "lr_scheduler": None, "rng_state": torch.zeros(3),
                  "ds_config": {"a": {"b": 1}}, "dtype": torch.bfloat16, "device": torch.device("cpu")},
    "deeper": {"checkpoint": {"model": state}, "args": argparse.Namespace(a=1)},
    "own_name": {"my_t5": dict(state), "cpu_rng_state": torch.zeros(5, dtype=torch.uint8)},
    "several": {"student": state, "teacher": dict(state)},
    "attributes": {"matrix": tagged, "parameter": tagged_parameter},
}
for name, value in files.items():
    torch.save(value, f"{out}/{name}.bin")
    if name != "whole_module":  # whose older form holds torch's source code
        torch.save(value, f"{out}/{name}.legacy.bin", _use_new_zipfile_serialization=False)
for protocol in (3, 4, 5):
    torch.save(state, f"{out}/protocol{protocol}.bin", pickle_protocol=protocol)

names = {"float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
         "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}
expected = {}
for name, t in list(state.items()) + list(module.state_dict().items()):
    t = t.detach().contiguous()
    hexa = t.reshape(-1).view(torch.uint8).numpy().tobytes().hex() if t.numel() else ""
    expected[name] = {"dtype": names[str(t.dtype)[6:]], "shape": list(t.shape), "bytes": hexa}
json.dump(expected, open(f"{out}/expected.json", "w"), indent=0)
print(sum(os.path.getsize(os.path.join(out, f)) for f in os.listdir(out)), "bytes")
