"""Golden files of the recipes for CIFAR-10: six steps of small networks on one batch, without augmentation.

Step t, from 0, is one of a training of T in all: its learning rates are those of the recipe's schedule at p = t / T."""
from dataclasses import dataclass
import math
from typing import Callable

import torch
import torch.nn.functional as F
from torch import nn

from golden_file import LAMBDA, PERMUTATION, GoldenFile, from_mixgrad, nchw, oihw, to_mixgrad
from nn_cases import Flatten, digest, noise, starting_value

STEPS = 6
# In 0..1, multiples of 1/256. Of these no pooling's maximum and no ReLU is decided by a rounding error, in f32 either.
IMAGES = noise((8, 32, 32, 3), 77) / 2 + 0.5
LABELS = (3 + 7 * torch.arange(8)) % 10
WHITENING = noise((24, 2, 2, 3), 50) / 2  # the filters, [out, kh, kw, in]: a buffer


# ---- The networks; layers have the same names as mixgrad's.


class Normalise(nn.Module):  # mixgrad has these in f32
    MEAN = torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float32).double().view(1, 3, 1, 1)
    DEVIATION = torch.tensor([0.2470, 0.2435, 0.2616], dtype=torch.float32).double().view(1, 3, 1, 1)

    def forward(self, x):
        return (x - self.MEAN) / self.DEVIATION


class Scale(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x * self.scale


def airbench(widths, activation, batch_norm_momentum, scale):
    whitening = nn.Conv2d(3, 24, 2)
    whitening.weight = nn.Parameter(oihw(WHITENING), requires_grad=False)
    layers, channels = [Normalise(), whitening, nn.GELU()], 24
    for width in widths:
        for pooled in (True, False):
            norm = nn.BatchNorm2d(width, eps=1e-12, momentum=batch_norm_momentum)
            norm.weight.requires_grad_(False)  # stays 1
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), *[nn.MaxPool2d(2)] * pooled]
            layers += [norm, activation()]
            channels = width
    return nn.Sequential(*layers, nn.MaxPool2d(3), Flatten(), nn.Linear(channels, 10, bias=False), Scale(scale))


class PreActivationBlock(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
                                  nn.Conv2d(after, after, 3, 1, 1, bias=False))
        if before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False))

    def forward(self, x):
        a = self.first(x)
        return 0.2 * self.body(a) + (self.shortcut(a) if hasattr(self, "shortcut") else x)


def wide_resnet(depth, k):
    layers, before = [nn.Conv2d(3, 16, 3, padding=1, bias=False)], 16
    for width in (16 * k, 32 * k, 64 * k):
        for block in range((depth - 4) // 6):
            layers.append(PreActivationBlock(before, width, 2 if block == 0 and width > 16 * k else 1))
            before = width
    return nn.Sequential(*layers, nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), Flatten(),
                         nn.Linear(before, 10))


# ---- The recipes of airbench. The loss is the sum over the batch, with label smoothing.


@dataclass
class Recipe:
    total: int  # T
    whitening_steps: int  # the whitening's bias is trained in steps t < whitening_steps, frozen from then on
    # lr, momentum and L2 coefficient of the SGD of each group; of Muon's filters lr, momentum and decay
    filters: tuple
    shifts: tuple  # of batch norm
    whitening: tuple  # its bias
    head: tuple
    smoothing: float
    batch_norm_momentum: float
    scale: float  # of the logits
    activation: type = nn.GELU  # but behind the whitening, which has GELU in all
    schedule: Callable = lambda p: 1 - p  # factor of each lr
    whitening_line: bool = True  # the factor of the whitening's bias is 1 - t / whitening_steps instead
    muon: tuple = ()  # a, b, c and eps; without, filters have SGD as well
    normalised: Callable = lambda step, last, total: True  # Muon: whether step number `step`, from 1, normalises W
    lookahead: int = 0  # after every so many steps


def rise_and_fall(p):
    return 0.2 + 0.8 * p / 0.23 if p < 0.23 else 1 + (0.07 - 1) * (p - 0.23) / (1 - 0.23)


def periodic(step, last, total):
    """2 + floor(15 s/T) steps since number `last`, at first 0. Of T = 60, among numbers s = 1..6: 2 and 5 (t = 1, 4).
    Of T = 10 it would be none, of the recipe's 243 at first number 2."""
    return step - last >= 2 + 15 * step // total


RECIPES = {
    "airbench": Recipe(
        total=10, whitening_steps=5, filters=(1.46484e-3, 0.85, 1.3623), shifts=(0.09375, 0.85, 0.021286),
        whitening=(1.46484e-3, 0.85, 1.3623), head=(1.46484e-3, 0.85, 1.3623), smoothing=0.2, batch_norm_momentum=0.4,
        scale=1 / 9, schedule=rise_and_fall, whitening_line=False, lookahead=5),
    "muon": Recipe(
        total=10, whitening_steps=6, filters=(0.24, 0.6, 0), shifts=(0.053, 0.85, 0.07547),
        whitening=(0.053, 0.85, 0.07547), head=(0.67, 0.85, 0.00597), smoothing=0.2, batch_norm_momentum=0.4,
        scale=1 / 256, muon=(3.4445, -4.7750, 2.0315, 1e-7)),
    "fast": Recipe(
        total=60, whitening_steps=3, filters=(0.205, 0.655, 1.6002e-3), shifts=(0.0573, 0.825, 0.02793),
        whitening=(0.0573, 0.825, 0.02793), head=(0.5415, 0.825, 0.002955), smoothing=0.09, batch_norm_momentum=0.4434,
        scale=1 / 256, activation=nn.SiLU, muon=(3.4576, -4.7391, 2.0843, 1e-5), normalised=periodic),
}  # fmt: skip


def orthogonal(u, a, b, c, eps):
    """Three Newton-Schulz iterations on u as [out, all else]: singular values near 1."""
    x = u.flatten(1) / (u.norm() + eps)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(3):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return (x.T if tall else x).reshape(u.shape)


@torch.no_grad()
def muon_step(w, buffer, lr, momentum, decay, coefficients, normalise):
    buffer.mul_(momentum).add_(w.grad)  # at first 0
    x = orthogonal(w.grad + momentum * buffer, *coefficients)
    if normalise:
        w *= math.sqrt(len(w)) / w.norm()
    w -= lr * x
    w *= 1 - lr * decay


def airbench_steps(model, recipe):
    """Yields the loss of each step, with gradients in place; the step is taken when it goes on."""
    groups = {"filters": [], "shifts": [], "whitening": [model[1].bias], "head": [model[-2].weight]}
    for layer in model[2:]:
        if isinstance(layer, nn.Conv2d):
            groups["filters"].append(layer.weight)
        if isinstance(layer, nn.BatchNorm2d):
            groups["shifts"].append(layer.bias)
    # PyTorch's SGD: g += l2 p; b = momentum b + g; p -= lr (g + momentum b).
    by_sgd = [name for name in groups if name != "filters" or not recipe.muon]
    sgd = torch.optim.SGD([{"params": groups[name], "momentum": getattr(recipe, name)[1],
                            "weight_decay": getattr(recipe, name)[2]} for name in by_sgd], 1, nesterov=True,
                          momentum=0.5)  # fmt: skip
    buffers = [torch.zeros_like(w) for w in groups["filters"]]
    slow = {name: value.clone() for name, value in model.state_dict().items() if value.is_floating_point()}
    last = 0  # number of the last step that normalised Muon's filters
    x = nchw(IMAGES)
    for t in range(STEPS):
        sgd.zero_grad()
        model.zero_grad()
        model[1].bias.requires_grad_(t < recipe.whitening_steps)
        logits = model(x)
        loss = F.cross_entropy(logits, LABELS, label_smoothing=recipe.smoothing, reduction="sum")
        loss.backward()
        yield logits, loss
        factor = recipe.schedule(t / recipe.total)
        for name, group in zip(by_sgd, sgd.param_groups):
            own_line = name == "whitening" and recipe.whitening_line
            group["lr"] = getattr(recipe, name)[0] * (1 - t / recipe.whitening_steps if own_line else factor)
        sgd.step()  # passes over the frozen bias, which has no gradient
        if recipe.muon:
            lr, momentum, decay = recipe.filters
            normalise = recipe.normalised(t + 1, last, recipe.total)
            for w, buffer in zip(groups["filters"], buffers):
                muon_step(w, buffer, lr * factor, momentum, decay, recipe.muon, normalise)
            last = t + 1 if normalise else last
        if recipe.lookahead and (t + 1) % recipe.lookahead == 0:
            look_ahead(model, slow, 0.95**5 * ((t + 1) / recipe.total) ** 3)


@torch.no_grad()
def look_ahead(model, slow, d):
    """Of all state, running statistics. Slow at first: here the untrained network, in the recipe that of epoch 3."""
    for name, fast in model.state_dict().items():
        if name in slow:
            slow[name] += (1 - d) * (fast - slow[name])
            fast.copy_(slow[name])


# ---- The recipe of the wide residual network. The loss is the mean, of mixed images; nothing is smoothed.


def one_cycle(p, low, high):
    """From low to high by a cosine in the first half of training. Its second half begins at t = 5 with high."""
    return low + (high - low) * (1 - math.cos(math.pi * min(p / 0.5, 1))) / 2


def wide_resnet_steps(model, total=10):
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), eps=1e-8, weight_decay=0.2)  # of all
    lam = LAMBDA.view(-1, 1, 1, 1)
    x = nchw(IMAGES)
    x = lam * x + (1 - lam) * x[PERMUTATION]
    for t in range(STEPS):
        optimizer.zero_grad()
        logits = model(x)
        own, partner = (F.cross_entropy(logits, y, reduction="none") for y in (LABELS, LABELS[PERMUTATION]))
        loss = (LAMBDA * own + (1 - LAMBDA) * partner).mean()
        loss.backward()
        yield logits, loss
        # p *= 1 - lr .2, then Adam's step, with beta1 also in the corrections as it is now
        optimizer.param_groups[0]["lr"] = one_cycle(t / total, 3e-3 / 10, 3e-3)
        optimizer.param_groups[0]["betas"] = (one_cycle(t / total, 0.95, 0.85), 0.99)
        optimizer.step()


# ---- The files


def trained(model):
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def write(name, model, steps, **about):
    with GoldenFile(f"cifar_{name}", digits=12) as put:
        for key, value in about.items():
            put(key, torch.tensor(value))
        parameters = trained(model)  # as they are at first: one of them is frozen later
        with torch.no_grad():
            for i, (key, parameter) in enumerate(parameters):
                parameter.copy_(from_mixgrad(starting_value(key, to_mixgrad(parameter).shape, i)))

        def put_parameters(step):
            if step in (1, 2, 6):
                for key, parameter in parameters:
                    put(f"step{step}.{key}", digest(parameter))

        for t, (logits, loss) in enumerate(steps):
            if t == 0:
                put("logits", logits)
                put("loss", loss)
                for key, parameter in parameters:
                    put(f"gradient.{key}", digest(parameter.grad))
            put_parameters(t)
        put_parameters(STEPS)
        for key, buffer in model.named_buffers():
            if buffer.is_floating_point():
                put(f"step{STEPS}.{key}", buffer)
        model.eval()
        with torch.no_grad():
            put("eval_logits", model(nchw(IMAGES)))


def make():
    for name, recipe in RECIPES.items():
        model = airbench((4, 6, 6), recipe.activation, recipe.batch_norm_momentum, recipe.scale)
        groups = {group: getattr(recipe, group) for group in ("filters", "shifts", "whitening", "head")}
        write(name, model, airbench_steps(model, recipe), total_steps=recipe.total,
              whitening_steps=recipe.whitening_steps, **groups)  # fmt: skip
    model = wide_resnet(10, 1)
    write("wrn22", model, wide_resnet_steps(model), total_steps=10)
