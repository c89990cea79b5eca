"""A device with faults on purpose: it dies, hangs, keeps state, is not what it says; or its chip is faulty.

===================  ============================================================================================
fault                what it means, exactly
===================  ============================================================================================
``device_dies``      the run that reaches ``step`` (0) ends there with E889, outcome ``infrastructure``, and so does
                     all that is asked of the device from then on. Steps are counted over all samples and runs, one
                     after the other, since the fault was injected. ``how=kill`` kills this process instead, which
                     whoever makes the device has to allow (``may_kill``): it is for the worker of a daemon.
``hang``             the run that reaches ``step`` (0) stands still for ``s`` seconds, without ``s`` for ever, and
                     goes on then where its time limit is not over; a run that was given up leaves the device busy,
                     which its reset finds.
``stale_state``      after a run a reset leaves something behind, which its read-back finds: E851, ``quarantined``
``wrong_firmware``   the digest of its firmware is another
===================  ============================================================================================

The network's faults (`network`) are put into every program that is loaded from then on. Its runs answer for the program
that was handed over: same digests, same layers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterable, Mapping

from spikeport.ir.diagnostics import Diagnostic, RunTimeout, UnsupportedError, UsageError
from spikeport.ir.ops import Array
from spikeport.runtime.artifact import artifact_bytes, read_artifact
from spikeport.runtime.hil.device import Device, DeviceInfo, DeviceRun, require_fresh
from spikeport.runtime.hil.faults.network import Faulted, inject
from spikeport.runtime.hil.faults.spec import Fault, of_kind
from spikeport.runtime.hil.outcome import HilError
from spikeport.runtime.inputs import prepare_inputs
from spikeport.runtime.session import selected


class FaultyDevice(Device):
    """A device with faults; around another one of its kind it adds its faults to those.

    Parameters
    ----------
    device : Device
        Who runs.
    faults : iterable of Fault
        Of the device and of the network.
    may_kill : bool
        Whether ``device_dies:how=kill`` may kill this process.

    Raises
    ------
    UsageError
        E885 for faults of the way to a daemon, which no device has.
    UnsupportedError
        E888 for faults that this device cannot have: ``how=kill`` where that is not allowed, faults of the network where
        answers are replayed.
    """

    def __init__(self, device: Device, faults: Iterable[Fault], *, may_kill: bool = False) -> None:
        self.inner, self.faults = device, tuple(faults)
        self._may_kill = may_kill
        self._loaded: _Loaded | None = None
        self._steps, self._is_stale, self._busy_until = 0, False, -math.inf
        self._dead: Diagnostic | None = None
        self._closed = threading.Event()
        if isinstance(device, FaultyDevice):
            self.inner, self.faults = device.inner, (*device.faults, *self.faults)
            self._may_kill = may_kill or device._may_kill
            self._dead, self._is_stale, self._busy_until = device._dead, device._is_stale, device._busy_until
        self._refuse_impossible()

    @property
    def info(self) -> DeviceInfo:
        """What is known of it."""
        info = self.inner.info
        for fault in self._named("wrong_firmware"):
            text = f"{fault} {info.firmware}"
            info = dataclasses.replace(info, firmware=hashlib.sha256(text.encode()).hexdigest())
        return info

    def load(self, artifact: bytes) -> str:
        """Put a program, with the network's faults in it, in place of the one that is there; see `Device.load`.

        Raises
        ------
        UnsupportedError
            E887 for faults that cannot be done to this program, E888 for those that this device cannot have.
        """
        self._require_alive()
        faulted = None
        data = artifact
        if of_kind(self.faults, "neuromorphic"):
            faulted = inject(read_artifact(artifact), self.faults)
            if faulted.has_more_nodes and self.inner.info.kind == "hw":
                raise self._cannot("hardware runs a mapped program as it is, and this takes nodes beside it",
                                   "leave spike_drop, late and dead_link of shared weights to a simulator")  # fmt: skip
            data = artifact_bytes(faulted.program)
        self._loaded = None
        found = self.inner.load(data)
        sha256 = found if faulted is None else hashlib.sha256(artifact).hexdigest()
        self._loaded = _Loaded(faulted, sha256)
        return sha256

    def run(
        self, inputs: Mapping[str, Array], *, record: tuple[str, ...] | str = (), record_state: bool = False, seed: int = 0,
        timeout_s: float | None = None,
    ) -> DeviceRun:  # fmt: skip
        """Run all samples of *inputs*; see `Device.run`.

        Raises
        ------
        HilError
            E889 where the device dies.
        RunTimeout
            E803 where it hangs for longer than *timeout_s*.
        """
        self._require_alive()
        if self._loaded is None and of_kind(self.faults, "neuromorphic"):
            hint = "load the artifact after the faults were injected: they are put into the program"
            raise HilError(Diagnostic("E850", self.inner.info.name, "no program with these faults is loaded", hint))
        faulted = None if self._loaded is None else self._loaded.faulted
        first = next(iter(inputs.values()), None)
        work = math.prod(first.shape[:2]) if first is not None and first.ndim > 1 else 0
        # What happens earlier comes first: a device that hangs before it dies is seen to hang.
        timed = sorted(self._named("hang") + self._named("device_dies"), key=lambda f: int(f.get("step", 0)))
        for fault in timed:
            if self._steps <= fault.get("step", 0) < self._steps + work:
                if fault.name == "device_dies":
                    self._die(fault, work)
                timeout_s = self._hang(fault, timeout_s)
        self._steps += work
        self.inner.on_progress = self.on_progress
        if faulted is None:
            run = self.inner.run(inputs, record=record, record_state=record_state, seed=seed, timeout_s=timeout_s)
        else:
            run = self._run_faulted(faulted, inputs, record, record_state, seed, timeout_s)
        self._is_stale = bool(self._named("stale_state"))
        return dataclasses.replace(run, meta={**run.meta, "faults": [str(f) for f in self.faults]})

    def _run_faulted(
        self, faulted: Faulted, inputs: Mapping[str, Array], record: tuple[str, ...] | str, record_state: bool, seed: int,
        timeout_s: float | None,
    ) -> DeviceRun:  # fmt: skip
        graph = faulted.sound.graph
        values = faulted.inputs(prepare_inputs(inputs, graph, seed=seed).values)
        # By name: "all" would be the nodes of the faults too.
        wanted = selected(graph, record)
        run = self.inner.run(values, record=wanted, record_state=record_state, seed=seed, timeout_s=timeout_s)
        assert self._loaded is not None
        return dataclasses.replace(
            run, trace=faulted.trace(run.trace, values), graph=graph.digest, artifact=self._loaded.sha256
        )

    def reset(self) -> None:
        """Clear program and state, and read back whether they are gone; see `Device.reset`."""
        self._require_alive()
        self._loaded = None
        self.inner.reset()
        # What it read back is fresh, but for what our faults left.
        require_fresh(self, self.inner.state_digest())

    def state_digest(self) -> str:
        """Return a SHA-256 over what the device holds, and what faults left there."""
        self._require_alive()
        left = " stale" * self._is_stale + " busy" * (time.monotonic() < self._busy_until)
        found = self.inner.state_digest()
        return hashlib.sha256((found + left).encode()).hexdigest() if left else found

    def close(self) -> None:
        """Give the device back; a run that hangs ends."""
        self._closed.set()
        self.inner.close()

    def _named(self, name: str) -> list[Fault]:
        return [f for f in self.faults if f.name == name]

    def _refuse_impossible(self) -> None:
        way = of_kind(self.faults, "transport")
        if way:
            raise UsageError(
                Diagnostic("E885", str(way[0]), "this is a fault of the way to a daemon, not of a device",
                           "give it to --hil-fault with --hil-url, or to runtime.hil.faults.proxy.Proxy")
            )  # fmt: skip
        if not self._may_kill and any(f.get("how") == "kill" for f in self._named("device_dies")):
            raise self._cannot("how=kill would end this process, which runs the test", "how=error")
        if self.inner.info.kind == "replay" and of_kind(self.faults, "neuromorphic"):
            raise self._cannot("recorded answers are those of a sound network", "leave --hil-replay out")

    def _cannot(self, why: str, hint: str) -> UnsupportedError:
        text = "/".join(map(str, self.faults))
        return UnsupportedError(Diagnostic("E888", self.inner.info.name, f"it cannot have the fault {text}: {why}", hint))

    def _require_alive(self) -> None:
        if self._dead is not None:
            raise HilError(self._dead)

    def _die(self, fault: Fault, work: int) -> None:
        step = int(fault.get("step", 0))
        if self.on_progress is not None:
            self.on_progress(step - self._steps, work)
        if fault.get("how") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self._dead = Diagnostic(
            "E889", self.inner.info.name, f"it died at step {step:,}, as {fault} wants", "leave the fault out", {"step": step}
        )
        raise HilError(self._dead)

    def _hang(self, fault: Fault, timeout_s: float | None) -> float | None:
        """Stand still; return what is left of the time limit, or raise RunTimeout E803 where it is over."""
        name, seconds = self.inner.info.name, float(fault.get("s", math.inf))
        if timeout_s is None:
            # Event.wait takes no infinity.
            self._closed.wait(None if math.isinf(seconds) else seconds)
        elif seconds < timeout_s:
            self._closed.wait(seconds)
        else:
            self._busy_until = time.monotonic() + seconds
            self._closed.wait(timeout_s)
        if self._closed.is_set():
            raise HilError(Diagnostic("E889", name, f"it was closed while it hung, as {fault} wants", "leave the fault out"))
        if timeout_s is None:
            return None
        if seconds < timeout_s:
            return timeout_s - seconds
        what = f"the run did not end within {timeout_s:g} s: it hung at step {fault.get('step', 0):,}, as {fault} wants"
        raise RunTimeout(Diagnostic("E803", name, what, "leave the fault out", {"seconds": timeout_s}))


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """What is on the device: faults of the network in a program, where there are any, and the artifact that was handed over."""

    faulted: Faulted | None
    sha256: str
