"""Write the safetensors file that crates/formats/tests/safetensors.rs reads, with the reference library.

usage: formats_safetensors.py [OUT]      needs torch and safetensors
"""
import os
import sys

import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../crates/formats/tests/data/safetensors/library.safetensors")
halves = torch.tensor([1.0, -2.0, 0.5])
tensors = {
    "f32": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 2,
    "f64": halves.double(),
    "f16": halves.half(),
    "bf16": halves.bfloat16(),
    "i64": torch.tensor([-1, 2**40]),
    "u8": torch.tensor([1, 255], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "empty": torch.zeros(0, 4),
    "scalar": torch.tensor(7.0),
    "层": torch.tensor([[9]], dtype=torch.uint8),
}
save_file(tensors, out, metadata={"format": "pt"})
