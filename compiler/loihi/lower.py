"""Lowering to Loihi's integers: from a graph in real numbers to one on the grid, with a table of what became of each number.

The lowered graph has Loihi's form: every connection is one matrix or convolution of 8-bit weights from an input or a
population to a population, a step or more long; every population has a current, a membrane, a bias and a reset to zero.
It runs in arithmetic ``loihi`` (``ir.loihi``), on the reference, the engine and Lava alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.compiler.loihi.assemble import assemble
from spikeport.compiler.loihi.calibrate import Calibration, calibrate
from spikeport.compiler.loihi.entry import entries
from spikeport.compiler.loihi.links import Link, links_of, readouts
from spikeport.compiler.loihi.neurons import RESET_CHANGE, Dynamics, dynamics, refused, reset_of
from spikeport.compiler.loihi.retime import lags
from spikeport.compiler.loihi.scale import ASSUMED_STEPS, Choice, bounds, candidates, quantize, weight_error
from spikeport.compiler.loihi.settle import Settled, exact_choice, settle
from spikeport.compiler.loihi.table import Row, rows_of
from spikeport.compiler.passes.base import Evaluator
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, VerifyError, fail_on_errors
from spikeport.ir.graph import Graph
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import Array
from spikeport.ir.profile import Profile
from spikeport.ir.reference import silent_inputs

#: How much larger the squared error of the weights may become where cutting the largest of them pays on the data.
MOST_CUT = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A graph on Loihi's grid.

    Parameters
    ----------
    graph, profile : Graph, Profile
        What runs.
    rows : tuple of Row
        The conversion table.
    lags : Mapping[str, int]
        Steps by which each population runs behind the source model.
    measured : Mapping
        What the calibration data showed, or empty.
    diagnostics : tuple of Diagnostic
        Warnings and notes.
    """

    graph: Graph
    profile: Profile
    rows: tuple[Row, ...]
    lags: Mapping[str, int]
    measured: Mapping[str, Any]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def drain(self) -> int:
        """Steps that must follow the input until the outputs have shown all that the source model's show."""
        shown = {source for output in self.graph.outputs for source, _ in readouts(self.graph, output)}
        return max((self.lags.get(path, 0) for path in shown), default=0)

    def notes(self) -> dict[str, Any]:
        """Return what a program carries of it, as plain data."""
        return {
            "conversion": [row.as_dict() for row in self.rows],
            "lags": {path: lag for path, lag in self.lags.items() if lag},
            "drain": self.drain,
            "measured": dict(self.measured),
            "calibrated": bool(self.measured),
        }


def lower_to_loihi(
    graph: Graph, profile: Profile, *, data: Mapping[str, Array] | None = None, evaluator: Evaluator | None = None,
    allow: Sequence[str] = (), labels: Array | None = None,
) -> Lowered:  # fmt: skip
    """Return *graph* on Loihi's grid.

    Parameters
    ----------
    graph, profile : Graph, Profile
        The verified source model.
    data : Mapping[str, array, shape (samples, steps, *shape)] or None
        Calibration input: what scales are chosen on. Without it the input is taken to be spikes, 0 or 1, and scales are
        chosen by the error of the weights.
    evaluator : Evaluator or None
        Who runs the source model on *data*; None is the reference.
    allow : sequence of str
        Approximations that are asked for: ``reset-change``.
    labels : array of int, shape (samples,), or None
        Classes of the samples, where the outputs' spike counts tell classes: accuracy then is measured too.

    Raises
    ------
    UnsupportedError
        E530 to E532, E538: what Loihi has not, with the layer.
    """
    if (same := _as_it_is(graph, profile)) is not None:
        return same
    network = build_network(graph, profile, "float64")
    fail_on_errors(UnsupportedError, list(refused(network, frozenset(allow))))
    found: list[Diagnostic] = list(_changed_resets(network, data))
    shapes = {path: dynamics(model) for path, model in network.models.items()}
    entering, said = entries(graph, data)
    found += said
    links = links_of(network, shapes, entering)
    lag = lags([(one.incoming.source, one.target, one.delay) for one in links], graph.inputs)
    # A bias that starts late is there after the longest way at the latest.
    silent = silent_inputs(network, max((one.delay for one in links), default=0) + 1)
    calibration = None if data is None else calibrate(network, data, entering, evaluator)
    done: dict[str, Settled] = {}
    for path, dyn in shapes.items():
        into = [one for one in links if one.target == path]
        done[path], said = _settled(path, dyn, into, silent[path], lag.get(path, 0), calibration)
        found += said
    lowered, low_profile, names = assemble(network, entering, links, done, lag)
    try:
        build_network(lowered, low_profile, "loihi")
    except VerifyError as error:  # what we made must be on the grid
        raise AssertionError(f"the lowered graph is off the grid: {error}") from error
    rows = tuple(row for path in done for row in rows_of(path, shapes[path], done[path], links, names))
    measured: dict[str, Any] = {}
    if calibration is not None and data is not None:
        measured = calibration.measure(lowered, low_profile, lag, network, data, evaluator, labels)
    return Lowered(lowered, low_profile, rows, lag, measured, tuple(found))


def _as_it_is(graph: Graph, profile: Profile) -> Lowered | None:
    """Return *graph* unchanged where it is on the grid already, else None."""
    try:
        build_network(graph, profile, "loihi")
    except (VerifyError, UnsupportedError):
        return None
    note = Diagnostic("E539", "", "the model is on Loihi's integer grid already: it is taken as it is", "", {}, "note")
    return Lowered(graph, profile, (), {}, {}, (note,))


def _changed_resets(network: StepNetwork, data: Mapping[str, Array] | None) -> list[Diagnostic]:
    changed = [path for path, model in network.models.items() if reset_of(model)]
    if not changed:
        return []
    if data is None:
        raise UnsupportedError(
            Diagnostic(
                "E536", changed[0], f"--allow {RESET_CHANGE} changes the reset of {', '.join(changed)}, and what that costs "
                "can only be measured on data", "give calibration input: --data FILE.npz",
            )
        )  # fmt: skip
    return [
        Diagnostic(
            "E536", path, f"{reset_of(network.models[path])} became a reset to 0, as --allow {RESET_CHANGE} asks; the report "
            "says what it costs on the calibration data", "", {}, "warning",
        )
        for path in changed
    ]  # fmt: skip


def _settled(
    path: str, dyn: Dynamics, into: Sequence[Link], silent: Array, lag: int, calibration: Calibration | None
) -> tuple[Settled, list[Diagnostic]]:  # fmt: skip
    """Return the integers of a population, those of the best scale."""
    if dyn.late:  # its input is one step late, its bias with it
        silent = np.concatenate([np.zeros((1, *dyn.shape)), silent])
    bias = silent[-1]
    if not _is_steady(dyn, bias):
        raise UnsupportedError(
            Diagnostic(
                "E530", path, "its bias enters a current that does not decay, so it grows without end", "give it a tau_syn",
            )
        )  # fmt: skip
    incoming = [one.incoming for one in into]
    given = exact_choice(dyn, incoming, silent, lag)
    if given is not None:
        return given, []
    constant = dyn.settled(bias)
    steps = ASSUMED_STEPS if calibration is None else calibration.steps
    start = dyn.i_init - (0.0 if dyn.alpha is None else constant - dyn.constant)
    most = bounds(dyn, incoming, constant, start, steps)
    best: tuple[tuple[float, float], Choice] | None = None
    for choice in candidates(path, dyn, incoming, most):
        error = (_mismatch(path, dyn, into, silent, choice, calibration), weight_error(choice, incoming))
        if best is None or error < best[0]:
            best = (error, choice)
    if best is None:
        raise UnsupportedError(
            Diagnostic(
                "E532", path, f"{most.what} ({most.number:.4g} in the model's unit) fills Loihi's register at a scale that "
                "leaves its threshold no mantissa", "raise the threshold, or lower what enters the population",
                {"scale": most.scale},
            )
        )  # fmt: skip
    finest = _cut_outliers(path, dyn, into, silent, best, calibration)
    return settle(path, dyn, silent, lag, finest)


def _cut_outliers(
    path: str, dyn: Dynamics, into: Sequence[Link], silent: Array, best: tuple[tuple[float, float], Choice],
    calibration: Calibration | None,
) -> Choice:  # fmt: skip
    """Return the choice with exponents one lower where cutting the few largest weights costs less than it gains."""
    (least, choice), incoming = best, [one.incoming for one in into]
    for place, one in enumerate(incoming):
        finer = quantize(one.weight, choice.scale, lower=1)
        if finer.exponent == choice.weights[place].exponent:
            continue
        trial = dataclasses.replace(choice, weights=(*choice.weights[:place], finer, *choice.weights[place + 1 :]))
        wrong = weight_error(trial, incoming)
        if wrong > MOST_CUT * max(least[1], 1e-12):  # the data may not show what a weight is there for
            continue
        error = (_mismatch(path, dyn, into, silent, trial, calibration), wrong)
        if error < least:
            least, choice = error, trial
    return choice


def _mismatch(
    path: str, dyn: Dynamics, into: Sequence[Link], silent: Array, choice: Choice, calibration: Calibration | None
) -> float:  # fmt: skip
    if calibration is None:
        return 0.0
    trial, _ = settle(path, dyn, silent, 0, choice)
    return calibration.mismatch(path, dyn, into, trial)


def _is_steady(dyn: Dynamics, bias: Array) -> bool:
    """Whether a constant *bias* lets the current settle."""
    return dyn.alpha is None or not np.any((dyn.alpha >= 1) & (bias != 0))
