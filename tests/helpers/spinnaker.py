"""Hypothesis strategy for networks on SpiNNaker's grid, drawn as registers, and their evaluation in Python's integers.

``spinnaker_networks()`` draws ``(graph, profile, inputs)`` that ``build_network(graph, profile, "spinnaker1")`` takes: ring
buffers that saturate, currents and membranes that wrap round, refractory counters, both synapse kinds, loops, delays.
``evaluate`` runs one, written from ``ir/spinnaker.py``'s docstring alone and without numpy's arithmetic.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import strategies as st

from spikeport.backends.testing.sketch import Sketch
from spikeport.ir import parse_profile
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.ops import LI, LIF, Conv2d, CubaLI, CubaLIF, Discrete, Extras, Flatten, Input, Linear, Output
from spikeport.ir.spinnaker import FULL, MOST, NOTE, ONE

DT = 1e-3
REGISTERS = ("exp_tc", "resistance", "v_rest", "i_offset", "v_reset", "threshold", "refractory", "decay", "init")


def population(shape, *, exp_tc, resistance, v_rest, threshold, v_reset, decay=None, init=None, **extras):
    """Return neurons with these registers, in bits; *threshold* None does not spike, *decay* None is IF_curr_delta."""
    full = lambda bits, one=ONE: np.broadcast_to(np.asarray(bits, np.float64) / one, shape)  # noqa: E731
    beta = full(exp_tc)
    tau = DT / np.minimum(-np.log(np.maximum(beta, 1e-300)), 700.0)
    # The leak of the profile is taken from tau: V_rest must come back whole.
    given = {"r": full(resistance), "v_leak": full(v_rest)}
    if decay is None:
        given["tau"] = tau
        exact = Discrete(DT, "exponential", "nir", beta, (1 - beta) * full(resistance))
    else:
        given |= {"tau_mem": tau, "tau_syn": np.full(shape, 2 * DT), "w_in": np.ones(shape)}
        exact = Discrete(DT, "exponential", "nir", beta, (1 - beta) * full(resistance), full(decay, FULL), full(init, FULL))
    if threshold is not None:
        given |= {"v_threshold": full(threshold), "v_reset": full(v_reset)}
    kind = {(True, False): LIF, (True, True): CubaLIF, (False, False): LI, (False, True): CubaLI}
    return kind[threshold is not None, decay is not None](**given, extras=Extras(discrete=exact, **extras))


def _weights(draw, rng, shape, shifts):
    """Return weights of both signs, k * 2^(shift - 15), of few bits or of all 16."""
    most = draw(st.sampled_from((3, 200, 20_000, MOST)))
    bits = rng.integers(-most, most + 1, shape)
    bits = np.where(rng.random(shape) < draw(st.sampled_from((0.2, 1.0))), bits, 0)
    return bits * np.where(bits > 0, *(2.0 ** (s - 15) for s in shifts))


@st.composite
def spinnaker_networks(draw, *, max_layers=3, max_steps=20):
    """Draw ``(graph, profile, inputs)`` on SpiNNaker's grid."""
    boundary = draw(st.sampled_from(("reset", "reset", "carry", "silence(3)")))
    profile = dataclasses.replace(parse_profile("spynnaker"), dt=DT, boundary=boundary)
    s = Sketch(profile, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    rng = s.rng
    image = draw(st.integers(0, 3)) == 0
    shape = (2, 4, 3) if image else (draw(st.integers(1, 6)),)
    made = [s.add("input", Input(shape))]
    least, most = draw(st.sampled_from(((0, 1), (0, 1), (0, 9), (-4, 4))))
    notes = {"input": {INPUT_NOTE: {"scale": 1.0, "least": least, "most": most}}} if (least, most) != (0, 1) else {}
    for number in range(1, draw(st.integers(1, max_layers)) + 1):
        path, source = f"l{number}", made[-1]
        shifts = [draw(st.integers(0, 15)), draw(st.integers(0, 15))]
        if least < 0 and number == 1:  # negative values take weights to the other ring buffer
            shifts[1] = shifts[0]
        notes[path] = {NOTE: {"shifts": shifts, "scale": 1.0}}
        fronts, ops = [source], []
        if len(s.shape[source]) == 3 and min(s.shape[source][1:]) > 1 and draw(st.booleans()):
            stride = draw(st.integers(1, 2))
            weight = _weights(draw, rng, (3, s.shape[source][0], 2, 2), shifts)
            ops.append(Conv2d(None, weight, (stride, 1), (draw(st.integers(0, 1)), 0), (1, 1), 1, np.zeros(3)))
        else:
            if len(s.shape[source]) == 3:
                fronts[0] = s.add(f"{path}.flat", Flatten(0, -1), source)
            ops.append(Linear(_weights(draw, rng, (draw(st.integers(1, 7)), s.shape[fronts[0]][0]), shifts)))
        size = ops[0].output_shape(s.shape[fronts[0]])
        s.shape[path] = size
        spikes = number == 1 or draw(st.integers(0, 3)) > 0
        if len(size) == 1 and spikes and draw(st.booleans()):
            fronts.append(path)
            ops.append(Linear(_weights(draw, rng, (size[0], size[0]), shifts)))
        wide = draw(st.integers(0, 3)) == 0
        each = size if draw(st.booleans()) else ()
        reach = 1 << (31 if wide else 22)
        registers = {
            "exp_tc": rng.integers(0, ONE, each), "resistance": rng.integers(1, 3 * ONE, each) if wide else ONE,
            "v_rest": rng.integers(-reach // 8, reach // 8, each) if draw(st.booleans()) else 0,
            "threshold": rng.integers(1, reach, each) if spikes else None, "v_reset": rng.integers(-reach // 4, 1, each),
        }  # fmt: skip
        if draw(st.booleans()):
            registers |= {"decay": rng.integers(0, FULL, each), "init": rng.integers(1, FULL, each)}
            if draw(st.booleans()):
                registers["i_init"] = rng.integers(-reach // 8, reach // 8, each) / ONE
        if draw(st.booleans()):
            registers["v_init"] = rng.integers(-reach // 4, reach // 4, each) / ONE
        if draw(st.integers(0, 2)) == 0:
            registers["refractory_steps"] = rng.integers(0, 4, each)
        if draw(st.integers(0, 3)) == 0:
            registers["held_init"] = rng.integers(0, 4, each)
        s.nodes[path] = population(size, **registers)
        for i, (front, op) in enumerate(zip(fronts, ops, strict=True)):
            s.connect(s.add(f"{path}.w{i}", op, front), path, draw(st.integers(1, 5)))
        made.append(path)
        if not spikes:
            break
    s.add("output", Output(s.shape[made[-1]]), made[-1])
    graph = s.graph()
    nodes = tuple(dataclasses.replace(n, notes={**n.notes, **notes.get(n.path, {})}) for n in graph)
    size = (draw(st.integers(1, 3)), draw(st.integers(3, max_steps)), *shape)
    on = rng.random(size) < draw(st.sampled_from((0.3, 0.9)))
    whole = np.where(on, rng.integers(least, most + 1, size), 0) if (least, most) != (0, 1) else on
    return dataclasses.replace(graph, nodes=nodes), profile, {"input": whole.astype(np.float64)}


def wrap(x: int) -> int:
    """Return what 32 bits with sign keep of *x*."""
    x %= FULL
    return x - FULL if x >= FULL // 2 else x


def evaluate(network, values):
    """Return ``{path: [(spike, V, exc - inh) by neuron] by step}`` and the full slots, for one sample, in Python's integers.

    *values* is a list of steps, each ``{input: list of int}``.
    """
    graph = network.graph
    state, result, full = {}, {p: [] for p in network.models}, dict.fromkeys(network.models, 0)
    sent = {path: [] for path in [*graph.inputs, *network.models]}
    for path, model in network.models.items():
        held = np.zeros(model.shape, int) if model.held_init is None else model.held_init
        state[path] = [
            [round(v * ONE), round(max(i, 0) * ONE), round(max(-i, 0) * ONE), int(h)]
            for v, i, h in zip(model.v_init.flat, model.i_init.flat, held.flat, strict=True)
        ]
    matrices = list(_matrices(network))
    for step, now in enumerate(values):
        for path in graph.inputs:
            sent[path].append(now[path])
        fresh = {}
        for path, model in network.models.items():
            core = model.core
            flat = {
                name: [
                    int(x) for x in np.broadcast_to(0 if getattr(core, name) is None else getattr(core, name), core.shape).flat
                ]
                for name in REGISTERS
            }
            row, spikes = [], []
            for n, neuron in enumerate(state[path]):
                slots = [0, 0]
                for source, target, delay, bits in matrices:
                    if target == path and step - delay >= 0:
                        for j, packets in enumerate(sent[source][step - delay]):
                            drive = bits[n][j] * packets
                            slots[0 if drive > 0 else 1] += abs(drive)
                currents = []
                for k, (slot, shift) in enumerate(zip(slots, core.shifts, strict=True)):
                    full[path] += slot > MOST
                    new = min(slot, MOST) << shift
                    if core.decay is not None:
                        new = wrap((neuron[1 + k] * flat["decay"][n] >> 32) + (new * flat["init"][n] >> 32))
                    currents.append(new)
                neuron[1:3] = currents
                if neuron[3] > 0:
                    neuron[3] -= 1
                else:
                    total = wrap(currents[0] - currents[1] + flat["i_offset"][n])
                    rest = wrap(wrap(flat["resistance"][n] * total >> 15) + flat["v_rest"][n])
                    neuron[0] = wrap(rest - wrap(flat["exp_tc"][n] * wrap(rest - neuron[0]) >> 15))
                spike = core.threshold is not None and neuron[0] >= flat["threshold"][n]
                if spike:
                    neuron[0], neuron[3] = flat["v_reset"][n], flat["refractory"][n]
                spikes.append(int(spike))
                row.append((int(spike), neuron[0], currents[0] - currents[1]))
            fresh[path] = spikes
            result[path].append(row)
        for path, spikes in fresh.items():
            sent[path].append(spikes)
    return result, full


def _matrices(network):
    """Yield (source, target, delay, rows of weights in bits) of every connection, found by what one value alone does."""
    graph, delays = network.graph, network.schedule.delays
    for path, op in network.ops.items():
        if not op.is_weighted:
            continue
        (into,) = graph.into(path)
        source, before = into.source, delays[into]
        while graph[source].op.kind == "Flatten":
            (into,) = graph.into(source)
            source, before = into.source, before + delays[into]
        for out in graph.out_of(path):
            size = int(np.prod(network.shapes.input[path]))
            columns = op.apply(np.eye(size).reshape(size, *network.shapes.input[path])).reshape(size, -1)
            shifts = network.graph[out.target].notes[NOTE]["shifts"]
            bits = np.rint(columns.T * np.where(columns.T > 0, *(2.0 ** (15 - s) for s in shifts))).astype(int).tolist()
            yield source, out.target, before + delays[out], bits


__all__ = ["evaluate", "population", "spinnaker_networks", "wrap"]
