"""What a sweep over fault rates found, as text and as a picture."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic
from spikeport.runtime.files import write_atomic
from spikeport.runtime.hil.robustness_value import Point, Robustness

#: Characters of a bar that is full.
BAR = 40


def format_robustness(found: Robustness) -> str:
    """Return a table of all curves, with bars."""
    samples, seeds = found.sound.samples, f"{found.seeds} seed{'s' * (found.seeds != 1)}"
    target = f", {found.target}" if found.target else ""
    lines = [
        f"graph {found.graph[:16]}, data {found.data[:16]}: {samples} samples of {found.steps} steps, {seeds}",
        f"{found.backend}, {found.arithmetic}{target}; {found.score}, Wilson's 95 % interval for {samples} samples, and least "
        "and most over seeds",
        f"without faults: {_score(found.sound)}",
    ]
    for curve in found.curves:
        lines += ["", curve.fault, f"{'rate':>8s}  {found.score:>9s}  {'interval':>15s}  {'over seeds':>15s}  output changed"]
        for p in curve.points:
            low, high = p.interval
            span = f"{min(p.right) / samples:.2%} {max(p.right) / samples:.2%}" if len(p.right) > 1 else ""
            bar = "#" * round(BAR * p.value)
            lines.append(f"{p.rate:8g}  {p.value:9.2%}  {low:7.2%} {high:7.2%}  {span:>15s}  {p.changed:14.2%}  {bar}")
    return "\n".join(lines)


def _score(point: Point) -> str:
    low, high = point.interval
    return f"{point.right[0]} of {point.samples} right, {point.value:.2%} ({low:.2%} to {high:.2%})"


def require_pictures() -> None:
    """Raise BackendUnavailable E891 where no picture can be drawn here: before a long sweep, not after it."""
    if find_spec("matplotlib") is None:
        raise BackendUnavailable(
            Diagnostic("E891", "--output", "matplotlib, which draws it, is not installed", "pip install 'spikeport[hil]'")
        )


def save_plot(found: Robustness, path: str | Path) -> None:
    """Write the curves to *path* as PNG, whole or not at all.

    Raises
    ------
    BackendUnavailable
        E891 without matplotlib.
    UsageError
        E631 where the file cannot be written.
    """
    require_pictures()
    figure = _figure(found)
    write_atomic(path, lambda stream: figure.savefig(stream, format="png", dpi=120))


def _figure(found: Robustness) -> Any:
    """Return the picture: a curve for each fault with its interval, and a dot for each seed."""
    # Without pyplot: no window, no global state, no change of the user's own settings.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for number, curve in enumerate(found.curves):
        points = sorted(curve.points, key=lambda p: p.rate)
        rates, color = [p.rate for p in points], f"C{number}"
        axes.plot(rates, [p.value for p in points], "o-", color=color, label=curve.fault.replace("$", r"\$"))
        low, high = zip(*(p.interval for p in points), strict=True)
        axes.fill_between(rates, low, high, color=color, alpha=0.15, linewidth=0)
        x, y = zip(*((p.rate, right / p.samples) for p in points for right in p.right), strict=True)
        axes.scatter(x, y, s=8, color=color, alpha=0.5)
    axes.axhline(found.sound.value, color="0.5", linewidth=0.8, linestyle=":", label="without faults")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("rate of the fault")
    axes.set_ylabel(found.score)
    axes.set_title(f"{found.sound.samples} samples, {found.seeds} seeds; band: Wilson's 95 % interval", fontsize="medium")
    axes.legend(fontsize="small")
    return figure
