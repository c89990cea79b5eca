"""Seeded random SpikingJelly networks in both step modes, and a run of one by the library's own code."""

import copy
import itertools

import numpy as np
import torch
from spikingjelly.activation_based import base, functional, layer, neuron, surrogate
from torch import nn
from torch_runs import TorchRun

KINDS = (neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode)
SURROGATES = (surrogate.Sigmoid, surrogate.ATan, surrogate.PiecewiseQuadratic, surrogate.Erf, surrogate.S2NN)


def make_neuron(rng, **fixed):
    """Return a random neuron in single-step mode; every fourth with the library's defaults."""
    kind = KINDS[rng.integers(3)]
    if not fixed and rng.random() < 0.25:
        return kind()
    options = {
        "v_threshold": float(rng.uniform(0.4, 1.5)),
        "v_reset": [0.0, None, float(rng.uniform(-0.5, 0.3))][rng.integers(3)],
        "surrogate_function": SURROGATES[rng.integers(len(SURROGATES))](),
        "detach_reset": bool(rng.integers(2)),
        "store_v_seq": bool(rng.integers(2)),
    }
    if kind is not neuron.IFNode:
        tau = [2.0, 4 / 3, float(rng.uniform(1.05, 6)), float(rng.uniform(6, 40))][rng.integers(4)]
        options |= {"tau" if kind is neuron.LIFNode else "init_tau": tau, "decay_input": bool(rng.integers(2))}
    made = kind(**(options | fixed))
    if rng.random() < 0.1:
        made.set_reset_value("v", 0.3)
        made.reset()
    return made


def _norm(norm, rng):
    for tensor, low, high in ((norm.weight, 0.5, 1.5), (norm.bias, -0.2, 0.4), (norm.running_mean, -0.3, 0.3), (norm.running_var, 0.3, 2)):  # fmt: skip # noqa: E501
        tensor.data = torch.tensor(rng.uniform(low, high, tensor.shape), dtype=torch.float32)
    return norm


def _over_time(layers, rng):
    """Return *layers* (single-step) as one module of all steps: their own mode where they have one, or a container."""
    stateful = any(isinstance(m, base.MemoryModule) and not isinstance(m, layer.Dropout) for m in layers)
    choice = rng.integers(3)
    if choice == 0 and all(isinstance(m, base.StepModule) for m in layers):
        whole = nn.Sequential(*layers)
        functional.set_step_mode(whole, "m")
        return whole
    if choice == 1:
        return layer.StepModeContainer(stateful, "m", *layers)
    return layer.MultiStepContainer(*layers) if stateful else layer.SeqToANNContainer(*layers)


def _net(blocks, rng, mode):
    """Return blocks (plain layers, then a neuron) one behind the other."""
    if mode == "s":
        nested = (nn.Sequential(*b) for b in blocks)
        return nn.Sequential(*(nested if rng.integers(2) else itertools.chain(*blocks)))
    parts = []
    for block in blocks:
        whole = rng.random() < 0.3
        groups = [block] if whole else [block[:-1], block[-1:]]
        parts += [_over_time(g, rng) for g in groups if g]
    return nn.Sequential(*parts)


def dense(rng, mode):
    """Return a module of Linear layers, and its input shape."""
    sizes = [int(n) for n in rng.integers(3, 14, rng.integers(2, 5))]
    blocks = []
    for a, b in itertools.pairwise(sizes):
        library = layer if rng.integers(2) else nn
        block = [library.Linear(a, b, bias=bool(rng.integers(2)))]
        if rng.random() < 0.2:
            block.append(_norm(library.BatchNorm1d(b), rng))
        if rng.random() < 0.3:
            block.append(library.Dropout(0.3))
        blocks.append([*block, make_neuron(rng)])
    return _net(blocks, rng, mode), (sizes[0],)


def convolutional(rng, mode):
    """Return a convolutional module and its input shape."""
    channels, size = int(rng.choice([1, 2, 4])), int(rng.integers(7, 11))
    blocks, shape = [], (channels, size, size + 1)
    for _ in range(rng.integers(1, 3)):
        if min(shape[1:]) < 6:
            break
        out, library = int(rng.choice([2, 4])), layer if rng.integers(2) else nn
        conv = library.Conv2d(
            shape[0], out, [1, 3, (2, 3)][rng.integers(3)], stride=[1, 2, (1, 2)][rng.integers(3)],
            bias=bool(rng.integers(2)), padding=[1, (0, 2)][rng.integers(2)], dilation=int(rng.choice([1, 2])),
            groups=2 if shape[0] % 2 == 0 and rng.integers(2) else 1,
        )  # fmt: skip
        block = [conv]
        shape = tuple(conv(torch.zeros(1, *shape)).shape[1:])
        if rng.random() < 0.3:
            block.append(_norm(library.BatchNorm2d(out), rng))
        blocks.append([*block, make_neuron(rng)])
        if min(shape[1:]) > 3 and rng.random() < 0.5:
            pool = library.AvgPool2d(2, padding=int(rng.integers(2)))
            shape = tuple(pool(torch.zeros(1, *shape)).shape[1:])
            blocks.append([pool, library.Dropout2d(0.2), make_neuron(rng)])
    library = layer if rng.integers(2) else nn
    blocks.append([library.Flatten(), library.Linear(int(np.prod(shape)), 5), make_neuron(rng)])
    return _net(blocks, rng, mode), (channels, size, size + 1)


def _minus(y, x):
    return x - 0.75 * y


def _plus(y, x):
    return x + y


def recurrent(rng, mode):
    """Return a module with containers whose output comes back, and its input shape."""
    width, hidden = int(rng.integers(3, 8)), int(rng.integers(3, 8))
    parts, size = [layer.Linear(width, hidden)], hidden
    for _ in range(rng.integers(1, 3)):
        form = rng.integers(3)
        if form == 0:
            parts.append(layer.ElementWiseRecurrentContainer(make_neuron(rng), [_plus, _minus][rng.integers(2)]))
            continue
        out = size if form == 1 else int(rng.integers(3, 8))
        inner = make_neuron(rng) if form == 1 else nn.Sequential(nn.Linear(size, out), make_neuron(rng))
        parts.append(layer.LinearRecurrentContainer(inner, size, out, bias=bool(rng.integers(2))))
        size = out
    parts += [layer.Linear(size, 4), make_neuron(rng)]
    net = nn.Sequential(*parts)
    functional.set_step_mode(net, mode)
    return net, (width,)


class Residual(nn.Module):
    """Two branches that are added, one that is subtracted and scaled, and one that is joined."""

    def __init__(self, rng, width=6):
        super().__init__()
        self.front, self.inner, self.side = (layer.Linear(width, width) for _ in range(3))
        self.lif1, self.lif2, self.lif3 = (make_neuron(rng) for _ in range(3))
        self.last, self.out = layer.Linear(2 * width, 4), make_neuron(rng)

    def forward(self, x):
        first = self.lif1(self.front(x))
        second = self.lif2(self.inner(first) + 0.5 * first - self.side(x))
        third = self.lif3(second + first)
        return self.out(self.last(torch.cat([second, third], dim=-1)))


class ConvolutionalResidual(nn.Module):
    """Blocks with a shortcut, as in the library's own residual networks."""

    def __init__(self, rng):
        super().__init__()
        self.conv1, self.bn1 = layer.Conv2d(2, 3, 3, padding=1, bias=False), _norm(layer.BatchNorm2d(3), rng)
        self.conv2, self.bn2 = layer.Conv2d(3, 3, 3, padding=1, bias=False), _norm(layer.BatchNorm2d(3), rng)
        self.down = nn.Sequential(layer.Conv2d(2, 3, 1, bias=False), _norm(layer.BatchNorm2d(3), rng))
        self.sn1, self.sn2 = make_neuron(rng), make_neuron(rng)
        self.pool, self.fc, self.out = layer.AdaptiveAvgPool2d((1, 1)), layer.Linear(3, 4), make_neuron(rng)

    def forward(self, x):
        identity = self.down(x)
        out = self.sn1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        out = self.pool(self.sn2(out))
        return self.out(self.fc(torch.flatten(out, 2 if self.pool.step_mode == "m" else 1)))


def residual(rng, mode):
    """Return a branching module and its input shape."""
    net, shape = (Residual(rng), (6,)) if rng.integers(2) else (ConvolutionalResidual(rng), (2, 5, 5))
    functional.set_step_mode(net, mode)
    return net, shape


FAMILIES = {"dense": dense, "convolutional": convolutional, "recurrent": recurrent, "residual": residual}


def random_module(family, seed):
    """Return (module, input shape) of *family*; odd seeds take all steps at once. Its neurons fire."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    module, shape = FAMILIES[family](rng, "sm"[seed % 2])
    module.eval()
    x = torch.tensor(rng.uniform(-0.3, 1.5, (2, 30, *shape)) * (rng.random((2, 30, *shape)) < 0.4), dtype=torch.float32)
    for _ in range(8):
        if min(s.mean() for s in run_spikingjelly(module, x, torch.float32).spikes.values()) > 0.02:
            break
        with torch.no_grad():
            for part in module.modules():
                if isinstance(part, (nn.Linear, nn.Conv2d)):
                    part.weight.mul_(1.4).add_(0.03)
    return module, shape


def takes_all_steps(module):
    """Whether a call of *module* takes all steps, time first."""
    return any(isinstance(m, base.MultiStepModule) or getattr(m, "step_mode", "s") == "m" for m in module.modules())


class _Recorder(nn.Module):
    """A surrogate function that remembers how far each membrane was from its threshold, and what came of it."""

    def __init__(self, surrogate_function):
        super().__init__()
        self.own, self.calls = surrogate_function, []

    def forward(self, distance):
        spikes = self.own(distance)
        self.calls.append((distance.double().numpy().copy(), spikes.double().numpy().astype(np.int64)))
        return spikes


def _run(net, values):
    functional.reset_net(net)
    with torch.no_grad():
        if takes_all_steps(net):
            return net(values.transpose(0, 1)).transpose(0, 1)
        return torch.stack([net(values[:, t]) for t in range(values.shape[1])], 1)


def run_spikingjelly(module, x, dtype=torch.float64):
    """Run a copy of *module* from rest on *x* (samples, steps, *shape) in *dtype*: twice, as it is and recorded."""
    net = copy.deepcopy(module).to(dtype).eval()
    values = torch.as_tensor(np.asarray(x)).to(dtype)
    plain = _run(net, values)
    recorders = {}
    for path, part in net.named_modules():
        if isinstance(part, KINDS):
            part.surrogate_function = recorders[path or type(part).__name__.lower()] = _Recorder(part.surrogate_function)
            part.store_v_seq = False
    # A surrogate of one's own goes past the library's compiled operators; their spikes are the same.
    assert torch.equal(_run(net, values), plain)
    found = {p: [np.stack(c, axis=1) for c in zip(*r.calls, strict=True)] for p, r in recorders.items()}
    thresholds = {p or type(m).__name__.lower(): m.v_threshold for p, m in net.named_modules() if isinstance(m, KINDS)}
    return TorchRun({p: c[1] for p, c in found.items()}, {p: c[0] + thresholds[p] for p, c in found.items()})
