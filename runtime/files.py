"""Files: written whole or not at all, and ``.npy``/``.npz`` read without pickle and without trust in what they claim."""

from __future__ import annotations

import io
import math
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.ops import Array

#: Most bytes of arrays that are read from one file.
MAX_ARRAY_BYTES = 8 * 2**30
#: Most arrays in one ``.npz``.
MAX_ARRAYS = 10_000


def write_atomic(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call *write* with an open file that takes the place of *path* once it is complete.

    Where *write* fails, nothing is left behind and what was at *path* stays as it was.

    Raises
    ------
    UsageError
        E631 where the file cannot be written.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        # A device or a pipe (/dev/stdout, /dev/null) is written to, never replaced.
        if path.exists() and not path.is_file():
            buffer = io.BytesIO()  # a device cannot seek, and zip files want to
            write(buffer)
            path.write_bytes(buffer.getvalue())
            return
        target = Path(os.path.realpath(path))
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _not_written(path, error) from error
        raise


def check_writable(*paths: str | Path | None) -> None:
    """Refuse now what could not be written in the end: a long run should not be lost to a misspelt folder.

    Raises
    ------
    UsageError
        E631 for every path that is a folder, or whose folder is missing or cannot be written to.
    """
    found: list[Diagnostic] = []
    for path in (Path(p) for p in paths if p is not None):
        folder = Path(os.path.realpath(path)).parent
        if path.is_dir():
            found += _not_written(path, IsADirectoryError(f"{path} is a folder")).diagnostics
        elif not folder.is_dir():
            found += _not_written(path, FileNotFoundError(f"there is no folder {folder}")).diagnostics
        elif not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
            found += _not_written(path, PermissionError(f"no permission to write in {folder}")).diagnostics
    if found:
        raise UsageError(found)


def make_folder(folder: Path) -> None:
    """Make *folder*, with those above it, where it is not there; raise UsageError E631 where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            Diagnostic("E631", str(folder), f"the folder cannot be made: {error.strerror}", "name another folder")
        ) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _not_written(path: Path, error: OSError) -> UsageError:
    reason = error.strerror or str(error)
    return UsageError(
        Diagnostic("E631", str(path), f"cannot write {path}: {reason}", "choose a file in a folder that is there")
    )


def write_text(path: str | Path, text: str) -> None:
    """Write *text* as UTF-8, whole or not at all."""
    write_atomic(path, lambda stream: stream.write(text.encode()))


def npy_bytes(array: Array) -> bytes:
    """Return *array* as the bytes of a ``.npy`` file of version 1.0."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array).reshape(array.shape), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def write_npz(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Write *arrays* as a compressed ``.npz``, atomically, with the same bytes for the same arrays."""

    def write(stream: IO[bytes]) -> None:
        # Level 1: rasters are mostly zeros, and a run should not wait for its file. Opened by name, a member is dated 1980.
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for key, array in sorted(arrays.items()):
                with archive.open(f"{key}.npy", "w", force_zip64=array.nbytes >= 2**31) as member:
                    _write_npy(member, array)

    write_atomic(path, write)


def _write_npy(stream: IO[bytes], array: Array) -> None:
    # In pieces: the compressor needs no second copy of a large raster.
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    flat = np.ascontiguousarray(array).reshape(-1)
    piece = max(1, 2**24 // max(1, array.itemsize))
    for start in range(0, flat.size, piece):
        stream.write(flat[start : start + piece].tobytes())


def read_arrays(path: str | Path) -> dict[str, Array]:
    """Return the arrays of a ``.npz`` by key, or that of a ``.npy`` under the empty key.

    Nothing is unpickled, and no array is made before its header has been held against what the file contains.

    Raises
    ------
    UsageError
        E610 for a file that is not there or cannot be read, E611 for an array of no number type, E617 for too much.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            magic = stream.read(6)
            stream.seek(0)
            if magic == b"\x93NUMPY":
                return {"": _read_npy(stream, path.stat().st_size, str(path))}
            if magic[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
                return read_npz(stream, str(path))
    except FileNotFoundError as error:
        raise UsageError(
            Diagnostic("E610", str(path), f"{path} is not there{near_file(path)}", "give the file of an array: .npy or .npz")
        ) from error
    except OSError as error:
        raise _unreadable(str(path), error.strerror or str(error)) from error
    raise _unreadable(str(path), "it is neither .npy nor .npz")


def near_file(path: Path) -> str:
    """Return `` (did you mean 'x.npy'?)`` for a file of a like name beside *path*, or an empty string."""
    try:
        return did_you_mean(path.name, [p.name for p in path.parent.iterdir()])
    except OSError:
        return ""


def _unreadable(where: str, why: str) -> UsageError:
    return UsageError(
        Diagnostic("E610", where, f"cannot read arrays from {where}: {why}", "write it with numpy.save or numpy.savez")
    )


def read_npz(stream: IO[bytes], where: str) -> dict[str, Array]:
    """Return the arrays of the ``.npz`` in *stream*, called *where* in messages; raise as `read_arrays` does."""
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            if total > MAX_ARRAY_BYTES or len(entries) > MAX_ARRAYS:
                raise _too_large(where, total, len(entries))
            for entry in entries:
                key = entry.filename.removesuffix(".npy")
                if key in arrays:
                    raise _unreadable(where, f"it has the array {key!r} twice")
                with archive.open(entry) as member:
                    arrays[key] = _read_npy(member, entry.file_size, f"{where}:{key}")
    except UsageError:
        raise
    except Exception as error:  # zipfile answers damage with many kinds of exception
        raise _unreadable(where, f"{type(error).__name__}: {error}") from error
    return arrays


def _too_large(where: str, size: int, count: int) -> UsageError:
    return UsageError(
        Diagnostic("E617", where, f"{count} arrays of {size:,} bytes exceed the limit of {MAX_ARRAYS} and {MAX_ARRAY_BYTES:,}",
                   "split the samples over several files", {"bytes": size, "limit": MAX_ARRAY_BYTES})
    )  # fmt: skip


def _read_npy(stream: Any, size: int, where: str) -> Array:
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of .npy is not for plain numbers")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns of headers from Python 2, and reads them
            shape, fortran, dtype = read(stream)
    except Exception as error:  # numpy answers a damaged header with many kinds of exception
        raise _unreadable(where, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if dtype.hasobject or dtype.kind not in "biufU" or (dtype.kind == "f" and dtype.itemsize > 8):
        what = "pickled Python objects" if dtype.hasobject else f"the type {dtype}"
        raise UsageError(
            Diagnostic("E611", where, f"{where} holds {what}, not numbers", "save integers, booleans or floats up to 64 bits")
        )
    need = math.prod(shape) * dtype.itemsize
    if need > MAX_ARRAY_BYTES:
        raise _too_large(where, need, 1)
    if min(shape, default=0) < 0 or need > size:
        raise _unreadable(where, f"its header claims {need:,} bytes of {shape} {dtype}, the file has {size:,}")
    data = bytearray(need)
    view, done = memoryview(data), 0
    while done < need and (count := stream.readinto(view[done:])):
        done += count
    if done != need:
        raise _unreadable(where, f"it ends after {done:,} of {need:,} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
