"""Convolutions and pools of a ``.net`` file.

Shapes in the file are PyTorch's, (C, H, W). netx turns them round to Lava's (x, y, c) and turns kernels by half a turn, and
Lava's Conv convolves: together that is PyTorch's cross-correlation, so kernels, strides and paddings stand in the graph as
they stand in the file. A pool, which netx does not build, is trained as one kernel for every channel: a convolution in groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.compiler.importers.netx_chain import Chain, conv_input
from spikeport.compiler.importers.netx_fields import MAX_WHOLE, Fields
from spikeport.compiler.importers.netx_neuron import read_neuron
from spikeport.compiler.importers.netx_values import counts, read_bias, read_shape
from spikeport.ir.ops import Array, Conv2d, Shape, ShapeError


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller says about the input's shape: the shape itself, or that of an array that will be run."""

    shape: Shape | None = None
    like: Shape | None = None


def add_conv(chain: Chain, layer: Fields, path: str, given: Given, *, pool: bool) -> bool:
    """Add a convolution or a pool; return whether it lowers."""
    shape = read_shape(layer)
    if shape is not None and len(shape) != 3:
        layer.say("E054", "shape", f"the shape is {shape}; a convolution has (channels, height, width)")
        shape = None
    bias = (None, True) if pool else read_bias(layer, shape)
    neuron = None if shape is None else read_neuron(layer, shape, bias[0], chain.profile)
    op = _kernel(layer, shape, pool=pool)
    delays = layer.whole("delay", 0, 2**20, round_down=True) if layer.has("delay") else np.zeros(1)
    if delays is not None and delays.any():
        text = f"delays up to {int(delays.max())} steps: training has them, netx builds convolutions without"
        layer.say("E057", "delay", text, "set them to 0 in the file if netx's reading is meant")
    if op is None or shape is None or neuron is None or not bias[1] or delays is None or delays.any() or chain.lost:
        return False
    if not chain.nodes:
        found = conv_input(op, shape, given.shape, given.like)
        if isinstance(found, list):
            sizes = " by ".join(str(a) if a == b else f"{a} to {b}" for a, b in found)
            said = "" if given.shape is None else f", not {given.shape}"
            text = (
                f"the file does not say the size of its input; {op.weight.shape[1] * op.groups} channels of {sizes} fit{said}"
            )
            layer.say("E060", "shape", text, "begin the file with an input layer, or load(..., input_shape=(C, H, W))")
            return False
        chain.begin(found)
    if chain.shape is None or len(chain.shape) != 3:
        layer.say("E054", "type", f"a convolution takes (channels, height, width); the layer before it gives {chain.shape}")
        return False
    try:
        got = op.output_shape(chain.shape)
    except ShapeError as error:
        layer.say("E054", "weight", f"its input has the shape {chain.shape}: {error}")
        return False
    if got != shape:
        layer.say("E054", "shape", f"the shape is {shape}; kernel, stride, padding and dilation make {got} of {chain.shape}",
                  expected=shape, got=got)  # fmt: skip
        return False
    chain.synapses(f"{path}.neuron", [(f"{path}.weight", op, 1)], neuron, None)
    return True


def _kernel(layer: Fields, shape: Shape | None, *, pool: bool) -> Conv2d | None:
    """Return the convolution; a pool's one kernel is that of every channel."""
    weight = layer.whole("weight", -MAX_WHOLE, MAX_WHOLE) if not isinstance(layer.data.get("weight"), dict) else None
    if weight is None and isinstance(layer.data.get("weight"), dict):
        layer.say("E055", "weight", "complex weights (real, imag) do not lower to Loihi's LIF", "use CUBA neurons")
    stride, padding = layer.pair("stride", 1, 2**15), layer.pair("padding", 0, 2**15)
    dilation = layer.pair("dilation", 1, 2**15)
    size = layer.pair("kernelSize", 1, 2**15) if layer.has("kernelSize") or pool else None
    groups = layer.number("groups", 1, 2**20) if not pool else 1
    if weight is None or stride is None or padding is None or dilation is None or groups is None:
        return None
    if weight.ndim == 5 and weight.shape[-1] == 1:
        weight = weight[..., 0]
    if pool and size is not None and weight.size == size[0] * size[1]:
        weight = weight.reshape(1, 1, *size)
    if weight.ndim != 4 or (size is not None and weight.shape[2:] != size) or (pool and weight.shape[:2] != (1, 1)):
        said = "" if size is None else f" and kernelSize {size}"
        takes = "one kernel, (1, 1, height, width)" if pool else "(out, in/groups, height, width)"
        layer.say("E054", "weight", f"weight has the shape {weight.shape}{said}; it takes {takes}", got=weight.shape)
        return None
    if pool:
        channels = 1 if shape is None else shape[0]
        weight, groups = np.broadcast_to(weight, (channels, *weight.shape[1:])), channels
    if not counts(layer, ("outChannels", weight.shape[0]), ("inChannels", weight.shape[1] * groups)):
        return None
    if weight.shape[0] % groups or (shape is not None and shape[0] != weight.shape[0]):
        text = f"weight has {weight.shape[0]} output channels in {groups} groups; the shape is {shape}"
        layer.say("E054", "weight", text, got=weight.shape[0])
        return None
    kernel: Array = weight.astype(np.float32)
    return Conv2d(None, kernel, stride, padding, dilation, groups, np.zeros(weight.shape[0], np.float32))
