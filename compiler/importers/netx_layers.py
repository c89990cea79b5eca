"""Layers of a ``.net`` file: input, dense, dense_rec, conv, pool and flatten lower; all others are refused by name."""

from __future__ import annotations

import math

import numpy as np

from spikeport.compiler.importers.netx_chain import Chain
from spikeport.compiler.importers.netx_conv import Given, add_conv
from spikeport.compiler.importers.netx_dense import add_dense
from spikeport.compiler.importers.netx_fields import MAX_WHOLE, Fields
from spikeport.compiler.importers.netx_neuron import read_neuron
from spikeport.compiler.importers.netx_values import read_shape
from spikeport.ir import Diagnostic
from spikeport.ir.ops import Conv2d, Linear, Op, Shape

_REFUSED = {
    "average": "it averages spikes over groups of neurons; Loihi has no neuron for that: leave it out, and average the output",
    "concat": "netx does not build it, and nothing says when each of its inputs arrives",
    "convT": "netx does not build transposed convolutions", "unpool": "netx does not build it",
    "dense_comp": "its weights are complex", "affine": "it has no neuron",
}  # fmt: skip
KNOWN = {
    "input": ("type", "shape", "neuron", "weight", "bias"),
    "flatten": ("type", "shape"),
    "dense": ("type", "shape", "neuron", "inFeatures", "outFeatures", "weight", "bias", "delay"),
    "dense_rec": ("type", "shape", "neuron", "inFeatures", "outFeatures", "weight", "weight_rec", "bias", "delay"),
    "conv": ("type", "shape", "neuron", "inChannels", "outChannels", "kernelSize", "stride", "padding", "dilation", "groups",
             "weight", "bias", "delay"),
    "pool": ("type", "shape", "neuron", "kernelSize", "stride", "padding", "dilation", "weight", "delay"),
}  # fmt: skip


def add_layer(chain: Chain, layer: Fields, number: int, given: Given) -> None:
    """Add the layer *number* to *chain*; where something in it is refused, go on behind it with its shape unknown."""
    kind = layer.text("type")
    if kind not in KNOWN:
        if kind is not None:
            why = _REFUSED.get(kind)
            text = f"layers of the type {kind!r} do not lower to Loihi: {why}" if why else f"no layer has the type {kind!r}"
            layer.say("E055", "type", text, f"{', '.join(KNOWN)} do")
        return chain.lose()
    layer.only(KNOWN[kind], f"{kind} layer")
    path = f"layer.{number}"
    if kind == "input":
        done = _input(chain, layer, path, number)
    elif kind == "flatten":
        done = _flatten(chain, layer, path)
    elif kind in ("dense", "dense_rec"):
        done = add_dense(chain, layer, path, recurrent=kind == "dense_rec")
    else:
        done = add_conv(chain, layer, path, given, pool=kind == "pool")
    if not done:
        chain.lose()
    return None


def _input(chain: Chain, layer: Fields, path: str, number: int) -> bool:
    shape = read_shape(layer)
    if number:
        layer.say("E055", "type", "an input layer is the first; Loihi's inputs enter in front of the network", "remove it")
        return False
    if layer.data.get("neuron") is None:
        if shape is not None:
            chain.begin(shape)
        return shape is not None
    weight = layer.number("weight", -MAX_WHOLE, MAX_WHOLE) if layer.has("weight") else 64
    bias = layer.number("bias", -MAX_WHOLE, MAX_WHOLE) if layer.has("bias") else 0
    neuron = None if shape is None else read_neuron(layer, shape, None, chain.profile, driven=True)
    if shape is None or weight is None or bias is None or neuron is None:
        return False
    chain.begin(shape, driven=True)
    chain.synapses(f"{path}.neuron", [(f"{path}.weight", _ones(shape), 1)], neuron, None)
    layer.found.append(_driven(layer, weight, bias))
    return True


def _ones(shape: Shape) -> Op:
    """Return synapses of weight 1 from each input to its neuron: what enters a population on Loihi does so through synapses."""
    if len(shape) == 3:
        zeros = np.zeros(shape[0], np.float32)
        return Conv2d(None, np.ones((shape[0], 1, 1, 1), np.float32), (1, 1), (0, 0), (1, 1), shape[0], zeros)
    return Linear(np.broadcast_to(np.eye(shape[-1], dtype=np.float32), (*shape[:-1], shape[-1], shape[-1])))


def _driven(layer: Fields, weight: int, bias: int) -> Diagnostic:
    text = (
        "each step the input is added, 64 a unit, to the membranes of this input layer, as netx sets their bias: give whole "
        f"numbers, {weight}*x {'+' if bias >= 0 else '-'} {abs(bias)} of a pixel x"
    )
    return Diagnostic("E061", layer.where, text, "", {"weight": weight, "bias": bias}, "note")


def _flatten(chain: Chain, layer: Fields, path: str) -> bool:
    shape = read_shape(layer) if layer.has("shape") else None
    if layer.has("shape") and shape is None:
        return False
    if shape is not None and chain.shape is not None and math.prod(shape) != math.prod(chain.shape):
        layer.say("E054", "shape", f"this flatten has the shape {shape}; the layer before it has {chain.shape}",
                  expected=math.prod(chain.shape), got=math.prod(shape))  # fmt: skip
        return False
    chain.flatten(path)
    return not chain.lost
