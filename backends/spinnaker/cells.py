"""Populations of a lowered network as sPyNNaker's neurons, connections as lists of synapses, and what no program can say."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.backends.matrices import Synapses, matrix_of
from spikeport.backends.spinnaker.start import walked_back
from spikeport.backends.ways import ways_of
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.dynamics import NeuronModel
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Shape
from spikeport.ir.program import Program
from spikeport.ir.spinnaker import FULL, LIMIT, ONE, Core, word_bits
from spikeport.ir.spinnaker_host import membrane, synapse, tau_m_of, tau_syn_of

#: Largest number of s16.15: the threshold of what is not to spike.
NEVER = (LIMIT - 1) / ONE
#: Bits of a ring buffer's index: neuron, synapse type and delay share them (sPyNNaker 7.4.1, ``MAX_RING_BUFFER_BITS``).
RING_BITS = 14
#: Blocks of a delay extension, each as long as the ring buffer.
BLOCKS = 8
#: Neurons of a core where nothing else is asked for.
PER_CORE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A population as sPyNNaker has it.

    Parameters
    ----------
    path : str
        Its node.
    model : {"IF_curr_exp", "IF_curr_delta"}
        sPyNNaker's neuron.
    shape : tuple of int
        Of the population.
    parameters : Mapping[str, array]
        Of the neuron, in ms, nF, nA and mV, flat.
    initial : Mapping[str, array]
        State before the first step, where it is not zero.
    shifts : (int, int)
        Ring-buffer shifts of the excitatory and the inhibitory synapses.
    spikes : bool
        Whether it does; what does not has a threshold out of reach.
    per_core : int
        Most neurons on a core.
    off : Mapping[str, float]
        Registers that no time constant gives: how far the nearest is off, at most.
    early : int
        Steps before its sample begins in which the membrane is on its way to the model's start, at most.
    """

    path: str
    model: str
    shape: Shape
    parameters: Mapping[str, Array]
    initial: Mapping[str, Array]
    shifts: tuple[int, int]
    spikes: bool
    per_core: int
    off: Mapping[str, float]
    early: int = 0

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """Synapses from an input or a population to a population.

    Parameters
    ----------
    source, layer, target : str
        Paths.
    name : str
        The layer's path, with the way where it has several.
    delay : int
        Steps.
    synapses : Synapses
        Weights in nA; those below zero inhibit.
    """

    source: str
    layer: str
    target: str
    name: str
    delay: int
    synapses: Synapses


def cells_of(network: StepNetwork, program: Program | None = None) -> tuple[Cell, ...]:
    """Return the populations of *network*, in which `findings` found nothing.

    A population of a mapped *program* has no more neurons on a core than the mapping gave it.
    """
    largest = {} if program is None else program.largest()
    return tuple(_cell(network, path, largest.get(path, PER_CORE)) for path in network.models)


def _cell(network: StepNetwork, path: str, per_core: int) -> Cell:
    model, core = network.models[path], network.models[path].core
    if not isinstance(core, Core):
        raise AssertionError(f"{path} is not on SpiNNaker's grid")
    tau_m, tau_syn, off = _taus(core)
    found: dict[str, Array] = {
        "tau_m": tau_m, "cm": tau_m / (core.resistance / ONE), "v_rest": core.v_rest / ONE, "v_reset": core.v_reset / ONE,
        "v_thresh": np.full(core.shape, NEVER) if core.threshold is None else core.threshold / ONE,
        "tau_refrac": core.refractory.astype(np.float64), "i_offset": core.i_offset / ONE,
    }  # fmt: skip
    if tau_syn is not None:
        found |= {"tau_syn_E": tau_syn, "tau_syn_I": tau_syn}
    start = _start(model)
    assert start is not None, f"{path} has no start; `findings` says so"
    initial = {"v": start}
    if tau_syn is not None and core.decay is not None:
        # The machine lets currents decay at the end of a step, so that the first one takes its own as they are.
        for name, current in (("isyn_exc", np.maximum(model.i_init, 0)), ("isyn_inh", np.maximum(-model.i_init, 0))):
            initial[name] = (word_bits(current) * core.decay >> 32) / ONE
    return Cell(
        path, "IF_curr_delta" if tau_syn is None else "IF_curr_exp", core.shape,
        {name: np.broadcast_to(value, core.shape).ravel() for name, value in found.items()},
        {name: np.broadcast_to(value, core.shape).ravel() for name, value in initial.items()},
        core.shifts, core.threshold is not None, per_core, off,
        0 if model.held_init is None else int(np.max(model.held_init, initial=0)),
    )  # fmt: skip


def _start(model: NeuronModel) -> Array | None:
    """Return the membranes before the first step; None where no start leads to the model's."""
    if model.held_init is None or not np.any(model.held_init):
        return model.v_init
    assert isinstance(model.core, Core)
    return walked_back(model.core, model.v_init, model.i_init, model.held_init)


def _taus(core: Core) -> tuple[Array, Array | None, dict[str, float]]:
    """Return the time constants of membrane and synapses in ms, and by how much registers differ that none gives exactly."""
    tau_m = _each(_nearest, core.exp_tc)
    off = {"exp_TC": float(np.max(np.abs(_each(membrane, tau_m, ONE) - core.exp_tc), initial=0)) / ONE}
    tau_syn = None
    if core.decay is not None and core.init is not None:
        bits = tau_syn = _each(tau_syn_of, core.decay, core.init, ONE)
        for index, (name, wanted) in enumerate((("decay", core.decay), ("init", core.init))):
            made = _each(lambda tau, at=index: synapse(tau, ONE)[at], bits)
            off[name] = float(np.max(np.abs(made - wanted), initial=0)) / FULL
        tau_syn = bits / ONE
    return tau_m / ONE, tau_syn, {name: value for name, value in off.items() if value}


def _nearest(exp_tc: int) -> int:
    """Return the time constant whose exp_TC is the nearest that there is."""
    for distance in range(ONE):
        for bits in (exp_tc + distance, exp_tc - distance):
            tau = tau_m_of(bits, ONE) if 0 <= bits < ONE else None
            if tau is not None:
                return tau
    raise AssertionError("a time constant gives 0")


def _each(function: Callable[..., int], *arrays: Array | int) -> Array:
    """Return *function* of ints at every place of *arrays*, called once for each that differ."""
    known = functools.cache(function)
    full = np.broadcast_arrays(*arrays)
    flat = [known(*(int(v) for v in values)) for values in zip(*(a.ravel() for a in full), strict=True)]
    return np.array(flat, np.int64).reshape(full[0].shape)


def wires_of(network: StepNetwork) -> tuple[Wire, ...]:
    """Return the connections of *network*, in which `findings` found nothing."""
    ways = ways_of(network)
    uses = [way.layer for way in ways]
    found = []
    for way in ways:
        name = way.layer if uses.count(way.layer) == 1 else f"{way.layer} ({way.source} to {way.target})"
        shapes = network.shapes
        synapses = matrix_of(network.ops[way.layer], shapes.input[way.layer], shapes.output[way.layer])
        found.append(Wire(way.source, way.layer, way.target, name, way.steps, synapses))
    return tuple(found)


def longest(per_core: int) -> int:
    """Return the longest delay into a population with *per_core* neurons on a core, in steps."""
    return (1 + BLOCKS) * slots(per_core)


def slots(per_core: int) -> int:
    """Return the steps that the ring buffer of a core has room for."""
    return int(2 ** (RING_BITS - 1 - max(per_core - 1, 1).bit_length()))


def findings(network: StepNetwork, program: Program | None = None) -> tuple[Diagnostic, ...]:
    """Return what no program for sPyNNaker can say of *network*, as errors E550."""
    return tuple(_findings(network, program))


def _findings(network: StepNetwork, program: Program | None) -> Iterator[Diagnostic]:
    if network.arithmetic.name != "spinnaker1":
        yield Diagnostic(
            "E550", "", f"the network is in arithmetic {network.arithmetic.name}; sPyNNaker 7.4 has its own, spinnaker1",
            "compile it with --arith spinnaker1",
        )  # fmt: skip
        return
    for path, model in network.models.items():
        if isinstance(model.core, Core) and model.held_init is not None and _start(model) is None:
            yield Diagnostic(
                "E550", path, f"it is held for {int(np.max(model.held_init))} steps at first, which sPyNNaker's neurons are "
                "not, and from no membrane that it could start with does it arrive without spiking or leaving its register",
                "give it less of a negative bias, or a slower decay",
            )  # fmt: skip
    largest = {} if program is None else program.largest()
    for way in ways_of(network):
        most = longest(min(largest.get(way.target, PER_CORE), int(np.prod(network.shapes.output[way.target]))))
        if not 1 <= way.steps <= most:
            yield Diagnostic(
                "E550", way.layer, f"spikes take {way.steps} steps from {way.source} to {way.target}; sPyNNaker's delays are 1 "
                f"to {most} steps there", "put a relay population in between", {"steps": way.steps, "limit": most},
            )  # fmt: skip


__all__ = ["NEVER", "Cell", "Wire", "cells_of", "findings", "longest", "slots", "wires_of"]
