"""A unit of its own for each neuron: it takes in what a kernel that neurons share cannot hold.

Neurons of a channel share the weights of a convolution, so a gain that differs among them is no part of these. But a
membrane may be counted in any unit: of ``V = b V + g I`` (I the weighted input) with ``V' = V / u`` and ``u = g / g_c``
becomes ``V' = b V' + g_c I``, where g_c is the gain of the whole channel; threshold, rest and initial state are divided
by u, too. Nothing is rounded by that.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from spikeport.compiler.integer.neurons import Dynamics
from spikeport.ir.ops import Array


def unit_of(dyn: Dynamics) -> Array:
    """Return the unit of each neuron's membrane in which all of a channel have one gain; 1 where they have, or cannot.

    They cannot where gains of a channel differ in sign or are 0, and where the membrane itself is read: an integrator's.
    Flat layers keep their unit: a matrix has a row for each neuron.
    """
    one = np.ones(dyn.shape)
    if len(dyn.shape) < 2 or dyn.threshold is None:
        return one
    gain = np.broadcast_to(dyn.gain, dyn.shape).reshape(dyn.shape[0], -1)
    first = gain[:, :1]
    if np.all(gain == first) or np.any(gain * first <= 0):
        return one
    return np.asarray((gain / first).reshape(dyn.shape))


def in_unit(dyn: Dynamics, unit: Array) -> Dynamics:
    """Return *dyn* with its membrane counted in *unit*, by neuron."""
    if np.all(unit == 1):
        return dyn
    gain = dyn.gain / unit
    if len(dyn.shape) > 1:  # what is one number for a channel is so to the last bit
        of_channel = np.broadcast_to(dyn.gain, dyn.shape).reshape(dyn.shape[0], -1)[:, :1]
        gain = np.broadcast_to(of_channel, (dyn.shape[0], gain.size // dyn.shape[0])).reshape(dyn.shape)
    return dataclasses.replace(
        dyn, gain=gain, constant=dyn.constant / unit, threshold=None if dyn.threshold is None else dyn.threshold / unit,
        v_init=dyn.v_init / unit, i_init=dyn.i_init / unit,
    )  # fmt: skip
