"""Cassettes: what a device answered, kept so that the same question gets the same answer where the bench is not.

A cassette is one run: an ``.npz`` of the trace's arrays with a header in JSON, named after its key and device. The key is the
digest of the artifact, the input, the request (recorded layers, states, seed) and the device's firmware. A question with
another key has no answer: replay refuses and says what differs from the nearest recording.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, SpikeportError
from spikeport.ir.ops import Array
from spikeport.runtime.files import make_folder, read_arrays, write_npz
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.device import DeviceInfo, DeviceRun
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.strict_json import dump_json, parse_json

FORMAT, SUFFIX = "spikeport cassette 1", ".cassette.npz"
#: Largest header, in bytes.
_LIMIT = 64 * 2**20
_HEADER = "cassette"


@dataclass(frozen=True, slots=True)
class Key:
    """What a recording answers.

    Parameters
    ----------
    artifact : str
        SHA-256 of the ``.spk``.
    inputs : str
        SHA-256 of the input (`input_digest`).
    firmware : str
        The device's.
    record : tuple of str
        Layers that were asked for, sorted; ``("all",)`` for all.
    record_state : bool
        Whether states were asked for.
    seed : int
        Of the run.
    """

    artifact: str
    inputs: str
    firmware: str
    record: tuple[str, ...]
    record_state: bool
    seed: int

    @property
    def digest(self) -> str:
        """SHA-256 of the key: the name of the cassette."""
        return hashlib.sha256(dump_json(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "artifact": self.artifact, "inputs": self.inputs, "firmware": self.firmware, "record": list(self.record),
            "record_state": self.record_state, "seed": self.seed,
        }  # fmt: skip

    def differs(self, other: Key) -> tuple[str, ...]:
        """Return what differs between this key, which is asked for, and *other*, which was recorded."""
        a, b = self.to_json(), other.to_json()
        return tuple(f"{name}: {_short(a[name])} asked, {_short(b[name])} recorded" for name in a if a[name] != b[name])


@dataclass(frozen=True, slots=True, eq=False)
class Cassette:
    """A recording that was read.

    Parameters
    ----------
    key : Key
        What it answers.
    info : DeviceInfo
        The device that answered.
    path : Path
        Its file.
    """

    key: Key
    info: DeviceInfo
    path: Path

    def run(self) -> DeviceRun:
        """Return what the device answered; raise HilError E857 where the file is damaged or was edited."""
        header, arrays = _read(self.path)
        try:
            return wire.decode_run(header["run"], wire.pack_arrays(arrays))
        except SpikeportError as error:
            raise damaged(self.path, error.diagnostics[0].message) from error


def input_digest(inputs: Mapping[str, Array]) -> str:
    """Return the SHA-256 of *inputs*: paths, shapes and values; not of the types in which the same values came.

    >>> input_digest({"in": np.array([[0, 1]], np.uint8)}) == input_digest({"in": np.array([[0.0, 1.0]])})
    True
    """
    digest = hashlib.sha256()
    for path in sorted(inputs):
        values = np.ascontiguousarray(inputs[path], dtype="<f8") + 0.0  # the negative zero is a zero
        digest.update(dump_json([path, list(values.shape)]))
        digest.update(values.tobytes())
    return digest.hexdigest()


def key_of(
    artifact: str, inputs: Mapping[str, Array], firmware: str, record: tuple[str, ...] | str, record_state: bool, seed: int
) -> Key:
    """Return the key of a run."""
    paths = (record,) if isinstance(record, str) else tuple(sorted(set(record)))
    return Key(artifact, input_digest(inputs), firmware, paths, bool(record_state), int(seed))


def record_run(folder: str | Path, key: Key, info: DeviceInfo, run: DeviceRun) -> Path:
    """Write the cassette of *run* into *folder*, whole or not at all, and return its path.

    Raises
    ------
    HilError
        E631, outcome ``infrastructure``, where it cannot be written: a disk that is full is no fault of the network's.
    """
    path = Path(folder) / file_name(key, info.name)
    header, body = wire.encode_run(run)
    arrays = wire.unpack_arrays(body)
    told = {
        "format": FORMAT, "key": key.to_json(), "device": wire.info_json(info), "run": header, "arrays": _arrays_digest(arrays),
    }  # fmt: skip
    try:
        make_folder(path.parent)
        write_npz(path, {**arrays, _HEADER: np.array(json.dumps(told, sort_keys=True))})
    except SpikeportError as error:
        raise HilError(error.diagnostics) from error
    return path


def file_name(key: Key, device: str) -> str:
    """Return the name of a cassette: devices of one firmware may answer differently, and each has its own."""
    return f"{hashlib.sha256(f'{key.digest} {device}'.encode()).hexdigest()[:32]}{SUFFIX}"


def read_folder(folder: str | Path) -> tuple[Cassette, ...]:
    """Return the cassettes in *folder*, by name; each is read whole, and its arrays again when `Cassette.run` asks for them.

    Raises
    ------
    HilError
        E856 where there are none, E857 for one that cannot be read.
    """
    paths = sorted(Path(folder).glob(f"*{SUFFIX}"))
    if not paths:
        raise HilError(
            Diagnostic("E856", str(folder), f"there are no cassettes in {folder}", "record some: pytest --hil-record DIR"),
            Outcome.UNSUPPORTED,
        )
    found = []
    for path in paths:
        header, _ = _read(path)
        try:
            key, info = _key(header["key"]), wire.info_from(header["device"])
            if path.name != file_name(key, info.name):
                raise damaged(path, "its name is not that of its key")
            found.append(Cassette(key, info, path))
        except wire.WireError as error:
            raise damaged(path, error.diagnostics[0].message) from error
        except (TypeError, KeyError) as error:
            raise damaged(path, f"its header is wrong or lacks {error}") from error
    return tuple(found)


def _key(data: Mapping[str, Any]) -> Key:
    """Return the key that *data* says; raise KeyError or TypeError for what is none."""
    record = data["record"]
    texts = [data[name] for name in ("artifact", "inputs", "firmware")]
    if not isinstance(record, list) or any(type(t) is not str for t in (*texts, *record)) or len(data) != 6:
        raise TypeError("texts")
    if type(data["record_state"]) is not bool or type(data["seed"]) is not int:
        raise TypeError("numbers")
    return Key(texts[0], texts[1], texts[2], tuple(record), data["record_state"], data["seed"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the header of a cassette, and its arrays."""
    try:
        arrays = read_arrays(path)
        text = str(arrays.pop(_HEADER, ""))
        header = parse_json(text.encode(), str(path), _LIMIT)
    except SpikeportError as error:
        raise damaged(path, error.diagnostics[0].message) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise damaged(path, f"it does not say {FORMAT!r}")
    kinds = {"key": dict, "device": dict, "run": dict, "arrays": str}
    if any(not isinstance(header.get(name), kind) for name, kind in kinds.items()):
        raise damaged(path, f"its header is not of {', '.join(kinds)}")
    if header["arrays"] != _arrays_digest(arrays):
        raise damaged(path, "its arrays are not those that were recorded")
    return header, arrays


def damaged(path: Path, why: str) -> HilError:
    """Return the error of a cassette that cannot be read."""
    return HilError(
        Diagnostic("E857", str(path), f"the cassette {path} cannot be read: {why}", "record it anew: pytest --hil-record DIR"),
        Outcome.BAD_ARTIFACT,
    )


def _arrays_digest(arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for key, array in sorted(arrays.items()):
        digest.update(dump_json([key, array.dtype.str, list(array.shape)]))
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) or "outputs only" if isinstance(value, list) else str(value)
    return text[:12] if len(text) == 64 else text
