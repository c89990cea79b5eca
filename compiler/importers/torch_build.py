"""From one time step to a graph: a node for each layer, sums as edges in the order of the module's own additions.

Batch and time leave no trace in the graph: a node sees one step of one sample.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeport.compiler.importers.torch_axes import Axes
from spikeport.compiler.importers.torch_expr import Call, Expr, Fired, In, Late, Layer, Part, Zero, children
from spikeport.compiler.importers.torch_layers import CONNECTIONS, MAX_POOLS, NORMS, fold_norm
from spikeport.compiler.importers.torch_library import class_name, refusal
from spikeport.compiler.importers.torch_step import Step
from spikeport.ir.graph import Edge, Node
from spikeport.ir.ops import Conv1d, Conv2d, Input, Linear, Op, Output, Scale, SumPool2d, Threshold

#: A source and the steps that its spikes wait: an edge without its target.
Term = tuple[str, int | None]


@dataclass(slots=True)
class Builder:
    """Turns expressions into nodes and edges; every expression is built once.

    Parameters
    ----------
    axes : Axes
        Of the module's signals.
    """

    axes: Axes
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    readouts: list[str] = field(default_factory=list)
    _terms: dict[Expr, tuple[Term, ...]] = field(default_factory=dict)
    _users: Counter[Expr] = field(default_factory=Counter)
    _modules: frozenset[str] = frozenset()

    @property
    def root(self) -> Any:
        """The module whose layers are read."""
        return self.axes.root

    @property
    def step(self) -> Step:
        """What it computes."""
        return self.axes.step

    def build(self) -> None:
        """Fill ``nodes``, ``edges`` and ``readouts``.

        Raises
        ------
        ImportModelError
            E021, E023, E026 or E027 for what cannot be said or does not fit; E032 where a layer takes another lead.
        """
        seen = self.step.expressions()
        self._users.update([*self.step.neurons.values(), *self.step.outputs])
        for expr in seen:
            self._users.update(children(expr))
        self._modules = frozenset(path for path, _ in self.root.named_modules())
        for source in self.step.inputs:
            if any(isinstance(e, In) and e.name == source.name for e in seen):
                self._node(self._input_path(source.name), Input(self.axes.input_shapes[source.name]), "")
        for path in self.step.neurons:
            self._neuron(path)
        for path, expr in self.step.neurons.items():
            self._feed(path, self.terms(expr))
            self._feed_back(path)
        for number, item in enumerate(self.step.outputs):
            expr = self._readout(item)
            path = "output" if len(self.step.outputs) == 1 else f"output_{number}"
            path = self._free(path)
            self._node(path, Output(self.axes.known(expr).shape), "")
            self._connect(self.terms(expr), path)

    def _readout(self, expr: Expr) -> Expr:
        """Return *expr* without a sum or mean over all steps at its end, which ``readouts`` then tells of."""
        whole, factor = expr, ""
        if isinstance(expr, Call) and expr.kind == "scale" and isinstance(expr.args[0], Call):
            factor, expr = ", times a constant", expr.args[0]
        if not (isinstance(expr, Call) and expr.kind == "over_time"):
            return whole
        kind, dim = expr.options
        sized = self.axes.known(expr.args[0])
        if dim is not None and (not -len(sized.lead) - len(sized.shape) <= dim < len(sized.lead) or sized.lead[dim] != "time"):
            raise refusal(
                "E023", "", f"the forward ends with the {kind} of {sized} over axis {dim}, which is not time",
                "put what follows the last spikes outside the module",
            )  # fmt: skip
        self.readouts.append(f"{kind} over all steps{factor}" if kind != "last" else "output of the last step alone")
        return expr.args[0]

    def _neuron(self, path: str) -> None:
        """Make the node of the neuron at *path*: itself, or the integrator that stands for it where its membrane is used."""
        self.axes.neuron(path)
        reading = self.axes.readings.get(path)
        if reading is not None:
            op = reading.membrane if path in self.axes.membranes and reading.membrane is not None else reading.op
            self._node(path, op, class_name(self.root.get_submodule(path)))

    def _feed(self, path: str, terms: tuple[Term, ...]) -> None:
        """Connect what enters the neuron at *path*, through the connection that its module holds, if it holds one."""
        reading = self.axes.readings[path]
        if reading.front is not None:
            name, op = reading.front
            self._node(f"{path}.{name}", op, f"{name} of {class_name(self.root.get_submodule(path))}")
            self._connect(terms, f"{path}.{name}")
            terms = ((f"{path}.{name}", None),)
        self._connect(_waiting(terms, reading.wait), path)

    def _feed_back(self, path: str) -> None:
        reading = self.axes.readings[path]
        if reading.feedback is not None:
            inner = f"{path}.{reading.feedback_name}"
            self._node(inner, reading.feedback, f"{reading.feedback_name} of {class_name(self.root.get_submodule(path))}")
            # Without a delay of their own: the profile's feedback, with the recurrent bias at step 0 where it says so.
            self._connect(((path, reading.feedback_delay),), inner)
            self._connect(((inner, None),), path)

    # Terms: the edges that an expression stands for.

    def terms(self, expr: Expr) -> tuple[Term, ...]:
        """Return the sources whose sum is *expr*, in the order of the sum, building them where they are not there yet."""
        if expr not in self._terms:
            self._terms[expr] = self._make(expr)
        return self._terms[expr]

    def _make(self, expr: Expr) -> tuple[Term, ...]:
        if isinstance(expr, In):
            return ((self._input_path(expr.name), None),)
        if isinstance(expr, Fired):
            self.axes.known(expr)
            return ((expr.path, expr.step or None),)
        if isinstance(expr, Late):
            self.axes.known(expr)
            return _waiting(self.terms(expr.arg), expr.steps)
        if isinstance(expr, Layer):
            return self._layer(expr)
        if isinstance(expr, Call) and expr.kind == "add":
            return self._add(expr)
        if isinstance(expr, Call) and expr.kind == "cat":
            return self._cat(expr)
        if isinstance(expr, Call):
            op = self.axes.called(expr, [self.axes.known(expr.args[0])])[0]
            if expr.kind == "relu" and not self.axes.is_binary(expr.args[0]):
                raise refusal(
                    "E023", "", "relu of other values than spikes of 0 or 1 is no node", "put a spiking neuron in its place"
                )
            if expr.kind == "max_pool2d":
                return self._maximum("max_pool2d", op, expr.args[0], expr, "")
            return self.terms(expr.args[0]) if op is None else self._stage(expr.kind, op, self.terms(expr.args[0]))
        what = "zeros are" if isinstance(expr, Zero) else "a stack of steps is"
        if isinstance(expr, Part):
            what = "a part of an argument is"
        raise refusal("E023", "", f"{what} used as a signal", "see the forward")

    def _layer(self, expr: Layer) -> tuple[Term, ...]:
        module = self.root.get_submodule(expr.path)
        inner = expr.arg
        if isinstance(module, NORMS) and isinstance(inner, Layer) and self._users[inner] == 1:
            front = self.root.get_submodule(inner.path)
            if isinstance(front, CONNECTIONS):
                built, _ = self.axes.built(inner, self.axes.known(inner.arg))
                folded = None if built is None else fold_norm(built, module)
                if folded is not None:
                    origin = f"{class_name(front)} with {class_name(module)} {expr.path}"
                    return self._stage(inner.path, folded, self.terms(inner.arg), origin)
        op, _ = self.axes.built(expr, self.axes.known(inner))
        if isinstance(module, MAX_POOLS):
            return self._maximum(expr.path, op, inner, expr, class_name(module))
        return self.terms(inner) if op is None else self._stage(expr.path, op, self.terms(inner), class_name(module))

    def _maximum(self, path: str, op: Op | None, inner: Expr, expr: Expr, origin: str) -> tuple[Term, ...]:
        """Add the largest of a window of spikes: 1 where their sum is above 0."""
        if not isinstance(op, SumPool2d) or not self.axes.is_binary(inner):
            raise refusal(
                "E021", path, "a maximum over a window is a node only over spikes of 0 or 1; here it is given other values",
                "put it right behind a neuron that gives one spike of value 1 at most, or use AvgPool2d",
            )  # fmt: skip
        terms = self._stage(f"{path}.sum", op, self.terms(inner))
        return self._stage(path, Threshold(np.full(self.axes.known(expr).shape, 0.5)), terms, origin)

    def _add(self, expr: Call) -> tuple[Term, ...]:
        live = [a for a in expr.args if not isinstance(a, Zero)]
        shapes = {self.axes.known(a) for a in live}
        if len(shapes) > 1:
            texts = ", ".join(sorted(map(str, shapes)))
            raise refusal("E027", "", f"a sum of signals of the shapes {texts}", "give both branches the same shape")
        parts = [self.terms(a) for a in live]
        if len(parts) == 2 and len(parts[1]) > 1:
            # a + (b + c) is (b + c) + a; with two sums a node holds one of them.
            first = (
                parts[0] if len(parts[0]) == 1 else self._stage("add", Scale(np.ones(self.axes.known(expr).shape)), parts[0])
            )
            parts = [parts[1], first]
        terms = parts[0]
        for term in (t for part in parts[1:] for t in part):
            if term in terms:
                term = self._stage("add", Scale(np.ones(self.axes.known(expr).shape)), (term,))[0]
            terms = (*terms, term)
        return terms

    def _cat(self, expr: Call) -> tuple[Term, ...]:
        sized = [self.axes.known(a) for a in expr.args]
        total, start = self.axes.called(expr, sized)[1].shape, 0
        shapes = [x.shape for x in sized]
        terms: list[Term] = []
        for arg, shape in zip(expr.args, shapes, strict=True):
            # Each branch goes to its place among zeros; what is summed then has one term that is not 0.
            place = np.eye(total[0], shape[0], -start, dtype=np.float32)
            zeros = np.zeros(total[0], np.float32)
            op: Op = Linear(place)
            if len(shape) == 2:
                op = Conv1d(shape[1], place[:, :, None], 1, 0, 1, 1, zeros)
            elif len(shape) == 3:
                op = Conv2d((shape[1], shape[2]), place[:, :, None, None], (1, 1), (0, 0), (1, 1), 1, zeros)
            terms += self._stage("cat", op, self.terms(arg))
            start += shape[0]
        return tuple(terms)

    # Nodes and edges.

    def _stage(self, path: str, op: Op, terms: tuple[Term, ...], origin: str = "") -> tuple[Term, ...]:
        """Add a node behind *terms*; with an *origin* it is the module at *path*."""
        path = self._free(path, bool(origin))
        self._node(path, op, origin)
        self._connect(terms, path)
        return ((path, None),)

    def _free(self, path: str, is_module: bool = False) -> str:
        """Return *path*, with a number behind it where it is taken; the modules' own names come first."""
        number, found = 1, path
        while found in self.nodes or (found in self._modules and not (is_module and number == 1)):
            number += 1
            found = f"{path}_{number}"
        return found

    def _node(self, path: str, op: Op, origin: str) -> None:
        self.nodes[path] = Node(path, op, {"origin": origin} if origin else {})

    def _connect(self, terms: tuple[Term, ...], target: str) -> None:
        rank = sum(e.target == target for e in self.edges)
        for number, (source, delay) in enumerate(terms):
            self.edges.append(Edge(source, target, delay, rank + number))

    def _input_path(self, name: str) -> str:
        path = "input" if len(self.step.inputs) == 1 else name
        return f"{path}_in" if path in self._modules else path


def _waiting(terms: tuple[Term, ...], steps: int) -> tuple[Term, ...]:
    """Return *terms* with *steps* more of waiting."""
    return tuple((source, (delay or 0) + steps) for source, delay in terms) if steps else terms
