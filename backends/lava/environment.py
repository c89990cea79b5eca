"""The worker's environment: which packages, where it lies, which interpreter can make it, and whether it is there.

Lava 0.10.0 asks for Python before 3.11. On 3.10 it installs as it is; on 3.11 its metadata is overruled and the worker
mends the one class that 3.11 refuses. Results are the same. Each set of packages has an environment of its own.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: What an environment is made of, by version of Python. Lava's own list holds test tools and notebooks; the last one
#: installs without its dependencies.
PINS: dict[str, tuple[str, ...]] = {
    "3.10": ("numpy==1.26.4", "scipy==1.15.3", "networkx==3.4.2", "asteval==1.0.10", "pbr==7.1.3", "psutil==7.2.2",
             "lava-nc==0.10.0"),
    "3.11": ("numpy==2.3.5", "scipy==1.17.1", "networkx==3.6.1", "asteval==1.0.10", "pbr==7.1.3", "psutil==7.2.2",
             "lava-nc==0.10.0"),
}  # fmt: skip
#: The file that an environment has when it is complete; it says what is in it.
MARK = "spikeport-lava.json"
REMEDY = "spikeport backends setup lava"
#: Folder of the worker's own files.
WORKER = Path(__file__).resolve().parent / "worker"


def pins_digest() -> str:
    """Return what tells environments of other packages apart."""
    return hashlib.sha256(json.dumps(PINS, sort_keys=True).encode()).hexdigest()[:12]


def default_place() -> Path:
    """Return where ``spikeport backends setup lava`` builds: the user's cache, or ``SPIKEPORT_LAVA_ENV``."""
    given = os.environ.get("SPIKEPORT_LAVA_ENV")
    if given:
        return Path(given).expanduser().absolute()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "spikeport" / f"lava-{pins_digest()}"


def find_environment() -> tuple[Path | None, str]:
    """Return the environment, and a line about it: what it is, or why there is none.

    ``SPIKEPORT_LAVA_ENV`` alone counts where it is set; else one inside the environment that spikeport runs in (``make
    test`` builds it there), then the user's cache.
    """
    inside = [] if os.environ.get("SPIKEPORT_LAVA_ENV") else [Path(sys.prefix) / "lava"]
    places = [*inside, default_place()]
    for place in places:
        about = read_mark(place)
        if about is not None and about.get("pins") == pins_digest():
            return place, f"Python {about.get('python')}, lava-nc 0.10.0, in {place}"
    if any(read_mark(place) is not None for place in places):
        return None, "Lava's environment was built for another version of spikeport"
    return None, "Lava's environment is not there"


def read_mark(place: Path) -> dict[str, str] | None:
    """Return what the environment in *place* says about itself; None where there is no complete one."""
    try:
        about = json.loads((place / MARK).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and python_of(place).exists() else None


def python_of(place: Path) -> Path:
    """Return the interpreter of the environment in *place*."""
    return place / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that can make the environment."""

    path: str
    version: str


def candidates() -> Iterator[str]:
    """Yield where interpreters may be: 3.10 before 3.11, and the one that spikeport runs on last."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in PINS:
        named = shutil.which(f"python{version}")
        if named:
            yield named
        yield from (str(p) for p in sorted(versions.glob(f"{version}*/bin/python")))
    yield getattr(sys, "_base_executable", sys.executable)


@functools.cache
def interpreter_at(path: str) -> Interpreter | None:
    """Return the interpreter *path* if it runs, is 3.10 or 3.11, and can make environments; found out by running it."""
    test = "import sys, venv, ensurepip, ctypes; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-I", "-c", test], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    version = done.stdout.strip()
    return Interpreter(path, version) if done.returncode == 0 and version in PINS else None


def find_interpreter() -> Interpreter | None:
    """Return the first candidate that works, or None."""
    return next((found for path in candidates() if (found := interpreter_at(path)) is not None), None)


__all__ = ["MARK", "PINS", "REMEDY", "WORKER", "Interpreter", "default_place", "find_environment", "find_interpreter",
           "interpreter_at", "pins_digest", "python_of", "read_mark"]  # fmt: skip
