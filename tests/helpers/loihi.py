"""Hypothesis strategy for networks that stand on Loihi's grid already, drawn as integers and not lowered from floats.

``loihi_networks()`` draws ``(graph, profile, inputs)`` that ``build_network(graph, profile, "loihi")`` takes and that
``network.entering(inputs)`` accepts: 8-bit mantissas with exponents, decays of 12 bits, thresholds and biases of their
widths, delays of 1 to 5 steps, graded inputs. Ask for less where a backend has less: ``loihi_networks(features={"dense"})``.

With ``within`` (the default) no current leaves 24 bits whatever the spikes, as the lowering promises; about half of the
networks come close to that edge. Without it currents wrap, and membranes are clipped, in many of them.

``on_grid_lif`` and ``on_grid_cuba`` make single populations of registers; ``GRID`` is the profile they belong to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
from hypothesis import strategies as st

from spikeport.backends.testing.sketch import Sketch
from spikeport.ir import Graph, parse_profile
from spikeport.ir.loihi import DECAY_ONE, INPUT_NOTE, LIMIT, MAX_BIAS, MAX_EXPONENT, MAX_THRESHOLD, SHIFT, mantissa_range
from spikeport.ir.ops import LI, LIF, Affine, Conv1d, Conv2d, CubaLI, CubaLIF, Discrete, Extras, Flatten, Input, Linear, Output

#: Step of all networks here.
DT = 1e-4
#: Profile of graphs on the grid: v_leak is the bias, added whole; each weighted node sends one step late.
GRID = dataclasses.replace(parse_profile(f"lava,dt={DT}"), leak="unit")

#: What a network may contain; a test for a backend with less names a subset. Without "cuba" there is no synaptic current,
#: without "heterogeneous" one du, dv, threshold and bias a population, without "negative" no negative weight.
FEATURES = frozenset(
    ("dense", "conv1d", "conv2d", "sparse", "negative", "affine", "cuba", "heterogeneous", "bias", "refractory", "initial",
     "integrator", "recurrent", "branch", "edge_delays", "graded", "large")
)  # fmt: skip
BOUNDARIES = ("reset", "carry", "silence(3)")


def _neuron(spiking, shape, dv, du, threshold, bias, **extras):
    """Return a population with these registers; *du* None has no synaptic current, *threshold* None does not spike."""
    full = lambda value: np.broadcast_to(np.asarray(value, np.float64), shape)  # noqa: E731
    beta = full((DECAY_ONE - np.asarray(dv)) / DECAY_ONE)
    # A time constant is finite; the exact coefficients beside it say what is meant.
    tau = DT * DECAY_ONE / np.maximum(full(dv), DECAY_ONE / 2.0**30)
    given = {"r": full(1), "v_leak": full(bias)}
    if du is None:
        exact = Discrete(DT, "euler", "nir", beta, np.float64(SHIFT))
        given |= {"tau": tau}
    else:
        alpha = full((DECAY_ONE - 1 - np.asarray(du)) / DECAY_ONE)
        exact = Discrete(DT, "euler", "nir", beta, np.float64(1), alpha=alpha, syn_gain=np.float64(SHIFT))
        tau_syn = DT * DECAY_ONE / np.minimum(full(du) + 1, DECAY_ONE - 1)
        given |= {"tau_mem": tau, "tau_syn": tau_syn, "w_in": full(1)}
    if spiking:
        given |= {"v_threshold": full(threshold) * SHIFT, "v_reset": full(0)}
    cls = {(True, False): LIF, (True, True): CubaLIF, (False, False): LI, (False, True): CubaLI}[spiking, du is not None]
    return cls(**given, extras=Extras(discrete=exact, **extras))


def on_grid_lif(shape, dv=0, threshold=1, bias=0, **extras):
    """Return LIF neurons (LI where *threshold* is None) with these registers; *bias* is mantissa << exponent."""
    return _neuron(threshold is not None, shape, dv, None, threshold, bias, **extras)


def on_grid_cuba(shape, dv=0, du=0, threshold=1, bias=0, **extras):
    """Return CubaLIF neurons (CubaLI where *threshold* is None) with these registers."""
    return _neuron(threshold is not None, shape, dv, du, threshold, bias, **extras)


def with_input_range(graph: Graph, path: str, least: int, most: int, scale: float = 1.0) -> Graph:
    """Return *graph*, whose Input *path* takes values that times *scale* are integers from *least* to *most*."""
    note = {INPUT_NOTE: {"scale": scale, "least": least, "most": most}}
    nodes = tuple(dataclasses.replace(n, notes={**n.notes, **note}) if n.path == path else n for n in graph)
    return dataclasses.replace(graph, nodes=nodes)


def worst_sum(op, shape, most=1):
    """Return the largest magnitude that a sum of *op*'s weights can have, over all neurons and inputs up to *most*."""
    absolute = dataclasses.replace(op, weight=np.abs(op.weight))
    return float(np.max(absolute.apply(np.full((1, *shape), float(most))), initial=0.0))


def _integers(draw, rng, *shape, negative, sparse):
    """Return integer weights: mantissas of 8 bits, even where signs are mixed, with one exponent."""
    signs = draw(st.sampled_from(("mixed", "positive", "negative"))) if negative else "positive"
    largest = draw(st.sampled_from((40, 255, 3)))
    weight = rng.integers(-largest if signs != "positive" else 0, (0 if signs == "negative" else largest) + 1, shape)
    if sparse:
        weight = np.where(rng.random(shape) < draw(st.sampled_from((0.3, 0.05))), weight, 0)
    elif draw(st.booleans()):
        weight = np.where(rng.random(shape) < 0.2, 0, weight)
    return _on_grid(weight, draw(st.sampled_from((0, 0, 1, 3, MAX_EXPONENT))))


def _on_grid(mantissa, exponent):
    low, high, step = mantissa_range(mantissa)
    return (np.clip(mantissa // step * step, low, high) << exponent).astype(np.float64)


def _fitted(ops, shapes, most, limit):
    """Return *ops* with mantissas shifted down until no sum of all of them exceeds *limit*."""
    while sum(worst_sum(op, shape, m) for op, shape, m in zip(ops, shapes, most, strict=True)) > limit:
        ops = [dataclasses.replace(op, weight=np.trunc(op.weight / 4) * 2) for op in ops]
    return ops


def _connection(draw, s, source, shape, features):
    """Return weights from *source*, whose output has *shape*, into a new population."""
    some = {"negative": "negative" in features, "sparse": "sparse" in features and draw(st.integers(0, 3)) == 0}
    if len(shape) > 1:
        return _convolution(draw, s, shape, some)
    most = 150 if "large" in features and draw(st.integers(0, 7)) == 0 else 9
    weight = _integers(draw, s.rng, draw(st.integers(1, most)), shape[0], **some)
    return Affine(weight, np.zeros(len(weight))) if "affine" in features and draw(st.booleans()) else Linear(weight)


def _convolution(draw, s, shape, some):
    c_in, *size = shape
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if c_in % g == 0]))
    c_out = groups * draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, min(3, n))) for n in size]
    dilation = [draw(st.integers(1, 2)) if k * 2 - 1 <= n else 1 for k, n in zip(kernel, size, strict=True)]
    stride = [draw(st.integers(1, 2)) for _ in size]
    padding = [draw(st.integers(0, 2)) for _ in size]
    weight = _integers(draw, s.rng, c_out, c_in // groups, *kernel, **some)
    if len(size) == 2:
        return Conv2d(None, weight, stride, padding, dilation, groups, np.zeros(c_out))
    return Conv1d(None, weight, stride[0], padding[0], dilation[0], groups, np.zeros(c_out))


def _decay(draw, rng, each):
    return rng.integers(*draw(st.sampled_from(((0, 1), (1, 40), (0, 4096), (3000, 4096), (4095, 4096)))), each)


def _current(draw, s, each, features):
    """Draw what decides how large a current can grow: its decay and its start."""
    found = {"du": _decay(draw, s.rng, each)} if "cuba" in features and draw(st.booleans()) else {}
    if found and "initial" in features and draw(st.booleans()):
        most = draw(st.sampled_from((500, LIMIT // 2)))
        found["i_init"] = s.rng.integers(1 - most, most, each).astype(np.float64)
    return found


def _membrane(draw, s, each, features, drive, spiking):
    """Draw the registers and extras of membranes whose input is about *drive* (in weights) a step."""
    rng = s.rng
    found = {"dv": _decay(draw, rng, each), "threshold": None}
    if spiking:
        wanted = np.rint(rng.uniform(0.05, 1.2, each) * max(drive, 1.0)).astype(np.int64)
        extreme = draw(st.integers(0, 19)) == 0
        found["threshold"] = draw(st.sampled_from((0, MAX_THRESHOLD))) if extreme else np.minimum(wanted, MAX_THRESHOLD)
        if "refractory" in features and draw(st.integers(0, 2)) == 0:
            found["refractory_steps"] = rng.integers(0, 4, each)
    if "bias" in features and draw(st.booleans()):
        exponent = draw(st.integers(0, MAX_EXPONENT))
        usual = draw(st.integers(0, 7)) > 0
        most = min(MAX_BIAS, int(drive * SHIFT / 4) >> exponent) if usual else MAX_BIAS
        found["bias"] = rng.integers(-most if draw(st.booleans()) else 0, most + 1, each) << exponent
    if "initial" in features and draw(st.integers(0, 3)) == 0:
        found["held_init"] = rng.integers(0, 4, each)
    if "initial" in features and draw(st.booleans()):
        most = draw(st.sampled_from((min(int(drive * SHIFT) + 2, LIMIT), LIMIT)))
        found["v_init"] = rng.integers(1 - most, most, each).astype(np.float64)
    return found


def _population(draw, s, path, sources, features, bounds, steps, within, spiking=True):
    """Add a population *path* and its connections from *sources* (and from itself); return its path.

    *bounds* has the largest magnitude of what leaves the inputs.
    """
    convolves = {2: "conv1d", 3: "conv2d"}.get(len(s.shape[sources[0]])) in features
    flat = len(s.shape[sources[0]]) > 1 and not (convolves and draw(st.integers(0, 3)))
    fronts = [s.add(f"{path}.flat", Flatten(0, -1), sources[0]) if flat else sources[0]]
    ops = [_connection(draw, s, fronts[0], s.shape[fronts[0]], features)]
    shape = ops[0].output_shape(s.shape[fronts[0]])
    some = {"negative": "negative" in features, "sparse": False}
    if len(shape) == 1:
        for number, other in enumerate(sources[1:]):
            image = len(s.shape[other]) > 1
            fronts.append(s.add(f"{path}.flat{number}", Flatten(0, -1), other) if image else other)
            ops.append(Linear(_integers(draw, s.rng, shape[0], s.shape[fronts[-1]][0], **some)))
        if spiking and "recurrent" in features and draw(st.integers(0, 2)) == 0:
            fronts.append(path)
            ops.append(Linear(_integers(draw, s.rng, shape[0], shape[0], **some)))
    s.shape[path] = shape
    shapes = [s.shape[f] for f in fronts]
    most = [bounds.get(source, 1) for source in [*sources[: len(fronts)], path][: len(fronts)]]
    each = shape if "heterogeneous" in features and draw(st.booleans()) else ()
    registers = _current(draw, s, each, features)
    if within:
        decay = (int(np.min(registers["du"])) + 1) / DECAY_ONE if "du" in registers else 1.0
        room = LIMIT - 1 - float(np.max(np.abs(registers.get("i_init", 0))))
        ops = _fitted(ops, shapes, most, room / SHIFT / min(1 / decay, 4 * (steps + 3)))
    drive = sum(np.sqrt(worst_sum(op, shape, m) * np.abs(op.weight).max(initial=0) * m / 4)
                for op, shape, m in zip(ops, shapes, most, strict=True))  # fmt: skip
    registers |= _membrane(draw, s, each, features, float(drive), spiking)
    make = on_grid_cuba if "du" in registers else on_grid_lif
    s.nodes[path] = make(shape, **registers)
    for number, (front, op) in enumerate(zip(fronts, ops, strict=True)):
        late = draw(st.integers(1, 5)) if "edge_delays" in features and draw(st.booleans()) else None
        s.connect(s.add(f"{path}.w{number}", op, front), path, late)
    return path


@st.composite
def loihi_networks(
    draw, *, features: Collection[str] = FEATURES, boundaries: Collection[str] = BOUNDARIES, max_layers: int = 3,
    max_samples: int = 3, max_steps: int = 24, within: bool = True,
):  # fmt: skip
    """Draw ``(graph, profile, inputs)``; ``inputs["input"]`` has shape (samples, steps, \\*shape).

    Parameters
    ----------
    features : collection of str
        Subset of `FEATURES`.
    boundaries : collection of str
        Values of the profile's ``boundary``.
    max_layers, max_samples, max_steps : int
        Bounds of the sizes.
    within : bool
        Whether currents stay inside 24 bits whatever the spikes, in four samples of *max_steps* in a row.
    """
    unknown = set(features) - FEATURES
    assert not unknown, f"no such features: {unknown}"
    profile = dataclasses.replace(
        parse_profile(f"{GRID.name},dt={DT},boundary={draw(st.sampled_from(boundaries))}"), leak="unit"
    )
    s = Sketch(profile, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    rank = draw(st.sampled_from([r for r, f in ((1, "dense"), (2, "conv1d"), (3, "conv2d")) if f in features]))
    source = s.add("input", Input(tuple(draw(st.integers(2, 6)) for _ in range(rank))))
    least, most, scale = 0, 1, 1.0
    if "graded" in features and draw(st.booleans()):
        least, most = draw(st.sampled_from(((0, 255), (0, 3), (-1, 1), (-128, 127), (0, 1000), (-5000, 0))))
        scale = draw(st.sampled_from((1.0, 1.0, 255.0, 4.0)))
    bounds = {"input": max(abs(least), abs(most))}
    made = [source]
    for number in range(1, draw(st.integers(1, max_layers)) + 1):
        skips = draw(st.lists(st.sampled_from(made), max_size=1)) if "branch" in features and draw(st.booleans()) else []
        made.append(_population(draw, s, f"l{number}", [made[-1], *skips], features, bounds, max_steps, within))
    if "integrator" in features and draw(st.integers(0, 2)) == 0:
        made.append(_population(draw, s, "readout", [made[-1]], features, bounds, max_steps, within, spiking=False))
    s.add("output", Output(s.shape[made[-1]]), made[-1])
    graph = s.graph()
    if (least, most, scale) != (0, 1, 1.0):
        graph = with_input_range(graph, "input", least, most, scale)
    size = (draw(st.integers(1, max_samples)), draw(st.integers(4, max_steps)), *graph["input"].op.shape)
    on = s.rng.random(size) < draw(st.sampled_from((0.4, 0.9, 0.1)))
    whole = np.where(on, s.rng.integers(least, most + 1, size), 0) if (least, most) != (0, 1) else on
    if (least, most, scale) == (0, 1, 1.0):
        return graph, profile, {"input": whole.astype(draw(st.sampled_from((np.uint8, np.bool_, np.float64))))}
    return graph, profile, {"input": whole / scale if scale != 1.0 else whole.astype(np.int64)}


__all__ = [
    "BOUNDARIES", "FEATURES", "GRID", "loihi_networks", "on_grid_cuba", "on_grid_lif", "with_input_range", "worst_sum",
]  # fmt: skip
