"""From a step network to its form in Brian2: which groups and projections there are, and in which order a step visits them.

A node's group works at the node's place in the schedule, so that spikes cross a whole feed-forward network within a step;
its projections deliver right after it. A weighted node without a group of its own is an accumulator in the group that it
feeds. Values of former steps come from delay lines, which work before everything else. Flatten, and an output with one way
in, are other names of what they show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spikeport.backends.brian2.form import Call, Form, Group, Projection
from spikeport.backends.brian2.statements import STEP, Text, neuron
from spikeport.backends.brian2.where import Ref, Where
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import (
    Affine,
    Array,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Linear,
    Scale,
    SumPool2d,
    Threshold,
)
from spikeport.ir.trace import Recording


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A network laid out.

    Parameters
    ----------
    form : Form
        Its objects.
    values : Mapping[str, array]
        What a run sets: ``OBJECT.VARIABLE``, flat.
    places : Mapping[str, str]
        Group of each node that has one.
    shown : Mapping[str, Ref]
        What every node shows: its own value, or that of another some steps late.
    entering : Mapping[str, Ref]
        What enters each weighted node.
    given : tuple of (call, path, delay)
        Which input each input function reads, and how many steps late.
    """

    form: Form
    values: Mapping[str, Array]
    places: Mapping[str, str]
    shown: Mapping[str, Ref]
    entering: Mapping[str, Ref]
    given: tuple[tuple[str, str, int], ...]


def lay_out(
    network: StepNetwork, recording: Recording, name_of: Callable[[str, int], str] | None = None, copies: int = 1
) -> Layout:
    """Return the layout of *network* for *recording*.

    Parameters
    ----------
    network : StepNetwork
        What to run.
    recording : Recording
        Decides which groups are monitored.
    name_of : callable, optional
        Name of the object of a path, given path and number; by default the number alone, so that programs are shared.
    copies : int
        Of every population, side by side; more than 1 in the mode numpy only.
    """
    return _Draft(
        network, recording, name_of or (lambda path, number: f"n{number}"), copies, Where(network, recording)
    ).finish()


@dataclass(slots=True)
class _Draft:
    network: StepNetwork
    recording: Recording
    name_of: Callable[[str, int], str]
    copies: int
    where: Where
    groups: list[Group] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    values: dict[str, Array] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # of nodes, of sums "PATH+", of delayed values "PATH@2"
    given: list[tuple[str, str, int]] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)  # groups that feed projections
    late: dict[Ref, str] = field(default_factory=dict)

    def finish(self) -> Layout:
        """Lay out all nodes in the order of a step."""
        for path in self.network.schedule.order:
            if self.where.has_group(path):
                self._node(path)
        for path in self.network.graph.inputs:
            if path in {e.source for e in self.network.graph.edges}:
                self._input((path, 0))
        groups = []
        for group in self.groups:
            nodes = {path for path, name in self.places.items() if name == group.name} - set(self.network.graph.inputs)
            records = bool(nodes & self.where.watched)
            groups.append(replace(group, emits=records or group.name in self.heard, records=records))
        groups.sort(key=lambda g: (g.slot != "start", g.order))
        at = {g.name: (g.slot, g.order + 2) for g in groups}
        projections = [replace(p, slot=at[p.source][0], order=at[p.source][1]) for p in self.projections]
        form = Form(tuple(groups), tuple(projections))
        return Layout(form, self.values, self.places, self.where.shown, self.where.entering, tuple(self.given))

    # ---------------------------------------------------------------------------------------------------- the groups

    def _node(self, path: str) -> None:
        op, shapes = self.network.graph[path].op, self.network.shapes
        text, calls = Text(), []
        links: dict[str, str] = {}
        size = math.prod(shapes.output[path])
        if self.where.sums(path):
            current = self._sum(path, path, text, links)
            if path in self.network.models:
                neuron(self.network.models[path], text, current)
            elif path in self.network.delays:
                lags = self.network.delays[path]
                calls = [
                    Call(
                        f"past_{self._name(path)}",
                        "delay",
                        "",
                        "",
                        {"depth": int(lags.max(initial=0)) + 1, "n": size * self.copies},
                    )
                ]
                text.values["lag"] = np.asarray(lags, np.float64).reshape(-1)
                text.say(STEP, f"y = {calls[0].name}(i, {current}, step, lag)")
            elif isinstance(op, Threshold):
                limit = text.parameter("threshold", np.broadcast_to(self.network.ops[path].parameters()["threshold"],
                                                                    shapes.output[path]))  # fmt: skip
                text.say(f"y = if_else({current} > {limit}, 1, 0)")
            elif isinstance(op, Scale):
                factor = np.broadcast_to(self.network.ops[path].parameters()["scale"], shapes.output[path])
                text.say(f"y = {current} * {text.parameter('scale', factor)}")
            else:
                text.say(f"y = {current}")
            text.lines += [f"{a} = {text.parameter(a.replace('a', 'bias'), text.values[a], 0.0)}" for a in _accumulators(text)]
        elif isinstance(op, (Affine, Linear)):
            self._accumulate(path, path, text, 0)
            text.say("y = a0", f"a0 = {text.parameter('bias0', text.values['a0'], 0.0)}")
        else:
            call = self._shared(path)
            calls = [call]
            text.say(f"y = {call.name}(i)")
        self._add(path, size, text, links, calls)

    def _sum(self, path: str, home: str, text: Text, links: dict[str, str]) -> str:
        """Append the sum of what enters *path* and return how statements write it."""
        terms = []
        for number, (source, ref) in enumerate(self.where.terms(path)):
            if self.where.merged.get(source) == path:
                self._accumulate(source, home, text, number)
                terms.append(f"a{number}")
            else:
                links[f"x{number}"] = self._group_of(ref)
                terms.append(f"x{number}")
        if not terms:
            return "0"
        if len(terms) == 1:
            return terms[0]
        text.say(f"x = {' + '.join(terms)}")
        return "x"

    def _accumulate(self, path: str, home: str, text: Text, number: int) -> None:
        """Add the accumulator of the weighted node *path* to the group of the node *home*, and the projection into it."""
        op = self.network.ops[path]
        weight: Array = op.parameters()["weight"]
        bias = op.parameters().get("bias")
        n_out, n_in = weight.shape[-2:]
        size = math.prod(self.network.shapes.output[path])
        text.state.append(f"a{number}")
        text.values[f"a{number}"] = np.zeros(size) if bias is None else np.asarray(bias, np.float64).reshape(-1).copy()
        source = self._group_of(self.where.entering[path])
        self.heard.add(source)
        target, name = self._name(home), self._name(path) if home != path else f"into_{self._name(path)}"
        self.projections.append(Projection(name, source, target, f"a{number}", n_in, n_out, "", 0, f"{path}, {op.kind}"))
        self.values[f"{name}.w"] = np.tile(np.asarray(np.swapaxes(weight, -1, -2), np.float64).reshape(-1), self.copies)

    def _shared(self, path: str) -> Call:
        """Return the function that computes a convolution or a pool, its kernel in a store."""
        op, shapes = self.network.ops[path], self.network.shapes
        source = self._group_of(self.where.value_into(path))
        shape_in, shape_out, store = shapes.input[path], shapes.output[path], ""
        if isinstance(op, SumPool2d):
            sizes: dict[str, Any] = {
                "kernel": list(op.kernel_size), "stride": list(op.stride), "padding": list(op.padding),
                "mean": int(isinstance(op, AvgPool2d)),
            }  # fmt: skip
            kind = "pool"
        else:
            conv = op.as_conv2d() if isinstance(op, Conv1d) else op
            if not isinstance(conv, Conv2d):
                raise NotImplementedError(f"a node of kind {op.kind}")
            if isinstance(op, Conv1d):
                shape_in, shape_out = (shape_in[0], 1, shape_in[1]), (shape_out[0], 1, shape_out[1])
            kind, store = "conv", f"kernel_{self._name(path)}"
            sizes = {
                "kernel": list(conv.weight.shape), "stride": list(conv.stride), "dilation": list(conv.dilation),
                "padding": [p[0] for p in conv.pads], "groups": conv.groups,
            }  # fmt: skip
            value = np.concatenate([np.ravel(conv.weight), np.ravel(conv.bias)]).astype(np.float64)
            self.values[f"{store}.k"] = value
            self.groups.append(Group(store, value.size, ("k",), order=-1, what=f"kernel and biases of {path}, shared"))
        sizes |= {"copies": self.copies, "input": list(shape_in), "output": list(shape_out)}
        return Call(f"{kind}_{self._name(path)}", kind, source, store, sizes)

    def _group_of(self, ref: Ref) -> str:
        """Return the group whose ``y`` is the value *ref*; make its delay line, or its sum, where there is none yet."""
        path, delay = ref
        if path in self.network.graph.inputs:
            return self._input(ref)
        if path.endswith("+") and path not in self.network.graph:
            return self._sum_group(path[:-1])
        if delay == 0:
            return self._name(path)
        if ref not in self.late:
            size = math.prod(self.network.shapes.output[path])
            name = self.late[ref] = f"{self._name(path)}_late{delay}"
            call = Call(f"past_{name}", "delay", "", "", {"depth": delay, "n": size * self.copies})
            # Before all others: the source still shows what left it in the step before.
            text = Text([STEP, f"y = {call.name}(i, x0, step - 1, {delay - 1})"])
            self._append(name, size, text, {"x0": self._name(path)}, [call], "start", f"{path}, {delay} steps late")
        return self.late[ref]

    def _input(self, ref: Ref) -> str:
        if ref not in self.late:
            path, delay = ref
            name = self.late[ref] = self._name(path) + (f"_late{delay}" if delay else "")
            if not delay:
                self.places[path] = name
            size = math.prod(self.network.shapes.output[path])
            call = Call(f"given_{name}", "input", "", "", {"n": size * self.copies})
            self.given.append((call.name, path, delay))
            text = Text([f"y = {call.name}(t_in_timesteps, i)"])
            self._append(name, size, text, {}, [call], "start", f"{path}, input" + (f", {delay} steps late" if delay else ""))
        return self.late[ref]

    def _sum_group(self, path: str) -> str:
        key = f"{path}+"
        if key not in self.places:
            text = Text()
            links: dict[str, str] = {}
            text.say(f"y = {self._sum(path, key, text, links)}")
            text.lines += [f"{a} = {text.parameter(a.replace('a', 'bias'), text.values[a], 0.0)}" for a in _accumulators(text)]
            self._add(key, math.prod(self.network.shapes.input[path]), text, links, [])
        return self.places[key]

    def _name(self, path: str) -> str:
        if path.endswith("+") and path not in self.network.graph:
            return f"sum_{self._name(path[:-1])}"
        # Numbered as they are met: networks that begin alike share the names, and with them what is compiled already.
        return self.name_of(path, self.numbers.setdefault(path, len(self.numbers)))

    def _add(self, path: str, size: int, text: Text, links: dict[str, str], calls: list[Call]) -> None:
        self.places[path] = self._name(path)
        what = f"sum into {path[:-1]}" if path not in self.network.graph else f"{path}, {self.network.graph[path].op.kind}"
        self._append(self._name(path), size, text, links, calls, "groups", what, self._watches_state(path))

    def _watches_state(self, path: str) -> bool:
        if not self.recording.state or path not in self.network.models:
            return False
        spiking = self.network.graph.spiking
        return path in (*self.recording.selected(spiking), *spiking)

    def _append(
        self, name: str, size: int, text: Text, links: dict[str, str], calls: list[Call], slot: str, what: str,
        records_state: bool = False,
    ) -> None:  # fmt: skip
        variables = tuple(dict.fromkeys([*text.values, *text.state, "y"]))
        for variable in variables:
            value = text.values.get(variable)
            one = np.zeros(size) if value is None else np.broadcast_to(value, (size,))
            self.values[f"{name}.{variable}"] = np.tile(one, self.copies)
        order = 4 * len(self.groups)
        self.groups.append(
            Group(name, size * self.copies, variables, tuple(links.items()), tuple(text.lines), slot, order,
                  records_state=records_state, calls=tuple(calls), what=what)
        )  # fmt: skip


def _accumulators(text: Text) -> list[str]:
    return [v for v in text.state if v[0] == "a" and v[1:].isdigit()]


__all__ = ["Layout", "Ref", "lay_out"]
