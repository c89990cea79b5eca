"""Environments of their own for simulators that cannot live in spikeport's: which packages, where, and whether one is there.

`KIT` of ``backends.lava.environment`` and ``backends.spinnaker.environment`` say what each is made of; ``backends.setups``
builds it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that can make an environment."""

    path: str
    version: str


@dataclass(frozen=True, slots=True, eq=False)
class Kit:
    """What an environment is made of, and what it is called.

    Parameters
    ----------
    name : str
        Of its folder, and of the variable that says where it lies: ``SPIKEPORT_LAVA_ENV`` for ``lava``.
    title : str
        In sentences, such as ``Lava``.
    holds : str
        What is in it, for people.
    backend : str
        Whose setup builds it: ``spikeport backends setup BACKEND``.
    pins : Mapping[str, tuple of str]
        Packages by version of Python, the version that is tried first at the front. The last package is the simulator itself.
    trial : Path
        Script that runs a small network in it; its last line is JSON.
    expected : Mapping
        What that line has to hold.
    bare : bool
        Whether the last package is installed without its dependencies, whatever Python it asks for.
    """

    name: str
    title: str
    holds: str
    backend: str
    pins: Mapping[str, tuple[str, ...]]
    trial: Path
    expected: Mapping[str, object]
    bare: bool = False

    @property
    def mark(self) -> str:
        """The file that an environment has when it is complete; it says what is in it."""
        return f"spikeport-{self.name}.json"

    @property
    def variable(self) -> str:
        """The environment variable that says where it lies."""
        return f"SPIKEPORT_{self.name.upper()}_ENV"

    @property
    def remedy(self) -> str:
        """The command that builds it."""
        return f"spikeport backends setup {self.backend}"

    @property
    def versions(self) -> str:
        """The versions of Python that can make it, in words."""
        return " or ".join(self.pins)

    def digest(self) -> str:
        """Return what tells environments of other packages apart."""
        return hashlib.sha256(json.dumps(self.pins, sort_keys=True).encode()).hexdigest()[:12]

    def default_place(self) -> Path:
        """Return where it is built: where its variable says, or in the user's cache."""
        given = os.environ.get(self.variable)
        if given:
            return Path(given).expanduser().absolute()
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return home / "spikeport" / f"{self.name}-{self.digest()}"

    def find(self) -> tuple[Path | None, str]:
        """Return the environment, and a line about it: what it is, or why there is none.

        Its variable alone counts where that is set; else one inside the environment that spikeport runs in (``make test``
        builds it there), then the user's cache.
        """
        inside = [] if os.environ.get(self.variable) else [Path(sys.prefix) / self.name]
        places = [*inside, self.default_place()]
        for place in places:
            about = self.read_mark(place)
            if about is not None and about.get("pins") == self.digest():
                return place, f"Python {about.get('python')}, {self.holds}, in {place}"
        if any(self.read_mark(place) is not None for place in places):
            return None, f"{self.title}'s environment was built for another version of spikeport"
        return None, f"{self.title}'s environment is not there"

    def read_mark(self, place: Path) -> dict[str, str] | None:
        """Return what the environment in *place* says about itself; None where there is no complete one."""
        try:
            about = json.loads((place / self.mark).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return about if isinstance(about, dict) and python_of(place).exists() else None

    def interpreter_at(self, path: str) -> Interpreter | None:
        """Return the interpreter *path* if it runs, is of one of the versions, and can make environments."""
        version = version_at(path)
        return Interpreter(path, version) if version is not None and version in self.pins else None

    def find_interpreter(self) -> Interpreter | None:
        """Return the first candidate that works, or None."""
        return next((found for path in candidates(tuple(self.pins)) if (found := self.interpreter_at(path)) is not None), None)


def python_of(place: Path) -> Path:
    """Return the interpreter of the environment in *place*."""
    return place / "bin" / "python"


def candidates(versions: tuple[str, ...]) -> Iterator[str]:
    """Yield where interpreters of *versions* may be, in this order; the one that spikeport runs on comes last."""
    installed = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in versions:
        named = shutil.which(f"python{version}")
        if named:
            yield named
        yield from (str(p) for p in sorted(installed.glob(f"{version}*/bin/python")))
    yield getattr(sys, "_base_executable", sys.executable)


@functools.cache
def version_at(path: str) -> str | None:
    """Return the version of the interpreter *path* (``3.11``) if it runs and can make environments; found out by running it."""
    test = "import sys, venv, ensurepip, ctypes; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-I", "-c", test], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


__all__ = ["Interpreter", "Kit", "candidates", "python_of", "version_at"]
