"""JSON that says one thing only: sorted when written; no duplicate keys, no NaN, no depth and no size when read."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import ArtifactError, Diagnostic

MAX_DEPTH = 64
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


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
        # Counted before parsing: nesting costs the parser a stack frame each.
        if _depth(data) > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        return json.loads(data.decode("ascii"), object_pairs_hook=unique, parse_float=finite, parse_constant=finite)
    except (ValueError, RecursionError) as error:
        raise refuse(f"{type(error).__name__}: {error}") from error


def _depth(data: bytes) -> int:
    """Return the deepest nesting of brackets outside of strings."""
    bare = np.frombuffer(_STRING.sub(b"", data), np.uint8)
    change = np.isin(bare, np.frombuffer(b"[{", np.uint8)).astype(np.int64) - np.isin(bare, np.frombuffer(b"]}", np.uint8))
    return int(np.cumsum(change).max(initial=0))
