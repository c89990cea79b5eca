"""Inputs: what a user has at hand, as one array (samples, steps, shape) for every Input node."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array, Shape
from spikeport.ir.program import Program
from spikeport.runtime.encode import encode as encode_values
from spikeport.runtime.files import read_arrays

#: Most steps of a run: far above any recording, low enough to catch a sample count in the wrong place.
MAX_STEPS = 100_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Input of a run.

    Parameters
    ----------
    values : Mapping[str, array, shape (samples, steps, *shape)]
        By Input node, in the type that they came in (booleans as uint8).
    is_single : bool
        Whether there was no sample axis: results then have none either.
    notes : tuple of str
        What was cut or appended.
    """

    values: Mapping[str, Array]
    is_single: bool
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """Number of samples."""
        return int(next(iter(self.values.values())).shape[0])

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(next(iter(self.values.values())).shape[1])


def only_shape(source: Any) -> Shape | None:
    """Return the shape of *source* where it is one array, alone in a file or not; else None."""
    arrays = list(source.values()) if isinstance(source, Mapping) else [source]
    return np.shape(arrays[0]) if len(arrays) == 1 else None


def prepare_inputs(source: Any, graph: Graph, *, steps: int | None = None, encode: str | None = None, seed: int = 0) -> Inputs:
    """Return *source* as the input of *graph*.

    Parameters
    ----------
    source : path, array or Mapping[str, array]
        A ``.npy`` or ``.npz`` file, an array for a graph with one Input node, or arrays by the Input nodes' paths. Shape
        (steps, *shape) or (samples, steps, *shape); with *encode* (samples, *shape) or (*shape).
    graph : Graph
        Its Input nodes give the shapes.
    steps : int or None
        Beyond what there is: zeros are appended; below: cut. Needed with *encode*.
    encode : {"constant", "rate", "latency"} or None
        How static values become steps.
    seed : int
        Of ``rate``: ``numpy.random.default_rng(seed)``, drawn for the Input nodes in the order of their paths.

    Raises
    ------
    UsageError
        E610, E611 and E617 for what cannot be read, E612 for a wrong shape, E613 for NaN or infinity, E614 for missing or
        unknown keys, E615 for codes, E616 for inputs of unequal length or none.
    """
    if steps is not None and not 1 <= steps <= MAX_STEPS:
        raise UsageError(
            Diagnostic("E616", "--steps", f"--steps {steps} is not between 1 and {MAX_STEPS:,}", "give at least 1")
        )
    if encode is not None and steps is None:
        raise UsageError(Diagnostic("E615", "--encode", "--encode needs to know how many steps to write", "add --steps N"))
    arrays = _by_input(source, graph)
    rng = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    single: dict[str, bool] = {}
    for path in sorted(arrays):
        shape: Shape = graph[path].op.shape  # type: ignore[attr-defined]
        array = _checked(arrays[path], path)
        lead = ("samples",) if encode else ("samples", "steps")
        single[path] = array.ndim == len(shape) + len(lead) - 1
        if array.shape[array.ndim - len(shape) :] != shape or array.ndim - len(shape) not in (len(lead) - 1, len(lead)):
            raise _wrong_shape(path, array.shape, shape, lead)
        array = array[None] if single[path] else array
        if not array.shape[0] or (not encode and not array.shape[1]):
            raise UsageError(
                Diagnostic("E616", path, f"the input of shape {arrays[path].shape} is empty", "give a sample and a step")
            )
        values[path] = encode_values(array, encode, steps or 1, rng, path) if encode else array
    lengths = {path: (a.shape[:2], single[path]) for path, a in values.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{path}: {a.shape[0]} samples of {a.shape[1]} steps" for path, a in values.items())
        raise UsageError(
            Diagnostic("E616", "", f"the inputs differ in length: {text}", "give all inputs the same leading axes")
        )
    notes = () if encode else _doubts(values, single)
    if steps is not None and encode is None:
        values, fitted = _fitted(values, steps)
        notes += fitted
    return Inputs(values, next(iter(single.values())), notes)


def drained(inputs: Inputs, program: Program) -> Inputs:
    """Return *inputs* with the steps of silence that a retimed *program* needs until its outputs have shown everything.

    On a chip every hop takes a step, so the outputs come some steps late. Where samples carry state over, silence between
    them would change what follows: then nothing is appended.
    """
    late = int(program.notes.get("drain", 0))
    if not late:
        return inputs
    if program.profile.boundary != "reset":
        return dataclasses.replace(inputs, notes=(*inputs.notes, f"outputs come {late} steps late, as every hop takes a step"))
    values, _ = _fitted(inputs.values, inputs.steps + late)
    said = f"outputs come {late} steps late, as every hop takes a step: {late} steps without input appended"
    return dataclasses.replace(inputs, values=values, notes=(*inputs.notes, said))


def _by_input(source: Any, graph: Graph) -> dict[str, Array]:
    """Return the arrays by the path of the Input node that each is for."""
    names = graph.inputs
    if isinstance(source, (str, Path)):
        source = read_arrays(source)
    if not isinstance(source, Mapping):
        source = {"": np.asarray(source)}
    found = {str(key): np.asarray(value) for key, value in source.items()}
    # With one input and one array there is nothing to confuse, whatever the key.
    if len(names) == 1 and len(found) == 1:
        return {names[0]: next(iter(found.values()))}
    if "" in found:
        raise UsageError(
            Diagnostic("E614", "", f"the model has {len(names)} inputs ({', '.join(names)}), one array was given",
                       "give a .npz with an array for each of these keys")
        )  # fmt: skip
    problems = [
        Diagnostic("E614", path, f"there is no array for the input {path}{did_you_mean(path, found)}",
                   f"add it to the .npz under this key; it has {', '.join(sorted(found)) or 'nothing'}")
        for path in names if path not in found
    ]  # fmt: skip
    problems += [
        Diagnostic("E614", key, f"the array {key!r} belongs to no input{did_you_mean(key, names)}",
                   f"inputs: {', '.join(names)}")
        for key in sorted(found) if key not in names
    ]  # fmt: skip
    if problems:
        raise UsageError(problems)
    return found


def _checked(array: Array, path: str) -> Array:
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise UsageError(
            Diagnostic("E611", path, f"the input {path} has the type {array.dtype}, not a number type",
                       "give integers, booleans or floats up to 64 bits")
        )  # fmt: skip
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        raise UsageError(
            Diagnostic("E613", path, f"the input {path} has {len(bad)} values that are NaN or infinite, the first at "
                       f"{tuple(int(i) for i in bad[0])}", "clean the data", {"count": len(bad)})
        )  # fmt: skip
    return array.view(np.uint8) if array.dtype.kind == "b" else array


def _wrong_shape(path: str, got: Shape, shape: Shape, lead: tuple[str, ...]) -> UsageError:
    def show(*names: str) -> str:
        return f"({', '.join([*names, *map(str, shape)])}{',' if len(names) + len(shape) == 1 else ''})"

    axes = len(shape)
    have = got[len(got) - axes :] if len(got) >= axes else got
    hint = f"its last axes are {have}, the model wants {shape}: take the data, or the model, that belongs to the other"
    if lead[-1] == "steps" and got[len(got) - len(shape) :] == shape:
        hint = "add --encode constant|rate|latency with --steps N if these are static values"
    elif int(np.prod(got[len(lead) - 1 :])) == int(np.prod(shape)) or int(np.prod(got[len(lead) :])) == int(np.prod(shape)):
        hint = f"reshape the last axes to {shape}"
    return UsageError(
        Diagnostic("E612", path, f"the Input node {path} takes {show(*lead[1:])} or {show(*lead)}, the array has shape {got}",
                   hint, {"expected": shape, "got": got})
    )  # fmt: skip


def _doubts(values: Mapping[str, Array], single: Mapping[str, bool]) -> tuple[str, ...]:
    """Return what to say of inputs that look like several images: fractions, and no axis for both samples and steps."""
    return tuple(
        f"the input {path} of shape {a.shape[1:]} is taken as one sample of {a.shape[1]} steps; if its first axis counts "
        "samples, add --encode constant|rate|latency and --steps N"
        for path, a in values.items()
        if single[path] and a.dtype.kind == "f" and a.shape[1] > 1 and np.any(a != np.rint(a))
    )


def _fitted(values: Mapping[str, Array], steps: int) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return the inputs with *steps* steps, and what was done to them."""
    there = next(iter(values.values())).shape[1]
    if steps == there:
        return dict(values), ()
    if steps < there:
        return {p: a[:, :steps] for p, a in values.items()}, (f"the input has {there} steps; cut to the first {steps}",)
    padded = {
        p: np.concatenate([a, np.zeros((a.shape[0], steps - there, *a.shape[2:]), a.dtype)], axis=1) for p, a in values.items()
    }
    return padded, (f"the input has {there} steps; {steps - there} steps of zeros appended",)
