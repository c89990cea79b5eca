"""Plain PyTorch layers as ops: connections, pooling, Flatten, BatchNorm in eval mode; what is none of these is refused.

All of them are exact, with two stated exceptions. A BatchNorm right behind a connection is folded into it: weights and
bias are scaled in double precision and kept as such, so that the result differs from PyTorch's by the rounding of one
product and one sum. AdaptiveAvgPool2d divides once where PyTorch divides by height and width in turn.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from spikeport.compiler.importers.torch_library import class_name, refusal, to_numpy
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.ops import Affine, Array, AvgPool2d, Conv1d, Conv2d, Flatten, Linear, Op, Shape, ShapeError, SumPool2d

#: An op (None passes its input on) and the shape that it gives.
Built = tuple[Op | None, Shape]
CONNECTIONS = (nn.Linear, nn.Conv1d, nn.Conv2d)
MAX_POOLS = (nn.MaxPool2d,)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
#: What is imported exactly and what is refused, with a remark: README's table, tried row by row in the tests.
CONSTRUCTS = (
    ("Linear, Conv1d, Conv2d", "exact", "bias, stride, padding, groups, dilation"),
    ("BatchNorm1d, BatchNorm2d", "exact", "in eval mode; folded, to a rounding"),
    ("AvgPool2d, AdaptiveAvgPool2d", "exact", "whole windows of one size"),
    ("MaxPool2d", "exact", "over spikes of 0 or 1"),
    ("Flatten, Dropout, Identity", "exact", ""),
    ("functions: +, -, a constant factor, cat, flatten, view, pools, relu of spikes", "exact", ""),
    ("residual, branching, joining and recurrent topologies", "exact", ""),
    ("several inputs and outputs", "exact", ""),
    ("a forward of one step, its states in arguments, tuples, lists, dicts or NamedTuples", "exact", ""),
    ("a loop over time, or whole sequences from layer to layer", "exact", ""),
    ("a signal kept in the module for the next step", "exact", ""),
    ("a sum or mean over all steps at the end", "exact", "the graph gives every step"),
    ("MaxPool2d over other values", "refused", ""),
    ("windows that hang over the edge, other padding_mode than zeros", "refused", ""),
    ("BatchNorm in training mode", "refused", ""),
    ("Conv3d, ConvTranspose, LayerNorm, Softmax, attention, LSTM and all other layers", "refused", ""),
    ("a product of two signals, an added constant, an if on data", "refused", ""),
    ("a neuron called twice in a step", "refused", ""),
    ("neurons of several libraries in one module", "refused", ""),
)
#: Widest population for which a BatchNorm that cannot be folded becomes a diagonal matrix.
MAX_DIAGONAL = 4096


def _shaped(op: Op, module: Any, path: str, shape: Shape) -> Built:
    """Return *op* with the shape that it gives for an input of *shape*; refuse the module where it cannot take it."""
    try:
        return op, op.output_shape(shape)
    except ShapeError as error:
        raise refusal(
            "E027", path, f"this {class_name(module)} cannot take its input of shape {shape}: {error}",
            "check input_shape= (without batch and time), or insert a Flatten", got=shape,
        ) from None  # fmt: skip


def _as_called(module: Any) -> Any:
    """Return *module*, or a twin with the weights of its next call where torch.nn.utils computes them before each call.

    Pruning, weight_norm and spectral_norm leave in ``module.weight`` what the last call computed: stale after a
    training step or a load_state_dict.
    """
    hooks = [h for h in module._forward_pre_hooks.values() if type(h).__module__.startswith("torch.nn.utils.")]
    if not hooks:
        return module
    twin = copy.copy(module)
    twin.training = False
    with torch.no_grad():
        for hook in hooks:
            hook(twin, ())
    return twin


def connection(module: Any, path: str, shape: Shape) -> tuple[Op, Shape]:
    """Return the op of a Linear, Conv1d or Conv2d for an input of *shape*, and the shape that it gives.

    Raises
    ------
    ImportModelError
        E027 where the input does not fit.
    """
    module = _as_called(module)
    weight = to_numpy(module.weight)
    bias = np.zeros(weight.shape[0], weight.dtype) if module.bias is None else to_numpy(module.bias)
    op: Op
    if isinstance(module, nn.Linear):
        lead = shape[:-1]
        # NIR's matrices act on the last axis of each row by itself: a row each.
        wide = np.broadcast_to(weight, (*lead, *weight.shape)) if lead else weight
        rows = np.broadcast_to(bias, (*lead, *bias.shape)) if lead else bias
        op = Linear(wide) if module.bias is None else Affine(wide, rows)
    elif isinstance(module, nn.Conv1d):
        op = Conv1d(shape[-1], weight, module.stride[0], _padding(module.padding, 1), module.dilation[0], module.groups, bias)
    else:
        size = (shape[-2], shape[-1]) if len(shape) == 3 else None
        op = Conv2d(size, weight, module.stride, _padding(module.padding, 2), module.dilation, module.groups, bias)
    done, out = _shaped(op, module, path, shape)
    return done or op, out


def _padding(padding: Any, axes: int) -> Any:
    return padding if isinstance(padding, str) else padding[0] if axes == 1 else tuple(padding)


def _connection(module: Any, path: str, shape: Shape) -> Built:
    return connection(module, path, shape)


def flatten(start: int, end: int, path: str, shape: Shape) -> Built:
    """Return the Flatten of the axes *start* to *end* as PyTorch counts them, the batch being axis 0.

    Raises
    ------
    ImportModelError
        E021 where the batch would be merged, E027 where there are no such axes.
    """
    rank = len(shape) + 1
    first, last = start % rank, end % rank
    if not -rank <= start < rank or not -rank <= end < rank or first > last:
        raise refusal("E027", path, f"Flatten({start}, {end}) does not fit (batch, *{shape})", "mend start_dim and end_dim")
    if first == 0:
        raise refusal(
            "E021", path, f"Flatten(start_dim={start}) merges the batch axis with {shape}", "start at axis 1: nn.Flatten()"
        )
    op = Flatten(first - 1, -1 if last == rank - 1 else last - 1)
    return op, op.output_shape(shape)


def _flatten(module: Any, path: str, shape: Shape) -> Built:
    return flatten(module.start_dim, module.end_dim, path, shape)


def average(
    path: str, shape: Shape, kernel: Any, stride: Any = None, padding: Any = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor: int | None = None, name: str = "AvgPool2d",
) -> Built:  # fmt: skip
    """Return the AvgPool2d (or SumPool2d for a divisor of 1) with PyTorch's arguments; errors call it *name*.

    Raises
    ------
    ImportModelError
        E021 for an option that NIR has no field for, E027 where the window does not fit.
    """
    kernel, padding = _two(kernel), _two(padding)
    stride = kernel if stride is None or stride == [] or stride == () else _two(stride)
    kind: type[SumPool2d] = AvgPool2d
    if divisor is not None and divisor != kernel[0] * kernel[1]:
        if divisor != 1:
            raise refusal(
                "E021", path, f"{name} with divisor_override={divisor} is neither a mean over {kernel} nor a sum",
                "leave divisor_override out, or set it to 1 for a sum",
            )  # fmt: skip
        kind = SumPool2d
    if not count_include_pad and padding != (0, 0) and kind is AvgPool2d:
        raise refusal(
            "E021", path, f"{name} with count_include_pad=False and padding={padding} divides by less at the border",
            "use padding=0, or count_include_pad=True",
        )  # fmt: skip
    try:
        op = kind(kernel, stride, padding)
        out = op.output_shape(shape)
    except ShapeError as error:
        raise refusal("E027", path, str(error), "check input_shape= (without batch and time)", got=shape) from None
    left = [(n + 2 * p - k) % s for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True)]
    if ceil_mode and any(left):
        raise refusal(
            "E021", path, f"{name} with ceil_mode=True adds a window that hangs over the edge of {shape}",
            "use ceil_mode=False, or pad the input", leftover=left,
        )  # fmt: skip
    return op, out


def _two(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _average(m: Any, path: str, shape: Shape) -> Built:
    return average(path, shape, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override)


def _adaptive(module: Any, path: str, shape: Shape) -> Built:
    size = tuple(
        n if s is None else s
        for s, n in zip(
            module.output_size if isinstance(module.output_size, tuple) else (module.output_size,) * 2, shape[-2:], strict=True
        )
    )
    if len(shape) != 3 or any(n % s for n, s in zip(shape[1:], size, strict=True)):
        raise refusal(
            "E021", path, f"AdaptiveAvgPool2d({module.output_size}) takes windows of several sizes from an input of {shape}",
            "choose an output_size that divides the input's, or use AvgPool2d",
        )  # fmt: skip
    return average(path, shape, tuple(n // s for n, s in zip(shape[1:], size, strict=True)))


def _through(module: Any, path: str, shape: Shape) -> Built:
    return None, shape


def _norm_terms(module: Any) -> tuple[Array, Array]:
    """Return (scale, shift) of a BatchNorm in eval mode, in double precision."""
    mean, var = (to_numpy(t).astype(np.float64) for t in (module.running_mean, module.running_var))
    scale = 1.0 / np.sqrt(var + module.eps)
    if module.weight is not None:
        scale = scale * to_numpy(module.weight).astype(np.float64)
    shift = -mean * scale
    return scale, shift if module.bias is None else shift + to_numpy(module.bias).astype(np.float64)


def _norm(module: Any, path: str, shape: Shape) -> Built:
    """Return a BatchNorm that follows no connection: a depthwise kernel of one element, or a diagonal matrix."""
    scale, shift = _norm_terms(module)
    axes = (2, 3) if isinstance(module, nn.BatchNorm1d) else (4,)
    if len(shape) + 1 not in axes or shape[0] != len(scale):
        raise refusal(
            "E027", path, f"this {class_name(module)} has {len(scale)} features, its input is {shape}",
            "check input_shape= (without batch and time)", got=shape,
        )  # fmt: skip
    if len(shape) == 3:
        return Conv2d((shape[1], shape[2]), scale[:, None, None, None], (1, 1), (0, 0), (1, 1), len(scale), shift), shape
    if len(shape) == 2:
        return Conv1d(shape[1], scale[:, None, None], 1, 0, 1, len(scale), shift), shape
    if len(scale) > MAX_DIAGONAL:
        raise refusal(
            "E021", path, f"this BatchNorm1d of {len(scale)} features follows no Linear that it could be folded into",
            "put it right behind a Linear",
        )  # fmt: skip
    return Affine(np.diag(scale), shift), shape


def fold_norm(op: Op, norm: Any) -> Op | None:
    """Return the connection *op* with the BatchNorm *norm* behind it folded in; None where their sizes differ."""
    scale, shift = _norm_terms(norm)
    if isinstance(op, Linear):
        op = Affine(op.weight, np.zeros(op.weight.shape[:-1], np.float64))
    if not isinstance(op, (Affine, Conv1d, Conv2d)) or (isinstance(op, Affine) and op.weight.ndim != 2):
        return None
    weight, bias = op.weight.astype(np.float64), op.bias.astype(np.float64)
    if weight.shape[0] != len(scale):
        return None
    scaled = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    scaled.flags.writeable = False
    return dataclasses.replace(op, weight=scaled, bias=bias * scale + shift)


def max_pool(
    path: str, shape: Shape, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    indices: bool = False,
) -> Built:  # fmt: skip
    """Return the sum over the windows of a MaxPool2d: of spikes of 0 or 1, the maximum is 1 where it is above 0.

    Raises
    ------
    ImportModelError
        E021 for an option that NIR has no field for, E027 where the window does not fit.
    """
    if _two(dilation) != (1, 1) or indices:
        what = "return_indices=True" if indices else f"dilation={dilation}"
        raise refusal("E021", path, f"MaxPool2d with {what} is no node", "leave the option out")
    return average(path, shape, kernel, stride, padding, ceil_mode, divisor=1, name="MaxPool2d")


def _maximum(m: Any, path: str, shape: Shape) -> Built:
    return max_pool(path, shape, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices)


LAYERS: dict[type, Callable[[Any, str, Shape], Built]] = {
    nn.Linear: _connection, nn.Conv1d: _connection, nn.Conv2d: _connection,
    nn.AvgPool2d: _average, nn.AdaptiveAvgPool2d: _adaptive, nn.MaxPool2d: _maximum, nn.Flatten: _flatten,
    nn.BatchNorm1d: _norm, nn.BatchNorm2d: _norm,
    # In eval mode, which is what is imported, all of these pass their input on.
    nn.Identity: _through, nn.Dropout: _through, nn.Dropout1d: _through, nn.Dropout2d: _through, nn.AlphaDropout: _through,
}  # fmt: skip
#: Layers that act on each value, or on the last axis, whatever stands in front.
ANY_LEAD = frozenset((nn.Linear, nn.Identity, nn.Dropout, nn.AlphaDropout))

_OWN_STEPS = ("forward", "_conv_forward", "__call__")


def layer_class(module: Any) -> type | None:
    """Return the class of ours that *module* is, or derives from without another forward; None where there is none."""
    base = next((cls for cls in type(module).__mro__ if cls in LAYERS), None)
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        return None  # it has no weights yet
    if base is None or any(getattr(type(module), n, None) is not getattr(base, n, None) for n in _OWN_STEPS):
        return None
    return base


_WAYS_OUT = {
    "MaxPool": "use MaxPool2d right behind a neuron, or AvgPool2d",
    "ReLU": "put a spiking neuron in its place",
    "ConvTranspose": "use Conv2d",
    "Lazy": "run the module once on a sample, so that it gets its weights",
    "RNN": "use a recurrent neuron of your spiking library", "LSTM": "use a recurrent neuron of your spiking library",
    "GRU": "use a recurrent neuron of your spiking library",
}  # fmt: skip


def layer_refusals(module: Any, path: str) -> list[Diagnostic]:
    """Return why the plain layer *module* cannot be imported; empty where it can."""
    name = class_name(module)
    facts = {"class": name}
    if layer_class(module) is None:
        hint = next((h for word, h in _WAYS_OUT.items() if word in type(module).__name__), "")
        known = ", ".join(sorted(c.__name__ for c in LAYERS))
        return [Diagnostic("E020", path, f"{name} has no counterpart in a spiking graph", hint or f"known: {known}", facts)]
    return option_refusals(module, path)


def option_refusals(module: Any, path: str) -> list[Diagnostic]:
    """Return which options of a plain layer, PyTorch's or a library's own of that kind, cannot be imported."""
    name = class_name(module)
    facts = {"class": name}
    if getattr(module, "padding_mode", "zeros") != "zeros":
        return [Diagnostic("E021", path, f"{name} pads with {module.padding_mode!r}", "use padding_mode='zeros'", facts)]
    if isinstance(module, NORMS):
        if module.running_mean is None:
            return [Diagnostic("E021", path, f"{name} has no running statistics", "use track_running_stats=True", facts)]
        if module.training:
            text = f"{name} is in training mode, where it uses the statistics of each batch"
            return [Diagnostic("E021", path, text, "call .eval() on the module first", facts)]
    return []
