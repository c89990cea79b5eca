"""A population's dynamics as the neuron kernels want them: flags, a table of parameters, and the state at the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.backends.engine import neurons as k
from spikeport.backends.engine.layout import Array, Packing, packed, padded
from spikeport.ir.dynamics import MAX_COUNT, NeuronModel

RESETS = {
    "none": k.NO_RESET, "to_v_reset": k.TO_VALUE, "subtract": k.SUBTRACT, "subtract_once": k.SUBTRACT_ONCE,
    "multi_subtract": k.MULTI_SUBTRACT,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """What the kernels need of a neuron node.

    Parameters
    ----------
    parameters : array, shape (11 * width,)
        See ``neurons``; behind the last neuron 0, and infinity as threshold.
    start : array, shape (3 * width,)
        State before the first step.
    flags, reset, most : int
        See ``neurons``.
    is_plain : bool
        Whether ``plain_block`` computes it.
    """

    parameters: Array
    start: Array
    flags: int
    reset: int
    most: int
    is_plain: bool


def population(model: NeuronModel, packing: Packing | None, dtype: Any) -> Population:
    """Return *model* in the order of *packing* and in *dtype*."""

    def row(value: Array | None, fill: float = 0.0) -> Array:
        full = np.zeros(model.shape) if value is None else np.broadcast_to(value, model.shape)
        return padded(packed(full, packing).astype(dtype), fill)

    columns = {
        k.BETA: row(model.beta), k.GAIN: row(model.mem_gain), k.LEAK: row(model.leak),
        k.THRESHOLD: row(np.full(model.shape, np.inf) if model.threshold is None else model.threshold, np.inf),
        k.RESET: row(model.v_reset), k.FLOOR: row(model.clamp_low), k.ALPHA: row(model.alpha), k.INJECT: row(model.syn_gain),
        k.REFRACTORY: row(model.refractory_steps), k.SYN_LEAK: row(model.syn_leak), k.OFFSET: row(model.offset),
    }  # fmt: skip
    reset = RESETS[model.reset]
    late = model.reset_when.startswith("next_step") and model.reset in ("subtract", "to_v_reset")
    spikes = model.threshold is not None
    flags = sum(
        flag
        for flag, on in (
            (k.AT_THRESHOLD, model.compare == ">="), (k.SYNAPSE, model.alpha is not None), (k.OLD_CURRENT, model.old_current),
            (k.DECAY_INPUT, model.decay_input), (k.PULL, model.syn_leak is not None), (k.SHIFT, model.offset is not None),
            (k.CLAMP, model.clamp_low is not None), (k.WAITS, model.refractory_steps is not None), (k.NEXT_STEP, late),
            (k.DROP_INPUT, late and model.reset_when == "next_step_drop_input"),
            (k.CROSSING, spikes and model.reset_when == "at_crossing"), (k.WHOLE, model.truncate),
            (k.SHOWN, model.truncate and dtype != np.float32),
        )
        if on
    )  # fmt: skip
    start = np.concatenate([row(model.v_init), row(model.i_init), row(model.held_init)])
    is_plain = model.truncate or (flags in (0, k.AT_THRESHOLD) and reset in (k.NO_RESET, k.TO_VALUE, k.SUBTRACT))
    most = MAX_COUNT if model.max_spikes is None else model.max_spikes
    return Population(np.concatenate([columns[i] for i in range(k.PARAMETERS)]), start, flags, reset, most, is_plain)
