"""The conversion table of a program in integers, for people: what each number was, its register, what that amounts to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("layer", "parameter", "was", "register", "amounts to", "error", "cut", "zeroed")


def conversion_text(notes: Mapping[str, Any], arithmetic: str) -> str:
    """Return the table in a program's *notes*, what calibration measured, and by how much outputs are late; or nothing."""
    rows = [_cells(row) for row in notes.get("conversion", ())]
    lines: list[str] = []
    if rows:
        widths = [max(len(row[i]) for row in (HEAD, *rows)) for i in range(len(HEAD))]
        chip = {"loihi": "Loihi", "spinnaker1": "SpiNNaker"}.get(arithmetic, arithmetic)
        lines += [f"conversion to {chip}'s integers (least .. largest of a layer; error relative, of weights the RMS)"]
        lines += ["  " + "  ".join(f"{c:<{w}s}" for c, w in zip(row, widths, strict=True)).rstrip() for row in (HEAD, *rows)]
    lags = notes.get("lags", {})
    if lags:
        late = ", ".join(f"{path} {steps}" for path, steps in sorted(lags.items(), key=lambda item: (item[1], item[0])))
        lines.append(f"steps behind the model, as every hop takes one: {late}")
    lines += ring_lines(notes.get("ring_buffers", {}))
    return "\n".join([*lines, *measured_lines(notes.get("measured", {}))])


def ring_lines(rings: Mapping[str, Any]) -> list[str]:
    """Return how far the ring buffers of each population are shifted, and what that was chosen for."""
    return [
        f"ring buffers of {path}: shifted left by {ring['shifts'][0]} (excitatory) and {ring['shifts'][1]} (inhibitory), for "
        f"{ring['rule']}: up to {ring['largest_sums'][0]:.5g} and {ring['largest_sums'][1]:.5g} nA a step"
        for path, ring in rings.items()
    ]


def measured_lines(measured: Mapping[str, Any]) -> list[str]:
    """Return what the calibration data showed, a line a layer."""
    if not measured:
        return []
    samples = measured["samples"]
    lines = [f"on {samples:,} samples of the calibration data (the model's floats against the integers, aligned)"]
    for path, layer in measured["layers"].items():
        theirs, ours = layer["spikes"]
        share = 100 * layer["mismatches"] / max(1, layer["places"])
        lines.append(f"  {path}: {theirs:,} spikes became {ours:,}; {layer['mismatches']:,} places differ ({share:.2g} %)")
    if "correct" in measured:
        before, after = measured["correct"]
        lines.append(f"  accuracy: {before} of {samples} became {after} of {samples}")
    return lines


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    register = _span(row["integer"])
    low, high = row["exponent"]
    if high:
        register += f" x 2^{low}" if low == high else f" x 2^{low}..{high}"
    is_weight = bool(row["size"])
    error = "exact" if row["error"] < 1e-12 else f"{100 * row['error']:.2g} %"
    counts = (f"{row['saturated']:,}", f"{row['zeroed']:,} of {row['size']:,}") if is_weight else ("", "")
    return (row["path"], row["parameter"], _span(row["old"]), register, _span(row["effective"]), error, *counts)


def _span(span: Sequence[float]) -> str:
    low, high = span
    return f"{low:.6g}" if low == high else f"{low:.6g} .. {high:.6g}"
