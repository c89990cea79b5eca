"""Functions of one signal, or a concatenation: the op of each, and what it makes of the signal's lead and shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.compiler.importers.torch_expr import Call, Product, Size
from spikeport.compiler.importers.torch_layers import average, flatten
from spikeport.compiler.importers.torch_library import BATCH_FIRST, MERGED, MERGED_BY_TIME, STEP, TIME_FIRST, Lead, refusal
from spikeport.ir.ops import Op, Scale, Shape


@dataclass(frozen=True, slots=True)
class Sized:
    """A signal's axes: *lead* (batch, time, ...) and the *shape* behind it."""

    lead: Lead
    shape: Shape

    def __str__(self) -> str:
        return f"({', '.join(map(str, (*(_WORDS.get(a, a) for a in self.lead), *self.shape)))})"


_WORDS = {"all": "batch*time", "all by time": "time*batch"}
#: What the two axes become when they are merged.
MERGERS: dict[Lead, Lead] = {("batch", "time"): MERGED, ("time", "batch"): MERGED_BY_TIME}

#: The axes of a signal that a length was taken from.
Lookup = Callable[[Any], Sized | None]


def wrong_lead(path: str, what: str, got: Sized, expected: Lead) -> Exception:
    """Return the refusal of a layer that is given a signal with another lead than it takes."""
    wanted = Sized(expected, ())
    text = str(wanted)[:-1] + ", ...)"
    return refusal(
        "E032", path, f"{what} takes {text}, and is given {got}",
        "steps and samples must stand where the layer expects them: check the input's axes, step_mode, batch_first or a "
        "missing wrapper (Repeat, SeqToANNContainer, Lift)", got=(*got.lead, *got.shape), expected=expected,
    )  # fmt: skip


def call(expr: Call, args: list[Sized], look: Lookup) -> tuple[Op | None, Sized]:
    """Return the op of a function (None passes its signal on), and the axes that it gives.

    Raises
    ------
    ImportModelError
        E021, E023 or E027 for what cannot be said or does not fit; E032 where the lead is another.
    """
    x = args[0]
    if expr.kind == "scale":
        return _scale(expr, x), x
    if expr.kind == "flatten":
        return _flatten(expr.options[0], expr.options[1], x)
    if expr.kind == "avg_pool2d":
        _one_axis("avg_pool2d", x)
        op, shape = average("", x.shape, *expr.options)
        return op, Sized(x.lead, shape)
    if expr.kind == "cat":
        return None, _cat(expr, args)
    if expr.kind == "relu":
        return None, x
    if expr.kind == "step":
        if "time" not in x.lead:
            raise wrong_lead("", "a wrapper that takes the steps apart", x, ("time", "batch"))
        return None, Sized(STEP, x.shape)
    if expr.kind == "at":
        axis = expr.options[1]
        if len(x.lead) != 2 or x.lead[axis] != "time":
            raise wrong_lead(
                "", f"an index along axis {axis}, which takes a step,", x, TIME_FIRST if axis == 0 else BATCH_FIRST
            )
        return None, Sized(STEP, x.shape)
    if expr.kind == "sequence":
        return None, Sized(tuple(expr.options), x.shape)
    if expr.kind in ("permute", "transpose"):
        return None, _permuted(expr, x)
    if expr.kind in ("unsqueeze", "repeat", "expand"):
        return None, _held(expr, x)
    if expr.kind == "over_time":
        raise refusal(
            "E023", "", f"the {expr.options[0]} of {x} over axis {expr.options[1]} is used as a signal; only at the end of a "
            "forward may steps be summed", "put what follows outside the module",
        )  # fmt: skip
    if expr.kind == "unflatten":
        return None, _unflattened(expr, x, look)
    return _view(expr, x, look)


def _one_axis(what: str, x: Sized) -> None:
    if len(x.lead) != 1:
        raise wrong_lead("", what, x, STEP)


def _scale(expr: Call, x: Sized) -> Op:
    dtype, size, data = expr.options
    factor = np.frombuffer(data, dtype).reshape(size)
    while factor.ndim > len(x.shape) and factor.shape[0] == 1:
        factor = factor[0]
    try:
        factor = np.broadcast_to(factor, x.shape)
    except ValueError:
        raise refusal(
            "E027", "", f"a factor of shape {size} does not fit a signal of {x.shape}", "give one factor, or one each"
        ) from None
    return Scale(factor.astype(np.float64) if factor.dtype.kind in "iub" else factor)


def merged(x: Sized) -> Lead:
    """Return the lead of *x* with its two axes merged."""
    if x.lead not in MERGERS:
        raise wrong_lead("", "a merger of batch and time", x, ("batch", "time"))
    return MERGERS[x.lead]


def _flatten(start: int, end: int, x: Sized) -> tuple[Op | None, Sized]:
    rank, lead = len(x.lead) + len(x.shape), len(x.lead)
    if lead == 2 and start % rank == 0 and end % rank == 1:
        return None, Sized(merged(x), x.shape)
    return flatten_behind(start, end, "", x)


def flatten_behind(start: int, end: int, path: str, x: Sized) -> tuple[Op | None, Sized]:
    """Return the Flatten of axes behind the lead, *start* and *end* as PyTorch counts them."""
    rank, more = len(x.lead) + len(x.shape), len(x.lead) - 1
    what = f"Flatten(start_dim={start}, end_dim={end})"
    if not (-rank <= start < rank and -rank <= end < rank):
        raise refusal("E027", path, f"{what} does not fit its input {x}", "mend start_dim and end_dim")
    if start % rank <= more:
        merged = "the batch axis" if not more else "batch or time"
        hint = "start at axis 1: nn.Flatten()" if not more else f"start at axis {more + 1}: nn.Flatten({more + 1})"
        raise refusal("E021", path, f"{what} merges {merged} with the signal, {x}", hint)
    op, shape = flatten(start % rank - more, end % rank - more, path, x.shape)
    return op, Sized(x.lead, shape)


def _cat(expr: Call, args: list[Sized]) -> Sized:
    x = args[0]
    rank, axis = len(x.lead) + len(x.shape), expr.options[0]
    shapes = [a.shape for a in args]
    fits = -rank <= axis < rank and axis % rank == len(x.lead) and all(a.lead == x.lead for a in args)
    if not fits or any(s[1:] != x.shape[1:] for s in shapes) or len(x.shape) > 3:
        raise refusal(
            "E023", "", f"cat of {', '.join(map(str, args))} along axis {axis}: only channels or features are joined, of "
            "signals that are alike otherwise", f"use dim={len(x.lead)}",
        )  # fmt: skip
    return Sized(x.lead, (sum(s[0] for s in shapes), *x.shape[1:]))


def _permuted(expr: Call, x: Sized) -> Sized:
    rank, lead = len(x.lead) + len(x.shape), len(x.lead)
    order = [d % rank for d in expr.options]
    if expr.kind == "transpose":
        a, b = order
        order = list(range(rank))
        order[a], order[b] = b, a
    if sorted(order) != list(range(rank)) or order[lead:] != list(range(lead, rank)):
        raise refusal(
            "E023", "", f"{expr.kind}{expr.options} of {x} moves axes of the signal itself; only batch and time may "
            "change places",
            "leave the axes of a signal as they are",
        )  # fmt: skip
    return Sized(tuple(x.lead[d] for d in order[:lead]), x.shape)


def _held(expr: Call, x: Sized) -> Sized:
    """Return the axes of an input that is the same in every step: ``x.unsqueeze(0).repeat(steps, 1, 1)``."""
    axes = [*x.lead, *x.shape]
    if expr.kind == "unsqueeze":
        if x.lead == STEP and expr.options[0] in (0, 1):
            return Sized(("one", "batch") if expr.options[0] == 0 else ("batch", "one"), x.shape)
    elif len(expr.options) == len(axes) and "one" in x.lead:
        same = (1,) if expr.kind == "repeat" else (-1,)
        if all(a == "one" or n in same or (n == a and expr.kind == "expand") for a, n in zip(axes, expr.options, strict=True)):
            return Sized(tuple("time" if a == "one" else a for a in x.lead), x.shape)
    raise refusal(
        "E023", "", f"{expr.kind}{expr.options} of {x}: only a new time axis, along which the input is repeated, is known",
        "write x.unsqueeze(0).repeat(steps, 1, ...), or give an input of all steps",
    )  # fmt: skip


# Lengths: a list of numbers and of lead axes, a product of the two lead axes being "all".


def _lengths(item: Any, look: Lookup) -> list[Any]:
    """Return what one written length stands for."""
    if isinstance(item, Product):
        parts = [p for f in item.factors for p in _lengths(f, look)]
        words, numbers = [p for p in parts if isinstance(p, str)], [p for p in parts if not isinstance(p, str)]
        number = math.prod(numbers)
        if not words:
            return [number]
        # The product of both lengths says nothing of their order.
        both = "both" if sorted(words) == ["batch", "time"] else words[0] if len(words) == 1 else "?"
        return [both if number == 1 else "?"]
    if not isinstance(item, Size):
        return [item]
    of = look(item.of)
    if of is None:
        return ["?"]
    axes: list[Any] = [*of.lead, *of.shape]
    if item.axis is None:
        return axes
    if isinstance(item.axis, tuple):
        return axes[slice(*item.axis)]
    return [axes[item.axis]] if -len(axes) <= item.axis < len(axes) else ["?"]


def _unflattened(expr: Call, x: Sized, look: Lookup) -> Sized:
    dim, sizes = expr.options
    items = [sizes] if isinstance(sizes, Size) else sizes
    found = [p for item in items for p in _lengths(item, look)]
    words = [p for p in found if isinstance(p, str)]
    if dim == 0 and len(found) == 2:
        other = {"batch": "time", "time": "batch"}
        pair = tuple(p if isinstance(p, str) else other.get(words[0], "?") if words else "?" for p in found)
        if MERGERS.get(pair) == x.lead:
            return Sized(pair, x.shape)
    raise refusal(
        "E023", "", f"unflatten({dim}, {tuple(found)}) of {x}: only batch*time is taken apart, into lengths of a tensor",
        "write x.unflatten(0, shape[:2]) with the shape from before",
    )  # fmt: skip


def _view(expr: Call, x: Sized, look: Lookup) -> tuple[Op | None, Sized]:
    sizes = [p for item in expr.options for p in _lengths(item, look)]
    whole = math.prod(x.shape)
    split = [two for two, one in MERGERS.items() if one == x.lead]
    for lead in (x.lead, *([MERGERS[x.lead]] if x.lead in MERGERS else []), *split):
        rest = _filled(sizes, lead, whole)
        if rest == x.shape:
            return None, Sized(lead, x.shape)
        if rest == (whole,):
            op, shape = flatten(1, -1, "", x.shape)
            return op, Sized(lead, shape)
    raise refusal(
        "E023", "", f"view{tuple(sizes)} of a signal of {x}: only flattening all but batch and time, and merging these two or "
        "taking them apart, is a node", "use nn.Flatten()",
    )  # fmt: skip


def _filled(sizes: list[Any], lead: Lead, whole: int) -> Shape | None:
    """Return the lengths behind *lead*, -1 filled in; None where *sizes* does not start with that lead."""
    front, rest = sizes[: len(lead)], sizes[len(lead) :]
    if any(isinstance(s, str) for s in rest) or len(front) < len(lead):
        return None
    named = [f for f in front if f != -1]
    # One length may be left open; a lead of two axes must name one of them at least.
    is_other = any(f != w and not (f == "both" and w.startswith("all")) for f, w in zip(front, lead, strict=True) if f != -1)
    if is_other or len(front) - len(named) + rest.count(-1) > 1:
        return None
    if -1 in front and len(lead) == 1 and rest.count(-1):
        return None
    known = math.prod(r for r in rest if r != -1)
    if rest.count(-1):
        return tuple(whole // known if r == -1 else r for r in rest) if known and whole % known == 0 else None
    return tuple(rest)
