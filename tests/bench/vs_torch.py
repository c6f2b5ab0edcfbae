#!/usr/bin/env python3
"""Speed of mixgrad beside PyTorch on the CPU; vs_torch.sh builds what this needs and calls it.

Both sides do the same work, which is checked: from the same weights and on the same batches the losses of the first steps
must agree. PyTorch's best counts, of 1 and 2 threads and both memory layouts, of images kept as bytes (as mixgrad has them)
and as floats, of two forms of its optimizer, and of two lengths of time that its threads wait busily: a short trial finds it.
Then both programs take turns, so that whatever else the machine does hits both; beside PyTorch's best its second and the
best with the other number of threads are timed. Figures are medians over the rounds."""
import argparse, json, os, platform, re, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# Of each workload: what it is, and the ratio that is aimed at.
WORKLOADS = {
    "simple_cnn": ("simple_cnn((3,16,16,2)), 28x28x3, batch 64", 5),
    "mixup": ("the same with mixup, a lambda per sample", 5),
    "batch_norm": ("simple_cnn((1,16,32,32,10)), batch norm, batch 128", 3.5),
    "lenet": ("LeNet style, batch 128", 2),
    "mlp": ("MLP 784-512-512-10, batch 128", 1.5),
    "resnet": ("ResNet 64-128-256 on 32x32x3, batch 64", 1.7),
    "airbench": ("airbench with SiLU on 32x32x3, batch 256", 2),
    "inference_1": ("inference, simple_cnn, batch 1", 10),
    "inference_256": ("inference, simple_cnn, batch 256", 2),
}
# Of losses, relative: f32 sums in another order, over a few steps. PyTorch's batch norm is some hundred times less exact in
# the channels-last layout (2.15: 1e-4 of the output, where its other layout has 1e-7), and Adam makes much of small
# gradients.
TOLERANCE = {"flat": 1e-4, "NCHW": 1e-4, "channels-last": 1e-3}


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    sys.exit("vs_torch: " + text)


class Mixgrad:
    def __init__(self, program):
        self.program = program

    def call(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    def get(self, *arguments):
        return json.loads(self.call(*arguments))


# PyTorch's processes: number of threads, and what is set for them. GCC's OpenMP threads by themselves wait busily for some
# milliseconds, which is fatal on a busy machine; mixgrad's have their own way of waiting.
THREADS = {"1 thread": (1, {}), "2 threads": (2, {}), "2 threads, short waits": (2, {"GOMP_SPINCOUNT": "10000"})}


class Torch:
    """A process for each of THREADS; they wait for input while another is timed."""

    def __init__(self, folder):
        plain = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
        self.workers = {
            name: subprocess.Popen(
                [sys.executable, os.path.join(HERE, "cpu_torch.py"), folder, str(threads)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=plain | more)
            for name, (threads, more) in THREADS.items()
        }  # fmt: skip
        self.about = self.get("1 thread", do="describe")

    def get(self, threads, **request):
        worker = self.workers[threads]
        worker.stdin.write(json.dumps(request) + "\n")
        worker.stdin.flush()
        answer = worker.stdout.readline()
        if not answer:
            fail("the PyTorch side ended early")
        return json.loads(answer)

    def close(self):
        for worker in self.workers.values():
            worker.stdin.close()
            worker.wait()


def reference_blas(libraries):
    """The first of these libraries that is the reference BLAS (Debian's default): 20 to 40 times slower than others."""
    for path in libraries:
        if re.search(r"/lib(blas|cblas)\.so", path) and not re.search("openblas|blis|atlas|mkl|armpl", path):
            return path
    return None


def describe(torch, peak):
    """Lines on the machine and both programs; refuses a PyTorch whose products are no match."""
    about = torch.about
    reference = reference_blas(about["libraries"])
    if reference:
        fail(f"PyTorch uses the reference BLAS ({reference}), which is 20 to 40 times slower than others, and nothing to be "
             "compared with; install libopenblas0-pthread, or PyTorch from PyPI")  # fmt: skip
    if about["gflops"] < 0.1 * peak:
        fail(f"PyTorch's matrix product makes {about['gflops']:.1f} GFLOP/s on a core that can make {peak:.0f}: which BLAS "
             "is that? Install libopenblas0-pthread, or PyTorch from PyPI")  # fmt: skip
    libraries = about["config"] + [os.path.basename(os.path.realpath(path)) for path in about["libraries"]]
    return [
        f"CPU: {cpu_model()}, {os.cpu_count()} cores",
        f"PyTorch {about['version']}: {', '.join(libraries)}; a product of 512x512 matrices {about['gflops']:.0f} GFLOP/s",
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}",
    ]


def cpu_model():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"^(?:model name|CPU part)\s*:\s*(.*)$", file.read(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def check_same_work(torch, workload, batch):
    for layout in layouts(workload):
        answer = torch.get("1 thread", do="check", workload=workload, batch=batch, layout=layout)
        pairs = list(zip(answer["mixgrad"], answer["torch"]))
        scale = max(abs(a) for a, _ in pairs)
        worst = max(abs(a - b) / (scale if workload.startswith("inference") else abs(a)) for a, b in pairs)
        what = "outputs" if workload.startswith("inference") else f"losses of {len(pairs)} steps"
        say(f"  the same work ({layout}): {what} differ by {worst:.1e} at most")
        if not worst <= TOLERANCE[layout] or len(answer["mixgrad"]) != len(answer["torch"]):
            fail(f"{workload}: not the same work on both sides: {pairs[:5]}")


def layouts(workload):
    return ("flat",) if workload == "mlp" else ("NCHW", "channels-last")


class Row:
    """One workload: its rates by (side, setting), a list each."""

    def __init__(self, workload, options, mixgrad, torch):
        self.workload, self.options, self.mixgrad, self.torch = workload, options, mixgrad, torch
        self.optimizers = ("fused", "foreach") if torch.about["fused"] else ("foreach",)
        self.rates, self.misses, self.disturbed = {}, 0, False

    def torch_rate(self, setting, seconds):
        threads, layout, data, optimizer = setting
        return self.torch.get(threads, do="time", workload=self.workload, batch=self.batch, layout=layout, data=data,
                              optimizer=optimizer, seconds=seconds)["rate"]  # fmt: skip

    def measure(self):
        about = self.mixgrad.get("prepare", self.workload, self.options.folder)
        self.batch, self.flops = about["batch_size"], about["flops"]
        check_same_work(self.torch, self.workload, self.batch)
        for _ in range(self.options.repeats + 1):
            self.take_rounds(self.find_best())
            # One image is not shared among threads: there, two are expected to be no faster.
            self.disturbed = self.batch > 1 and self.torch_by_threads(2) < self.torch_by_threads(1)
            if not self.disturbed:
                break
            say("  PyTorch's 2 threads were slower than its 1: something else was running")

    def find_best(self):
        """The settings to time: the best of a short trial, the second, and the best with the other number of threads."""
        trial = {}

        def attempt(setting):
            if setting not in trial:
                trial[setting] = self.torch_rate(setting, self.options.seconds / 2)

        kinds = ("", "") if self.workload.startswith("inference") else ("floats", self.optimizers[0])
        for threads in THREADS:
            for layout in layouts(self.workload):
                attempt((threads, layout, *kinds))
        if kinds[0]:
            threads, layout, *_ = max(trial, key=trial.get)
            attempt((threads, layout, "bytes", kinds[1]))
            data = max(("floats", "bytes"), key=lambda kind: trial[threads, layout, kind, kinds[1]])
            attempt((threads, layout, data, self.optimizers[-1]))
        order = sorted(trial, key=trial.get, reverse=True)
        other = next(setting for setting in order if count(setting) != count(order[0]))
        return list(dict.fromkeys([*order[:2], other]))

    def take_rounds(self, settings):
        self.rates = {}
        for n in range(self.options.rounds):
            for threads in (1, 2):
                peak = self.mixgrad.get("peak", threads, 0.2)["gflops"]
                self.rates.setdefault(("peak", threads), []).append(peak)
                answer = self.mixgrad.get("time", self.workload, threads, self.options.seconds)
                self.rates.setdefault(("mixgrad", threads), []).append(answer["rate"])
                self.misses = max(self.misses, answer["misses"])
            for setting in settings:
                self.rates.setdefault(("torch", setting), []).append(self.torch_rate(setting, self.options.seconds))
            say(f"  round {n + 1}: " + "; ".join(f"{name(key)} {values[-1]:.0f}" for key, values in self.rates.items()))

    def median(self, key):
        return statistics.median(self.rates[key])

    def best(self, side):
        return max((key for key in self.rates if key[0] == side), key=self.median)

    def torch_by_threads(self, threads):
        return max(self.median(key) for key in self.rates if key[0] == "torch" and count(key[1]) == threads)

    def figure(self, key):
        """Images/s, or the latency of one image, with the range."""
        values = [1e6 / rate for rate in self.rates[key]] if self.batch == 1 else self.rates[key]
        unit = " us" if self.batch == 1 else ""
        return f"{round(statistics.median(values)):,}{unit} ({round(min(values)):,} to {round(max(values)):,})"

    def table_row(self):
        title, target = WORKLOADS[self.workload]
        ours, theirs = self.best("mixgrad"), self.best("torch")
        gflops = 1e-9 * self.flops * self.median(ours) / self.batch
        peak = self.median(("peak", ours[1]))
        remarks = " *" if self.disturbed else ""
        cells = [
            title + remarks,
            self.figure(ours),
            self.figure(theirs),
            name(theirs),
            f"{self.median(ours) / self.median(theirs):.2f}",
            f"{target:g}",
            f"{gflops:.1f} ({100 * gflops / peak:.0f} % of {peak:.0f})",
            f"{self.median(('mixgrad', 2)) / self.median(('mixgrad', 1)):.2f}",
        ]
        return "| " + " | ".join(cells) + " |"


def count(setting):
    return THREADS[setting[0]][0]


def name(key):
    side, setting = key
    return ", ".join(filter(None, setting)) if side == "torch" else f"{side} {setting}"


HEADER = """| workload | mixgrad, images/s | PyTorch, images/s | PyTorch's best | ratio | target | GFLOP/s (of peak) | 2 threads : 1 |
|---|---|---|---|---|---|---|---|"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="mixgrad_bench_cpu")
    parser.add_argument("--compiler", default="", help="what it was built with, for the record")
    parser.add_argument("--rows", default=",".join(WORKLOADS), help="some of the workloads, joined by commas")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1, help="of each measurement, after a quarter as much to warm up")
    parser.add_argument("--repeats", type=int, default=2, help="at most, of a row that something else disturbed")
    parser.add_argument("--profile", action="store_true", help="where mixgrad's time goes, instead of the comparison")
    parser.add_argument("--markdown", help="a file that the table is written to as well")
    options = parser.parse_args()
    rows = options.rows.split(",")
    if not set(rows) <= set(WORKLOADS):
        fail(f"--rows {options.rows}: there are {','.join(WORKLOADS)}")
    if options.rounds < 1 or not options.seconds > 0:
        fail("--rounds and --seconds must be positive")
    mixgrad = Mixgrad(options.program)
    if options.profile:
        return profile(mixgrad, rows, options.seconds)
    with tempfile.TemporaryDirectory() as options.folder:
        compare(mixgrad, rows, options)


def profile(mixgrad, rows, seconds):
    for workload in rows:
        for threads in (1, 2):
            print(f"{WORKLOADS[workload][0]}; {threads} thread{'s' * (threads > 1)}")
            print(mixgrad.call("profile", workload, threads, seconds))


def compare(mixgrad, rows, options):
    torch = Torch(options.folder)
    lines = describe(torch, mixgrad.get("peak", 1, 0.5)["gflops"])
    if options.compiler:
        lines.insert(1, f"mixgrad: {options.compiler}")
    say("\n".join(lines))
    measured = []
    for workload in rows:
        say(workload)
        measured.append(Row(workload, options, mixgrad, torch))
        measured[-1].measure()
        say(measured[-1].table_row())
    torch.close()
    report = "\n".join(
        [*lines, f"Rounds: {options.rounds}; medians (least to most); mixgrad with the better of 1 and 2 threads.", "", HEADER]
        + [row.table_row() for row in measured] + remarks(measured, options))  # fmt: skip
    print(report)
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write(report + "\n")


def remarks(measured, options):
    lines = []
    if any(row.disturbed for row in measured):
        lines.append(f"\\* PyTorch's 2 threads were slower than its 1, tries: {options.repeats + 1}. Something else was running.")
    peaks = [[row.median(("peak", threads)) for row in measured] for threads in (1, 2)]
    lowest = min(two / one for one, two in zip(*peaks))
    lines.append(f"Multiply-adds alone: {min(peaks[0]):.0f} to {max(peaks[0]):.0f} GFLOP/s with 1 thread, {min(peaks[1]):.0f} to "
                 f"{max(peaks[1]):.0f} with 2.")  # fmt: skip
    if lowest < 1.8:
        lines.append(f"That is down to {lowest:.1f} times for 2 threads, where an idle machine has 2: figures of 2 threads say little.")
    lines += [f"{row.workload}: {row.misses} requests for memory went to the system after the warm-up."
              for row in measured if row.misses]  # fmt: skip
    return ["", *lines]


main()
