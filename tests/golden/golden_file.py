"""What the scripts of this folder share: the file format (README.md), inputs, and the layouts of images and weights."""
import sys
from pathlib import Path

import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
generator = torch.Generator()

# A mixup plan for 8 samples.
LAMBDA = torch.tensor([0.9375, 0.5, 1, 0.640625, 0.75, 0.5625, 0.984375, 0.8125])
PERMUTATION = torch.tensor([3, 5, 0, 7, 4, 1, 2, 6])  # sample 4 is its own partner


class GoldenFile:
    """with GoldenFile("name") as put: put("tensor", values)"""

    def __init__(self, name, digits=17):
        self.path, self.digits, self.lines = folder / f"{name}.txt", digits, []
        generator.manual_seed(sum(map(ord, name)))  # each file by itself: a new one changes no other

    def __enter__(self):
        return self

    def __call__(self, name, tensor):
        tensor = tensor.detach()
        dtype = "f64" if tensor.is_floating_point() else "i32"
        self.lines.append(" ".join([name, dtype, *map(str, tensor.shape)]))
        line = ""
        for value in tensor.flatten().tolist():
            # The shortest text that reads back as the same number, or fewer digits where the file asks for it.
            word = str(value) if dtype == "i32" or self.digits >= 17 else f"{value:.{self.digits}g}"
            word = word.removesuffix(".0")
            if len(line) + len(word) >= 118:
                self.lines.append(line)
                line = ""
            line += (" " if line else "") + word
        self.lines.append(line)

    def __exit__(self, error, *_):
        if error is None:
            header = f"# Made by make_golden.py with PyTorch {torch.__version__}; not to be edited by hand."
            self.path.write_text("\n".join([header, *self.lines]) + "\n")


def grid(*shape, scale=1.0, step=64):
    """Normal numbers, rounded to multiples of 1/step."""
    return (torch.randn(shape, generator=generator) * scale * step).round() / step


def leaf(tensor):
    return tensor.clone().requires_grad_()


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


oihw, ohwi = nchw, nhwc  # [out, kh, kw, in] to PyTorch's [out, in, kh, kw], and back


def from_mixgrad(tensor):
    return oihw(tensor) if tensor.dim() == 4 else tensor


def to_mixgrad(tensor):
    return ohwi(tensor) if tensor.dim() == 4 else tensor


def case(put, name, function, **inputs):
    """Writes the inputs, y = function(inputs), a given dy, and the gradients of sum(y * dy)."""
    leaves = {key: leaf(value) for key, value in inputs.items()}
    y = function(*leaves.values())
    dy = grid(*y.shape)
    (y * dy).sum().backward()
    gradients = {f"d{key}": value.grad for key, value in leaves.items()}
    for key, value in {**leaves, "y": y, "dy": dy, **gradients}.items():
        put(f"{name}.{key}", value)
