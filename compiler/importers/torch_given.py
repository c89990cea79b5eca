"""What the caller of ``from_torch`` gives beside the module: shapes, a sample, its time axis; and what a shape follows from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from spikeport.compiler.importers.torch_expr import Call, Expr, Fired, In, Layer, children
from spikeport.compiler.importers.torch_library import STEP, Lead, library_of, plain_of, refusal
from spikeport.compiler.importers.torch_step import Step
from spikeport.ir.ops import Shape

#: The shape of an input behind a lead, by the lead; None where it is not given.
Shapes = Callable[[str, Lead], Shape | None]


def check_arguments(input_shape: Any, sample: Any, time_axis: Any) -> None:
    """Refuse shapes and samples of other kinds."""
    for own in input_shape.values() if isinstance(input_shape, Mapping) else (input_shape,):
        items = own if isinstance(own, (list, tuple, torch.Size)) else () if own is None else (own,)
        if (
            isinstance(own, str)
            or not all(type(n) is int or isinstance(n, np.integer) for n in items)
            or min(items, default=1) < 1
        ):
            raise refusal(
                "E024", "", f"input_shape={own!r} is no shape", "give whole numbers: input_shape=(channels, height, width)"
            )
    samples = list(sample.values()) if isinstance(sample, Mapping) else [] if sample is None else [sample]
    if time_axis is not None and not samples:
        raise refusal("E033", "", f"time_axis={time_axis!r} without a sample", "give sample=, or leave time_axis out")
    for own in samples:
        _check_sample(own, time_axis)
    if time_axis is not None and len({int(own.shape[time_axis]) for own in samples}) > 1:
        lengths = [int(own.shape[time_axis]) for own in samples]
        raise refusal("E033", "", f"the inputs of the sample have {lengths} steps", "give all of them the same steps")


def _check_sample(own: Any, time_axis: Any) -> None:
    """Refuse what is no array of finite numbers with a batch, and a time axis that it has not."""
    hint = "give a tensor or array of what the module takes (batch, ...); for several inputs a dict of them by argument name"
    if not isinstance(own, (torch.Tensor, np.ndarray)):
        raise refusal("E033", "", f"a sample is a {type(own).__name__}", hint)
    axes = tuple(int(n) for n in own.shape)
    if len(axes) < 2 or 0 in axes:
        raise refusal("E033", "", f"a sample is an array of shape {axes}: batch and values are missing", hint)
    if isinstance(own, torch.Tensor):
        is_real = not (own.is_meta or own.is_complex() or own.is_quantized or own.layout != torch.strided)
        is_finite = is_real and bool(torch.isfinite(own).all())
    else:
        is_real = own.dtype.kind in "biuf"
        is_finite = is_real and bool(np.isfinite(own).all())
    if not is_finite:
        raise refusal("E033", "", f"a sample holds {'values that are not finite' if is_real else 'no real numbers'}", hint)
    if time_axis is not None and (type(time_axis) is not int or not -len(axes) <= time_axis < len(axes)):
        raise refusal(
            "E033", "", f"time_axis={time_axis!r} is no axis of a sample of shape {axes}", "give its number, 1 for instance"
        )


def given_shapes(step: Step, given: Any, sample: Any, time_axis: int | None) -> Shapes:
    """Return what the caller says about the shapes of the inputs."""
    names = [source.name for source in step.inputs]
    for what, value in (("input_shape", given), ("sample", sample)):
        if isinstance(value, Mapping) and set(value) - set(names):
            unknown = sorted(set(value) - set(names))
            raise refusal("E024", "", f"{what} names {unknown}, the forward takes {names}", "mend it")

    def shape(name: str, lead: Lead) -> Shape | None:
        own = given.get(name) if isinstance(given, Mapping) else given
        if own is not None:
            return (int(own),) if isinstance(own, int) else tuple(int(n) for n in own)
        own = sample.get(name) if isinstance(sample, Mapping) else sample
        if own is None:
            return None
        axes = [int(n) for n in own.shape]
        if any(source.index is not None for source in step.slices(name)):
            return tuple(axes[2:])  # a loop over time takes it apart: (time, batch, ...) or (batch, time, ...)
        if time_axis is not None and lead == STEP:
            del axes[time_axis]
        return tuple(axes[len(lead) :])

    return shape


def input_shapes(root: Any, step: Step, given: Shapes, lead: Lead) -> dict[str, Shape]:
    """Return the shape of every input: as given, of the sample, or what the first layer fixes."""
    shapes: dict[str, Shape] = {}
    for name in (source.name for source in step.inputs):
        shape = given(name, lead) or _fixed_by_layer(root, step, name)
        if shape is None:
            raise refusal(
                "E024", name, "the shape of this input does not follow from the module (no Linear takes it first)",
                "give input_shape=(channels, height, width), --input-shape 1,28,28 for instance, without batch and time",
                known=sorted(shapes),
            )  # fmt: skip
        shapes[name] = shape
    return shapes


#: Functions that change the lead of a signal alone.
_LEAD_ONLY = ("step", "sequence", "permute", "transpose", "at", "repeat", "expand", "unsqueeze")


def _fixed_by_layer(root: Any, step: Step, name: str) -> Shape | None:
    """Return the shape that a Linear or a recurrent neuron right behind the input fixes."""
    frontier: list[Expr] = [*step.neurons.values(), *step.outputs]
    for path, expr in step.neurons.items():
        library = library_of(root.get_submodule(path))
        if library is not None and _leads_to(root, expr, name):
            shape = library.input_shape(root.get_submodule(path))
            if shape is not None:
                return shape
    seen: set[Expr] = set()
    while frontier:
        expr = frontier.pop()
        if expr in seen or isinstance(expr, Fired):
            continue
        seen.add(expr)
        if isinstance(expr, Layer) and _leads_to(root, expr.arg, name):
            layer = root.get_submodule(expr.path)
            if isinstance(layer, nn.Linear):
                return (int(layer.in_features),)
        frontier.extend(children(expr))
    return None


def _leads_to(root: Any, expr: Expr, name: str) -> bool:
    """Whether *expr* is the input *name*, passed on at most by layers that keep its shape."""
    while (isinstance(expr, Layer) and _keeps_shape(root.get_submodule(expr.path))) or (
        isinstance(expr, Call) and expr.kind in _LEAD_ONLY
    ):
        (expr,) = children(expr)
    return isinstance(expr, In) and expr.name == name


def _keeps_shape(layer: Any) -> bool:
    plain = plain_of(layer)
    changes_lead = plain is not None and plain.gives is not None  # batch and time put together or taken apart
    return changes_lead or isinstance(layer, (nn.Identity, nn.Dropout))
