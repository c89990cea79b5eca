"""Attempts: what became of a test on a device each time it was tried. Only a failing bench is tried again, and all is told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

#: Attribute of a report that carries a test's result to whoever reports, through xdist too: plain data.
RESULT = "spikeport_hil"
MARKS = ("hil", "hil_budget", "hil_tolerance")
FIXTURES = ("hil_device", "hil_devices", "hil_reference", "hil_artifact", "hil_compare", "hil_fault")
_phases: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()
# As in `outcome`, which is not imported here, since it takes numpy with it; a test keeps them equal.
_GOOD, _RETRIED = ("passed", "marginal", "flaky"), ("infrastructure", "timeout")
#: From good to bad.
SEVERITY = (
    "passed", "marginal", "flaky", "over_budget", "mismatch", "unsupported", "bad_artifact", "timeout", "infrastructure",
    "quarantined",
)  # fmt: skip


def is_hil(item: pytest.Item) -> bool:
    """Whether a test runs on a device."""
    names = getattr(item, "fixturenames", ())
    return any(name in FIXTURES for name in names) or any(item.get_closest_marker(mark) is not None for mark in MARKS)


def note(item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> bool:
    """Note a phase (setup, call, teardown) of the attempt that runs; return whether the bench failed in it."""
    phase: dict[str, Any] = {"when": report.when, "status": report.outcome, "seconds": report.duration, "outcome": None}
    if report.failed:
        error = None if call.excinfo is None else call.excinfo.value
        phase["outcome"] = None if error is None else _outcome_of(error)
        # The message alone: the whole traceback is pytest's to show.
        phase["message"] = str(error) if error is not None else str(report.longrepr)
        phase["error"] = type(error).__name__
    elif report.skipped:
        longrepr = report.longrepr
        text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(getattr(report, "wasxfail", longrepr))
        phase["message"] = text.removeprefix("Skipped: ")
    item.stash.setdefault(_phases, []).append(phase)
    return phase["outcome"] in (*_RETRIED, "quarantined")


def shorten(error: BaseException) -> str:
    """Cut an error that explains itself off behind the user's last line; return its text where there is no such line."""
    from spikeport.ir.diagnostics import SpikeportError

    if not isinstance(error, SpikeportError):
        return ""
    step, last = error.__traceback__, None
    while step is not None:
        if str(step.tb_frame.f_globals.get("__name__", "")).partition(".")[0] not in ("spikeport", "_pytest", "pluggy"):
            last = step
        step = step.tb_next
    if last is None:
        return f"{type(error).__name__}: {error}"
    last.tb_next = None
    return ""


def _outcome_of(error: BaseException) -> str | None:
    """Return the outcome that *error* means; None where a test's own code failed, which nobody's device is to blame for."""
    from spikeport.ir.diagnostics import SpikeportError
    from spikeport.runtime.hil.outcome import outcome_of

    if isinstance(error, pytest.fail.Exception):
        return "mismatch"
    ours = (SpikeportError, AssertionError, ConnectionError, TimeoutError, MemoryError)
    return str(outcome_of(error)) if isinstance(error, ours) else None


def run(
    item: pytest.Item, nextitem: pytest.Item | None, retries: int, take: Callable[[pytest.Item], dict[str, Any]]
) -> list[pytest.TestReport]:
    """Run *item*, up to *retries* times more where only the bench failed; return the last attempt's reports with the result."""
    from _pytest.runner import runtestprotocol

    tried: list[dict[str, Any]] = []
    while True:
        item.stash[_phases] = []
        reports: list[pytest.TestReport] = runtestprotocol(item, nextitem=nextitem, log=False)
        tried.append(_attempt(len(tried) + 1, item.stash[_phases], take(item)))
        if tried[-1]["outcome"] not in _RETRIED or len(tried) > retries:
            break
        # As pytest does before a test: the fixtures of the attempt are gone.
        item._initrequest()  # type: ignore[attr-defined]
    setattr(reports[-1], RESULT, plain(_result(item.nodeid, tried)))
    return reports


def _attempt(number: int, phases: list[dict[str, Any]], did: dict[str, Any]) -> dict[str, Any]:
    failed = [p for p in phases if p["status"] == "failed"]
    skipped = [p for p in phases if p["status"] == "skipped"]
    status, outcome = "passed", max((o for o in did.get("outcomes", ()) if o in _GOOD), key=SEVERITY.index, default="passed")
    if failed:
        known = [p["outcome"] for p in failed]
        # What is a test's own fault is not tried again, whatever failed beside it.
        status, outcome = ("error", None) if None in known else ("failed", max(known, key=SEVERITY.index))
    elif skipped:
        status, outcome = "skipped", None
    told = failed or skipped
    return {
        "number": number, "status": status, "outcome": outcome, "seconds": sum(p["seconds"] for p in phases),
        "message": "\n".join(p["message"] for p in told), "phase": told[0]["when"] if told else "",
        "error": failed[0]["error"] if failed else "", **did,
    }  # fmt: skip


def _result(nodeid: str, tried: list[dict[str, Any]]) -> dict[str, Any]:
    last = tried[-1]
    outcome = "flaky" if last["status"] == "passed" and len(tried) > 1 else last["outcome"]
    return {
        "test": nodeid, "status": last["status"], "outcome": outcome, "seconds": sum(a["seconds"] for a in tried),
        "message": last["message"], "attempts": tried,
    }  # fmt: skip


def plain(value: Any) -> Any:
    """Return *value* as JSON and execnet have it: what is not finite as text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bool) or value is None or type(value) in (int, str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return int(value) if hasattr(value, "__index__") else str(value)


def summary(results: Iterable[dict[str, Any]]) -> list[str]:
    """Return the lines that the terminal shows: how many of each outcome, and each test that is not simply passed."""
    results = list(results)
    names = Counter(str(r["outcome"] or r["status"]) for r in results)
    order = (*SEVERITY, "error", "skipped")
    lines = [", ".join(f"{names[n]} {n.replace('_', ' ')}" for n in order if names[n])] if results else []
    for result in results:
        if len(result["attempts"]) > 1:
            told = ", ".join(f"{a['number']}: {a['outcome'] or a['status']}" for a in result["attempts"])
            lines.append(f"{result['outcome'] or result['status']} {result['test']} (attempts {told})")
            lines += [f"    {a['number']}: {_first_line(a['message'])}" for a in result["attempts"] if a["message"]]
        elif result["outcome"] not in ("passed", None):
            lines.append(f"{result['outcome']} {result['test']}")
        lines += [f"    {said}" for a in result["attempts"] for said in a.get("evidence", ())]
        if result["outcome"] == "marginal":
            lines += [f"    {said}" for said in result["attempts"][-1].get("marginal", ())]
    return lines


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""
