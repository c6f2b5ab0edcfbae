"""Golden files of the layers, losses and models of nn/."""
import math

import torch
import torch.nn.functional as F
from torch import nn

from golden_file import GoldenFile, case, from_mixgrad, grid, nchw, nhwc, oihw, to_mixgrad

# name: image (N, H, W, C), kernel_size, stride, padding
POOLS = {
    "kernel_2": ((2, 4, 4, 3), 2, 2, 0),
    "cut_off": ((1, 5, 7, 2), 2, 2, 0),  # the last row and column are in no window
    "overlapping": ((1, 5, 6, 2), 3, 1, 0),
    "padded": ((2, 5, 4, 2), 3, 2, 1),
    "kernel_4_padding_2": ((1, 6, 5, 2), 4, 3, 2),
    "gaps": ((1, 5, 6, 2), 2, 3, 0),  # pixels between the windows
    "kernel_1": ((2, 2, 3, 2), 1, 1, 0),
    "kernel_of_image_size": ((2, 3, 3, 2), 3, 3, 0),
}


def pools():
    with GoldenFile("pool") as put:
        for name, (shape, *options) in POOLS.items():
            # Multiples of 1/2: many windows have equal maxima, and both sides choose the first.
            case(put, f"max.{name}", lambda x: nhwc(F.max_pool2d(nchw(x), *options)), x=grid(*shape, step=2))
            case(put, f"avg.{name}", lambda x: nhwc(F.avg_pool2d(nchw(x), *options)), x=grid(*shape, step=4))


# name: image (N, H, W, in), out_channels, kernel_size, stride, padding, groups, bias
GROUPED_CONVOLUTIONS = {
    "two_groups": ((2, 3, 4, 4), 6, 3, 1, 1, 2, True),
    "three_groups_stride_2": ((1, 5, 4, 6), 3, 3, 2, 1, 3, False),
    "groups_of_kernel_1": ((2, 2, 3, 6), 4, 1, 1, 0, 2, True),
    "depthwise": ((2, 4, 3, 3), 3, 3, 1, 1, 3, True),
    "depthwise_stride_2": ((1, 6, 5, 3), 3, 3, 2, 1, 3, True),
    "depthwise_times_2": ((1, 4, 5, 3), 6, 3, 1, 0, 3, True),  # two outputs for each channel
}


def grouped_convolutions():
    with GoldenFile("conv2d_groups") as put:
        for name, (shape, out, kernel_size, stride, padding, groups, has_bias) in GROUPED_CONVOLUTIONS.items():
            # As in conv2d.txt, all sums are exact.
            weight_shape = out, kernel_size, kernel_size, shape[3] // groups
            inputs = {"x": grid(*shape, step=2), "weight": grid(*weight_shape, step=2)}
            if has_bias:
                inputs["bias"] = grid(out, step=2)
            case(put, name, lambda x, weight, bias=None: nhwc(F.conv2d(nchw(x), oihw(weight), bias, stride, padding,
                                                                       groups=groups)), **inputs)


def layer_norm(x, weight, bias, eps):
    """PyTorch's own makes dweight of x / deviation - mean / deviation: large numbers, where the mean is far from 0."""
    centred = x - x.mean(-1, keepdim=True)
    y = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt() * weight + bias
    assert torch.allclose(y, F.layer_norm(x, x.shape[-1:], weight, bias, eps), 1e-10, 1e-10)
    return y


def layer_norms():
    far = 1000 + grid(3, 7)  # 1000 * 7 * (1 / 7) is not 1000 in float32
    far[2] = 1000  # a row without variance
    with GoldenFile("layer_norm") as put:
        for name, (x, eps) in {"features": (grid(4, 6), 1e-5), "images": (grid(2, 2, 3, 4), 1e-5),
                               "large_eps": (grid(4, 3), 0.5), "mean_far_from_zero": (far, 1e-5)}.items():
            shape = x.shape[-1:]
            case(put, name, lambda x, weight, bias: layer_norm(x, weight, bias, eps), x=x,
                 weight=1 + grid(*shape, scale=0.5), bias=grid(*shape))


def cross_entropies():
    """With label smoothing and class weights. PyTorch's mean of weighted classes divides by the sum of the samples'
    weights where targets are indices; mixgrad's by N, as both do where they are dense. So that one is not here."""
    class_weights = torch.tensor([0.5, 2, 0, 1.25])
    index = torch.tensor([2, 0, 3, 1, 1])
    dense = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0, 1, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.75, 0, 0, 0.25],
                          [0.5, 0.25, -0.5, 1]])
    extreme = torch.tensor([[1000.0, -1000, 0, 1], [1000, 1000, -1000, 999], [-1000, -1000, -1000, -1000],
                            [1000, -1000, 1000, -1000], [-1000, -1001, -1000, -1003]])
    with GoldenFile("cross_entropy_options") as put:
        put("index", index)
        put("class_weights", class_weights)
        for name, (smoothing, weights, logits) in {"smoothing": (0.125, None, grid(5, 4, scale=2)),
                                                   "weights": (0, class_weights, grid(5, 4, scale=2)),
                                                   "both": (0.25, class_weights, grid(5, 4, scale=2)),
                                                   "extreme": (0.25, class_weights, extreme)}.items():
            for reduction in ("none", "mean", "sum") if name in ("smoothing", "both") else ("none",):
                def loss(logits, target):
                    return F.cross_entropy(logits, target, weights, reduction=reduction, label_smoothing=smoothing)
                if weights is None or reduction != "mean":
                    case(put, f"{name}.index.{reduction}", lambda logits: loss(logits, index), logits=logits)
                case(put, f"{name}.dense.{reduction}", loss, logits=logits, target=dense)


def bce_with_logits(x, t):
    """PyTorch's own loses digits even in float64 where t is 0 and x far below: it adds -x to x there."""
    each = t * torch.logaddexp(-x, torch.zeros(())) + (1 - t) * torch.logaddexp(x, torch.zeros(()))
    assert torch.allclose(each, F.binary_cross_entropy_with_logits(x, t, reduction="none"), 1e-12, 1e-12)
    return each


def elementwise_losses():
    """Per sample, which in mixgrad is the mean over the sample's numbers, and the mean over all."""
    losses = {"mse": lambda x, t: F.mse_loss(x, t, reduction="none"),
              "l1": lambda x, t: F.l1_loss(x, t, reduction="none"), "bce_with_logits": bce_with_logits}
    # One number to a sample, so that a large loss does not hide the next, small one.
    extreme = (torch.tensor([60.0, 20, 15, -15, -20, -60, 60, -60, 100, 100, -100, 1000, -1000, 0])[:, None],
               torch.tensor([1, 1, 1, 0, 0, 0, 0, 1, 1, 0.5, 0.25, 0, 1, 0.5])[:, None])
    with GoldenFile("elementwise_loss") as put:
        for name, loss in losses.items():
            for kind, (x, t) in {"plain": (grid(4, 3, scale=2), grid(4, 3).abs() % 1), "extreme": extreme}.items():
                case(put, f"{name}.{kind}.none", lambda x, t: loss(x, t).mean(1), x=x, target=t)
                case(put, f"{name}.{kind}.mean", lambda x, t: loss(x, t).mean(), x=x, target=t)


def residuals():
    with GoldenFile("residual") as put:
        def body(x, weight):
            return F.conv2d(nchw(x), oihw(weight), None, 1, 1).relu()
        case(put, "identity", lambda x, weight: x + nhwc(body(x, weight)), x=grid(2, 3, 4, 2, step=4),
             weight=grid(2, 3, 3, 2, step=4))
        case(put, "projection", lambda x, weight, shortcut: nhwc(body(x, weight) + F.conv2d(nchw(x), oihw(shortcut))),
             x=grid(2, 3, 4, 2, step=4), weight=grid(3, 3, 3, 2, step=4), shortcut=grid(3, 1, 1, 2, step=4))


# ---- Models: one step of AdamW. Parameters and images come from a formula that test_golden_nn.cpp has as well, and of
# each result there is a digest: the tensors of a LeNet would be megabytes.


def noise(shape, offset):
    """In -1..1, multiples of 1/128; k^3 mod 251 looks like noise, and meets every number once in 251."""
    k = torch.arange(torch.Size(shape).numel()) + offset
    return (k**3 % 251 - 125).to(torch.float64).reshape(shape) / 128


def starting_value(name, shape, offset):
    if len(shape) > 1:  # a power of two near the bound of Kaiming's uniform distribution
        fan_in = torch.Size(shape[1:]).numel()
        return noise(shape, offset) * 2.0 ** math.floor(math.log2(6 / fan_in) / 2)
    return noise(shape, offset) / 4 + (1 if name.endswith("weight") else 0)


def digest(tensor):
    """16 elements (or all, of fewer), evenly spaced in mixgrad's layout; then the mean and the root mean square."""
    flat = to_mixgrad(tensor).flatten()
    count = min(len(flat), 16)
    places = torch.arange(count) * len(flat) // count
    return torch.cat([flat[places], flat.mean()[None], flat.square().mean().sqrt()[None]])


class Flatten(nn.Module):  # in mixgrad's order of pixels and channels
    def forward(self, x):
        return nhwc(x).flatten(1)


class Residual(nn.Module):
    def __init__(self, *body):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x):
        return self.body(x) + x


def lenet():
    return nn.Sequential(nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
                         nn.MaxPool2d(2), Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                         nn.Linear(84, 10))


def resnet(widths):
    def convolution(before, after, stride):
        return nn.Conv2d(before, after, 3, stride, 1, bias=False)

    layers, before = [], 3
    for width in widths:
        body = [convolution(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(), convolution(width, width, 1),
                nn.BatchNorm2d(width)]
        layers += [convolution(before, width, 2), nn.BatchNorm2d(width), nn.ReLU(), Residual(*body), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), Flatten(), nn.Linear(before, 10))


def models():
    for name, model, size in [("lenet", lenet(), 28), ("resnet", resnet((4, 8)), 12)]:
        with GoldenFile(name, digits=12) as put:
            with torch.no_grad():
                for i, (key, parameter) in enumerate(model.named_parameters()):
                    shape = to_mixgrad(parameter).shape
                    parameter.copy_(from_mixgrad(starting_value(key, shape, i)))
            x, labels = nchw(noise((4, size, size, 3), 100)), torch.tensor([3, 0, 9, 5])
            optimizer = torch.optim.AdamW(model.parameters(), 2.0**-8, (0.9, 0.99), weight_decay=0.01)
            logits = model(x)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            put("logits", logits)
            put("loss", loss)
            for key, parameter in model.named_parameters():
                put(f"gradient.{key}", digest(parameter.grad))
                put(f"step1.{key}", digest(parameter))
            for key, buffer in model.named_buffers():
                if buffer.is_floating_point():
                    put(f"step1.{key}", buffer)
            model.eval()
            put("eval_logits", model(x))


def make():
    pools()
    grouped_convolutions()
    layer_norms()
    cross_entropies()
    elementwise_losses()
    residuals()
    models()
