"""Encoders: static values to one array a step, exactly defined."""

from __future__ import annotations

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.ops import Array

ENCODERS = ("constant", "rate", "latency")


def encode(x: Array, method: str, steps: int, rng: np.random.Generator, where: str = "") -> Array:
    """Return static values as an input of *steps* steps.

    ``constant``
        the value at every step, in its own type: a constant current.
    ``rate``
        a spike at each step with probability x, independently: ``rng.random((samples, steps, *shape)) < x``, uint8.
    ``latency``
        exactly one spike, at step ``rint((1 - x) * (steps - 1))`` (ties to even): 1 spikes at once, 0 in the last step.

    Parameters
    ----------
    x : array, shape (samples, *shape)
        Values; for ``rate`` and ``latency`` between 0 and 1.
    method : {"constant", "rate", "latency"}
        The code.
    steps : int
        Steps to write, at least 1.
    rng : numpy.random.Generator
        Drawn from by ``rate`` alone.
    where : str
        Named in errors.

    Returns
    -------
    array, shape (samples, steps, *shape)

    Raises
    ------
    UsageError
        E615 for an unknown code or values outside 0 to 1.

    Source
    ------
    Rate code with Bernoulli spikes and linear latency code as in snnTorch's ``spikegen.rate`` and
    ``spikegen.latency(linear=True, normalize=True)``: Eshraghian et al. 2023, doi:10.1109/JPROC.2023.3308088.
    """
    if method not in ENCODERS:
        raise UsageError(
            Diagnostic(
                "E615", "--encode", f"unknown code {method!r}{did_you_mean(method, ENCODERS)}", f"one of {', '.join(ENCODERS)}"
            )
        )
    if method == "constant":
        return np.repeat(x[:, None], steps, axis=1)
    low, high = float(x.min()) + 0.0, float(x.max()) + 0.0  # no -0 in the message
    if low < 0 or high > 1:
        scale = "divide by 255" if x.dtype == np.uint8 else "scale them to 0 .. 1"
        raise UsageError(
            Diagnostic("E615", where, f"--encode {method} takes values from 0 to 1, these go from {low:g} to {high:g}", scale,
                       {"min": low, "max": high})
        )  # fmt: skip
    spikes = np.zeros((x.shape[0], steps, *x.shape[1:]), np.uint8)
    if method == "rate":
        for raster, value in zip(spikes, x, strict=True):  # one sample at a time: the same draws in less memory
            np.less(rng.random(raster.shape), value, out=raster.view(np.bool_))
    else:
        at = np.rint((1.0 - np.asarray(x, np.float64)) * (steps - 1)).astype(np.int64)
        np.put_along_axis(spikes, at[:, None], 1, axis=1)
    return spikes
