"""What this machine has: Python, packages, backends, caches, cores."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from spikeport.backends.registry import backend_names, get_backend
from spikeport.ir.diagnostics import BackendUnavailable


@dataclass(frozen=True, slots=True)
class Check:
    """One finding about the machine.

    Parameters
    ----------
    name, text : str
        What was looked at, and what was seen.
    ok, needed : bool
        Whether it is as it should be, and whether spikeport needs it.
    remedy : str
        The command that mends it.
    """

    name: str
    text: str
    ok: bool
    needed: bool = True
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def examine() -> list[Check]:
    """Return all findings; those that are needed and not ok stand in the way."""
    return [_python(), *_packages(), *_backends(), *_aside(), _cores(), *_folders()]


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    text = f"{platform.python_version()} ({platform.python_implementation()}) on {platform.system()} {platform.machine()}"
    return Check("python", text, ok, True, "" if ok else "install Python 3.11 or later")


def _packages() -> Iterator[Check]:
    """Yield a finding for each requirement of this package; those of its extras are not needed.

    The extras ``lava`` and ``spynnaker`` stand for what runs in environments of its own, each a finding of its own.
    """
    for requirement in requires("spikeport") or []:
        text, _, marker = requirement.partition(";")
        match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(.*)", text)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        if (
            match is None
            or match.group(1) == "spikeport"
            or "[" in text
            or (extra and extra.group(1) in ("test", "lint", "bench", "lava", "spynnaker"))
        ):
            continue
        name, wanted = match.group(1), match.group(2).strip()
        try:
            found, ok = version(name), True
        except PackageNotFoundError:
            found, ok = "missing", False
        what = f"{found} (wants {wanted or 'any'}{f'; extra {extra.group(1)}' if extra else ''})"
        remedy = "" if ok else f"pip install 'spikeport[{extra.group(1)}]'" if extra else f"pip install '{text.strip()}'"
        yield Check(name, what, ok, extra is None, remedy)


def _backends() -> Iterator[Check]:
    for name in backend_names():
        try:
            backend = get_backend(name)
            here = backend.available()
            kinds = ", ".join(dict.fromkeys(backend.fidelity_for(a) for a in backend.arithmetics))
            ok, text, remedy = here.ok, here.why or f"ready ({kinds})", here.remedy
        except BackendUnavailable as error:
            ok, text, remedy = False, error.diagnostics[0].message, error.diagnostics[0].hint
        yield Check(f"backend {name}", text, ok, name == "engine", remedy)


def _aside() -> Iterator[Check]:
    """Yield the environments that simulators run in by themselves, and the interpreters that build them."""
    from spikeport.backends.lava.environment import KIT as LAVA
    from spikeport.backends.spinnaker.environment import KIT as SPYNNAKER

    newer = "newer than Lava asks for: its one clash is mended at import"
    for kit, words in ((LAVA, {"3.10": "as Lava asks", "3.11": newer}), (SPYNNAKER, {})):
        place, text = kit.find()
        yield Check(f"{kit.name} worker", text, place is not None, False, "" if place is not None else kit.remedy)
        found = kit.find_interpreter()
        if found is None:
            yield Check(f"{kit.name} python", f"no Python {kit.versions} with venv was found", place is not None, False,
                        f"install Python {kit.versions}, or name one: {kit.remedy} --python P")  # fmt: skip
        else:
            said = words.get(found.version, f"as {kit.title} asks")
            yield Check(f"{kit.name} python", f"Python {found.version} ({found.path}), {said}", True, False)


def _cores() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("cores", f"{cores} usable", True)


def _folders() -> Iterator[Check]:
    """Yield whether compiled code can be kept between runs, and whether there is room for temporary files."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    beside = Path(__file__).resolve().parent.parent / "backends" / "engine"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    places = [Path(given)] if given else [beside, home]
    place = next((p for p in places if _writable(p)), None)
    text = (
        f"{place} is writable"
        if place
        else f"none of {', '.join(map(str, places))} is writable: the engine compiles at every start"
    )
    yield Check("numba cache", text, place is not None, False, "" if place else "export NUMBA_CACHE_DIR to a folder of yours")
    temp = Path(tempfile.gettempdir())
    yield Check(
        "temporary files", f"{temp}", _writable(temp), True, "" if _writable(temp) else "export TMPDIR to a folder of yours"
    )


def _writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
