"""Values that a forward of one step keeps in the module for its next call: signals of the step before, or refused.

``self.last = spikes`` and, in the next call, ``self.fc(x) + self.back(self.last)`` is a recurrent connection of one step's
delay. That is so where the first call, which finds None or zeros there, computes the same with zeros in place of the kept
value, and where the value does not depend on itself (a running mean would be a state outside of the neurons).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikeport.compiler.importers.torch_expr import Call, Expr, Fired, Kept, Late, Layer, Zero, late, relative
from spikeport.compiler.importers.torch_library import class_name, refusal


@dataclass(frozen=True, slots=True)
class Keeper:
    """What a forward keeps.

    Parameters
    ----------
    root : torch.nn.Module
        Whose forward it is.
    written : mapping of str to Expr or other
        What a call leaves, by dotted name of the attribute; anything that is no signal is refused where it is used.
    steps : int
        Steps of the forward: more than 1 for a loop over time.
    """

    root: Any
    written: Mapping[str, Any]
    steps: int

    def check_start(
        self, step: int, starts: Mapping[str, Expr], given: Sequence[Expr], neurons: Mapping[str, Expr], outputs: Sequence[Expr]
    ) -> None:
        """Refuse a forward whose call number *step* is not like the later ones with zeros for what lies before the start.

        Raises
        ------
        ImportModelError
            E031.
        """
        for path, expr in neurons.items():
            if path not in starts or self._start(starts[path], step) != self._start(expr, step):
                raise _uneven(path, f"what enters this {class_name(self.root.get_submodule(path))}", list(self.written))
        # States are among the outputs of a forward as well; those come and go with what the caller hands in.
        found = {e for e in (self._start(g, step) for g in given) if not isinstance(e, Zero)}
        for expr in outputs:
            start = self._start(expr, step)
            if not isinstance(start, Zero) and start not in found:
                raise _uneven("", "what the forward returns", list(self.written))

    def _start(self, expr: Expr, step: int, done: dict[tuple[int, int], Expr] | None = None) -> Expr:
        """Return *expr* in call number *step*, where what is from before the start is zero; *done* holds what was already."""
        done = {} if done is None else done
        place = (id(expr), step)
        if place not in done:
            done[place] = self._started(expr, step, done)
        return done[place]

    def _started(self, expr: Expr, step: int, done: dict[tuple[int, int], Expr]) -> Expr:
        if isinstance(expr, (Late, Fired)) and (expr.steps if isinstance(expr, Late) else expr.step) > step:
            return Zero()
        if isinstance(expr, Late):
            arg = self._start(expr.arg, step - expr.steps, done)
            return arg if isinstance(arg, Zero) else Late(arg, expr.steps)
        if isinstance(expr, Layer):
            arg = self._start(expr.arg, step, done)
            has_bias = getattr(self.root.get_submodule(expr.path), "bias", None) is not None
            return Zero() if isinstance(arg, Zero) and not has_bias else Layer(expr.path, arg)
        if isinstance(expr, Call):
            args = tuple(self._start(a, step, done) for a in expr.args)
            if all(isinstance(a, Zero) for a in args):
                return Zero()
            if expr.kind == "add":
                live = tuple(a for a in args if not isinstance(a, Zero))
                return live[0] if len(live) == 1 else Call("add", expr.options, live)
            return Call(expr.kind, expr.options, args)
        return expr


def _uneven(path: str, what: str, names: list[str]) -> Exception:
    return refusal(
        "E031", path, f"{what} is not the same in the first call of the forward as in later ones with zeros in "
        f"{', '.join(names)}, which an earlier call left there",
        "start from zeros: self.last = torch.zeros(...) or None, and use it as a layer's input without a bias",
        attributes=names,
    )  # fmt: skip


def resolved(
    expr: Expr, keeper: Keeper, path: str, open_names: tuple[str, ...] = (), done: dict[int, Expr] | None = None
) -> Expr:
    """Return *expr* with what an earlier call left as signals of the step before.

    Parameters
    ----------
    expr : Expr
        What enters the neuron at *path*, or what the forward returns (an empty path).
    keeper : Keeper
        What was kept.
    open_names : tuple of str
        Names that are being resolved.
    done : dict
        What was resolved already, by identity.

    Raises
    ------
    ImportModelError
        E031 for a value that depends on itself, for one that is no signal, and in a loop over time.
    """
    done = {} if done is None else done
    if id(expr) not in done:
        done[id(expr)] = _resolved(expr, keeper, path, open_names, done)
    return done[id(expr)]


def _resolved(expr: Expr, keeper: Keeper, path: str, open_names: tuple[str, ...], done: dict[int, Expr]) -> Expr:
    if isinstance(expr, Kept):
        value = keeper.written.get(expr.name)
        what = f"this {class_name(keeper.root.get_submodule(path))}" if path else "what the forward returns"
        if not isinstance(value, Expr) or keeper.steps > 1 or expr.name in open_names:
            raise reads_kept(expr, path, what)
        return late(relative(resolved(value, keeper, path, (*open_names, expr.name)), 0))
    if isinstance(expr, Layer):
        return Layer(expr.path, resolved(expr.arg, keeper, path, open_names, done))
    if isinstance(expr, Late):
        return late(resolved(expr.arg, keeper, path, open_names, done), expr.steps)
    if isinstance(expr, Call):
        return Call(expr.kind, expr.options, tuple(resolved(a, keeper, path, open_names, done) for a in expr.args))
    return expr


def reads_kept(kept: Kept, path: str, what: str) -> Exception:
    """Return the refusal of a forward that computes with what its last call left in the module."""
    return refusal(
        "E031", path, f"{what} reads {kept.name}, which an earlier call left there: a state outside of the neurons",
        "keep spikes only (self.last = spk), or use a recurrent neuron of the library",
        attribute=kept.name,
    )  # fmt: skip
