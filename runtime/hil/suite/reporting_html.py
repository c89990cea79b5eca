"""The report as one HTML file: nothing is fetched, nothing runs, and every text in it is escaped."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import Any

#: Pictures that are put in, and the most bytes of one.
MAX_PICTURES, MAX_BYTES = 50, 2 * 2**20

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #d6dae0}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f5f7;padding:.6rem;margin:.4rem 0;border-radius:4px}
.o{font-weight:600;white-space:nowrap}.passed{color:#176f2c}.marginal,.flaky{color:#8a5a00}.skipped{color:#57606a}
.mismatch,.over_budget,.unsupported,.bad_artifact,.timeout,.infrastructure,.quarantined,.error{color:#b3261e}
img{max-width:100%}summary{cursor:pointer;overflow-wrap:anywhere}.n{text-align:right}
@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#15181c}pre{background:#22262c}th,td{border-color:#3a4048}
.passed{color:#6fd08c}.marginal,.flaky{color:#e5b567}.mismatch,.over_budget,.unsupported,.bad_artifact,.timeout,.infrastructure,
.quarantined,.error{color:#ff8a80}.skipped{color:#9aa4af}}
"""


def html_text(data: dict[str, Any]) -> str:
    """Return the report *data* (`reporting.report`) as a page of its own."""
    tests = data["tests"]
    counts = ", ".join(
        f'<span class="o {escape(n)}">{c} {escape(n.replace("_", " "))}</span>' for n, c in data["counts"].items()
    )
    rows, pictures = [], MAX_PICTURES
    for test in tests:
        row, used = _row(test, pictures)
        rows.append(row)
        pictures -= used
    options = ", ".join(f"{n}={v}" for n, v in data["options"].items() if v not in (None, False, 0, 1.0)) or "none"
    versions = ", ".join(f"{n} {v}" for n, v in data["versions"].items())
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n<title>Hardware in the loop</title>\n'
        f"<style>{_STYLE}</style>\n<h1>Hardware in the loop</h1>\n"
        f"<p>{len(tests)} tests: {counts or 'none'}</p>\n<p>{escape(versions)}; options: {escape(options)}</p>\n"
        '<table><thead><tr><th scope="col">outcome<th scope="col">test<th scope="col">device<th scope="col">attempts'
        f'<th scope="col">seconds</thead><tbody>\n{"".join(rows)}</tbody></table>\n</html>\n'
    )


def _row(test: dict[str, Any], pictures: int) -> tuple[str, int]:
    outcome = str(test["outcome"] or test["status"])
    last = test["attempts"][-1]
    devices = "<br>".join(
        f"{escape(str(d['name']))} ({escape(str(d['kind']))}, {escape(str(d['backend']))}"
        f"{', ' + escape(str(d['target'])) if d['target'] else ''}; firmware {escape(str(d['firmware'])[:12])})"
        for d in last.get("devices", ())
    )
    parts = []
    for attempt in test["attempts"]:
        text = _attempt_text(attempt)
        if text or len(test["attempts"]) > 1:
            title = f"attempt {attempt['number']}: {attempt['outcome'] or attempt['status']}"
            parts.append(f"<p>{escape(title)}</p>" + (f"<pre>{escape(text)}</pre>" if text else ""))
    shown, used = _pictures(test, pictures)
    name = escape(test["test"])
    body = "".join(parts) + shown
    inner = f"<details{' open' if outcome not in ('passed', 'skipped') else ''}><summary>{name}</summary>{body}</details>"
    return (
        f'<tr><td class="o {escape(outcome)}">{escape(outcome.replace("_", " "))}<td>{inner if body else name}<td>{devices}'
        f'<td class="n">{len(test["attempts"])}<td class="n">{test["seconds"]:.2f}</tr>\n'
    ), used


def _attempt_text(attempt: dict[str, Any]) -> str:
    lines = [attempt["message"]] if attempt["message"] else []
    lines += [line for b in attempt.get("budget", ()) for line in b["lines"]]
    lines += [f"fault: {spec}" for spec in attempt.get("faults", ())]
    lines += attempt.get("marginal", ())
    lines += attempt.get("evidence", ())
    return "\n".join(lines)


def _pictures(test: dict[str, Any], left: int) -> tuple[str, int]:
    """Return the rasters of a test, in the page itself, *left* at most; and how many they are."""
    found: list[str] = []
    for path in (Path(e) for a in test["attempts"] for e in a.get("evidence", ()) if e.endswith(".png")):
        try:
            data = path.read_bytes() if len(found) < left and path.stat().st_size <= MAX_BYTES else b""
        except OSError:
            continue
        if data.startswith(b"\x89PNG"):
            code = base64.b64encode(data).decode()
            found.append(f'<img alt="raster of both runs, {escape(test["test"])}" src="data:image/png;base64,{code}">')
    return "".join(found), len(found)
