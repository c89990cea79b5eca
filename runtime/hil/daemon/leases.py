"""Who has which device, until when, and who is next: nothing here waits, touches a device, or asks for the time of day."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spikeport.ir.diagnostics import Diagnostic
from spikeport.runtime.hil.daemon.config import Limits
from spikeport.runtime.hil.daemon.places import Lease, Ticket, Want
from spikeport.runtime.hil.daemon.refusals import quarantined, stale, too_busy
from spikeport.runtime.hil.daemon.schema import LeaseRow
from spikeport.runtime.hil.daemon.store import Store
from spikeport.runtime.hil.device import DeviceInfo
from spikeport.runtime.hil.outcome import HilError, Outcome


@dataclass
class Book:
    """The queue and the leases of all devices.

    Parameters
    ----------
    store : Store
        Holds the fences and remembers the leases.
    limits : Limits
        Times and sizes.
    clock : callable
        Seconds that never jump.
    on_grant, on_over : callable
        Told of every lease that begins, and that ends; called under the lock, must not wait.
    """

    store: Store
    limits: Limits
    clock: Callable[[], float]
    on_grant: Callable[[Lease], None] = lambda lease: None
    on_over: Callable[[Lease], None] = lambda lease: None
    infos: dict[str, DeviceInfo] = field(default_factory=dict)
    _free: set[str] = field(default_factory=set)
    _queue: OrderedDict[str, deque[Ticket]] = field(default_factory=OrderedDict)
    _leases: dict[str, Lease] = field(default_factory=dict)
    _granted: dict[tuple[str, str], str] = field(default_factory=dict)
    _unended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())

    def restore(self) -> list[Lease]:
        """Take up the leases that a daemon before this one gave; each has its whole time again, nobody could renew it."""
        now = self.clock()
        with self.changed:
            for row in self.store.leases():
                if row.device not in self.infos:
                    self.store.end(row.id)
                    continue
                self._enter(row, now, row.ttl)
            return list(self._leases.values())

    def ask(self, owner: str, client: str, name: str, want: Want, ttl: float) -> Lease | int:
        """Return the lease of the ticket *name*, or its place in the queue, 1 for the next; enter it where it is new.

        Raises
        ------
        HilError
            E869 where no device is like that, E871 where the queue is full.
        """
        with self.changed:
            granted = self._leases.get(self._granted.get(_key(owner, client, name), ""))
            if granted is not None and self.clock() < granted.deadline:
                return granted
            if granted is not None:
                self.over(granted.id, "expired")
            mine = self._queue.setdefault(owner or client, deque())
            ticket = next((t for t in mine if (t.id, t.client) == (name, client)), None)
            try:
                self._admit(mine if ticket is None else None, want)
            except HilError:
                self.cancel(owner, client, name)
                raise
            if ticket is None:
                ticket = Ticket(name, owner, client, want, min(ttl, self.limits.ttl_max_s), self.clock())
                mine.append(ticket)
            ticket.asked = self.clock()
            self.match()
            granted = self._leases.get(self._granted.get(_key(owner, client, name), ""))
            return granted if granted is not None else self._place(ticket)

    def _admit(self, mine: deque[Ticket] | None, want: Want) -> None:
        """Raise HilError for what waiting would not help, and with the client's line *mine* for a queue that is full."""
        fitting = [info for info in self.infos.values() if want.fits(info)]
        if fitting and all(info.health.startswith("quarantined") for info in fitting):
            raise quarantined(fitting[0].name, fitting[0].health.partition(": ")[2])
        if not fitting:
            like = ", ".join(f"{i.name} ({i.kind}, {i.target or i.backend})" for i in self.infos.values()) or "none"
            what = " ".join((want.target or "any", *want.features))
            raise HilError(
                Diagnostic("E869", want.target, f"no device is like {what!r:.80}", f"devices here: {like}"), Outcome.UNSUPPORTED
            )
        waiting = sum(map(len, self._queue.values()))
        if mine is None:
            return
        if waiting >= self.limits.queue_all or len(mine) >= self.limits.queue_each:
            raise too_busy(f"{waiting} requests wait for a device already, {len(mine)} of them yours", 5.0)

    def _place(self, ticket: Ticket) -> int:
        """Return how many grants it takes until *ticket*, in the order in which they will be made."""
        lines = list(self._queue.values())
        mine = lines.index(self._queue[ticket.owner or ticket.client])
        turn = lines[mine].index(ticket)
        # Those before us in the round have had one turn more than those behind us when ours comes.
        others = (min(len(line), turn + (number < mine)) for number, line in enumerate(lines) if number != mine)
        return 1 + turn + sum(others)

    def match(self) -> None:
        """Give the free devices to those who wait: clients in turn, each client's requests in their order."""
        with self.changed:
            now = self.clock()
            while self._free and self._give_next(now):
                pass
            self._tidy()

    def _give_next(self, now: float) -> bool:
        """Give a free device to the first in turn whom one fits; return whether there was one."""
        for key, line in self._queue.items():
            for ticket in line:
                alive = now - ticket.asked <= self.limits.ticket_s
                device = next((d for d in sorted(self._free) if alive and ticket.want.fits(self.infos[d])), None)
                if device is not None:
                    self._give(ticket, device, now)
                    line.remove(ticket)
                    self._queue.move_to_end(key)
                    return True
        return False

    def _give(self, ticket: Ticket, device: str, now: float) -> None:
        self._write_ends()  # the lease before this one has to be gone
        row = self.store.grant(device, ticket.owner, ticket.client, ticket.id, secrets.token_hex(16), ticket.ttl)
        # Until the client has shown that it knows of the lease, it has it for a short while only.
        lease = self._enter(row, now, min(ticket.ttl, self.limits.claim_s))
        self._free.discard(device)
        self.on_grant(lease)
        self.changed.notify_all()

    def _enter(self, row: LeaseRow, now: float, seconds: float) -> Lease:
        """Hold the lease that the store has, for *seconds* from *now*."""
        lease = Lease(**dataclasses.asdict(row), deadline=now + seconds, heard=now)
        self._leases[lease.id] = lease
        self._granted[_key(lease.owner, lease.client, lease.ticket)] = lease.id
        return lease

    def _tidy(self) -> None:
        for key in [k for k, line in self._queue.items() if not line]:
            del self._queue[key]

    def cancel(self, owner: str, client: str, name: str) -> None:
        """Give up a ticket, and the lease that it may have become."""
        with self.changed:
            for ticket in [t for t in self._queue.get(owner or client, ()) if (t.id, t.client) == (name, client)]:
                self._queue[owner or client].remove(ticket)
            self._tidy()
            lease = self._granted.get(_key(owner, client, name))
            if lease is not None:
                self.over(lease, "released")

    def claim(self, lease: Lease) -> Lease:
        """Hold *lease* for a client that still asks for it: until it was offered, and not again because it asks once more."""
        with self.changed:
            if not lease.is_offered:
                lease.is_offered, lease.heard = lease.is_ready, self.clock()
                lease.deadline = max(lease.deadline, lease.heard + min(lease.ttl, self.limits.claim_s))
            return lease

    def hold(self, owner: str, lease: str, fence: int, seen: int | None = None) -> Lease:
        """Return a lease that is *owner*'s; its time is renewed where the client shows that our answers reach it.

        Parameters
        ----------
        owner, lease, fence : str, str, int
            Who asks, for what.
        seen : int or None
            Number of the last answer that the client has (`tell`), any that it did not name before; None always renews.

        Raises
        ------
        HilError
            E868 for a lease that is over or was never given.
        """
        with self.changed:
            found = self._leases.get(lease)
            if found is None or found.owner != owner or found.fence != fence or self.clock() >= found.deadline:
                raise stale(found.device if found is not None else "")
            if seen is None or seen != found.seen:
                found.heard, found.is_silent = self.clock(), False
                found.deadline = found.heard + found.ttl
                found.seen = found.seen if seen is None else seen
            return found

    def tell(self, lease: str) -> int | None:
        """Return the number of the next answer to the client of a lease, None where that is over."""
        with self.changed:
            found = self._leases.get(lease)
            if found is None:
                return None
            found.told += 1
            return found.told

    def over(self, lease: str, why: str) -> Lease | None:
        """End a lease; its device is free once its keeper has said so (`offer`). None where it has ended before."""
        with self.changed:
            found = self._leases.pop(lease, None)
            if found is None:
                return None
            found.why_over = why
            self._granted.pop(_key(found.owner, found.client, found.ticket), None)
            self._unended.append(lease)
            self._write_ends()
            self.on_over(found)
            self.changed.notify_all()
            return found

    def _write_ends(self) -> None:
        """Strike ended leases from the store; those that a full disk keeps there are tried again."""
        with contextlib.suppress(HilError):
            while self._unended:
                self.store.end(self._unended[0])
                del self._unended[0]

    def expire(self) -> tuple[list[Lease], list[Lease]]:
        """End what is past its time, drop tickets that nobody asks about; return leases that ended and that fell silent."""
        with self.changed:
            self._write_ends()
            now = self.clock()
            late = [lease for lease in self._leases.values() if now >= lease.deadline]
            silent = [
                lease for lease in self._leases.values()
                if not lease.is_silent and now - lease.heard > self.limits.silent_s and now < lease.deadline
            ]  # fmt: skip
            for lease in silent:
                lease.is_silent = True
            for lease in late:
                self.over(lease.id, "expired")
            for line in self._queue.values():
                for ticket in [t for t in line if now - t.asked > self.limits.ticket_s]:
                    line.remove(ticket)
            self._tidy()
            return late, silent

    def offer(self, device: str, info: DeviceInfo) -> None:
        """Say that a device is ready for its next lease."""
        with self.changed:
            self.infos[device] = info
            if not any(lease.device == device for lease in self._leases.values()):
                self._free.add(device)
                with contextlib.suppress(HilError):  # a lease that cannot be written down is not the device's fault
                    self.match()

    def withdraw(self, device: str, info: DeviceInfo) -> None:
        """Say that a device is not to be had now, and what is known of it."""
        with self.changed:
            self.infos[device] = info
            self._free.discard(device)

    def of(self, device: str) -> Lease | None:
        """Return the lease of a device."""
        with self.changed:
            return next((lease for lease in self._leases.values() if lease.device == device), None)

    def state(self) -> dict[str, Any]:
        """Return the sizes of the book, for health."""
        with self.changed:
            return {
                "leases": len(self._leases), "waiting": sum(map(len, self._queue.values())), "free": len(self._free),
                "silent": sum(lease.is_silent for lease in self._leases.values()),
            }  # fmt: skip


def _key(owner: str, client: str, ticket: str) -> tuple[str, str]:
    return owner or client, f"{client}/{ticket}"
