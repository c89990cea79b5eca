"""Pricing: from what a backend counted, and a target, to a report. One function for every backend."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.backends.counting import CoreCounts, count
from spikeport.backends.rates import StatedRates
from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.fanout import synapse_count
from spikeport.ir.ops import Input, Neuron
from spikeport.ir.program import Program
from spikeport.ir.schedule import schedule
from spikeport.ir.shapes import Shapes, infer_shapes
from spikeport.ir.trace import Trace
from spikeport.ir.units import Kind, Quantity, unknown
from spikeport.runtime import energy
from spikeport.runtime.injected import as_injected
from spikeport.runtime.latency import ChipTime, chip_time
from spikeport.runtime.neurobench import has_membranes, metrics
from spikeport.runtime.report_io import io
from spikeport.runtime.report_parts import amount, by_core, cost_set_lines, mean_step, of_inputs, times, usage
from spikeport.runtime.report_records import Amount, CostSetLines, Layer, Used
from spikeport.runtime.report_value import ENERGY_LINES, FORMAT, Report

#: Lines that follow the activity.
DYNAMIC = ("synapse", "soma", "core", "network")


def price(program: Program, trace: Trace | StatedRates, target: Target | None) -> Report:
    """Return what the run of *trace* does and costs on *target*.

    Parameters
    ----------
    program : Program
        Mapped on *target*.
    trace : Trace or StatedRates
        What a backend counted, or mean rates to price without a run.
    target : Target or None
        Chip; None reports counts and host time, and prices nothing.

    Raises
    ------
    UsageError
        E644 where *program* is not mapped on *target*; E642 for impossible rates.
    RunError
        E811 where the trace lacks the activity of a layer.
    """
    stated = isinstance(trace, StatedRates)
    run = trace.trace(program.graph, program.profile) if isinstance(trace, StatedRates) else trace
    shapes = infer_shapes(program.graph)[0]
    counts, given = None, run
    if target is not None:
        run = as_injected(run, target)
        if program.target != target.name:
            raise UsageError(
                Diagnostic("E644", "", f"mapped on {program.target or 'no target'}, to be priced for {target.name}",
                           f"compile the model for {target.name} first")
            )  # fmt: skip
        counts = count(program, run, target)
    samples = max(run.samples, 1)
    host = _host_time(run, stated)
    model = Quantity(run.samples * run.steps * program.profile.dt, "s", "modelled", "samples x steps x dt of the profile")
    parts: dict[str, Quantity] = {}
    sets: tuple[CostSetLines, ...] = ()
    if target is None or counts is None:
        chip = ChipTime(unknown("s", "no target was given"), "no target was given", True)
    else:
        chip = chip_time(target, counts)
        parts = energy.lines(target, counts, chip.time, program.chips, boards_of(program, target))
        sets = cost_set_lines(target, counts, chip, samples)
    time = chip.time
    amounts = tuple(_line(name, parts, samples, target) for name in ENERGY_LINES if _shown(name, parts, target))
    moving = {k: q for k, q in parts.items() if k in DYNAMIC}
    dynamic = energy.dynamic(moving, {} if counts is None or target is None else energy.in_sets(energy.events(counts), target))
    known, whole = (_with_dynamic(energy.total(parts, strict=s), dynamic, parts) for s in (False, True))
    apart = () if target is None else tuple(
        amount(name, energy.of_power(power, time, 1, "one", ""), samples) for name, power in target.apart.items()
    )  # fmt: skip
    layers = _layers(program, run, shapes, counts, target)
    return Report(
        kind="stated_rates" if stated else "run",
        target=None if target is None else target.name, target_title=None if target is None else target.title,
        chips=None if target is None else program.chips,
        boards=None if target is None else boards_of(program, target),
        cores=None if target is None else len(program.allocated), backend=run.meta.get("backend"), profile=str(program.profile),
        arithmetic=program.arithmetic, dt_s=program.profile.dt, samples=run.samples, steps=run.steps,
        neurons=sum(math.prod(shapes.output[n.path]) for n in program.graph if isinstance(n.op, Neuron)),
        synapses=sum(synapse_count(n.op, shapes.input[n.path]) for n in program.graph if n.op.is_weighted),
        energy=amounts, energy_dynamic=amount("dynamic", dynamic, samples), energy_known=amount("known", known, samples),
        energy_total=amount("total", whole, samples), cost_sets=sets, apart=apart, model_time=amount("model", model, samples),
        chip_time=amount("chip", time, samples), host_time=amount("host", host, samples),
        time=times(chip, target, samples),
        io=None if target is None else io(program, run, shapes, target, mean_step(time, run)), edp=_edp(known, time, samples),
        bounded_by=chip.bounded_by, layers=layers, neurobench=metrics(program.graph, given),
        usage=() if target is None else usage(program, target), by_core=by_core(program),
        passes=tuple(dict(p) for p in program.passes),
        notes=_notes(program, run, target, stated, chip.has_course), versions=_versions(), digests=_digests(program, target),
        format=FORMAT,
    )  # fmt: skip


def boards_of(program: Program, target: Target) -> int | None:
    """Return the boards that *program* keeps on: those of its machine, where it was routed on one; None without boards.

    A machine grows by triads, and chips of all its boards may be in use, however few.
    """
    return target.fabric.boards(program.chips) if program.routing is None else program.routing.machine.boards


def _with_dynamic(sum_of: Quantity, dynamic: Quantity, parts: Mapping[str, Quantity]) -> Quantity:
    """Return a sum with the interval of *dynamic* for its lines: their ends one by one would mix the cost sets."""
    if sum_of.value is None or dynamic.value is None:
        return sum_of
    rest = [q for k, q in parts.items() if k not in DYNAMIC and q.value is not None]
    low = sum(q.low if q.low is not None else (q.value or 0.0) for q in (dynamic, *rest))
    high = sum(q.high if q.high is not None else (q.value or 0.0) for q in (dynamic, *rest))
    return dataclasses.replace(sum_of, low=low, high=high)


def _shown(name: str, parts: Mapping[str, Quantity], target: Target | None) -> bool:
    return name in parts or (target is not None and energy.WITHIN.get(name) in parts)


def _line(name: str, parts: Mapping[str, Quantity], samples: int, target: Target | None) -> Amount:
    if name in parts:
        return amount(name, parts[name], samples)
    where = energy.WITHIN[name]
    return amount(name, unknown("J", f"contained in the line {where}"), samples, where)


def _edp(known: Quantity, time: Quantity, samples: int) -> Quantity:
    """Return energy times delay of a sample."""
    if known.value is None or time.value is None:
        return unknown("J s", known.source if known.value is None else time.source)
    low, high = (
        (k if k is not None else known.value) * (t if t is not None else time.value) / samples**2
        for k, t in ((known.low, time.low), (known.high, time.high))
    )
    kind = energy.kind_of([known, time])
    source = f"energy of a sample ({known.source.split(';')[-1].strip()}) times its chip time"
    return Quantity(known.value * time.value / samples**2, "J s", kind, source, low, high)


def _host_time(trace: Trace, stated: bool) -> Quantity:
    found = trace.seconds.get("run", trace.seconds.get("total"))
    if stated or found is None:
        return unknown("s", "nothing was run" if stated else "the backend did not measure it")
    kind: Kind = "measured"
    return Quantity(found, "s", kind, f"clock of the host, backend {trace.meta.get('backend')}")


def _layers(
    program: Program, trace: Trace, shapes: Shapes, counts: CoreCounts | None, target: Target | None
) -> tuple[Layer, ...]:
    entering: dict[str, float] = {}
    if counts is not None:
        per_core = sum((m.sum(axis=1) for m in counts.synops.values()), np.zeros(len(counts.cores)))
        for names, done in zip(counts.layers, per_core.tolist(), strict=True):
            # One population a core is what the mapper places; several share their line.
            entering[names] = entering.get(names, 0.0) + done
    out = []
    seconds = trace.steps * trace.samples * program.profile.dt
    for path in schedule(program.graph, program.profile).order:
        node = program.graph[path]
        if not (isinstance(node.op, Neuron) or node.op.is_spiking or type(node.op) is Input):
            continue
        size = math.prod(shapes.output[node.path])
        spikes = _spikes(trace, node.path, type(node.op) is Input)
        slices = program.slices_of(node.path)
        out.append(
            Layer(
                node.path, node.op.kind, size, sum(s.usage.get("synapses", 0) for s in slices) if slices else None,
                len({s.core for s in slices}) if slices else None, spikes, None if spikes is None else spikes / trace.samples,
                None if spikes is None or not seconds else spikes / (size * seconds),
                entering[node.path] / trace.samples if node.path in entering else None,
            )
        )  # fmt: skip
    return tuple(out)


def _spikes(trace: Trace, path: str, is_input: bool) -> int | None:
    counts = trace.counts.get(path)
    if counts is not None and counts.spikes is not None:
        return counts.spikes
    return round(float(np.sum(trace.activity[path]))) if is_input and path in trace.activity else None


def _notes(program: Program, trace: Trace, target: Target | None, stated: bool, course: bool) -> tuple[str, ...]:
    notes = list(program.notes.get("lowering", ()))
    notes += [d["message"] for d in program.notes.get("mapping", ())]
    notes += [d["message"] for d in program.notes.get("warnings", ()) if d.get("severity") != "note"]
    notes += trace.meta.get("notes", ())
    if not has_membranes(program.graph, trace):
        notes.append("MembraneUpdates counts every neuron at every step; NeuroBench counts the membranes that a step changes, "
                     "and so does a run that records all membranes")  # fmt: skip
    if stated:
        rates: Mapping[str, Any] = trace.meta["stated_rates"]
        own = "".join(f", {path} {rate:g} Hz" for path, rate in rates["by_layer"].items())
        notes.append(f"nothing was run: every input and neuron is taken to send {rates['rate_hz']:g} events/s{own}, evenly")
    if target is not None:
        notes += of_inputs(program, trace, target)
        if not course:
            notes.append("chip time from the mean step: busy steps take longer than this")
        elif target.step.fixed is None and len(program.slices) > len({s.path for s in program.slices}):
            notes.append("chip time takes every core to have a steady share of its layer's events: it is somewhat longer "
                         "where single cores are busier in single steps")  # fmt: skip
        if target.step.fixed is not None and target.step.fixed.value not in (None, program.profile.dt):
            notes.append(f"a step of the model ({program.profile.dt:g} s) takes {target.step.fixed.value:g} s on {target.name}")
        notes.append(f"distances: {target.fabric.model}")
        notes += target.notes
    return tuple(dict.fromkeys(notes))


def _versions() -> dict[str, str]:
    from spikeport import __version__

    return {"spikeport": __version__, "numpy": np.__version__, "python": platform.python_version()}


def _digests(program: Program, target: Target | None) -> dict[str, str]:
    out = {"graph": program.graph.digest, "source": str(program.notes.get("source_digest", program.graph.digest))}
    return out if target is None else {**out, "target": target.digest}


__all__ = ["Amount", "Layer", "Report", "StatedRates", "Used", "price"]
