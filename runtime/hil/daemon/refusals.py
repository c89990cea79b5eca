"""Refusals that several parts of the daemon give."""

from __future__ import annotations

from spikeport.ir.diagnostics import Diagnostic
from spikeport.runtime.hil.outcome import HilError, Outcome


def stale(device: str) -> HilError:
    """Return the error for a lease that is over."""
    return HilError(
        Diagnostic("E868", device, "this lease is over: it was released, ran out, or was taken back", "lease a device anew"),
        Outcome.INFRASTRUCTURE,
    )


def quarantined(device: str, why: str) -> HilError:
    """Return the error for a device that is shut away."""
    return HilError(
        Diagnostic("E874", device, f"the device {device} is quarantined: {why}", "see to it, then spikeport devices --restore"),
        Outcome.QUARANTINED,
    )


def no_room(message: str, hint: str = "make room on the daemon's disk") -> HilError:
    """Return the error for what cannot be written on the daemon's disk."""
    return HilError(Diagnostic("E881", "", message, hint), Outcome.INFRASTRUCTURE)


def too_busy(message: str, after_s: float) -> HilError:
    """Return the error of back-pressure, with when to try again."""
    return HilError(
        Diagnostic("E871", "", message, f"try again in {after_s:g} s", {"retry_after_s": after_s}), Outcome.INFRASTRUCTURE
    )
