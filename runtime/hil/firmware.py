"""What decides, beside the program, what a simulator does: its versions and options, as a digest to key recordings by."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version

from spikeport.backends.registry import GROUP
from spikeport.runtime.strict_json import dump_json

#: Packages that decide what a backend of ours computes, beside numpy.
_MADE_OF = {"engine": ("numba",), "brian2": ("brian2",)}


def firmware_facts(backend: str, options: Mapping[str, str]) -> dict[str, object]:
    """Return what identifies *backend* here: versions of its packages, of numpy and Python, and its options."""
    versions = {"numpy": _version("numpy"), "python": ".".join(platform.python_version_tuple()[:2])}
    for entry in entry_points(group=GROUP, name=backend):
        if entry.dist is not None:
            versions[entry.dist.name] = entry.dist.version
    versions |= {package: _version(package) for package in _MADE_OF.get(backend, ())}
    return {"backend": backend, "options": dict(options), "versions": versions}


def firmware_of(backend: str, options: Mapping[str, str]) -> str:
    """Return the SHA-256 of `firmware_facts`."""
    return hashlib.sha256(dump_json(firmware_facts(backend, options))).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
