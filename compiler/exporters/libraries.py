"""What each library's NIR importer builds of a population: its dt, its gains, its reset, its kinds.

Facts from the importers as published: snnTorch 1.0 ``import_nir``, sinabs 3.1.3 ``nir``, Norse 1.1 ``utils.import_nir``,
SpikingJelly 2.0 ``nir_exchange``. A gain other than the importer's goes into the threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikeport.compiler.exporters.unit import Cannot, Unit, Written, evened, positive_gain, ratio, strictly, uniform
from spikeport.ir.ops import IF, LI, LIF, Array, CubaLIF

#: A tau so long that float32 rounds its decay to 1.
_FOREVER = 1e9


@dataclass(frozen=True, slots=True)
class Library:
    """A library whose importer is known.

    Parameters
    ----------
    name, label, package : str
        As given to ``--dialect``; as its authors write it; what has to be importable for the check.
    neuron : callable
        A population as the importer wants it; raises `Cannot`.
    kinds : frozenset of str
        Stateless nodes that it reads correctly.
    dense : str
        "Linear" where it reads weights without bias, else "Affine".
    loops : bool
        Whether it reads recurrent layers correctly.
    longer_loops : bool
        Whether a loop of one dense node has to pass through a second one, for it takes the shorter for something else.
    runs_depth_first : bool
        Whether its importer runs nodes depth first, in the order of the edges (nirtorch.load).
    input_name : str
        What the Input is called.
    missing : str
        Why other nodes are refused.
    """

    name: str
    label: str
    package: str
    neuron: Callable[[Unit], Written]
    kinds: frozenset[str]
    dense: str = "Linear"
    loops: bool = True
    longer_loops: bool = False
    runs_depth_first: bool = False
    input_name: str = "input"
    missing: str = "its importer has no such node"


def _cuba(unit: Unit, dt: float, threshold: Array, v_reset: Array) -> CubaLIF:
    """Return the CubaLIF with gains of 1 under Euler with *dt*."""
    syn, mem = _tau(unit.alpha, dt), _tau(unit.beta, dt)
    zero = np.zeros(threshold.shape)
    return CubaLIF(syn, mem, mem / dt, zero, threshold, v_reset, syn / dt)


def _tau(decay: Array, dt: float) -> Array:
    """Return the tau of *decay* under Euler."""
    if not (decay <= 1).all():
        raise Cannot(f"a decay of {decay.max():g}", "a time constant gives decays up to 1")
    left = np.maximum(1 - decay, dt / _FOREVER)
    return np.asarray(dt / left)


# ------------------------------------------------------------------------------------------------------------ snnTorch


def _snntorch(unit: Unit) -> Written:
    """``Leaky`` or ``Synaptic`` with reset_delay=False, reset to zero, dt = 0.0001, gains of 1, one threshold.

    Its importer makes a Leaky with beta = 0.9 of an IF: that is written as a LIF whose decay rounds to 1.
    """
    target = unit.hard_reset
    unit.plain(leak=not unit.op.has_current)
    unit.starts_at(0.0)
    if np.any(target):
        raise Cannot("v_reset other than 0", "the importer resets to 0", "train with a reset to 0")
    if not (unit.beta >= 0).all():
        raise Cannot("a decay below 0", "snnTorch clamps decays to 0")
    gain = positive_gain(unit)
    thr, factor, _ = evened(ratio(unit.threshold, gain))
    thr = strictly(thr, unit.model.compare, ">")
    zero = np.zeros(thr.shape)
    if unit.op.has_current:
        return Written(_cuba(unit, 1e-4, thr, zero), factor)
    tau = _tau(unit.beta, 1e-4)
    note = "an IF, which its importer would give a leak, is written as a LIF whose decay rounds to 1 in float32"
    return Written(
        LIF(tau, tau / 1e-4, zero, thr, zero), factor, note if isinstance(unit.op, IF) else "", unit.model.leak / gain
    )


# -------------------------------------------------------------------------------------------------------------- sinabs


def _sinabs(unit: Unit) -> Written:
    """``IAF`` with min_v_mem = -threshold, ``LIF`` and ``ExpLeak`` with norm_input=False: several spikes a step, dt = 1."""
    model, shape = unit.model, unit.model.shape
    if unit.op.has_current:
        raise Cannot(f"a {unit.op.kind}", "sinabs' importer has no synaptic current", "--dialect norse or snntorch")
    unit.plain(clamp=True, leak=True)
    unit.starts_at(0.0)
    one, zero = np.ones(shape), np.zeros(shape)
    if not ((unit.beta > 0) & (unit.beta <= 1)).all():
        raise Cannot("a decay outside 0 to 1", "sinabs' decays are exp(-1/tau)")
    gain = positive_gain(unit)
    offset = model.leak / gain
    with np.errstate(divide="ignore"):
        tau = np.minimum(-1 / np.log(unit.beta), _FOREVER)
    if not unit.op.is_spiking:
        unit.plain(leak=True)
        _one_axis(unit, "LI")
        factor = None if np.all(ratio(gain, 1) == 1) else gain
        return Written(LI(tau, one, zero), factor, "", offset)
    if model.reset != "multi_subtract" or model.max_spikes not in (None, 2**16):
        raise Cannot(
            "a reset other than by subtraction for each of several spikes a step", "sinabs' importer builds only that",
            "train with MembraneSubtract and MultiSpike, or give the model to sinabs as a module",
        )  # fmt: skip
    if model.compare != ">=":
        raise Cannot("a spike test with >", "sinabs tests with >=")
    thr = np.asarray(ratio(unit.threshold, gain), np.float32).astype(np.float64)
    if (unit.beta == 1).all() and model.clamp_low is not None and np.allclose(model.clamp_low, -unit.threshold, rtol=1e-9):
        return Written(IF(one, thr, zero), None, "", offset)
    if model.clamp_low is not None:
        raise Cannot("this lower bound of the membrane", "sinabs' importer bounds an IF at -threshold and a LIF not at all")
    _one_axis(unit, "LIF")
    note = "an IF without a lower bound is written as a LIF whose decay rounds to 1 in float32"
    return Written(LIF(tau, one, zero, thr, zero), None, note if isinstance(unit.op, IF) else "", offset)


def _one_axis(unit: Unit, kind: str) -> None:
    if len(unit.model.shape) != 1:
        raise Cannot(f"a {kind} of the shape {unit.model.shape}", "sinabs' importer fails on a LIF or LI of several axes",
                     "use IF with clamp_low=-v_threshold, or give the model to sinabs as a module")  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- Norse


def _norse(unit: Unit) -> Written:
    """``LIFBoxCell``, ``IAFCell``, or ``LIBoxCell`` before a ``LIFBoxCell``; dt = 0.001, reset to 0, r unread but in Cuba."""
    target = unit.hard_reset
    unit.plain(leak=not unit.op.has_current)
    if np.any(target):
        raise Cannot("v_reset other than 0", "Norse's importer does not read it and resets to 0", "train with a reset to 0")
    gain, beta = positive_gain(unit), unit.beta
    shape = unit.model.shape
    one, zero = np.ones(shape), np.zeros(shape)
    if (beta == 1).all() and not unit.op.has_current:
        unit.starts_at(0.0)
        thr = strictly(ratio(unit.threshold, gain), unit.model.compare, ">")
        return Written(IF(one, thr, zero), None, "", unit.model.leak / gain)
    if not (beta < 1).all() or (unit.op.has_current and not (unit.alpha < 1).all()):
        raise Cannot("a population of which some leak and some do not", "Norse's importer makes one LIF or one IF of it")
    if unit.op.has_current:
        unit.starts_at(0.0)
        thr = strictly(ratio(unit.threshold, gain), unit.model.compare, ">")
        op = _cuba(unit, 1e-3, thr, zero)
        return Written(op)
    # Its membrane takes dt/tau of the input and of v_leak.
    thr = strictly(unit.threshold * ratio(1 - beta, gain), unit.model.compare, ">")
    offset = unit.model.leak / gain
    if not np.any(unit.model.v_init):
        return Written(LIF(_tau(beta, 1e-3), one, zero, thr, zero), None, "", offset)
    unit.starts_at(unit.model.leak / (1 - beta))  # its membrane starts at v_leak
    return Written(LIF(_tau(beta, 1e-3), one, offset, thr, zero))


# -------------------------------------------------------------------------------------------------------- SpikingJelly


def _spikingjelly(unit: Unit) -> Written:
    """``IFNode``, ``LIFNode`` or ``CUBALIFNode``: v >= threshold, hard reset to v_reset = v_leak, one value for all."""
    dt, beta = 1e-4, unit.beta
    target = unit.hard_reset
    unit.plain(leak=not unit.op.has_current)
    gain = positive_gain(unit)
    unit.starts_at(target)  # its membrane starts at v_reset
    thr, factor, (rest, leak) = evened(ratio(unit.threshold, gain), target / gain, unit.model.leak / gain)
    decay, rest = uniform("a decay", beta), np.full(thr.shape, uniform("v_reset", rest))
    thr = strictly(thr, unit.model.compare, ">=")
    if unit.op.has_current:
        uniform("a synaptic decay", unit.alpha)
        return Written(_cuba(unit, dt, thr, rest), factor)
    if decay == 1:
        return Written(IF(np.full(thr.shape, 1 / dt), thr, rest), factor, "", unit.model.leak / gain)
    if not 0 < decay < 1:
        raise Cannot(f"a decay of {decay:g}", "SpikingJelly's LIF takes decays between 0 and 1")
    # Its membrane decays towards v_reset: what the leak gives beyond that is a constant input.
    beyond = leak - (1 - decay) * rest
    beyond = np.where(np.abs(beyond) <= 1e-12 * np.maximum(np.abs(leak), np.abs(rest)), 0.0, beyond)
    tau = _tau(beta, dt)
    return Written(LIF(tau, tau / dt, rest, thr, rest), factor, "", beyond if factor is None else beyond / factor)


_COMMON = frozenset(("Affine", "Linear", "Conv2d", "Flatten", "SumPool2d"))

#: Libraries for which models are exported.
LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library("snntorch", "snnTorch", "snntorch", _snntorch, _COMMON | {"AvgPool2d"}, longer_loops=True),
        Library("sinabs", "sinabs", "sinabs", _sinabs, _COMMON - {"Linear"}, dense="Affine", loops=False, runs_depth_first=True,
                missing="its importer has no such node, and leaves it out without a word"),
        Library("norse", "Norse", "norse", _norse, _COMMON, runs_depth_first=True,
                missing="its importer has no such node, and leaves it out without a word"),
        Library("spikingjelly", "SpikingJelly", "spikingjelly", _spikingjelly, _COMMON | {"AvgPool2d", "Conv1d"},
                input_name="x"),
    )
}  # fmt: skip

#: Libraries for which none is, and why.
REFUSED: dict[str, str] = {
    "rockpool": "its importer fails on every LIF (it reads a field that NIR's LIF has not), rounds the time constants of LI to "
    "whole seconds, and takes dt = min(tau/(1 + r)), which is not what its own exporter writes",
    "spyx": "its older importer (haiku) multiplies weights by dt/tau, its newer one (flax) does not, and neither reads r: one "
    "file is two networks",
    "lava-dl": "its importer copies no weights: it builds layers of the right sizes with random ones",
}
