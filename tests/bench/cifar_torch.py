#!/usr/bin/env python3
"""CIFAR-10 trained by PyTorch, in f32 without TF32, with the recipes airbench, muon, fast and wrn22: accuracy, time and memory.

A line for each epoch has the mean loss, the accuracy on the test images and the seconds of training. At the end come the
accuracies without and with test-time augmentation; the time, which is whitening, training and the last evaluation; and the
peak of memory. To be timed in turn with another program: --steps N trains N steps and prints their seconds; --serve does that
for each line "step N" on standard input."""
import argparse, itertools, math, os, resource, sys, time
from dataclasses import dataclass, field
import torch
from torch import nn
from torch.nn import functional as F

# ---- The recipes. t is the number of steps done, T that of all, p = t / T.


@dataclass
class Recipe:
    epochs: float
    batch: int
    smoothing: float = 0
    groups: dict = field(default_factory=dict)  # of parameters: lr, momentum and L2 coefficient; of Muon's filters the decay
    muon: tuple = ()  # a, b, c and eps; else filters have SGD as well
    always_normalised: bool = True  # Muon's filters, before each step; else every 2 + floor(15 t/T)
    lr_rises: bool = False  # from .2 to 1 over 23 % of the steps, then down to .07; else from 1 to 0
    whitening_steps: int = 0  # that train the whitening's bias; 0: 3 epochs
    whitening_line: bool = True  # its lr has a line of its own to 0
    whitening_images: int = 5000
    lookahead: bool = False
    activation: type = nn.GELU
    batch_norm_momentum: float = 0.4
    scale: float = 1 / 256  # of the logits
    plain_start: bool = False  # head as PyTorch makes it, whitening's bias 0; else head of deviation 1, bias +-1/sqrt(12)
    border: int = 2  # crops reach so far into the reflected border
    jitter: tuple = ()  # of brightness and contrast
    mixup: float = 0  # alpha; flips are drawn anew each time then, and else once, to be turned round in odd epochs
    tta: str = "all"  # "unsure": of the 25 % of images whose largest probability is least; "none"


PLAIN = (1.46484e-3, 0.85, 1.3623)
RECIPES = {
    "airbench": Recipe(
        9.9, 1024, 0.2, {"filters": PLAIN, "shifts": (0.09375, 0.85, 0.021286), "whitening": PLAIN, "head": PLAIN},
        lr_rises=True, whitening_line=False, lookahead=True, scale=1 / 9, plain_start=True),
    "muon": Recipe(
        8, 2000, 0.2, {"filters": (0.24, 0.6, 0), "shifts": (0.053, 0.85, 0.07547), "whitening": (0.053, 0.85, 0.07547),
                       "head": (0.67, 0.85, 0.00597)}, (3.4445, -4.7750, 2.0315, 1e-7)),
    "fast": Recipe(
        7.59, 1536, 0.09, {"filters": (0.205, 0.655, 1.6002e-3), "shifts": (0.0573, 0.825, 0.02793),
                           "whitening": (0.0573, 0.825, 0.02793), "head": (0.5415, 0.825, 0.002955)},
        (3.4576, -4.7391, 2.0843, 1e-5), always_normalised=False, whitening_steps=7, whitening_images=960,
        activation=nn.SiLU, batch_norm_momentum=0.4434, jitter=(0.1399, 0.1308), tta="unsure"),
    "wrn22": Recipe(24, 512, border=4, mixup=0.4, tta="none"),
}  # fmt: skip


# ---- The data: bytes, from which each batch is gathered, cropped and flipped.


class Data:
    def __init__(self, folder, names, device, layout):
        below = os.path.join(folder, "cifar-10-batches-bin")
        folder = below if os.path.isdir(below) else folder
        files = [bytearray(open(os.path.join(folder, name), "rb").read()) for name in names]
        records = [torch.frombuffer(file, dtype=torch.uint8).view(-1, 3073) for file in files]
        self.images = torch.cat([part[:, 1:] for part in records]).view(-1, 3, 32, 32).to(device)
        self.labels = torch.cat([part[:, 0] for part in records]).long().to(device)
        self.device, self.layout = device, layout
        self.mean = torch.tensor([0.4914, 0.4822, 0.4465], device=device).view(1, 3, 1, 1)
        self.deviation = torch.tensor([0.2470, 0.2435, 0.2616], device=device).view(1, 3, 1, 1)

    def __len__(self):
        return len(self.labels)

    def gather(self, rows, dy=0, dx=0, flip=0):
        """Images [N, 3, 32, 32], normalised: what a window shifted by dy, dx sees, the border being reflected; then mirrored
        where flip is 1. These are one for all, or [N, 1]."""
        places = torch.arange(32, device=self.device).view(1, -1)
        channels = torch.arange(3, device=self.device).view(1, 3, 1, 1)
        mirrored = places + flip * (31 - 2 * places)
        y, x = (31 - (31 - shifted.abs()).abs() for shifted in (places + dy, mirrored + dx))
        pixels = self.images[rows.view(-1, 1, 1, 1), channels, y.view(-1, 1, 32, 1), x.view(-1, 1, 1, 32)]
        return ((pixels.float() / 255 - self.mean) / self.deviation).contiguous(memory_format=self.layout)


class Batches:
    """An epoch's batches, shuffled and augmented: x and (labels,), with mixup x and (labels, the partners' labels, lambda)."""

    def __init__(self, data, recipe, batch):
        self.data, self.recipe, self.batch = data, recipe, batch
        self.flips = torch.randint(2, (len(data), 1), device=data.device)

    def __len__(self):
        return len(self.data) // self.batch

    def epoch(self, number):
        data, recipe, shape = self.data, self.recipe, (self.batch, 1)
        for rows in torch.randperm(len(data), device=data.device).split(self.batch)[: len(self)]:
            dy, dx = (torch.randint(-recipe.border, recipe.border + 1, shape, device=data.device) for _ in "yx")
            flip = torch.randint(2, shape, device=data.device) if recipe.mixup else self.flips[rows] ^ number % 2
            x, labels = data.gather(rows, dy, dx, flip), data.labels[rows]
            if recipe.jitter:
                u, v = (torch.rand(self.batch, 1, 1, 1, device=data.device) * 2 - 1 for _ in "uv")
                x = (x + recipe.jitter[0] * u) * (1 + recipe.jitter[1] * v)
            if not recipe.mixup:
                yield x, (labels,)
                continue
            lam = torch.distributions.Beta(recipe.mixup, recipe.mixup).sample((self.batch,)).to(data.device)
            lam, partners = torch.maximum(lam, 1 - lam), torch.randperm(self.batch, device=data.device)
            yield torch.lerp(x[partners], x, lam.view(-1, 1, 1, 1)), (labels, labels[partners], lam)


# ---- The networks


def whitening_filters(x, eps=5e-4):
    """[24, 3, 2, 2]: eigenvectors of the uncentred covariance of 2x2 patches, by sqrt(eigenvalue + eps); their negatives."""
    patches = F.unfold(x, 2).transpose(1, 2).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / (values + eps).sqrt()).T.reshape(12, 3, 2, 2)
    return torch.cat((filters, -filters))


def airbench(recipe, widths, filters):
    whitening = nn.Conv2d(3, 24, 2)  # its bias: uniform in +-1/sqrt(12)
    whitening.weight = nn.Parameter(filters, requires_grad=False)
    layers, channels = [whitening, nn.GELU()], 24
    for width in widths:
        for pooled in (True, False):
            filter = nn.Conv2d(channels, width, 3, padding=1, bias=False)  # uniform in +-1/sqrt(fan in)
            nn.init.dirac_(filter.weight.data[:channels])
            norm = nn.BatchNorm2d(width, eps=1e-12, momentum=recipe.batch_norm_momentum)
            norm.weight.requires_grad_(False)
            layers += [filter, *[nn.MaxPool2d(2)] * pooled, norm, recipe.activation()]
            channels = width
    head = nn.Linear(channels, 10, bias=False)  # uniform in +-1/sqrt(channels)
    head.register_forward_hook(lambda head, x, logits: logits * recipe.scale)
    with torch.no_grad():
        if recipe.plain_start:
            whitening.bias.zero_()
        else:
            head.weight /= head.weight.std()
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), head)


class PreActivationBlock(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(inplace=True))
        self.body = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after),
                                  nn.ReLU(inplace=True), nn.Conv2d(after, after, 3, 1, 1, bias=False))  # fmt: skip
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else None

    def forward(self, x):
        a = self.first(x)
        return 0.2 * self.body(a) + (self.shortcut(a) if self.shortcut else x)


def wide_resnet(depth, k):
    layers, channels = [nn.Conv2d(3, 16, 3, padding=1, bias=False)], 16
    for width in (16 * k, 32 * k, 64 * k):
        for block in range((depth - 4) // 6):
            layers.append(PreActivationBlock(channels, width, 2 if block == 0 and width > 16 * k else 1))
            channels = width
    model = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(channels, 10))  # fmt: skip
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return model


# ---- A step of each


def orthogonal(u, a, b, c, eps):
    """Three Newton-Schulz iterations on u as [out, all else]: singular values near 1."""
    x = u.flatten(1) / (u.norm() + eps)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(3):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return (x.T if tall else x).view(u.shape)


class AirbenchSteps:
    """Called for step t, from 0, of all: trains on the sum of the losses; returns their mean."""

    def __init__(self, model, recipe, per_epoch, total):
        self.model, self.recipe, self.per_epoch, self.total = model, recipe, per_epoch, total
        self.whitening_steps = recipe.whitening_steps or 3 * per_epoch
        self.bias = model[0].bias
        parameters = {"whitening": [self.bias], "head": [model[-1].weight],
                      "filters": [layer.weight for layer in model[1:] if isinstance(layer, nn.Conv2d)],
                      "shifts": [layer.bias for layer in model if isinstance(layer, nn.BatchNorm2d)]}  # fmt: skip
        self.filters = parameters.pop("filters") if recipe.muon else []
        self.velocities, self.last_normalised, self.slow = [torch.zeros_like(w) for w in self.filters], 0, None
        groups = [dict(name=name, params=params, momentum=recipe.groups[name][1], weight_decay=recipe.groups[name][2])
                  for name, params in parameters.items()]  # fmt: skip
        self.sgd = torch.optim.SGD(groups, momentum=0.9, nesterov=True)  # each group has its own

    def __call__(self, t, x, y):
        recipe, p = self.recipe, t / self.total
        self.bias.requires_grad_(t < self.whitening_steps)
        loss = F.cross_entropy(self.model(x), *y, label_smoothing=recipe.smoothing, reduction="sum")
        loss.backward()
        factor = 1 - p if not recipe.lr_rises else 0.2 + 0.8 * p / 0.23 if p < 0.23 else 1 - 0.93 * (p - 0.23) / 0.77
        for group in self.sgd.param_groups:
            own_line = group["name"] == "whitening" and recipe.whitening_line
            group["lr"] = recipe.groups[group["name"]][0] * (1 - t / self.whitening_steps if own_line else factor)
        self.sgd.step()  # g += L2 w; v = momentum v + g; w -= lr (g + momentum v); not where there is no gradient
        if recipe.muon:
            self.muon(t + 1, factor)
        self.model.zero_grad()
        if recipe.lookahead and t >= 3 * self.per_epoch and (t + 1) % 5 == 0:
            self.look_ahead(0.95**5 * ((t + 1) / self.total) ** 3)
        return loss.detach() / len(x)

    @torch.no_grad()
    def muon(self, step, factor):
        lr, momentum, decay = self.recipe.groups["filters"]
        normalise = self.recipe.always_normalised or step - self.last_normalised >= 2 + 15 * step // self.total
        self.last_normalised = step if normalise else self.last_normalised
        for w, v in zip(self.filters, self.velocities):
            v.mul_(momentum).add_(w.grad)
            if normalise:
                w *= math.sqrt(len(w)) / w.norm()
            w.sub_(orthogonal(w.grad + momentum * v, *self.recipe.muon), alpha=lr * factor)
            w *= 1 - lr * factor * decay

    @torch.no_grad()
    def look_ahead(self, d):
        """slow += (1 - d) (fast - slow); fast = slow; the first time slow = fast."""
        state = {name: value for name, value in self.model.state_dict().items() if value.is_floating_point()}
        self.slow = self.slow or {name: value.clone() for name, value in state.items()}
        for name, fast in state.items():
            fast.copy_(self.slow[name].lerp_(fast, 1 - d))

    def end_epoch(self):
        if self.slow:
            self.look_ahead(1)


class WideResnetSteps:
    def __init__(self, model, total):
        self.model, self.total = model, total
        self.optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.2)

    def __call__(self, t, x, y):
        output = self.model(x)
        own, partner = (F.cross_entropy(output, labels, reduction="none") for labels in y[:2])
        loss = torch.lerp(partner, own, y[2]).mean()
        loss.backward()
        lr, momentum = self.one_cycle(t, 3e-4, 3e-3, 3e-8), self.one_cycle(t, 0.95, 0.85, 0.95)
        self.optimizer.param_groups[0].update(lr=lr, betas=(momentum, 0.99))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def one_cycle(self, t, low, high, end):
        """By a cosine from low to high in the first half of training, by another to the end."""
        p = 2 * t / self.total
        first, last, share = (low, high, p) if p < 1 else (high, end, p - 1)
        return last + (first - last) * (1 + math.cos(math.pi * share)) / 2

    def end_epoch(self):
        """Nothing is left to be done."""


def start(options, recipe, batches):
    """A new network and its optimizers: whitens, and returns what takes the steps."""
    data, total = batches.data, math.ceil(options.epochs * len(batches))
    if options.recipe == "wrn22":
        model = wide_resnet(22, max(1, round(6 * options.width)))
    else:
        filters = whitening_filters(data.gather(torch.arange(min(recipe.whitening_images, len(data)), device=data.device)))
        model = airbench(recipe, [max(1, round(width * options.width)) for width in (64, 256, 256)], filters)
    model = model.to(data.device, memory_format=data.layout)
    return WideResnetSteps(model, total) if options.recipe == "wrn22" else AirbenchSteps(model, recipe, len(batches), total)


# ---- Evaluation and training


@torch.no_grad()
def predict(model, data, rows, views):
    """The logits [N, 10] of some images: a sum over views (weight, shift, flip)."""
    model.eval()
    parts = rows.split(500)
    return torch.cat([sum(a * model(data.gather(part, by, by, flip)) for a, by, flip in views) for part in parts])


def evaluate(model, data, tta):
    """The accuracies without and with test-time augmentation."""
    rows = torch.arange(len(data), device=data.device)
    logits = predict(model, data, rows, [(1, 0, 0)])
    plain = (logits.argmax(1) == data.labels).float().mean().item()
    shifted = [(shift, flip) for shift in (-1, 1) for flip in (0, 1)]
    if tta == "all":
        logits = logits / 4 + predict(model, data, rows, [(1 / 4, 0, 1)] + [(1 / 8, *view) for view in shifted])
    if tta == "unsure":
        unsure = logits.softmax(1).amax(1).topk(len(data) // 4, largest=False).indices
        logits[unsure] = predict(model, data, unsure, [(1 / 6, *view) for view in [(0, 0), (0, 1), *shifted]])
    return plain, (logits.argmax(1) == data.labels).float().mean().item()


def seconds_now(device):
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def train(options, recipe, batches, test):
    device = test.device
    begin = seconds_now(device)
    steps, t, uncounted = start(options, recipe, batches), 0, 0
    while t < steps.total:
        epoch_begin, losses = seconds_now(device), []
        steps.model.train()
        for x, y in itertools.islice(batches.epoch(t // len(batches)), steps.total - t):
            losses.append(steps(t, x, y))
            t += 1
        steps.end_epoch()
        epoch_end = seconds_now(device)
        accuracy = evaluate(steps.model, test, "none")[0]
        print(f"epoch {t / len(batches):.2f}: loss {torch.stack(losses).mean():.4f}, accuracy {100 * accuracy:.2f} %, "
              f"{epoch_end - epoch_begin:.2f} s", flush=True)  # fmt: skip
        uncounted += seconds_now(device) - epoch_end
    plain, augmented = evaluate(steps.model, test, "none" if options.no_tta else recipe.tta)
    print(f"accuracy {100 * plain:.2f} %, with test-time augmentation {100 * augmented:.2f} %")
    print(f"{t} steps, {seconds_now(device) - begin - uncounted:.2f} s")


def endless(options, recipe, batches):
    """Trains for ever; yields after each step. The schedule stays near its beginning."""
    steps, t = start(argparse.Namespace(**vars(options) | {"epochs": 10**6}), recipe, batches), 0
    while True:
        for x, y in batches.epoch(t // len(batches)):
            steps(t, x, y)
            t += 1
            yield


def timed(steps, count, device):
    begin = seconds_now(device)
    for _ in range(count):
        next(steps)
    return seconds_now(device) - begin


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of the six .bin files, or of cifar-10-batches-bin")
    parser.add_argument("--recipe", choices=RECIPES, default="fast")
    parser.add_argument("--epochs", type=float, help="default: the recipe's")
    parser.add_argument("--batch-size", type=int, help="default: the recipe's")
    parser.add_argument("--width", type=float, default=1, help="a factor on the widths")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--layout", choices=("nchw", "channels-last"), default="channels-last")
    parser.add_argument("--no-tta", action="store_true", help="no test-time augmentation")
    parser.add_argument("--steps", type=int, help="time so many steps, after two to warm up")
    parser.add_argument("--serve", action="store_true", help='answer each line "step N" by "seconds S"')
    return parser.parse_args()


def main():
    options = parse()
    recipe, device = RECIPES[options.recipe], options.device
    options.epochs, options.batch_size = options.epochs or recipe.epochs, options.batch_size or recipe.batch
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if options.layout == "channels-last" else torch.contiguous_format
    names = [f"data_batch_{n}.bin" for n in range(1, 6)]
    batches = Batches(Data(options.data, names, device, layout), recipe, options.batch_size)
    if options.steps or options.serve or device.type == "cuda":
        steps = endless(options, recipe, batches)
        timed(steps, 2, device)
    if options.steps:
        print(f"{options.steps} steps, {timed(steps, options.steps, device):.3f} s")
    elif options.serve:
        for line in sys.stdin:
            print(f"seconds {timed(steps, int(line.split()[1]), device):.6f}", flush=True)
    else:
        train(options, recipe, batches, Data(options.data, ["test_batch.bin"], device, layout))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    if device.type == "cuda":
        print(f"peak memory of the GPU {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")


main()
