"""From one time step to a graph: a node for each layer, sums as edges in the order of the module's own additions.

Every signal is known with its axes, those in front included (``torch_call.Sized``): a layer that is given steps where it
takes samples is refused. In the graph they leave no trace: a node sees one step of one sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from spikeport.compiler.importers.torch_call import Sized, call, flatten_behind, wrong_lead
from spikeport.compiler.importers.torch_expr import Call, Expr, Fired, In, Late, Layer, Part, Zero, children
from spikeport.compiler.importers.torch_layers import ANY_LEAD, CONNECTIONS, LAYERS, MAX_POOLS, NORMS, fold_norm, max_pool
from spikeport.compiler.importers.torch_library import STEP, Lead, NeuronReading, class_name, library_of, plain_of, refusal
from spikeport.compiler.importers.torch_step import Step
from spikeport.ir.graph import Edge, Node
from spikeport.ir.ops import Conv1d, Conv2d, Input, Linear, Op, Output, Scale, Shape, SumPool2d, Threshold

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
    lead : tuple of str
        What stands in front of these where an argument is taken whole.
    """

    root: Any
    step: Step
    input_shapes: Mapping[str, Shape]
    lead: Lead = STEP
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    readings: dict[str, NeuronReading] = field(default_factory=dict)
    readouts: list[str] = field(default_factory=list)
    _sized: dict[Expr, Sized] = field(default_factory=dict)
    _terms: dict[Expr, tuple[Term, ...]] = field(default_factory=dict)
    _ops: dict[Expr, tuple[Op | None, Sized]] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _users: Counter[Expr] = field(default_factory=Counter)
    membranes: frozenset[str] = frozenset()
    _modules: frozenset[str] = frozenset()

    def build(self) -> None:
        """Fill ``nodes``, ``edges`` and ``readings``.

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
        self.membranes = self._read_membranes(seen)
        for source in self.step.inputs:
            if any(isinstance(e, In) and e.name == source.name for e in seen):
                self._node(self._input_path(source.name), Input(self.input_shapes[source.name]), "")
        for path in self.step.neurons:
            self._neuron(path)
        for path, expr in self.step.neurons.items():
            self._feed(path, self.terms(expr))
            self._feed_back(path)
        for number, item in enumerate(self.step.outputs):
            expr = self._readout(item)
            path = "output" if len(self.step.outputs) == 1 else f"output_{number}"
            path = self._free(path)
            self._node(path, Output(self._known(expr).shape), "")
            self._connect(self.terms(expr), path)

    def _readout(self, expr: Expr) -> Expr:
        """Return *expr* without a sum or mean over all steps at its end, which ``readouts`` then tells of."""
        whole, factor = expr, ""
        if isinstance(expr, Call) and expr.kind == "scale" and isinstance(expr.args[0], Call):
            factor, expr = ", times a constant", expr.args[0]
        if not (isinstance(expr, Call) and expr.kind == "over_time"):
            return whole
        kind, dim = expr.options
        sized = self._known(expr.args[0])
        if dim is not None and (not -len(sized.lead) - len(sized.shape) <= dim < len(sized.lead) or sized.lead[dim] != "time"):
            raise refusal(
                "E023", "", f"the forward ends with the {kind} of {sized} over axis {dim}, which is not time",
                "put what follows the last spikes outside the module",
            )  # fmt: skip
        self.readouts.append(f"{kind} over all steps{factor}")
        return expr.args[0]

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

    def _neuron(self, path: str) -> Sized | None:
        """Read the neuron at *path* once its shape is known; return its axes, None inside a loop of shapes."""
        module = self.root.get_submodule(path)
        library = library_of(module)
        if library is None:  # tracing made it a neuron
            raise TypeError(path)
        lead = library.lead(module)
        if path in self.readings:
            return Sized(lead, self.readings[path].op.shape)
        if path in self._open:
            return None
        self._open.add(path)
        entered = self.sized(self.step.neurons[path])
        self._open.discard(path)
        if entered is None:
            return None
        if entered.lead != lead:
            raise wrong_lead(path, f"this {class_name(module)}", entered, lead)
        reading = library.read(module, path, entered.shape)
        op: Op = reading.op
        if path in self.membranes:
            if reading.membrane is None:
                raise refusal(
                    "E026", path, f"only the membrane of this {class_name(module)} is used, and it resets",
                    "return its spikes (the membrane is recorded with --record-state), or set reset_mechanism='none'",
                    **{"class": class_name(module)},
                )  # fmt: skip
            op = reading.membrane
        self.readings[path] = reading
        self._node(path, op, class_name(module))
        return Sized(lead, reading.op.shape)

    def _feed(self, path: str, terms: tuple[Term, ...]) -> None:
        """Connect what enters the neuron at *path*, through the connection that its module holds, if it holds one."""
        reading = self.readings[path]
        if reading.front is not None:
            name, op = reading.front
            self._node(f"{path}.{name}", op, f"{name} of {class_name(self.root.get_submodule(path))}")
            self._connect(terms, f"{path}.{name}")
            terms = ((f"{path}.{name}", None),)
        self._connect(_waiting(terms, reading.wait), path)

    def _feed_back(self, path: str) -> None:
        reading = self.readings[path]
        if reading.feedback is not None:
            inner = f"{path}.{reading.feedback_name}"
            self._node(inner, reading.feedback, f"{reading.feedback_name} of {class_name(self.root.get_submodule(path))}")
            # Without a delay of their own: the profile's feedback, with the recurrent bias at step 0 where it says so.
            self._connect(((path, reading.feedback_delay),), inner)
            self._connect(((inner, None),), path)

    # Axes; None where a loop leaves them open as yet.

    def sized(self, expr: Expr) -> Sized | None:
        """Return the axes of *expr*."""
        if expr not in self._sized:
            found = self._infer(expr)
            if found is None:
                return None
            self._sized[expr] = found
        return self._sized[expr]

    def _infer(self, expr: Expr) -> Sized | None:
        if isinstance(expr, In):
            return Sized(self.lead if expr.index is None else STEP, self.input_shapes[expr.name])
        if isinstance(expr, Fired):
            return self._neuron(expr.path)
        if isinstance(expr, Late):
            inner = self.sized(expr.arg)
            if inner is not None and inner.lead != STEP:
                raise refusal(
                    "E031", "", f"a signal of the shape {inner} is kept for the next call, where a call has several steps",
                    "keep values from step to step inside a loop over time", got=inner.lead,
                )  # fmt: skip
            return inner
        if isinstance(expr, Layer):
            inner = self.sized(expr.arg)
            return None if inner is None else self._built(expr, inner)[1]
        if isinstance(expr, Call):
            sized = [s for a in expr.args if (s := self.sized(a)) is not None]
            if not sized or (expr.kind == "cat" and len(sized) < len(expr.args)):
                return None
            return sized[0] if expr.kind == "add" else self._called(expr, sized)[1]
        return None

    def _called(self, expr: Call, sized: list[Sized]) -> tuple[Op | None, Sized]:
        if expr.kind == "max_pool2d":
            if len(sized[0].lead) != 1:
                raise wrong_lead("", "max_pool2d", sized[0], STEP)
            op, shape = max_pool("", sized[0].shape, *expr.options)
            return op, Sized(sized[0].lead, shape)
        return call(expr, sized, self.sized)

    def _built(self, expr: Layer, entered: Sized) -> tuple[Op | None, Sized]:
        """Return the op of a plain layer for an input with these axes, and the axes that it gives."""
        if expr not in self._ops:
            self._ops[expr] = self._build(self.root.get_submodule(expr.path), expr.path, entered)
        return self._ops[expr]

    def _build(self, module: Any, path: str, entered: Sized) -> tuple[Op | None, Sized]:
        plain = plain_of(module)
        if plain is not None:
            if plain.lead != entered.lead if plain.lead is not None else len(entered.lead) != 1:
                raise wrong_lead(path, f"this {class_name(module)}", entered, plain.lead or STEP)
            op, shape = plain.build(module, path, entered.shape)
            return op, Sized(plain.gives or entered.lead, shape)
        if type(module) is nn.Flatten:
            if len(entered.lead) == 2 and (module.start_dim, module.end_dim) == (0, 1):
                return None, Sized(("all",), entered.shape)
            return flatten_behind(module.start_dim, module.end_dim, path, entered)
        if len(entered.lead) != 1 and type(module) not in ANY_LEAD:
            raise wrong_lead(path, f"this {class_name(module)}", entered, STEP)
        op, shape = LAYERS[type(module)](module, path, entered.shape)
        return op, Sized(entered.lead, shape)

    def _known(self, expr: Expr) -> Sized:
        shape = self.sized(expr)
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
        if isinstance(expr, Late):
            self._known(expr)
            return _waiting(self.terms(expr.arg), expr.steps)
        if isinstance(expr, Layer):
            return self._layer(expr)
        if isinstance(expr, Call) and expr.kind == "add":
            return self._add(expr)
        if isinstance(expr, Call) and expr.kind == "cat":
            return self._cat(expr)
        if isinstance(expr, Call):
            op = self._called(expr, [self._known(expr.args[0])])[0]
            if expr.kind == "relu" and not self._is_binary(expr.args[0]):
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
                built, _ = self._built(inner, self._known(inner.arg))
                folded = None if built is None else fold_norm(built, module)
                if folded is not None:
                    origin = f"{class_name(front)} with {class_name(module)} {expr.path}"
                    return self._stage(inner.path, folded, self.terms(inner.arg), origin)
        op, _ = self._built(expr, self._known(inner))
        if isinstance(module, MAX_POOLS):
            return self._maximum(expr.path, op, inner, expr, class_name(module))
        return self.terms(inner) if op is None else self._stage(expr.path, op, self.terms(inner), class_name(module))

    def _maximum(self, path: str, op: Op | None, inner: Expr, expr: Expr, origin: str) -> tuple[Term, ...]:
        """Add the largest of a window of spikes: 1 where their sum is above 0."""
        if not isinstance(op, SumPool2d) or not self._is_binary(inner):
            raise refusal(
                "E021", path, "a maximum over a window is a node only over spikes of 0 or 1; here it is given other values",
                "put it right behind a neuron that gives one spike of value 1 at most, or use AvgPool2d",
            )  # fmt: skip
        terms = self._stage(f"{path}.sum", op, self.terms(inner))
        return self._stage(path, Threshold(np.full(self._known(expr).shape, 0.5)), terms, origin)

    def _is_binary(self, expr: Expr) -> bool:
        """Whether *expr* is 0 or 1 in every step."""
        if isinstance(expr, Fired):
            reading = self.readings[expr.path]
            single = reading.op.is_spiking and reading.op.extras.spike_amplitude is None
            return single and reading.fields.get("reset") != "multi_subtract" and expr.role == "spikes"
        if isinstance(expr, Late):
            return self._is_binary(expr.arg)
        if isinstance(expr, Layer):
            module = self.root.get_submodule(expr.path)
            passes = self._built(expr, self._known(expr.arg))[0] is None or isinstance(module, (nn.Flatten, *MAX_POOLS))
            return passes and self._is_binary(expr.arg)
        passing = ("cat", "flatten", "view", "step", "sequence", "permute", "transpose", "unflatten", "max_pool2d", "relu")
        return isinstance(expr, Call) and expr.kind in passing and all(map(self._is_binary, expr.args))

    def _add(self, expr: Call) -> tuple[Term, ...]:
        live = [a for a in expr.args if not isinstance(a, Zero)]
        shapes = {self._known(a) for a in live}
        if len(shapes) > 1:
            texts = ", ".join(sorted(map(str, shapes)))
            raise refusal("E027", "", f"a sum of signals of the shapes {texts}", "give both branches the same shape")
        parts = [self.terms(a) for a in live]
        if len(parts) == 2 and len(parts[1]) > 1:
            # a + (b + c) is (b + c) + a; with two sums a node holds one of them.
            first = parts[0] if len(parts[0]) == 1 else self._stage("add", Scale(np.ones(self._known(expr).shape)), parts[0])
            parts = [parts[1], first]
        terms = parts[0]
        for term in (t for part in parts[1:] for t in part):
            if term in terms:
                term = self._stage("add", Scale(np.ones(self._known(expr).shape)), (term,))[0]
            terms = (*terms, term)
        return terms

    def _cat(self, expr: Call) -> tuple[Term, ...]:
        sized = [self._known(a) for a in expr.args]
        total, start = self._called(expr, sized)[1].shape, 0
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
