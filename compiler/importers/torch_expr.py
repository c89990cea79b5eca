"""Expressions: what a forward computes in one step, as values that can be compared from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from spikeport.compiler.importers.torch_library import refusal


class Expr:
    """Base of all expressions. Equal expressions are the same signal.

    Signals are shared (``y = y + f(y)``): what is said of one is said once, so that no walk takes as long as the expression
    written out would be.
    """

    __slots__ = ("_hash",)
    _hash: int

    def _hashed(self, *parts: Any) -> int:
        """Return the hash of *parts*, counted once."""
        try:
            return int(self._hash)
        except AttributeError:
            object.__setattr__(self, "_hash", hash((type(self).__name__, *parts)))
            return int(self._hash)


@dataclass(frozen=True, slots=True)
class In(Expr):
    """An argument of the forward; *index* is the step of a time slice, None for the whole."""

    name: str
    index: int | None = None
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Part(Expr):
    """A part of an argument that holds states: ``state.lif1`` (the key ``.lif1``), ``states[0]``, ``states["lif1"]``."""

    of: Expr
    key: int | str


@dataclass(frozen=True, slots=True)
class Zero(Expr):
    """Zeros: the state before the first step."""


@dataclass(frozen=True, slots=True)
class Kept(Expr):
    """What an earlier call left in the attribute *name* of a module."""

    name: str


@dataclass(frozen=True, slots=True)
class Late(Expr):
    """A signal of *steps* steps ago; zeros before the start."""

    arg: Expr
    steps: int


@dataclass(frozen=True, slots=True)
class Layer(Expr):
    """A plain layer applied to a signal."""

    path: str
    arg: Expr

    def __hash__(self) -> int:
        return self._hashed(self.path, self.arg)


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function of signals: ``add``, ``scale``, ``flatten``, ``view``, ``cat``, a pool, or a change of the lead.

    ``step`` is the view of one step of a signal with time, ``sequence`` the way back (``torch_trace.one_step``,
    ``all_steps``); ``unflatten``, ``permute``, ``transpose``, ``unsqueeze``, ``repeat`` and ``expand`` may only touch the
    lead. ``over_time`` is a sum or mean over all steps, at the end of a forward only.
    """

    kind: str
    options: tuple[Any, ...]
    args: tuple[Expr, ...]

    def __hash__(self) -> int:
        return self._hashed(self.kind, self.options, self.args)


@dataclass(frozen=True, slots=True)
class Fired(Expr):
    """What a neuron gives in its call number *step*; after :func:`relative`, *step* counts back from the present."""

    path: str
    role: str
    step: int


@dataclass(frozen=True, slots=True)
class Stack(Expr):
    """Signals of successive steps, put together along *axis*."""

    items: tuple[Expr, ...]
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Size:
    """Lengths of a tensor, not known while tracing: one of them, several (*axis* a slice's bounds), or all (None)."""

    of: Expr
    axis: int | tuple[int | None, int | None] | None


@dataclass(frozen=True, slots=True)
class Product:
    """A product of lengths: the batch times the steps, for instance."""

    factors: tuple[Size | int, ...]


def relative(expr: Expr, step: int, done: dict[int, Expr] | None = None) -> Expr:
    """Return *expr* with its references to steps counted back from *step*; *done* holds what was already."""
    done = {} if done is None else done
    if id(expr) not in done:
        done[id(expr)] = _relative(expr, step, done)
    return done[id(expr)]


def _relative(expr: Expr, step: int, done: dict[int, Expr]) -> Expr:
    if isinstance(expr, Fired):
        return Fired(expr.path, expr.role, step - expr.step)
    if isinstance(expr, In) and expr.index is not None:
        if expr.index != step:
            raise refusal(
                "E025", expr.name, f"step {step} reads the input of step {expr.index}",
                "index the input with the loop's own variable",
            )  # fmt: skip
        return In(expr.name, 0, expr.axis)
    if isinstance(expr, Layer):
        return Layer(expr.path, relative(expr.arg, step, done))
    if isinstance(expr, Late):
        return late(relative(expr.arg, step, done), expr.steps)
    if isinstance(expr, Call) and expr.kind == "at":
        index, axis = expr.options
        if index != step:
            raise refusal(
                "E025", "", f"step {step} reads step {index} of what was computed for all steps",
                "index it with the loop's own variable",
            )  # fmt: skip
        return Call("at", (0, axis), expr.args)
    if isinstance(expr, Call):
        options = tuple(_relative_size(o, step) for o in expr.options)
        return Call(expr.kind, options, tuple(relative(a, step, done) for a in expr.args))
    return expr


def _relative_size(option: Any, step: int) -> Any:
    if isinstance(option, Size):
        return Size(relative(option.of, step), option.axis)
    if isinstance(option, Product):
        return Product(tuple(_relative_size(f, step) for f in option.factors))
    return tuple(_relative_size(o, step) for o in option) if isinstance(option, tuple) else option


def late(expr: Expr, steps: int = 1) -> Expr:
    """Return *expr* as it was *steps* steps ago (references to steps counted back already)."""
    if isinstance(expr, Fired):
        return Fired(expr.path, expr.role, expr.step + steps)
    if isinstance(expr, Late):
        return Late(expr.arg, expr.steps + steps)
    return expr if isinstance(expr, Zero) else Late(expr, steps)


def same(first: Expr, general: Expr, step: int, done: dict[tuple[int, int], bool] | None = None) -> bool:
    """Whether *first*, of step *step*, is *general* where what lies before the start may be zeros."""
    done = {} if done is None else done
    pair = (id(first), id(general))
    if pair not in done:
        done[pair] = _same(first, general, step, done)
    return done[pair]


def _same(first: Expr, general: Expr, step: int, done: dict[tuple[int, int], bool]) -> bool:
    if isinstance(first, Zero) and isinstance(general, Fired):
        return general.step > step
    if isinstance(first, Layer) and isinstance(general, Layer):
        return first.path == general.path and same(first.arg, general.arg, step, done)
    if isinstance(first, Late) and isinstance(general, Late):
        return first.steps == general.steps and same(first.arg, general.arg, step, done)
    if isinstance(first, Call) and isinstance(general, Call):
        return (first.kind, first.options, len(first.args)) == (general.kind, general.options, len(general.args)) and all(
            same(a, b, step, done) for a, b in zip(first.args, general.args, strict=True)
        )
    return first == general


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the expressions that *expr* is computed from within the step."""
    return (expr.arg,) if isinstance(expr, (Layer, Late)) else expr.args if isinstance(expr, Call) else ()


def is_zeros(value: Any) -> bool:
    """Whether *value* is a tensor of zeros (or an empty one, snnTorch's state before the first step)."""
    return isinstance(value, torch.Tensor) and not bool(torch.any(value != 0))


def argument(state: Any) -> str:
    """Return how a forward writes *state*, where that is an argument or a part of one: ``mem``, ``state[0].v``; else ``""``."""
    if isinstance(state, In):
        return state.name if state.index is None else f"{state.name}[{state.index}]" if state.axis == 0 else ""
    if isinstance(state, Part) and (of := argument(state.of)):
        return f"{of}{state.key}" if str(state.key).startswith(".") else f"{of}[{state.key}]"
    return ""


def walk(*exprs: Expr) -> set[Expr]:
    """Return *exprs* and all that they are computed from within the step, each once."""
    seen: set[Expr] = set()
    frontier = list(exprs)
    while frontier:
        expr = frontier.pop()
        if expr not in seen:
            seen.add(expr)
            frontier.extend(children(expr))
    return seen
