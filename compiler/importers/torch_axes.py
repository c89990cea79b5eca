"""The axes of every signal, and the reading of every neuron for the population that its axes make it.

A signal has its lead (batch, time, ...) and the shape behind it (``torch_call.Sized``): a layer that is given steps where it
takes samples is refused. Loops are walked until a layer with a shape of its own is met.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from spikeport.compiler.importers.torch_call import Sized, call, flatten_behind, merged, wrong_lead
from spikeport.compiler.importers.torch_expr import Call, Expr, Fired, In, Late, Layer
from spikeport.compiler.importers.torch_layers import ANY_LEAD, LAYERS, MAX_POOLS, layer_class, max_pool
from spikeport.compiler.importers.torch_library import (
    MERGED,
    STEP,
    Lead,
    Library,
    NeuronReading,
    class_name,
    library_of,
    plain_of,
    refusal,
)
from spikeport.compiler.importers.torch_step import Step
from spikeport.ir.ops import Op, Shape

#: A length that most numbers of samples and steps divide.
_MERGED_LENGTH = 2**8 * 3**4 * 5**3 * 7**2 * 11 * 13


@dataclass(slots=True)
class Axes:
    """What is known of signals and neurons; each is asked once.

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
    readings: dict[str, NeuronReading] = field(default_factory=dict)
    membranes: frozenset[str] = frozenset()
    mergers: dict[str, tuple[str, int]] = field(default_factory=dict)
    _sized: dict[Expr, Sized] = field(default_factory=dict)
    _ops: dict[Expr, tuple[Op | None, Sized]] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.membranes = self._read_membranes(self.step.expressions())

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

    def neuron(self, path: str) -> Sized | None:
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
        if lead == MERGED:
            self._check_merger(path, module, library)
        reading = library.read(module, path, entered.shape)
        if path in self.membranes and reading.membrane is None:
            raise refusal(
                "E026", path, f"only the membrane of this {class_name(module)} is used, and it resets",
                "return its spikes (the membrane is recorded with --record-state), or set reset_mechanism='none'",
                **{"class": class_name(module)},
            )  # fmt: skip
        self.readings[path] = reading
        return Sized(lead, reading.op.shape)

    def _check_merger(self, path: str, module: Any, library: Library) -> None:
        """Refuse layers that take one merged axis apart into other numbers of samples, or of steps."""
        once, twice = (library.merged(module, n * _MERGED_LENGTH) for n in (1, 2))
        for axis, word in enumerate(("samples", "steps")):
            if once[axis] != twice[axis]:
                continue  # it follows from the length
            first, number = self.mergers.setdefault(word, (path, once[axis]))
            if number != once[axis]:
                raise refusal(
                    "E032", path, f"this {class_name(module)} takes batch*time apart into {once[axis]} {word}, {first} into "
                    f"{number}", "give all of them the same batch_size or num_timesteps",
                )  # fmt: skip

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
            return self.neuron(expr.path)
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
            if inner is None:
                # In a loop, which is one of steps: what a Linear gives does not hang on what it takes.
                module = self.root.get_submodule(expr.path)
                return Sized(STEP, (int(module.out_features),)) if isinstance(module, nn.Linear) else None
            return self.built(expr, inner)[1]
        if isinstance(expr, Call):
            sized = [s for a in expr.args if (s := self.sized(a)) is not None]
            if not sized or (expr.kind == "cat" and len(sized) < len(expr.args)):
                return None
            return sized[0] if expr.kind == "add" else self.called(expr, sized)[1]
        return None

    def called(self, expr: Call, sized: list[Sized]) -> tuple[Op | None, Sized]:
        """Return the op of a function (None passes its signal on), and the axes that it gives."""
        if expr.kind == "max_pool2d":
            if len(sized[0].lead) != 1:
                raise wrong_lead("", "max_pool2d", sized[0], STEP)
            op, shape = max_pool("", sized[0].shape, *expr.options)
            return op, Sized(sized[0].lead, shape)
        return call(expr, sized, self.sized)

    def built(self, expr: Layer, entered: Sized) -> tuple[Op | None, Sized]:
        """Return the op of a plain layer for an input with these axes, and the axes that it gives."""
        if expr not in self._ops:
            self._ops[expr] = self._build(self.root.get_submodule(expr.path), expr.path, entered)
            taken = self._sized.get(expr)
            if taken is not None and taken != self._ops[expr][1]:
                raise refusal(
                    "E024", expr.path, f"this {class_name(self.root.get_submodule(expr.path))} in a loop was taken to give "
                    f"{taken}, and gives {self._ops[expr][1]}", "flatten the signal in front of it",
                )  # fmt: skip
        return self._ops[expr]

    def _build(self, module: Any, path: str, entered: Sized) -> tuple[Op | None, Sized]:
        plain = plain_of(module)
        if plain is not None:
            fits = plain.lead == entered.lead if plain.lead is not None else len(entered.lead) == 1
            # One step's layers that act on each value, or on the last axis, take all steps as well.
            if not fits and not (plain.lead in (None, STEP) and isinstance(module, tuple(ANY_LEAD))):
                raise wrong_lead(path, f"this {class_name(module)}", entered, plain.lead or STEP)
            op, shape = plain.build(module, path, entered.shape)
            return op, Sized(plain.gives or entered.lead, shape)
        kind = layer_class(module)
        if kind is None:  # refused before
            raise TypeError(path)
        if kind is nn.Flatten:
            if len(entered.lead) == 2 and (module.start_dim, module.end_dim) == (0, 1):
                return None, Sized(merged(entered), entered.shape)
            return flatten_behind(module.start_dim, module.end_dim, path, entered)
        if len(entered.lead) != 1 and kind not in ANY_LEAD:
            raise wrong_lead(path, f"this {class_name(module)}", entered, STEP)
        op, shape = LAYERS[kind](module, path, entered.shape)
        return op, Sized(entered.lead, shape)

    def known(self, expr: Expr) -> Sized:
        """Return the axes of *expr*; raise E024 where a loop leaves them open."""
        shape = self.sized(expr)
        if shape is None:
            raise refusal(
                "E024", "", "the shapes in a loop through several layers do not follow from the input",
                "put a Linear or a convolution between the input and the loop",
            )  # fmt: skip
        return shape

    def is_binary(self, expr: Expr) -> bool:
        """Whether *expr* is 0 or 1 in every step."""
        if isinstance(expr, Fired):
            reading = self.readings[expr.path]
            single = reading.op.is_spiking and reading.op.extras.spike_amplitude is None
            return single and reading.fields.get("reset") != "multi_subtract" and expr.role == "spikes"
        if isinstance(expr, Late):
            return self.is_binary(expr.arg)
        if isinstance(expr, Layer):
            module = self.root.get_submodule(expr.path)
            passes = self.built(expr, self.known(expr.arg))[0] is None or isinstance(module, (nn.Flatten, *MAX_POOLS))
            return passes and self.is_binary(expr.arg)
        passing = (
            "cat",
            "flatten",
            "view",
            "step",
            "sequence",
            "permute",
            "transpose",
            "unflatten",
            "max_pool2d",
            "relu",
            "at",
        )
        return isinstance(expr, Call) and expr.kind in passing and all(map(self.is_binary, expr.args))
