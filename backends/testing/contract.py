"""Checks of the contract itself: what every backend promises whatever it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from spikeport.backends.base import Availability, Backend, Executable
from spikeport.backends.testing.case import Case, Draft
from spikeport.backends.testing.check import Result, check_case, reference_trace
from spikeport.backends.testing.compare import TOLERANCES, Tolerance, first_difference
from spikeport.ir.arithmetic import ARITHMETICS
from spikeport.ir.diagnostics import BackendUnavailable, RunError, UnsupportedError
from spikeport.ir.graph import Graph
from spikeport.ir.network import build_network
from spikeport.ir.ops import Array
from spikeport.ir.trace import Recording, Trace

#: A check yields what is wrong; nothing where all is well.
Check = Callable[[Backend, str | None], Iterator[str]]
_EXACT = Tolerance()


def sample_case() -> Case:
    """Return the small network that the checks run: two dense layers of LIF, input as zeros and ones."""
    draft = Draft("contract", "norse:value", (5,), samples=3)
    draft.layer("hidden", "input", 7, drive=0.6)
    draft.leave(draft.layer("readout", "hidden", 4, drive=0.5))
    return draft.case()


def names(backend: Backend, target: str | None) -> Iterator[str]:
    """Read name, fidelity, arithmetics and summary: stated, and in words that others know."""
    for name in ("name", "summary"):
        text = getattr(backend, name, None)
        if not (isinstance(text, str) and text.strip() and "\n" not in text):
            yield f"{name} is {text!r}, expected a line of text"
    if getattr(backend, "fidelity", None) not in TOLERANCES:
        yield f"fidelity is {getattr(backend, 'fidelity', None)!r}, expected one of {', '.join(TOLERANCES)}"
    if not backend.arithmetics:
        yield "it names no arithmetic"
    for name in backend.arithmetics:
        if name not in ARITHMETICS:
            yield f"the arithmetic {name!r} is unknown; known are {', '.join(ARITHMETICS)}"


def availability(backend: Backend, target: str | None) -> Iterator[str]:
    """Ask ``available``: where the backend is not here it says why and what mends it, and ``emit`` raises E500."""
    here: object = backend.available()
    if not isinstance(here, Availability):
        yield f"available() returns a {type(here).__name__}, expected an Availability"
    elif not here.ok:
        if not (here.why and here.remedy):
            yield "not available, and it does not say why and what mends it"
        try:
            backend.emit(sample_case().program(backend.arithmetics[0], target))
        except BackendUnavailable:
            return
        yield "not available, and emit() does not raise BackendUnavailable"


def unknown_arithmetic(backend: Backend, target: str | None) -> Iterator[str]:
    """Ask for an arithmetic that no backend runs: E501, in ``check`` and in ``emit``."""
    program = dataclasses.replace(sample_case().program(backend.arithmetics[0], target), arithmetic="abacus")
    codes = [d.code for d in backend.check(program) if d.severity == "error"]
    if "E501" not in codes:
        yield f"check() of the arithmetic abacus finds {codes or 'nothing'}, expected E501"
    try:
        backend.emit(program)
    except UnsupportedError as error:
        if "E501" not in [d.code for d in error.diagnostics]:
            yield f"emit() of the arithmetic abacus refuses with {error}, expected E501"
    else:
        yield "emit() of the arithmetic abacus does not refuse"


def closing(backend: Backend, target: str | None) -> Iterator[str]:
    """Run a closed executable, which is an error, and close it again, which does no harm."""
    case = sample_case()
    with _emit(backend, case, target) as executable:
        executable.run(case.inputs)
    executable.close()
    try:
        executable.run(case.inputs)
    except RunError:
        executable.close()
    else:
        yield "run() after close() gives a result, expected a RunError"
    _emit(backend, case, target).close()  # without a run


def repeatable(backend: Backend, target: str | None) -> Iterator[str]:
    """Run the same twice: in one executable, whatever ran in between, and in two side by side."""
    case, whole = sample_case(), Recording(None, True)
    other = {path: 1 - x for path, x in case.inputs.items()}
    short = {path: x[:1, :7] for path, x in other.items()}
    with _emit(backend, case, target) as one, _emit(backend, case, target) as two:
        first = one.run(case.inputs, whole, seed=3)
        kept = {name: array.copy() for name, array in first.arrays().items()}
        small = one.run(short, whole, seed=3)
        one.run(other, whole, seed=3)
        for name, array in first.arrays().items():
            if not np.array_equal(array, kept[name]):
                yield f"{name} of a finished run was changed by a later one"
        yield from _same("after a run on other input", first, one.run(case.inputs, whole, seed=3), case)
        yield from _same("in a second executable", first, two.run(case.inputs, whole, seed=3), case)
        yield from _same("on shorter input, in the second executable", small, two.run(short, whole, seed=3), case)


def untouched(backend: Backend, target: str | None) -> Iterator[str]:
    """See that graph and input are the same after a run, and that nothing returned shares memory with the input."""
    case = sample_case()
    program = case.program(backend.arithmetics[0], target)
    digest, given = program.graph.digest, {path: x.copy() for path, x in case.inputs.items()}
    with backend.emit(program) as executable:
        trace = executable.run(case.inputs, Recording(None, True))
    fresh = Graph(program.graph.nodes, program.graph.edges, program.graph.notes, program.graph.profile)
    if fresh.digest != digest:
        yield "the graph's parameters changed in the run"
    for path, x in case.inputs.items():
        if not np.array_equal(x, given[path]):
            yield f"the run changed its input {path}"
        yield from (f"{n} shares memory with the input {path}" for n, a in trace.arrays().items() if np.shares_memory(a, x))


def recording(backend: Backend, target: str | None) -> Iterator[str]:
    """Record nothing, all that spikes, single nodes of any kind, with and without membranes: what was asked and no more."""
    case = sample_case()
    program = case.program(backend.arithmetics[0], target)
    network = build_network(program.graph, program.profile, program.arithmetic)
    allowed = TOLERANCES[backend.fidelity_for(program.arithmetic)]
    options = (
        None, Recording((), False), Recording(None, False), Recording(None, True), Recording((), True),
        Recording(("readout",), True), Recording(("hidden.fc", "input"), False), Recording(("output", "hidden"), False),
    )  # fmt: skip
    with _emit(backend, case, target) as executable:
        for option in options:
            expected = reference_trace(network, case, option or Recording())
            text = first_difference(expected, executable.run(case.inputs, option), allowed, network.schedule.order)
            if text:
                yield f"{option}: {text}"


def inputs_of_any_type(backend: Backend, target: str | None) -> Iterator[str]:
    """Give zeros and ones in every type of number, in any order in memory, read only or not: the result is the same."""
    case = sample_case()
    forms: dict[str, Callable[[Array], Array]] = {
        **{t: lambda x, t=t: x.astype(t) for t in ("int8", "int16", "uint16", "int32", "int64", "uint64")},  # type: ignore[misc]
        **{t: lambda x, t=t: x.astype(t) for t in ("float16", "float32", "float64")},  # type: ignore[misc]
        "Fortran order": np.asfortranarray, "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2], "read only": _locked,
    }  # fmt: skip
    with _emit(backend, case, target) as executable:
        first = executable.run(case.inputs, Recording(None, True))
        for name, form in forms.items():
            given = {path: form(x) for path, x in case.inputs.items()}
            yield from _same(f"with input in the form {name}", first, executable.run(given, Recording(None, True)), case)


#: All checks by name.
CONTRACT: Mapping[str, Check] = {
    "names": names, "availability": availability, "unknown arithmetic": unknown_arithmetic, "closing": closing,
    "repeatable": repeatable, "untouched": untouched, "recording": recording, "inputs of any type": inputs_of_any_type,
}  # fmt: skip
#: What an absent backend is asked, too.
_ALWAYS = ("names", "availability")


def check_contract(backend: Backend, name: str, *, target: str | None = None) -> Result:
    """Ask *backend* for one promise of the contract.

    Parameters
    ----------
    backend : Backend
        Who is examined.
    name : str
        Key of `CONTRACT`.
    target : str or None
        Chip to map the small network on, for a backend that runs mapped programs only.
    """
    try:
        if name not in _ALWAYS:
            # Where the backend cannot run even the small network there is nothing to hold it to.
            runs = check_case(backend, sample_case(), target=target)
            if runs.status == "refused":
                return Result(f"contract/{name}", backend.name, "", "refused", runs.text)
        found = "; ".join(CONTRACT[name](backend, target))
    except Exception as error:  # whatever a foreign backend raises is its failure, not ours
        found = f"{type(error).__name__}: {error}"
    return Result(f"contract/{name}", getattr(backend, "name", "?"), "", "failed" if found else "passed", found)


def _emit(backend: Backend, case: Case, target: str | None) -> Executable:
    return backend.emit(case.program(backend.arithmetics[0], target))


def _same(when: str, first: Trace, again: Trace, case: Case) -> Iterator[str]:
    order = tuple(n.path for n in case.graph)
    text = first_difference(first, again, _EXACT, order)
    if text:
        yield f"{when} (the first run stands for the reference): {text}"


def _locked(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x
