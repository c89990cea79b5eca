"""How far a population in sPyNNaker's registers is from the source model's on calibration data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from spikeport.compiler.integer.calibrate import Calibration
from spikeport.compiler.integer.links import Link
from spikeport.compiler.spinnaker.scale import Choice, entering
from spikeport.compiler.spinnaker.settle import Settled
from spikeport.ir.dynamics import NeuronModel, State, discretise
from spikeport.ir.profiles import parse_profile
from spikeport.ir.spinnaker import core_of

#: Multiplications that trying one scale may take.
WORK = 1e8


def model_of(settled: Settled) -> NeuronModel:
    """Return a population as the lowered graph's profile has it."""
    profile = parse_profile("spynnaker,dt=1")
    op = settled.neuron(1.0)
    return discretise(op, profile.at("", op.kind), settled.rest.shape)


def mismatch(calibration: Calibration, path: str, into: Sequence[Link], trial: Settled, choice: Choice) -> float:
    """Return how far *trial* is from the source model where it gets what the source model's population gets.

    For a population that spikes: neurons and steps with another spike. For an integrator: squared error of the membrane.
    """
    model = model_of(trial)
    core = core_of(model, choice.shifts)
    model = dataclasses.replace(model, core=core)
    size = max((link.incoming.weight.size for link in into), default=1)
    samples = int(np.clip(WORK / max(1, size * calibration.steps), 1, calibration.samples))
    wanted = calibration.wanted[path]
    weights = [choice.real(number) for number in range(len(choice.weights))]
    wrong, done = 0.0, 0
    for x in entering(into, trial.rest.shape, calibration, samples, weights):
        state = State.initial(model, len(x), np.float64)
        rows = slice(done, done + len(x))
        done = rows.stop
        for t in range(calibration.steps):
            spikes = core.step(state, x[:, t])
            if trial.threshold is None:
                wrong += float(np.sum((state.v / trial.scale - wanted[rows, t]) ** 2))
            else:
                wrong += float(np.count_nonzero(spikes != np.minimum(wanted[rows, t], 1)))
    return wrong


def weight_error(choice: Choice, into: Sequence[Link]) -> float:
    """Return the squared error of the weights, relative to their squares."""
    error = total = 0.0
    for number, link in enumerate(into):
        old = link.incoming.weight
        error += float(np.sum((choice.modelled(number) - old) ** 2))
        total += float(np.sum(old**2))
    return error / total if total else 0.0
