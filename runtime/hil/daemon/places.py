"""What the book of leases holds: what a client wants, its place in the queue, and the device in its hands."""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.runtime.hil.device import DeviceInfo


@dataclass(frozen=True, slots=True)
class Want:
    """What a client asks for: a device by name or target (either may be empty), with all of *features*."""

    target: str = ""
    features: tuple[str, ...] = ()

    def fits(self, info: DeviceInfo) -> bool:
        """Whether the device *info* will do."""
        named = self.target in ("", info.name, info.target, info.backend, info.kind)
        return named and set(self.features) <= set(info.features)


@dataclass(slots=True)
class Ticket:
    """A place in the queue; it is given up when the client no longer asks about it."""

    id: str
    owner: str
    client: str
    want: Want
    ttl: float
    asked: float


@dataclass(slots=True)
class Lease:
    """A device in a client's hands.

    ``deadline`` and ``heard`` are on the clock that never jumps. ``told`` counts the answers to the client, ``seen`` is the
    last one of which it said that it had come: a client lives while that moves, not while it merely talks.
    """

    id: str
    device: str
    owner: str
    client: str
    ticket: str
    fence: int
    ttl: float
    deadline: float
    heard: float
    is_silent: bool = False
    is_ready: bool = False
    is_offered: bool = False
    told: int = 0
    seen: int = -1
    why_over: str = ""
