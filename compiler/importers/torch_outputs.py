"""What a forward returns, as signals of one step: stacks of all steps taken apart, sums over time named, states left out."""

from __future__ import annotations

from typing import Any

from spikeport.compiler.importers.torch_expr import Call, Expr, Fired, Part, Stack, Zero, is_zeros, relative, same, walk
from spikeport.compiler.importers.torch_library import refusal


def results(returned: Any) -> list[Any]:
    """Return the single results of a forward: spikes of all steps in a list are one."""
    if isinstance(returned, dict):
        return [r for item in returned.values() for r in results(item)]
    if isinstance(returned, list) and len(returned) > 1 and all(isinstance(r, Fired) for r in returned):
        in_order = [r.step for r in returned] == list(range(len(returned)))
        return [Stack(tuple(returned))] if in_order else list(returned)
    if isinstance(returned, (list, tuple)):
        return [r for item in returned for r in results(item)]
    is_zero = returned is None or isinstance(returned, Part) or is_zeros(returned) or (type(returned) is int and returned == 0)
    return [] if is_zero else [returned]


def output(item: Any, steps: int) -> Expr:
    """Return one result of a forward of *steps* steps as a signal of one step.

    Raises
    ------
    ImportModelError
        E023 for what is no signal, E025 where the steps differ or a value is computed from several of them.
    """
    item = _in_order(item)
    if isinstance(item, Stack):
        if len(item.items) != steps:
            raise refusal("E025", "", f"the forward returns {len(item.items)} values of {steps} steps", "stack every step")
        each = [relative(e, k) for k, e in enumerate(item.items)]
        if not all(same(e, each[-1], k) for k, e in enumerate(each)):
            raise refusal("E025", "", "the forward returns other things in other steps", "stack the same value of each step")
        return each[-1]
    if not isinstance(item, Expr):
        raise refusal("E023", "", f"the forward returns {type(item).__name__}, not a signal", "return the spikes")
    if isinstance(item, Call) and item.kind in ("over_time", "scale") and steps > 1:
        kind, options = item.kind, item.options
        if kind == "over_time" and isinstance(_in_order(item.args[0]), Stack):
            stack = _in_order(item.args[0])
            if isinstance(stack, Stack) and options[1] == stack.axis:
                return Call("over_time", (options[0], None), (output(stack, steps),))
        if kind == "scale" and isinstance(item.args[0], Call) and item.args[0].kind == "over_time":
            return Call("scale", options, (output(item.args[0], steps),))
    summed = _accumulated(item, steps) if steps > 1 else None
    if summed is not None:
        return summed
    found = relative(item, steps - 1)
    if steps > 1 and isinstance(item, Fired) and item.step == steps - 1 and item.role == "spikes":
        return Call("over_time", ("last", None), (found,))
    if steps > 1 and _looks_back(found):
        raise refusal(
            "E025", "", "the forward returns a value that is computed from several steps of its loop",
            "return torch.stack of the spikes of every step, or their sum",
        )  # fmt: skip
    return found


def _in_order(item: Any) -> Any:
    """Return a stack of steps whose first two axes were swapped as the stack along the other."""
    if isinstance(item, Call) and item.kind in ("permute", "transpose") and isinstance(item.args[0], Stack):
        stack = item.args[0]
        swaps = tuple(item.options[:2]) in ((1, 0), (0, 1) if item.kind == "transpose" else (1, 0))
        is_plain = item.kind == "transpose" or list(item.options[2:]) == list(range(2, len(item.options)))
        if swaps and is_plain:
            return Stack(stack.items, 1 - stack.axis)
    return item


def _accumulated(expr: Expr, steps: int) -> Expr | None:
    """Return what *expr*, computed in a loop, sums over all its steps, as ``over_time``; None where it is no such sum."""
    if isinstance(expr, Call) and expr.kind == "scale":
        inner = _accumulated(expr.args[0], steps)
        return None if inner is None else Call("scale", expr.options, (inner,))
    terms, frontier = [], [expr]
    while frontier:
        found = frontier.pop()
        if isinstance(found, Call) and found.kind == "add":
            frontier.extend(found.args)
        elif not isinstance(found, Zero):
            terms.append(found)
    each = sorted((t for t in terms if isinstance(t, Fired)), key=lambda t: t.step)
    if len(terms) != steps or [t.step for t in each] != list(range(steps)) or len({(t.path, t.role) for t in each}) != 1:
        return None
    return Call("over_time", ("sum", None), (relative(each[-1], steps - 1),))


def _looks_back(expr: Expr) -> bool:
    return any(isinstance(e, Fired) and e.step != 0 for e in walk(expr))
