"""Lowering to Loihi's integers: from a graph in real numbers to one on the grid, with a table of what became of each number.

The lowered graph has Loihi's form: every connection is one matrix or convolution of 8-bit weights from an input or a
population to a population, a step or more long; every population has a current, a membrane, a bias and a reset to zero.
It runs in arithmetic ``loihi`` (``ir.loihi``), on the reference, the engine and Lava alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from spikeport.compiler.integer.calibrate import Calibration
from spikeport.compiler.integer.chip import Chip
from spikeport.compiler.integer.links import Link
from spikeport.compiler.integer.lowered import Lowered, as_it_is
from spikeport.compiler.integer.neurons import Dynamics, dynamics, refused
from spikeport.compiler.integer.prepare import Given, prepare
from spikeport.compiler.integer.silent import require_steady
from spikeport.compiler.loihi.assemble import assemble
from spikeport.compiler.loihi.mismatch import mismatch
from spikeport.compiler.loihi.scale import ASSUMED_STEPS, Choice, bounds, candidates, quantize, weight_error
from spikeport.compiler.loihi.settle import Settled, exact_choice, settle
from spikeport.compiler.loihi.table import rows_of
from spikeport.compiler.passes.base import Evaluator
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, fail_on_errors
from spikeport.ir.graph import Graph
from spikeport.ir.network import build_network
from spikeport.ir.ops import Array
from spikeport.ir.profile import Profile

#: How much larger the squared error of the weights may become where cutting the largest of them pays on the data.
MOST_CUT = 4.0


#: Loihi, as messages speak of it.
LOIHI = Chip(
    "Loihi", "loihi", "Lava's fixed_pt LIF resets to 0 and offers nothing else", "Loihi's goes down to -(2^23 - 1)",
    "Loihi's membrane keeps at least 1/4096 a step", "Loihi's threshold mantissa is not negative",
)  # fmt: skip


def lower_to_loihi(
    graph: Graph, profile: Profile, *, data: Mapping[str, Array] | None = None, evaluator: Evaluator | None = None,
    allow: Sequence[str] = (), labels: Array | None = None,
) -> Lowered:  # fmt: skip
    """Return *graph* on Loihi's grid.

    Parameters
    ----------
    graph, profile : Graph, Profile
        The verified source model.
    data, evaluator, labels
        As in `Given`. Without data, scales are chosen by the error of the weights.
    allow : sequence of str
        Approximations that are asked for: ``reset-change``.

    Raises
    ------
    UnsupportedError
        E530 to E532, E538: what Loihi has not, with the layer.
    """
    if (same := as_it_is(graph, profile, LOIHI)) is not None:
        return same
    network = build_network(graph, profile, "float64")
    fail_on_errors(UnsupportedError, list(refused(network, frozenset(allow), LOIHI)))
    shapes = {path: dynamics(model) for path, model in network.models.items()}
    ready = prepare(network, LOIHI, Given(data, evaluator, labels), shapes, shapes)
    found: list[Diagnostic] = []
    done: dict[str, Settled] = {}
    for path, dyn in shapes.items():
        lag = ready.lag.get(path, 0)
        done[path], said = _settled(path, dyn, ready.into(path), ready.silent[path], lag, ready.calibration)
        found += said
    lowered, names = assemble(network, ready.entering, ready.links, done, ready.lag)
    rows = (row for path in done for row in rows_of(path, shapes[path], done[path], ready.links, names))
    return ready.finished(lowered, "loihi", rows, found, {})


def _settled(
    path: str, dyn: Dynamics, into: Sequence[Link], silent: Array, lag: int, calibration: Calibration | None
) -> tuple[Settled, list[Diagnostic]]:  # fmt: skip
    """Return the integers of a population, those of the best scale."""
    require_steady(path, dyn, silent)
    bias = silent[-1]
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
    return mismatch(calibration, path, dyn, into, trial)
