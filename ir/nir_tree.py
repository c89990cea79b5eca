"""Reading a ``.nir`` file (HDF5) as plain data, on the assumption that whoever wrote it means harm.

Nothing is read before its size is known, no link is followed, no code is run, and what NIR never writes (references,
compound types, virtual or external data, plug-in filters) is refused by its key.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, ImportModelError

#: Group: dict; numbers: array; text: str; list of text: object array of str.
Tree = dict[str, Any]

#: Bytes that a file may unfold to.
DEFAULT_LIMIT = 4 * 2**30
_MAX_DEPTH = 16
_MAX_OBJECTS = 1_000_000
#: HDF5 filters that nir writes: deflate, shuffle, fletcher32, szip, lzf.
_FILTERS = frozenset((1, 2, 3, 4, 32000))
_DEFLATE, _DEFLATE_MAX_RATIO = 1, 1032
#: A compressed chunk that could unfold to more than this is measured before HDF5 unfolds it.
_UNMEASURED = 256 * 2**20


def refuse(code: str, key: str, message: str, hint: str = "", **facts: Any) -> ImportModelError:
    """Return the refusal of a file or graph at *key*."""
    return ImportModelError(Diagnostic(code, key, message, hint, facts))


def read_nir_tree(path: str | os.PathLike[str], *, limit: int = DEFAULT_LIMIT) -> Tree:
    """Read a ``.nir`` file as nested plain data.

    Parameters
    ----------
    path : path
        HDF5 file that NIR or spikeport wrote.
    limit : int
        Bytes that the arrays of the file may take together when unpacked.

    Returns
    -------
    dict
        ``{"version": str, "node": {"type": "NIRGraph", "nodes": {...}, "edges": [...], "metadata": {...}}}``; groups are
        dicts, numbers arrays, text str, lists of text object arrays of str.

    Raises
    ------
    ImportModelError
        E001 for no NIR file, E002 for one that is too large or too deep, E003 for links, references and the like.
    """
    hint = "a .nir file is HDF5, written by nir.write"
    return read_hdf5(path, "node", ("version",), what="NIR graph", has="NIR has", hint=hint, limit=limit)


def read_hdf5(
    path: str | os.PathLike[str], root: str, others: tuple[str, ...] = (), *, what: str, has: str, hint: str,
    code: str = "E001", limit: int = DEFAULT_LIMIT,
) -> Tree:  # fmt: skip
    """Read the group *root* of an HDF5 file, and *others* where they are there, as nested plain data.

    Parameters
    ----------
    path : path
        The file.
    root, others : str, tuple of str
        What must stand, and what may, at the top of the file.
    what, has, hint : str
        What such a file is ("NIR graph"), how a message on its content begins ("NIR has"), and what helps.
    code : str
        Of a file that is no such file.
    limit : int
        Bytes that its arrays may take together when unpacked.

    Raises
    ------
    ImportModelError
        *code* for another or a damaged file, E002 for one that is too large or too deep, E003 for links, references and the
        like.
    """
    import h5py

    where = Path(path)
    if not where.is_file():
        raise refuse(code, str(path), "there is no such file", "mend the path")
    try:
        file = h5py.File(where, "r")
    except OSError as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise refuse(code, str(path), f"this is not a readable HDF5 file ({first})", hint) from None
    with file:
        reader = _Reader(limit, max(where.stat().st_size, 1), has)
        try:
            if root not in file:
                found = ", ".join(sorted(map(str, file))[:8]) or "nothing"
                raise refuse(code, str(path), f"this HDF5 file has no group {root!r}, so it is no {what}; it holds {found}")
            tree = {key: reader.read(file, key, key) for key in (*others, root) if key in file}
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            raise refuse(code, str(path), f"the file is damaged: {error}", "write it anew") from error
    if not isinstance(tree[root], dict):
        raise refuse(code, root, f"{root!r} is no group, so this is no {what}")
    return tree


class _Reader:
    """Walks a file and adds up what it would take."""

    def __init__(self, limit: int, file_size: int, has: str) -> None:
        self.limit, self.file_size, self.has = limit, file_size, has
        self.taken = self.objects = 0
        self.groups: set[int] = set()

    def read(self, group: Any, name: str, key: str, depth: int = 0) -> Any:
        """Return what *group* holds under *name* as plain data."""
        import h5py

        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise refuse("E003", key, "this is a link to another place", "write the data itself into the file")
        self.objects += 1
        if self.objects > _MAX_OBJECTS or depth > _MAX_DEPTH:
            what = f"{_MAX_DEPTH} levels" if depth > _MAX_DEPTH else f"{_MAX_OBJECTS:,} entries"
            raise refuse("E002", key, f"the file has more than {what}", "split the network")
        item = group[name]
        if isinstance(item, h5py.Dataset):
            return self._dataset(item, key)
        if not isinstance(item, h5py.Group):
            raise refuse("E003", key, f"{self.has} no {type(item).__name__} in a file", "remove it")
        address = h5py.h5o.get_info(item.id).addr
        if address in self.groups:
            raise refuse("E003", key, "this group stands in the file under two names", "write it once")
        self.groups.add(address)
        return {str(child): self.read(item, child, f"{key}/{child}", depth + 1) for child in item}

    def _take(self, key: str, size: int) -> None:
        self.taken += size
        if self.taken > self.limit:
            raise refuse(
                "E002", key, f"the file unpacks to more than {self.limit:,} bytes ({self.taken:,} with this array)",
                "raise the limit if you trust the file", limit=self.limit, taken=self.taken,
            )  # fmt: skip

    def _dataset(self, data: Any, key: str) -> Any:
        if data.shape is None:
            raise refuse("E003", key, "this array has no value", "leave the entry out")
        if data.is_virtual or data.external:
            raise refuse("E003", key, "this array lies in another file", "write the data itself into the file")
        text = _string_type(data)
        if not text and not (data.dtype.kind in "biuf" and data.dtype.subdtype is None):
            raise refuse("E003", key, f"{self.has} no values of the type {data.dtype}", "write numbers or text")
        self._take(key, data.size * max(data.dtype.itemsize, 1))
        self._chunks(data, key)
        return self._text(data, key) if text else np.asarray(data[()])

    def _chunks(self, data: Any, key: str) -> None:
        """Refuse filters that nir does not write, and compressed chunks that unfold to more than they may."""
        plist = data.id.get_create_plist()
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        if not set(filters) <= _FILTERS or len(set(filters)) != len(filters):
            raise refuse(
                "E003", key, f"this array is packed with the HDF5 filters {filters}", "pack it with gzip or not at all"
            )
        if data.chunks is None:
            return
        chunk = int(np.prod(data.chunks, dtype=object)) * data.dtype.itemsize
        if chunk > max(self.limit - self.taken, 2**20):
            raise refuse("E002", key, f"this array is stored in chunks of {chunk:,} bytes", "write it anew", chunk=chunk)
        if _DEFLATE not in filters:
            return
        for number in range(data.id.get_num_chunks()):
            info = data.id.get_chunk_info(number)
            if info.size * _DEFLATE_MAX_RATIO > _UNMEASURED and filters[-1] == _DEFLATE:
                packed = data.id.read_direct_chunk(info.chunk_offset)[1]
                if _unpacked_size(packed, chunk) > chunk:
                    raise refuse("E002", key, f"a chunk of this array unpacks to more than its {chunk:,} bytes")
            elif info.size * _DEFLATE_MAX_RATIO > _UNMEASURED and info.size > chunk + 2**16:
                raise refuse("E002", key, f"a chunk of this array takes {info.size:,} bytes, packed, and {chunk:,} unpacked")

    def _text(self, data: Any, key: str) -> Any:
        """Return text as str, or an object array of str; read in blocks, for one long text may be named many times."""
        block = max(1, min(4096, 2**30 // self.file_size))
        if data.shape == ():
            value = data[()]
            self._take(key, len(value))
            return _decoded(value, key)
        width = int(np.prod(data.shape[1:], dtype=object))
        rows = max(1, block // max(width, 1))
        found: list[str] = []
        for start in range(0, data.shape[0] if width else 0, rows):
            values = np.asarray(data[start : start + rows]).ravel().tolist()
            self._take(key, sum(len(v) for v in values))
            found += [_decoded(v, key) for v in values]
        array = np.empty(len(found), object)
        array[:] = found
        return array.reshape(data.shape)


def _string_type(data: Any) -> bool:
    import h5py

    return h5py.check_string_dtype(data.dtype) is not None


def _decoded(value: Any, key: str) -> str:
    if isinstance(value, str):
        return value
    try:
        return bytes(value).decode("utf8")
    except (UnicodeDecodeError, TypeError):
        raise refuse("E003", key, "this text is not UTF-8", "write the file anew") from None


def _unpacked_size(packed: bytes, enough: int) -> int:
    """Return the size of *packed* (zlib) when unpacked, counted up to a little more than *enough*."""
    stream, total, rest = zlib.decompressobj(), 0, packed
    while rest and total <= enough:
        try:
            total += len(stream.decompress(rest, 2**20))
        except zlib.error:
            return total  # HDF5 will say so
        rest = stream.unconsumed_tail
    return total
