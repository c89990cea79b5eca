"""The steps of a run on a simulator that has no batch: one sample after the other, in one go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The steps of a run: one sample after the other, each with the profile's silence behind it.

    Parameters
    ----------
    samples, steps : int
        Of the input.
    silence : int
        Steps without input after each sample.
    is_reset : bool
        Whether every sample starts anew.
    """

    samples: int
    steps: int
    silence: int
    is_reset: bool

    @classmethod
    def of(cls, network: StepNetwork, samples: int, steps: int) -> Course:
        """Return the course of a run of *network*."""
        is_reset = network.profile.boundary == "reset"
        return cls(samples, steps, 0 if is_reset else network.profile.silence, is_reset)

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.samples * (self.steps + self.silence)

    @property
    def period(self) -> int:
        """Steps after which the state starts anew."""
        return self.steps if self.is_reset else self.total

    def late(self, values: Array, delay: int) -> Array:
        """Return *values* (total, neurons) *delay* steps later, zeros before the start."""
        if not delay:
            return values
        whole = values.reshape(-1, self.period, values.shape[-1])
        moved = np.zeros_like(whole)
        moved[:, delay:] = whole[:, : max(self.period - delay, 0)]
        return moved.reshape(values.shape)

    def spread(self, x: Array) -> Array:
        """Return the input *x* (samples, steps, *shape) as float64 (total, neurons), silence put in."""
        with np.errstate(over="ignore"):
            flat = np.asarray(x, np.float64).reshape(self.samples, self.steps, -1)
        quiet = np.zeros((self.samples, self.silence, flat.shape[-1]))
        return np.concatenate([flat, quiet], axis=1).reshape(self.total, -1) if self.silence else flat.reshape(self.total, -1)

    def cut(self, values: Array, shape: tuple[int, ...]) -> Array:
        """Return *values* (total, neurons) as (samples, steps, *shape), silence left out."""
        return values.reshape(self.samples, self.steps + self.silence, *shape)[:, : self.steps]


__all__ = ["Course"]
