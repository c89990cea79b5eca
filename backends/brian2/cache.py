"""Compiled programs on disk, by the digest of their form: built once, safe when several processes want the same one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from spikeport.backends.brian2.form import FLAGS, Form
from spikeport.ir.diagnostics import Diagnostic, RunError

#: Programs that are kept; the ones used longest ago go first.
MOST = 400


def compiler() -> str | None:
    """Return the C++ compiler: that of the variable CXX, else the first there is; None without."""
    named = os.environ.get("CXX")
    return next((found for name in ([named] if named else ["g++", "c++", "clang++"]) if (found := shutil.which(name))), None)


def folder() -> Path:
    """Return where programs are kept; it belongs to the user alone."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(base, "spikeport", "brian2")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def program(form: Form) -> tuple[Path, dict[str, float]]:
    """Return the compiled program of *form*, and the seconds that it took to generate and to compile it now.

    Raises
    ------
    RunError
        E812 where the worker or the compiler fails.
    """
    where, digest = folder(), form.digest(version("brian2"), *FLAGS)
    final = where / digest / "main"
    if not final.is_file():
        with _locked(where / f"{digest}.lock"):
            if not final.is_file():
                return final, _build(form, where, digest)
    with contextlib.suppress(OSError):
        os.utime(final.parent)
    return final, {"generate": 0.0, "compile": 0.0}


def _build(form: Form, where: Path, digest: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix=f".{digest[:12]}-", dir=where) as scratch:
        work = Path(scratch)
        (work / "form.json").write_text(form.as_json(), "utf-8")
        started = time.perf_counter()
        # What this process found beside the installed packages is looked for last: a brian2.py there is not Brian2.
        also = json.dumps([p for p in sys.path if p])
        _call("generating the program", [sys.executable, "-P", "-c", _WORKER, also, str(work / "form.json"), str(work)], work)
        generated = time.perf_counter()
        made = work / "program"
        made.mkdir()
        sources = ["-I", str(work / "code"), str(work / "unity.cpp"), "-o", str(made / "main")]
        _call("the C++ compiler", [compiler() or "g++", *FLAGS, *sources], work)
        compiled = time.perf_counter()
        shutil.copy(work / "form.json", made / "form.json")
        with contextlib.suppress(OSError):  # there already: another machine on the same disk was faster
            os.rename(made, where / digest)
    _prune(where)
    return {"generate": generated - started, "compile": compiled - generated}


_WORKER = (
    "import json, runpy, sys; sys.path += json.loads(sys.argv.pop(1)); "
    "runpy.run_module('spikeport.backends.brian2.worker', run_name='__main__', alter_sys=True)"
)


def _call(what: str, command: list[str], work: Path) -> None:
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-3:]
        raise RunError(
            Diagnostic(
                "E812", "", f"{what} failed with exit code {done.returncode}: {' | '.join(last)}",
                "run in the mode numpy, which compiles nothing, and report this with the text above",
            )
        )  # fmt: skip


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold *path* as a lock between processes and threads."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prune(where: Path) -> None:
    """Remove the programs that were used longest ago, beyond `MOST`."""
    with contextlib.suppress(OSError):
        found = sorted((p for p in where.iterdir() if (p / "main").is_file()), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in found[MOST:]:
            shutil.rmtree(old, ignore_errors=True)
            (where / f"{old.name}.lock").unlink(missing_ok=True)


__all__ = ["MOST", "compiler", "folder", "program"]
