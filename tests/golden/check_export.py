#!/usr/bin/env python3
"""Does PyTorch's simple_cnn load weights that mixgrad exported in PyTorch's layout, with equal logits?

usage: check_export.py WEIGHTS.safetensors LOGITS.safetensors     (with a Python that has torch and safetensors)

LOGITS holds x [N, H, W, C] and logits [N, classes], as mixgrad computed them. Prints the largest difference."""
import sys

from safetensors.torch import load_file
from torch import nn

weights, expected = load_file(sys.argv[1]), load_file(sys.argv[2])
layers = []
for name in sorted((name for name in weights if name.endswith("weight")), key=lambda name: int(name.split(".")[0])):
    out_channels, in_channels = weights[name].shape[:2]
    layers += [nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1), nn.ReLU()]
model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
model.load_state_dict(weights)  # strict: the same names, no more and no less
difference = (model(expected["x"].permute(0, 3, 1, 2)) - expected["logits"]).abs().max().item()
print(f"largest difference {difference:.2g}")
sys.exit(difference > 1e-5)
