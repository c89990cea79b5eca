"""Errors as messages: what a worker or the daemon refused, so that the client raises the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeport.ir import diagnostics
from spikeport.ir.diagnostics import Diagnostic, RunError, SpikeportError
from spikeport.runtime.hil.outcome import HilError, Outcome, outcome_of

_KINDS: dict[str, type[SpikeportError]] = {
    name: kind for name, kind in vars(diagnostics).items()
    if isinstance(kind, type) and issubclass(kind, SpikeportError) and name not in ("SpikeportError", "InternalError")
}  # fmt: skip
#: Findings in one message, and letters in a text.
MOST, LONGEST = 50, 4000


def error_json(error: BaseException) -> dict[str, Any]:
    """Return *error* as plain data; what is none of ours becomes E801, without its traceback."""
    if isinstance(error, MemoryError):
        error = RunError(Diagnostic("E802", "", "the memory that the daemon gives a run does not suffice", "run fewer samples"))
    if not isinstance(error, SpikeportError):
        text = f"{type(error).__name__}: {error}"
        error = RunError(Diagnostic("E801", "", f"the device failed: {text:.500}", "see the daemon's log"))
    found = [
        {"code": d.code, "path": d.path[:LONGEST], "message": d.message[:LONGEST], "hint": d.hint[:LONGEST], "facts": _facts(d)}
        for d in error.diagnostics[:MOST]
    ]
    return {"kind": type(error).__name__, "outcome": str(outcome_of(error)), "diagnostics": found}


def _facts(finding: Diagnostic) -> dict[str, Any]:
    return {
        str(k)[:80]: v if v is None or (isinstance(v, (bool, int, float)) and v == v and abs(v) < 1e300) else str(v)[:200]
        for k, v in list(finding.facts.items())[:40]
    }  # fmt: skip


def error_from(data: Any) -> SpikeportError:
    """Return the error that `error_json` wrote, of its own kind where that is one of spikeport's, else a HilError."""
    if not isinstance(data, Mapping) or not isinstance(data.get("diagnostics"), list):
        data = {}
    found = []
    for d in data.get("diagnostics", [])[:MOST]:
        if isinstance(d, Mapping) and all(isinstance(d.get(k), str) for k in ("code", "path", "message", "hint")):
            facts = d.get("facts")
            found.append(Diagnostic(d["code"], d["path"], d["message"], d["hint"], facts if isinstance(facts, dict) else {}))
    if not found:
        found = [Diagnostic("E877", "", "the other side failed and did not say how", "see the daemon's log")]
    kind = _KINDS.get(str(data.get("kind")))
    if kind is not None:
        return kind(found)
    try:
        outcome = Outcome(data.get("outcome"))
    except ValueError:
        outcome = Outcome("infrastructure")
    return HilError(found, outcome)
