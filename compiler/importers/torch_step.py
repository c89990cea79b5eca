"""From traced calls to one time step: what enters each neuron, and what leaves the network.

A forward may be one step (states handed in or hidden), or a whole loop over time, unrolled by the tracer. In a loop the
calls of each neuron are compared step by step: the network is their common step, and a spike of an earlier step is an
edge with that delay. What a forward of one step keeps in the module for its next call is a signal of the step before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import fx

from spikeport.compiler.importers.torch_expr import (
    Call,
    Expr,
    Fired,
    In,
    relative,
    same,
    walk,
)
from spikeport.compiler.importers.torch_kept import Keeper, resolved
from spikeport.compiler.importers.torch_library import STEP, class_name, library_of, refusal
from spikeport.compiler.importers.torch_live import is_kept
from spikeport.compiler.importers.torch_outputs import output, results
from spikeport.compiler.importers.torch_reader import Reader, read
from spikeport.compiler.importers.torch_traced import Traced


@dataclass(frozen=True, slots=True)
class Step:
    """One time step of a network.

    Parameters
    ----------
    neurons : dict of str to Expr
        What enters each neuron, by path, in the order of the first calls; :class:`Fired` counts steps back.
    outputs : tuple of Expr
        What the forward returns, without states.
    inputs : tuple of In
        The forward's signals.
    steps : int
        Calls of each neuron in the forward: 1 for a step, more for a loop.
    left_out : tuple of Fired
        Membranes and currents that the forward of a loop returns beside its spikes.
    returned : nested tuples, lists and dicts of Expr
        All that the forward returns, states included.
    states : dict of str to Fired
        Which state each argument, or part of one, is: ``mem`` or ``state[0]``.
    """

    neurons: dict[str, Expr]
    outputs: tuple[Expr, ...]
    inputs: tuple[In, ...]
    steps: int
    left_out: tuple[Fired, ...] = ()
    returned: Any = None
    states: Mapping[str, Fired] = field(default_factory=dict)

    def slices(self, name: str) -> list[In]:
        """Return how the argument *name* is used: whole, or a step at a time."""
        return [expr for expr in self.expressions() if isinstance(expr, In) and expr.name == name]

    def expressions(self) -> set[Expr]:
        """Return all that is computed in the step."""
        return walk(*self.neurons.values(), *self.outputs)


def read_step(root: Any, traced: Traced) -> Step:
    """Return the one time step that a forward computes.

    Raises
    ------
    ImportModelError
        E023 for a function that a graph cannot say, E025 where the steps differ, E026 for misused states, E031 for states
        outside of the neurons.
    """
    reader, returned = read(root, traced)
    graph = traced.graph
    _check_kept(reader, graph)
    calls = {path: len(found) for path, found in reader.entered.items()}
    steps = max(calls.values(), default=1)
    if len(set(calls.values())) > 1:
        often, seldom = max(calls, key=calls.__getitem__), min(calls, key=calls.__getitem__)
        raise _shared(root, often, f"is called {steps} times while {seldom} is called {calls[seldom]} times")
    _check_loop(root, reader, traced, steps)
    neurons = {path: _common(root, path, found) for path, found in reader.entered.items()}
    outputs = tuple(output(item, steps) for item in results(returned))
    keeper = _keeper(root, traced, reader, steps)
    if keeper.written:
        neurons = {path: resolved(expr, keeper, path) for path, expr in neurons.items()}
        outputs = tuple(resolved(expr, keeper, "") for expr in outputs)
        for number, run in enumerate(traced.earlier):
            first, firstly = read(root, run)
            own = _keeper(root, run, first, steps)
            starts = {path: resolved(relative(found[0], 0), own, path) for path, found in first.entered.items()}
            given = [resolved(output(item, steps), own, "") for item in results(firstly)]
            keeper.check_start(number, starts, given, neurons, outputs)
    outputs = tuple(o for o in outputs if not (isinstance(o, Fired) and o.role == "state"))
    kept = [o for o in outputs if not (isinstance(o, Fired) and o.role != "spikes")]
    kept = kept or list(outputs)
    _check_slices([*neurons.values(), *kept], reader.states, steps)
    _check_memory(root, reader, traced.forgotten, neurons, steps)
    handed = {_base(state) for state in reader.states}
    seen = {e.name for e in Step(neurons, tuple(kept), (), steps).expressions() if isinstance(e, In)}
    used = [n for n in graph.nodes if n.op == "placeholder" and n.target not in handed and (n.users or n.target in seen)]
    _check_returned(root, reader, returned)
    signals = tuple(In(str(n.target)) for n in used)
    left_out = tuple(o for o in outputs if isinstance(o, Fired) and o not in kept) if steps > 1 else ()
    return Step(neurons, tuple(kept), signals, steps, left_out, returned, reader.states)


def _check_loop(root: Any, reader: Reader, traced: Traced, steps: int) -> None:
    """Refuse a loop that writes into its neurons' states, ends by itself, or calls what takes all steps at once."""
    for path in sorted(traced.meddled & set(reader.entered)):
        raise refusal(
            "E026", path, f"the forward writes or resets the state of this {class_name(root.get_submodule(path))} between two "
            "of its calls, which no graph does", "leave the state to the neuron, and reset it before the first step",
        )  # fmt: skip
    if steps == 1:
        return
    for path in reader.entered:
        library = library_of(root.get_submodule(path))
        if library is not None and library.lead(root.get_submodule(path)) != STEP:
            raise _shared(root, path, f"is called {steps} times, and takes all steps at once")
    if traced.loop_steps is not None and steps != traced.loop_steps:
        path = next(iter(reader.entered))
        raise _shared(root, path, f"is called {steps} times in a loop over {traced.loop_steps} steps")


def _keeper(root: Any, traced: Traced, reader: Reader, steps: int) -> Keeper:
    return Keeper(root, {str(n.args[0]): reader.env.get(n.meta["written"]) for n in traced.graph.nodes if is_kept(n)}, steps)


def _base(state: str) -> str:
    """Return the argument that a state is a part of."""
    return state.partition("[")[0].partition(".")[0]


def _check_memory(root: Any, reader: Reader, forgotten: frozenset[str], neurons: dict[str, Expr], steps: int) -> None:
    """Refuse a forward of one step that starts its neurons anew in every call: they would have no memory."""
    for path in dict.fromkeys((*reader.anew, *sorted(forgotten))) if steps == 1 else ():
        if path in neurons and not _in_sequence(neurons[path], neurons, set()):
            raise refusal(
                "E026", path, f"the state of this {class_name(root.get_submodule(path))} starts from zeros in every call, and "
                "the forward is one step: the neuron would forget all between steps",
                "take the state as an argument and return it, leave the reset to the caller, or loop over all steps in the "
                "forward",
            )  # fmt: skip


def _check_returned(root: Any, reader: Reader, returned: Any) -> None:
    """Refuse a forward that takes a state which only it could hand on, and does not return it."""
    held = set(_leaves(returned))
    for state, fired in reader.states.items():
        module = root.get_submodule(fired.path)
        library = library_of(module)
        given = Fired(fired.path, fired.role, len(reader.entered[fired.path]) - 1)
        if library is not None and not library.keeps_state(module) and given not in held:
            raise refusal(
                "E026", fired.path, f"the forward takes the state of this {class_name(module)} as {state!r} and does not "
                "return it: nobody could hand it on, and the neuron would forget all between steps",
                "return it beside the spikes",
            )  # fmt: skip


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, (list, tuple)) else [value]


def _in_sequence(expr: Expr, neurons: dict[str, Expr], seen: set[str]) -> bool:
    """Whether *expr* is one step's view of a signal with time, so that a call of the forward is all steps."""
    found = walk(expr)
    if any(isinstance(e, Call) and e.kind == "step" for e in found):
        return True
    new = {e.path for e in found if isinstance(e, Fired)} - seen
    seen |= new
    return any(_in_sequence(neurons[path], neurons, seen) for path in new)


def _check_kept(reader: Reader, graph: fx.Graph) -> None:
    """Refuse states handed on through the module's attributes that are not the neuron's own of the call before."""
    written = {str(n.args[0]): n.meta["written"] for n in graph.nodes if is_kept(n)}
    for name, path, role in reader.handed_on:
        last = Fired(path, role, len(reader.entered[path]) - 1)
        if written[name] is None or reader.env.get(written[name]) != last:
            module = class_name(reader.root.get_submodule(path))
            raise refusal(
                "E031", path, f"{role} of this {module} comes from {name}, in which the call before left something else",
                f"start from zeros and hand on the {role} that the neuron returned", attribute=name,
            )  # fmt: skip


def _common(root: Any, path: str, found: list[Expr]) -> Expr:
    """Return what enters a neuron in every step."""
    general = relative(found[-1], len(found) - 1)
    for step, expr in enumerate(found[:-1]):
        if not same(relative(expr, step), general, step):
            raise _shared(root, path, f"is called {len(found)} times, and call {step + 1} gets something else than the last")
    return general


def _check_slices(exprs: list[Expr], states: Mapping[str, Fired], steps: int) -> None:
    """Refuse parts of an input outside a loop, and states that are signals too."""
    holders = {_base(state): fired.path for state, fired in states.items()}
    for expr in walk(*exprs):
        if isinstance(expr, In) and expr.index is not None and steps == 1:
            raise refusal(
                "E023", expr.name, f"the forward takes {expr.name}[{expr.index}] alone, outside a loop over time",
                "give the forward one time step of shape (batch, ...), or loop over all steps",
            )  # fmt: skip
        if isinstance(expr, In) and expr.name in holders:
            raise refusal(
                "E026", expr.name, f"{expr.name!r} is the state of {holders[expr.name]} and a signal too", "use two arguments"
            )


def _shared(root: Any, path: str, text: str) -> Exception:
    name = class_name(root.get_submodule(path))
    return refusal(
        "E025", path, f"this {name} {text}: its state is shared, or the loop over time is not the same in each step",
        "make a neuron for each place, and give a forward of one time step", **{"class": name},
    )  # fmt: skip
