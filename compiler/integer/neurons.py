"""A population's dynamics in the form that chips have, still in real numbers; what they have not is refused by name.

Their neuron is ``u = a u + x``, ``v = b v + u + c``, a spike where v passes the threshold, then ``v = 0``. With J the source's
current in units of its membrane and v measured from v_reset, the source's equations (``ir.dynamics``) read
``J = alpha J + gain x``, ``v = beta v + J + constant``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikeport.compiler.integer.chip import Chip
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.dynamics import NeuronModel
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Shape, Threshold

#: Opt-in that turns resets other than to a value into resets to zero.
RESET_CHANGE = "reset-change"


@dataclass(frozen=True, slots=True, eq=False)
class Dynamics:
    """A population in the chips' form, real numbers; every array is float64 of the population's shape.

    Parameters
    ----------
    shape : tuple of int
    alpha : array or None
        Decay of the current; None where the input acts for one step.
    beta, gain, constant : array
        Decay of the membrane, factor of the input, and what is added to the membrane each step.
    threshold : array or None
        Measured from v_reset; None for an integrator.
    is_ge : bool
        Whether the spike test is ``>=``.
    v_init, i_init : array
        Membrane (measured from v_reset) and current (in its units) before the first step.
    refractory : array of int64 or None
    late : int
        Further steps that the input waits (``old_current``).
    amplitude : array or None
        Value of a spike, which goes into the weights behind.
    """

    shape: Shape
    alpha: Array | None
    beta: Array
    gain: Array
    constant: Array
    threshold: Array | None
    is_ge: bool
    v_init: Array
    i_init: Array
    refractory: Array | None
    late: int
    amplitude: Array | None

    def settled(self, bias: Array) -> Array:
        """Return what the constant input *bias* adds to the membrane each step once the current has settled."""
        steady = self.gain * bias
        if self.alpha is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                steady = np.where(bias == 0, 0.0, steady / (1 - self.alpha))
        return np.asarray(self.constant + steady)


def dynamics(model: NeuronModel) -> Dynamics:
    """Return *model*, for which `refused` found nothing, in the chips' form; a reset that they have not becomes one to 0."""
    zero = np.zeros(model.shape)
    changed = reset_of(model)
    v_reset = zero if model.threshold is None or model.v_reset is None or changed else model.v_reset
    gain = model.mem_gain
    alpha = model.alpha
    constant = model.leak + (model.beta - 1) * v_reset
    if model.offset is not None:
        constant = constant + model.mem_gain * model.offset
    i_init = zero
    late = 0
    if alpha is not None and model.syn_gain is not None:
        i_init = model.mem_gain * model.i_init
        gain = gain * (alpha if model.decay_input else model.syn_gain)
        if model.syn_leak is not None:
            constant = constant + np.where(model.syn_leak == 0, 0.0, model.mem_gain * model.syn_leak / (1 - alpha))
            i_init = i_init - np.where(model.syn_leak == 0, 0.0, model.mem_gain * model.syn_leak / (1 - alpha))
        if model.old_current:
            late = 1
            i_init = np.where(i_init == 0, 0.0, i_init / np.where(alpha == 0, 1.0, alpha))
        if not np.any(alpha):
            alpha = None
    refractory = model.refractory_steps if model.refractory_steps is not None and np.any(model.refractory_steps) else None
    if model.reset_when == "next_step_drop_input" and not changed and model.threshold is not None:
        # The update after the rest starts over whatever comes in: one more step in which the membrane is held.
        refractory = np.ones(model.shape, np.int64) if refractory is None else refractory + 1
    v_init = model.v_init - v_reset
    if model.reset_when == "next_step_keep_input" and not changed and model.threshold is not None:
        v_init = np.where(_above(model, model.v_init), 0.0, v_init)  # the first update resets it
    graded = model.amplitude is not None and np.any(model.amplitude != 1)
    return Dynamics(
        model.shape, alpha, model.beta, gain, constant, None if model.threshold is None else model.threshold - v_reset,
        model.compare == ">=", v_init, i_init, refractory, late,
        model.amplitude if graded else None,
    )  # fmt: skip


def _above(model: NeuronModel, v: Array) -> Array:
    """Return where a membrane *v* passes the spike test."""
    return np.asarray(v >= model.threshold if model.compare == ">=" else v > model.threshold)


def reset_of(model: NeuronModel) -> str:
    """Return the reset of *model* where the chips have none such, else an empty text."""
    if model.threshold is None:
        return ""
    if model.reset == "none":
        return "no reset"
    if model.reset_when == "at_crossing":
        return "a reset at the instant of the crossing"
    words = {"subtract": "a reset by subtraction", "subtract_once": "a reset by subtraction (snnTorch's)",
             "multi_subtract": "several spikes a step, each subtracting the threshold"}  # fmt: skip
    return words.get(model.reset, "")


def refused(network: StepNetwork, allow: frozenset[str], chip: Chip) -> Iterator[Diagnostic]:
    """Yield what of *network* no arrangement of the chip's neurons computes (E530), each with its layer."""
    for path, model in network.models.items():
        kind = network.graph[path].op.kind
        reset = reset_of(model)
        if reset and RESET_CHANGE not in allow:
            yield Diagnostic(
                "E530", path, f"this {kind} has {reset}; {chip.resets}",
                f"train it with a reset to zero, or --allow {RESET_CHANGE} (with --data) resets to 0 and measures the cost",
                {"reset": model.reset},
            )  # fmt: skip
        for what, hint in _impossible(model, chip):
            yield Diagnostic("E530", path, f"this {kind} {what}", hint)
    for node in network.graph:
        if isinstance(node.op, Threshold):
            yield Diagnostic(
                "E530", node.path, f"a Threshold has no memory; {chip.memory}",
                "put an IF or LIF in its place",
            )  # fmt: skip


def _impossible(model: NeuronModel, chip: Chip) -> Iterator[tuple[str, str]]:
    if model.clamp_low is not None:
        yield f"holds its membrane above a lower bound; {chip.lowest}", "train it without the bound"
    if model.held_init is not None and np.any(model.held_init):
        yield "is held at the start of a sample; that is kept in models of integers only", "leave held_init out"
    if model.reset_when == "next_step_drop_input" and model.threshold is not None and np.any(_above(model, model.v_init)):
        yield "starts above its threshold, and its first update drops its input", "start it below its threshold"
    for name, decay in (("membrane", model.beta), ("current", model.alpha)):
        if decay is None or not decay.size:
            continue
        if float(decay.max()) > 1:
            yield f"has a {name} that grows by {float(decay.max()):.6g} a step", "mend its time constant"
        elif float(decay.min()) < 0:
            yield f"has a {name} that changes sign each step ({float(decay.min()):.6g})", "use a smaller dt or a longer tau"
    if model.threshold is not None:
        rest = 0.0 if model.v_reset is None else model.v_reset
        if np.any(model.threshold - rest < 0):
            yield f"has a threshold below its reset; {chip.threshold}", "mend its threshold or v_reset"
