"""Writes the golden files of this folder: inputs, and what PyTorch makes of them, in mixgrad's layout.

usage: make_golden.py [FOLDER]      (default: the folder of this script; README.md has the file format)

Everything is computed in float64. Inputs are multiples of 1/64 or so, exact in float32 too: a test in either precision
starts from the same numbers. Images are NHWC and convolution weights [out, kh, kw, in] in the
files; the functions nchw and oihw make PyTorch's layout of them.
"""
import torch
import torch.nn.functional as F
from torch import nn

import cifar_cases
import core_cases
import nn_cases
from golden_file import LAMBDA, PERMUTATION, GoldenFile, from_mixgrad, grid, leaf, nchw, nhwc, oihw, to_mixgrad

# ---- Single operations. Every gradient is that of sum(y * dy) for a given dy.

# name: image (N, H, W, in), out_channels, kernel_size, stride, padding, bias
CONVOLUTIONS = {
    "stride_1_padding_0": ((2, 5, 6, 3), 4, 3, 1, 0, True),
    "stride_1_padding_1": ((2, 4, 5, 3), 4, 3, 1, 1, True),
    "stride_1_padding_2": ((1, 4, 3, 2), 3, 3, 1, 2, True),
    "stride_2_padding_0": ((2, 6, 7, 2), 3, 3, 2, 0, True),  # the last row of pixels is read by no window
    "stride_2_padding_1": ((2, 7, 8, 3), 4, 3, 2, 1, True),
    "stride_3_padding_1": ((1, 8, 7, 2), 2, 3, 3, 1, True),
    "kernel_1": ((2, 3, 4, 3), 5, 1, 1, 0, True),
    "kernel_1_stride_2": ((2, 4, 5, 3), 2, 1, 2, 0, True),  # every other pixel is read by no window
    "kernel_1_padding_2": ((1, 2, 3, 2), 2, 1, 1, 2, True),  # the border is the bias alone
    "kernel_5_padding_2": ((1, 6, 5, 2), 3, 5, 1, 2, True),
    "kernel_5_stride_2_padding_2": ((2, 7, 6, 1), 3, 5, 2, 2, True),
    "pixel": ((3, 1, 1, 4), 3, 1, 1, 0, True),
    "pixel_in_padding": ((3, 1, 1, 2), 3, 3, 1, 1, True),
    "kernel_of_image_size": ((2, 3, 3, 2), 4, 3, 1, 0, True),
    "no_bias": ((2, 5, 4, 3), 4, 3, 2, 1, False),
    "channels_1_to_16": ((2, 6, 6, 1), 16, 3, 2, 1, True),
    "channels_16_to_2": ((2, 5, 5, 16), 2, 3, 2, 1, True),
    "channels_16_to_16": ((1, 3, 4, 16), 16, 1, 1, 0, True),
}


def convolutions():
    with GoldenFile("conv2d") as put:
        for name, (shape, out_channels, kernel_size, stride, padding, has_bias) in CONVOLUTIONS.items():
            # On a grid this coarse all sums are exact, in float32 too: every correct convolution gives the same bits.
            x = leaf(grid(*shape, step=8))
            weight = leaf(grid(out_channels, kernel_size, kernel_size, shape[3], step=8))
            bias = leaf(grid(out_channels, step=8)) if has_bias else None
            y = nhwc(F.conv2d(nchw(x), oihw(weight), bias, stride, padding))
            dy = grid(*y.shape, step=8)
            (y * dy).sum().backward()
            put(f"{name}.x", x)
            put(f"{name}.weight", weight)
            if has_bias:
                put(f"{name}.bias", bias)
            put(f"{name}.y", y)
            put(f"{name}.dy", dy)
            put(f"{name}.dx", x.grad)
            put(f"{name}.dweight", weight.grad)
            if has_bias:
                put(f"{name}.dbias", bias.grad)


# name: shape, mean, standard deviation, eps, momentum. One "batch" is two steps of training, then evaluation.
BATCH_NORMS = {
    "features": ((6, 3), 0, 1, 1e-5, 0.1),
    "images": ((3, 2, 3, 4), 0, 1, 1e-5, 0.1),
    "mean_far_from_zero": ((3, 2, 3, 4), 1000, 1, 1e-5, 0.1),
    "two_rows": ((2, 3), -5, 2, 1e-5, 0.1),
    "other_eps_and_momentum": ((2, 3, 2, 2), 1, 0.25, 1e-1, 0.5),
}


def batch_norms():
    with GoldenFile("batch_norm") as put:
        for name, (shape, mean, deviation, eps, momentum) in BATCH_NORMS.items():
            channels = shape[-1]
            layer = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(channels, eps, momentum)
            to, back = (nchw, nhwc) if len(shape) == 4 else (lambda x: x, lambda x: x)
            with torch.no_grad():
                layer.weight.copy_(1 + grid(channels, scale=0.5))
                layer.bias.copy_(grid(channels))
            put(f"{name}.weight", layer.weight)
            put(f"{name}.bias", layer.bias)
            for step in ("train1", "train2", "eval"):
                layer.train(step != "eval")
                layer.zero_grad()
                x, dy = leaf(mean + grid(*shape, scale=deviation)), grid(*shape)
                y = back(layer(to(x)))
                (y * dy).sum().backward()
                put(f"{name}.{step}.x", x)
                put(f"{name}.{step}.y", y)
                put(f"{name}.{step}.dy", dy)
                put(f"{name}.{step}.dx", x.grad)
                put(f"{name}.{step}.dweight", layer.weight.grad)
                put(f"{name}.{step}.dbias", layer.bias.grad)
                put(f"{name}.{step}.running_mean", layer.running_mean)
                put(f"{name}.{step}.running_var", layer.running_var)


def log_softmaxes():
    extreme = torch.tensor([[1000.0, -1000, 0], [1000, 1000, 1000], [-1000, -1000, -1001], [0, 0, 1000]])
    with GoldenFile("log_softmax") as put:
        for name, value in {"plain": grid(2, 3, 5, scale=3), "extreme": extreme}.items():
            x, dy = leaf(value), grid(*value.shape)
            y = F.log_softmax(x, -1)
            (y * dy).sum().backward()
            put(f"{name}.x", x)
            put(f"{name}.y", y)
            put(f"{name}.dy", dy)
            put(f"{name}.dx", x.grad)


def cross_entropies():
    extreme = torch.tensor([[1000.0, -1000, 0, 1], [1000, 1000, -1000, 999], [-1000, -1000, -1000, -1000],
                            [1000, -1000, 1000, -1000], [-1000, -1001, -1000, -1003]])
    index = torch.tensor([2, 0, 3, 1, 1])
    dense = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0, 1, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.75, 0, 0, 0.25],
                          [0.5, 0.25, -0.5, 1]])  # the last is no distribution; the formula is the same
    with GoldenFile("cross_entropy") as put:
        put("index", index)
        put("dense", dense)
        for name, value in {"plain": grid(5, 4, scale=2), "extreme": extreme}.items():
            put(f"{name}.logits", value)
            for kind in ("index", "dense"):
                for reduction in ("none", "mean", "sum"):
                    logits = leaf(value)
                    target = index if kind == "index" else leaf(dense)
                    loss = F.cross_entropy(logits, target, reduction=reduction)
                    dy = grid(*loss.shape)
                    (loss * dy).sum().backward()
                    case = f"{name}.{kind}.{reduction}"
                    put(f"{case}.loss", loss)
                    put(f"{case}.dy", dy)
                    put(f"{case}.dlogits", logits.grad)
                    if kind == "dense":
                        put(f"{case}.dtarget", target.grad)


def linears():
    with GoldenFile("linear") as put:
        for name, has_bias in {"bias": True, "no_bias": False}.items():
            x, weight, dy = leaf(grid(4, 5, step=8)), leaf(grid(3, 5, step=8)), grid(4, 3, step=8)
            bias = leaf(grid(3, step=8)) if has_bias else None
            y = F.linear(x, weight, bias)
            (y * dy).sum().backward()
            put(f"{name}.x", x)
            put(f"{name}.weight", weight)
            put(f"{name}.y", y)
            put(f"{name}.dy", dy)
            put(f"{name}.dx", x.grad)
            put(f"{name}.dweight", weight.grad)
            if has_bias:
                put(f"{name}.bias", bias)
                put(f"{name}.dbias", bias.grad)


# ---- Optimizers: five steps of two parameters from given gradients.

# name: a function from parameters to the optimizer
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, 0.1, (0.9, 0.99)),
    "adam_999": lambda p: torch.optim.Adam(p, 0.1, (0.9, 0.999)),
    "adam_l2": lambda p: torch.optim.Adam(p, 0.1, (0.9, 0.99), weight_decay=0.25),
    "adam_large_eps": lambda p: torch.optim.Adam(p, 0.1, (0.9, 0.99), eps=0.25),
    "adamw": lambda p: torch.optim.AdamW(p, 0.1, (0.9, 0.99), weight_decay=0.25),
    "adamw_999": lambda p: torch.optim.AdamW(p, 0.1, (0.9, 0.999), weight_decay=0.25),
    "adamw_schedule": lambda p: torch.optim.AdamW(p, 0.1, (0.9, 0.99), weight_decay=0.25),
    "sgd": lambda p: torch.optim.SGD(p, 0.1),
    "sgd_weight_decay": lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.25),
    "sgd_momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "sgd_nesterov": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "sgd_nesterov_weight_decay": lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.25, nesterov=True),
}


def optimizers():
    with GoldenFile("optimizers") as put:
        starts = [grid(3, 4), grid(5)]
        gradients = [grid(5, 3, 4), grid(5, 5)]  # [step, ...]
        gradients[0][:, 0, 0] = 0  # never a gradient
        gradients[0][:3, 0, 1] = 0  # none at first
        gradients[1][:, 0] = 2.0**-24  # near Adam's eps
        gradients[1][:, 1] = 2.0**10
        learning_rates = torch.tensor([0.5, 0.25, 0.125, 0, 0.0625])  # of the schedule
        put("learning_rates", learning_rates)
        for i in range(2):
            put(f"start.{i}", starts[i])
            put(f"gradients.{i}", gradients[i])
        for name, make in OPTIMIZERS.items():
            parameters = [leaf(start) for start in starts]
            optimizer = make(parameters)
            history = []
            for step in range(5):
                if name.endswith("schedule"):
                    optimizer.param_groups[0]["lr"] = learning_rates[step].item()
                for parameter, gradient in zip(parameters, gradients):
                    parameter.grad = gradient[step].clone()
                optimizer.step()
                history.append([parameter.detach().clone() for parameter in parameters])
            for i in range(2):
                put(f"{name}.{i}", torch.stack([values[i] for values in history]))


# ---- Whole models: three steps of AdamW on one batch.

LABELS = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])


def images():
    """[8, 28, 28, 3] in -1..1 by a formula that test_golden.cpp has as well; multiples of 1/128."""
    n, i, j, c = torch.meshgrid(torch.arange(8), torch.arange(28), torch.arange(28), torch.arange(3), indexing="ij")
    return ((n + 1) * i * i + 3 * (n + 2) * j + 5 * i * j * (c + 1) + 50 * c) % 256 / 128 - 1


def simple_cnn(channels, batch_norm):
    layers = []
    for i in range(len(channels) - 1):
        norm = batch_norm and i + 2 < len(channels)
        layers += [nn.Conv2d(channels[i], channels[i + 1], 3, stride=2, padding=1, bias=not norm), nn.ReLU()]
        if norm:
            layers.append(nn.BatchNorm2d(channels[i + 1]))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def plain_loss(model, x, y):
    return F.cross_entropy(model(x), y)


def mixed_loss(model, x, y, batch_mean):
    image_lambda = LAMBDA.view(-1, 1, 1, 1)
    output = model(x * image_lambda + x[PERMUTATION] * (1 - image_lambda))
    own = F.cross_entropy(output, y, reduction="none")
    partner = F.cross_entropy(output, y[PERMUTATION], reduction="none")
    if batch_mean:
        return (own.mean() * LAMBDA + partner.mean() * (1 - LAMBDA)).mean()
    return (own * LAMBDA + partner * (1 - LAMBDA)).mean()


# name: batch norm, loss, the steps after which the parameters are written
MODELS = {
    "plain": (False, plain_loss, (1, 3)),
    "mixup": (False, lambda *a: mixed_loss(*a, batch_mean=False), (3,)),
    "mixup_batch_mean": (False, lambda *a: mixed_loss(*a, batch_mean=True), ()),
    "batch_norm": (True, plain_loss, (3,)),
}


def starting_parameters(channels):
    """Of the model with batch norm and the one without: the same, as far as both have them."""
    start = {}
    for name, parameter in simple_cnn(channels, True).named_parameters():
        shape = to_mixgrad(parameter).shape
        if len(shape) == 4:
            start[name] = grid(*shape, scale=(2 / shape[1:].numel()) ** 0.5)  # Kaiming's
        else:
            start[name] = grid(*shape, scale=0.25) + (1 if name in ("2.weight", "5.weight") else 0)
    start["0.bias"], start["3.bias"] = grid(channels[1], scale=0.25), grid(channels[2], scale=0.25)
    return start


def models():
    channels = (3, 16, 16, 2)
    with GoldenFile("simple_cnn_start") as put:
        start = starting_parameters(channels)
        for name, tensor in {"labels": LABELS, "lambda": LAMBDA, "permutation": PERMUTATION, **start}.items():
            put(name, tensor)
    for case, (batch_norm, loss_of, steps) in MODELS.items():
        with GoldenFile(f"simple_cnn_{case}", digits=9) as put:  # files of 17 digits would be twice the size
            model = simple_cnn(channels, batch_norm)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    # Without batch norm, the convolutions are layers 0, 2 and 4, not 0, 3 and 6.
                    with_norm = name if batch_norm else {"2": "3", "4": "6"}.get(name[0], "0") + name[1:]
                    parameter.copy_(from_mixgrad(start[with_norm]))
            optimizer = torch.optim.AdamW(model.parameters(), 3e-3, (0.9, 0.99), weight_decay=0.01)
            x, losses = nchw(images()), []
            for step in range(1, 4):
                optimizer.zero_grad()
                loss = loss_of(model, x, LABELS)
                loss.backward()
                losses.append(loss.detach())
                if step == 1:
                    for name, parameter in model.named_parameters():
                        put(f"gradient.{name}", to_mixgrad(parameter.grad))
                optimizer.step()
                if step in steps:
                    for name, parameter in model.named_parameters():
                        put(f"step{step}.{name}", to_mixgrad(parameter))
            put("losses", torch.stack(losses))
            for name, buffer in model.named_buffers():
                if buffer.is_floating_point():
                    put(f"step3.{name}", buffer)
            model.eval()
            with torch.no_grad():
                put("eval_logits", model(x))


if __name__ == "__main__":
    convolutions()
    batch_norms()
    log_softmaxes()
    cross_entropies()
    linears()
    optimizers()
    models()
    core_cases.make()
    nn_cases.make()
    cifar_cases.make()
