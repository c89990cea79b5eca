"""How far a population in sPyNNaker's registers is from the source model's on calibration data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from spikeport.compiler.integer.calibrate import Calibration, differing
from spikeport.compiler.integer.links import Link
from spikeport.compiler.spinnaker.scale import Choice, entering
from spikeport.compiler.spinnaker.settle import Settled
from spikeport.ir.dynamics import NeuronModel, discretise
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
    """Return how far *trial* is from the source model where it gets what the source model's population gets: `differing`."""
    model = model_of(trial)
    model = dataclasses.replace(model, core=core_of(model, choice.shifts))
    size = max((link.incoming.weight.size for link in into), default=1)
    samples = int(np.clip(WORK / max(1, size * calibration.steps), 1, calibration.samples))
    wanted = calibration.wanted[path]
    weights = [choice.real(number) for number in range(len(choice.weights))]
    wrong, done = 0.0, 0
    for x in entering(into, trial.rest.shape, calibration, samples, weights):
        wrong += differing(model, x, wanted[done : done + len(x)], trial.scale)
        done += len(x)
    return wrong
