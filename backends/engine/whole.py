"""Arithmetic ``loihi``: in which floats its whole numbers are exact, whatever the order of sums.

Single precision holds whole numbers up to 2^24, in half the memory that weights take in double. What sums can come to is
known from the weights and from what enters. A sum on its way is the whole sum of other spikes, those that came so far: so
what bounds all sums bounds them on their way too.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from spikeport.backends.engine.layout import Array
from spikeport.ir.dynamics import HALF_RANGE
from spikeport.ir.loihi import INPUT_NOTE, SHIFT
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Affine, Delay, Input, Linear, Op

#: Largest magnitude of a value, and of a sum that enters neurons: six bits up that is less than half of their range, so it
#: does not wrap, and with what is left of a current from the step before it is still a whole number of single precision.
MOST, MOST_ENTERING = 2.0**24, HALF_RANGE / SHIFT - 1

Bounds = tuple[Array, Array]


def float_type(network: StepNetwork) -> Any:
    """Return the floats that the kernels use for *network*: those of its arithmetic, or narrower ones that are as exact."""
    own = network.arithmetic.dtype
    is_whole = network.models and all(m.truncate for m in network.models.values())
    return np.dtype(np.float32) if is_whole and fits_single(network) else own


def fits_single(network: StepNetwork) -> bool:
    """Whether no value of *network*, which is on Loihi's grid, can leave the whole numbers of single precision."""
    known: dict[str, Bounds | None] = {}
    for node in network.graph:
        most = MOST_ENTERING if node.path in network.models else MOST
        if _largest(_entering(network, node.path, known)) > most or _largest(_leaving(network, node.path, known)) > MOST:
            return False
    return True


def _largest(bounds: Bounds | None) -> float:
    if bounds is None:
        return np.inf
    return max(-float(bounds[0].min(initial=0.0)), float(bounds[1].max(initial=0.0)))


def _entering(network: StepNetwork, path: str, known: dict[str, Bounds | None]) -> Bounds | None:
    """Return the least (at most 0) and the largest value (at least 0) of each sum that enters *path*; None: no bound."""
    shape = network.shapes.input[path]
    low, high = np.zeros(shape), np.zeros(shape)
    for edge in network.graph.into(path):
        bounds = _leaving(network, edge.source, known)
        if bounds is None:
            return None
        low, high = low + bounds[0], high + bounds[1]
    return low, high


def _leaving(network: StepNetwork, path: str, known: dict[str, Bounds | None]) -> Bounds | None:
    """Return the least and the largest value of each that leaves *path*, as `_entering`."""
    if path not in known:
        known[path] = None  # for a loop that passes through no neuron
        known[path] = _worked_out(network, path, known)
    return known[path]


def _worked_out(network: StepNetwork, path: str, known: dict[str, Bounds | None]) -> Bounds | None:
    op, model, shape = network.graph[path].op, network.models.get(path), network.shapes.output[path]
    if model is not None:
        low, high = (0.0, 1.0) if model.threshold is not None else (-HALF_RANGE, HALF_RANGE)
        return np.full(shape, low), np.full(shape, high)
    if type(op) is Input:
        note = network.graph[path].notes.get(INPUT_NOTE, {"least": 0, "most": 1})
        return np.full(shape, min(float(note["least"]), 0.0)), np.full(shape, max(float(note["most"]), 0.0))
    entering = _entering(network, path, known)
    if entering is None or isinstance(op, Delay):
        return entering
    return _through(network.ops[path], *entering)


def _through(op: Op, low: Array, high: Array) -> Bounds:
    """Return the bounds of what *op* makes of inputs from *low* to *high*."""
    if not op.is_weighted:
        return op.apply(low[None])[0], op.apply(high[None])[0]
    weight = op.parameters()["weight"]
    up, down = _summed(op, np.maximum(weight, 0), high), _summed(op, np.minimum(weight, 0), high)
    if low.any():
        up, down = up + _summed(op, np.minimum(weight, 0), low), down + _summed(op, np.maximum(weight, 0), low)
    return down, up


def _summed(op: Op, weight: Array, x: Array) -> Array:
    if isinstance(op, (Affine, Linear)):
        return np.asarray((weight @ x[..., None])[..., 0])
    return np.asarray(dataclasses.replace(op, weight=weight).apply(x[None])[0])  # type: ignore[call-arg]


__all__ = ["MOST", "MOST_ENTERING", "fits_single", "float_type"]
