"""A run: backend, recording and prices put together, and its result as arrays and as a file."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeport.backends.base import Backend, Executable
from spikeport.ir.diagnostics import Diagnostic, InternalError, RunError, SpikeportError, UsageError, did_you_mean
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array, Neuron
from spikeport.ir.program import Program
from spikeport.ir.schedule import schedule
from spikeport.ir.trace import Recording, Trace
from spikeport.runtime.batches import Progress, run_in_portions
from spikeport.runtime.compare import Comparison, compare
from spikeport.runtime.files import write_npz
from spikeport.runtime.injected import input_spikes
from spikeport.runtime.inputs import Inputs
from spikeport.runtime.neurobench import binary_inputs

if TYPE_CHECKING:
    from spikeport.hw_profiles.target import Target
    from spikeport.runtime.report import Report


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """What a run gave.

    Parameters
    ----------
    trace : Trace
        All that was recorded and counted, with the axes (samples, steps, ...).
    program : Program
        What ran.
    is_single : bool
        Whether the input had no sample axis; the arrays here then have none either.
    meta : Mapping
        Profile, arithmetic, dt, digests, versions: nothing that differs between equal runs.
    notes : tuple of str
        What was said on the way (steps cut or appended, what the backend does differently).
    target : Target or None
        Chip to price for.
    """

    trace: Trace
    program: Program
    is_single: bool
    meta: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    target: Target | None = None
    _report: list[Any] = field(default_factory=list, init=False, repr=False)

    @property
    def spikes(self) -> dict[str, Array]:
        """Spike counts of the recorded spiking nodes: int32, (steps, *shape) or (samples, steps, *shape)."""
        return {path: self._fit(a).astype(np.int32, copy=False) for path, a in self.trace.spikes.items()}

    @property
    def out(self) -> dict[str, Array]:
        """Values of the graph's outputs and of other recorded nodes, floats."""
        return {path: self._fit(a) for path, a in self.trace.out.items()}

    @property
    def v(self) -> dict[str, Array]:
        """Membranes after the reset, where states were recorded."""
        return {path: self._fit(a) for path, a in self.trace.v.items()}

    @property
    def i(self) -> dict[str, Array]:
        """Currents (Lava's ``u``), where states were recorded, in the arithmetics of chips."""
        return {path: self._fit(a) for path, a in self.trace.i.items()}

    @property
    def report(self) -> Report:
        """Spikes, energy and time with their classes; without a target counts and host time only."""
        if not self._report:
            from spikeport.runtime.report import price

            self._report.append(price(self.program, self.trace, self.target))
        return self._report[0]

    def arrays(self) -> dict[str, Array]:
        """Return the arrays as the file of a run has them: ``spikes/PATH``, ``out/PATH``, ``v/PATH``, ``i/PATH``, ``meta``."""
        groups = (("spikes", self.spikes), ("out", self.out), ("v", self.v), ("i", self.i))
        arrays = {f"{group}/{path}": array for group, found in groups for path, array in found.items()}
        return {**arrays, "meta": np.array(json.dumps(self.meta, sort_keys=True))}

    def save(self, path: str | Path) -> None:
        """Write the arrays to *path* as ``.npz``, whole or not at all."""
        write_npz(path, self.arrays())

    def _fit(self, array: Array) -> Array:
        return array[0] if self.is_single else array


def run_program(
    program: Program, inputs: Inputs, backend: Backend, *, record: tuple[str, ...] | str = (), record_state: bool = False,
    seed: int = 0, target: Target | None = None, progress: Progress | None = None,
) -> RunResult:  # fmt: skip
    """Run *program* in *backend* and price what happened.

    *progress* is called with (samples done, samples in all) where the run can be cut into portions.

    Raises
    ------
    UsageError
        E622 for a recorded path that is not there.
    UnsupportedError, BackendUnavailable, RunError
        From the backend; E801 where it failed without saying why, E805 where values left the range of their numbers.
    """
    recording = Recording(selected(program.graph, record), record_state)
    started = time.perf_counter()
    with explained(backend), backend.emit(program) as executable:
        built = time.perf_counter()
        trace = run_emitted(executable, program, inputs.values, backend, recording, seed, progress)
    finished = time.perf_counter()
    warnings = tuple(d.message for d in backend.check(program) if d.severity != "error")
    seconds = {"build": built - started, "total": finished - started, **trace.seconds}
    trace = dataclasses.replace(trace, seconds=seconds)
    said = (*inputs.notes, *warnings, *_changed(program, target))
    return RunResult(trace, program, inputs.is_single, meta(program, backend, seed, inputs.is_single), said, target)


def run_emitted(
    executable: Executable, program: Program, inputs: Mapping[str, Array], backend: Backend, recording: Recording, seed: int,
    progress: Progress | None = None,
) -> Trace:  # fmt: skip
    """Run what *backend* made of *program*, and return the trace with all that a price needs; raise as `run_program` does."""
    with explained(backend):
        is_exact = backend.fidelity_for(program.arithmetic) == "bit_exact"
        if progress is not None and program.profile.boundary == "reset" and is_exact:
            trace = run_in_portions(executable, inputs, recording, seed, progress)
        else:
            trace = executable.run(inputs, recording, seed)
    _refuse_overflow(trace, program)
    told = {**trace.meta, "backend": backend.name, "binary_inputs": binary_inputs(inputs)}
    told["input_spikes"] = input_spikes(program.graph, inputs)
    return dataclasses.replace(trace, meta=told)


@contextlib.contextmanager
def explained(backend: Backend) -> Iterator[None]:
    """Turn what *backend* raises without a word of ours into an error that says so: E801."""
    try:
        yield
    except (SpikeportError, MemoryError):
        raise
    except Exception as error:
        raise _failed(backend, error) from error


def _refuse_overflow(trace: Trace, program: Program) -> None:
    """Raise RunError E805 where a value left the range of its numbers: what follows from it means nothing."""
    found, most = [], np.iinfo(np.int32).max
    for group, what in (("out", "values"), ("v", "membranes")):
        for path, array in getattr(trace, group).items():
            bad = ~np.isfinite(array)
            if bad.any():
                found.append(_overflow(path, f"{int(bad.sum())} {what} are infinite or NaN", bad, program))
    for path, array in trace.spikes.items():
        if array.size and (array.min() < 0 or array.max() > most):
            bad = (array < 0) | (array > most)
            found.append(_overflow(path, f"{int(bad.sum())} spike counts are beyond 32 bits", bad, program))
    for path, counts in trace.counts.items():
        per_step = counts.spikes_per_step
        if path not in trace.spikes and per_step is not None:
            bad = (per_step < 0) | (per_step > most)
            if bad.any():
                found.append(_overflow(path, "its spikes of a step are more than 32 bits count", bad, program))
    if found:
        raise RunError(found)


def _overflow(path: str, what: str, bad: Array, program: Program) -> Diagnostic:
    sample, step = (int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape)[:2])
    return Diagnostic(
        "E805", path, f"{what} in {program.arithmetic}, the first in step {step} of sample {sample}",
        "scale the input down, or mend the weights or time constants that make it grow",
        {"sample": sample, "step": step},
    )  # fmt: skip


def _changed(program: Program, target: Target | None) -> tuple[str, ...]:
    if target is None or program.notes.get("target_digest") in (None, target.digest):
        return ()
    return (f"the description of {target.name} is another than the one that the program was compiled with; compile it anew",)


def _failed(backend: Backend, error: Exception) -> SpikeportError:
    found = Diagnostic("E801", "", f"backend {backend.name} failed: {type(error).__name__}: {error}", "report this bug")
    # Our own backends raise on purpose or not at all; a foreign one may do as it likes.
    ours = type(backend).__module__.startswith("spikeport.")
    return InternalError(found) if ours else RunError(found)


def chip_of(program: Program, target: Target | str | None) -> Target | None:
    """Return the target to price *program* for: the one given, else the program's own.

    Raises
    ------
    UsageError
        E604 where the program was compiled for a target that is not shipped and none is given.
    """
    wanted = target or program.target or None
    if isinstance(wanted, str):
        from spikeport.hw_profiles.target import load_target

        wanted = load_target(wanted)
    return wanted


def selected(graph: Graph, record: tuple[str, ...] | str) -> tuple[str, ...]:
    """Return the paths to record: every neuron population for ``"all"``; raise UsageError E622 for unknown ones."""
    if record == "all":
        return tuple(n.path for n in graph if n.op.is_spiking or isinstance(n.op, Neuron))
    paths = (record,) if isinstance(record, str) else tuple(record)
    known = [n.path for n in graph]
    wrong = [
        Diagnostic(
            "E622", path, f"there is no node {path!r} to record{did_you_mean(path, known)}", f"one of {some_of(known)}, or all"
        )
        for path in paths
        if path not in graph
    ]
    if wrong:
        raise UsageError(wrong)
    return tuple(dict.fromkeys(paths))


def some_of(names: Sequence[str], most: int = 20) -> str:
    """Return *names* as a list to read: the first *most* of them, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def meta(program: Program, backend: Backend, seed: int, is_single: bool) -> dict[str, Any]:
    """Return what identifies a run: equal runs have equal meta."""
    from spikeport import __version__

    touched = {path: record["text"] for record in program.passes for path in record.get("touched", ())}
    return {
        "format": "spikeport run 1",
        "profile": str(program.profile),
        "arithmetic": program.arithmetic,
        "dt": program.profile.dt,
        "backend": backend.name,
        "target": program.target,
        "seed": seed,
        "batched": not is_single,
        "digests": {"graph": program.graph.digest, "source": program.notes.get("source_digest", program.graph.digest)},
        "pipeline": program.notes.get("pipeline", ""),
        "order": list(schedule(program.graph, program.profile).order),
        "touched": touched,
        "versions": {"spikeport": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }


def compare_programs(program: Program, inputs: Inputs, backends: Sequence[Backend], seed: int = 0) -> Comparison:
    """Run *program* in two backends on the same input; compare every population's spikes, outputs and membranes."""
    a, b = (run_program(program, inputs, backend, record="all", record_state=True, seed=seed) for backend in backends)
    return compare(a, b, names=tuple(backend.name for backend in backends))
