"""JSON that says one thing only: sorted when written; no duplicate keys, no NaN, no depth and no size when read."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import ArtifactError, Diagnostic

#: Limits on what is parsed: nesting, and values with commas and brackets, each of which takes some 100 bytes of memory.
MAX_DEPTH, MAX_VALUES = 64, 1 << 22
_CHUNK = 1 << 20


def dump_json(data: Any) -> bytes:
    """Return *data* as JSON, the same bytes for the same data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True).encode()


def parse_json(data: bytes, where: str, limit: int) -> Any:
    """Return the value in *data*.

    Raises
    ------
    ArtifactError
        E706 for what is no JSON, too large, too deep, has a key twice or a number that is not finite.
    """

    def refuse(why: str) -> ArtifactError:
        return ArtifactError(Diagnostic("E706", where, f"{where}: {why}", "compile the model anew"))

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice")
        return found

    def finite(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{text:.40} is not finite")
        return value

    if len(data) > limit:
        raise refuse(f"{len(data):,} bytes exceed the limit of {limit:,}")
    try:
        _measure(data)
        return json.loads(data.decode("ascii"), object_pairs_hook=unique, parse_float=finite, parse_constant=finite)
    except (ValueError, RecursionError) as error:
        raise refuse(f"{type(error).__name__}: {error}") from error


def _measure(data: bytes) -> None:
    """Raise ValueError for too much nesting or too many values, before the parser spends stack and memory on them."""
    # Backslashes stand in strings only; without escaped ones, and then escaped quotes, every quote opens or closes.
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    depth = values = 0
    within = False
    for start in range(0, len(bare), _CHUNK):
        piece = np.frombuffer(bare, np.uint8, min(_CHUNK, len(bare) - start), start)
        quoted = (np.cumsum(piece == ord('"')) + within) % 2 == 1
        within = bool(quoted[-1])
        opened = np.isin(piece, np.frombuffer(b"[{", np.uint8)) & ~quoted
        closed = np.isin(piece, np.frombuffer(b"]}", np.uint8)) & ~quoted
        levels = depth + np.cumsum(opened.astype(np.int64) - closed)
        depth = int(levels[-1])
        values += int(np.count_nonzero(opened | (~quoted & (piece == ord(",")))))
        if levels.max() > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        if values > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values")
