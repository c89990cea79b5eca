"""How far a population in Loihi's integers is from the source model's on calibration data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikeport.compiler.integer.calibrate import Calibration, differing, later, through
from spikeport.compiler.integer.links import Link
from spikeport.compiler.integer.merge import Merged
from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.loihi.settle import Settled
from spikeport.ir.ops import Linear

#: Multiplications that trying one scale of one connection may take.
WORK = 2e8


def mismatch(calibration: Calibration, path: str, dyn: Dynamics, into: Sequence[Link], trial: Settled) -> float:
    """Return how far *trial* is from the source model where it gets what the source model's population gets: `differing`."""
    size = max((link.incoming.weight.size * _positions(link.incoming.merged, dyn) for link in into), default=1)
    samples = int(np.clip(WORK / max(1, size * calibration.steps), 1, calibration.samples))
    x = np.zeros((samples, calibration.steps, *dyn.shape))
    for link, weights in zip(into, trial.choice.weights, strict=True):
        sent = later(calibration.values[link.incoming.source][:samples], link.delay)
        x += through(link.incoming.merged.with_weight(weights.weight.astype(np.float64)), sent, dyn.shape)
    return differing(trial.model(), x, calibration.wanted[path][:samples], trial.choice.scale)


def _positions(merged: Merged, dyn: Dynamics) -> int:
    """Return how often each weight is used in a step."""
    return 1 if isinstance(merged.op, Linear) else max(1, int(np.prod(dyn.shape)) // merged.op.weight.shape[0])
