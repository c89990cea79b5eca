"""Cases for every NIR primitive, in the geometries where simulators go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from spikeport.backends.testing.case import Case, Draft
from spikeport.backends.testing.sketch import NEURONS
from spikeport.ir.ops import Affine, AvgPool2d, Conv1d, Conv2d, Delay, Flatten, Linear, Op, Scale, Shape, SumPool2d, Threshold

PROFILE = "norse:value"
#: name: (channels in, channels out, groups, size, kernel, stride, padding, dilation).
CONV2D: dict[str, tuple[int, int, int, Shape, Shape, Any, Any, Any]] = {
    "plain": (2, 3, 1, (6, 5), (3, 3), 1, 0, 1),
    "one pixel": (3, 4, 1, (4, 4), (1, 1), 1, 0, 1),
    "whole image": (2, 5, 1, (4, 3), (4, 3), 1, 0, 1),
    "wide kernel": (2, 3, 1, (4, 7), (1, 3), 1, (0, 1), 1),
    "tall kernel": (2, 3, 1, (7, 4), (3, 2), 1, (1, 0), 1),
    "stride": (2, 3, 1, (7, 6), (3, 3), (2, 1), 1, 1),
    "stride beyond kernel": (1, 2, 1, (8, 9), (2, 2), 3, 0, 1),
    "padding": (2, 3, 1, (4, 5), (3, 3), 1, (2, 1), 1),
    "padding beyond kernel": (1, 2, 1, (3, 3), (2, 2), 2, 3, 1),
    "dilation": (2, 2, 1, (8, 7), (3, 2), 1, 1, (2, 3)),
    "same": (2, 3, 1, (5, 6), (3, 3), 1, "same", 1),
    "same, even kernel": (2, 2, 1, (5, 6), (2, 4), 1, "same", (1, 2)),
    "valid": (2, 2, 1, (5, 6), (2, 3), 2, "valid", 1),
    "groups": (4, 6, 2, (5, 4), (3, 3), 1, 1, 1),
    "depthwise": (5, 5, 5, (5, 4), (3, 3), 1, 1, 1),
    "depthwise, multiplied": (3, 6, 3, (4, 4), (2, 2), 2, 0, 1),
    "many channels": (33, 65, 1, (3, 3), (3, 3), 1, 1, 1),
}  # fmt: skip
CONV1D: dict[str, tuple[int, int, int, int, int, int, Any, int]] = {
    "plain": (2, 3, 1, 9, 3, 1, 0, 1),
    "stride and padding": (2, 3, 1, 10, 4, 3, 2, 1),
    "dilation": (3, 2, 1, 12, 3, 1, 1, 4),
    "same, even kernel": (2, 2, 1, 8, 4, 1, "same", 1),
    "valid": (1, 2, 1, 7, 7, 1, "valid", 1),
    "groups": (4, 4, 2, 9, 3, 2, 1, 1),
}
#: name: (kernel, stride, padding).
POOLS: dict[str, tuple[Any, Any, Any]] = {
    "plain": (2, 2, 0), "overlapping": (3, 1, 0), "padding": (3, 2, 1), "non-square": ((1, 3), (2, 1), (0, 1)),
    "stride beyond window": (2, 3, 0), "whole image": ((6, 5), 1, 0),
}  # fmt: skip


def build() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _dense()
    yield from _convolutions()
    yield from _pools_and_others()
    yield from _neurons()


def _around(name: str, shape: Shape, make: Callable[[Draft], Op], *, kind: str = "LIF", **options: Any) -> Case:
    """Return Input -> op -> a population whose threshold suits what the op really gives -> Output."""
    draft = Draft(name, PROFILE, shape, **options)
    op = make(draft)
    x = draft.inputs["input"].reshape(-1, *shape).astype(np.float64)
    drive = 0.6 if op.is_stateful else max(float(np.mean(np.abs(op.apply(x)))), 1e-3)
    draft.neuron("neuron", draft.add("op", op, "input"), kind, drive=drive)
    draft.leave("neuron")
    return draft.case()


def _dense() -> Iterator[Case]:
    def affine(d: Draft) -> Op:
        return Affine(d.weights(7, 5, fan_in=5), d.rng.normal(0, 0.3, 7))

    def single(d: Draft) -> Op:
        return Affine(d.weights(7, 5, fan_in=5).astype(np.float32), d.rng.normal(0, 0.3, 7).astype(np.float32))

    def integers(d: Draft) -> Op:
        return Affine(d.rng.integers(-3, 5, (7, 5)), d.rng.integers(-1, 2, 7))

    def pruned(d: Draft) -> Op:
        return Linear(np.where(d.rng.random((40, 30)) < 0.9, 0.0, d.rng.normal(0.4, 1.0, (40, 30))))

    def empty_column(d: Draft) -> Op:
        weight = d.weights(6, 5, fan_in=5)
        weight[:, 2], weight[1] = 0.0, 0.0
        return Linear(weight)

    def leading(d: Draft) -> Op:
        return Affine(d.weights(3, 2, 6, 5, fan_in=5), d.rng.normal(0, 0.3, (3, 2, 6)))

    yield _around("affine/double weights", (5,), affine)
    yield _around("affine/single weights", (5,), single)
    yield _around("affine/integer weights", (5,), integers)
    yield _around("affine/leading axes", (3, 2, 5), leading)
    yield _around("linear/plain", (5,), lambda d: Linear(d.weights(7, 5, fan_in=5)))
    yield _around("linear/mostly zero", (30,), pruned)
    yield _around("linear/an empty row and column", (5,), empty_column, rate=0.7)
    draft = Draft("linear/two in a row", PROFILE, (5,))
    draft.dense("second", draft.dense("first", "input", 6), 4)
    draft.neuron("neuron", "second")
    draft.leave("neuron")
    draft.leave("second", "values")
    yield draft.case()


def _convolutions() -> Iterator[Case]:
    for number, (name, (c_in, c_out, groups, size, kernel, stride, padding, dilation)) in enumerate(CONV2D.items()):

        def conv2d(
            d: Draft, shape: Shape = (c_out, c_in // groups, *kernel), size: Any = size, groups: int = groups,
            stride: Any = stride, padding: Any = padding, dilation: Any = dilation, plain: bool = number % 2 == 1,
        ) -> Op:  # fmt: skip
            weight = d.weights(*shape, fan_in=int(np.prod(shape[1:])))
            bias = d.rng.normal(0, 0.2, shape[0])
            return Conv2d(None if plain else size, weight, stride, padding, dilation, groups, 0 * bias if plain else bias)

        yield _around(f"conv2d/{name}", (c_in, *size), conv2d, steps=12)
    for name, (c_in, c_out, groups, length, width, pace, pad, spread) in CONV1D.items():

        def conv1d(
            d: Draft, shape: Shape = (c_out, c_in // groups, width), length: int = length, groups: int = groups,
            pace: int = pace, pad: Any = pad, spread: int = spread,
        ) -> Op:  # fmt: skip
            weight = d.weights(*shape, fan_in=int(np.prod(shape[1:])))
            return Conv1d(length, weight, pace, pad, spread, groups, d.rng.normal(0, 0.2, shape[0]))

        yield _around(f"conv1d/{name}", (c_in, length), conv1d)
    draft = Draft("conv2d/network", PROFILE, (2, 9, 8), steps=12)
    here = "input"
    for number, channels in enumerate((4, 3), start=1):
        here = draft.neuron(f"lif{number}", draft.conv(f"conv{number}", here, channels))
        here = draft.add(f"pool{number}", (SumPool2d if number == 1 else AvgPool2d)((2, 2), (2, 2), (0, 0)), here)
    draft.leave(draft.layer("readout", draft.add("flatten", Flatten(), here), 5, drive=0.5))
    yield draft.case()
    draft = Draft("conv2d/no neuron between", PROFILE, (2, 6, 6), steps=8)
    pooled = draft.add("pool", AvgPool2d((2, 2), (1, 1), (0, 0)), draft.conv("conv1", "input", 3, bias=0.2))
    draft.leave(draft.neuron("neuron", draft.conv("conv2", pooled, 2, size=2, stride=2, padding=0, bias=0.2)))
    yield draft.case()


def _pools_and_others() -> Iterator[Case]:
    for cls in (SumPool2d, AvgPool2d):
        for name, (kernel, stride, padding) in POOLS.items():
            yield _around(
                f"{cls.__name__}/{name}", (2, 6, 5),
                lambda d, cls=cls, own=(kernel, stride, padding): cls(*own),  # type: ignore[misc]
            )  # fmt: skip
    yield _around("Flatten/all", (2, 3, 2), lambda d: Flatten(0, -1))
    yield _around("Flatten/some axes", (2, 3, 2, 2), lambda d: Flatten(1, 2))
    yield _around("Scale/one number", (4,), lambda d: Scale(np.array(0.75)))
    yield _around("Scale/by neuron", (2, 3), lambda d: Scale(d.rng.uniform(-0.5, 1.5, (2, 3))))
    yield _around("Threshold/by neuron", (5,), lambda d: Threshold(d.rng.uniform(-0.5, 0.9, 5)), rate=0.6)
    yield _around("Delay/one number", (4,), lambda d: Delay(np.array(3e-4)))
    yield _around("Delay/by neuron", (2, 3), lambda d: Delay(np.array([[0, 1, 5], [2, 2, 7]]) * 1e-4))
    yield _around("Delay/longer than the run", (3,), lambda d: Delay(np.array([0, 19, 25]) * 1e-4), rate=0.8)
    draft = Draft("border/straight through", PROFILE, (2, 3))
    draft.leave("input")
    yield draft.case()


def _neurons() -> Iterator[Case]:
    for kind in NEURONS:
        for full in (True, False):
            draft = Draft(f"{kind}/{'a value for each neuron' if full else 'one value for all'}", PROFILE, (6,))
            draft.layer("neuron", "input", 9, kind, full=full)
            draft.leave("neuron")
            yield draft.case()
        draft = Draft(f"{kind}/three axes, right behind the input, single parameters", PROFILE, (2, 3, 4))
        draft.neuron("neuron", "input", kind, dtype=np.float32)
        draft.leave("neuron")
        yield draft.case()
