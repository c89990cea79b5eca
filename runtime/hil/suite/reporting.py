"""Reports of a test session on devices: JSON, JUnit and HTML, with every attempt; and the baseline, where it is asked for."""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from spikeport.ir.diagnostics import SpikeportError
from spikeport.runtime.files import make_folder, write_text
from spikeport.runtime.hil.suite.baseline import write_baseline
from spikeport.runtime.hil.suite.reporting_html import html_text

FORMAT = "spikeport hil report 1"
#: Options that the reports name; a token is none of them.
_OPTIONS = (
    "url", "target", "backend", "record", "replay", "fault", "timeout_multiplier", "retries", "baseline", "baseline_update",
)  # fmt: skip
#: Outcomes that say something about the network; all other failures are errors of what is around it.
_FAILURES = ("mismatch", "over_budget")
# What XML 1.0 cannot hold.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def finish(options: Any, results: Sequence[dict[str, Any]]) -> tuple[list[str], bool]:
    """Write what *options* ask for; return what to say of it, and whether all could be written."""
    said, is_ok = [], True
    out = Path(options.hil_out)
    kinds = [k for k in (options.hil_report or "").split(",") if k]
    data = report(options, results)
    makers = {"json": ("hil.json", json_text), "junit": ("hil-junit.xml", junit_text), "html": ("hil.html", html_text)}
    for kind in kinds:
        name, make = makers[kind]
        try:
            make_folder(out)
            write_text(out / name, make(data))
            said.append(f"wrote {out / name}")
        except (SpikeportError, OSError) as error:
            said.append(f"not written: {error}")
            is_ok = False
    if options.hil_baseline_update:
        taken = {r["test"]: found for r in results if r["status"] == "passed" and (found := spent(r))}
        try:
            every = write_baseline(options.hil_baseline, taken)
            said.append(f"wrote {options.hil_baseline}: {len(taken)} tests of this run, {len(every)} in all")
        except (SpikeportError, OSError) as error:
            said.append(f"not written: {error}")
            is_ok = False
    return said, is_ok


def spent(result: dict[str, Any]) -> dict[str, float]:
    """Return what a test took, as its last attempt counted it; nothing for a test without a budget."""
    found: dict[str, float] = result["attempts"][-1].get("spent", {})
    return found


def report(options: Any, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the report as plain data: tests by name, the same for the same session however it was spread over workers."""
    from spikeport import __version__

    tests = sorted(results, key=lambda r: r["test"])
    return {
        "format": FORMAT,
        "versions": {"spikeport": __version__, "python": platform.python_version()},
        "options": {name: getattr(options, f"hil_{name}") for name in _OPTIONS},
        "counts": dict(sorted(Counter(str(t["outcome"] or t["status"]) for t in tests).items())),
        "tests": tests,
    }


def json_text(data: dict[str, Any]) -> str:
    """Return the report as JSON."""
    return json.dumps(data, indent=1, sort_keys=True) + "\n"


def junit_text(data: dict[str, Any]) -> str:
    """Return the report as JUnit XML, every attempt in it.

    The last attempt of a test that fails is a ``failure`` (mismatch, over budget) or an ``error`` (all else), the ones before
    are ``rerunFailure`` or ``rerunError``; those before an attempt that passed are ``flakyFailure`` or ``flakyError``, as
    Maven Surefire has it and Jenkins reads it. The type is the outcome.
    """
    tests = data["tests"]
    failures = sum(t["outcome"] in _FAILURES for t in tests)
    skipped = sum(t["status"] == "skipped" for t in tests)
    bad = sum(t["status"] in ("failed", "error") for t in tests)
    attributes = {
        "name": "spikeport-hil", "tests": str(len(tests)), "failures": str(failures), "errors": str(bad - failures),
        "skipped": str(skipped), "time": f"{sum(t['seconds'] for t in tests):.3f}",
    }  # fmt: skip
    root = ElementTree.Element("testsuites", dict(attributes))
    suite = ElementTree.SubElement(root, "testsuite", attributes)
    for test in tests:
        path, _, name = test["test"].partition("::")
        case = ElementTree.SubElement(suite, "testcase", {
            "classname": _clean(path.removesuffix(".py").replace("/", ".")), "name": _clean(name or path),
            "time": f"{test['seconds']:.3f}",
        })  # fmt: skip
        last = test["attempts"][-1]
        told = {"outcome": str(test["outcome"] or test["status"]), "attempts": str(len(test["attempts"]))}
        told |= {"device": ", ".join(d["name"] for d in last.get("devices", ()))}
        told |= {"firmware": ", ".join(d["firmware"] for d in last.get("devices", ()))}
        told |= {name: f"{value:.9g}" for name, value in spent(test).items()}
        properties = ElementTree.SubElement(case, "properties")
        for name, value in told.items():
            ElementTree.SubElement(properties, "property", {"name": f"hil.{name}", "value": _clean(value)})
        _junit_attempts(case, test)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _junit_attempts(case: ElementTree.Element, test: dict[str, Any]) -> None:
    if test["status"] == "skipped":
        ElementTree.SubElement(case, "skipped", {"message": _clean(test["message"])})
    before = "flaky" if test["status"] == "passed" else "rerun"
    for attempt in test["attempts"]:
        if attempt["status"] in ("failed", "error"):
            kind = "failure" if attempt["outcome"] in _FAILURES else "error"
            tag = kind if attempt is test["attempts"][-1] else f"{before}{kind.capitalize()}"
            name = str(attempt["outcome"] or attempt["error"] or "error")
            first = attempt["message"].splitlines()[0] if attempt["message"] else name
            text = f"attempt {attempt['number']} ({attempt['phase']}, {attempt['seconds']:.3f} s)\n{attempt['message']}"
            found = ElementTree.SubElement(case, tag, {"message": _clean(first), "type": _clean(name)})
            if tag in ("failure", "error"):
                found.text = _clean(text)
            else:  # Surefire has the text of attempts before the last one a level deeper
                ElementTree.SubElement(found, "stackTrace").text = _clean(text)
    lines = [line for a in test["attempts"] for line in (*a.get("evidence", ()), *a.get("marginal", ()))]
    if lines:
        ElementTree.SubElement(case, "system-out").text = _clean("\n".join(lines))


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
