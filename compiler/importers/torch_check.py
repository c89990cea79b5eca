"""The check of an import on a sample: the module and its graph run side by side, and part nowhere.

A copy of the module runs in double precision, from rest, and every neuron's output is compared with the reference run of
the graph. In double precision the two differ by the order of sums only, some 1e-16 of the membrane: a differing spike
whose membrane lies that near to the threshold is a tie and a warning; any other is an error that says where and when.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from spikeport.compiler.importers.torch_build import Builder
from spikeport.compiler.importers.torch_divergence import compared
from spikeport.compiler.importers.torch_expr import Call
from spikeport.compiler.importers.torch_library import Lead, home_of, library_of, refusal
from spikeport.compiler.importers.torch_step import Step
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.graph import Graph
from spikeport.ir.network import build_network
from spikeport.ir.ops import Array
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

#: Steps for which a sample of one step is held.
HELD_STEPS = 32


def check_sample(
    root: Any, twin: Any, graph: Graph, built: Builder, sample: Any, time_axis: int | None
) -> tuple[Diagnostic, ...]:
    """Run *twin* and *graph* on *sample*; return a warning where they differ in ties only.

    Where the module is in single precision, a note tells whether it gives other spikes in it than in double precision.

    Parameters
    ----------
    root : torch.nn.Module
        The module itself; it is left as it was.
    twin : torch.nn.Module
        A copy of the module that :func:`twin_of` made; it is run, and hooks are put on it.
    graph : Graph
        Its import.
    built : Builder
        How the forward was read.
    sample : array or tensor, or dict of them by argument
        What the forward takes; for one step, the same input is held for ``HELD_STEPS`` steps.
    time_axis : int or None
        Axis of the sample that counts steps, for a forward of one step.

    Raises
    ------
    ImportModelError
        E033 where the module cannot run on the sample, E034 with the first divergence.
    """
    step = built.step
    given = sample if isinstance(sample, Mapping) else {s.name: sample for s in step.inputs}
    values = {name: torch.as_tensor(np.asarray(_plain(value))) for name, value in given.items()}
    run = _Run(twin, step, built.axes.lead, built.axes.membranes)
    run.advance({n: v.double() for n, v in values.items()}, time_axis)
    inputs = {_input_node(graph, step, name): x for name, x in run.inputs.items()}
    network = build_network(graph, graph.profile) if graph.profile is not None else None
    if network is None:
        return ()  # no neuron: nothing that a step could change
    recorded = tuple(p for p in network.schedule.order if p in step.neurons)
    trace = run_reference(network, inputs, Recording(paths=recorded))
    theirs = {p: run.output(p) for p in recorded}
    found = compared(network, inputs, trace, theirs)
    kinds = {t.dtype for t in root.parameters() if t.is_floating_point()}
    if found or kinds != {torch.float32}:
        return found
    single = _Run(twin_of(root, step, torch.float32), step, built.axes.lead, built.axes.membranes, torch.float32)
    single.advance({n: v.float() for n, v in values.items()}, time_axis)
    spiking = {p: x for p, x in theirs.items() if network.models[p].threshold is not None}
    return _in_single(spiking, {p: single.output(p) for p in spiking})


def _in_single(double: Mapping[str, Array], single: Mapping[str, Array]) -> tuple[Diagnostic, ...]:
    """Return a note on where a module spikes otherwise in single precision than in double."""
    differing = {p: double[p] != single[p] for p in double}
    count = sum(int(np.count_nonzero(d)) for d in differing.values())
    if not count:
        return ()
    first = min(((int(np.argwhere(d)[:, 1].min()), n, p) for n, (p, d) in enumerate(differing.items()) if d.any()))
    return (
        Diagnostic(
            "E038", first[2], f"in its own single precision the module gives {count:,} spikes otherwise than in double, first "
            f"here in step {first[0]}: sums fall on either side of a threshold", "run with --arith float32 to follow it "
            "more closely; a run in double precision, the default, is the same as the module's after .double()",
            {"differing": count, "step": first[0]}, "note",
        ),
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return (
        value.detach().cpu().float()
        if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
        else (value.detach().cpu() if isinstance(value, torch.Tensor) else value)
    )


def _input_node(graph: Graph, step: Step, name: str) -> str:
    path = "input" if len(step.inputs) == 1 else name
    return path if path in graph.inputs else f"{path}_in"


def twin_of(root: Any, step: Step, dtype: Any = torch.float64) -> Any:
    """Return a copy of *root* in double precision (or *dtype*) and eval mode, its neurons at rest.

    Decays that a module computes in every call are other numbers in double precision: the twin is to be imported anew, and
    its own import compared with it.
    """
    # A state of the last run hangs on its gradient, and some classes copy themselves in their own way (or fail to).
    memo: dict[int, Any] = {}
    for module in root.modules():
        for value in _tensors(list(module.__dict__.values())):
            if value.grad_fn is not None:
                memo[id(value)] = value.detach().clone()
    own = [module for module in root.modules() if hasattr(type(module), "__deepcopy__")]
    memo |= {id(module): object.__new__(type(module)) for module in own}
    for module in own:
        memo[id(module)].__dict__.update(copy.deepcopy(module.__dict__, memo))
    net = copy.deepcopy(root, memo).eval()
    for path, module in net.named_modules():
        library = home_of(module)
        if library is not None and (path in step.neurons or library.inside(module) is not None):
            library.reset(module)
    for module in net.to(dtype).modules():
        for name, value in module.__dict__.items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                module.__dict__[name] = value.to(dtype)  # a weight that was given as a plain tensor
    return net


def _tensors(items: Any) -> list[Any]:
    found = []
    for item in items:
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, (list, tuple)):
            found += _tensors(item)
        elif isinstance(item, dict):
            found += _tensors(item.values())
    return found


@dataclass(slots=True)
class _Run:
    """A run of the module's copy: what entered, and what every neuron gave, step by step."""

    net: Any
    step: Step
    lead: Lead
    membranes: frozenset[str]
    dtype: Any = torch.float64
    inputs: dict[str, Array] = field(default_factory=dict)
    given: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in self.step.neurons:
            self.net.get_submodule(path).register_forward_hook(self._watch(path))
        for layer in self.net.modules():
            if not any(True for _ in layer.children()) or library_of(layer) is not None:
                # Surrogates and fresh states are float32 in some libraries, whatever the module is.
                layer.register_forward_pre_hook(partial(_cast, self.dtype))

    def _watch(self, path: str) -> Any:
        library = library_of(self.net.get_submodule(path))
        names = () if library is None else library.results(self.net.get_submodule(path))
        # A neuron that an integrator stands for gives spikes first; an integrator of the library gives its membrane.
        place = names.index("mem") if path in self.membranes and "mem" in names else 0

        def hook(module: Any, args: Any, result: Any) -> None:
            value = result[place] if isinstance(result, (tuple, list)) else result
            self.given.setdefault(path, []).append(value.detach().double().numpy().copy())

        return hook

    def advance(self, values: Mapping[str, torch.Tensor], time_axis: int | None) -> None:
        """Run the module over all steps."""
        sliced = {s.name: s.axis for s in self.step.inputs for s in self.step.slices(s.name) if s.index is not None}
        by_step = self.lead == ("batch",) and not sliced and self.step.steps == 1 and not self._holds()
        if time_axis is not None and not by_step:
            raise refusal(
                "E033", "", f"time_axis={time_axis} is for a forward of one step, and this one takes all steps",
                "leave it out: the sample is what the forward takes",
            )  # fmt: skip
        with torch.no_grad():
            if not by_step:
                self._call(dict(values))
                steps = self.output(next(iter(self.step.neurons))).shape[1]
                for name, value in values.items():
                    if self.lead == ("batch",) and name not in sliced:
                        # The forward holds it for all steps.
                        self.inputs[name] = np.repeat(value.numpy()[:, None], steps, axis=1)
                        continue
                    lead = (("time", "batch") if sliced[name] == 0 else ("batch", "time")) if name in sliced else self.lead
                    self.inputs[name] = self._steps_second(value.numpy(), lead)
                return
            if time_axis is None:
                frames = {name: [value] * HELD_STEPS for name, value in values.items()}
            else:
                frames = {name: list(value.unbind(time_axis)) for name, value in values.items()}
            states = self._initial()
            for t in range(min(map(len, frames.values()))):
                returned = self._call({name: frame[t] for name, frame in frames.items()} | states)
                states = {name: _found(name, self.step, returned) for name in states}
            self.inputs = {name: np.stack([f.numpy() for f in frame], axis=1) for name, frame in frames.items()}

    def _holds(self) -> bool:
        """Whether the forward repeats its input along time."""
        return any(isinstance(e, Call) and e.kind in ("repeat", "expand") for e in self.step.expressions())

    def _call(self, arguments: dict[str, Any]) -> Any:
        try:
            names = list(arguments)
            if len(names) == 1:
                return self.net(arguments[names[0]])
            return self.net(**arguments)
        except Exception as error:
            shapes = {n: tuple(a.shape) for n, a in arguments.items() if isinstance(a, torch.Tensor)}
            raise refusal(
                "E033", "", f"the module itself cannot run on this sample of {shapes}: {type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else ''}", "give a sample that module(sample) takes",
            ) from error  # fmt: skip

    def _initial(self) -> dict[str, Any]:
        """Return what the state arguments of a forward of one step are before the first: None, or lists and dicts of it."""
        parameters = inspect.signature(type(self.net).forward).parameters
        found: dict[str, Any] = {}
        for state in self.step.states:
            base, *keys = parts(state)
            default = parameters[base].default if base in parameters else inspect.Parameter.empty
            if default is None or any(key.startswith(".") for key in keys):
                found[base] = None
            else:
                found[base] = _with_none(found.get(base), keys)
        return found

    def _steps_second(self, value: Array, lead: Lead, path: str = "") -> Array:
        """Return an array with samples first and steps second."""
        if lead == ("time", "batch"):
            return np.swapaxes(value, 0, 1)
        if lead == ("all",):
            first = path or next(iter(self.step.neurons))
            module = self.net.get_submodule(first)
            library = library_of(module)
            if library is None:
                raise TypeError(first)
            return value.reshape(*library.merged(module, len(value)), *value.shape[1:])
        return value

    def output(self, path: str) -> Array:
        """Return what the neuron at *path* gave, (samples, steps, *shape)."""
        module = self.net.get_submodule(path)
        library = library_of(module)
        lead = ("batch",) if library is None else library.lead(module)
        if lead == ("batch",):
            return np.stack(self.given[path], axis=1)
        return np.concatenate([self._steps_second(a, lead, path) for a in self.given[path]], axis=1)


def parts(state: str) -> list[str]:
    """Return ``state[0].v`` as its argument and the ways into it: ``["state", "0", ".v"]``; ``"0"`` and ``"a"`` are items."""
    found = re.findall(r"^[^.\[]+|\.[^.\[]+|\[[^\]]*\]", state)
    return [key[1:-1] if key.startswith("[") else key for key in found]


def _with_none(held: Any, keys: list[str]) -> Any:
    """Return *held* with None where *keys* lead to, lists and dicts made on the way."""
    if not keys:
        return None
    if keys[0].isdigit():
        items = list(held or [])
        items += [None] * (int(keys[0]) + 1 - len(items))
        items[int(keys[0])] = _with_none(items[int(keys[0])], keys[1:])
        return items
    return {**(held or {}), keys[0]: _with_none((held or {}).get(keys[0]), keys[1:])}


def _cast(dtype: Any, module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    def cast(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return value.to(dtype)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(cast, value))
        return value

    return tuple(map(cast, args))


def _found(name: str, step: Step, returned: Any) -> Any:
    """Return the part of what a forward returned that the state argument *name* is handed next."""
    wanted = {tuple(keys): fired for state, fired in step.states.items() for base, *keys in [parts(state)] if base == name}
    pairs = [(step.returned, returned)]
    while pairs:
        expr, value = pairs.pop(0)
        if all(_dig(expr, keys) == fired for keys, fired in wanted.items()):
            return value
        if isinstance(expr, (list, tuple)) and isinstance(value, (list, tuple)):
            pairs += zip(expr, value, strict=False)
        elif isinstance(expr, dict) and isinstance(value, dict):
            pairs += [(expr[k], value[k]) for k in expr if k in value]
    raise refusal(
        "E033", "", f"the forward takes the state {name!r}, and what it returns holds no such state to hand on",
        "return the states that the forward takes, in the same form, or import without a sample (input_shape=...)",
    )  # fmt: skip


def _dig(expr: Any, keys: tuple[str, ...]) -> Any:
    """Return the part of a structure of expressions that *keys* lead to; None where there is none."""
    for key in keys:
        if key.startswith("."):
            expr = getattr(expr, key[1:], None)
        elif isinstance(expr, dict):
            expr = expr.get(key)
        elif isinstance(expr, (list, tuple)) and key.isdigit() and int(key) < len(expr):
            expr = expr[int(key)]
        else:
            return None
    return expr
