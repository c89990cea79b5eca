"""Seeded random snnTorch networks: every neuron, every option that is imported, dense, convolutional, recurrent, residual."""

import itertools

import numpy as np
import snntorch
import torch
from torch import nn


def neuron(rng, shape, **fixed):
    """Return a random neuron for a population of *shape* (hidden state, spikes only)."""
    kind = fixed.pop("kind", None) or rng.choice(["Leaky", "Synaptic", "RLeaky", "RSynaptic", "Lapicque"])
    options = {
        "threshold": _parameter(rng, shape, 0.4, 1.5),
        "reset_mechanism": str(rng.choice(["subtract", "zero", "none"], p=[0.45, 0.45, 0.1])),
        "learn_threshold": bool(rng.integers(2)),
        "init_hidden": True,
    }
    if kind == "Lapicque":
        options |= [{"beta": float(rng.uniform(0.6, 0.95))}, {"R": 2.0, "C": float(rng.uniform(2, 6))},
                    {"beta": 0.9, "R": float(rng.uniform(0.5, 2)), "time_step": 0.5}][rng.integers(3)]  # fmt: skip
    else:
        options |= {"beta": _parameter(rng, shape, 0.3, 0.98), "learn_beta": bool(rng.integers(2))}
        if rng.random() < 0.1:
            options["beta"] = float(rng.choice([0.0, 1.0, 1.3, -0.2]))
        if kind != "RSynaptic":
            options["reset_delay"] = bool(rng.random() < 0.7)
    if kind.endswith("Synaptic"):
        options |= {"alpha": _parameter(rng, shape, 0.2, 0.9), "learn_alpha": bool(rng.integers(2))}
    if kind.startswith("R"):
        options |= _recurrence(rng, shape)
    if kind == "Leaky" and rng.random() < 0.3:
        options["graded_spikes_factor"] = _parameter(rng, shape, 0.5, 2.0)
    return getattr(snntorch, kind)(**(options | fixed))


def _parameter(rng, shape, low, high):
    """Return a number, one in an array, one a neuron, or one a channel."""
    form = rng.integers(4)
    if form == 0:
        return float(rng.uniform(low, high))
    size = [(1,), tuple(shape), (shape[0], *(1,) * (len(shape) - 1))][form - 1]
    return torch.tensor(rng.uniform(low, high, size), dtype=torch.float32)


def _recurrence(rng, shape):
    if rng.random() < 0.4:
        weight = torch.tensor(rng.normal(0, 0.5, shape if rng.integers(2) else ()), dtype=torch.float32)
        return {"all_to_all": False, "V": weight, "learn_recurrent": bool(rng.integers(2))}
    if len(shape) == 1:
        return {"linear_features": shape[0]}
    return {"conv2d_channels": shape[0], "kernel_size": [3, 1, (3, 5)][rng.integers(3)]}


def dense(rng):
    """Return a Sequential of Linear layers, some nested, and its input shape."""
    sizes = [int(n) for n in rng.integers(3, 14, rng.integers(2, 5))]
    layers = []
    for a, b in itertools.pairwise(sizes):
        block = [nn.Linear(a, b, bias=bool(rng.integers(2)))]
        if rng.random() < 0.2:
            block.append(_norm(nn.BatchNorm1d(b), rng))
        block.append(neuron(rng, (b,)))
        if rng.random() < 0.3:
            block.append(nn.Dropout(0.3))
        layers += [nn.Sequential(*block)] if rng.integers(2) else block
    return nn.Sequential(*layers), (sizes[0],)


def convolutional(rng):
    """Return a convolutional Sequential and its input shape."""
    channels, size = int(rng.choice([1, 2, 4])), int(rng.integers(7, 11))
    layers, shape = [], (channels, size, size + 1)
    for _ in range(rng.integers(1, 3)):
        if min(shape[1:]) < 6:
            break
        out = int(rng.choice([2, 4]))
        conv = nn.Conv2d(
            shape[0], out, [1, 3, (2, 3)][rng.integers(3)], stride=1, bias=bool(rng.integers(2)),
            padding=["same", "valid", 1, (0, 2)][rng.integers(4)], dilation=int(rng.choice([1, 2])),
            groups=2 if shape[0] % 2 == 0 and rng.integers(2) else 1,
        )  # fmt: skip
        if not isinstance(conv.padding, str):
            conv.stride = [(1, 1), (2, 2), (1, 2)][rng.integers(3)]
        layers.append(conv)
        shape = tuple(conv(torch.zeros(1, *shape)).shape[1:])
        if rng.random() < 0.3:
            layers.append(_norm(nn.BatchNorm2d(out), rng))
        layers.append(neuron(rng, shape))
        if min(shape[1:]) > 3 and rng.random() < 0.5:
            layers.append(nn.AvgPool2d(2, padding=int(rng.integers(2))))
            shape = tuple(layers[-1](torch.zeros(1, *shape)).shape[1:])
    features = int(np.prod(shape))
    layers += [nn.Flatten(), nn.Linear(features, 5), neuron(rng, (5,))]
    return nn.Sequential(*layers), (channels, size, size + 1)


def _norm(norm, rng):
    for tensor, low, high in ((norm.weight, 0.5, 1.5), (norm.bias, -0.2, 0.4), (norm.running_mean, -0.3, 0.3), (norm.running_var, 0.3, 2)):  # fmt: skip # noqa: E501
        tensor.data = torch.tensor(rng.uniform(low, high, tensor.shape), dtype=torch.float32)
    return norm


class Residual(nn.Module):
    """Two branches that are added, one that is subtracted and scaled, and one that is joined."""

    def __init__(self, rng, width=6):
        super().__init__()
        self.front, self.inner, self.side = (nn.Linear(width, width) for _ in range(3))
        self.lif1, self.lif2, self.lif3 = (neuron(rng, (width,)) for _ in range(3))
        self.last, self.out = nn.Linear(2 * width, 4), neuron(rng, (4,))

    def forward(self, x):
        first = self.lif1(self.front(x))
        second = self.lif2(self.inner(first) + 0.5 * first - self.side(x))
        third = self.lif3(second + first)
        return self.out(self.last(torch.cat([second, third], dim=1)))


def residual(rng):
    """Return a branching module and its input shape."""
    return Residual(rng), (6,)


FAMILIES = {"dense": dense, "convolutional": convolutional, "residual": residual}


def random_module(family, seed):
    """Return (module, input shape) of *family*; weights scaled so that neurons fire now and then."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    module, shape = FAMILIES[family](rng)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                layer.weight.mul_(2.0)
    return module.eval(), shape


def random_input(shape, seed, samples=2, steps=200):
    """Return float32 values, a quarter of them not 0, as (samples, steps, *shape)."""
    rng = np.random.default_rng(seed)
    full = (samples, steps, *shape)
    return (rng.uniform(-0.3, 1.5, full) * (rng.random(full) < 0.4)).astype(np.float32)
