"""Expressions: what a forward computes in one step, as values that can be compared from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikeport.compiler.importers.torch_library import refusal


class Expr:
    """Base of all expressions. Equal expressions are the same signal."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class In(Expr):
    """An argument of the forward; *index* is the step of a time slice, None for the whole."""

    name: str
    index: int | None = None
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Zero(Expr):
    """Zeros: the state before the first step."""


@dataclass(frozen=True, slots=True)
class Kept(Expr):
    """What an earlier call left in the attribute *name* of a module."""

    name: str


@dataclass(frozen=True, slots=True)
class Layer(Expr):
    """A plain layer applied to a signal."""

    path: str
    arg: Expr


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function of signals: ``add``, ``scale``, ``flatten``, ``view``, ``avg_pool2d``, ``cat``."""

    kind: str
    options: tuple[Any, ...]
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Fired(Expr):
    """What a neuron gives in its call number *step*; after :func:`relative`, *step* counts back from the present."""

    path: str
    role: str
    step: int


@dataclass(frozen=True, slots=True)
class Stack(Expr):
    """Signals of successive steps."""

    items: tuple[Expr, ...]


def relative(expr: Expr, step: int) -> Expr:
    """Return *expr* with its references to steps counted back from *step*."""
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
        return Layer(expr.path, relative(expr.arg, step))
    if isinstance(expr, Call):
        return Call(expr.kind, expr.options, tuple(relative(a, step) for a in expr.args))
    return expr


def same(first: Expr, general: Expr, step: int) -> bool:
    """Whether *first*, of step *step*, is *general* where what lies before the start may be zeros."""
    if isinstance(first, Zero) and isinstance(general, Fired):
        return general.step > step
    if isinstance(first, Layer) and isinstance(general, Layer):
        return first.path == general.path and same(first.arg, general.arg, step)
    if isinstance(first, Call) and isinstance(general, Call):
        return (first.kind, first.options, len(first.args)) == (general.kind, general.options, len(general.args)) and all(
            same(a, b, step) for a, b in zip(first.args, general.args, strict=True)
        )
    return first == general


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the expressions that *expr* is computed from within the step."""
    return (expr.arg,) if isinstance(expr, Layer) else expr.args if isinstance(expr, Call) else ()
