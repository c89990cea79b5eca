"""Seeded random networks that a library's importer can build: dense, convolutional, recurrent, residual, several kinds."""

import numpy as np

from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.ops import (
    IF,
    LI,
    LIF,
    Affine,
    AvgPool2d,
    Conv2d,
    CubaLIF,
    Extras,
    Flatten,
    Input,
    Linear,
    Output,
    Scale,
    SumPool2d,
)

#: Profiles whose networks a library's importer can build, each with the kinds of its neurons.
PROFILES = {
    "snntorch": (
        ("snntorch:zero,reset_delay=no", ("LIF", "IF", "CubaLIF")), ("norse:zero", ("LIF", "CubaLIF", "IF")),
        ("snntorch:zero", ("LIF",)), ("exact:zero,reset_when=after_spike", ("LIF", "CubaLIF")),
        ("spikingjelly:zero", ("LIF", "CubaLIF")),
    ),
    "norse": (
        ("norse:zero", ("LIF", "IF", "CubaLIF")), ("snntorch:zero,reset_delay=no", ("LIF", "CubaLIF")),
        ("spikingjelly:zero", ("LIF", "IF")), ("exact:zero,reset_when=after_spike", ("LIF",)),
    ),
    "sinabs": (
        ("sinabs", ("IF",)), ("sinabs,dt=1e-3", ("LIF", "IF")), ("rockpool", ("LIF",)), ("sinabs,gain=nir", ("LIF", "LI")),
        ("sinabs,clamp_low=none", ("IF", "LIF")),
    ),
    "spikingjelly": (
        ("spikingjelly:value", ("LIF", "IF", "CubaLIF")), ("spikingjelly:zero", ("LIF", "IF")),
        ("snntorch:zero,reset_delay=no", ("LIF", "CubaLIF")), ("norse:value", ("LIF",)),
    ),
}  # fmt: skip


class _Builder:
    def __init__(self, rng, library, profile, kinds):
        self.rng, self.library, self.profile, self.kinds = rng, library, profile, kinds
        self.nodes, self.edges, self.shape = [], [], {}

    def add(self, path, op, *sources, shape=None):
        self.nodes.append(Node(path, op))
        self.edges += [Edge(source, path, None, rank) for rank, source in enumerate(sources)]
        self.shape[path] = shape or op.output_shape(self.shape[sources[0]])
        return path

    def dense(self, path, out, source):
        size = self.shape[source][-1]
        weight = self.rng.normal(0.2, 1.2 / np.sqrt(size), (out, size)).astype(np.float32)
        if self.rng.random() < 0.6:
            return self.add(path, Affine(weight, self.rng.normal(0.05, 0.2, out).astype(np.float32)), source)
        return self.add(path, Linear(weight), source)

    def neuron(self, path, *sources, kind=None):
        shape, rng, dt = self.shape[sources[0]], self.rng, self.profile.dt
        kind = kind or str(rng.choice([k for k in self.kinds if k != "LI"]))
        if self.library == "sinabs" and len(shape) > 1 and "IF" in self.kinds and self.profile.clamp_low is None:
            kind = "IF"
        one = np.ones(shape)
        # SpikingJelly's importer takes one decay for all; thresholds may differ where a dense layer lies in front.
        each = rng.random() < 0.5 and len(shape) == 1
        tau = dt * (rng.uniform(2, 20, shape) if each and self.library != "spikingjelly" else one * rng.uniform(2, 20))
        thr = rng.uniform(0.5, 1.5, shape) if each else one * rng.uniform(0.5, 1.5)
        leak = one * (rng.uniform(-0.1, 0.2) if rng.random() < 0.3 else 0.0)
        reset = one * (rng.uniform(-0.5, 0.3) if self.profile.reset == "to_v_reset" and not each else 0.0)
        if self.library != "spikingjelly":
            reset = 0 * one
        # SpikingJelly's membranes start at v_reset, Norse's at v_leak.
        extras = Extras(v_init=reset if reset.any() else None)
        if self.library == "norse" and kind == "LIF" and rng.random() < 0.5 and leak.any():
            extras = Extras(v_init=leak)
        if kind == "IF":
            gain = self.profile.at(path, "IF").gain
            op = IF(one / dt if gain == "nir" else one, thr, reset, extras=extras)
        elif kind == "LIF":
            op = LIF(tau, one * (tau / dt if rng.random() < 0.5 else rng.uniform(2, 5)), leak, thr, reset, extras=extras)
        elif kind == "LI":
            op = LI(tau, one * rng.uniform(0.5, 2), leak)
        else:
            syn = dt * one * rng.uniform(1.5, 8)
            op = CubaLIF(syn, tau, tau / dt, 0 * one, thr, reset, rng.uniform(0.5, 1) * syn / dt, extras=extras)
        return self.add(path, op, *sources)

    def graph(self):
        self.add("output", Output(self.shape[self.nodes[-1].path]), self.nodes[-1].path)
        return Graph(tuple(self.nodes), tuple(self.edges))


def _dense(b):
    source = b.add("input", Input((5,)), shape=(5,))
    for i in range(1, int(b.rng.integers(2, 4))):
        front = b.dense(f"fc{i}", int(b.rng.integers(3, 9)), source)
        if b.rng.random() < 0.3:
            front = b.add(f"scale{i}", Scale(b.rng.uniform(0.5, 2, b.shape[front])), front)
        source = b.neuron(f"lif{i}", front)
    return b.neuron("readout", b.dense("fc", 4, source), kind="LI" if "LI" in b.kinds else None)


def _convolutional(b):
    source = b.add("input", Input((2, 8, 7)), shape=(2, 8, 7))
    groups = int(b.rng.choice([1, 2]))
    weight = b.rng.normal(0.1, 0.4, (4, 2 // groups, 3, 3)).astype(np.float32)
    padding = [1, "same", "valid"][b.rng.integers(3)]
    source = b.add("conv", Conv2d(None, weight, 1, padding, 1, groups, b.rng.normal(0, 0.1, 4)), source)
    source = b.neuron("lif1", source)
    pool = SumPool2d if b.rng.integers(2) else AvgPool2d
    source = b.add("pool", pool(2, 2, int(b.rng.integers(2))), source)
    source = b.add("flat", Flatten(0, -1), source)
    return b.neuron("lif2", b.dense("fc", 5, source))


def _residual(b):
    source = b.add("input", Input((6,)), shape=(6,))
    first = b.neuron("lif1", b.dense("a", 6, source))
    second = b.neuron("lif2", b.dense("b", 6, first), first, source)
    return b.neuron("lif3", b.dense("c", 4, second))


def _recurrent(b):
    source = b.add("input", Input((5,)), shape=(5,))
    front = b.dense("fc", 6, source)
    hidden = b.neuron("hidden.lif", front)
    weight = b.rng.normal(0, 0.4, (6, 6)).astype(np.float32)
    bias = b.rng.normal(0, 0.2, 6).astype(np.float32)
    b.add("hidden.w_rec", Affine(weight, bias) if b.rng.random() < 0.5 else Linear(weight), hidden)
    b.edges.append(Edge("hidden.w_rec", hidden, None, 1))
    return b.neuron("readout", b.dense("fc2", 4, hidden))


FAMILIES = {"dense": _dense, "convolutional": _convolutional, "residual": _residual, "recurrent": _recurrent}


def random_network(library, family, seed):
    """Return (graph, profile) of *family* for *library*."""
    rng = np.random.default_rng(seed)
    text, kinds = PROFILES[library][seed % len(PROFILES[library])]
    if family == "convolutional" and library == "sinabs":
        text, kinds = "sinabs", ("IF",)
    b = _Builder(rng, library, parse_profile(text), kinds)
    FAMILIES[family](b)
    return b.graph(), b.profile
