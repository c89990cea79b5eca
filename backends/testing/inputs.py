"""Cases for what goes in and how much of it: types of numbers, activity, widths, lengths and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from spikeport.backends.testing.case import Case, Draft
from spikeport.ir.ops import Array, Flatten, Linear

BASE = "norse:value"
#: Sizes around those of machine words and the blocks that fast simulators work in.
WIDTHS = (1, 63, 64, 65, 130)


def build() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _values()
    yield from _widths()
    yield from _lengths()


def _values() -> Iterator[Case]:
    def graded(d: Draft, x: Array) -> Array:
        return x * d.rng.normal(0.7, 1.0, x.shape)

    kinds: dict[str, Callable[[Draft, Array], Array]] = {
        "counts": lambda d, x: (x * d.rng.integers(1, 6, x.shape)).astype(np.int64),
        "large unsigned counts": lambda d, x: x * np.uint8(255),
        "negative integers": lambda d, x: (x * d.rng.integers(-100, 128, x.shape)).astype(np.int8),
        "real": graded,
        "real, single": lambda d, x: graded(d, x).astype(np.float32),
        "real, half": lambda d, x: graded(d, x).astype(np.float16),
        "unsigned 64 bits": lambda d, x: x.astype(np.uint64),
        "every value real": lambda d, x: d.rng.normal(0.3, 0.5, x.shape),
        "negative zeros": lambda d, x: np.where(x, 1.0, -0.0),
        "another order in memory": lambda d, x: np.asfortranarray(graded(d, x)),
        "strided": lambda d, x: np.repeat(graded(d, x), 2, axis=-1)[..., ::2],
        "read only": lambda d, x: _locked(graded(d, x)),
    }
    for name, change in kinds.items():
        yield _values_case(f"input/{name}", change)
    rates: dict[str, Callable[[Draft, Array], Array]] = {
        "empty": lambda d, x: 0 * x,
        "full": lambda d, x: 0 * x + 1,
        "a single spike": lambda d, x: _single(x),
        "bursts": lambda d, x: x * (np.arange(x.shape[1]) % 7 == 3).reshape(1, -1, *(1,) * (x.ndim - 2)).astype(x.dtype),
        "one neuron only": lambda d, x: x * (np.arange(x.shape[-1]) == 2).astype(x.dtype),
        "one sample only": lambda d, x: x * (np.arange(x.shape[0]) == 1).reshape(-1, *(1,) * (x.ndim - 1)).astype(x.dtype),
    }
    for name, change in rates.items():
        yield _values_case(f"activity/{name}", change, quiet=True)
    for rate in (0.01, 0.1, 0.9):
        yield _values_case(f"activity/{rate:.0%}", lambda d, x: x, quiet=True, rate=rate)


def _values_case(name: str, change: Callable[[Draft, Array], Array], *, quiet: bool = False, **options: Any) -> Case:
    """Return an image through a convolution, beside the same image through dense weights."""
    draft = Draft(name, BASE, (2, 5, 5), samples=3, **options)
    draft.leave(draft.neuron("seen", draft.conv("conv", "input", 3)), "output.seen")
    draft.leave(draft.layer("dense", draft.add("flatten", Flatten(), "input"), 6, drive=0.7), "output.dense")
    draft.inputs["input"] = change(draft, draft.inputs["input"])
    return draft.case(quiet=quiet)


def _locked(x: Array) -> Array:
    x.flags.writeable = False
    return x


def _single(x: Array) -> Array:
    out = np.zeros_like(x)
    out[1, 4, 0, 2, 2] = 1
    return out


def _widths() -> Iterator[Case]:
    for n_in in WIDTHS:
        for n_out in (n for n in WIDTHS if n_in in (1, 64, 130) or n in (1, 65)):
            draft = Draft(f"width/{n_in} to {n_out}", BASE, (n_in,), steps=10, rate=0.6 if n_in == 1 else 0.3)
            if n_in == 1:  # a drawn weight may be zero or negative
                weight = draft.add("a.fc", Linear(draft.rng.uniform(0.3, 1.5, (n_out, 1))), "input")
                draft.neuron("a", weight, drive=0.5)
            else:
                draft.layer("a", "input", n_out, drive=0.5)
            draft.leave(draft.layer("b", "a", 3, drive=0.3))
            yield draft.case(quiet=True)
    for n in (64, 65):
        draft = Draft(f"width/{n} recurrent", BASE, (8,), steps=12)
        draft.layer("a", "input", n, "CubaLIF")
        draft.connect(draft.dense("rec", "a", n), "a")
        draft.leave("a")
        yield draft.case()
    draft = Draft("width/convolution over 66 by 3", BASE, (2, 66, 3), steps=5, samples=1)
    draft.leave(draft.neuron("neuron", draft.conv("conv", "input", 2), drive=0.6))
    yield draft.case()


def _lengths() -> Iterator[Case]:
    for samples, steps in ((1, 1), (1, 64), (1, 130), (2, 65), (63, 3), (64, 2), (65, 4), (130, 1), (300, 3)):
        draft = Draft(f"length/{samples} samples of {steps} steps", BASE, (4,), samples=samples, steps=steps)
        draft.layer("a", "input", 5, drive=0.4)
        draft.layer("b", "a", 4, "CubaLIF", drive=0.2)
        draft.connect(draft.dense("b.rec", "b", 4), "b")
        draft.leave("b")
        yield draft.case(quiet=True)
    draft = Draft("length/images, more than a batch", BASE, (1, 6, 6), samples=70, steps=6)
    seen = draft.neuron("lif", draft.conv("conv", "input", 3, padding=0), drive=0.6)
    draft.leave(draft.layer("readout", draft.add("flatten", Flatten(), seen), 4, drive=0.5))
    yield draft.case()
