"""From one time step to a graph: a node for each layer, sums as edges in the order of the module's own additions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeport.compiler.importers.torch_expr import Call, Expr, Fired, In, Layer, Zero, children
from spikeport.compiler.importers.torch_layers import CONNECTIONS, LAYERS, NORMS, Built, average, flatten, fold_norm
from spikeport.compiler.importers.torch_library import NeuronReading, class_name, library_of, refusal
from spikeport.compiler.importers.torch_step import Step
from spikeport.ir.graph import Edge, Node
from spikeport.ir.ops import Conv1d, Conv2d, Input, Linear, Op, Output, Scale, Shape

#: A source and the steps that its spikes wait: an edge without its target.
Term = tuple[str, int | None]


@dataclass(slots=True)
class Builder:
    """Turns expressions into nodes and edges; every expression is built once.

    Parameters
    ----------
    root : torch.nn.Module
        Whose layers are read.
    step : Step
        What it computes.
    input_shapes : Mapping[str, tuple of int]
        Shapes of the forward's arguments, without batch and time.
    """

    root: Any
    step: Step
    input_shapes: Mapping[str, Shape]
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    readings: dict[str, NeuronReading] = field(default_factory=dict)
    _shapes: dict[Expr, Shape] = field(default_factory=dict)
    _terms: dict[Expr, tuple[Term, ...]] = field(default_factory=dict)
    _ops: dict[Expr, Built] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _users: Counter[Expr] = field(default_factory=Counter)
    _membranes: frozenset[str] = frozenset()
    _modules: frozenset[str] = frozenset()

    def build(self) -> None:
        """Fill ``nodes``, ``edges`` and ``readings``.

        Raises
        ------
        ImportModelError
            E021, E023, E026 or E027 for what cannot be said or does not fit.
        """
        seen: set[Expr] = set()
        frontier = [*self.step.neurons.values(), *self.step.outputs]
        self._users.update(frontier)
        while frontier:
            expr = frontier.pop()
            if expr not in seen:
                seen.add(expr)
                self._users.update(children(expr))
                frontier.extend(children(expr))
        self._modules = frozenset(path for path, _ in self.root.named_modules())
        self._membranes = self._read_membranes(seen)
        for source in self.step.inputs:
            if any(isinstance(e, In) and e.name == source.name for e in seen):
                self._node(self._input_path(source.name), Input(self.input_shapes[source.name]), "")
        for path in self.step.neurons:
            self._neuron(path)
        for path, expr in self.step.neurons.items():
            self._connect(self.terms(expr), path)
            self._feed_back(path)
        for number, expr in enumerate(self.step.outputs):
            path = "output" if len(self.step.outputs) == 1 else f"output_{number}"
            path = self._free(path)
            self._node(path, Output(self._known(expr)), "")
            self._connect(self.terms(expr), path)

    def _read_membranes(self, seen: set[Expr]) -> frozenset[str]:
        """Return the neurons of which only the membrane is used; refuse states that are used as signals otherwise."""
        roles: dict[str, set[str]] = {}
        for expr in seen:
            if isinstance(expr, Fired):
                roles.setdefault(expr.path, set()).add(expr.role)
        for path, used in roles.items():
            module = self.root.get_submodule(path)
            if "syn" in used or ("mem" in used and "spikes" in used):
                state = "syn" if "syn" in used else "mem"
                raise refusal(
                    "E026", path, f"{state} of this {class_name(module)} is used as a signal beside its spikes",
                    "use its spikes; states are recorded with --record-state", **{"class": class_name(module)},
                )  # fmt: skip
        return frozenset(path for path, used in roles.items() if used == {"mem"})

    def _neuron(self, path: str) -> Shape | None:
        """Read the neuron at *path* once its shape is known; return the shape, None inside a loop of shapes."""
        if path in self.readings:
            return self.readings[path].op.shape
        if path in self._open:
            return None
        self._open.add(path)
        shape = self.shape(self.step.neurons[path])
        self._open.discard(path)
        if shape is None:
            return None
        module = self.root.get_submodule(path)
        library = library_of(module)
        if library is None:  # tracing made it a neuron
            raise TypeError(path)
        reading = library.read(module, path, shape)
        op: Op = reading.op
        if path in self._membranes:
            if reading.membrane is None:
                raise refusal(
                    "E026", path, f"only the membrane of this {class_name(module)} is used, and it resets",
                    "return its spikes (the membrane is recorded with --record-state), or set reset_mechanism='none'",
                    **{"class": class_name(module)},
                )  # fmt: skip
            op = reading.membrane
        self.readings[path] = reading
        self._node(path, op, class_name(module))
        return shape

    def _feed_back(self, path: str) -> None:
        op = self.readings[path].feedback
        if op is not None:
            self._node(f"{path}.recurrent", op, class_name(self.root.get_submodule(f"{path}.recurrent")))
            # No delay of their own: the profile's feedback, with the recurrent bias at step 0.
            self._connect(((path, None),), f"{path}.recurrent")
            self._connect(((f"{path}.recurrent", None),), path)

    # Shapes, without batch and time; None where a loop leaves them open as yet.

    def shape(self, expr: Expr) -> Shape | None:
        """Return the shape of *expr*."""
        if expr not in self._shapes:
            found = self._infer(expr)
            if found is None:
                return None
            self._shapes[expr] = found
        return self._shapes[expr]

    def _infer(self, expr: Expr) -> Shape | None:
        if isinstance(expr, In):
            return self.input_shapes[expr.name]
        if isinstance(expr, Fired):
            return self._neuron(expr.path)
        if isinstance(expr, Layer):
            inner = self.shape(expr.arg)
            return None if inner is None else self._built(expr, inner)[1]
        if isinstance(expr, Call):
            shapes = [s for a in expr.args if (s := self.shape(a)) is not None]
            if not shapes or (expr.kind == "cat" and len(shapes) < len(expr.args)):
                return None
            return _call(expr, shapes)[1] if expr.kind != "add" else shapes[0]
        return None

    def _built(self, expr: Layer, shape: Shape) -> Built:
        """Return the op of a plain layer for an input of *shape*, and the shape that it gives."""
        if expr not in self._ops:
            module = self.root.get_submodule(expr.path)
            self._ops[expr] = LAYERS[type(module)](module, expr.path, shape)
        return self._ops[expr]

    def _known(self, expr: Expr) -> Shape:
        shape = self.shape(expr)
        if shape is None:
            raise refusal(
                "E024", "", "the shapes in a loop through several layers do not follow from the input",
                "put a Linear or a convolution between the input and the loop",
            )  # fmt: skip
        return shape

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
            self._known(expr)
            return ((expr.path, expr.step or None),)
        if isinstance(expr, Layer):
            return self._layer(expr)
        if isinstance(expr, Call) and expr.kind == "add":
            return self._add(expr)
        if isinstance(expr, Call) and expr.kind == "cat":
            return self._cat(expr)
        if isinstance(expr, Call):
            op = _call(expr, [self._known(expr.args[0])])[0]
            return self.terms(expr.args[0]) if op is None else self._stage(expr.kind, op, self.terms(expr.args[0]))
        raise refusal(
            "E023", "", f"{'zeros' if isinstance(expr, Zero) else 'a stack of steps'} is used as a signal", "see the forward"
        )

    def _layer(self, expr: Layer) -> tuple[Term, ...]:
        module = self.root.get_submodule(expr.path)
        inner = expr.arg
        if isinstance(module, NORMS) and isinstance(inner, Layer) and self._users[inner] == 1:
            front = self.root.get_submodule(inner.path)
            if isinstance(front, CONNECTIONS):
                built, _ = self._built(inner, self._known(inner.arg))
                folded = None if built is None else fold_norm(built, module)
                if folded is not None:
                    origin = f"{class_name(front)} with {class_name(module)} {expr.path}"
                    return self._stage(inner.path, folded, self.terms(inner.arg), origin)
        op, _ = self._built(expr, self._known(inner))
        return self.terms(inner) if op is None else self._stage(expr.path, op, self.terms(inner), class_name(module))

    def _add(self, expr: Call) -> tuple[Term, ...]:
        live = [a for a in expr.args if not isinstance(a, Zero)]
        shapes = {self._known(a) for a in live}
        if len(shapes) > 1:
            raise refusal("E027", "", f"a sum of signals of the shapes {sorted(shapes)}", "give both branches the same shape")
        parts = [self.terms(a) for a in live]
        if len(parts) == 2 and len(parts[1]) > 1:
            # a + (b + c) is (b + c) + a; with two sums a node holds one of them.
            first = parts[0] if len(parts[0]) == 1 else self._stage("add", Scale(np.ones(self._known(expr))), parts[0])
            parts = [parts[1], first]
        terms = parts[0]
        for term in (t for part in parts[1:] for t in part):
            if term in terms:
                term = self._stage("add", Scale(np.ones(self._known(expr))), (term,))[0]
            terms = (*terms, term)
        return terms

    def _cat(self, expr: Call) -> tuple[Term, ...]:
        shapes = [self._known(a) for a in expr.args]
        total, start = _call(expr, shapes)[1], 0
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


def _call(expr: Call, shapes: list[Shape]) -> tuple[Op | None, Shape]:
    """Return the op of a function with one signal (None passes it on), and the shape that it gives."""
    shape = shapes[0]
    if expr.kind == "scale":
        dtype, size, data = expr.options
        factor = np.frombuffer(data, dtype).reshape(size)
        try:
            factor = np.broadcast_to(factor[0] if factor.ndim == len(shape) + 1 and len(factor) == 1 else factor, shape)
        except ValueError:
            raise refusal(
                "E027", "", f"a factor of shape {size} does not fit a signal of {shape}", "give one factor, or one each"
            ) from None
        return Scale(factor.astype(np.float64) if factor.dtype.kind in "iub" else factor), shape
    if expr.kind == "flatten":
        return flatten(expr.options[0], expr.options[1], "", shape)
    if expr.kind == "avg_pool2d":
        return average("", shape, *expr.options)
    if expr.kind == "cat":
        rank = len(shape) + 1
        if expr.options[0] % rank != 1 or any(s[1:] != shape[1:] for s in shapes) or rank > 4:
            raise refusal(
                "E023", "", f"cat of {shapes} along axis {expr.options[0]}: only channels or features (axis 1) are joined",
                "use dim=1",
            )  # fmt: skip
        return None, (sum(s[0] for s in shapes), *shape[1:])
    return _view(expr, shape)


def _view(expr: Call, shape: Shape) -> tuple[Op | None, Shape]:
    sizes, whole = expr.options, math.prod(shape)
    rest = sizes[1:]
    if sizes and sizes[0] in ("batch", -1) and "batch" not in rest:
        known = math.prod(s for s in rest if s != -1)
        filled = tuple(whole // known if s == -1 else s for s in rest) if known else ()
        if filled == shape and not (sizes[0] == -1 and -1 in rest):
            return None, shape
        if filled == (whole,):
            return flatten(1, -1, "", shape)
    raise refusal(
        "E023", "", f"view{sizes} of a signal of {shape}: only flattening all but the batch is a node", "use nn.Flatten()"
    )
