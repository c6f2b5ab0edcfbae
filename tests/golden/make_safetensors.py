"""Writes safetensors_python.safetensors, or checks that the public Python package reads mixgrad's file.

usage: make_safetensors.py               writes it beside this script (needs safetensors and torch)
       make_safetensors.py --check FILE  ends with code 0 when FILE holds the same tensors in any order

tests/test_safetensors.cpp makes the same tensors.
"""
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

TENSORS = {
    "pixels": torch.tensor([0, 127, 255], dtype=torch.uint8),  # an odd size, in front of wider elements
    "0.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4 - 0.5,
    "loss": torch.tensor(-1.5e300, dtype=torch.float64),
    "empty": torch.zeros((0, 5), dtype=torch.float32),
    "größe": torch.tensor([-1, 0, 2**31 - 1, -(2**31)], dtype=torch.int32),
}
METADATA = {"format": "pt", "größe": 'a "quoted"\nline'}


def check(path):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        assert len(metadata.pop("mixgrad.xxh64")) == 16
        assert metadata == METADATA, metadata
        assert sorted(file.keys()) == sorted(TENSORS), file.keys()
        for name, expected in TENSORS.items():
            tensor = file.get_tensor(name)
            assert tensor.dtype == expected.dtype and tensor.shape == expected.shape, (name, tensor)
            assert torch.equal(tensor, expected), (name, tensor)


if len(sys.argv) == 3 and sys.argv[1] == "--check":
    check(sys.argv[2])
else:
    save_file(TENSORS, Path(__file__).parent / "safetensors_python.safetensors", METADATA)
