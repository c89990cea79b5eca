"""Arithmetic ``spinnaker1``: what a core of SpiNNaker 1 computes under sPyNNaker, bit by bit.

State and parameters are s16.15 (32 bits, 15 of them behind the point); decays of synapses are u0.32; every product is cut
to its word downwards. Weights are 16 bits without sign: those of a neuron's excitatory synapses are summed apart from its
inhibitory ones, in slots of a ring buffer of 16 bits that stay at 65,535 when full, and enter shifted left by a number of
bits that the population has for each of the two. With ``e`` and ``h`` the two currents, ``r`` a slot, a step is::

    e = (e*decay >> 32) + ((r << shift)*init >> 32)         IF_curr_exp; IF_curr_delta: e = r << shift
    A = ((R*(e - h + I_offset)) >> 15) + V_rest
    V = A - ((exp_TC*(A - V)) >> 15)                         unless the refractory counter runs; it goes down by 1
    spike where V >= V_thresh; V = V_reset, the counter is set

The order, and that products are cut and not rounded, was read off the machine code that sPyNNaker 7.4.1 ships
(``IF_curr_exp.aplx``, ``IF_curr_delta.aplx``), against which the tests run it. Source of the model: Rhodes et al. 2018,
doi:10.3389/fnins.2018.00816. Adding up the two currents of a machine step, its decay comes at the end of the step before.

A graph is on *SpiNNaker's grid* where the coefficients of its profile are such registers; ``compiler.spinnaker`` puts it
there. Values are held in doubles, in units: a membrane of 1 is 2^15 of its register.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, VerifyError
from spikeport.ir.dynamics import NeuronModel, State
from spikeport.ir.loihi import INPUT_NOTE, weighted_chains
from spikeport.ir.ops import Array, Op, Shape

if TYPE_CHECKING:
    from spikeport.ir.network import StepNetwork

#: One, in s16.15 and in u0.32.
ONE, FULL = 1 << 15, 1 << 32
#: Words go to this, and not quite.
LIMIT = 1 << 31
#: Largest weight, and largest content of a slot of a ring buffer.
MOST = (1 << 16) - 1
#: Largest shift that keeps a full slot within a word.
MOST_SHIFT = 15
#: Note of a neuron: its shifts, excitatory first, and what its membrane was multiplied by.
NOTE = "spinnaker1"


def word(values: Array) -> Array:
    """Return *values* as 32 bits with sign keep them."""
    return np.asarray(((values + LIMIT) & (FULL - 1)) - LIMIT)


@dataclass(frozen=True, slots=True, eq=False)
class Core:
    """A population's registers; arrays of int64 of its shape, in the bits of their words.

    Parameters
    ----------
    shape : tuple of int
    exp_tc, resistance, v_rest, i_offset, v_reset : array
        s16.15.
    threshold : array or None
        s16.15; None for an integrator, whose threshold is out of reach.
    refractory : array
        Steps that the counter starts at.
    decay, init : array or None
        u0.32; None for IF_curr_delta.
    shifts : (int, int)
        Left shifts of the excitatory and the inhibitory ring buffers.
    """

    shape: Shape
    exp_tc: Array
    resistance: Array
    v_rest: Array
    i_offset: Array
    v_reset: Array
    threshold: Array | None
    refractory: Array
    decay: Array | None
    init: Array | None
    shifts: tuple[int, int]

    def slots(self, x: Array) -> tuple[Array, Array]:
        """Return the two sums of weights behind the finished input *x* (excitatory + 1j*inhibitory), before they saturate."""
        parts = (x.real, x.imag) if np.iscomplexobj(x) else (x, np.zeros_like(x))
        exc, inh = (np.rint(p * 2.0 ** (15 - s)).astype(np.int64) for p, s in zip(parts, self.shifts, strict=True))
        return exc, inh

    def rest(self, exc: Array, inh: Array) -> Array:
        """Return what membranes tend to under the two currents, all in bits."""
        return word((self.resistance * word(exc - inh + self.i_offset) >> 15) + self.v_rest)

    def step(self, state: State, x: Array) -> Array:
        """Advance *state* by one step with the finished input *x* (batch, *shape); return the spikes (int64).

        ``state.i`` holds the excitatory current in its real part, the inhibitory in its imaginary one.
        """
        entering = [np.minimum(slot, MOST) << s for slot, s in zip(self.slots(x), self.shifts, strict=True)]
        if self.decay is not None and self.init is not None:
            held = (word_bits(state.i.real), word_bits(state.i.imag))
            entering = [
                word((old * self.decay >> 32) + (new * self.init >> 32)) for old, new in zip(held, entering, strict=True)
            ]
        exc, inh = entering
        state.i = (exc + 1j * inh) / ONE
        rest, before = self.rest(exc, inh), word_bits(state.v)
        after = word(rest - (self.exp_tc * word(rest - before) >> 15))
        counting = state.held > 0
        v = np.where(counting, before, after)
        timer = np.where(counting, state.held - 1, state.held)
        spikes = np.zeros(v.shape, bool) if self.threshold is None else v >= self.threshold
        state.v = np.where(spikes, self.v_reset, v) / ONE
        state.held = np.where(spikes, self.refractory, timer)
        return spikes.astype(np.int64)


def word_bits(values: Array) -> Array:
    """Return *values*, in units, as the bits (int64) of s16.15."""
    return np.rint(np.asarray(values, np.float64) * ONE).astype(np.int64)


def two_sums(halves: tuple[Op, Op], x: Array) -> Array:
    """Return what leaves a weighted node: the excitatory sum + 1j * the inhibitory one, for values *x* of either sign.

    Parameters
    ----------
    halves : (Op, Op)
        The node with its positive weights alone, and with its negative ones, their sign taken off.
    """
    exc, inh = halves
    above = np.maximum(x, 0.0)
    total = exc.apply(above) + 1j * inh.apply(above)
    if np.any(x < 0):
        below = np.maximum(-x, 0.0)
        total = total + inh.apply(below) + 1j * exc.apply(below)
    return np.asarray(total)


def core_of(model: NeuronModel, shifts: tuple[int, int]) -> Core:
    """Return the registers of a *model* on the grid; raise ValueError, which says why, for one that is not."""
    resets = model.reset == "to_v_reset" and model.reset_when == "after_spike" and model.compare == ">="
    if model.threshold is not None and not resets:
        raise ValueError("a spike where v >= threshold, and then v = v_reset, is all that it has")
    others = (model.syn_leak, model.clamp_low, model.amplitude)
    if any(a is not None for a in others) or model.old_current or model.decay_input or model.output_delay or model.truncate:
        raise ValueError("it has more than two currents, membrane, rest, threshold and refractory counter")
    open_way = 1 - model.beta
    if np.any(open_way <= 0):
        raise ValueError("its membrane does not leak: nothing of its input would enter")
    held = model.refractory_steps
    if held is not None and np.any(held < 0):
        raise ValueError("its refractory steps are negative")
    alpha, zero = model.alpha, np.zeros(model.shape, np.int64)
    for name, state in (("v_init", model.v_init), ("i_init", model.i_init)):
        _whole(name, state, ONE)
    return Core(
        model.shape, _whole("exp_TC", model.beta, ONE, 0, ONE), _whole("R_membrane", model.mem_gain / open_way, ONE),
        _whole("V_rest", model.leak / open_way, ONE),
        zero if model.offset is None else _whole("I_offset", model.offset, ONE),
        zero if model.v_reset is None else _whole("V_reset", model.v_reset, ONE),
        None if model.threshold is None else _whole("V_thresh", model.threshold, ONE),
        zero if held is None else np.asarray(held, np.int64),
        None if alpha is None else _whole("decay", alpha, FULL, 0, FULL),
        None if alpha is None or model.syn_gain is None else _whole("init", model.syn_gain, FULL, 0, FULL), shifts,
    )  # fmt: skip


def _whole(name: str, value: Array, one: int, least: int = -LIMIT, limit: int = LIMIT) -> Array:
    """Return *value* in bits; quotients of doubles are whole up to their last places."""
    exact = np.asarray(value, np.float64) * one
    bits = np.rint(exact)
    if np.any(np.abs(exact - bits) > 1e-12 * np.abs(exact)) or np.any(bits < least) or np.any(bits >= limit):
        first = float(np.asarray(value, np.float64).reshape(-1)[0])
        raise ValueError(f"{name} (such as {first:.9g}) is no multiple of 1/{one} from {least / one:g} to {limit / one:g}")
    return np.asarray(bits, np.int64)


def shifts_of(notes: Mapping[str, Any]) -> tuple[int, int]:
    """Return the shifts that the notes of a neuron hold; raise ValueError where they do not."""
    note = notes.get(NOTE)
    found = note.get("shifts") if isinstance(note, Mapping) else None
    if not isinstance(found, (list, tuple)) or len(found) != 2:
        raise ValueError("nothing says how far its ring buffers are shifted")
    exc, inh = (int(s) for s in found)
    if not (0 <= exc <= MOST_SHIFT and 0 <= inh <= MOST_SHIFT):
        raise ValueError(f"its ring buffers would be shifted by {exc} and {inh} bits; 0 to {MOST_SHIFT} are to be had")
    return exc, inh


def slots_per_unit(weight: Array, shifts: tuple[int, int]) -> Array:
    """Return how many units of a slot 1 nA makes in the ring buffer of each of *weight*: excitatory ones are positive."""
    return np.asarray(np.where(weight > 0, *(2.0 ** (15 - s) for s in shifts)))


def weight_bits(weight: Array, shifts: tuple[int, int]) -> Array:
    """Return *weight* as the 16-bit numbers of the synapses, inhibitory ones negative; raise ValueError off the grid."""
    exact = np.asarray(weight, np.float64) * slots_per_unit(weight, shifts)
    bits = np.rint(exact)
    if np.any(exact != bits) or np.any(np.abs(bits) > MOST):
        raise ValueError(f"its weights are no 16-bit numbers shifted left by {shifts[0]} and {shifts[1]}")
    return np.asarray(bits, np.int64)


def on_grid(network: StepNetwork) -> StepNetwork:
    """Return *network*, which must be on SpiNNaker's grid, with neurons that compute as its cores do.

    Raises
    ------
    VerifyError
        E560 naming every layer that is off the grid, and why.
    """
    found: list[Diagnostic] = []
    models = {}
    for path, model in network.models.items():
        try:
            models[path] = dataclasses.replace(model, core=core_of(model, shifts_of(network.graph[path].notes)))
        except ValueError as error:
            found.append(_off(network, path, str(error)))
    halves = {path: _halves(op) for path, op in network.ops.items() if op.is_weighted}
    done = dataclasses.replace(network, models=models, halves=halves)
    found += _stray(done)
    if not found:  # every loop passes through a neuron then, and chains end
        found += _off_grid(done)
    if found:
        raise VerifyError(list({(d.path, d.message): d for d in found}.values()))
    return done


def _halves(op: Op) -> tuple[Op, Op]:
    weight = op.parameters()["weight"]
    exc, inh = (dataclasses.replace(op, weight=w) for w in (np.maximum(weight, 0), np.maximum(-weight, 0)))  # type: ignore[call-arg]
    return exc, inh


def _off(network: StepNetwork, path: str, why: str) -> Diagnostic:
    return Diagnostic(
        "E560", path, f"this {network.graph[path].op.kind} is not on SpiNNaker's grid: {why}",
        "compile it (spikeport compile --target spinnaker1 --arith spinnaker1), which finds registers for it",
    )  # fmt: skip


def _stray(network: StepNetwork) -> Iterator[Diagnostic]:
    for path, op in network.ops.items():
        if not op.is_weighted and op.kind not in ("Input", "Output", "Flatten"):
            yield _off(network, path, "pools and scales belong into the weights")
        elif op.is_weighted and np.any(getattr(op, "bias", 0)):
            yield _off(network, path, "its bias belongs to the neurons behind")
    for path in network.delays:
        yield _off(network, path, "delays belong to the edges")


def _off_grid(network: StepNetwork) -> Iterator[Diagnostic]:
    for chain, steps in weighted_chains(network):
        inside = [path for path in chain[1:-1] if path in network.halves]
        if steps < 1:
            yield _off(network, chain[-1], f"spikes of {chain[0]} reach it within the step; SpiNNaker's take one at least")
        if len(inside) != 1:
            yield _off(network, chain[-1], f"{len(inside)} layers of weights lie between {chain[0]} and it, not one")
        elif chain[-1] in network.models:
            core = network.models[chain[-1]].core
            try:
                if isinstance(core, Core):
                    weight_bits(network.ops[inside[0]].parameters()["weight"], core.shifts)
            except ValueError as error:
                yield _off(network, inside[0], str(error))
            note = network.graph[chain[0]].notes.get(INPUT_NOTE)
            if isinstance(note, Mapping) and int(note["least"]) < 0 and isinstance(core, Core) and len(set(core.shifts)) > 1:
                # A negative value takes each weight to the other ring buffer, which must have it, too.
                yield _off(network, chain[-1], f"{chain[0]} sends negative values, and its two shifts differ")
        if chain[0] in network.models and network.models[chain[0]].threshold is None:
            yield _off(network, chain[-1], f"the membrane of {chain[0]} is sent to it; packets carry no value")
