"""Lowering to SpiNNaker 1: from a graph in real numbers to the registers of sPyNNaker's cores, with a conversion table.

The lowered graph has sPyNNaker's form: every connection is one matrix or convolution of 16-bit weights from an input or a
population to a population, a step or more long; every population is an IF_curr_exp or an IF_curr_delta. It runs in
arithmetic ``spinnaker1`` (``ir.spinnaker``), on the reference and in the backend ``spinnaker`` alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikeport.compiler.integer.assemble import assemble
from spikeport.compiler.integer.calibrate import relative_error
from spikeport.compiler.integer.chip import Chip
from spikeport.compiler.integer.links import Link
from spikeport.compiler.integer.lowered import Lowered, as_it_is
from spikeport.compiler.integer.neurons import Dynamics, dynamics, refused
from spikeport.compiler.integer.prepare import Given, Prepared, prepare
from spikeport.compiler.integer.silent import require_steady
from spikeport.compiler.integer.table import span
from spikeport.compiler.integer.unit import in_unit, unit_of
from spikeport.compiler.passes.base import Evaluator
from spikeport.compiler.spinnaker.mismatch import mismatch
from spikeport.compiler.spinnaker.registers import Decays, decays, lost_decays, too_slow
from spikeport.compiler.spinnaker.scale import Choice, candidates
from spikeport.compiler.spinnaker.settle import Settled, beginning, rest_of, settle
from spikeport.compiler.spinnaker.table import rows_of
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, fail_on_errors
from spikeport.ir.graph import Graph, Node
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import Array
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import parse_profile
from spikeport.ir.spinnaker import NOTE

#: SpiNNaker, as messages speak of it.
SPINNAKER = Chip(
    "SpiNNaker", "spinnaker1", "sPyNNaker's neurons are set to v_reset and offer nothing else", "SpiNNaker's has none",
    "SpiNNaker's membrane has an exp_TC of its own", "it would spike in every step",
)  # fmt: skip


def lower_to_spinnaker(
    graph: Graph, profile: Profile, *, data: Mapping[str, Array] | None = None, evaluator: Evaluator | None = None,
    allow: Sequence[str] = (), labels: Array | None = None,
) -> Lowered:  # fmt: skip
    """Return *graph* on SpiNNaker's grid.

    Parameters
    ----------
    graph, profile : Graph, Profile
        The verified source model.
    data, evaluator, labels
        As in `Given`: data is what the shifts of ring buffers are chosen on, too. Without it buffers hold what all sources
        send at once, or else what sPyNNaker's own rule expects.
    allow : sequence of str
        Approximations that are asked for: ``reset-change``, ``slow-leak``.

    Raises
    ------
    UnsupportedError
        E530 to E532, E538: what SpiNNaker has not, with the layer.
    """
    if (same := as_it_is(graph, profile, SPINNAKER)) is not None:
        return same
    network = build_network(graph, profile, "float64")
    found = list(too_slow(network, frozenset(allow)))
    fail_on_errors(UnsupportedError, [*refused(network, frozenset(allow), SPINNAKER), *found])
    shapes = {path: dynamics(model) for path, model in network.models.items()}
    rounded = {path: decays(dyn) for path, dyn in shapes.items()}
    currents = {path: rounded[path].shaped(dyn) for path, dyn in shapes.items()}
    units = {path: unit_of(dyn) for path, dyn in currents.items()}
    shaped = {path: in_unit(dyn, units[path]) for path, dyn in currents.items()}
    ready = prepare(network, SPINNAKER, Given(data, evaluator, labels), shapes, shaped)
    done: dict[str, Settled] = {}
    chosen: dict[str, Choice] = {}
    for path, dyn in shapes.items():
        chosen[path], done[path], said = _settled(path, ready, rounded[path], shaped[path], units[path])
        found += [*said, *lost_decays(path, dyn, rounded[path])]
    weights = {path: [choice.real(number) for number in range(len(choice.weights))] for path, choice in chosen.items()}
    shifts = {path: choice.shifts for path, choice in chosen.items()}
    lowered, names = form(network, ready.entering, ready.links, done, weights, shifts, ready.lag)
    rows = (r for path in done for r in rows_of(path, shapes[path], done[path], chosen[path], ready.links, names))
    further = {"ring_buffers": {path: _said(choice, done[path]) for path, choice in chosen.items()}}
    return ready.finished(lowered, "spinnaker1", rows, found, further)


def form(
    network: StepNetwork, entering: Mapping[str, Any], links: Sequence[Link], done: Mapping[str, Settled],
    weights: Mapping[str, Sequence[Array]], shifts: Mapping[str, tuple[int, int]], lag: Mapping[str, int],
) -> tuple[Graph, dict[int, str]]:  # fmt: skip
    """Return the lowered graph, which states its profile, and the node of each link by its place among *links*."""
    source = network.profile
    profile = dataclasses.replace(parse_profile("spynnaker"), dt=source.dt, boundary=source.boundary)
    neurons = {
        path: Node(
            path, settled.neuron(profile.dt),
            {**network.graph[path].notes, NOTE: {"shifts": list(shifts[path]), "scale": _span(settled.scale)}},
        )
        for path, settled in done.items()
    }  # fmt: skip
    return assemble(network, profile, entering, links, neurons, weights, lag)


def _settled(
    path: str, ready: Prepared, done: Decays, shaped: Dynamics, unit: Array
) -> tuple[Choice, Settled, list[Diagnostic]]:
    """Return the registers of a population, those of the best scale; that is sought in its neurons' own units."""
    dyn, silent, lag, into = ready.shapes[path], ready.silent[path], ready.lag.get(path, 0), ready.into(path)
    calibration = ready.calibration
    require_steady(path, dyn, silent)
    rest = rest_of(dyn, done, silent) / unit
    current, membrane = (state / unit for state in beginning(dyn, done, silent, lag))
    start = np.minimum(np.maximum(np.abs(membrane), np.abs(current)), 1e6)
    best: tuple[tuple[float, float], Choice] | None = None
    for choice in candidates(path, shaped, done, into, rest, start, calibration, ready.network.profile.dt):
        wrong = 0.0
        if calibration is not None:
            trial, _ = settle(path, dyn, done, silent, 0, choice.scale / unit)
            wrong = mismatch(calibration, path, into, trial, choice)
        pairs = ((link.incoming.weight, choice.modelled(number)) for number, link in enumerate(into))
        error = (wrong, relative_error(pairs))
        if best is None or error < best[0]:
            best = (error, choice)
    if best is None:
        raise AssertionError("candidates gives one or raises")
    settled, found = settle(path, dyn, done, silent, lag, best[1].scale / unit)
    return best[1], settled, found


def _said(choice: Choice, settled: Settled) -> dict[str, Any]:
    """Return what the report says of a population's ring buffers, as plain data."""
    sums = [float((b * choice.scale).max(initial=0.0)) for b in choice.bound]
    return {"shifts": list(choice.shifts), "rule": choice.rule, "millivolts": _span(settled.scale), "largest_sums": sums}


def _span(values: Array) -> float | list[float]:
    """Return what all *values* are, or the least and the largest."""
    low, high = span(values)
    return low if low == high else [low, high]
