"""The score of a network against the rates of faults, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from spikeport.runtime.hil.metrics import wilson

FORMAT = "spikeport robustness 1"


@dataclass(frozen=True, slots=True)
class Point:
    """The score at one rate.

    Parameters
    ----------
    rate : float
        Of the fault: a probability; of ``saturate`` the bits; 0 is the sound network.
    right : tuple of int
        Samples that are right, by seed; one number where no seed changes anything.
    samples : int
        How many there are.
    changed : float
        Share of the output values (samples, steps, neurons) that differ from the sound network's, over all seeds.
    """

    rate: float
    right: tuple[int, ...]
    samples: int
    changed: float

    @property
    def value(self) -> float:
        """Share of samples that are right, the mean over seeds."""
        return sum(self.right) / len(self.right) / self.samples

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of `value` for that many samples: seeds run on the same samples, so they do not narrow it."""
        return wilson(sum(self.right) / len(self.right), self.samples)


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores of one fault (or of several that have the same rate), by rate in the order that was asked for."""

    fault: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Robustness:
    """What `robustness` found.

    Parameters
    ----------
    score : {"accuracy", "agreement"}
        Right is the label's class; without labels, the class that the sound network gives.
    sound : Point
        The network without faults.
    curves : tuple of Curve
        One for each fault.
    seeds : int
        Seeds at each rate: the fault's own, and the ones that follow it.
    graph, data : str
        Digest of the graph that was run without faults, and of inputs and labels.
    profile, arithmetic, target, backend : str
        What ran.
    steps : int
        Of each sample.
    """

    score: str
    sound: Point
    curves: tuple[Curve, ...]
    seeds: int
    graph: str
    data: str
    profile: str
    arithmetic: str
    target: str
    backend: str
    steps: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""

        def point(p: Point) -> dict[str, Any]:
            low, high = p.interval
            return {**asdict(p), "right": list(p.right), "value": p.value, "low": low, "high": high}

        curves = [{"fault": c.fault, "points": [point(p) for p in c.points]} for c in self.curves]
        kept = {k: v for k, v in asdict(self).items() if k not in ("sound", "curves")}
        return {"format": FORMAT, **kept, "samples": self.sound.samples, "sound": point(self.sound), "curves": curves}
