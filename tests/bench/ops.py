#!/usr/bin/env python3
"""Each operation's speed beside PyTorch's on the CPU; ops.sh builds what this needs and calls it.

Both sides are given the same shapes, with one thread each and with two. Of PyTorch the quicker memory layout of images counts. The two
programs take turns for some rounds; figures are medians over the rounds of the median time of a call. A case meets its target when
PyTorch's time is at least 0.95 of mixgrad's, or mixgrad reaches 90 % of the machine's copy rate or 80 % of its multiply-adds."""
import argparse, json, math, os, platform, re, statistics, subprocess, sys, time

NHWC = re.compile(r"^(batch_norm|max_pool2|avg_pool2|global_avg_pool|conv)")


def torch_case(name):
    """The function, its inputs, and for images the same in the other layout."""
    import torch
    import torch.nn.functional as F

    torch.manual_seed(0)
    op, _, rest = name.partition(" ")
    numbers = [float(n) if "." in n else int(n) for n in re.findall(r"\d+\.?\d*", rest)]
    normal = lambda *shape: torch.randn(shape)
    positive = lambda *shape: torch.rand(shape) * 1.5 + 0.5
    labels = lambda n, classes: torch.arange(n) * 7919 % classes
    last = numbers[-1]
    unary = {
        "neg": torch.neg, "abs": torch.abs, "sqrt": torch.sqrt, "exp": torch.exp, "log": torch.log, "relu": torch.relu,
        "tanh": torch.tanh, "sigmoid": torch.sigmoid, "softplus": F.softplus, "silu": F.silu, "gelu": F.gelu,
        "softmax": lambda x: torch.softmax(x, -1), "log_softmax": lambda x: torch.log_softmax(x, -1),
        "clamp": lambda x: torch.clamp(x, -1, 1), "leaky_relu": F.leaky_relu,
        "argmax": lambda x: torch.argmax(x, 1),
    }  # fmt: skip
    if op in unary:
        return unary[op], [positive(*numbers) if op in ("sqrt", "log") else normal(*numbers)]
    if op.startswith("pow_"):
        e = float(op[4:])
        return lambda x: torch.pow(x, e), [positive(*numbers)]
    binary, _, what = op.partition("_")
    if binary in ("add", "sub", "mul", "div"):
        other = {"": numbers, "scalar": [], "row": numbers[1:], "column": [numbers[0], 1]}[what]
        return getattr(torch, binary), [positive(*numbers), positive(*other)]
    if binary in ("sum", "mean", "max") and what in ("all", "0", "1"):
        if what == "all":
            return (torch.amax if binary == "max" else getattr(torch, binary)), [normal(*numbers)]
        axis = int(what)
        if binary == "max":
            return lambda x: torch.max(x, axis)[0], [normal(*numbers)]
        return lambda x: getattr(torch, binary)(x, axis), [normal(*numbers)]
    if op == "less":
        return lambda a, b: a.detach() < b.detach(), [normal(*numbers), normal(*numbers)]
    if op == "where":
        return torch.where, [normal(*numbers) < normal(*numbers), normal(*numbers), normal(*numbers)]
    if op == "cross_entropy":
        return F.cross_entropy, [normal(*numbers), labels(*numbers)]
    if op in ("mse", "l1", "bce_with_logits"):
        f = {"mse": F.mse_loss, "l1": F.l1_loss, "bce_with_logits": F.binary_cross_entropy_with_logits}[op]
        return lambda x, y: f(x, y.detach()), [normal(*numbers), torch.sigmoid(normal(*numbers))]
    if op == "layer_norm":
        return lambda x, w, b: F.layer_norm(x, (last,), w, b), [normal(*numbers), normal(last), normal(last)]
    if op == "matmul":
        m, k, n = numbers
        return torch.matmul, [normal(m, k), normal(k, n)]
    if op == "linear":
        m, k, n = numbers
        return F.linear, [normal(m, k), normal(n, k), normal(n)]
    if op == "transpose":
        return lambda x: x.transpose(-1, -2).contiguous(), [normal(*numbers)]
    if op == "concat_1":
        return lambda a, b: torch.cat([a, b], 1), [normal(*numbers), normal(*numbers)]
    if op == "gather":
        return lambda x, i: x[i], [normal(*numbers), labels(*numbers)]
    if op == "one_hot":
        return lambda i: F.one_hot(i, last).float(), [labels(*numbers)]
    if op == "dropout":
        return lambda x: F.dropout(x, 0.5, True), [normal(*numbers)]
    if op == "conv":
        k, _, cin, cout, size, stride, groups, batch = numbers
        return (lambda x, w, b: F.conv2d(x, w, b, stride=stride, padding=k // 2, groups=groups),
                [normal(batch, cin, size, size), normal(cout, cin // groups, k, k) * 0.1, normal(cout)])  # fmt: skip
    n, h, w, c = numbers
    if op == "batch_norm":
        mean, var = torch.zeros(c), torch.ones(c)
        return lambda x, g, b: F.batch_norm(x, mean, var, g, b, True), [normal(n, c, h, w), normal(c), normal(c)]
    f = {"max_pool2": lambda x: F.max_pool2d(x, 2), "avg_pool2": lambda x: F.avg_pool2d(x, 2),
         "global_avg_pool": lambda x: F.adaptive_avg_pool2d(x, 1)}[op]  # fmt: skip
    return f, [normal(n, c, h, w)]


def worker(threads):
    import torch

    torch.set_num_threads(threads)
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        seconds, direction, name = line.rstrip("\n").split(" ", 2)
        f, inputs = torch_case(name)
        layouts = [inputs]
        if NHWC.match(name):
            layouts.append([x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs])
        best = math.inf
        for inputs in layouts:
            leaves = [x for x in inputs if x.dtype == torch.float32]
            for x in leaves:
                x.requires_grad_(direction == "backward")

            def call():
                if direction == "forward":
                    with torch.no_grad():
                        return f(*inputs)
                f(*inputs).backward(dy)
                for x in leaves:
                    x.grad = None

            dy = None
            if direction == "backward":
                y = f(*inputs)
                if not y.requires_grad:
                    continue
                dy = torch.randn_like(y)
            call(), call()
            times, start = [], time.perf_counter()
            while time.perf_counter() - start < float(seconds) or len(times) < 3:
                begin = time.perf_counter()
                call()
                times.append((time.perf_counter() - begin) * 1e6)
            best = min(best, statistics.median(times))
        print(f"{best:.3f}", flush=True)


# Else glibc gives large tensors back to the system at once, and PyTorch's times are those of page faults.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "4294967296"}


class Side:
    def __init__(self, command, **env):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | env)

    def time(self, seconds, direction, name):
        self.process.stdin.write(f"{seconds} {direction} {name}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"ops: the program ended at {name}, {direction}")
        return float(answer)


def processor():
    with open("/proc/cpuinfo") as lines:
        info = dict(line.split(":", 1) for line in lines.read().replace("\t", "").splitlines() if ":" in line)
    flags = info.get("flags", "").split()
    kind = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return f"{info.get('model name', platform.machine()).strip()}, {kind}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--worker", type=int)
    parser.add_argument("--cases", default="", help="a regular expression")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="of each measurement")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker)
    listed = subprocess.run([options.program, "list"], check=True, stdout=subprocess.PIPE, text=True).stdout
    cases = [json.loads(line) for line in listed.splitlines()]
    cases = [case for case in cases if re.search(options.cases, case["name"])]
    if not cases:
        sys.exit(f"ops: no case matches {options.cases}")
    rows, ratios, below, excused = [], [], [], []
    for threads in map(int, options.threads.split(",")):
        peak = json.loads(subprocess.run([options.program, "peak", str(threads)], check=True, stdout=subprocess.PIPE, text=True).stdout)
        ours = Side([options.program, "serve", str(threads)])
        theirs = Side([sys.executable, __file__, "--program", options.program, "--worker", str(threads)], **KEEP_MEMORY)
        version = json.loads(theirs.process.stdout.readline())["torch"]
        for case in cases:
            for direction in ("forward", "backward"):
                if not ours.time(0, direction, case["name"]):
                    continue
                pairs = [(theirs.time(options.seconds, direction, case["name"]), ours.time(options.seconds, direction, case["name"]))
                         for _ in range(options.rounds)]  # fmt: skip
                torch_us, our_us = (statistics.median(side) for side in zip(*pairs))
                ratio = torch_us / our_us
                share = ""
                if case["flops"]:
                    used = case["flops"] * (1 if direction == "forward" else 3) / our_us * 1e-3 / peak["gflops"]
                    share = f"{100 * used:.0f} % of multiply-adds"
                elif direction == "forward":
                    used = case["bytes"] / our_us * 1e-3 / peak["gbytes"]
                    share = f"{100 * used:.0f} % of a copy"
                else:
                    used = 0
                ratios.append(ratio)
                if ratio < 0.95:
                    fine = used >= (0.8 if case["flops"] else 0.9)
                    (excused if fine else below).append((ratio, case["name"], direction, threads))
                rows.append((case["name"], direction, threads, our_us, torch_us, ratio, share))
                print(f"{case['name']:55s} {direction:8s} {threads}  {our_us:10.1f} {torch_us:10.1f}  {ratio:6.2f}  {share}", flush=True)
        for side in (ours, theirs):
            side.process.stdin.close()
            side.process.wait()
        print(f"{threads} thread(s): {peak['gflops']} GFLOP/s of multiply-adds, {peak['gbytes']} GB/s of a copy of 4 MB")
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    summary = (f"{processor()}; PyTorch {version}: geometric mean {mean:.2f} of {len(ratios)}, {len(below)} below 0.95, "
               f"{len(excused)} more that reach the machine's limits")  # fmt: skip
    print(summary)
    for ratio, name, direction, threads in sorted(below):
        print(f"  {ratio:.2f}  {name}, {direction}, {threads} thread(s)")
    if options.markdown:
        with open(options.markdown, "w") as out:
            print(summary + "\n\n| case | direction | threads | mixgrad, us | PyTorch, us | ratio | |\n|---|---|---|---|---|---|---|", file=out)
            for name, direction, threads, our_us, torch_us, ratio, share in rows:
                print(f"| {name} | {direction} | {threads} | {our_us:.1f} | {torch_us:.1f} | {ratio:.2f} | {share} |", file=out)


main()
