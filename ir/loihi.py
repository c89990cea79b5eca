"""Arithmetic ``loihi``: the integers of Loihi's neurons and synapses, as Lava 0.10.0 computes them in ``fixed_pt``.

Weights are 8-bit mantissas with a shared exponent, even where signs are mixed; a sum of weights enters the current six bits
up; decays have 12 bits (``x*(4096 - d) >> 12``, towards zero); current and membrane have 24 bits. The equations are
those of Lava's ``proc/lif/models.py``, ``proc/dense/models.py`` and ``utils/weightutils.py``, found by trying them; Loihi's
own limits are published in doi:10.1109/MM.2018.112130359 and in nengo-loihi.

A graph is on *Loihi's grid* where the discrete coefficients of its profile are such integers; ``compiler.loihi`` puts it
there. All of them, and all that is computed from them, are whole numbers below 2^53, so doubles hold them exactly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, RunError, VerifyError
from spikeport.ir.dynamics import HALF_RANGE, NeuronModel
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array, Input, Op

if TYPE_CHECKING:
    from spikeport.ir.network import StepNetwork

#: One, in the unit of decays.
DECAY_ONE = 4096
#: A weight, and a threshold's mantissa, stand six bits above the least bit of current and membrane.
SHIFT = 64
#: Largest threshold mantissa (17 bits), bias mantissa (13 bits with sign) and exponents.
MAX_THRESHOLD, MAX_BIAS, MAX_EXPONENT = 2**17 - 1, 2**12 - 1, 7
#: Current and membrane stay below this; an integrator's threshold, which nothing reaches.
LIMIT = int(HALF_RANGE)
#: Note of an Input node: what its values are multiplied by, and the least and largest integer that the program was made for.
INPUT_NOTE = "loihi_input"
#: Note of a graph with faults on purpose in it: a list of their texts. What they put in is no part of the chip, so it is not
#: held against the grid: gates and masks of 0 and 1, which keep whole numbers whole, and thresholds beyond all membranes.
FAULTS_NOTE = "faults"


def mantissa_range(weight: Array) -> tuple[int, int, int]:
    """Return (least, largest, step) of the 8-bit mantissas that weights of these signs have: Lava's ``clip_weights``."""
    if weight.size and weight.min() < 0 < weight.max():
        return -256, 254, 2
    return (-255, 0, 1) if weight.size and weight.min() < 0 else (0, 255, 1)


def split_weights(weight: Array) -> tuple[Array, int]:
    """Return *weight* as ``mantissa << exponent`` with the smallest exponent that there is.

    Parameters
    ----------
    weight : array
        Whole numbers, of any type.

    Returns
    -------
    mantissa : array of int64
    exponent : int
        0 to 7.

    Raises
    ------
    ValueError
        Where the weights are not whole or need more than 8 bits of mantissa.
    """
    whole = np.rint(weight).astype(np.int64)
    if np.any(whole != weight):
        raise ValueError("weights are not whole numbers")
    low, high, step = mantissa_range(whole)
    for exponent in range(MAX_EXPONENT + 1):
        unit = step << exponent
        if np.all(whole % unit == 0) and (
            not whole.size or (whole.min() >= low << exponent and whole.max() <= high << exponent)
        ):
            return whole >> exponent, exponent
    raise ValueError(
        f"weights from {whole.min()} to {whole.max()} are no 8-bit mantissas with one exponent of 0 to {MAX_EXPONENT}"
    )


def split_bias(bias: Array) -> tuple[Array, Array]:
    """Return whole-numbered *bias* as ``mantissa << exponent`` by neuron, the exponents as small as they can be.

    Raises
    ------
    ValueError
        Where a bias is not whole or needs more than 13 bits of mantissa.
    """
    whole = np.rint(bias).astype(np.int64)
    exponent = np.zeros(whole.shape, np.int64)
    for step in range(1, MAX_EXPONENT + 1):
        exponent[np.abs(whole) > MAX_BIAS << (step - 1)] = step
    mantissa = whole >> exponent
    if np.any(whole != bias) or np.any(mantissa << exponent != whole) or np.any(np.abs(mantissa) > MAX_BIAS):
        raise ValueError(f"biases are no 13-bit mantissas with exponents of 0 to {MAX_EXPONENT}")
    return mantissa, exponent


@dataclass(frozen=True, slots=True, eq=False)
class Registers:
    """What Loihi's and Lava's registers hold for a population; arrays of int64 of the population's shape.

    Parameters
    ----------
    du : array
        ``4095 - 4096*alpha``; 4095 where there is no synaptic current.
    dv : array
        ``4096 - 4096*beta``.
    threshold : array or None
        Mantissa, six bits down; None for an integrator.
    bias_mantissa, bias_exponent : array
    """

    du: Array
    dv: Array
    threshold: Array | None
    bias_mantissa: Array
    bias_exponent: Array


def registers(model: NeuronModel) -> Registers:
    """Return the registers of a *model* on the grid; raise ValueError for one that is not."""
    mantissa, exponent = split_bias(model.leak)
    alpha = np.zeros(model.shape) if model.alpha is None else model.alpha
    du, dv = DECAY_ONE - 1 - alpha * DECAY_ONE, DECAY_ONE - model.beta * DECAY_ONE
    threshold = None if model.threshold is None else model.threshold / SHIFT
    for name, value, least, most in (("du", du, 0, 4095), ("dv", dv, 0, 4095), ("threshold", threshold, 0, MAX_THRESHOLD)):
        if value is not None and (np.any(value != np.rint(value)) or np.any(value < least) or np.any(value > most)):
            raise ValueError(f"{name} is {_span(value)}, not whole from {least} to {most:,}")
    whole = [None if a is None else np.rint(a).astype(np.int64) for a in (du, dv, threshold)]
    return Registers(whole[0], whole[1], whole[2], mantissa, exponent)  # type: ignore[arg-type]


def _span(value: Array) -> str:
    low, high = float(value.min()), float(value.max())
    return f"{low:.7g}" if low == high else f"{low:.7g} to {high:.7g}"


def on_grid(network: StepNetwork) -> StepNetwork:
    """Return *network*, which must be on Loihi's grid, with neurons that compute as Loihi's do.

    Raises
    ------
    VerifyError
        E310 naming every layer that is off the grid, and why.
    """
    found = list(_off_grid(network))
    if found:
        raise VerifyError(found)
    models = {path: dataclasses.replace(model, truncate=True) for path, model in network.models.items()}
    return dataclasses.replace(network, models=models)


def _off_grid(network: StepNetwork) -> Iterator[Diagnostic]:
    hint = "compile it (spikeport compile --target loihi1 or loihi2, or --arith loihi), which finds integers for it"
    is_faulty = FAULTS_NOTE in network.graph.notes
    for path, model in network.models.items():
        if is_faulty and model.threshold is not None:
            in_reach = np.where(np.abs(model.threshold) > LIMIT, 0.0, model.threshold)
            model = dataclasses.replace(model, threshold=in_reach)
        if why := _model_off_grid(model):
            yield Diagnostic("E310", path, f"this {network.graph[path].op.kind} is not on Loihi's grid: {why}", hint)
    for path, op in network.ops.items():
        if is_faulty and (op.kind == "Threshold" or (op.kind == "Scale" and _is_mask(op))):
            continue
        if why := _op_off_grid(op):
            yield Diagnostic("E310", path, f"this {op.kind} is not on Loihi's grid: {why}", hint)
    for chain, steps in weighted_chains(network):
        if steps < 1:
            yield Diagnostic(
                "E310", chain[-1], f"spikes of {chain[0]} reach it within the step; Loihi's take one at least", hint
            )


def _model_off_grid(model: NeuronModel) -> str:
    gain = SHIFT if model.alpha is None else 1
    if np.any(model.mem_gain != gain) or (model.alpha is not None and np.any(model.syn_gain != SHIFT)):
        return f"a weight of 1 must enter its current as {SHIFT}"
    if model.threshold is not None:
        resets = model.reset == "to_v_reset" and model.reset_when == "after_spike" and not np.any(model.v_reset)
        if not resets or model.compare != ">":
            return "a spike where v > threshold, and then v = 0, is all that it has"
    others = (model.syn_leak, model.offset, model.clamp_low, model.amplitude)
    if any(a is not None for a in others) or model.old_current or model.decay_input or model.output_delay:
        return "it has more than current, membrane, bias and threshold"
    for name, state in (("v_init", model.v_init), ("i_init", model.i_init)):
        if np.any(state != np.rint(state)) or np.any(np.abs(state) >= LIMIT):
            return f"{name} is {_span(state)}, not whole and below 2^23"
    try:
        registers(model)
    except ValueError as error:
        return str(error)
    return ""


def _is_mask(op: Op) -> bool:
    scale = op.parameters()["scale"]
    return bool(((scale == 0) | (scale == 1)).all())


def _op_off_grid(op: Op) -> str:
    if not op.is_weighted:
        return "" if op.kind in ("Input", "Output", "Flatten") else "pools and scales belong into the weights"
    if np.any(getattr(op, "bias", 0)):
        return "its bias belongs to the neurons behind"
    try:
        split_weights(op.parameters()["weight"])
    except ValueError as error:
        return str(error)
    return ""


def weighted_chains(network: StepNetwork) -> list[tuple[tuple[str, ...], int]]:
    """Return every way from an input or a population to a population, as (paths, steps on the way)."""
    graph, delays = network.graph, network.schedule.delays
    done = []
    for node in graph:
        if node.path in network.models or type(node.op) is Input:
            ways: list[tuple[tuple[str, ...], int]] = [((node.path,), 0)]
            while ways:
                paths, steps = ways.pop()
                for edge in graph.out_of(paths[-1]):
                    way = ((*paths, edge.target), steps + delays[edge])
                    if edge.target in network.models:
                        done.append(way)
                    else:
                        ways.append(way)
    return sorted(done)


def integer_inputs(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the values of *inputs* as the integers that enter the chip.

    An Input node's note says what they are multiplied by and the range that the program was compiled for; without a note
    they are spikes, 0 or 1.

    Raises
    ------
    RunError
        E806 for values that are no such integers, or outside the range: sums could leave the 24 bits.
    """
    done, found = {}, []
    for path, values in inputs.items():
        note = graph[path].notes.get(INPUT_NOTE, {"scale": 1.0, "least": 0, "most": 1})
        scale, least, most = float(note["scale"]), int(note["least"]), int(note["most"])
        if values.dtype.kind in "bu" and scale == 1.0:
            whole, worst = values, 0.0
        else:
            exact = np.asarray(values, np.float64) * scale
            whole = np.rint(exact)
            worst = float(np.max(np.abs(exact - whole), initial=0.0))
        if worst > float(note.get("rounding", 1e-4)):
            where = np.unravel_index(int(np.argmax(np.abs(exact - whole))), exact.shape)
            found.append(
                Diagnostic(
                    "E806", path, f"the value {float(values[where]):.7g} is no multiple of 1/{scale:g}, the unit that the "
                    "program was compiled with", "compile with --data that holds such values, or encode the input as spikes",
                    {"value": float(values[where]), "scale": scale},
                )
            )  # fmt: skip
        elif whole.size and (whole.min() < least or whole.max() > most):
            found.append(
                Diagnostic(
                    "E806", path, f"values from {float(values.min()):.7g} to {float(values.max()):.7g}; the program was "
                    f"compiled for {least / scale:.7g} to {most / scale:.7g}, and its sums fit 24 bits for these",
                    "compile with --data that holds the largest values, or scale the input down",
                    {"least": least / scale, "most": most / scale},
                )
            )  # fmt: skip
        small = whole.dtype.kind in "bu" or (least >= 0 and most <= 255)
        done[path] = whole.astype(np.uint8 if small else np.float64, copy=False)
    if found:
        raise RunError(found)
    return done
