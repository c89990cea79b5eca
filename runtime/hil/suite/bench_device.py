"""A device in the hands of a test."""

from __future__ import annotations

from typing import Any

from spikeport.ir.ops import Array
from spikeport.runtime.artifact import read_artifact
from spikeport.runtime.hil.device import Device, DeviceInfo, DeviceRun, require_fresh
from spikeport.runtime.hil.suite.want import Artifact
from spikeport.runtime.inputs import drained, prepare_inputs


class BenchDevice(Device):
    """A device as a test gets it: takes models and arrays as they are, has a time limit, and its runs are remembered.

    Parameters
    ----------
    device : Device
        Who runs.
    runs : list
        Told of every run, with its artifact.
    timeout_s, multiplier : float
        Seconds of a run for which none are named; what all are multiplied with.
    """

    def __init__(
        self, device: Device, runs: list[tuple[Artifact, DeviceRun]], timeout_s: float, multiplier: float = 1.0
    ) -> None:
        self.inner, self._runs = device, runs
        self._fresh = device.state_digest()
        self._timeout_s, self._multiplier = timeout_s, multiplier
        self._artifact: Artifact | None = None

    @property
    def info(self) -> DeviceInfo:
        """What is known of it."""
        return self.inner.info

    def load(self, artifact: bytes | Artifact) -> str:
        """Load an artifact, as ``hil_artifact`` gives it or as the bytes of a ``.spk``; see `Device.load`."""
        data = artifact if isinstance(artifact, bytes) else artifact.data
        sha256 = self.inner.load(data)
        if isinstance(artifact, Artifact):
            self._artifact = artifact
        else:
            self._artifact = Artifact(read_artifact(data), data)
        return sha256

    def run(
        self, inputs: Any, *, record: tuple[str, ...] | str = (), record_state: bool = False, seed: int = 0,
        timeout_s: float | None = None,
    ) -> DeviceRun:  # fmt: skip
        """Run on *inputs*: a path, an array or a mapping, with or without a sample axis; see `Device.run`."""
        given = inputs if self._artifact is None else prepared(self._artifact, inputs, seed=seed)
        limit = (self._timeout_s if timeout_s is None else timeout_s) * self._multiplier
        run = self.inner.run(given, record=record, record_state=record_state, seed=seed, timeout_s=limit)
        if self._artifact is not None:
            self._runs.append((self._artifact, run))
        return run

    def exchange(self, inner: Device) -> None:
        """Let *inner* run from here on, with the program that is loaded."""
        self.inner = inner
        if self._artifact is not None:
            inner.load(self._artifact.data)

    def reset(self) -> None:
        """Clear program and state; see `Device.reset`."""
        self._artifact = None
        self.inner.reset()

    def state_digest(self) -> str:
        """Return what it holds."""
        return self.inner.state_digest()

    def require_fresh(self) -> None:
        """Raise HilError E851 where it does not read back as it did when it was handed over."""
        require_fresh(self.inner, self._fresh)

    def close(self) -> None:
        """Give it back."""
        self.inner.close()


class Prepared(dict[str, Array]):
    """Inputs that are complete: nothing is appended a second time."""


def prepared(artifact: Artifact, inputs: Any, **options: Any) -> Prepared:
    """Return *inputs* by Input node with the axes (samples, steps, ...), and the silence that a chip's hops need.

    Parameters
    ----------
    artifact : Artifact
        What they are for.
    inputs : path, array, Mapping[str, array] or Prepared
        As for `prepare_inputs`; to what is prepared already, or has its *steps* stated, nothing is appended.
    **options
        Of `prepare_inputs`.
    """
    given = prepare_inputs(inputs, artifact.program.graph, **options)
    is_complete = options.get("steps") is not None or isinstance(inputs, Prepared)
    return Prepared(given.values if is_complete else drained(given, artifact.program).values)
