"""Cases for how nodes are connected: loops, several inputs and outputs, sums of many edges."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from spikeport.backends.testing.case import Case, Draft
from spikeport.ir.graph import Edge
from spikeport.ir.ops import Affine, Conv2d, Delay, Flatten, Input, Linear, Scale, Threshold

BASE = "norse:value"


def build() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _own_loops()
    yield from _wider_loops()
    yield from _ends()
    yield from _sums()


def _recurrent(name: str, profile: str, *, bias: bool, delay: int | None = None, kind: str = "LIF") -> Case:
    draft = Draft(name, profile, (4,))
    draft.layer("neuron", "input", 6, kind)
    weight = draft.weights(6, 6, fan_in=12)
    rec = draft.add("rec", Affine(weight, draft.rng.normal(0, 0.5, 6)) if bias else Linear(weight), "neuron")
    draft.connect(rec, "neuron", delay)
    draft.leave("neuron")
    return draft.case()


def _own_loops() -> Iterator[Case]:
    for at_0 in ("yes", "no"):
        for kind in ("LIF", "CubaLIF"):
            text = f"{BASE},bias_at_0={at_0}"
            yield _recurrent(f"loop/affine with bias, at step 0 {at_0}, {kind}", text, bias=True, kind=kind)
    yield _recurrent("loop/linear", BASE, bias=False)
    yield _recurrent("loop/feedback of 3 steps", f"{BASE},feedback=3", bias=True)
    yield _recurrent("loop/a delay of its own", BASE, bias=False, delay=4)
    yield _recurrent("loop/late output", f"{BASE},output_delay=2", bias=True)
    yield _recurrent("loop/reset in the next step", "snntorch:zero", bias=True)
    for delay in (None, 1, 3):
        draft = Draft(f"loop/direct, delay {delay}", BASE, (5,))
        draft.neuron("neuron", "input", drive=0.7)
        draft.connect("neuron", "neuron", delay)
        draft.leave("neuron")
        yield draft.case()
    draft = Draft("loop/two loops of one population", BASE, (4,))
    draft.layer("neuron", "input", 5)
    for name in ("one", "two"):
        draft.connect(draft.add(name, Linear(draft.weights(5, 5, fan_in=15)), "neuron"), "neuron", 2 if name == "two" else None)
    draft.leave("neuron")
    yield draft.case()
    draft = Draft("loop/convolution", BASE, (2, 4, 4), steps=12)
    draft.neuron("neuron", "input", drive=0.7)
    weight = draft.weights(2, 2, 3, 3, fan_in=36)
    draft.connect(draft.add("rec", Conv2d(None, weight, (1, 1), "same", (1, 1), 1, np.array([0.1, -0.2])), "neuron"), "neuron")
    draft.leave("neuron")
    yield draft.case()


def _wider_loops() -> Iterator[Case]:
    for bias in (True, False):
        draft = Draft(f"loop/two populations{', biases' if bias else ''}", BASE, (4,))
        draft.layer("there", "input", 6)
        draft.layer("back", "there", 5)
        draft.connect(draft.dense("rec", "back", 6, bias=bias), "there")
        draft.leave("back")
        yield draft.case()
    draft = Draft("loop/two neurons, nothing between", BASE, (1,), rate=0.6)
    draft.neuron("a", "input", drive=0.7)
    draft.neuron("b", "a", drive=0.7)
    draft.connect("b", "a")
    draft.leave("b")
    yield draft.case()
    draft = Draft("loop/through a Delay node and a Scale", BASE, (3,))
    draft.neuron("neuron", "input", drive=0.7)
    late = draft.add("delay", Delay(np.array([1, 3, 0]) * 1e-4), "neuron")
    draft.connect(draft.add("scale", Scale(np.array([0.5, -0.5, 1.0])), late), "neuron")
    draft.leave("neuron")
    yield draft.case()
    draft = Draft("loop/through an integrator", BASE, (4,))
    draft.layer("neuron", "input", 5)
    draft.layer("slow", "neuron", 3, "LI")
    draft.connect(draft.dense("rec", "slow", 5, bias=False), "neuron")
    draft.leave("neuron")
    yield draft.case()
    draft = Draft("loop/through a Threshold", BASE, (4,))
    draft.layer("neuron", "input", 5)
    gate = draft.add("gate", Threshold(np.full(5, 0.3)), draft.dense("gate.fc", "neuron", 5, bias=False))
    draft.connect(gate, "neuron")
    draft.leave("neuron")
    yield draft.case()
    draft = Draft("loop/a loop within a loop, layers around", "snntorch:subtract", (4,), samples=3)
    draft.layer("first", "input", 6)
    draft.layer("inner", "first", 6, "CubaLIF")
    draft.connect(draft.dense("inner.rec", "inner", 6), "inner")
    draft.layer("outer", "inner", 5)
    draft.connect(draft.dense("outer.rec", "outer", 6, bias=False), "inner")
    draft.layer("last", "outer", 4)
    draft.leave(draft.layer("readout", "last", 3, "LI"))
    draft.leave("last", "spikes")
    yield draft.case()


def _ends() -> Iterator[Case]:
    draft = Draft("ends/two inputs, two outputs", BASE, (4,))
    draft.enter("other", Input((2, 3)))
    draft.layer("a", "input", 5)
    draft.layer("b", draft.add("flatten", Flatten(), "other"), 5)
    draft.layer("both", "a", 4)
    draft.connect(draft.dense("b.fc2", "b", 4), "both")
    draft.leave("both")
    draft.leave("b", "early")
    yield draft.case()
    draft = Draft("ends/inputs summed", BASE, (5,))
    draft.enter("other", Input((5,)))
    draft.neuron("neuron", "input")
    draft.connect("other", "neuron")
    draft.leave("neuron")
    yield draft.case()
    draft = Draft("ends/every node has an output", BASE, (4,))
    for path in (draft.dense("fc", "input", 5), draft.neuron("neuron", "fc"), draft.dense("fc2", "neuron", 3)):
        draft.leave(path, f"output.{path}")
    draft.leave("input", "output.input")
    yield draft.case()
    draft = Draft("ends/a population that reaches no output", BASE, (4,))
    draft.leave(draft.layer("seen", "input", 5))
    draft.layer("unseen", "seen", 3)
    yield draft.case()
    draft = Draft("ends/an output that sums", BASE, (4,))
    draft.leave(draft.layer("a", "input", 3))
    draft.connect(draft.layer("b", "input", 3, "LI"), "output")
    draft.connect("a", "output", 2)
    yield draft.case()
    draft = Draft("ends/dotted and odd names", BASE, (4,))
    draft.leave(draft.layer("block.0.lif-1", draft.layer("Größe 2", "input", 4), 3), "out.of it")
    yield draft.case()


def _sums() -> Iterator[Case]:
    draft = Draft("sum/order of ranks", BASE, (1,), rate=1.0)
    for path, factor in (("c", 1e16), ("a", 1.0), ("b", -1e16), ("d", 0.25)):
        draft.add(path, Scale(np.array([factor])), "input")
    draft.leave("c")
    draft.edges = [dataclasses.replace(e, rank=3) if e.source == "c" and e.target == "output" else e for e in draft.edges]
    draft.edges += [Edge(path, "output", None, rank) for rank, path in enumerate("bda")]
    yield draft.case()
    draft = Draft("sum/order within a connection", BASE, (70,), rate=0.5)
    # Sums of very unequal weights: any other order of addition gives other bits.
    weight = draft.rng.normal(0, 1, (40, 70)) * 10.0 ** draft.rng.integers(-6, 3, (40, 70))
    draft.neuron("neuron", draft.add("fc", Affine(weight, draft.rng.normal(0, 1, 40)), "input"), drive=100.0)
    draft.leave("neuron")
    yield draft.case()
    draft = Draft("sum/skip connections", BASE, (6,))
    draft.neuron("a", "input", drive=0.5)
    draft.layer("b", "a", 6)
    draft.connect("a", "b")
    draft.layer("c", "b", 6)
    for source in ("input", "a", "b"):
        draft.connect(source, "c", 1 if source == "a" else None)
    draft.leave("c")
    yield draft.case()
    draft = Draft("sum/one source by two ways", BASE, (4,))
    draft.layer("a", "input", 5)
    draft.layer("b", "a", 4)
    draft.connect(draft.dense("b.fc2", "a", 4), "b", 2)
    draft.leave("b")
    yield draft.case()
