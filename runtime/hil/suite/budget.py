"""Budgets: what a run may take, held against its report and, where the device measures, against what was measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.ops import Neuron
from spikeport.ir.program import Program
from spikeport.ir.units import Quantity
from spikeport.runtime.hil.device import DeviceRun
from spikeport.runtime.hil.outcome import GOOD, HilMismatch, Outcome, worst

#: What a budget may limit, with the unit and its size in SI.
UNITS = {"latency_ms": ("ms", 1e-3), "energy_uj": ("uJ", 1e-6), "spikes": ("", 1.0), "synops": ("", 1.0), "cores": ("", 1.0)}


@dataclass(frozen=True, slots=True)
class Budget:
    """What one sample may take; None is no limit.

    Parameters
    ----------
    latency_ms : float or None
        Chip time of a sample, in ms: measured by the device, else by the report's model of the target. Never host time.
    energy_uj : float or None
        Energy of a sample, in uJ: measured, else all lines that the report knows.
    spikes, synops : float or None
        Mean spikes of all neurons, and synaptic operations, of a sample.
    cores : int or None
        Cores that the program takes; placed, not measured, so that all of them may be used and nothing is marginal.
    rel : float or None
        Most by which any of these may exceed the baseline, as a share of it.
    margin : float
        Share of a limit (of *rel*: of the growth), next to it, that is called marginal.
    """

    latency_ms: float | None = None
    energy_uj: float | None = None
    spikes: float | None = None
    synops: float | None = None
    cores: float | None = None
    rel: float | None = None
    margin: float = 0.1

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Budget:
        """Return the budget that the *arguments* of a marker say; raise UsageError E859 for what cannot be."""
        known = [f.name for f in dataclasses.fields(cls)]
        wrong = []
        for name, value in arguments.items():
            if name not in known:
                what = f"there is no budget {name!r}{did_you_mean(name, known)}"
                wrong.append(Diagnostic("E859", "hil_budget", what, f"there are {', '.join(known)}"))
            elif value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0):
                wrong.append(Diagnostic("E859", "hil_budget", f"{name}={value!r} is no number from 0 on", "give a number"))
        if not wrong and not any(arguments.get(name) is not None for name in (*UNITS, "rel")):
            wrong.append(Diagnostic("E859", "hil_budget", "a budget limits nothing", f"give one of {', '.join(UNITS)}, rel"))
        if wrong:
            raise UsageError(wrong)
        return cls(**arguments)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one sample took of one thing.

    Parameters
    ----------
    value : float or None
        In the unit of its name; None where nobody knows it.
    source : str
        How the number came about, or why there is none.
    low, high : float or None
        Interval, where there is one.
    """

    value: float | None
    source: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One limit and what was taken of it.

    Parameters
    ----------
    name : str
        As in `Budget`; ``rel latency_ms`` and the like for the baseline.
    value : float or None
        What was taken.
    limit : float or None
        Most that may be; None where the baseline has none.
    outcome : Outcome
        ``passed``, ``marginal``, ``over_budget``, or ``unsupported`` for a number that nobody knows.
    source : str
        How the number came about.
    """

    name: str
    value: float | None
    limit: float | None
    outcome: Outcome
    source: str

    def __str__(self) -> str:
        unit = UNITS[self.name.split()[-1]][0]
        value = "unknown" if self.value is None else f"{self.value:,.6g} {unit}".strip()
        limit = "no limit" if self.limit is None else f"{self.limit:,.6g} {unit}".strip()
        return f"{self.name}: {value} of {limit}: {self.outcome} ({self.source})"


@dataclass(frozen=True, slots=True)
class BudgetVerdict:
    """How a run stands to its budget.

    Parameters
    ----------
    outcome : Outcome
        The worst of its lines.
    lines : tuple of Line
        Every limit.
    spent : Mapping[str, Spent]
        Everything that is counted, limited or not: what a baseline keeps.
    """

    outcome: Outcome
    lines: tuple[Line, ...]
    spent: Mapping[str, Spent]

    def __str__(self) -> str:
        return "\n".join([f"{self.outcome}: budget", *(f"  {line}" for line in self.lines)])

    def require(self) -> BudgetVerdict:
        """Return the verdict itself where it is good; raise HilMismatch E854, or E855 where it cannot be judged."""
        if self.outcome not in GOOD:
            bad = [line for line in self.lines if line.outcome not in GOOD]
            raise HilMismatch(
                [
                    Diagnostic("E854" if b.outcome == Outcome.OVER_BUDGET else "E855", "", str(b), _HINTS[b.outcome])
                    for b in bad
                ],
                self.outcome,
            )
        return self


_HINTS = {
    Outcome.OVER_BUDGET: "make the network cheaper, or raise the limit on purpose",
    Outcome.UNSUPPORTED: "name a target, measure on hardware, or write the baseline: --hil-baseline FILE --hil-baseline-update",
}


def spent(program: Program, run: DeviceRun, target: Target | None) -> dict[str, Spent]:
    """Return what one sample of *run* took.

    Parameters
    ----------
    program : Program
        What ran.
    run : DeviceRun
        Its counts; ``meta["measured"]`` (``latency_s``, ``energy_j`` of a sample) goes before any model.
    target : Target or None
        Chip to price for; without one there is neither chip time nor energy, unless they were measured.
    """
    from spikeport.runtime.report import price

    report = price(program, run.trace, target)
    samples = max(run.trace.samples, 1)
    measured = run.meta.get("measured")
    measured = measured if isinstance(measured, Mapping) else {}
    neurons = [n.path for n in program.graph if isinstance(n.op, Neuron)]
    counts = run.trace.counts
    return {
        "latency_ms": _timed(measured.get("latency_s"), report.chip_time.per_sample, 1e-3),
        "energy_uj": _timed(measured.get("energy_j"), report.energy_known.per_sample, 1e-6),
        "spikes": _sum([counts[p].spikes for p in neurons if p in counts and program.graph[p].op.is_spiking], samples),
        "synops": _sum([c.synops for c in counts.values()], samples),
        "cores": Spent(float(len(program.allocated)), "placement") if program.target else Spent(None, "mapped on no target"),
    }


def _timed(measured: Any, modelled: Quantity, unit: float) -> Spent:
    if isinstance(measured, (int, float)) and not isinstance(measured, bool) and math.isfinite(measured):
        return Spent(measured / unit, "measured by the device")
    if modelled.value is None:
        return Spent(None, modelled.source)
    low, high = (None if x is None else x / unit for x in (modelled.low, modelled.high))
    return Spent(modelled.value / unit, f"{modelled.kind}: {modelled.source}", low, high)


def _sum(found: list[int | None], samples: int) -> Spent:
    known = [n for n in found if n is not None]
    if not known:
        return Spent(None, "the device counts none")
    lacking = len(found) - len(known)
    # A layer that does not do such a thing has no number; one that does is counted by every backend.
    return Spent(
        sum(known) / samples, f"counted, mean of {samples} samples" + ("" if not lacking else f", {len(known)} layers")
    )


def judge(budget: Budget, taken: Mapping[str, Spent], baseline: Mapping[str, float] | None = None) -> BudgetVerdict:
    """Return how *taken* stands to *budget* and, for ``rel``, to *baseline* (None: there is none for this test)."""
    lines = [
        _line(name, taken[name], limit, limit * (1 - (0 if name == "cores" else budget.margin)))
        for name in UNITS if (limit := getattr(budget, name)) is not None
    ]  # fmt: skip
    if budget.rel is not None:
        if not baseline:
            lines += [
                Line(f"rel {name}", s.value, None, Outcome.UNSUPPORTED, "the baseline has no such test")
                for name, s in taken.items() if s.value is not None
            ]  # fmt: skip
        for name, base in (baseline or {}).items():
            limit = base * (1 + budget.rel)
            # What has not grown is not near its limit, and equal runs may differ in the last bit of a sum.
            near = max(base * (1 + budget.rel * (1 - budget.margin)), base)
            given = dataclasses.replace(taken.get(name, Spent(None, "not counted any more")), low=None, high=None)
            lines.append(_line(f"rel {name}", given, limit, near, f"baseline {base:,.6g}; "))
    return BudgetVerdict(worst(line.outcome for line in lines), tuple(lines), dict(taken))


def _line(name: str, taken: Spent, limit: float, near: float, note: str = "") -> Line:
    slack = 1 + 1e-9
    if taken.value is None:
        outcome = Outcome.UNSUPPORTED
    elif taken.value > limit * slack:
        outcome = Outcome.OVER_BUDGET
    else:
        beyond = taken.high is not None and taken.high > limit * slack
        outcome = Outcome.MARGINAL if beyond or taken.value > near * slack else Outcome.PASSED
        note += f"its interval reaches {taken.high:,.6g}; " if beyond else ""
    return Line(name, taken.value, limit, outcome, note + taken.source)
