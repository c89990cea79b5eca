"""What enters and leaves a chip in a step, and whether that sets the step time.

Input values are counted as :mod:`spikeport.runtime.injected` says. Of spiking outputs the spikes are read, of integrators the
membranes of all neurons, of layers behind them (they stay with the host) what enters these layers.
"""

from __future__ import annotations

import math

import numpy as np

from spikeport.hw_profiles.target import Target
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Input, Neuron, Output, Threshold
from spikeport.ir.program import Program
from spikeport.ir.shapes import Shapes
from spikeport.ir.trace import Trace
from spikeport.ir.units import Quantity, format_si
from spikeport.runtime.report_records import Io


def io(program: Program, trace: Trace, shapes: Shapes, target: Target, step: Quantity) -> Io:
    """Return what enters and leaves in a step of *trace*, whose chip takes *step* seconds for a mean one."""
    total, graph = max(1, trace.samples * trace.steps), program.graph
    inputs = [n.path for n in graph if type(n.op) is Input]
    sizes = {n.path: math.prod(shapes.output[n.path]) for n in graph}
    known = all(p in trace.activity for p in inputs)
    entering = sum(float(np.sum(trace.activity[p])) for p in inputs) / total if known else None
    read = _read(graph)
    leaving: float | None = 0.0
    for path in read:
        count = trace.counts.get(path)
        spikes = None if count is None else count.spikes
        if not graph[path].op.is_spiking:
            leaving = None if leaving is None else leaving + sizes[path]
        else:
            leaving = None if leaving is None or spikes is None else leaving + spikes / total
    limits = [q.value for q in (target.io.values_in, target.io.values_out)]
    most = [None if v is None else int(v) * max(1, program.chips) for v in limits]
    sets, why = _sets(target, step)
    return Io(
        sum(sizes[p] for p in inputs), sum(sizes[p] for p in read), entering, leaving, most[0], most[1], host_step(target),
        sets, why,
    )  # fmt: skip


def _read(graph: Graph) -> tuple[str, ...]:
    """Return the populations whose spikes or membranes leave the chip: those that an Output sees, through what is stateless."""
    found: dict[str, None] = {}
    pending, seen = [n.path for n in graph if type(n.op) is Output], set()
    while pending:
        for edge in graph.into(pending.pop()):
            op = graph[edge.source].op
            if isinstance(op, (Neuron, Threshold)):
                found[edge.source] = None
            elif type(op) is not Input and edge.source not in seen:
                seen.add(edge.source)
                pending.append(edge.source)
    return tuple(found)


def host_step(target: Target) -> Quantity:
    """Return the time that a step waits for input and output: unknown but for what was measured, which is the interval."""
    span = target.io.span
    if span is None:
        return Quantity(None, "s", "estimated", f"no step with input and output was measured on {target.name}")
    cases = "; ".join(
        f"{c.values_in} inputs and {c.values_out} outputs: {format_si(c.step.value, 's')} ({c.step.source})"
        for c in target.io.measured
    )
    return Quantity(
        None, "s", "measured", f"unknown for this network; measured where every step was fed and read: {cases}", *span
    )  # fmt: skip


def _sets(target: Target, step: Quantity) -> tuple[bool | None, str]:
    """Return whether input and output set the step of a run that is fed and read at every step, and why."""
    span = target.io.span
    if target.step.fixed is not None:
        return False, "a timer sets the step"
    if span is None or step.value is None:
        return None, host_step(target).source if span is None else step.source
    least, most = (end if end is not None else step.value for end in (step.low, step.high))
    ours, theirs = (f"{format_si(a, 's')} to {format_si(b, 's')}" for a, b in ((least, most), span))
    if most < span[0]:
        return True, (f"a mean step takes the cores {ours}; networks that were fed and read at every step took {theirs}: "
                      "input and output set the step, unless they are buffered")  # fmt: skip
    if least > span[1]:
        return False, f"a mean step takes the cores {ours}, longer than all that was measured with input and output ({theirs})"
    return None, f"a mean step takes the cores {ours}; networks that were fed and read at every step took {theirs}"
