"""Put the lowered graph together: Loihi's form, its integers as floats on the grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikeport.compiler.integer import assemble as parts
from spikeport.compiler.integer.entry import Entry
from spikeport.compiler.integer.links import Link
from spikeport.compiler.loihi.settle import Settled
from spikeport.ir.graph import Graph, Node
from spikeport.ir.loihi import DECAY_ONE, SHIFT
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import LI, LIF, CubaLI, CubaLIF, Neuron, Op
from spikeport.ir.ops.neuron import Discrete, Extras
from spikeport.ir.profiles import parse_profile

#: A time constant in steps for a membrane that does not leak, since NIR's are finite.
NO_LEAK = 2.0**30


def assemble(
    network: StepNetwork, entering: Mapping[str, Entry], links: Sequence[Link], done: Mapping[str, Settled],
    lag: Mapping[str, int],
) -> tuple[Graph, dict[int, str]]:  # fmt: skip
    """Return the lowered graph, which states its profile, and the node of each link by its place among *links*."""
    profile = dataclasses.replace(parse_profile("lava"), dt=network.profile.dt, boundary=network.profile.boundary, leak="unit")
    neurons = {
        path: Node(path, _neuron(settled, profile.dt), {**network.graph[path].notes, "scale": settled.choice.scale})
        for path, settled in done.items()
    }
    weights = {path: [one.weight for one in settled.choice.weights] for path, settled in done.items()}
    return parts.assemble(network, profile, entering, links, neurons, weights, lag)


def _neuron(settled: Settled, dt: float) -> Neuron:
    shape = settled.beta.shape
    beta = settled.beta / DECAY_ONE
    tau = dt / np.where(beta < 1, 1 - beta, 1 / NO_LEAK)
    fields: dict[str, Any] = {"v_leak": settled.bias.astype(float), "r": np.ones(shape)}
    if settled.alpha is None:
        discrete = Discrete(dt, "euler", "nir", beta, np.full(shape, float(SHIFT)))
        fields["tau"] = tau
    else:
        alpha = settled.alpha / DECAY_ONE
        discrete = Discrete(dt, "euler", "nir", beta, np.ones(shape), alpha, np.full(shape, float(SHIFT)))
        fields |= {"tau_mem": tau, "tau_syn": dt / (1 - alpha), "w_in": np.ones(shape)}
    extras = Extras(
        discrete, _given(settled.v_init), _given(settled.i_init), settled.refractory, None,
    )  # fmt: skip
    threshold = settled.choice.threshold
    kind: type[Op] = LI if settled.alpha is None else CubaLI
    if threshold is not None:
        kind = LIF if settled.alpha is None else CubaLIF
        fields |= {"v_threshold": threshold * float(SHIFT), "v_reset": np.zeros(shape)}
    return kind(**fields, extras=extras)  # type: ignore[call-arg,return-value]


def _given(state: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    return state.astype(float) if np.any(state) else None
