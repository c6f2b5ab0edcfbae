#!/usr/bin/env python3
"""PyTorch's figures beside those of gpu_figures, on the same GPU: an epoch of simple_cnn on 3s and 7s, eager; convolutions
in f32 with TF32 off, each in the better of its two memory layouts. CUDA events, medians after a warm-up.

usage: gpu_torch.py      (MNIST in $MIXGRAD_DATA/mnist; without it, as many random images)"""
import gzip, os, statistics, struct, time

import torch
from torch import nn

BATCH = 64
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True


def seconds(f, rounds=9, calls=5):
    for _ in range(3):
        f()
    times = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(calls):
            f()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3 / calls)
    return statistics.median(times)


def convolutions():
    print(f"\nPyTorch: convolution 3x3 in f32, TFLOP/s{'':11} {'forward':>8} {'input gradient':>15} {'weight gradient':>16}")
    for channels, out, size in ((24, 64, 31), (64, 64, 15), (64, 256, 15), (256, 256, 7)):
        flop = 2 * 9 * 1024 * size * size * channels * out
        best = [0, 0, 0]
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(1024, channels, size, size, device="cuda").to(memory_format=layout)
            w = torch.randn(out, channels, 3, 3, device="cuda").to(memory_format=layout)
            dy = torch.randn(1024, out, size, size, device="cuda").to(memory_format=layout)

            def backward(which):
                torch.ops.aten.convolution_backward(dy, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, which)

            parts = (
                lambda: torch.conv2d(x, w, padding=1),
                lambda: backward([True, False, False]),
                lambda: backward([False, True, False]),
            )
            best = [max(old, flop / seconds(part) / 1e12) for old, part in zip(best, parts)]
        rates = f"{best[0]:30.2f} {best[1]:15.2f} {best[2]:16.2f}"
        print(f"       {channels:3} -> {out:3} @ {size:2}, batch 1024 {rates}")


def read_idx(name):
    path = os.path.join(os.environ["MIXGRAD_DATA"], "mnist", name)
    data = open(path, "rb").read() if os.path.exists(path) else gzip.open(path + ".gz").read()
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    return torch.frombuffer(bytearray(data[4 + 4 * data[3] :]), dtype=torch.uint8).reshape(shape)


def threes_and_sevens():
    try:
        images, labels = read_idx("train-images-idx3-ubyte"), read_idx("train-labels-idx1-ubyte")
    except (KeyError, OSError):
        return torch.randint(0, 256, (12396, 28, 28), dtype=torch.uint8), torch.randint(0, 2, (12396,))
    keep = (labels == 3) | (labels == 7)
    return images[keep], (labels[keep] == 7).long()


def epochs():
    images, y = (t.cuda() for t in threes_and_sevens())
    x = (images.float() / 255).unsqueeze(1).expand(-1, 3, -1, -1).contiguous()
    steps = len(x) // BATCH
    print(f"\nPyTorch {torch.__version__}, eager: an epoch of {steps} steps, batch {BATCH}, data on the device")
    for mixup in (False, True):
        for layout in ("channels-first", "channels-last"):
            torch.manual_seed(0)
            layers = []
            for i, o in ((3, 16), (16, 16), (16, 2)):
                layers += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.ReLU(inplace=True)]
            model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).cuda()
            inputs = x
            if layout == "channels-last":
                model, inputs = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
            optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)
            beta = torch.distributions.Beta(0.4, 0.4)
            times = []
            for _ in range(11):
                torch.cuda.synchronize()
                start, total = time.perf_counter(), torch.zeros((), device="cuda")
                order = torch.randperm(len(x), device="cuda")
                if mixup:
                    t = beta.sample((steps, BATCH)).cuda()
                    lambdas = torch.maximum(t, 1 - t)
                for step in range(steps):
                    rows = order[BATCH * step : BATCH * (step + 1)]
                    images, labels = inputs[rows], y[rows]
                    if mixup:
                        share, partner = lambdas[step], torch.randperm(BATCH, device="cuda")
                        images = torch.lerp(images[partner], images, share.view(-1, 1, 1, 1))
                        output = model(images)
                        own = nn.functional.cross_entropy(output, labels, reduction="none")
                        other = nn.functional.cross_entropy(output, labels[partner], reduction="none")
                        loss = (share * own + (1 - share) * other).mean()
                    else:
                        loss = nn.functional.cross_entropy(model(images), labels)
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
                    total += loss.detach()
                total.item()
                times.append((time.perf_counter() - start) * 1e3)
            times = times[1:]
            print(
                f"       {'mixup' if mixup else 'without mixup':14} {layout:16} {statistics.median(times):8.2f} ms"
                f"  ({min(times):.2f} to {max(times):.2f})"
            )


convolutions()
epochs()
