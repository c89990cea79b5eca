"""One case in one backend: run, held against the reference, and judged."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikeport.backends.base import Backend
from spikeport.backends.testing.case import Case
from spikeport.backends.testing.compare import TOLERANCES, Tolerance, first_difference
from spikeport.ir.diagnostics import CapacityError, Diagnostic, SpikeportError, UnsupportedError
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.profile import Profile
from spikeport.ir.program import Program
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording, Trace

Status = Literal["passed", "refused", "failed"]
_FIELDS = {f.name for f in dataclasses.fields(Profile)}


@dataclass(frozen=True, slots=True)
class Result:
    """How a backend did in one case or one check of the contract.

    Parameters
    ----------
    name, backend, arithmetic : str
        What ran where; no arithmetic for what does not depend on it.
    status : {"passed", "refused", "failed"}
        Refused: the backend said beforehand, layer by layer, what it cannot run.
    text : str
        The refusal, or what differs first.
    """

    name: str
    backend: str
    arithmetic: str
    status: Status
    text: str = ""

    def __str__(self) -> str:
        where = ", ".join(filter(None, (self.backend, self.arithmetic)))
        return f"{self.status:7s} {self.name} ({where})" + (f": {self.text}" if self.text else "")

    def require(self) -> Result:
        """Return the result; raise AssertionError with its text where it failed."""
        if self.status == "failed":
            raise AssertionError(str(self))
        return self


def check_case(
    backend: Backend, case: Case, arithmetic: str | None = None, *, target: str | None = None,
    tolerance: Tolerance | None = None,
) -> Result:  # fmt: skip
    """Run *case* in *backend* and in the reference, and compare all that they record and count.

    Parameters
    ----------
    backend : Backend
        Who is examined.
    case : Case
        One of `cases`.
    arithmetic : str or None
        Number system; None takes the backend's default.
    target : str or None
        Chip to map the case on, for a backend that runs mapped programs only.
    tolerance : Tolerance or None
        What may differ; None takes that of the backend's fidelity.

    Returns
    -------
    Result
        Never an exception of the backend: that is a failure like any other.
    """
    arithmetic = arithmetic or backend.arithmetics[0]

    def result(status: Status, text: str = "") -> Result:
        return Result(case.name, backend.name, arithmetic, status, text)

    try:
        program = case.program(arithmetic, target)
    except (UnsupportedError, CapacityError) as error:
        return result("refused", f"by the target: {error}")
    here = backend.available()
    if not here.ok:
        return result("failed", f"the backend is not available: {here.why} ({here.remedy})")
    allowed = TOLERANCES[backend.fidelity_for(arithmetic)] if tolerance is None else tolerance
    try:
        network = build_network(program.graph, program.profile, arithmetic)
    except UnsupportedError:
        network = None  # nobody can: the backend has to say so
    try:
        foreseen = [d for d in backend.check(program) if d.severity == "error"]
        refusal, text = _run(backend, program, case, network, allowed)
    except Exception as error:  # whatever a foreign backend raises is its failure, not ours
        return result("failed", _told(error))
    if refusal is None:
        if network is None:
            return result("failed", "it ran what the reference refuses (E510), so nothing vouches for the result")
        if foreseen:
            return result("failed", f"it ran what its check() refuses: {foreseen[0]}")
        return result("failed" if text else "passed", text)
    complaint = _bad_refusal(refusal, foreseen, case)
    return result("failed", complaint) if complaint else result("refused", "; ".join(map(str, refusal)))


def _run(
    backend: Backend, program: Program, case: Case, network: StepNetwork | None, allowed: Tolerance
) -> tuple[tuple[Diagnostic, ...] | None, str]:
    """Return (the refusal or None, what differs first)."""
    try:
        executable = backend.emit(program)
    except UnsupportedError as error:
        return error.diagnostics, ""
    if network is None:
        executable.close()
        return None, ""
    given = {path: x.copy(order="K") for path, x in case.inputs.items()}
    # Everything first, then the outputs alone: a simulator may take another way where nobody looks.
    with executable:
        for recording in (Recording(case.populations, True), Recording()):
            found = executable.run(case.inputs, recording)
            changed = [path for path, x in case.inputs.items() if not np.array_equal(x, given[path])]
            for path in changed:
                case.inputs[path][...] = given[path]
            if changed:
                return None, f"the run changed its input {changed[0]}"
            expected = reference_trace(network, case, recording)
            text = first_difference(expected, found, allowed, network.schedule.order)
            if text:
                return None, text if recording.state else f"recording the outputs alone: {text}"
    return None, ""


def reference_trace(network: StepNetwork, case: Case, recording: Recording) -> Trace:
    """Return what the reference makes of *case*."""
    with np.errstate(all="ignore"):
        return run_reference(network, case.inputs, recording)


def _bad_refusal(refusal: Iterable[Diagnostic], foreseen: list[Diagnostic], case: Case) -> str:
    """Return what is wrong with a refusal, "" where it is a good one."""
    for found in refusal:
        if not found.code.startswith("E5"):
            return f"it refused with {found.code}, which is no E5xx: {found}"
        if found.code != "E501" and found.path not in case.graph and found.path not in _FIELDS:
            return f"its refusal names no layer and no field of the profile, but {found.path!r}: {found}"
        if not found.message:
            return f"its refusal {found.code} at {found.path} says nothing"
    if not foreseen:
        return f"check() found nothing, emit() refused: {'; '.join(map(str, refusal))}"
    return ""


def _told(error: Exception) -> str:
    """Return an exception with the line that raised it."""
    if isinstance(error, SpikeportError):
        return f"{type(error).__name__}: {error}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename.rsplit('/', 1)[-1]}:{last.lineno}, {last.name})"
