"""What a lowering calls its chip, and what its neurons have: the words of the messages that all lowerings share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chip:
    """The words of one chip.

    Parameters
    ----------
    name : str
        ``Loihi``, ``SpiNNaker``.
    arithmetic : str
        Its number system.
    resets : str
        What its neurons do on a spike.
    lowest : str
        How far down a membrane goes.
    memory : str
        What a membrane keeps at least, where a Threshold has no memory.
    threshold : str
        What its threshold is measured from.
    """

    name: str
    arithmetic: str
    resets: str
    lowest: str
    memory: str
    threshold: str
