"""What the commands share: stdout carries the result, stderr the talk; findings, JSON, a bar on long work."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from spikeport.ir.diagnostics import Diagnostic, SpikeportError

_COLOURS = {"error": typer.colors.RED, "warning": typer.colors.YELLOW, "note": None}


def result(text: str) -> None:
    """Write *text* to stdout."""
    typer.echo(text)


def result_json(data: Any) -> None:
    """Write *data* to stdout as JSON; what is not finite becomes null."""
    typer.echo(json.dumps(_plain(data), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else _plain_other(value)


def _plain_other(value: Any) -> Any:
    if hasattr(value, "items"):
        return _plain(dict(value))
    return _plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def say(text: str, severity: str = "note") -> None:
    """Write *text* to stderr, coloured where that is a terminal."""
    typer.secho(text, err=True, fg=_COLOURS[severity])


def say_findings(found: Iterable[Diagnostic]) -> None:
    """Write findings to stderr, errors first."""
    order = {"error": 0, "warning": 1, "note": 2}
    for finding in sorted(found, key=lambda d: order[d.severity]):
        say(f"{finding.severity} {finding}", finding.severity)


def failed(error: SpikeportError, as_json: bool) -> int:
    """Write what *error* found to stderr, with *as_json* to stdout too; return its exit code."""
    say_findings(error.diagnostics)
    codes = list(dict.fromkeys(d.code for d in error.diagnostics))
    say(f"more: spikeport explain {codes[0]}" if codes else "")
    if as_json:
        result_json({"ok": False, "exit_code": error.exit_code, "diagnostics": [d.as_dict() for d in error.diagnostics]})
    return error.exit_code


@contextlib.contextmanager
def progress_bar(text: str, *, in_portions: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function of (done, total) that moves a bar on stderr; None where stderr is no terminal.

    The bar goes when the work is done: nothing of it stays in a pipe or a log. With *in_portions* there always is a
    function, so that the work is cut into portions, between which it can be interrupted.
    """
    if not sys.stderr.isatty():
        yield (lambda done, total: None) if in_portions else None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("preparing", total=None)  # the first use of an arithmetic builds machine code
        yield lambda done, total: bar.update(task, description=text, completed=done, total=total)


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """Show *text* on stderr while something of unknown length goes on; nothing where stderr is no terminal.

    What the user's own code prints meanwhile (``FILE.py:FUNCTION``) is talk: stdout carries the result alone.
    """
    with contextlib.redirect_stdout(sys.stderr):
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(text):
            yield
