#!/usr/bin/env python3
"""Training speed of mixgrad beside PyTorch on the CPU: simple_cnn((3, 16, 16, 2)) on the 3s and 7s of MNIST, batch 64,
AdamW, without mixup. Both read the same files, keep the data in memory and time whole epochs of 193 full steps.

usage: vs_torch.py --app build/release/apps/train_mnist --data DIR [--rounds 7]      (with a Python that has torch)

The programs alternate, so that whatever else the machine does hits both. For PyTorch the best of 1 or 2 threads and of the
two memory layouts counts, for mixgrad the best of 1 or 2 threads. Prints each setting's median over the rounds (of the
median epoch, the first left out), its range, and the ratio of the two best medians."""
import argparse, csv, gzip, json, os, statistics, struct, subprocess, sys, tempfile, time

EPOCHS = 6
PEER = ("threads 1", "threads 2", "threads 1 channels-last", "threads 2 channels-last")


def idx(folder, name):
    import numpy, torch

    path = os.path.join(folder, name)
    data = open(path, "rb").read() if os.path.exists(path) else gzip.open(path + ".gz").read()
    axes = data[3]
    shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    return torch.from_numpy(numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * axes).reshape(shape).copy())


def peer(folder, threads, channels_last):
    """One PyTorch training; prints images/s of each epoch."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    images, labels = idx(folder, "train-images-idx3-ubyte"), idx(folder, "train-labels-idx1-ubyte")
    keep = (labels == 3) | (labels == 7)
    x = (images[keep].float() / 255).unsqueeze(1).expand(-1, 3, -1, -1).contiguous()
    y = (labels[keep] == 7).long()
    layers = []
    for i, o in ((3, 16), (16, 16), (16, 2)):
        layers += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.ReLU(inplace=True)]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99), weight_decay=1e-2)
    rates = []
    for _ in range(EPOCHS):
        start, order = time.perf_counter(), torch.randperm(len(x))
        steps = len(x) // 64
        for step in range(steps):
            rows = order[64 * step : 64 * (step + 1)]
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss.item()
        rates.append(64 * steps / (time.perf_counter() - start))
    print(json.dumps({"version": torch.__version__, "rates": rates}))


def mixgrad_rate(app, folder, threads):
    with tempfile.TemporaryDirectory() as out:
        command = [app, "--data", folder, "--no-mixup", "--epochs", str(EPOCHS), "--threads", str(threads), "--out", out]
        subprocess.run(command, check=True, capture_output=True)
        with open(os.path.join(out, "metrics.csv")) as file:
            return statistics.median([float(row["images_per_s"]) for row in csv.DictReader(file)][1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", default="build/release/apps/train_mnist")
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer", choices=PEER, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.peer:
        return peer(a.data, int(a.peer.split()[1]), "channels-last" in a.peer)

    rates = {}
    for _ in range(a.rounds):
        for threads in (1, 2):
            rates.setdefault(f"mixgrad threads {threads}", []).append(mixgrad_rate(a.app, a.data, threads))
        for setting in PEER:
            command = [sys.executable, __file__, "--data", a.data, "--peer", setting]
            result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            name = f"PyTorch {result['version']} {setting}"
            rates.setdefault(name, []).append(statistics.median(result["rates"][1:]))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"{name:42} {medians[name]:9.0f} images/s  ({min(values):.0f} to {max(values):.0f}, {len(values)} runs)")
    best = {who: max(rate for name, rate in medians.items() if name.startswith(who)) for who in ("mixgrad", "PyTorch")}
    print(f"mixgrad / PyTorch: {best['mixgrad'] / best['PyTorch']:.2f}")
    by_threads = {t: max(r for n, r in medians.items() if n.startswith("PyTorch") and f"threads {t}" in n) for t in (1, 2)}
    if by_threads[2] < by_threads[1]:
        print("PyTorch's 2 threads were slower than its 1: something else was running; repeat.")


main()
