"""Stateless layers that importers lack, as layers that they have: groups, poolings and scales as weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from spikeport.compiler.exporters.libraries import Library
from spikeport.compiler.exporters.unit import Cannot
from spikeport.ir.ops import Affine, AvgPool2d, Conv1d, Conv2d, Flatten, Linear, Op, Scale, Shape, SumPool2d


def layer_for(library: Library, op: Op, shape: Shape) -> tuple[Op, str]:
    """Return *op*, on an input of *shape*, as *library*'s importer reads it, and a note where it looks different.

    Raises
    ------
    Cannot
        Where the importer has nothing of the kind.
    """
    note = ""
    if isinstance(op, Scale) and len(shape) == 1:
        op, note = Linear(np.diag(np.broadcast_to(op.scale, shape))), "a Scale is written as a diagonal Linear"
    elif isinstance(op, (SumPool2d, AvgPool2d)) and (op.kind not in library.kinds or _pads(op)):
        op, note = _convolution(op, shape), f"a {op.kind} is written as a Conv2d, each channel onto itself"
    elif isinstance(op, Flatten):
        # From the end: the importers differ in whether they count a batch axis.
        start, end = (n if n < 0 else n - len(shape) for n in (op.start_dim, op.end_dim))
        op = Flatten(start, end)
    if isinstance(op, (Conv1d, Conv2d)) and op.groups != 1:
        op, note = _ungrouped(op), f"a {op.kind} of {op.groups} groups is written without groups, with zeros between them"
    if isinstance(op, (Conv1d, Conv2d)) and op.input_shape is None:
        size: Any = shape[1] if isinstance(op, Conv1d) else tuple(shape[1:])
        op = dataclasses.replace(op, input_shape=size)
    if isinstance(op, Linear) and library.dense == "Affine":
        op = Affine(op.weight, np.zeros(op.weight.shape[0], op.weight.dtype))
    if op.kind not in library.kinds:
        raise Cannot(f"a {op.kind}", library.missing)
    if isinstance(op, (Linear, Affine)) and op.weight.ndim != 2:
        raise Cannot(f"dense weights of {op.weight.ndim} axes", "its importer takes two")
    return op, note


def _pads(op: SumPool2d | AvgPool2d) -> bool:
    """Whether the importers would leave out the padding of a sum."""
    return op.kind == "SumPool2d" and bool(np.any(op.padding))


def _convolution(op: SumPool2d | AvgPool2d, shape: Shape) -> Conv2d:
    height, width = (int(n) for n in np.broadcast_to(op.kernel_size, 2))
    value = 1.0 if op.kind == "SumPool2d" else 1.0 / (height * width)
    weight = np.zeros((shape[0], shape[0], height, width))
    weight[np.arange(shape[0]), np.arange(shape[0])] = value
    pairs: list[Any] = [tuple(int(n) for n in np.broadcast_to(value, 2)) for value in (op.stride, op.padding)]
    size: Any = tuple(shape[1:])
    return Conv2d(size, weight, pairs[0], pairs[1], (1, 1), 1, np.zeros(shape[0]))


def _ungrouped(op: Conv1d | Conv2d) -> Conv1d | Conv2d:
    weight, groups = op.weight, op.groups
    out, inner = weight.shape[0] // groups, weight.shape[1]
    full = np.zeros((weight.shape[0], inner * groups, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        rows = slice(group * out, (group + 1) * out)
        full[rows, group * inner : (group + 1) * inner] = weight[rows]
    return dataclasses.replace(op, weight=full, groups=1)
