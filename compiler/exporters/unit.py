"""A population as an exporter sees it: discrete dynamics with everything refused that no importer builds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.ir.dynamics import NeuronModel
from spikeport.ir.ops import Array, Neuron, Op


class Cannot(Exception):
    """A construct that an importer does not build: what, why, and what to do."""

    def __init__(self, what: str, why: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.remedy = what, why, remedy


@dataclass(frozen=True, slots=True)
class Written:
    """A population as it is written for a library.

    Parameters
    ----------
    op : Op
        The node of the file.
    factor : array or None
        What the inputs of each neuron are multiplied by in front, of the population's shape; None for nothing.
    note : str
        What was done to it, where a reader would wonder.
    offset : array or None
        What is added to the input of each neuron in front, before the factor.
    """

    op: Op
    factor: Array | None = None
    note: str = ""
    offset: Array | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """A population and its step: ``v = beta v + gain x + leak`` (or of the current ``i = alpha i + x``).

    Parameters
    ----------
    op : Neuron
        As it stands in the graph.
    model : NeuronModel
        Its step.
    """

    op: Neuron
    model: NeuronModel

    def __post_init__(self) -> None:
        model = self.model
        for what, value, rest in (
            ("refractory steps", model.refractory_steps, 0), ("a held start", model.held_init, 0),
            ("an initial current", model.i_init, 0),
            ("a spike amplitude", model.amplitude, 1), ("a bias at the membrane", model.offset, 0),
            ("a leak of the synaptic current", model.syn_leak, 0), ("an output delay", np.asarray(model.output_delay), 0),
        ):  # fmt: skip
            if value is not None and np.any(value != rest):
                raise Cannot(what, "NIR has no field for it", "train without it")
        if model.old_current and model.alpha is not None:
            raise Cannot("a membrane that takes the current of the step before", "importers take that of this step")

    @property
    def gain(self) -> Array:
        """Factor between input and membrane, of the population's shape."""
        syn = self.model.syn_gain
        return self.model.mem_gain * (1.0 if syn is None or self.model.decay_input else syn)

    @property
    def beta(self) -> Array:
        """Membrane decay."""
        return self.model.beta

    @property
    def alpha(self) -> Array:
        """Synaptic decay."""
        if self.model.alpha is None:
            raise AssertionError("a population without a synaptic current")
        return self.model.alpha

    @property
    def threshold(self) -> Array:
        """Threshold; refuses integrators."""
        if self.model.threshold is None:
            remedy = "end the network with a spiking layer, and integrate its spikes outside"
            raise Cannot(f"a {self.op.kind}", "the importer has no integrator without spikes", remedy)
        return self.model.threshold

    @property
    def hard_reset(self) -> Array:
        """What the membrane is set to on a spike, at once; refuses other resets."""
        model = self.model
        told = self.threshold, model.v_reset
        # Set at the start of the next update, before the decay, it is the same spikes.
        if model.reset == "to_v_reset" and model.reset_when in ("after_spike", "next_step_keep_input") and told[1] is not None:
            return told[1]
        names = {"none": "no reset", "to_v_reset": "a reset to a value"}
        kind = names.get(model.reset, "a reset by subtraction")
        when = "" if model.reset_when == "after_spike" or model.reset == "none" else f" ({model.reset_when})"
        raise Cannot(f"{kind}{when}", "the importer builds a reset to a value, at once", "train with that")

    def starts_at(self, value: Array | float) -> None:
        """Refuse an initial membrane other than *value*, where the importer's neurons start."""
        if not np.allclose(self.model.v_init, value, rtol=1e-6, atol=1e-12):
            start, theirs = (float(np.ravel(v)[0]) for v in (self.model.v_init, np.broadcast_to(value, self.model.shape)))
            raise Cannot(f"an initial membrane of {start:g}", f"its neurons start at {theirs:g}",
                         "let the membrane start there (v_init)")  # fmt: skip

    def plain(self, *, clamp: bool = False, leak: bool = False) -> None:
        """Refuse a lower bound, a leak, an input that decays in its own step: what only some importers build."""
        model = self.model
        if model.clamp_low is not None and not clamp:
            raise Cannot("a lower bound of the membrane", "the importer builds none", "train without (clamp_low=none)")
        if np.any(model.leak) and not leak:
            raise Cannot("v_leak", "the importer takes 0 only", "put it into the bias in front")
        if model.decay_input:
            raise Cannot("an input that decays in its own step", "the importer adds it whole")


def uniform(name: str, value: Array) -> float:
    """Return the one number that all of *value* are; refuse where they differ."""
    flat = np.ravel(np.asarray(value, np.float64))
    if not np.allclose(flat, flat[0], rtol=1e-9, atol=0):
        raise Cannot(f"{name} of each neuron its own ({flat.min():g} to {flat.max():g})", "the importer takes one for all")
    return float(flat[0])


def strictly(threshold: Any, ours: str, theirs: str) -> Array:
    """Return the float32 threshold that *theirs* compares with, for the same spikes as *ours* with *threshold*.

    >>> float(strictly(1.0, ">", ">")), float(strictly(1.0, ">", ">=")) > 1, float(strictly(1.0, ">=", ">")) < 1
    (1.0, True, True)
    """
    single = np.asarray(threshold, np.float32)
    if ours == theirs:
        return np.asarray(single, np.float64)
    towards = np.float32(np.inf if theirs == ">=" else -np.inf)
    return np.asarray(np.nextafter(single, towards, dtype=np.float32), np.float64)


def ratio(a: Any, b: Any) -> Array:
    """Return ``a/b``, exactly 1 where rounding alone makes the difference."""
    quotient = np.asarray(np.asarray(a, np.float64) / b)
    return np.where(np.abs(quotient - 1) < 1e-12, 1.0, quotient)


def evened(threshold: Array, *others: Array) -> tuple[Array, Array | None, tuple[Array, ...]]:
    """Return one threshold for all, the factor of each neuron's inputs that makes it so, and *others* in that scale."""
    flat = np.ravel(threshold)
    if np.allclose(flat, flat[0], rtol=1e-9, atol=0):
        return np.full(threshold.shape, flat[0]), None, others
    if not (flat > 0).all():
        raise Cannot("thresholds of which some are 0 or less", "the importer takes one for all")
    factor = 1 / threshold
    return np.ones(threshold.shape), factor, tuple(other * factor for other in others)


def positive_gain(unit: Unit) -> Array:
    """Return the unit's gain; refuse one that is 0 or less."""
    gain = unit.gain
    if not (gain > 0).all():
        raise Cannot(f"an input gain of {gain.min():g}", "the importer builds gains above 0", "put the sign into the weights")
    return gain


__all__ = ["Cannot", "Unit", "Written", "evened", "positive_gain", "ratio", "strictly", "uniform"]
