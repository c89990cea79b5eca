"""Recording and replay as devices: one that keeps what another answers, one that answers from what was kept."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.runtime.artifact import read_artifact
from spikeport.runtime.hil.cassette import Cassette, Key, key_of, read_folder, record_run
from spikeport.runtime.hil.device import Device, DeviceInfo, DeviceRun, not_loaded
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.inputs import prepare_inputs


class RecordingDevice(Device):
    """Another device, every run of which is written to a folder before it is handed on.

    Parameters
    ----------
    device : Device
        Who answers; closed with this one.
    folder : path
        Made where it is not there.
    """

    def __init__(self, device: Device, folder: str | Path) -> None:
        self._device, self._folder = device, Path(folder)
        self._program: Program | None = None

    @property
    def info(self) -> DeviceInfo:
        """What is known of the device that answers."""
        return self._device.info

    def load(self, artifact: bytes) -> str:
        """Load a program there."""
        sha256 = self._device.load(artifact)
        self._program = read_artifact(artifact)
        return sha256

    def run(
        self, inputs: Mapping[str, Array], *, record: tuple[str, ...] | str = (), record_state: bool = False, seed: int = 0,
        timeout_s: float | None = None,
    ) -> DeviceRun:  # fmt: skip
        """Run there, and keep the answer; HilError E631 where it cannot be kept."""
        run = self._device.run(inputs, record=record, record_state=record_state, seed=seed, timeout_s=timeout_s)
        given = inputs if self._program is None else prepare_inputs(inputs, self._program.graph, seed=seed).values
        key = key_of(run.artifact, given, self.info.firmware, record, record_state, seed)
        record_run(self._folder, key, self.info, run)
        return run

    def reset(self) -> None:
        """Reset the device."""
        self._device.reset()

    def state_digest(self) -> str:
        """Return what the device holds."""
        return self._device.state_digest()

    def close(self) -> None:
        """Give the device back."""
        self._device.close()


class ReplayDevice(Device):
    """A bench's answers without the bench.

    Parameters
    ----------
    folder : path
        Of cassettes.
    names : str or sequence of str
        Devices whose answers may be taken, the first that has one before the others; by default all, by name.
    firmware : str
        Digest of the firmware, or its beginning, that the answers have to be of; by default the one that there is.
    cassettes : sequence of Cassette, optional
        What `read_folder` returned for *folder*, where that is known already.

    Raises
    ------
    HilError
        E856 where the folder has no cassettes of such devices and firmware, or a device's answers of several firmwares and
        none is named: which one is right is not ours to guess. E857 for cassettes that cannot be read.
    """

    def __init__(
        self, folder: str | Path, names: str | Sequence[str] = (), firmware: str = "",
        cassettes: Sequence[Cassette] | None = None,
    ) -> None:  # fmt: skip
        self._folder = Path(folder)
        found = read_folder(folder) if cassettes is None else cassettes
        wanted = ((names,) if names else ()) if isinstance(names, str) else tuple(names)
        self._cassettes = chosen(found, self._folder, wanted, firmware)
        self._info = dataclasses.replace(self._cassettes[0].info, kind="replay", health="ready")
        self._program: Program | None = None
        self._artifact = ""

    @property
    def info(self) -> DeviceInfo:
        """What is known of the (first) device that answered; its kind is ``replay``."""
        return self._info

    def load(self, artifact: bytes) -> str:
        """Read a program as a device would; nothing is refused for lack of recordings before a run is asked for."""
        self.reset()
        self._program = read_artifact(artifact)
        self._artifact = hashlib.sha256(artifact).hexdigest()
        return self._artifact

    def run(
        self, inputs: Mapping[str, Array], *, record: tuple[str, ...] | str = (), record_state: bool = False, seed: int = 0,
        timeout_s: float | None = None,
    ) -> DeviceRun:  # fmt: skip
        """Return what was recorded for exactly this question.

        Raises
        ------
        HilError
            E856, with what differs from the nearest recording; E850 where nothing is loaded; E857 for a damaged cassette.
        """
        if self._program is None:
            raise not_loaded(self._info.name)
        given = prepare_inputs(inputs, self._program.graph, seed=seed).values
        asked = key_of(self._artifact, given, self._info.firmware, record, record_state, seed)
        for cassette in self._cassettes:
            # Each device has a firmware of its own, which was settled when the cassettes were chosen.
            if dataclasses.replace(asked, firmware=cassette.key.firmware) == cassette.key:
                return cassette.run()
        raise self._missing(asked)

    def reset(self) -> None:
        """Forget the program."""
        self._program, self._artifact = None, ""

    def state_digest(self) -> str:
        """Return what is loaded."""
        return hashlib.sha256(f"{self._info.firmware} {self._artifact}".encode()).hexdigest()

    def _missing(self, key: Key) -> HilError:
        near = _nearest(self._cassettes, key)
        differs = dataclasses.replace(key, firmware=near.key.firmware).differs(near.key)
        return HilError(
            Diagnostic("E856", self._info.name, f"no cassette in {self._folder} answers this run; from the nearest, "
                       f"{near.path.name}, it differs in {'; '.join(differs)}", "record it on the bench with --hil-record",
                       {"differs": [d.partition(":")[0] for d in differs]}),
            Outcome.UNSUPPORTED,
        )  # fmt: skip


def _nearest(cassettes: Sequence[Cassette], key: Key) -> Cassette:
    """Return the cassette whose key differs least: the artifact weighs most, then the input."""

    def far(cassette: Cassette) -> tuple[int, bool, bool, str]:
        other = cassette.key
        return len(key.differs(other)), key.artifact != other.artifact, key.inputs != other.inputs, cassette.path.name

    return min(cassettes, key=far)


def chosen(
    found: Sequence[Cassette], folder: Path, names: Sequence[str] = (), firmware: str = ""
) -> tuple[Cassette, ...]:  # fmt: skip
    """Return the cassettes of the devices *names*, in that order, each of one firmware; raise HilError E856."""
    by_device: dict[str, dict[str, list[Cassette]]] = {}
    for c in found:
        by_device.setdefault(c.info.name, {}).setdefault(c.key.firmware, []).append(c)
    known = ", ".join(f"{n} with firmware {f[:12] or 'unknown'}" for n in sorted(by_device) for f in sorted(by_device[n]))
    taken: list[Cassette] = []
    for name in names or sorted(by_device):
        fitting = [cassettes for f, cassettes in by_device.get(name, {}).items() if f.startswith(firmware)]
        if len(fitting) > 1:
            hint = "name the firmware, @pytest.mark.hil(firmware=...), or remove the others"
            raise _refused(folder, f"were recorded on {known}; which firmware of {name} is meant is not said", hint)
        taken += [c for cassettes in fitting for c in cassettes]
    if not taken:
        asked = " ".join(filter(None, (" or ".join(names), firmware and f"firmware {firmware[:12]}")))
        raise _refused(folder, f"were recorded on {known}, not on {asked}", "record anew with --hil-record")
    return tuple(taken)


def _refused(folder: Path, what: str, hint: str) -> HilError:
    return HilError(Diagnostic("E856", str(folder), f"the cassettes in {folder} {what}", hint), Outcome.UNSUPPORTED)
