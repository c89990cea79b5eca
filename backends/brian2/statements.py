"""The statements of a neuron's step: a whitelist of lines keyed by the form of its model, in the order of `ir.dynamics.step`.

A line holds no number of the network and nothing that a model's file says: parameters are variables of the group. Sums and
products are written so that Brian2 keeps the order in which the reference evaluates them (one operation after the other,
from the left). ``first`` is true in the first step of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeport.ir.dynamics import MAX_COUNT, NeuronModel
from spikeport.ir.ops import Array

#: Step within the sample, and whether it is the sample's first.
STEP = "step = t_in_timesteps % period"
FIRST = "first = step == 0"


@dataclass(slots=True)
class Text:
    """Lines of a group under construction, and the values of the variables that they use.

    Parameters
    ----------
    lines : list of str
        Brian2 statements.
    values : dict of str to array
        Parameters and state before the first step, each of the group's size.
    state : list of str
        Variables that the lines change.
    """

    lines: list[str] = field(default_factory=list)
    values: dict[str, Array] = field(default_factory=dict)
    state: list[str] = field(default_factory=list)

    def say(self, *lines: str) -> None:
        """Append *lines*."""
        self.lines += lines

    def parameter(self, name: str, value: Any, known: float | None = None) -> str:
        """Return how a line writes the parameter *name*: as the number *known* where all of *value* is that."""
        array = np.ascontiguousarray(value, np.float64).reshape(-1)
        if known is not None and bool(np.all(array == known)):
            return f"{known:g}"
        self.values[name] = array
        return name

    def keep(self, name: str, initial: Array) -> None:
        """Add the state variable *name*, set to *initial* in the first step of every sample."""
        self.state.append(name)
        self.say(f"{name} = if_else(first, {self.parameter(f'{name}_init', initial, 0.0)}, {name})")


def neuron(model: NeuronModel, text: Text, current: str) -> None:
    """Append the step of *model* to *text*, with the finished input *current* (a name); the result is ``y``."""
    rest = text.parameter("v_reset", model.v_reset, 0.0) if model.v_reset is not None and _uses_rest(model) else "0"
    limit = text.parameter("threshold", model.threshold) if model.threshold is not None else ""
    test = f"{{}} {model.compare} {limit}"
    text.say(STEP, FIRST)
    text.keep("v", model.v_init)
    text.say("before = v")
    looks_back = _looks_back(model)
    if looks_back:
        text.say("again = " + test.format("before"))
        if model.reset == "to_v_reset" and model.reset_when == "next_step_keep_input":
            text.say(f"before = if_else(again, {rest}, before)")
    current = _synapse(model, text, current)
    if model.offset is not None:
        text.say(f"current = {current} + {text.parameter('offset', model.offset)}")
        current = "current"
    charge = _charge(model, text, current)
    text.say(f"u = {_product(text, 'beta', model.beta, 'before')} + {charge}")
    if looks_back:
        if model.reset in ("subtract", "subtract_once"):
            text.say(f"u = u - if_else(again, {limit}, 0)")
        elif model.reset_when == "next_step_drop_input":
            text.say(f"u = if_else(again, {rest}, u)")
    if model.refractory_steps is not None:
        text.keep("held", np.zeros(model.shape) if model.held_init is None else model.held_init)
        text.say("u = if_else(held > 0, v, u)")
    if model.threshold is None:
        if model.held_init is not None:
            text.say("held = if_else(held > 1, held - 1, 0)")
        _settle(model, text)
        text.say("y = v")
        return
    _count(model, text, test, limit)
    _reset(model, text, rest, limit, current)
    _settle(model, text)
    text.say("y = s" if model.amplitude is None else f"y = s * {text.parameter('amplitude', model.amplitude)}")


def _uses_rest(model: NeuronModel) -> bool:
    return model.reset == "to_v_reset"


def _looks_back(model: NeuronModel) -> bool:
    if model.reset == "subtract_once":
        return True
    return model.reset in ("subtract", "to_v_reset") and model.reset_when.startswith("next_step")


def _product(text: Text, name: str, value: Array, other: str) -> str:
    """Return ``name * other``, or *other* where the factor is 1 throughout."""
    factor = text.parameter(name, value, 1.0)
    return other if factor == "1" else f"{factor} * {other}"


def _charge(model: NeuronModel, text: Text, current: str) -> str:
    charge = _product(text, "gain", model.mem_gain, current)
    leak = text.parameter("leak", model.leak, 0.0)
    return charge if leak == "0" else f"{charge} + {leak}"


def _synapse(model: NeuronModel, text: Text, current: str) -> str:
    if model.alpha is None or model.syn_gain is None:
        return current
    text.keep("I_syn", model.i_init)
    text.say("I_before = I_syn")
    alpha = text.parameter("alpha", model.alpha)
    if model.decay_input:
        text.say(f"I_syn = {alpha} * (I_before + {current})")
    else:
        text.say(f"I_syn = {alpha} * I_before + {_product(text, 'syn_gain', model.syn_gain, current)}")
    if model.syn_leak is not None:
        text.say(f"I_syn = I_syn + {text.parameter('syn_leak', model.syn_leak)}")
    return "I_before" if model.old_current else "I_syn"


def _count(model: NeuronModel, text: Text, test: str, limit: str) -> None:
    """Append the spikes of the step, ``s``, and the steps for which the membrane is held."""
    if model.reset == "multi_subtract":
        most = MAX_COUNT if model.max_spikes is None else model.max_spikes
        text.say(f"s = if_else({test.format('u')}, whole(u / {limit}), 0)", f"s = if_else(s > {most}, {most}, s)")
    else:
        text.say(f"s = if_else({test.format('u')}, 1, 0)")
    if model.refractory_steps is not None:
        hold = text.parameter("hold_steps", model.refractory_steps)
        text.say("s = if_else(held > 0, 0, s)", f"held = if_else(s > 0, {hold}, if_else(held > 1, held - 1, 0))")


def _reset(model: NeuronModel, text: Text, rest: str, limit: str, current: str) -> None:
    if model.reset == "subtract_once":
        text.say(f"u = u - (s - if_else(again, 1, 0)) * {limit}")
    elif model.reset_when == "at_crossing":
        _recharge(model, text, rest, limit, current)
    elif model.reset_when == "after_spike" or model.reset == "multi_subtract":
        if model.reset in ("subtract", "multi_subtract"):
            text.say(f"u = u - s * {limit}")
        elif model.reset == "to_v_reset":
            text.say(f"u = if_else(s > 0, {rest}, u)")


def _recharge(model: NeuronModel, text: Text, rest: str, limit: str, current: str) -> None:
    """Append the reset at the instant of the crossing: what is left of the step charges the membrane anew."""
    if model.reset == "none":
        return
    start = rest if model.reset == "to_v_reset" else "0"
    beta = text.parameter("beta", model.beta, 1.0)
    if beta == "1":
        text.say(f"u = if_else(s > 0, {start} + (u - {limit}), u)")
        return
    text.say(
        f"goal = ({_charge(model, text, current)}) / (1 - {beta})",
        f"left = {beta} * ((goal - before) / (goal - {limit}))",
        f"charged = goal - (goal - {start}) * left",
        f"charged = if_else({beta} == 1, {start} + (u - {limit}), charged)",
        "u = if_else(s > 0, charged, u)",
    )


def _settle(model: NeuronModel, text: Text) -> None:
    """Append the end of the step: the lower bound, and the membrane that is carried on."""
    if model.clamp_low is None:
        text.say("v = u")
    else:
        low = text.parameter("v_min", model.clamp_low)
        text.say(f"v = if_else(u < {low}, {low}, u)")


__all__ = ["FIRST", "STEP", "Text", "neuron"]
