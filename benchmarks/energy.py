"""Energy and time of Loihi 1 as we model them, beside what was measured on the chip, with the errors.

    python benchmarks/energy.py

How often the measured networks spiked was not published. So each prediction is an interval: from silence to every synapse
active at every step, over both cost sets. An error is given where something other than a free number is left to compare:

1. *Neurocores.* What a further branch of 2,560 neurons takes is the difference of two measurements of the whole chip: the x86
   cores and their input and output cancel, so it is held to the neurocores' energy alone. Nothing is fitted; the activity at
   which model and measurement would meet is shown, and put nowhere.
2. *Whole chip.* The measured dynamic energy holds the x86 cores, which feed the inputs; the model's neurocores are a part of
   it and must stay below it. Nothing is fitted.
3. *Whole chip, one left out.* Two numbers are fitted to four of the five measured networks, one activity for all and one
   power of all that is not a neurocore, and the fifth is predicted from its measured time. Neither enters a target. Most of
   what is predicted is that power over the measured time: the errors say little of the neurocores, but where N = 10 is
   left out, whose neurocores take most.
4. *Time.* The modelled step holds no input and output: at a network's own activity it must not be longer than what was
   measured. The activity where 1 meets is the scaled networks', not MNIST's.

The intervals are two orders of magnitude wide: that a measurement lies within says that no counting rule is grossly wrong, not
that a prediction is good. With the spikes of a run the interval is that of the cost sets: 1.5 between them where synapses take
most, more where spikes do that meet few synapses.

The cost sets know nothing of these measurements, but for the management power of 70 mW, from the paper of the spotter: it is
shown beside the fitted power and is no prediction. Weights, placement and the order of layers on cores are our mapper's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from energybench.cases import DVS, NXTF, SCALED, SPOTTER, Case

from spikeport.compiler.mapping import map_graph
from spikeport.hw_profiles.target import load_target
from spikeport.ir.profiles import parse_profile
from spikeport.ir.units import format_si
from spikeport.runtime.report import Report, StatedRates, price

PROFILE = parse_profile("norse:zero,dt=1e-3")
#: Measured energy of a further branch: 2,560 neurons.
BRANCH_J = ((SCALED[10].energy_j or (0.0,))[0] - (SCALED[1].energy_j or (0.0,))[0]) / 9
WHOLE = (SPOTTER, *SCALED.values())


@lru_cache(maxsize=64)
def modelled(case: Case, activity: float) -> Report:
    """Return the report of one inference in which every neuron and input spikes in that share of steps, evenly."""
    target = load_target("loihi1")
    program = map_graph(case.network(), PROFILE, target)
    return price(program, StatedRates(activity / PROFILE.dt, case.steps), target)


def energies(case: Case, activity: float) -> dict[str, float]:
    """Return the dynamic energy of the neurocores and their network for one inference, in J, by cost set."""
    report = modelled(case, activity)
    return {s.name: next(a for a in s.energy if a.name == "dynamic").total.value or 0.0 for s in report.cost_sets}


def energy_span(case: Case) -> tuple[float, float]:
    """Return the neurocores' energy of an inference in silence and with every synapse active at every step, over the sets."""
    silent, active = (modelled(case, a).energy_dynamic.total for a in (0.0, 1.0))
    return silent.low or 0.0, active.high or 0.0


def step_span(case: Case) -> tuple[float, float]:
    """Return the modelled length of a step in silence and with every synapse active, over the cost sets, in s."""
    silent, active = (modelled(case, a).chip_time.total for a in (0.0, 1.0))
    return (silent.low or 0.0) / case.steps, (active.high or 0.0) / case.steps


def branch_span() -> tuple[float, float]:
    """Return the modelled energy of a further branch, silent and with every synapse active, in J."""
    less, more = (energy_span(SCALED[n]) for n in (1, 2))
    return more[0] - less[0], more[1] - less[1]


def meeting(cost_set: str) -> float:
    """Return the activity at which the modelled branch takes what was measured, by one cost set."""
    low, high = (energies(SCALED[2], a)[cost_set] - energies(SCALED[1], a)[cost_set] for a in (0.0, 1.0))
    return (BRANCH_J - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Fit:
    """What was fitted to measured networks: one activity for all of them, one power beside the neurocores in W."""

    activity: float
    power_w: float


def fit(cases: Iterable[Case], cost_set: str) -> Fit:
    """Return the least squares of relative errors over *cases*: energy = power x measured time + neurocores(activity)."""
    rows, ends = [], []
    for case in cases:
        measured = (case.energy_j or (0.0,))[0]
        silent, active = (energies(case, a)[cost_set] for a in (0.0, 1.0))
        rows.append([(active - silent) / measured, case.step_s[0] * case.steps / measured])
        ends.append(1 - silent / measured)
    found = np.linalg.lstsq(np.array(rows), np.array(ends), rcond=None)[0]
    return Fit(float(found[0]), float(found[1]))


def predicted(case: Case, found: Fit, cost_set: str) -> float:
    """Return the energy of an inference that a fit gives, in J."""
    silent, active = (energies(case, a)[cost_set] for a in (0.0, 1.0))
    return found.power_w * case.step_s[0] * case.steps + silent + found.activity * (active - silent)


def left_out(cost_set: str) -> dict[str, tuple[Fit, float, float]]:
    """Return for every network the fit to the others, what it predicts in J, and the relative error."""
    out = {}
    for case in WHOLE:
        found = fit([c for c in WHOLE if c is not case], cost_set)
        value = predicted(case, found, cost_set)
        out[case.name] = (found, value, value / (case.energy_j or (1.0,))[0] - 1)
    return out


def _span(ends: tuple[float, float], unit: str) -> str:
    texts = [format_si(end, unit) for end in ends]
    return texts[0] if ends[0] == ends[1] else f"{texts[0]} .. {texts[1]}"


def _verdict(inside: bool) -> str:
    return "enclosed" if inside else "NOT ENCLOSED"


def main() -> None:
    """Print all comparisons."""
    span, sets = branch_span(), [s.name for s in modelled(SPOTTER, 0.0).cost_sets]
    print("1. Neurocores alone, nothing fitted; modelled from silence to every synapse active at every step")
    inside = _verdict(span[0] <= BRANCH_J <= span[1])
    print(f"   a further branch, an inference   measured {format_si(BRANCH_J, 'J')}, modelled {_span(span, 'J')}: {inside}")
    met = ", ".join(f"{name} {meeting(name):.1%}" for name in sets)
    print(f"     they meet at an activity of    {met} (spikes of a neuron and step; nobody published it)")
    for ends, unit, found in (
        (DVS.energy_j or (0.0, 0.0), "J", energy_span(DVS)),
        (DVS.step_s, "s", step_span(DVS)),
    ):
        inside = _verdict(found[0] <= ends[0] and ends[1] <= found[1])
        print(f"   {DVS.name}, a step             measured {_span(ends, unit)} (axes of plots), modelled {_span(found, unit)}: "
              f"{inside}")  # fmt: skip
    print("\n2. Whole chip, dynamic energy of an inference, nothing fitted: the neurocores must take less")
    for case in WHOLE:
        whole, part = (case.energy_j or (0.0,))[0], energy_span(case)
        synapses = modelled(case, 1.0).line("synapse").total
        most = min(1.0, (whole - part[0]) / (part[1] - part[0]))
        print(f"   {case.name:16s} measured {format_si(whole, 'J'):>8s}; neurocores {_span(part, 'J'):22s} (every synapse at "
              f"every step alone {format_si(synapses.high, 'J')}): an activity of at most {most:.0%}")  # fmt: skip
    watt = load_target("loihi1").power["management_per_chip"].value or 0.0
    print("\n3. Whole chip, one left out: an activity and a power fitted to the other four, by relative errors")
    for name in sets:
        errors = left_out(name)
        for case in WHOLE:
            found, value, error = errors[case.name]
            print(f"   {name:11s} {case.name:16s} measured {format_si((case.energy_j or (0.0,))[0], 'J'):>8s}, predicted "
                  f"{format_si(value, 'J'):>8s}, error {error:+6.1%}   (activity {found.activity:.1%}, "
                  f"{format_si(found.power_w, 'W')})")  # fmt: skip
        every = fit(WHOLE, name)
        mean = float(np.mean([abs(e) for _, _, e in errors.values()]))
        print(f"   {name:11s} mean error {mean:.1%}; all five: activity {every.activity:.1%}, {format_si(every.power_w, 'W')} "
              f"beside the neurocores ({format_si(watt, 'W')} in the target, of the same paper)")  # fmt: skip
    print("\n4. Length of a step; the model holds no input and output")
    for case in (*WHOLE, NXTF):
        likely = modelled(case, meeting("published")).chip_time.total
        ends = ((likely.low or 0.0) / case.steps, (likely.high or 0.0) / case.steps)
        print(f"   {case.name:16s} measured {_span(case.step_s, 's'):>9s}; modelled {_span(step_span(case), 's'):22s} silent "
              f"to all active, {_span(ends, 's')} where 1 meets")  # fmt: skip
    print("   MNIST: layers as in SNN toolbox's example for Loihi, which has the published number of parameters.")


if __name__ == "__main__":
    main()
