"""In which bits a core holds synapses and neurons: formats of weights, and the sets of registers that neurons share.

Source: nengo-loihi 1.0 (widths of weights, bits of delays, configurations); the registers of arithmetic ``loihi`` are those
of :mod:`spikeport.ir.loihi`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from spikeport.compiler.mapping.chains import Chain
from spikeport.hw_profiles.support import input_range
from spikeport.hw_profiles.target import Target
from spikeport.ir.dynamics import discretise
from spikeport.ir.graph import Graph
from spikeport.ir.loihi import registers, split_weights
from spikeport.ir.ops import Array, Neuron, Op, Shape
from spikeport.ir.profile import Profile

#: Sets of registers and thresholds: arrays of the population's shape, those that are the same for all neurons left out.
Sets = tuple[tuple[Array, ...], Array | None]


@dataclass(frozen=True, slots=True)
class Format:
    """How the synapses of a connection are held.

    Parameters
    ----------
    bits : int
        Width of a weight in memory.
    delay : int
        Steps that the connection waits.
    exponent : int or None
        Of the last bit that is stored, where weights are whole numbers; None in floats, where it is not settled.
    signs : {"mixed", "positive", "negative"}
        Of the weights.
    copies : int
        2 where negative inputs need axons of their own, with the weights negated.
    """

    bits: int
    delay: int = 0
    exponent: int | None = None
    signs: str = "mixed"
    copies: int = 1

    def configurations(self, encoding: str) -> set[tuple[object, ...]]:
        """Return what tells the formats of this connection from those of others.

        In floats neither exponent nor signs are settled: connections of the same width, delay and encoding may share one.
        """
        signs = {self.signs}
        if self.copies > 1 and self.signs != "mixed":
            signs = {"positive", "negative"}
        return {(self.bits, max(self.delay, 1), self.exponent, s, encoding) for s in signs}


def format_of(graph: Graph, chain: Chain, target: Target, arithmetic: str = "float64") -> Format:
    """Return the format of *chain* on *target*: narrower than the widest where a layer's weights need fewer bits.

    A float layer needs the bits of its quantization note, or all; a whole-numbered one what its numbers take. Chips do not
    store every width: the next one up is taken.
    """
    weighted = [graph[path] for path in chain.through if graph[path].op.is_weighted]
    widest = int(target.weight_bits.value or 8)
    bits, exponent, signs = widest, None, "mixed"
    if arithmetic == "loihi" and len(weighted) == 1:
        found = whole(weighted[0].op)
        if found is not None:
            bits, exponent, signs = found
    elif weighted:
        note = weighted[0].notes.get("quantization")
        told = note.get("bits") if isinstance(note, Mapping) else None
        bits = int(told) if told else widest
    span = input_range(graph[chain.source])
    doubled = span is not None and span[0] < 0 and target.support["graded_input"].status == "rewritten"
    return Format(target.stored_width(min(bits, widest)), chain.delay, exponent, signs, 1 + doubled)


@lru_cache(maxsize=64)
def whole(op: Op) -> tuple[int, int, str] | None:
    """Return (bits, exponent of the last of them, signs) of whole-numbered weights; None for weights that are none."""
    try:
        mantissa, exponent = split_weights(op.parameters()["weight"])
    except ValueError:
        return None
    low, high = int(mantissa.min(initial=0)), int(mantissa.max(initial=0))
    signs = "mixed" if low < 0 < high else "negative" if low < 0 else "positive"
    used = int(np.bitwise_or.reduce(np.abs(mantissa), axis=None, initial=0)) or 1
    spare = (used & -used).bit_length() - 1
    low, high = low >> spare, high >> spare
    if signs == "mixed":
        return max(high.bit_length(), (-low - 1).bit_length()) + 1, exponent + spare, signs
    return max(1, max(-low, high).bit_length()), exponent + spare, signs


def register_sets(op: Op, path: str, profile: Profile, shape: Shape, arithmetic: str) -> Sets:
    """Return what neurons of a core can only have so many sets of, and their thresholds.

    In arithmetic ``loihi`` a set is (du, dv, refractory steps, bias exponent) and a threshold its mantissa, else a set is
    the time constants and the refractory steps.
    """
    if not isinstance(op, Neuron):
        return (), None
    arrays: dict[str, Any] = dict(op.arrays())
    times = [arrays[n] for n in ("tau", "tau_mem", "tau_syn") if n in arrays]
    threshold = arrays.get("v_threshold")
    if arithmetic == "loihi":
        given: dict[str, Any] = {n: profile.parameter(path, op.kind, n) for n in ("v_threshold", "v_reset")}
        try:
            held = registers(discretise(op, profile.at(path, op.kind), shape, **given))
        except ValueError:  # off the grid: building the network says so, layer by layer
            held = None
        if held is not None:
            times, threshold = [held.du, held.dv, held.bias_exponent], held.threshold
    if op.extras.refractory_steps is not None:
        times.append(op.extras.refractory_steps)
    return tuple(a for a in times if differs(a)), threshold if differs(threshold) else None


def differs(array: Array | None) -> bool:
    """Whether *array* has more than one value."""
    return array is not None and bool(array.ndim) and any(array.strides) and bool(np.any(array != array.flat[0]))
