"""Messages between client, daemon and worker: a JSON header and, where arrays travel, the bytes of an ``.npz``.

    b"SPHIL" | version u8 | header bytes u32 | body bytes u64 | CRC-32 of all the rest u32 | header (JSON) | body

Nothing is pickled. Every length is held against a limit before a byte of it is read; arrays lie uncompressed in the
``.npz``, so that no body unpacks to more than it is. The check sum is for what happens on the way: TCP's own misses some of it,
and without TLS nothing else would notice a number that has become another.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import ArtifactError, Diagnostic, SpikeportError
from spikeport.ir.ops import Array
from spikeport.ir.trace import Counts, Trace
from spikeport.runtime.files import npy_bytes, read_npz
from spikeport.runtime.hil.device import DeviceInfo, DeviceRun
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.strict_json import dump_json, parse_json

MAGIC, PROTOCOL = b"SPHIL", 1
#: Bytes of a header, of a body in one message, of a chunk of what is larger, and of an upload or a result in all.
MAX_HEADER, MAX_BODY, CHUNK, MAX_WHOLE = 2**20, 2**22, 2**20, 2**30
_HEAD = struct.Struct("<5sBIQI")
HEAD_SIZE = _HEAD.size
#: Arrays in a body.
MAX_ARRAYS = 4096


class WireError(HilError):
    """A message that is damaged, too large, or of another protocol."""


def wire_error(message: str, code: str = "E877") -> WireError:
    """Return a WireError with one finding."""
    is_other = code in ("E866", "E883")
    hint = "use the same version of spikeport on both sides" if is_other else "the connection or its other end is faulty"
    return WireError(Diagnostic(code, "", message, hint), Outcome.INFRASTRUCTURE)


def encode(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return a message of *header* and *body*."""
    text = dump_json(header)
    if len(text) > MAX_HEADER:
        raise wire_error(f"a header of {len(text):,} bytes exceeds the limit of {MAX_HEADER:,}")
    return frame(text, body)


def frame(text: bytes, body: bytes) -> bytes:
    """Return a message of the JSON *text* and *body*, whatever they are."""
    head = _HEAD.pack(MAGIC, PROTOCOL, len(text), len(body), 0)
    return head[:-4] + struct.pack("<I", _sum(head, text, body)) + text + body


def _sum(head: bytes, *parts: bytes) -> int:
    found = zlib.crc32(head[:-4])
    for part in parts:
        found = zlib.crc32(part, found)
    return found


def decode(data: bytes, limit: int = MAX_BODY) -> tuple[dict[str, Any], bytes]:
    """Return header and body of the message *data*.

    Raises
    ------
    WireError
        E866 for another protocol version, E896 for damage on the way, E877 for anything else that is wrong.
    """
    if len(data) < _HEAD.size:
        raise wire_error(f"a message of {len(data)} bytes is too short")
    head, rest = data[: _HEAD.size], data[_HEAD.size :]
    magic, version, *_, check = _HEAD.unpack(head)
    # A version that is another only by damage is none: with ours in its place the sum is right.
    ours = head[:5] + bytes([PROTOCOL]) + head[6:]
    if magic != MAGIC or (version == PROTOCOL) != (_sum(ours, rest) == check):
        raise wire_error(f"a message of {len(data):,} bytes was damaged on the way, or is none of spikeport's", "E896")
    text, body = sizes(head, limit)
    if len(rest) != text + body:
        raise wire_error(f"a message of {len(data):,} bytes announces {_HEAD.size + text + body:,}")
    return parse_header(rest[:text]), rest[text:]


def sizes(head: bytes, limit: int) -> tuple[int, int]:
    """Return the bytes of header and body that the fixed head of a message announces; raise as `decode` does."""
    magic, version, text, body, _ = _HEAD.unpack(head)
    if magic != MAGIC:
        raise wire_error("this is no message of spikeport")
    if version != PROTOCOL:
        raise wire_error(f"the other side speaks protocol {version}, this one speaks {PROTOCOL}", "E866")
    if text > MAX_HEADER or body > limit:
        raise wire_error(f"a message announces {text:,} and {body:,} bytes, the limits are {MAX_HEADER:,} and {limit:,}")
    return text, body


def parse_header(text: bytes) -> dict[str, Any]:
    """Return the header in *text*; raise WireError E877 for what is no JSON object."""
    try:
        header = parse_json(text, "header", MAX_HEADER)
    except ArtifactError as error:
        raise wire_error(error.diagnostics[0].message) from error
    if not isinstance(header, dict):
        raise wire_error("the header of a message is no object")
    return header


def read_message(read: Callable[[int], bytes], limit: int = MAX_WHOLE) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message of a stream, None at its end; *read* returns as many bytes as asked for, or fewer at the end."""
    head = read(_HEAD.size)
    if not head:
        return None
    if len(head) == _HEAD.size:
        size = sum(sizes(head, limit))
        if len(rest := read(size)) == size:
            return decode(head + rest, limit)
    raise wire_error("a stream ends within a message")


def field(header: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """Return a field of *header* of exactly the type *kind* (float takes int too); raise WireError E877 for another."""
    value = header.get(name, default)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise wire_error(f"the field {name!r} of a message is {value!r:.60}, not of type {kind.__name__}")
    return value


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """Return *arrays* as the bytes of an uncompressed ``.npz``."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{key}.npy"), npy_bytes(np.asarray(array)))
    return stream.getvalue()


def unpack_arrays(body: bytes) -> dict[str, Array]:
    """Return the arrays in *body*, read as `spikeport.runtime.files.read_arrays` reads, uncompressed ones only."""
    if not body:
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = archive.infolist()
        if any(e.compress_type != zipfile.ZIP_STORED or e.file_size != e.compress_size for e in entries):
            raise wire_error("the arrays of a message are compressed")
        if len(entries) > MAX_ARRAYS or sum(e.file_size for e in entries) > len(body):
            raise wire_error(f"a body of {len(body):,} bytes claims {len(entries)} arrays of more than it holds")
        return read_npz(io.BytesIO(body), "message")
    except HilError:
        raise
    except SpikeportError as error:
        raise wire_error(error.diagnostics[0].message) from error
    except Exception as error:  # zipfile answers damage with many kinds of exception
        raise wire_error(f"the arrays of a message cannot be read: {type(error).__name__}: {error}") from error


def info_json(info: DeviceInfo) -> dict[str, Any]:
    """Return *info* as plain data."""
    return {
        "name": info.name, "kind": info.kind, "backend": info.backend, "target": info.target,
        "features": list(info.features), "firmware": info.firmware, "health": info.health,
    }  # fmt: skip


def info_from(data: Any) -> DeviceInfo:
    """Return the DeviceInfo in *data*; raise WireError E877."""
    if not isinstance(data, dict):
        raise wire_error("the description of a device is no object")
    features = field(data, "features", list)
    if any(type(f) is not str for f in features):
        raise wire_error("a feature of a device is no text")
    return DeviceInfo(
        field(data, "name", str), field(data, "kind", str), field(data, "backend", str), field(data, "target", str),
        tuple(features), field(data, "firmware", str), field(data, "health", str),
    )  # fmt: skip


def encode_run(run: DeviceRun) -> tuple[dict[str, Any], bytes]:
    """Return *run* as a header and a body."""
    trace = run.trace
    arrays = trace.arrays()
    arrays |= {f"activity/{path}": a for path, a in trace.activity.items()}
    counts: list[list[Any]] = []  # in their order, which an object of JSON would not keep
    for path, c in trace.counts.items():
        counts.append([path, {"spikes": c.spikes, "events": c.events, "synops": c.synops, "updates": c.updates}])
        for name in ("spikes_per_step", "synops_per_step"):
            if (array := getattr(c, name)) is not None:
                arrays[f"{name}/{path}"] = array
    header = {
        "graph": run.graph, "artifact": run.artifact, "seconds": _plain(run.seconds), "meta": _plain(run.meta),
        "samples": trace.samples, "steps": trace.steps, "counts": _plain(counts),
        "trace_seconds": _plain(trace.seconds), "trace_meta": _plain(trace.meta),
    }  # fmt: skip
    return header, pack_arrays(arrays)


def decode_run(header: Mapping[str, Any], body: bytes) -> DeviceRun:
    """Return the DeviceRun that `encode_run` made; raise WireError E877."""
    groups: dict[str, dict[str, Array]] = {
        n: {} for n in ("spikes", "out", "v", "i", "activity", "spikes_per_step", "synops_per_step")
    }
    for key, array in unpack_arrays(body).items():
        group, _, path = key.partition("/")
        if group not in groups:
            raise wire_error(f"a result has an array {key!r:.80}")
        groups[group][path] = array
    counts = {}
    for entry in field(header, "counts", list):
        path, c = entry if isinstance(entry, list) and len(entry) == 2 else ("", None)
        numbers = {name: c.get(name) for name in ("spikes", "events", "synops", "updates")} if isinstance(c, dict) else {}
        if type(path) is not str or not numbers or any(n is not None and type(n) is not int for n in numbers.values()):
            raise wire_error(f"the counts of {path!r:.80} are no numbers")
        per_step = groups["spikes_per_step"].get(path), groups["synops_per_step"].get(path)
        counts[path] = Counts(**numbers, spikes_per_step=per_step[0], synops_per_step=per_step[1])
    trace = Trace(
        groups["spikes"], groups["out"], groups["v"], counts, groups["activity"], field(header, "samples", int),
        field(header, "steps", int), field(header, "trace_seconds", dict), field(header, "trace_meta", dict), groups["i"],
    )  # fmt: skip
    return DeviceRun(
        trace, field(header, "graph", str), field(header, "artifact", str), field(header, "seconds", dict),
        field(header, "meta", dict),
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """Return *value* as JSON has it: numpy's numbers as Python's, tuples as lists, what JSON cannot say as text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
