"""A comparison as text."""

from __future__ import annotations

from spikeport.runtime.compare import Comparison, Divergence


def format_comparison(result: Comparison) -> str:
    """Return *result* as lines: the verdict, the first divergence, a table of layers, what else differs."""
    a, b = result.names
    lines = [_verdict(result)]
    if result.first is not None:
        lines += ["", *_divergence(result.first, a, b)]
    if result.layers:
        width = max(len("array"), *(len(layer.key) for layer in result.layers))
        lines += [
            "",
            f"{'array':{width}s}  {'values':>12s}  {'differ':>12s}  {'events ' + a[:12]:>19s}  {'events ' + b[:12]:>19s}",
        ]
        for layer in result.layers:
            row = f"{layer.key:{width}s}  {layer.size:12,d}  {layer.mismatches:12,d}"
            row += f"  {layer.events[0]:19,d}  {layer.events[1]:19,d}"
            if layer.mismatches and not layer.key.startswith("spikes/"):
                row += f"  largest difference {layer.max_abs_difference:.6g}"
            if layer.shift is not None:
                row += f"  {_shift(layer.shift, b)}: then {layer.shifted_mismatches:,d} differ"
            lines.append(row)
    lines += [f"{key}: only in {a}" for key in result.missing]
    lines += [f"{key}: only in {b}" for key in result.extra]
    lines += [f"{key}: shape {x} in {a}, {y} in {b}" for key, x, y in result.shapes]
    if result.notes:
        lines += ["", *(f"the runs differ in {note}" for note in result.notes)]
    return "\n".join(lines)


def _verdict(result: Comparison) -> str:
    a, b = result.names
    if result.equal:
        return f"equal: {a} and {b} agree in all {sum(layer.size for layer in result.layers):,d} values"
    parts = (
        [f"{result.mismatches:,d} of {sum(layer.size for layer in result.layers):,d} values differ"]
        if result.mismatches
        else []
    )
    odd = len(result.missing) + len(result.extra)
    parts += [f"{odd} arrays are on one side only"] if odd else []
    parts += [f"{len(result.shapes)} arrays differ in shape"] if result.shapes else []
    return f"different: {', '.join(parts)}"


def _divergence(first: Divergence, a: str, b: str) -> list[str]:
    neuron = f"neuron {first.neuron[0] if len(first.neuron) == 1 else first.neuron}"
    lines = [f"first divergence: {first.key}, sample {first.sample}, step {first.step}, {neuron}"]
    for text, pair in (("value", first.values), ("membrane", first.membranes), ("membrane one step before", first.previous)):
        if pair is not None:
            lines.append(f"  {text}: {pair[0]!r} in {a}, {pair[1]!r} in {b}")
    lines.append(f"  last pass that touched {first.path}: {first.last_pass or 'none'}")
    return lines


def _shift(steps: int, b: str) -> str:
    return f"{b} is {abs(steps)} step{'s' if abs(steps) > 1 else ''} {'late' if steps > 0 else 'early'}"
