"""Baselines: what each test took when somebody last said that this is right. Read by ``rel``; written on request only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from spikeport.ir.diagnostics import ArtifactError, Diagnostic, UsageError
from spikeport.runtime.files import write_text
from spikeport.runtime.hil.suite.budget import UNITS
from spikeport.runtime.strict_json import parse_json

FORMAT = "spikeport hil baseline 1"
_LIMIT = 64 * 2**20


def read_baseline(path: str | Path) -> dict[str, dict[str, float]]:
    """Return what each test took, by test and name; nothing where the file is not there yet.

    Raises
    ------
    UsageError
        E861 for a file that is no baseline.
    """
    path = Path(path)
    try:
        data = parse_json(path.read_bytes(), str(path), _LIMIT)
    except FileNotFoundError:
        return {}
    except (OSError, ArtifactError) as error:
        raise _wrong(path, str(error)) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("tests"), dict):
        raise _wrong(path, f"it does not say {FORMAT!r}")
    for test, taken in data["tests"].items():
        if not isinstance(taken, dict):
            raise _wrong(path, f"{test}: no object")
        for name, value in taken.items():
            if name not in UNITS or type(value) not in (int, float) or not (math.isfinite(value) and value >= 0):
                raise _wrong(path, f"{test}: {name!r:.40} is {value!r:.40}")
    return {test: {name: float(v) for name, v in taken.items()} for test, taken in data["tests"].items()}


def write_baseline(path: str | Path, taken: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Put *taken* over what the file has, other tests' numbers kept, and return all; whole or not at all.

    Raises
    ------
    UsageError
        E631 where it cannot be written, E861 where something else is there.
    """
    merged = {**read_baseline(path), **{test: dict(values) for test, values in taken.items()}}
    write_text(path, json.dumps({"format": FORMAT, "tests": merged}, indent=1, sort_keys=True) + "\n")
    return merged


def _wrong(path: Path, why: str) -> UsageError:
    return UsageError(
        Diagnostic(
            "E861", str(path), f"{path} is no baseline: {why}", "write it with --hil-baseline FILE --hil-baseline-update"
        )
    )
