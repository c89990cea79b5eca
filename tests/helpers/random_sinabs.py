"""Seeded random sinabs networks with every option that is imported, and their runs by the library's own code."""

import itertools
import math

import numpy as np
import sinabs.activation as sa
import sinabs.layers as sl
import torch
from library_checks import assert_equal_spikes
from torch import nn
from torch_runs import TorchRun

SAMPLES, STEPS = 2, 200
_CASTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.AvgPool2d, nn.BatchNorm2d, nn.Flatten, sl.SumPool2d, sl.StatefulLayer)


def spike_options(rng, threshold):
    """Return options for what happens at the threshold; the library's defaults now and then."""
    kind = rng.integers(6)
    subtract = (
        sa.MembraneSubtract(float(threshold)) if isinstance(threshold, float) and rng.integers(2) else sa.MembraneSubtract()
    )
    return [
        {},
        {"spike_fn": sa.MultiSpike, "reset_fn": subtract},
        {"spike_fn": sa.SingleSpike, "reset_fn": subtract},
        {"spike_fn": sa.MaxSpike(int(rng.integers(1, 4))), "reset_fn": subtract},
        {"spike_fn": sa.SingleSpike, "reset_fn": sa.MembraneReset()},
        {"spike_fn": sa.MaxSpike(1), "reset_fn": sa.MembraneReset(reset_value=0.0)},
    ][kind]


def neuron(rng, shape, squeezed=None, recurrent=False, kind=None):
    """Return a random neuron for a population of *shape*; *squeezed* has its ``batch_size`` or ``num_timesteps``."""
    kind = kind or rng.choice(["LIF", "LIF", "IAF"])
    threshold = _parameter(rng, shape, 0.5, 1.5)
    if isinstance(threshold, float):
        # Spikes are float32: their product with one threshold is a float32 number as well, here an exact one.
        threshold = round(threshold * 64) / 64
    options = spike_options(rng, threshold) | {"record_states": bool(rng.integers(2)) and not recurrent}
    if rng.random() < 0.8:
        options["spike_threshold"] = threshold if torch.is_tensor(threshold) else torch.tensor(threshold)
    elif getattr(options.get("reset_fn"), "subtract_value", None) is not None:
        options["reset_fn"] = sa.MembraneSubtract(1.0)
    if rng.random() < 0.4:
        options["min_v_mem"] = float(rng.choice([-1.0, -0.25, 0.0, -0.7]))
        if torch.is_tensor(options.get("spike_threshold")) and rng.random() < 0.3:
            options["min_v_mem"] = -options["spike_threshold"]
    if rng.random() < 0.4:
        options["tau_syn"] = _parameter(rng, shape, 0.5, 8)
    if kind == "LIF":
        options |= {"tau_mem": _parameter(rng, shape, 1, 12), "train_alphas": bool(rng.integers(2))}
        if rng.random() < 0.6:
            options["norm_input"] = bool(rng.integers(2))
    if squeezed is not None:
        return getattr(sl, f"{kind}Squeeze")(**squeezed, **options)
    if recurrent:
        return getattr(sl, f"{kind}Recurrent")(rec_connect=_recurrence(rng, shape), **options)
    return getattr(sl, kind)(**options)


def _parameter(rng, shape, low, high):
    """Return a number, one in an array, one a neuron, or one a channel."""
    form = rng.integers(5)
    if form < 2:
        return float(rng.uniform(low, high))
    size = [(1,), tuple(shape), (shape[0], *(1,) * (len(shape) - 1))][form - 2]
    return torch.tensor(rng.uniform(low, high, size), dtype=torch.float32)


def _recurrence(rng, shape):
    """Return a rather inhibiting connection, since several spikes a step can feed themselves."""
    bias = bool(rng.integers(2))
    if len(shape) == 1:
        layer = nn.Linear(shape[0], shape[0], bias=bias)
        made = nn.Sequential(nn.Flatten(), layer) if rng.random() < 0.2 else layer
    else:
        kernel = [(3, 1), (1, 1), (3, 3)][rng.integers(3)]
        padding = (kernel[0] // 2, kernel[1] // 2)
        groups = shape[0] if rng.random() < 0.3 else 1
        made = layer = nn.Conv2d(shape[0], shape[0], kernel, padding=padding, bias=bias, groups=groups)
    with torch.no_grad():
        layer.weight.mul_(0.5).sub_(0.1 * layer.weight.abs().mean())
    return made


def dense(rng):
    """Return a Sequential of Linear layers over (batch, time, features), some nested, and its input shape."""
    sizes = [int(n) for n in rng.integers(3, 14, rng.integers(2, 5))]
    layers = []
    for a, b in itertools.pairwise(sizes):
        pair = [strong(nn.Linear(a, b, bias=bool(rng.integers(2)))), neuron(rng, (b,))]
        layers += [nn.Sequential(*pair)] if rng.random() < 0.3 else pair
        if rng.random() < 0.2:
            layers.append(nn.Dropout(0.4))
    return nn.Sequential(*layers), (sizes[0],)


def recurrent(rng):
    """Return a network with recurrent layers, dense or of images."""
    if rng.random() < 0.5:
        a, b, c = (int(n) for n in rng.integers(3, 10, 3))
        return nn.Sequential(
            strong(nn.Linear(a, b)), neuron(rng, (b,), recurrent=True),
            strong(nn.Linear(b, c)), neuron(rng, (c,), recurrent=True),
        ), (a,)  # fmt: skip
    return nn.Sequential(
        sl.Repeat(strong(nn.Conv2d(2, 3, 3, padding=1))), neuron(rng, (3, 5, 4), recurrent=True), nn.Flatten(2),
        strong(nn.Linear(60, 4)), neuron(rng, (4,), recurrent=True),
    ), (2, 5, 4)  # fmt: skip


def convolutional(rng):
    """Return convolutions and pooling, repeated over time, squeezed, or between FlattenTime and UnflattenTime."""
    size, channels = int(rng.integers(6, 9)), int(rng.integers(1, 4))
    style = rng.choice(["repeat", "squeeze", "flatten"])
    squeezed = [{"batch_size": SAMPLES}, {"num_timesteps": STEPS}][rng.integers(2)] if style == "squeeze" else None

    def still(*layers):
        if style == "repeat":
            return [sl.Repeat(layers[0] if len(layers) == 1 else nn.Sequential(*layers))]
        return [sl.FlattenTime(), *layers, sl.UnflattenTime(SAMPLES)] if style == "flatten" else list(layers)

    layers, shape = [], (channels, size, size + 1)
    for _ in range(int(rng.integers(1, 3))):
        out = 2 * int(rng.integers(1, 3))
        conv = nn.Conv2d(shape[0], out, int(rng.choice([1, 3])), padding=1, stride=int(rng.integers(1, 3)))
        parts = [strong(conv), *([_norm(nn.BatchNorm2d(out), rng)] if rng.random() < 0.3 else [])]
        layers += still(*parts)
        shape = tuple(conv(torch.zeros(1, *shape)).shape[1:])
        layers.append(neuron(rng, shape, squeezed))
        if min(shape[1:]) > 1 and rng.random() < 0.7:
            pool = [nn.AvgPool2d(2), sl.SumPool2d(2), sl.SumPool2d((2, 1), stride=1)][rng.integers(3)]
            layers += still(pool)
            shape = tuple(pool(torch.zeros(1, *shape)).shape[1:])
    features = math.prod(shape)
    layers += [nn.Flatten(1 if squeezed else 2), strong(nn.Linear(features, 5)), neuron(rng, (5,), squeezed)]
    return nn.Sequential(*layers), (channels, size, size + 1)


class Residual(nn.Module):
    """Two branches that are added, one that is subtracted and scaled, one that is merged, and one that is joined."""

    def __init__(self, rng, width=6):
        super().__init__()
        self.front, self.inner, self.side = (strong(nn.Linear(width, width)) for _ in range(3))
        self.lif1, self.lif2 = neuron(rng, (width,)), neuron(rng, (width,), recurrent=bool(rng.integers(2)))
        self.lif3, self.merge = neuron(rng, (width,)), sl.Merge()
        self.last, self.out = strong(nn.Linear(2 * width, 4)), neuron(rng, (4,))

    def forward(self, x):
        first = self.lif1(self.front(x))
        second = self.lif2(self.inner(first) + 0.5 * first - self.side(x))
        third = self.lif3(self.merge(second, first))
        return self.out(self.last(torch.cat([second, third], dim=-1)))


def residual(rng):
    """Return a branching module and its input shape."""
    return Residual(rng), (6,)


def strong(layer):
    """Return *layer* with weights that make neurons fire now and then."""
    with torch.no_grad():
        layer.weight.mul_(3).add_(0.3 * layer.weight.abs().mean())
    return layer


def _norm(norm, rng):
    for tensor, low, high in (
        (norm.weight, 0.5, 1.5), (norm.bias, -0.2, 0.4), (norm.running_mean, -0.3, 0.3), (norm.running_var, 0.3, 2)
    ):  # fmt: skip
        tensor.data = torch.tensor(rng.uniform(low, high, tensor.shape), dtype=torch.float32)
    return norm


FAMILIES = {"dense": dense, "convolutional": convolutional, "recurrent": recurrent, "residual": residual}


def random_module(family, seed):
    """Return (module, input shape) of *family*, the same for the same seed: sinabs's recurrent layers cannot be copied."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    module, shape = FAMILIES[family](rng)
    return module.eval(), shape


class _Watched:
    """A spike_fn that keeps what it is given and what it gives."""

    def __init__(self, function):
        self.function, self.required_states = function, ["v_mem"]
        single = getattr(function, "forward", None) is sa.SingleSpike.forward
        self.most = 1 if single else getattr(function, "max_num_spikes_per_bin", None)
        self.spikes, self.tested = [], []

    def apply(self, v_mem, threshold, surrogate):
        spikes = self.function.apply(v_mem, threshold, surrogate)
        self.spikes.append(spikes.numpy().astype(np.int64))
        v, low = v_mem.double().numpy(), threshold.double().numpy()
        # A count changes at every multiple of the threshold: keep the distance from the nearest one.
        nearest = 1 if self.most == 1 else np.clip(np.rint(v / low), 1, self.most)
        self.tested.append(low + (v - nearest * low))
        return spikes


def run_sinabs(module, x, dtype=None):
    """Run *module* from rest on *x* (samples, steps, *shape) in the number type that it has, *dtype* or not.

    Its spikes are float32 in any case: what enters a layer is cast.
    """
    own = next(module.parameters()).dtype
    layers = [(path, layer) for path, layer in module.named_modules() if isinstance(layer, sl.StatefulLayer)]
    casts = [
        layer.register_forward_pre_hook(lambda _, args: tuple(a.to(own) for a in args))
        for layer in module.modules() if isinstance(layer, _CASTS)
    ]  # fmt: skip
    for _, layer in layers:
        # Not reset_states(): sinabs leaves a state of another shape to a draw among its samples.
        layer.init_state_with_shape((0,))
    watched = {path: (layer, layer.spike_fn, _Watched(layer.spike_fn)) for path, layer in layers if layer.spike_fn}
    values = torch.as_tensor(np.asarray(x)).to(own)
    # Squeezed layers take batch and time as one axis throughout, but for those inside of a Repeat.
    squeezed = any(isinstance(m, sl.SqueezeMixin) for m in module.modules()) and not any(
        isinstance(m, sl.Repeat) for m in module.modules()
    )
    try:
        for layer, _, watch in watched.values():
            layer.spike_fn = watch
        with torch.no_grad():
            out = module(values.flatten(0, 1) if squeezed else values)
    finally:
        for layer, function, _ in watched.values():
            layer.spike_fn = function
        for cast in casts:
            cast.remove()
        for _, layer in layers:
            layer.init_state_with_shape((0,))
    run = TorchRun(
        {p: np.stack(w.spikes, axis=1) for p, (_, _, w) in watched.items()},
        {p: np.stack(w.tested, axis=1) for p, (_, _, w) in watched.items()},
    )
    return run, out.double().numpy().reshape(*values.shape[:2], *out.shape[1 if squeezed else 2 :])


def _spikes(module, x, dtype):
    return run_sinabs(module, x)[0]


def equal_spikes(make, shape, x):
    """Compare a module in float64 with its import, then one in float32; return graph and run of the first.

    The decays are the module's own numbers, so that each number type has a module and an import of its own.
    """
    graph, run = assert_equal_spikes(make().double(), shape, x, _spikes, arithmetics=("float64",))
    assert_equal_spikes(make(), shape, x, _spikes, arithmetics=("float32",))
    return graph, run
