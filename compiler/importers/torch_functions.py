"""Functions in a forward, as expressions: sums, differences, scaling, flattening, pools, concatenation, changes of the lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx

from spikeport.compiler.importers.torch_expr import Call, Expr, Fired, In, Kept, Layer, Part, Product, Size, Stack, Zero
from spikeport.compiler.importers.torch_kept import reads_kept
from spikeport.compiler.importers.torch_library import refusal, to_numpy
from spikeport.compiler.importers.torch_live import function_name, place
from spikeport.ir.diagnostics import did_you_mean

#: Return their first argument as it is, in eval mode.
_SAME = frozenset((
    "contiguous", "detach", "clone", "to", "float", "double", "cpu",
    "cuda", "requires_grad_", "type_as",
))  # fmt: skip
#: Pass their first argument on unless they are told that this is training.
_DRAWS = frozenset(("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"))
#: Attributes of a tensor that its zeros may be made with.
_KIND = frozenset(("device", "dtype", "layout"))
#: Fields of a neuron's whole state, and what they are.
_FIELDS = {"v": "mem", "i": "syn", "z": "spikes"}
_SUPPORTED = (
    "+", "-", "* and / by a constant", "flatten", "view", "reshape", "avg_pool2d", "max_pool2d", "cat", "stack", "dropout",
    "x[step]", "unsqueeze(0).repeat(steps, 1, ...)", "mean and sum over time at the end",
)  # fmt: skip


def _scale(signal: Any, factor: Any) -> Expr:
    if isinstance(factor, Expr) and not isinstance(signal, Expr):
        signal, factor = factor, signal
    if not isinstance(signal, Expr) or not isinstance(factor, (int, float, torch.Tensor)):
        raise TypeError("a product of two signals is no weighted sum")
    array = to_numpy(factor) if isinstance(factor, torch.Tensor) else np.asarray(factor, np.float64)
    return Call("scale", (array.dtype.str, array.shape, array.tobytes()), (signal,))


def _add(a: Any, b: Any, alpha: Any = 1) -> Any:
    signals = [x for x in (a, b) if isinstance(x, Expr)]
    if len(signals) == 2:
        return Call("add", (), (signals[0], signals[1] if alpha == 1 else _scale(signals[1], alpha)))
    other = b if signals and signals[0] is a else a
    nothing = (isinstance(other, (int, float)) and other == 0) or (isinstance(other, torch.Tensor) and not other.any())
    if not signals or not nothing:
        raise TypeError("a constant is added; give the layer in front a bias")
    return signals[0]


def _sub(a: Any, b: Any, alpha: Any = 1) -> Any:
    if not (isinstance(a, Expr) and isinstance(b, Expr)):
        raise TypeError("a constant is subtracted; give the layer in front a bias")
    return Call("add", (), (a, _scale(b, -alpha)))


def _div(a: Any, b: Any) -> Expr:
    if not isinstance(a, Expr) or isinstance(b, Expr):
        raise TypeError("a division by a signal is no weighted sum")
    return _scale(a, 1 / b)


def _flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Expr:
    return Call("flatten", (start_dim, end_dim), (x,))


def _view(x: Any, *sizes: Any) -> Expr:
    flat = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    return Call("view", _sizes(flat), (x,))


def _sizes(sizes: Any) -> tuple[Any, ...]:
    if not all(isinstance(s, (int, Size, Product)) for s in sizes):
        raise TypeError("a length is neither a number nor one of a tensor's")
    return tuple(sizes)


def _unflatten(x: Any, dim: int, sizes: Any) -> Expr:
    return Call("unflatten", (dim, sizes if isinstance(sizes, Size) else _sizes(sizes)), (x,))


def _permute(x: Any, *dims: Any) -> Expr:
    return Call("permute", tuple(dims[0]) if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims, (x,))


def _transpose(x: Any, dim0: int, dim1: int) -> Expr:
    return Call("transpose", (dim0, dim1), (x,))


def _unbind(x: Any, dim: int = 0) -> Expr:
    return Call("unbind", (dim,), (x,))


def _unsqueeze(x: Any, dim: int) -> Expr:
    return Call("unsqueeze", (dim,), (x,))


def _repeated(kind: str) -> Callable[..., Expr]:
    def repeat(x: Any, *sizes: Any) -> Expr:
        flat = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
        return Call(kind, tuple(s if isinstance(s, (int, Size)) else None for s in flat), (x,))

    return repeat


def _over_time(kind: str) -> Callable[..., Expr]:
    def reduce(x: Any, dim: Any = None, keepdim: bool = False) -> Expr:
        if keepdim or not isinstance(dim, int) or not isinstance(x, Expr):
            raise TypeError(f"{kind} over other axes than time")
        return Call("over_time", (kind, dim), (x,))

    return reduce


def _relu(x: Any) -> Expr:
    return Call("relu", (), (x,))


def _one_step(x: Any) -> Expr:
    return Call("step", (), (x,))


def _all_steps(x: Any, lead: tuple[str, ...]) -> Expr:
    return Call("sequence", lead, (x,))


def _attribute(value: Any, name: str) -> Any:
    if name in _KIND:
        return None
    if isinstance(value, Fired) and value.role == "state" and name in _FIELDS:
        return Fired(value.path, _FIELDS[name], value.step)
    if isinstance(value, (In, Part)):
        return Part(value, f".{name}")
    raise TypeError(f"the attribute {name} of a tensor")


def _max_pool(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Expr:  # fmt: skip
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return Call("max_pool2d", tuple(tuple(o) if isinstance(o, list) else o for o in options), (input,))


def _pool(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Expr:  # fmt: skip
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return Call("avg_pool2d", tuple(tuple(o) if isinstance(o, list) else o for o in options), (input,))


def _cat(tensors: Any, dim: int = 0) -> Expr:
    parts = tuple(tensors)
    if dim in (0, 1) and all(isinstance(p, Call) and p.kind == "unsqueeze" and p.options == (dim,) for p in parts):
        return Stack(tuple(p.args[0] for p in parts if isinstance(p, Call)), dim)  # every step with a time axis of 1
    return Call("cat", (dim,), parts)


def _stack(tensors: Any, dim: int = 0) -> Expr:
    if dim not in (0, 1):
        raise TypeError(f"steps are stacked along axis {dim}, not 0 or 1")
    return Stack(tuple(tensors), dim)


def _zeros(*args: Any, **kwargs: Any) -> Expr:
    return Zero()


def _getitem(value: Any, key: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return value[key]
    if isinstance(value, Size) and isinstance(key, int) and not isinstance(value.axis, int):
        return Size(value.of, key + ((value.axis[0] or 0) if value.axis is not None else 0))
    if isinstance(value, In) and value.index is None:
        # Time slices: x[step] and x[:, step].
        if isinstance(key, int):
            return In(value.name, key, 0)
        numbers = [axis for axis, k in enumerate(key) if isinstance(k, int)] if isinstance(key, tuple) else []
        if numbers in ([0], [1]) and all(k is Ellipsis or k == slice(None) for k in key if not isinstance(k, int)):
            return In(value.name, key[numbers[0]], numbers[0])
    if isinstance(value, (In, Part)) and isinstance(key, (int, str)):
        return Part(value, key)
    if isinstance(value, Call) and value.kind == "unbind":
        return Call("at", (key, value.options[0]), value.args) if isinstance(key, int) else None
    if isinstance(value, (Call, Layer)):
        # A step of what was computed for all steps at once.
        if isinstance(key, int):
            return Call("at", (key, 0), (value,))
        numbers = [axis for axis, k in enumerate(key) if isinstance(k, int)] if isinstance(key, tuple) else []
        if numbers in ([0], [1]) and all(k is Ellipsis or k == slice(None) for k in key if not isinstance(k, int)):
            return Call("at", (key[numbers[0]], numbers[0]), (value,))
    if isinstance(value, dict):
        return value[key]
    raise TypeError("a part of a signal is taken by index")


def _select(value: Any, dim: int, index: int) -> Any:
    return _getitem(value, index if dim == 0 else (slice(None), index) if dim == 1 else None)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": _add, "iadd": _add, "add_": _add, "radd": _add, "sub": _sub, "isub": _sub, "mul": _scale, "imul": _scale,
    "rmul": _scale, "truediv": _div, "itruediv": _div, "div": _div, "neg": lambda x: _scale(x, -1.0), "flatten": _flatten,
    "view": _view, "reshape": _view, "avg_pool2d": _pool, "cat": _cat, "concat": _cat, "concatenate": _cat, "stack": _stack,
    "zeros": _zeros, "zeros_like": _zeros, "new_zeros": _zeros, "getitem": _getitem, "select": _select,
    "getattr": _attribute, "max_pool2d": _max_pool, "unflatten": _unflatten, "permute": _permute, "transpose": _transpose,
    "unsqueeze": _unsqueeze, "repeat": _repeated("repeat"), "expand": _repeated("expand"), "mean": _over_time("mean"),
    "sum": _over_time("sum"), "swapaxes": _transpose, "swapdims": _transpose, "one_step_of": _one_step,
    "all_steps_of": _all_steps, "relu": _relu, "unbind": _unbind,
}  # fmt: skip


def _is_whole_result(item: Any) -> bool:
    """Whether *item* is all that one call of a neuron returns."""
    if not (isinstance(item, tuple) and len(item) > 1 and all(isinstance(i, Fired) for i in item)):
        return False
    return len({(i.path, i.step) for i in item}) == 1 and len({i.role for i in item}) == len(item)


def function(node: fx.Node, args: list[Any], kwargs: dict[str, Any], root: Any) -> Any:
    """Return what the function or method *node* in a forward of *root* gives for these arguments.

    Raises
    ------
    ImportModelError
        E023 for a function that a graph cannot say, E026 for a neuron's whole result as its argument.
    """
    if isinstance(node.target, type) and issubclass(node.target, tuple) and hasattr(node.target, "_fields"):
        return node.target(*args, **kwargs)  # a NamedTuple of states or results
    name = function_name(node)
    if name == "mul" and all(isinstance(a, (Size, Product, int)) for a in args):
        factors = (a.factors if isinstance(a, Product) else (a,) for a in args)
        return Product(tuple(f for fs in factors for f in fs))
    if name in _SAME and args and isinstance(args[0], Expr):
        cast = [a for a in (*args[1:], *kwargs.values()) if isinstance(a, torch.dtype)]
        if all(dtype in (torch.float32, torch.float64) for dtype in cast):
            return args[0]
    path, what = place(node, root)
    if name in _DRAWS and args and isinstance(args[0], Expr):
        share = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        is_on = args[2] if len(args) > 2 else kwargs.get("training", True)
        if is_on and share:
            raise refusal(
                "E023", path, f"{what} draws at random: {name} with training=True, its default",
                "write training=self.training, or use nn.Dropout", function=name,
            )  # fmt: skip
        return args[0]
    if name not in FUNCTIONS:
        raise refusal(
            "E023", path, f"{what} calls {name}, which a spiking graph cannot say{did_you_mean(name, FUNCTIONS)}",
            f"known: {', '.join(_SUPPORTED)}; put what follows the last spikes outside the module",
            function=name,
        )  # fmt: skip
    if name != "getitem":
        for item in (*args, *(a for arg in args if isinstance(arg, list) for a in arg)):
            if _is_whole_result(item):
                raise refusal(
                    "E026", item[0].path, f"{name} in {what} is given all that this neuron returns, not its spikes alone",
                    "take its first result, or set init_hidden=True",
                )  # fmt: skip
    try:
        return FUNCTIONS[name](*args, **{k: v for k, v in kwargs.items() if k not in ("inplace", "out")})
    except (TypeError, ValueError, IndexError) as error:
        kept = next((a for a in (*args, *kwargs.values()) if isinstance(a, Kept)), None)
        if kept is not None:
            raise reads_kept(kept, path, what) from error
        text = f"{what} uses {name} in a way that a spiking graph cannot say: {error}"
        raise refusal("E023", path, text, f"known: {', '.join(_SUPPORTED)}", function=name) from error
