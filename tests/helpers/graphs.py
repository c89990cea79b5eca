"""Hypothesis strategies for graphs, profiles and inputs that the tests of ir, passes, mapper and backends share.

``networks()`` draws ``(graph, profile, inputs)`` that verify without errors, that ``build_network`` takes in float64,
and that spike at a reasonable rate: thresholds are set from the gain that the profile really gives a neuron. Ask for
less where a backend has less: ``networks(features={"dense"}, profiles=("lava_float",), extras=False)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
from graph_parts import NEURONS, Sketch, draw_profile, neuron, profiles
from hypothesis import strategies as st

from spikeport.backends.testing.sketch import chain
from spikeport.ir import PROFILES, Graph
from spikeport.ir.crossing import no_closed_form
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.dynamics import discretise
from spikeport.ir.network import build_network
from spikeport.ir.ops import (
    LIF,
    NO_EXTRAS,
    OPS,
    Affine,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Delay,
    Discrete,
    Extras,
    Flatten,
    Input,
    Linear,
    Output,
    Scale,
    SumPool2d,
    Threshold,
)
from spikeport.ir.verify import findings

SPIKING = ("IF", "LIF", "CubaLIF")
INTEGRATORS = ("I", "LI", "CubaLI")
#: What a graph may contain; a test for a backend with less names a subset.
FEATURES = frozenset(
    ("dense", "conv1d", "conv2d", "pool", "scale", "threshold", "delay_node", "branch", "recurrent", "loop2",
     "inputs", "outputs", "edge_delays", "integrator")
)  # fmt: skip


def _dense(draw, s, name, source, bias=None):
    n_in = s.shape[source][-1]
    n_out = draw(st.integers(1, 8))
    dtype = draw(st.sampled_from((np.float32, np.float64)))
    w = s.weights(n_out, n_in, fan_in=n_in).astype(dtype)
    bias = draw(st.booleans()) if bias is None else bias
    return s.add(name, Affine(w, s.rng.normal(0.1, 0.2, n_out).astype(dtype)) if bias else Linear(w), source)


def _conv(draw, s, name, source):
    """Add a convolution of random geometry that fits its input."""
    c_in, *size = s.shape[source]
    two = len(size) == 2
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if c_in % g == 0]))
    c_out = groups * draw(st.integers(1, 2))
    same = draw(st.booleans())
    kernel = [draw(st.integers(1, min(3, n))) for n in size]
    dilation = [draw(st.integers(1, 2)) if k * 2 - 1 <= n else 1 for k, n in zip(kernel, size, strict=True)]
    stride = [1 if same else draw(st.integers(1, 2)) for _ in size]
    padding = "same" if same else draw(st.sampled_from(("valid", [draw(st.integers(0, 2)) for _ in size])))
    weight = s.weights(c_out, c_in // groups, *kernel, fan_in=c_in // groups * int(np.prod(kernel)))
    bias = s.rng.normal(0.1, 0.2, c_out) * draw(st.booleans())
    shown = draw(st.booleans())
    if two:
        op = Conv2d(tuple(size) if shown else None, weight, stride, padding, dilation, groups, bias)
    else:
        flat = padding if isinstance(padding, str) else padding[0]
        op = Conv1d(size[0] if shown else None, weight, stride[0], flat, dilation[0], groups, bias)
    return s.add(name, op, source)


def _pool(draw, s, name, source):
    kernel = [draw(st.integers(1, min(3, n))) for n in s.shape[source][1:]]
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    cls = draw(st.sampled_from((SumPool2d, AvgPool2d)))
    return s.add(name, cls(kernel, [draw(st.integers(1, 2)) for _ in "xy"], padding), source)


def _extras(draw, s, kind, shape):
    """Draw what a neuron carries beyond NIR."""
    given = {}
    rng, size = s.rng, shape if draw(st.booleans()) else ()
    if draw(st.booleans()):
        given["v_init"] = rng.normal(0, 0.3, size)
    if kind.startswith("Cuba") and draw(st.booleans()):
        given["i_init"] = rng.normal(0, 0.3, size)
    if kind in SPIKING and draw(st.booleans()):
        given["refractory_steps"] = rng.integers(0, 4, size)
    if draw(st.integers(0, 3)) == 0:
        given["held_init"] = rng.integers(0, 4, size)
    if kind in SPIKING and draw(st.booleans()):
        given["spike_amplitude"] = rng.uniform(0.5, 1.5, size)
    return given


def _discrete(s, op, path, shape):
    """Return exact coefficients beside the time constants, off by what float32 loses."""
    own = s.profile.at(path, op.kind)
    model = discretise(op, own, shape)

    def near(values):
        return None if values is None else values.astype(np.float32).astype(np.float64)

    return Discrete(
        own.dt, own.scheme, own.gain, near(model.beta), near(model.mem_gain), near(model.alpha), near(model.syn_gain)
    )


def _neuron(draw, s, path, *sources, kinds, extras, delay=None):
    kind = draw(st.sampled_from(kinds))
    shape = s.shape[sources[0]]
    dtype = draw(st.sampled_from((np.float32, np.float64)))
    op = neuron(kind, shape, s.profile, s.rng, path=path, full=draw(st.booleans()), dtype=dtype)
    if extras and draw(st.integers(0, 3)) == 0:
        given = _extras(draw, s, kind, shape)
        if draw(st.booleans()):
            given["discrete"] = _discrete(s, op, path, shape)
        op = dataclasses.replace(op, extras=Extras(**given))
    if no_closed_form(op, s.profile.at(path, kind)):
        s.profile = s.profile.with_overrides(path, reset_when="after_spike")
    return s.add(path, op, *sources, delay=delay)


def _override(draw, profile, path):
    """Give the node *path* fields of its own."""
    choices = {
        "reset": ("to_v_reset", "to_zero", "subtract", "multi_subtract", "none"), "compare": (">", ">="),
        "reset_when": ("after_spike", "next_step_keep_input"), "clamp_low": (None, 0.0),
        "order": ("new_current", "old_current"), "output_delay": (0, 1), "scheme": ("euler", "exponential"),
        "max_spikes": (None, 2),
    }  # fmt: skip
    name = draw(st.sampled_from(sorted(choices)))
    return profile.with_overrides(path, **{name: draw(st.sampled_from(choices[name]))})


def _layer(draw, s, number, source, features, kinds, extras):
    """Add a layer (connection, perhaps pool and the like, neuron) behind *source*; return the neuron's path."""
    name, image = f"l{number}", len(s.shape[source]) > 1
    use = lambda feature: feature in features and draw(st.integers(0, 2)) == 0  # noqa: E731
    delay = draw(st.integers(0, 3)) if use("edge_delays") else None
    convolve = {2: "conv1d", 3: "conv2d"}.get(len(s.shape[source]))
    if image and convolve in features and draw(st.integers(0, 3)):
        front = _conv(draw, s, f"{name}.conv", source)
        if convolve == "conv2d" and use("pool"):
            front = _pool(draw, s, f"{name}.pool", front)
    else:
        front = s.add(f"{name}.flatten", Flatten(0, -1), source) if image else source
        front = _dense(draw, s, f"{name}.fc", front)
    if use("scale"):
        size = s.shape[front] if draw(st.booleans()) else ()
        front = s.add(f"{name}.scale", Scale(s.rng.uniform(0.5, 2.0, size)), front)
    if use("delay_node"):
        steps = s.rng.integers(0, 4, s.shape[front])
        front = s.add(f"{name}.delay", Delay(steps * s.profile.dt), front)
    path = f"{name}.neuron"
    if extras and draw(st.integers(0, 3)) == 0:
        s.profile = _override(draw, s.profile, path)
    if use("threshold"):
        s.add(path, Threshold(s.rng.uniform(0.2, 1.0, s.shape[front])), front, delay=delay)
        return path
    _neuron(draw, s, path, front, kinds=kinds, extras=extras, delay=delay)
    if use("recurrent") and len(s.shape[path]) == 1:
        size = s.shape[path][0]
        if draw(st.booleans()):
            s.connect(path, path, draw(st.sampled_from((None, 1, 2))))
        else:
            w, bias = s.weights(size, size, fan_in=size), s.rng.normal(0, 0.1, size)
            w_rec = s.add(f"{name}.w_rec", Affine(w, bias) if draw(st.booleans()) else Linear(w), path)
            s.connect(w_rec, path, draw(st.sampled_from((None, 1, 3))))
    return path


@st.composite
def networks(
    draw, *, features: Collection[str] = FEATURES, profiles: Collection[str] | None = None, fields: bool = True,
    extras: bool = True, kinds: Collection[str] = SPIKING, max_layers: int = 3, max_steps: int = 24,
):  # fmt: skip
    """Draw ``(graph, profile, inputs)``; ``inputs[path]`` has shape (samples, steps, \\*shape)."""
    kinds = tuple(kinds)
    unknown = set(features) - FEATURES
    assert not unknown, f"no such features: {unknown}"
    profile = draw(draw_profile(tuple(profiles or PROFILES), fields))
    s = Sketch(profile, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    use = lambda feature: feature in features and draw(st.integers(0, 2)) == 0  # noqa: E731
    rank = draw(st.sampled_from([r for r, f in ((1, "dense"), (2, "conv1d"), (3, "conv2d")) if f in features]))
    shape = tuple(draw(st.integers(2, 6)) for _ in range(rank))
    source = s.add("input", Input(shape))
    ends = []
    for number in range(1, draw(st.integers(1, max_layers)) + 1):
        before, source = source, _layer(draw, s, number, source, features, kinds, extras)
        ends.append(source)
        if use("branch") and before != "input":
            _branch(draw, s, f"skip{number}", before, source)
        if number == 1 and use("inputs"):
            front = s.add("input2", Input((draw(st.integers(1, 5)),)))
            _branch(draw, s, "side", front, source)
        # From a Threshold, which keeps no state, a loop could not tell its own bias from the forward one (E307).
        if use("loop2") and number > 1 and s.nodes[source].is_stateful:
            _branch(draw, s, f"back{number}", source, before)
    if use("integrator"):
        front = s.add("readout.flatten", Flatten(), source) if len(s.shape[source]) > 1 else source
        front = _dense(draw, s, "readout.fc", front)
        source = _neuron(draw, s, "readout.neuron", front, kinds=INTEGRATORS, extras=extras)
    s.add("output", Output(s.shape[source]), source)
    if use("outputs") and len(ends) > 1:
        s.add("output2", Output(s.shape[ends[0]]), ends[0])
    graph, profile = s.graph(), s.profile
    try:
        build_network(graph, profile)
    except UnsupportedError:  # a bias that cannot enter at a membrane
        profile = dataclasses.replace(profile, bias_at="input")
    errors = [str(d) for d in findings(graph, profile) if d.severity == "error"]
    assert not errors, errors
    return graph, profile, draw(inputs_of(graph, max_steps=max_steps))


def _branch(draw, s, name, source, target):
    """Add a second way from *source* into *target*: the identity where shapes agree, else flatten, weights, and no more."""
    if s.shape[source] == s.shape[target] and draw(st.booleans()):
        s.connect(source, target)
        return
    if len(s.shape[target]) > 1:
        if s.shape[source] == s.shape[target]:
            s.connect(s.add(f"{name}.scale", Scale(np.full((), 0.5)), source), target)
        return
    front = s.add(f"{name}.flatten", Flatten(), source) if len(s.shape[source]) > 1 else source
    weight = s.weights(s.shape[target][0], s.shape[front][0], fan_in=s.shape[front][0])
    s.connect(s.add(f"{name}.fc", Linear(weight), front), target)


@st.composite
def inputs_of(draw, graph: Graph, *, max_steps: int = 24, spikes_only: bool = False):
    """Draw inputs for *graph*: spikes, counts or real values, sparse to dense; every Input the same samples and steps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    samples, steps = draw(st.integers(1, 3)), draw(st.integers(4, max_steps))
    kind = "spikes" if spikes_only else draw(st.sampled_from(("spikes", "counts", "real")))
    rate = draw(st.sampled_from((0.1, 0.3, 0.6)))
    found = {}
    for path in graph.inputs:
        size = (samples, steps, *graph[path].op.shape)
        on = rng.random(size) < rate
        if kind == "spikes":
            found[path] = on.astype(np.uint8)
        elif kind == "counts":
            found[path] = (on * rng.integers(1, 4, size)).astype(np.int64)
        else:
            found[path] = np.where(on, rng.normal(0.5, 1.0, size), 0.0)
    return found


def lif(n, *, tau=1e-3, r=None, threshold=1.0, v_reset=0.0, dt=1e-4, extras=NO_EXTRAS):
    """Return *n* LIF neurons, by default with gain 1 under NIR's Euler step."""
    full = lambda v: np.full(n, v)  # noqa: E731
    return LIF(full(tau), full(tau / dt if r is None else r), full(0.0), full(threshold), full(v_reset), extras=extras)


__all__ = ["FEATURES", "NEURONS", "OPS", "Sketch", "chain", "inputs_of", "lif", "networks", "neuron", "profiles"]
