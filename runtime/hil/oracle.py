"""The oracle: what a device did against what the model does, by a policy, down to the first spike that differs.

>>> import numpy as np
>>> model = {"spikes/lif": np.array([[[0], [1], [0], [0]]])}
>>> device = {"spikes/lif": np.array([[[0], [0], [1], [0]]])}
>>> str(compare(model, device).outcome), str(compare(model, device, Policy(shift=1, exact=True)).outcome)
('mismatch', 'passed')
>>> compare(model, device).first.step
1
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.ops import Array
from spikeport.ir.trace import Trace
from spikeport.runtime.compare import Divergence, first_divergence, in_order, require_rasters
from spikeport.runtime.hil import metrics
from spikeport.runtime.hil.device import DeviceRun
from spikeport.runtime.hil.outcome import GOOD, HilMismatch, Outcome, worst
from spikeport.runtime.hil.policy import Policy

Run: TypeAlias = DeviceRun | Trace | Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Check:
    """One criterion at one layer.

    Parameters
    ----------
    name, layer : str
        Criterion, as in `Policy`, and the array: ``spikes/PATH``, ``out/PATH``, ``v/PATH``.
    value, limit : float
        What was found, and the most (of ``synchrony`` and ``top1`` the least) that is allowed.
    outcome : Outcome
        ``passed``, ``marginal`` or ``mismatch``.
    note : str
        What to say beside it: the interval, the shift that was taken off.
    """

    name: str
    layer: str
    value: float
    limit: float
    outcome: Outcome
    note: str = ""

    def __str__(self) -> str:
        sign = "at least" if self.name in _AT_LEAST else "at most"
        told = f" ({self.note})" if self.note else ""
        return f"{self.name} of {self.layer}: {self.value:.6g}, {sign} {self.limit:.6g}: {self.outcome}{told}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the oracle says.

    Parameters
    ----------
    outcome : Outcome
        ``passed``, ``marginal`` or ``mismatch``.
    checks : tuple of Check
        Every criterion at every layer.
    metrics : Mapping[str, Mapping[str, float]]
        Cheap numbers of every array, asked for or not, no shift taken off: ``size``, ``mismatches``, ``max_error`` and
        ``rms_error``; of spikes ``spikes``, ``spikes_device`` and ``counts`` too.
    first : Divergence or None
        The first place where spikes or outputs differ, of membranes where only these do; None where nothing does.
    notes : tuple of str
        What was not compared, what was taken off.
    """

    outcome: Outcome
    checks: tuple[Check, ...]
    metrics: Mapping[str, Mapping[str, float]]
    first: Divergence | None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the device did what the model does, within the policy."""
        return self.outcome in GOOD

    def __str__(self) -> str:
        failed = [c for c in self.checks if c.outcome != Outcome.PASSED]
        lines = [f"{self.outcome}: {len(self.checks) - len(failed)} of {len(self.checks)} criteria met"]
        lines += [f"  {c}" for c in failed[:_SHOWN]]
        lines += [f"  and {len(failed) - _SHOWN} more"] if len(failed) > _SHOWN else []
        if self.first is not None:
            lines += [f"  {line}" for line in divergence_text(self.first)]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def require(self) -> Verdict:
        """Return the verdict itself where it is good; raise HilMismatch E853 with its text where not."""
        if not self.ok:
            facts = {"outcome": str(self.outcome)}
            raise HilMismatch(Diagnostic("E853", self.first.path if self.first else "", str(self), "", facts))
        return self

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        data = dataclasses.asdict(self)
        return {**data, "outcome": str(self.outcome), "checks": [{**c, "outcome": str(c["outcome"])} for c in data["checks"]]}


_AT_LEAST = ("synchrony", "top1")
_SHOWN = 8


def divergence_text(first: Divergence) -> list[str]:
    """Return the first divergence as lines."""
    neuron = first.neuron[0] if len(first.neuron) == 1 else first.neuron
    lines = [f"first divergence: {first.key}, sample {first.sample}, step {first.step}, neuron {neuron}"]
    pairs = (("value", first.values), ("membrane", first.membranes), ("membrane one step before", first.previous))
    lines += [f"  {what}: {pair[0]:.9g} in the reference, {pair[1]:.9g} on the device" for what, pair in pairs if pair]
    return [*lines, f"  last pass that touched {first.path}: {first.last_pass or 'none'}"]


def compare(reference: Run, device: Run, policy: Policy | None = None, *, order: Sequence[str] = ()) -> Verdict:
    """Compare what a *device* did with what the *reference* does.

    Parameters
    ----------
    reference, device : DeviceRun, Trace or Mapping[str, array, shape (samples, steps, *shape)]
        Arrays ``spikes/PATH``, ``out/PATH``, ``v/PATH``, ``i/PATH``.
    policy : Policy or None
        Criteria; None asks for every spike and output to be equal.
    order : sequence of str
        Paths in the order of evaluation; by default what a DeviceRun says.

    Raises
    ------
    UsageError
        E858 where there is nothing to compare, or where the runs differ in samples or steps; E619 for arrays of other names.
    """
    policy = policy or Policy()
    a, b = arrays_of(reference), arrays_of(device)
    meta: dict[str, Any] = {}
    for run in (device, reference):
        meta |= run.meta if isinstance(run, DeviceRun) else {}
    wanted = {k for k in a if not policy.layers or k.partition("/")[2] in policy.layers}
    both = [k for k in a if k in wanted and k in b]
    _require_comparable(a, b, both, wanted)
    require_rasters({k: a[k] for k in both})
    notes = [f"{k} was not compared: the device gave none" for k in sorted(wanted - set(b)) if k.startswith(("v/", "i/"))]
    aligned, checks = _aligned(a, b, both, policy, notes)
    # A layer that was asked for and did not come back is no layer that is right.
    for key in sorted(k for k in wanted - set(b) if k.startswith(("spikes/", "out/"))):
        checks.append(Check("exact", key, float(a[key].size), 0.0, Outcome.MISMATCH, "the device gave no such array"))
    if policy.membrane is not None and not any(k.startswith("v/") for k in both):
        checks.append(Check("membrane", "v", float("nan"), policy.membrane, Outcome.MISMATCH, "no membranes came back"))
    for key in both:
        checks += _checks(key, *aligned[key], policy)
    first = first_divergence(
        {k: x for k, (x, _) in aligned.items()}, {k: y for k, (_, y) in aligned.items()},
        in_order(both, order or meta.get("order") or ()), meta.get("touched", {}),
    )  # fmt: skip
    return Verdict(
        worst(c.outcome for c in checks), tuple(checks), {k: _numbers(k, a[k], b[k]) for k in both}, first, tuple(notes)
    )


def arrays_of(run: Run) -> dict[str, Array]:
    """Return the arrays of a run by name."""
    if isinstance(run, DeviceRun):
        run = run.trace
    return run.arrays() if isinstance(run, Trace) else {str(k): np.asarray(v) for k, v in run.items()}


def _require_comparable(a: Mapping[str, Array], b: Mapping[str, Array], both: Sequence[str], wanted: set[str]) -> None:
    if not [k for k in wanted if k.startswith(("spikes/", "out/"))] or not both:
        known = ", ".join(sorted(b)) or "nothing"
        raise UsageError(
            Diagnostic("E858", "", "there is nothing to compare: the policy's layers are not in the reference's run, or none "
                       f"of them came back; the device gave {known}", "record the same layers on both sides")
        )  # fmt: skip
    wrong = [
        Diagnostic("E858", k, f"shape {a[k].shape} in the reference, {b[k].shape} on the device",
                   "run both on the same input (samples, steps, *shape)")
        for k in both if a[k].shape != b[k].shape or a[k].ndim < 2
    ]  # fmt: skip
    if wrong:
        raise UsageError(wrong)


def _aligned(
    a: Mapping[str, Array], b: Mapping[str, Array], both: Sequence[str], policy: Policy, notes: list[str]
) -> tuple[dict[str, tuple[Array, Array]], list[Check]]:
    """Return the arrays with each layer's own shift taken off, found on its spikes (or outputs); and what to say of it."""
    pairs = {k: (a[k], b[k]) for k in both}
    checks: list[Check] = []
    if not policy.shift:
        return pairs, checks
    shifts: dict[str, int] = {}
    for key in sorted(both, key=lambda k: not k.startswith("spikes/")):
        path = key.partition("/")[2]
        if path not in shifts:
            shifts[path] = metrics.best_shift(a[key], b[key], policy.shift)[0]
        if shifts[path]:
            pairs[key] = metrics.shifted(a[key], b[key], shifts[path])
            late = "late" if shifts[path] > 0 else "early"
            notes.append(f"{key} is {abs(shifts[path])} steps {late} on the device: taken off, as the policy allows")
    return pairs, checks


def _numbers(key: str, a: Array, b: Array) -> dict[str, float]:
    found: dict[str, float] = {"size": a.size, "mismatches": metrics.mismatches(a, b)}
    found["max_error"], found["rms_error"] = metrics.membrane_error(a, b)
    if key.startswith("spikes/"):
        found["spikes"], found["spikes_device"] = float(a.sum()), float(b.sum())
        found["counts"] = metrics.count_difference(a, b)
    return found


def _checks(key: str, a: Array, b: Array, policy: Policy) -> list[Check]:
    """Return every criterion that applies to the array *key*."""
    found: list[Check] = []

    def most(name: str, limit: float | None, value: Callable[[], float]) -> None:
        if limit is not None:
            found.append(_at_most(name, key, value(), limit, policy.margin))

    if key.startswith(("spikes/", "out/")) and policy.is_exact:
        differing = metrics.mismatches(a, b)
        found.append(Check("exact", key, differing, 0, Outcome.MISMATCH if differing else Outcome.PASSED))
    if key.startswith("spikes/"):
        most("counts", policy.counts, lambda: metrics.count_difference(a, b))
        most("van_rossum", policy.van_rossum, lambda: float(metrics.van_rossum(a, b, policy.tau).max(initial=0)))
        most("victor_purpura", policy.victor_purpura,
             lambda: float(metrics.victor_purpura(a, b, policy.cost).max(initial=0)))  # fmt: skip
        if policy.synchrony is not None:
            least = float(metrics.synchrony(a, b).min(initial=1))
            near = policy.synchrony + policy.margin * (1 - policy.synchrony)
            outcome = _least(least, policy.synchrony, near if least < 1 else 0)
            found.append(Check("synchrony", key, least, policy.synchrony, outcome))
    most("membrane", policy.membrane if key.startswith("v/") else None, lambda: metrics.membrane_error(a, b)[0])
    most("output", policy.output if key.startswith("out/") else None, lambda: metrics.membrane_error(a, b)[0])
    if key.startswith("out/") and policy.top1 is not None:
        same = metrics.agreement(metrics.top1(a), metrics.top1(b))
        # An interval never reaches 1: agreement in every sample is as much as a run can show.
        outcome = _least(same.value, policy.top1, 0) if same.same == same.samples or same.low >= policy.top1 else (
            Outcome.MARGINAL if same.value >= policy.top1 else Outcome.MISMATCH
        )  # fmt: skip
        note = f"{same.same} of {same.samples} samples, 95 % interval {same.low:.4f} to {same.high:.4f}"
        found.append(Check("top1", key, same.value, policy.top1, outcome, note))
    return found


def _at_most(name: str, layer: str, value: float, limit: float, margin: float) -> Check:
    """Return the check of a *value* that may be *limit* at most, marginal in the last *margin* of it."""
    if not value <= limit:  # what is not a number is not within a limit
        return Check(name, layer, value, limit, Outcome.MISMATCH)
    near = value > max(0.0, limit * (1 - margin))
    return Check(name, layer, value, limit, Outcome.MARGINAL if near else Outcome.PASSED)


def _least(value: float, limit: float, near: float) -> Outcome:
    if value < limit:
        return Outcome.MISMATCH
    return Outcome.MARGINAL if value < near else Outcome.PASSED
