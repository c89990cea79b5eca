"""Artifacts: a program as a ``.spk`` file, the same bytes for the same program, and trusted in nothing when read.

A ``.spk`` is a zip of uncompressed members: ``manifest.json`` (format version, size and SHA-256 of each other member,
versions), ``program.json`` (graph, profile, mapping) and ``arrays/N.npy``. Since nothing is compressed, no member can be
larger than the file. Everything is checked before anything is built: names, flags, sizes, digests, array headers, JSON;
then the graph has to verify, and every index has to lie within what it points at.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from spikeport.ir.diagnostics import ArtifactError, Diagnostic
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.runtime.files import npy_bytes, write_atomic
from spikeport.runtime.program_json import program_from_json, program_to_json
from spikeport.runtime.strict_json import dump_json, parse_json

FORMAT, VERSION = "spikeport artifact", 1
#: Limits on what is read: bytes of the file, of the JSON in it, and its members.
MAX_FILE, MAX_JSON, MAX_MEMBERS = 4 * 2**30 - 1, 64 * 2**20, 60_000
#: Bytes of the zip's end record, and of the longest entry of its directory.
_END, _ENTRY = 22, 46 + len("arrays/999999.npy")

_NAME = re.compile(r"manifest\.json|program\.json|arrays/(?:0|[1-9][0-9]{0,5})\.npy")
# What numpy.save writes for plain numbers, and nothing else: no objects, no records, no Fortran order.
_HEADER = re.compile(
    rb"\{'descr': '(\|[iu]1|[<>][iuf][248])', 'fortran_order': False, "
    rb"'shape': \(((?:[0-9]{1,12}(?:,|(?=\)))(?: (?=[0-9]))?)*)\), \} *\n"
)
_DATE = (1980, 1, 1, 0, 0, 0)


def artifact_error(code: str, path: str, message: str, hint: str = "", **facts: Any) -> ArtifactError:
    """Return an ArtifactError with one finding."""
    return ArtifactError(Diagnostic(code, path, message, hint or "compile the model anew", facts))


def save_artifact(program: Program, path: str | Path) -> str:
    """Write *program* to *path*, whole or not at all; return the SHA-256 of the file.

    Raises
    ------
    UsageError
        E631 where the file cannot be written.
    ArtifactError
        E702 for a program beyond the limits of the format.
    """
    data = artifact_bytes(program)
    write_atomic(path, lambda stream: stream.write(data))
    return hashlib.sha256(data).hexdigest()


def artifact_bytes(program: Program) -> bytes:
    """Return *program* as the bytes of a ``.spk``."""
    from spikeport import __version__

    structure, arrays = program_to_json(program)
    members = {"program.json": dump_json(structure)}
    members |= {f"arrays/{number}.npy": npy_bytes(array) for number, array in enumerate(arrays)}
    listed = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in sorted(members.items())}
    manifest = {
        "format": FORMAT, "version": VERSION, "spikeport": __version__, "graph": program.graph.digest, "members": listed,
    }  # fmt: skip
    members["manifest.json"] = dump_json(manifest)
    total = sum(len(data) for data in members.values())
    if len(members) > MAX_MEMBERS or total > MAX_FILE - 1024 * len(members) or len(members["program.json"]) > MAX_JSON:
        raise artifact_error(
            "E702", "", f"the program has {len(members):,} members of {total:,} bytes, beyond what a .spk holds",
            f"limits: {MAX_MEMBERS:,} members, {MAX_FILE:,} bytes", members=len(members), bytes=total,
        )  # fmt: skip
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, members[name])
    return stream.getvalue()


def load_artifact(path: str | Path) -> Program:
    """Return the program in the ``.spk`` file *path*.

    Raises
    ------
    ArtifactError
        E701 no zip, E702 unsafe or oversized member, E703 manifest, E704 member that is missing, extra or altered, E705
        array, E706 JSON, E707 content that contradicts itself, E708 graph that does not verify.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise artifact_error("E702", str(path), f"{size:,} bytes exceed the limit of {MAX_FILE:,}", bytes=size)
        with path.open("rb") as stream:
            return _read_program(stream, size)
    except OSError as error:
        raise artifact_error("E701", str(path), f"cannot read {path}: {error.strerror or error}", "check the path") from error


def read_artifact(data: bytes) -> Program:
    """Return the program in the bytes of a ``.spk``, as `artifact_bytes` makes them; raise as `load_artifact` does."""
    return _read_program(io.BytesIO(data), len(data))


def _read_program(stream: IO[bytes], size: int) -> Program:
    members = _members(stream, size)
    manifest = _manifest(members)
    arrays = {}
    for number in range(len(members) - 2):
        name = f"arrays/{number}.npy"
        if name not in members:
            raise artifact_error("E704", name, f"{name} is missing, though {len(members) - 2} arrays are there")
        arrays[number] = _array(name, members[name])
    structure = parse_json(members["program.json"], "program.json", MAX_JSON)
    return program_from_json(structure, arrays, manifest["graph"])


def _members(stream: IO[bytes], size: int) -> dict[str, bytes]:
    """Return the bytes of every member, once the zip's directory has been found harmless."""
    _end(stream, size)
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            _judge(entries, size)
            return {entry.filename: _read(archive, entry) for entry in entries}
    except (ArtifactError, MemoryError):
        raise
    except Exception as error:  # zipfile answers damage with many kinds of exception
        raise artifact_error("E701", "", f"this is no readable .spk: {type(error).__name__}: {error}") from error


def _end(stream: IO[bytes], size: int) -> None:
    """Raise ArtifactError for a directory that is no plain one at the end of the file, or too long to be listed."""
    stream.seek(max(0, size - _END - 20))
    tail = stream.read(_END + 20)
    found = struct.unpack("<4s4H2IH", tail[-_END:]) if len(tail) >= _END else ()
    if not found or found[0] != b"PK\5\6" or found[1:3] != (0, 0) or found[-1] != 0:
        raise artifact_error("E701", "", "this is no readable .spk: there is no end of a zip file where it should be")
    length, start = found[5:7]
    if tail[:4] == b"PK\6\7" or length + start + _END != size:
        raise artifact_error("E701", "", "this is no readable .spk: its directory does not lie right in front of its end")
    if length > MAX_MEMBERS * _ENTRY:
        raise artifact_error(
            "E702", "", f"a directory of {length:,} bytes lists more than the limit of {MAX_MEMBERS:,} members", bytes=length
        )


def _judge(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Raise ArtifactError E702 for any member that has no place in a ``.spk``."""
    if len(entries) > MAX_MEMBERS:
        raise artifact_error("E702", "", f"{len(entries):,} members exceed the limit of {MAX_MEMBERS:,}", members=len(entries))
    seen: set[str] = set()
    total = 0
    for entry in entries:
        name = entry.orig_filename
        problem = ""
        if name in seen:
            problem = "is there twice"
        elif ".." in name or name.startswith("/") or "\\" in name or ":" in name or "\0" in name:
            problem = "has a name that leads out of the file"
        elif stat.S_ISLNK(entry.external_attr >> 16) or entry.is_dir():
            problem = "is a link or a folder"
        elif entry.flag_bits & 0x41:
            problem = "is encrypted"
        elif entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            ratio = entry.file_size / max(1, entry.compress_size)
            problem = f"is compressed ({ratio:.0f} to 1), and members of a .spk are not"
        elif not _NAME.fullmatch(name):
            problem = "is none of manifest.json, program.json, arrays/N.npy"
        seen.add(name)
        total += entry.file_size
        if problem:
            raise artifact_error("E702", name, f"the member {name!r} {problem}", "do not use this file")
    if total > size:
        raise artifact_error(
            "E702", "", f"members of {total:,} bytes in a file of {size:,}: they overlap", "do not use this file"
        )


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as member:
        # One byte more than announced is asked for, so that a member that lies about its size is seen.
        data = member.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise artifact_error(
            "E704", entry.filename, f"{entry.filename} has {len(data):,} bytes, its header says {entry.file_size:,}"
        )
    return data


def _manifest(members: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the manifest, once every member has been found to be what it lists."""
    if "manifest.json" not in members:
        raise artifact_error("E703", "manifest.json", "there is no manifest.json: this is no .spk")
    manifest = parse_json(members["manifest.json"], "manifest.json", MAX_JSON)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise artifact_error("E703", "manifest.json", f"the manifest does not say {FORMAT!r}: this is no .spk")
    if type(manifest.get("version")) is not int or manifest["version"] != VERSION:
        raise artifact_error(
            "E703", "manifest.json", f"format version {manifest.get('version')!r:.40}, this spikeport reads version {VERSION}",
            "compile the model anew, or use the spikeport that wrote it",
        )  # fmt: skip
    listed = manifest.get("members")
    if set(manifest) != {"format", "version", "spikeport", "graph", "members"} or not isinstance(listed, dict):
        raise artifact_error("E703", "manifest.json", f"unexpected keys {sorted(manifest)}")
    for name in sorted(set(members) ^ {*listed, "manifest.json"}):
        where = "is there and not listed" if name in members else "is listed and not there"
        raise artifact_error("E704", name, f"the member {name!r:.80} {where}")
    if "program.json" not in members:
        raise artifact_error("E704", "program.json", "program.json is missing")
    for name, facts in listed.items():
        found = {"sha256": hashlib.sha256(members[name]).hexdigest(), "size": len(members[name])}
        if facts != found:
            raise artifact_error("E704", name, f"{name} is not what the manifest lists: it was altered or damaged")
    return manifest


def _array(name: str, data: bytes) -> Array:
    """Return the array in the ``.npy`` bytes *data*, read-only, its header held against their number."""
    start = 10 + int.from_bytes(data[8:10], "little")
    match = _HEADER.fullmatch(data[10:start]) if data[:8] == b"\x93NUMPY\x01\x00" and len(data) >= start else None
    if match is None:
        raise artifact_error("E705", name, f"{name} is no .npy array of plain numbers: {data[10:90]!r:.90}")
    dtype = np.dtype(match.group(1).decode())
    shape = tuple(int(n) for n in match.group(2).decode().replace(",", " ").split())
    if len(shape) > 32:
        raise artifact_error("E705", name, f"{name} has {len(shape)} axes")
    need = math.prod(shape) * dtype.itemsize
    if need != len(data) - start:
        raise artifact_error("E705", name, f"{name} claims {need:,} bytes of {shape} {dtype}, and has {len(data) - start:,}")
    array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise artifact_error("E705", name, f"{name} has values that are NaN or infinite")
    return array
