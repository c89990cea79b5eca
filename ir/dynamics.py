"""One step of a neuron: what it keeps, and the reference step that all kinds share; its coefficients: ``ir.coefficients``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.ir.coefficients import NeuronModel, Stepper, discretise
from spikeport.ir.ops import Array

#: Spike counts of a step are cut here, beyond what a raster holds (int32).
MAX_COUNT = 2**31
#: Half the range of Loihi's 24-bit current and membrane.
HALF_RANGE = 2.0**23


@dataclass(slots=True)
class State:
    """What a population keeps: membrane *v*, current *i* and refractory counter *held*, each (batch, *shape).

    A model with a core has two currents: *i* is complex, the excitatory one its real part, the inhibitory its imaginary.
    """

    v: Array
    i: Array
    held: Array

    @classmethod
    def initial(cls, model: NeuronModel, batch: int, dtype: Any) -> State:
        """Return the state before the first step."""
        full = (batch, *model.shape)
        current = model.i_init
        if model.core is not None:
            current = np.maximum(current, 0) + 1j * np.maximum(-current, 0)
        return cls(
            np.broadcast_to(model.v_init, full).astype(dtype),
            np.broadcast_to(current, full).astype(dtype if model.core is None else complex),
            np.broadcast_to(0 if model.held_init is None else model.held_init, full).astype(np.int64),
        )

    @property
    def current(self) -> Array:
        """The current as one number."""
        return self.i.real - self.i.imag if np.iscomplexobj(self.i) else self.i


def step(model: NeuronModel, state: State, x: Array) -> Array:
    """Advance *state* by one step with the finished input *x* (batch, *shape); return the spike counts (int64).

    This is the oracle: every backend and every pass is measured against it. Integrators return zeros.
    """
    if model.core is not None:
        return model.core.step(state, x)
    carried = state.v
    rst = _test(model, carried) if _looks_back(model) else None
    if rst is not None and model.reset == "to_v_reset" and model.reset_when == "next_step_keep_input":
        carried = np.where(rst, _rest(model), carried)
    current = x
    if model.alpha is not None and model.syn_gain is not None:
        old = state.i
        if model.truncate:
            state.i = _wrapped(np.trunc(model.alpha * old) + model.syn_gain * x)
        else:
            state.i = model.alpha * (old + x) if model.decay_input else model.alpha * old + model.syn_gain * x
        if model.syn_leak is not None:
            state.i = state.i + model.syn_leak
        current = old if model.old_current else state.i
    if model.offset is not None:
        current = current + model.offset
    if model.truncate:
        state.i = current = current if model.alpha is not None else _wrapped(model.mem_gain * x)
        v = np.clip(np.trunc(model.beta * carried) + current + model.leak, 1.0 - HALF_RANGE, HALF_RANGE - 1.0)
    else:
        v = (model.beta * carried + model.mem_gain * current) + model.leak
    if rst is not None:
        if model.reset in ("subtract", "subtract_once"):
            v = v - rst * model.threshold
        elif model.reset == "to_v_reset" and model.reset_when == "next_step_drop_input":
            v = np.where(rst, _rest(model), v)
    held = state.held > 0
    if model.refractory_steps is not None:
        v = np.where(held, state.v, v)
    if model.threshold is None:
        state.held = np.maximum(state.held - 1, 0)
        state.v = v if model.clamp_low is None else np.maximum(v, model.clamp_low)
        return np.zeros(v.shape, np.int64)
    spikes = _count(model, v)
    if model.refractory_steps is not None:
        spikes = np.where(held, 0, spikes)
        state.held = np.where(spikes > 0, model.refractory_steps, np.maximum(state.held - 1, 0))
    if model.reset == "subtract_once" and rst is not None:
        v = v - (spikes - rst.astype(v.dtype)).astype(v.dtype) * model.threshold
    elif model.reset_when == "at_crossing":
        state.v = np.where(spikes > 0, _recharged(model, carried, current, v), v)
        if model.clamp_low is not None:
            state.v = np.maximum(state.v, model.clamp_low)
        return spikes
    elif model.reset_when == "after_spike" or model.reset == "multi_subtract":
        if model.reset in ("subtract", "multi_subtract"):
            v = v - spikes.astype(v.dtype) * model.threshold
        elif model.reset == "to_v_reset":
            v = np.where(spikes > 0, _rest(model), v)
    state.v = v if model.clamp_low is None else np.maximum(v, model.clamp_low)
    return spikes


def _wrapped(current: Array) -> Array:
    """Return *current* as 24 bits keep it on Lava: beyond half the range it is taken round once."""
    wrapped = np.where(current > HALF_RANGE, current - 2 * HALF_RANGE, current)
    return np.asarray(np.where(wrapped <= -HALF_RANGE, current + 2 * HALF_RANGE, wrapped))


def _rest(model: NeuronModel) -> Array:
    if model.v_reset is None:
        raise AssertionError("a model without a spike test has no reset")
    return model.v_reset


def _recharged(model: NeuronModel, before: Array, current: Array, v: Array) -> Array:
    """Return the membrane at the end of a step in which it crossed the threshold, was reset and charged on.

    With input constant within the step the membrane relaxes to ``v_inf``; what is left of the step's decay after the
    crossing is ``beta*(v_inf - before)/(v_inf - threshold)``.
    """
    start = model.v_reset if model.reset == "to_v_reset" else np.zeros_like(model.threshold)
    if model.reset == "none":
        return v
    with np.errstate(divide="ignore", invalid="ignore"):
        v_inf = (model.mem_gain * current + model.leak) / (1 - model.beta)
        left = model.beta * ((v_inf - before) / (v_inf - model.threshold))
        leaky = v_inf - (v_inf - start) * left
    # Without a leak the membrane is a straight line: what lies above the threshold was charged after the reset.
    return np.where(model.beta == 1, start + (v - model.threshold), leaky)


def _looks_back(model: NeuronModel) -> bool:
    """Whether the step starts by testing the membrane that it was handed."""
    if model.reset == "subtract_once":
        return True
    return model.reset in ("subtract", "to_v_reset") and model.reset_when.startswith("next_step")


def _test(model: NeuronModel, v: Array) -> Array:
    return np.asarray(v >= model.threshold if model.compare == ">=" else v > model.threshold)


def _count(model: NeuronModel, v: Array) -> Array:
    fired = _test(model, v)
    if model.reset != "multi_subtract":
        return fired.astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        count = np.where(fired, np.trunc(v / model.threshold), 0.0)
    # The cast of an infinite count is undefined; a count beyond 32 bits is refused as no result (E805).
    most = MAX_COUNT if model.max_spikes is None else model.max_spikes
    return np.asarray(np.minimum(count, most), np.int64)


__all__ = ["HALF_RANGE", "MAX_COUNT", "NeuronModel", "State", "Stepper", "discretise", "step"]
