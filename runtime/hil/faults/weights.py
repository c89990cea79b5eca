"""Faults in the memory of weights: flipped bits, and weights that saturate in fewer bits. Biases keep their values.

A weight is where the graph holds it: the kernel of a convolution is one memory, and what is wrong there is wrong at every
place where it is used. ``int8`` is the byte that a chip stores:

- arithmetic ``loihi``: the mantissa, with the layer's exponent: in two's complement where a layer has weights of both signs,
  else without a sign (of negative weights the magnitude);
- floats: ``round(127 * w / max|W|)`` over the layer, in two's complement. Only a weight that is hit moves to this grid.

Arithmetic ``spinnaker2`` takes its scale from the largest weight of a population: there one changed weight would change all,
so these faults are refused.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from spikeport.ir.graph import Graph, Node
from spikeport.ir.loihi import mantissa_range, split_weights
from spikeport.ir.ops import Array, Op
from spikeport.ir.program import Program
from spikeport.runtime.hil.faults.draws import hit, layers_of, not_here
from spikeport.runtime.hil.faults.spec import Fault


def bit_flip(program: Program, fault: Fault) -> Graph:
    """Return the graph with flipped bits: each of all stored bits with probability ``p``, or ``n`` different ones of all.

    ``format=int8`` (the default) flips bits of the byte; ``ieee`` those of the weight as IEEE single, where what would be
    infinite or no number is read as the largest single of its sign. ``layer`` names one weighted layer; else it is all.

    Raises
    ------
    UnsupportedError
        E887 for a layer without weights, more bits than there are, ``ieee`` in arithmetic ``loihi``, and in ``spinnaker2``.
    """
    is_ieee = fault.get("format", "int8") == "ieee"
    if is_ieee and program.arithmetic == "loihi":
        raise not_here(fault, "arithmetic loihi has weights of 8 bits", "flip bits of format=int8")
    weights = _weights(program, fault)
    bits = 32 if is_ieee else 8
    hits = hit(fault, {path: (*w.shape, bits) for path, w in weights.items()}, "bits of weights")
    changed = {}
    for path, w in weights.items():
        # The first axis of the stream is that of weights; a weight's bits are neighbours, the least first.
        masks = (hits[path].astype(np.int64) << np.arange(bits)).sum(axis=-1)
        changed[path] = _flipped_single(w, masks) if is_ieee else _grid(program, w).flipped(w, masks)
    return _with_weights(program.graph, changed)


def saturate(program: Program, fault: Fault) -> Graph:
    """Return the graph with weights clipped to what ``bits`` of the byte's 8 hold; nothing else moves, so 8 changes nothing.

    Of two's complement that is ``-2**(bits-1)`` to ``2**(bits-1) - 1`` steps of the grid, of unsigned bytes 0 to
    ``2**bits - 1``. ``layer`` names one weighted layer; else it is all.

    Raises
    ------
    UnsupportedError
        E887 for a layer without weights, and in arithmetic ``spinnaker2``.
    """
    changed = {path: _grid(program, w).clipped(w, fault.get("bits")) for path, w in _weights(program, fault).items()}
    return _with_weights(program.graph, changed)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Bytes of a layer's weights: a weight is ``sign * byte / steps * most``, where *steps* is the byte of the weight *most*.

    Bytes are in two's complement where *is_signed*, else from 0 to 255.
    """

    most: float
    steps: int
    is_signed: bool = True
    sign: int = 1

    def flipped(self, w: Array, masks: Array) -> Array:
        """Return *w* with the bits of *masks*, one whole number a weight, turned in its bytes."""
        exact = np.asarray(w, np.float64) * (self.steps * self.sign / self.most) if self.most else np.zeros(w.shape)
        byte = (np.rint(exact).astype(np.int64) & 255) ^ masks
        if self.is_signed:
            byte = np.where(byte > 127, byte - 256, byte)
        return np.where(masks != 0, self._weight(byte), w).astype(w.dtype)

    def clipped(self, w: Array, bits: int) -> Array:
        """Return *w* within what *bits* hold."""
        ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if self.is_signed else (0, 2**bits - 1)
        low, high = np.sort(self._weight(np.array(ends))).astype(w.dtype)
        return np.clip(w, low, high)

    def _weight(self, byte: Array) -> Array:
        # In this order 127 steps are the largest weight to the last bit.
        return np.asarray(self.sign * byte / self.steps * self.most)


def _grid(program: Program, w: Array) -> _Grid:
    if program.arithmetic == "loihi":
        mantissas, exponent = split_weights(w)
        _, high, step = mantissa_range(mantissas)
        return _Grid(float(step << exponent), 1, step == 2, -1 if high == 0 else 1)
    return _Grid(float(np.max(np.abs(w), initial=0.0)), 127)


def _flipped_single(w: Array, masks: Array) -> Array:
    bits = w.astype(np.float32).view(np.uint32) ^ masks.astype(np.uint32)
    other = bits.view(np.float32)
    most = np.finfo(np.float32).max
    negative = bits >> np.uint32(31) != 0
    other = np.where(np.isfinite(other), other, np.where(negative, -most, most))
    return np.where(masks != 0, other, w).astype(w.dtype)


def _weights(program: Program, fault: Fault) -> dict[str, Array]:
    """Return the weights that *fault* is about, floats, by layer."""
    graph = program.graph
    if program.arithmetic == "spinnaker2":
        why = "in arithmetic spinnaker2 all weights of a population follow its largest one, and would change with it"
        raise not_here(fault, why, "--arith float64: format=int8 takes 8 bits there too")
    known = [n.path for n in graph if n.op.is_weighted]
    paths = layers_of(fault, known, "is no layer with weights", "layers with weights")
    weights = {path: graph[path].op.parameters()["weight"] for path in paths}
    return {path: w if w.dtype.kind == "f" else np.asarray(w, np.float64) for path, w in weights.items()}


def _with_weights(graph: Graph, changed: dict[str, Array]) -> Graph:
    def op_of(node: Node) -> Op:
        new = changed.get(node.path)
        same = new is None or np.array_equal(new, node.op.parameters()["weight"])
        return node.op if same else dataclasses.replace(node.op, weight=new)  # type: ignore[call-arg]

    return graph.map_ops(op_of)
