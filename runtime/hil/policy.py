"""What counts as the same: a policy is a value whose fields are the criteria; a marker or a call states them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean


@dataclass(frozen=True, slots=True)
class Policy:
    """Criteria that a device's run has to meet against the reference's; one that is None is not asked for.

    Parameters
    ----------
    exact : bool or None
        Every spike and output equal. None: True where no other criterion is asked for.
    shift : int
        Largest number of steps by which a layer may come late or early as a whole; it is taken off before all else.
    counts : float or None
        Most by which the trains' spike counts may differ, as a share of the reference's spikes.
    van_rossum, tau : float
        Largest distance of any train, one spike without a partner being 1; time constant in steps.
    victor_purpura, cost : float
        Largest distance of any train; cost of moving a spike by a step.
    synchrony : float or None
        Least SPIKE synchronization of any train, 0 to 1.
    membrane : float or None
        Largest difference of membranes, in the model's unit; where no membranes come back, it is not met.
    output : float or None
        Largest difference of output values that are no spikes.
    top1 : float or None
        Least share of samples with the same class; where some differ and the 95 % interval reaches below, it is marginal.
    margin : float
        Share of a limit, next to it, that is called marginal.
    layers : tuple of str
        Layers to compare; none for all that both runs have.
    """

    exact: bool | None = None
    shift: int = 0
    counts: float | None = None
    van_rossum: float | None = None
    tau: float = 10.0
    victor_purpura: float | None = None
    cost: float = 0.2
    synchrony: float | None = None
    membrane: float | None = None
    output: float | None = None
    top1: float | None = None
    margin: float = 0.1
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [found for name, least, most in _RANGES if (found := self._outside(name, least, most))]
        if self.shift != int(self.shift):
            wrong.append(_wrong("shift", f"shift={self.shift!r} is no whole number of steps"))
        if wrong:
            raise UsageError(wrong)
        layers: Any = self.layers  # a marker may give one name alone
        object.__setattr__(self, "layers", (layers,) if isinstance(layers, str) else tuple(layers))

    def _outside(self, name: str, least: float, most: float) -> Diagnostic | None:
        value = getattr(self, name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            return _wrong(name, f"{name}={value!r} is no number between {least:g} and {most:g}")
        return None

    @property
    def is_exact(self) -> bool:
        """Whether every spike and output has to be equal."""
        others = (self.counts, self.van_rossum, self.victor_purpura, self.synchrony, self.membrane, self.output, self.top1)
        return all(x is None for x in others) if self.exact is None else self.exact

    @classmethod
    def of(cls, arguments: Mapping[str, Any], where: str = "") -> Policy:
        """Return the policy that the *arguments* of a marker say; raise UsageError E859 for unknown ones."""
        known = [f.name for f in dataclasses.fields(cls)]
        wrong = [
            _wrong(where or name, f"there is no criterion {name!r}{did_you_mean(name, known)}", f"there are {', '.join(known)}")
            for name in arguments
            if name not in known
        ]
        if wrong:
            raise UsageError(wrong)
        return cls(**arguments)

    def to_json(self) -> dict[str, Any]:
        """Return the criteria that differ from the defaults, as plain data."""
        return {f.name: v for f in dataclasses.fields(self) if (v := getattr(self, f.name)) != f.default}


_RANGES = (
    ("shift", 0, 1_000_000), ("counts", 0, math.inf), ("van_rossum", 0, math.inf), ("tau", 1e-9, math.inf),
    ("victor_purpura", 0, math.inf), ("cost", 0, 1e9), ("synchrony", 0, 1), ("membrane", 0, math.inf),
    ("output", 0, math.inf), ("top1", 0, 1), ("margin", 0, 1),
)  # fmt: skip


def _wrong(name: str, message: str, hint: str = "see spikeport.runtime.hil.policy.Policy") -> Diagnostic:
    return Diagnostic("E859", name, message, hint)
