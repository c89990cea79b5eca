"""The bench of a test session: where devices come from, and models and reference runs that several tests share."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic, SpikeportError
from spikeport.runtime.hil.device import DRIVERS, Device, DeviceInfo, DeviceRun, LocalDevice
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.hil.suite.want import Artifact, NoDevice, Options, Want

#: Seconds that a free device is waited for, before --hil-timeout-multiplier.
WAIT_S = 60.0


class Bench:
    """Devices, compiled models and reference runs of one process of a test session."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._pool: Any = None
        self._proxy: Any = None
        self._kept: dict[Any, Any] = {}

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what *make* gave for *key* earlier in this session, or gives now."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def acquire(self, want: Want, count: int) -> list[Device]:
        """Return *count* devices, all or none.

        Raises
        ------
        NoDevice
            Where none fits, with the reason.
        HilError
            Where the bench fails, or no device becomes free in time.
        """
        if self.options.replay:
            return self._replayed(want, count)
        if self.options.url:
            return self._leased(want, count)
        if self.options.target == "hw":
            return self._driven(want, count)
        return self._simulated(want, count)

    def _simulated(self, want: Want, count: int) -> list[Device]:
        """Make *count* simulators in this process, each standing for the chip that is asked for."""
        if want.target and want.chip is None:
            from spikeport.hw_profiles.target import load_target

            load_target(want.target)  # a name that no chip has is a mistake in the test, and no reason to skip it
        found: list[Device] = []
        for number in range(count):
            name = want.device or "-".join(filter(None, (self.options.backend, want.target, str(number) if number else "")))
            found.append(_fitting([partial(LocalDevice, self.options.backend, {}, want.target or None, name)], want, found))
        return found

    def _replayed(self, want: Want, count: int) -> list[Device]:
        from spikeport.runtime.hil.cassette import read_folder
        from spikeport.runtime.hil.replay import ReplayDevice

        folder = str(self.options.replay)
        cassettes = self.kept(("cassettes", folder), lambda: read_folder(folder))
        infos = {c.info.name: c.info for c in cassettes}
        # Other firmware than the test asks for is no device that is lacking: those answers are refused.
        anyhow = dataclasses.replace(want, firmware="")
        names = _names_that_fit([infos[n] for n in sorted(infos)], anyhow, count, f"{folder} has answers of")
        return [ReplayDevice(folder, [*names[k:], *names[:k]], want.firmware, cassettes) for k in range(count)]

    def _driven(self, want: Want, count: int) -> list[Device]:
        """Open hardware by the drivers that are installed here."""
        from importlib.metadata import entry_points

        drivers = sorted(entry_points(group=DRIVERS), key=lambda e: e.name)
        if not drivers:
            raise NoDevice(f"no driver of hardware is installed (entry points {DRIVERS}), and no daemon is named (--hil-url)")
        found: list[Device] = []
        for number in range(count):
            config = {"target": want.target, "number": number}
            found.append(_fitting([partial(_opened, e, {**config, "name": e.name}) for e in drivers], want, found))
        return found

    def _leased(self, want: Want, count: int) -> list[Device]:
        """Lease *count* devices of the daemon: all, or none and again later, so that two tests never wait for each other."""
        until = time.monotonic() + WAIT_S * self.options.timeout_multiplier
        names = self._fitting_names(want, count)
        while True:
            found: list[Device] = []
            try:
                while len(found) < count:
                    left = [n for n in names if n not in {d.info.name for d in found}]
                    found.append(self._lease_one(left, until if not found else min(until, time.monotonic() + 1.0)))
                return found
            except BaseException as error:
                for device in found:
                    device.close()
                is_late = isinstance(error, HilError) and error.outcome == Outcome.TIMEOUT
                if not is_late or not found or time.monotonic() > until:
                    raise
            time.sleep(random.uniform(0.05, 0.5))  # apart from whoever has what we wait for

    def _fitting_names(self, want: Want, count: int) -> list[str]:
        infos = [i for i in self.pool().devices() if self.options.target in (None, i.kind)]
        if not infos:
            kind = f" of kind {self.options.target}" if self.options.target else ""
            raise NoDevice(f"{self.options.url} offers no device{kind}")
        return _names_that_fit(infos, want, count, f"{self.options.url} offers")

    def _lease_one(self, names: list[str], until: float) -> Device:
        """Lease the first of *names* that becomes free."""
        order = random.sample(names, len(names))
        for turn in range(1_000_000):
            last = time.monotonic() >= until
            # Waiting for one alone, a test keeps its place in the queue; among several it asks each in turn.
            wait = max(0.0, until - time.monotonic()) if len(order) == 1 else min(0.5, 0.02 * (1 + turn))
            try:
                device: Device = self.pool().lease(order[turn % len(order)], wait_s=wait)
                return device
            except HilError as error:
                gone = error.diagnostics[0].code == "E874" and len(order) > 1
                if gone:
                    order.remove(order[turn % len(order)])
                elif error.diagnostics[0].code != "E870" or last or len(order) == 1:
                    raise
        raise AssertionError("the loop ends by its time")

    def pool(self) -> Any:
        """Return the connection to the daemon, made when it is first asked for."""
        if self._pool is None:
            from spikeport.runtime.hil.client import connect

            url = str(self.options.url)
            if self.options.fault:
                from spikeport.runtime.hil.suite.bench_faults import through_proxy

                url, self._proxy = through_proxy(url, self.options.fault)
            token = Path(self.options.token) if self.options.token else None
            self._pool = connect(url, token=token, ca=self.options.ca, timeout_s=10 * self.options.timeout_multiplier)
        return self._pool

    def close(self) -> None:
        """Give back what is left and drop the connection."""
        for what in (self._pool, self._proxy):
            if what is not None:
                with contextlib.suppress(SpikeportError, OSError):
                    what.close()
        self._pool = self._proxy = None


def _names_that_fit(infos: Sequence[DeviceInfo], want: Want, count: int, offers: str) -> list[str]:
    """Return the devices of *infos* that fit, those of the very target alone where they are enough; raise NoDevice."""
    named = [i for i in infos if not want.misses(i)]
    exact = [i for i in named if want.target in (i.target, i.name, i.backend)]
    fitting = exact if len(exact) >= count else named
    if len(fitting) < count:
        why = "; ".join(filter(None, (want.misses(i) for i in infos))) or f"there are {len(infos)}"
        raise NoDevice(f"{offers} {len(fitting)} devices that fit, {count} are asked for: {why}")
    return [i.name for i in fitting]


def _opened(entry: Any, config: dict[str, Any]) -> Device:
    try:
        device = entry.load()(config)
    except SpikeportError:
        raise
    except Exception as error:  # a driver may fail in any way
        raise HilError(
            Diagnostic("E860", entry.name, f"the driver {entry.name} failed: {type(error).__name__}: {error}", "see its manual")
        ) from error
    if not isinstance(device, Device):
        raise HilError(Diagnostic("E860", entry.name, f"{entry.value} returned no Device", "ask the authors of the driver"))
    return device


def _fitting(makers: Iterable[Callable[[], Device]], want: Want, others: list[Device]) -> Device:
    """Return the first device that fits; close those that do not, and *others* where none does."""
    why = []
    try:
        for make in makers:
            try:
                device = make()
            except BackendUnavailable as error:
                why.append(error.diagnostics[0].message)
                continue
            miss = want.misses(device.info)
            if not miss:
                return device
            device.close()
            why.append(miss)
        raise NoDevice("; ".join(why))
    except BaseException:
        for other in others:
            other.close()
        raise


def reference_run(artifact: Artifact, inputs: Mapping[str, Any], backend: str, **request: Any) -> DeviceRun:
    """Return what *artifact* does on *inputs* in *backend*, which is the oracle."""
    with LocalDevice(backend) as device:
        device.load(artifact.data)
        return device.run(inputs, **request)
