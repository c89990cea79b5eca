"""Devices: what a program is loaded into, run on and reset; in this process, or behind a daemon (`client`)."""

from __future__ import annotations

import abc
import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar

from spikeport.ir.diagnostics import Diagnostic, RunTimeout, UnsupportedError
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.trace import Recording, Trace
from spikeport.runtime.hil.outcome import HilError, Outcome

#: Drivers of real hardware: entry points of this group, each a callable (config: dict) -> Device.
DRIVERS = "spikeport.hil_drivers"
#: What a device may be able to do beyond running; the names of the arithmetics that it runs are features too.
MEMBRANES, BIT_EXACT = "membranes", "bit_exact"


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What is known of a device.

    Parameters
    ----------
    name : str
        Its name on the bench.
    kind : {"sim", "hw", "replay"}
        A simulator, hardware, or results that were recorded.
    backend : str
        What runs programs there.
    target : str
        Chip that it is; empty for a simulator that takes programs for any.
    features : tuple of str
        Arithmetics that it runs, ``membranes`` where it gives back states, ``bit_exact``, and words of its driver's own.
    firmware : str
        SHA-256 over all that decides what a program does there: backend, options, versions.
    health : str
        ``ready``, or what is wrong.
    """

    name: str
    kind: str
    backend: str
    target: str = ""
    features: tuple[str, ...] = ()
    firmware: str = ""
    health: str = "ready"


@dataclass(frozen=True, slots=True, eq=False)
class DeviceRun:
    """What a run on a device gave.

    Parameters
    ----------
    trace : Trace
        What was recorded and counted, with the axes (samples, steps, ...).
    graph : str
        Digest of the graph that ran.
    artifact : str
        SHA-256 of the ``.spk`` that was loaded.
    seconds : Mapping[str, float]
        Host time by phase.
    meta : Mapping
        What identifies the run, as in the file of a run. A device that measures says so under ``measured``: a mapping with
        ``latency_s`` and ``energy_j``, floats for one sample.
    """

    trace: Trace
    graph: str
    artifact: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


class Device(abc.ABC):
    """A device; a context manager. One thread uses it at a time."""

    #: Called with (steps done, steps in all) while a run goes on, where the device can tell.
    on_progress: Callable[[int, int], None] | None = None

    @property
    @abc.abstractmethod
    def info(self) -> DeviceInfo:
        """What is known of it."""

    @abc.abstractmethod
    def load(self, artifact: bytes) -> str:
        """Put a program in place of the one that is there, and return the SHA-256 of *artifact*.

        Parameters
        ----------
        artifact : bytes
            A ``.spk``, which is trusted in nothing.

        Raises
        ------
        ArtifactError
            E7xx for one that is damaged or hostile.
        UnsupportedError, CapacityError
            For a program that the device cannot run; E852 for one that is mapped on another chip.
        HilError
            Where the bench fails.
        """

    @abc.abstractmethod
    def run(
        self, inputs: Mapping[str, Array], *, record: tuple[str, ...] | str = (), record_state: bool = False, seed: int = 0,
        timeout_s: float | None = None,
    ) -> DeviceRun:  # fmt: skip
        """Run all samples of *inputs*.

        Parameters
        ----------
        inputs : Mapping[str, array, shape (samples, steps, *shape)]
            Finite values of any number type for every Input node.
        record : tuple of str or "all"
            Nodes to keep beside the outputs; ``"all"`` is every neuron population.
        record_state : bool
            Whether to keep membranes too.
        seed : int
            For devices that draw random numbers.
        timeout_s : float or None
            Most host time in seconds; None for no limit.

        Raises
        ------
        HilError
            E850 where no program is loaded, and where the bench fails.
        UsageError
            For inputs that do not fit the program.
        RunError, RunTimeout
            For a run that failed, or took longer than *timeout_s* (E803).
        """

    @abc.abstractmethod
    def reset(self) -> None:
        """Clear program and state, and read back whether they are gone.

        Raises
        ------
        HilError
            E851, outcome ``quarantined``, where `state_digest` is not that of a fresh device afterwards.
        """

    @abc.abstractmethod
    def state_digest(self) -> str:
        """Return a SHA-256 over what the device holds, read back from it."""

    def close(self) -> None:  # noqa: B027 - most devices hold nothing that is to be given back
        """Give the device back; closing it again does no harm."""

    def __enter__(self) -> Device:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.close()


class LocalDevice(Device):
    """Any backend, in this process.

    Parameters
    ----------
    backend : str
        Who runs programs.
    options : Mapping[str, str], optional
        Options of the backend's own.
    target : str, optional
        Chip that the device stands for: programs mapped on another are refused. Without it any program is taken.
    name : str
        By default the backend's, with the target's.

    Raises
    ------
    UsageError, BackendUnavailable
        For a backend or options that are not there.
    """

    #: Seconds that a reset waits for a run that was given up.
    GRACE_S: ClassVar[float] = 2.0

    def __init__(
        self, backend: str = "engine", options: Mapping[str, str] | None = None, target: str | None = None, name: str = ""
    ) -> None:
        from spikeport.backends.registry import get_backend
        from spikeport.runtime.hil.firmware import firmware_of

        self._backend = get_backend(backend).with_options(options or {})
        first = self._backend.arithmetics[0]
        exact = (BIT_EXACT,) if self._backend.fidelity_for(first) == "bit_exact" else ()
        self._info = DeviceInfo(
            name or "-".join(filter(None, (backend, target))), "sim", backend, target or "",
            (*self._backend.arithmetics, MEMBRANES, *exact), firmware_of(backend, options or {}), "ready",
        )  # fmt: skip
        self._loaded: _Loaded | None = None
        self._given_up: threading.Thread | None = None
        self._fresh = ""

    @property
    def info(self) -> DeviceInfo:
        """What is known of it."""
        return self._info

    def load(self, artifact: bytes) -> str:
        """Put a program in place of the one that is there; see `Device.load`."""
        from spikeport.runtime.artifact import read_artifact
        from spikeport.runtime.session import explained

        self.reset()
        program = read_artifact(artifact)
        if self._info.target and program.target != self._info.target:
            raise UnsupportedError(
                Diagnostic("E852", self._info.name, f"the program is mapped on {program.target or 'no chip'}, the device is a "
                           f"{self._info.target}", f"compile the model for {self._info.target}")
            )  # fmt: skip
        with explained(self._backend):
            executable = self._backend.emit(program)
        self._loaded = _Loaded(program, executable, hashlib.sha256(artifact).hexdigest())
        return self._loaded.sha256

    def run(
        self, inputs: Mapping[str, Array], *, record: tuple[str, ...] | str = (), record_state: bool = False, seed: int = 0,
        timeout_s: float | None = None,
    ) -> DeviceRun:  # fmt: skip
        """Run all samples of *inputs*; see `Device.run`."""
        from spikeport.runtime.inputs import prepare_inputs
        from spikeport.runtime.session import meta, run_emitted, selected

        loaded = self._require_loaded()
        started = time.perf_counter()
        given = prepare_inputs(inputs, loaded.program.graph, seed=seed).values
        recording = Recording(selected(loaded.program.graph, record), record_state)
        steps = next(iter(given.values())).shape[1]
        is_over = threading.Event()

        def progress(done: int, samples: int) -> None:
            if is_over.is_set():
                raise RunTimeout(Diagnostic("E803", self._info.name, "the run was given up"))
            if self.on_progress is not None:
                self.on_progress(done * steps, samples * steps)

        def work() -> Trace:
            return run_emitted(loaded.executable, loaded.program, given, self._backend, recording, seed, progress)

        trace = work() if timeout_s is None else self._within(timeout_s, work, is_over)
        seconds = {**trace.seconds, "total": time.perf_counter() - started}
        return DeviceRun(
            trace, loaded.program.graph.digest, loaded.sha256, seconds, meta(loaded.program, self._backend, seed, False)
        )

    def reset(self) -> None:
        """Clear program and state, and read back whether they are gone; see `Device.reset`."""
        # Read when it is first used, by when a subclass that holds more is complete.
        self._fresh = self._fresh or self.state_digest()
        if self._given_up is not None:
            self._given_up.join(self.GRACE_S)
        if self._loaded is not None:
            self._loaded.executable.close()
            self._loaded = None
        require_fresh(self, self._fresh)

    def state_digest(self) -> str:
        """Return a SHA-256 over the program as it lies in memory, and over what still runs."""
        from spikeport.runtime.artifact import artifact_bytes

        held = b"" if self._loaded is None else artifact_bytes(self._loaded.program)
        busy = self._given_up is not None and self._given_up.is_alive()
        state = f"{self._info.firmware} {hashlib.sha256(held).hexdigest() if held else 'empty'}{' busy' if busy else ''}"
        return hashlib.sha256(state.encode()).hexdigest()

    def close(self) -> None:
        """Forget the program."""
        if self._loaded is not None:
            self._loaded.executable.close()
            self._loaded = None

    def _require_loaded(self) -> _Loaded:
        if self._loaded is None:
            raise not_loaded(self._info.name)
        return self._loaded

    def _within(self, timeout_s: float, work: Callable[[], Trace], is_over: threading.Event) -> Trace:
        """Return what *work* does in a thread beside, or give it up after *timeout_s*: E803."""
        found: list[Trace] = []
        failed: list[BaseException] = []

        def target() -> None:
            try:
                found.append(work())
            except BaseException as error:  # raised again in the caller's thread
                failed.append(error)

        thread = threading.Thread(target=target, name=f"run on {self._info.name}", daemon=True)
        thread.start()
        thread.join(timeout_s)
        if thread.is_alive():
            is_over.set()
            self._given_up = thread
            raise RunTimeout(
                Diagnostic("E803", self._info.name, f"the run did not end within {timeout_s:g} s",
                           "give more time, fewer samples or a faster backend", {"seconds": timeout_s})
            )  # fmt: skip
        if failed:
            raise failed[0]
        return found[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """A program, what a backend made of it, and the digest of the bytes that it came as."""

    program: Program
    executable: Any
    sha256: str


def not_loaded(name: str) -> HilError:
    """Return the error E850 of the device *name*, which is to run and has no program."""
    return HilError(Diagnostic("E850", name, "no program is loaded", "load an artifact before the run"))


def require_fresh(device: Device, fresh: str) -> None:
    """Raise HilError E851 where *device* does not read back as *fresh*, the digest that it had when it was new."""
    found = device.state_digest()
    if found != fresh:
        name = device.info.name
        raise HilError(
            Diagnostic("E851", name, f"after its reset {name} reads back {found[:12]}, a fresh one {fresh[:12]}",
                       "take it out of use until somebody has looked after it", {"found": found, "fresh": fresh}),
            Outcome.QUARANTINED,
        )  # fmt: skip
