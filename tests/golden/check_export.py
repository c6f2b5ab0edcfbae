#!/usr/bin/env python3
"""Do PyTorch's models load weights that mixgrad exported in PyTorch's layout, with equal logits?

usage: check_export.py MODEL WEIGHTS.safetensors LOGITS.safetensors SAVED.safetensors
       (with a Python that has torch and safetensors)

MODEL is simple_cnn, lenet or resnet, for images of 28x28x3 and two classes. LOGITS holds x [N, H, W, C] and logits
[N, classes], as mixgrad computed them. Prints the largest difference, and writes to SAVED what PyTorch makes of the
weights, for mixgrad to read."""
import sys

from safetensors.torch import load_file, save_file
from torch import nn


def simple_cnn():
    layers = []
    for before, after in (3, 16), (16, 16), (16, 2):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def lenet():
    return nn.Sequential(nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                         nn.Linear(84, 2))


class Residual(nn.Module):
    def __init__(self, *body):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x):
        return self.body(x) + x


def resnet():
    def convolution(before, after, stride):
        return nn.Conv2d(before, after, 3, stride, 1, bias=False)

    layers, before = [], 3
    for width in 16, 32, 64:
        body = [convolution(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(), convolution(width, width, 1),
                nn.BatchNorm2d(width)]
        layers += [convolution(before, width, 2), nn.BatchNorm2d(width), nn.ReLU(), Residual(*body), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 2))


model = {"simple_cnn": simple_cnn, "lenet": lenet, "resnet": resnet}[sys.argv[1]]()
expected = load_file(sys.argv[3])
model.load_state_dict(load_file(sys.argv[2]))  # strict: the same names, no more and no less
save_file(model.state_dict(), sys.argv[4])
model.eval()
difference = (model(expected["x"].permute(0, 3, 1, 2)) - expected["logits"]).abs().max().item()
print(f"{sys.argv[1]}: largest difference {difference:.2g}")
sys.exit(difference > 1e-5)
