"""Samples side by side: so many copies of every population, each with a sample of its own, where steps cost more than neurons.

In the mode numpy a step costs Python some 0.1 ms a group whatever its size, so copies pay; a compiled loop takes one sample
after the other faster than the synapses of copies could be made. 899 digits of 16 steps: in numpy 9.8 s one after the other and
2.3 s in copies. 16 samples of 784-256-256-10, 100 steps: in cpp_standalone 0.1 s one after the other and 1.0 s in copies.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikeport.backends.brian2.results import Course, Heard
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array

#: Synapses and neurons that all copies together may have; copies at most.
MOST_SYNAPSES, MOST_NEURONS, MOST_COPIES = 1_000_000, 200_000, 128


def how_many(network: StepNetwork, mode: str, samples: int) -> int:
    """Return the number of copies for a run of *samples* samples in *mode*."""
    if mode != "numpy" or network.profile.boundary != "reset" or samples < 2:
        return 1
    weights = sum(op.parameters()["weight"].size for op in network.ops.values() if op.is_weighted)
    neurons = sum(int(np.prod(shape)) for shape in network.shapes.output.values())
    most = max(1, min(samples, MOST_COPIES, MOST_SYNAPSES // max(weights, 1), MOST_NEURONS // max(neurons, 1)))
    return 1 << (most.bit_length() - 1)  # a power of two: portions of a run that differ a little share their objects


def rounds(course: Course, copies: int) -> Course:
    """Return the course of the copies: one round after the other."""
    return Course(-(-course.samples // copies), course.steps, course.silence, course.is_reset)


def deal(given: Mapping[str, Array], course: Course, copies: int) -> dict[str, Array]:
    """Return inputs (total, neurons) dealt out to the copies: (rounds * steps, copies * neurons)."""
    if copies == 1:
        return dict(given)
    turns = -(-course.samples // copies)
    found = {}
    for name, x in given.items():
        n = x.shape[-1]
        whole = np.zeros((turns * copies, course.steps, n))
        whole[: course.samples] = x.reshape(course.samples, course.steps, n)
        found[name] = whole.reshape(turns, copies, course.steps, n).swapaxes(1, 2).reshape(turns * course.steps, copies * n)
    return found


def collect(heard: Heard, course: Course, copies: int) -> Heard:
    """Return what the copies' monitors heard as if one sample had run after the other."""
    if copies == 1:
        return heard
    events, states = {}, {}
    for name, (steps, neurons, y) in heard.events.items():
        n = heard.sizes[name] // copies
        sample = steps // course.steps * copies + neurons // n
        real = sample < course.samples
        events[name] = ((sample * course.steps + steps % course.steps)[real], (neurons % n)[real], y[real])
    for name, v in heard.states.items():
        whole = v.reshape(-1, course.steps, copies, v.shape[1] // copies).swapaxes(1, 2)
        states[name] = whole.reshape(-1, v.shape[1] // copies)[: course.total]
    return Heard(events, states, heard.sizes)


__all__ = ["collect", "deal", "how_many", "rounds"]
