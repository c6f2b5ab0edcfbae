"""The PyTorch side of vs_torch.py: the networks of workloads.h in PyTorch, trained by a loop as its users write it.

usage: cpu_torch.py FOLDER THREADS      (FOLDER: what `mixgrad_bench_cpu prepare` wrote)

Reads one request a line from standard input, a JSON object, and answers each with another:
  {"do": "describe"}                                         versions and libraries
  {"do": "check", "workload", "batch", "layout"}             losses of the first steps, or outputs: mixgrad's and its own
  {"do": "time", "workload", "batch", "layout", "data", "optimizer", "seconds"}   images/s"""
import json, os, re, struct, sys, time
import torch
from torch import nn
from torch.nn import functional as F

FOLDER, THREADS = sys.argv[1], int(sys.argv[2])


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    types = {"F32": torch.float32, "I32": torch.int32, "U8": torch.uint8}
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        tensors[name] = torch.frombuffer(data[first:last], dtype=types[entry["dtype"]]).reshape(entry["shape"])
    return tensors


# ---- The networks; layers have the same numbers as mixgrad's.


def simple_cnn(channels, batch_norm=False):
    layers, last = [], len(channels) - 2
    for n, (i, o) in enumerate(zip(channels, channels[1:])):
        norm = batch_norm and n < last
        layers += [nn.Conv2d(i, o, 3, stride=2, padding=1, bias=not norm), nn.ReLU(inplace=True)]
        layers += [nn.BatchNorm2d(o)] if norm else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def lenet_style(dropout):
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(inplace=True), nn.Conv2d(32, 64, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Dropout(dropout), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(inplace=True), nn.Linear(128, 10))  # fmt: skip


class Residual(nn.Module):
    def __init__(self, *body):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x):
        return self.body(x) + x


def resnet(widths):
    def conv(i, o, stride):
        return [nn.Conv2d(i, o, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(o)]

    layers, channels = [], 3
    for width in widths:
        layers += [*conv(channels, width, 2), nn.ReLU(inplace=True)]
        layers += [Residual(*conv(width, width, 1), nn.ReLU(inplace=True), *conv(width, width, 1)), nn.ReLU(inplace=True)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Normalise(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def forward(self, x):
        return (x - self.mean.view(1, -1, 1, 1)) / self.deviation.view(1, -1, 1, 1)


class Scale(nn.Module):
    def forward(self, x):
        return x / 9


def airbench(widths):
    layers, channels = [Normalise(3), nn.Conv2d(3, 24, 2), nn.GELU()], 24
    for width in widths:
        for pooled in (True, False):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), *([nn.MaxPool2d(2)] if pooled else [])]
            layers += [nn.BatchNorm2d(width, eps=1e-12, momentum=0.4), nn.SiLU(inplace=True)]
            layers[-2].weight.requires_grad_(False)
            channels = width
    layers[1].weight.requires_grad_(False)
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(channels, 10, bias=False), Scale())


def make_model(workload, layout, dropout):
    if workload == "batch_norm":
        model = simple_cnn((1, 16, 32, 32, 10), batch_norm=True)
    elif workload == "lenet":
        model = lenet_style(dropout)
    elif workload == "mlp":
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 512), nn.ReLU(inplace=True), nn.Linear(512, 512), nn.ReLU(inplace=True),
            nn.Linear(512, 10))  # fmt: skip
    elif workload == "resnet":
        model = resnet((64, 128, 256))
    elif workload == "airbench":
        model = airbench((64, 256, 256))
    else:
        model = simple_cnn((3, 16, 16, 2))
    weights = read_safetensors(os.path.join(FOLDER, workload + ".weights.safetensors"))
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return model.to(memory_format=torch.channels_last) if layout == "channels-last" else model


# ---- The data, in memory, and a gather of some rows: f32 in [0, 1], as the layout has it.


class Data:
    def __init__(self, workload, layout, kind):
        file = read_safetensors(os.path.join(FOLDER, workload + ".safetensors"))
        images = file["images"]
        if workload in ("simple_cnn", "mixup", "inference_1", "inference_256"):
            images = images.expand(-1, -1, -1, 3)  # grey, in three channels
        if layout == "NCHW":
            images = images.permute(0, 3, 1, 2)
        # layout "flat": for networks that see no image
        self.images = images.contiguous() if kind == "bytes" else images.to(torch.float32).div_(255).contiguous()
        self.labels = file["labels"].long()
        self.layout, self.file = layout, file

    def mixed(self, rows, lam, partners):
        x, lam = self.gather(rows), lam.view(-1, 1, 1, 1)
        return self.arrange(torch.lerp(x.index_select(0, partners), x, lam))

    def gather(self, rows):
        x = self.images.index_select(0, rows)
        return x if x.dtype == torch.float32 else x.to(torch.float32).div_(255)

    def arrange(self, x):
        return x.permute(0, 3, 1, 2) if self.layout == "channels-last" else x


def make_optimizer(model, kind):
    options = dict(lr=3e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=1e-2)
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], **options, **{kind: True})


def step(model, optimizer, x, y, partner=None, lam=None):
    output = model(x)
    if partner is None:
        loss = F.cross_entropy(output, y)
    else:
        one, other = (F.cross_entropy(output, t, reduction="none") for t in (y, partner))
        loss = (lam * one + (1 - lam) * other).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


def check(workload, batch, layout):
    data, model = Data(workload, layout, "bytes"), make_model(workload, layout, dropout=0.0)
    if workload.startswith("inference"):
        model.eval()
        with torch.inference_mode():
            output = model(data.arrange(data.gather(torch.arange(batch))))
        return {"mixgrad": data.file["outputs"].flatten().tolist(), "torch": output.flatten().tolist()}
    optimizer, losses = make_optimizer(model, "foreach"), []
    for n, rows in enumerate(data.file["numbers"].long()):
        y = data.labels[rows]
        if workload == "mixup":
            lam, partners = data.file["lambda"][n], data.file["permutation"][n].long()
            losses.append(step(model, optimizer, data.mixed(rows, lam, partners), y, y[partners], lam))
        else:
            losses.append(step(model, optimizer, data.arrange(data.gather(rows)), y))
    return {"mixgrad": data.file["losses"].tolist(), "torch": losses}


def run(workload, batch, data, model, kind):
    """Makes steps for ever; yields after each."""
    if workload.startswith("inference"):
        model.eval()
        x = data.arrange(data.gather(torch.arange(batch)))
        with torch.inference_mode():
            while True:
                model(x)
                yield
    optimizer, beta = make_optimizer(model, kind), torch.distributions.Beta(0.4, 0.4)
    while True:
        order = torch.randperm(len(data.labels))
        steps = len(order) // batch
        if workload == "mixup":
            lams = beta.sample((steps, batch))
            lams = torch.maximum(lams, 1 - lams)
        for n in range(steps):
            rows = order[n * batch : (n + 1) * batch]
            y = data.labels.index_select(0, rows)
            if workload == "mixup":
                partners = torch.randperm(batch)
                x = data.mixed(rows, lams[n], partners)
                step(model, optimizer, x, y, y.index_select(0, partners), lams[n])
            else:
                step(model, optimizer, data.arrange(data.gather(rows)), y)
            yield


cached = {}  # the data of one workload


def measure(workload, batch, layout, data, optimizer, seconds):
    """Warms up for a quarter of the seconds, and three steps; then times whole steps."""
    if (workload, layout, data) not in cached:
        for other in [key for key in cached if key[0] != workload]:
            del cached[other]
        cached[workload, layout, data] = Data(workload, layout, data)
    model = make_model(workload, layout, dropout=0.25)
    steps = run(workload, batch, cached[workload, layout, data], model, optimizer)
    count, start = 0, time.perf_counter()
    while count < 3 or time.perf_counter() - start < seconds / 4:
        next(steps)
        count += 1
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        next(steps)
        count += 1
    return {"rate": count * batch / (time.perf_counter() - start)}


def has_fused():
    try:
        step(nn.Linear(2, 2), make_optimizer(nn.Linear(2, 2), "fused"), torch.rand(4, 2), torch.tensor([0, 1, 0, 1]))
        return True
    except RuntimeError:  # PyTorch before 2.4
        return False


def describe():
    config = torch.__config__.show()
    parts = (r"Math Kernel Library Version [\d.]+", r"MKL-DNN v[\d.]+", r"BLAS_INFO=\w+", r"CPU capability usage: \w+")
    found = [re.search(pattern, config) for pattern in parts]
    x = torch.rand(512, 512)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        x @ x
        times.append(time.perf_counter() - start)
    with open("/proc/self/maps") as maps:
        libraries = {line.split()[-1] for line in maps if re.search(r"/lib(c?blas|openblas|blis|atlas|mkl_rt)[^/]*\.so", line)}
    return {
        "version": torch.__version__,
        "config": [match.group(0) for match in found if match],
        "libraries": sorted(libraries),
        "gflops": 2e-9 * 512**3 / min(times),
        "fused": has_fused(),
    }


def main():
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"describe": describe, "check": check, "time": measure}[request.pop("do")](**request)
        print(json.dumps(answer), flush=True)


main()
