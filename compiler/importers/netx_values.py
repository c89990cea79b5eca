"""Shapes, biases and counts of a ``.net`` layer, held against each other."""

from __future__ import annotations

import math

import numpy as np

from spikeport.compiler.importers.netx_fields import Fields
from spikeport.ir.ops import Array, Shape

#: Most neurons of a layer.
MAX_NEURONS = 2**27
#: Beyond what 13 bits and an exponent hold ``ir.loihi`` refuses.
MAX_BIAS = 2**17


def read_shape(layer: Fields) -> Shape | None:
    """Return the layer's shape, channels first (E053 where it is none)."""
    array = layer.whole("shape", 1, 2**20)
    if array is None:
        return None
    shape = tuple(int(n) for n in array.reshape(-1))
    if array.ndim > 1 or len(shape) > 3 or math.prod(shape) > MAX_NEURONS:
        layer.say("E053", "shape", f"the shape is {shape[:6]}; it has one to three axes and at most {MAX_NEURONS:,} neurons")
        return None
    return shape


def agrees(layer: Fields, name: str, stated: int | None, got: int | None, text: str = "") -> bool:
    """Whether *stated* is known and is *got*, where that is known; E054 with *text* where they differ."""
    if stated is None or got is None or stated == got:
        return stated is not None
    message = (text or f"{name} says {{}} neurons, weight has {{}}").format(stated, got)
    layer.say("E054", name, message, expected=stated, got=got)
    return False


def counts(layer: Fields, *pairs: tuple[str, int]) -> bool:
    """Whether the fields that count what the weights have, where they are there, say the same."""
    sound = True
    for name, count in pairs:
        stated = layer.number(name, 1, 2**30) if layer.has(name) else count
        if stated is not None and stated != count:
            layer.say("E054", name, f"{name} is {stated}, weight has {count}", expected=stated, got=count)
        sound &= stated == count
    return sound


def read_bias(layer: Fields, shape: Shape | None) -> tuple[Array | None, bool]:
    """Return bias mantissas spread over the population, and whether the field is sound."""
    if not layer.has("bias"):
        return None, True
    array = layer.whole("bias", -MAX_BIAS, MAX_BIAS)
    if array is None or shape is None:
        return None, False
    if len(shape) == 1 and array.size in (1, shape[0]):
        return np.broadcast_to(array.reshape(-1), shape), True
    if len(shape) == 3 and array.shape == shape[::-1]:
        return array.transpose(2, 1, 0), True  # Lava's (x, y, c)
    if len(shape) == 3 and array.size == shape[0] and array.ndim == 1:
        return np.broadcast_to(array[:, None, None], shape), True
    what = f"{shape[0]} channels (bias of shape ({shape[0]},) or {shape[::-1]})" if len(shape) == 3 else f"{shape[0]} neurons"
    layer.say("E054", "bias", f"bias has the shape {array.shape}; the layer has {what}", got=array.shape)
    return None, False
