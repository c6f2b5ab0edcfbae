"""Golden files of the operations of core/."""
import torch
import torch.nn.functional as F

from golden_file import GoldenFile, case, generator, grid

TINY, HUGE = 2.0**-100, 2.0**100  # in range for float32 too

ANY = [0, TINY, -TINY, 0.5, -0.5, 1, -1, 3, -3, 10, -10, 20.5, -20.5, 50, -50, 100, -100, HUGE, -HUGE]
SMALL = [0, TINY, -TINY, 0.5, -0.5, 1, -1, 20.5, -20.5, 80, -80]  # of which e^x is in range
POSITIVE = [TINY, 2.0**-10, 0.25, 1 - 2.0**-20, 1, 1 + 2.0**-20, 3, 100, HUGE]
MODERATE = [2.0**-20, 0.25, 1, 1.5, 3, 100, 2.0**30]  # of which powers are in range
SIGNED = [0, -(2.0**-20), -0.25, -1, -3, -(2.0**30), *MODERATE]

# name: function, arguments. Where PyTorch's own function loses digits even in float64, another form of it stands here:
# its softplus(x) is x above 20, and its gelu is 0 below -9, for 1 + erf(z) is.
UNARY = {
    "neg": (torch.neg, ANY),
    "abs": (torch.abs, ANY),
    "sqrt": (torch.sqrt, POSITIVE),
    "exp": (torch.exp, SMALL),
    "log": (torch.log, POSITIVE),
    "pow_2": (lambda x: x**2, SIGNED),
    "pow_3": (lambda x: x**3, SIGNED),
    "pow_1": (lambda x: x**1, SIGNED),
    "pow_0": (lambda x: x**0, SIGNED),
    "pow_0.5": (lambda x: x**0.5, MODERATE),
    "pow_-1": (lambda x: x**-1, [x for x in SIGNED if x != 0]),
    "pow_-1.5": (lambda x: x**-1.5, MODERATE),
    "clamp": (lambda x: torch.clamp(x, -1.25, 20), ANY),  # at a bound, PyTorch's derivative is 0 and mixgrad's 1
    "relu": (torch.relu, ANY),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.25), ANY),
    "tanh": (torch.tanh, ANY),
    "sigmoid": (torch.sigmoid, ANY),
    "softplus": (lambda x: torch.logaddexp(x, torch.zeros(())), ANY),
    "silu": (F.silu, ANY),
    "gelu": (lambda x: x * torch.erfc(-x / 2**0.5) / 2, ANY),
}


def unary():
    with GoldenFile("unary") as put:
        for name, (function, arguments) in UNARY.items():
            ordinary = grid(6, scale=2)
            if min(arguments) > 0:
                ordinary = ordinary.abs() + 2.0**-6
            ordinary[ordinary == 0] = 1
            case(put, name, function, x=torch.cat([ordinary, torch.tensor(arguments)]))


def pointwise():
    with GoldenFile("pointwise") as put:
        case(put, "pow", torch.pow, a=grid(3, 4).abs() + 0.125, b=grid(4))
        # 0^b has a derivative for these b. PyTorch's and mixgrad's differ in b at 0^-1: -inf and 0.
        zero_base = torch.tensor([0.0, 0, 0, 2, 2]), torch.tensor([0.0, 1, 3, 0, -3])
        case(put, "pow_zero_base", torch.pow, a=zero_base[0], b=zero_base[1])
        integers = torch.tensor([-2.0, -1, 0, 1, 2, 3])  # the derivative in b is nan here
        put("pow_negative_base.b", integers)
        case(put, "pow_negative_base", lambda a: a**integers, a=-grid(2, 6).abs() - 0.125)
        for name, shapes in {"where": [(3, 4)] * 3, "where_broadcast": [(3, 1), (4,), (2, 1, 4)]}.items():
            condition = (torch.arange(torch.Size(shapes[0]).numel()) % 3 == 0).reshape(shapes[0])
            put(f"{name}.condition", condition.int())
            case(put, name, lambda a, b: torch.where(condition, a, b), a=grid(*shapes[1], step=8),
                 b=grid(*shapes[2], step=8))


AXES = {"0": (0,), "2": (2,), "1_2": (1, 2), "0_2": (0, 2), "0_-1": (0, -1), "all": (0, 1, 2, 3)}


def reductions():
    with GoldenFile("reduce") as put:
        for axes_name, axes in AXES.items():
            for keepdim in ("", "_keepdim"):
                if keepdim and axes_name != "0_2":
                    continue
                for name, f in {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}.items():
                    x = grid(2, 3, 2, 2, step=4)
                    if name in ("max", "min"):  # no two equal: amax and amin would share the gradient among them
                        x = torch.argsort(torch.rand(24, generator=generator)).reshape(2, 3, 2, 2) / 8 - 2
                    case(put, f"{name}_{axes_name}{keepdim}", lambda x: f(x, axes, keepdim=bool(keepdim)), x=x)
        for name, f in {"max": torch.max, "min": torch.min}.items():  # these have the first of equals
            case(put, f"{name}_ties", lambda x: f(x, 1).values, x=grid(3, 8, 2, step=1))


def layouts():
    with GoldenFile("layout") as put:
        for a, b in [(0, 1), (0, 2), (1, -1), (-3, -2), (2, 2)]:
            case(put, f"transpose_{a}_{b}", lambda x: x.transpose(a, b), x=grid(2, 3, 4, step=4))
        for axis in (0, 1, -1):
            shapes = [[2, 3, 2] for _ in range(3)]
            shapes[1][axis], shapes[2][axis] = 1, 4
            a, b, c = (grid(*shape, step=4) for shape in shapes)
            case(put, f"concat_{axis}", lambda *x: torch.cat(x, axis), a=a, b=b, c=c)


def softmaxes():
    extreme = torch.tensor([[1000.0, -1000, 0], [1000, 1000, 1000], [-1000, -1000, -1001], [0, 0, 1000]])
    with GoldenFile("softmax") as put:
        for name, x in {"plain": grid(2, 3, 5, scale=3), "extreme": extreme}.items():
            case(put, name, lambda x: F.softmax(x, -1), x=x)


def make():
    unary()
    pointwise()
    reductions()
    layouts()
    softmaxes()
