"""``spikeport backends setup NAME``: build an environment aside, try it, and only then put it in its place."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from spikeport.backends.environments import Interpreter, Kit, python_of
from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic

Say = Callable[[str], None]


def set_up(kit: Kit, place: Path | None, say: Say, python: str | None = None) -> str:
    """Build the environment of *kit*, unless it is there; return a line about it.

    Parameters
    ----------
    kit : Kit
        What it is made of.
    place : Path or None
        Where; by default the user's cache.
    say : callable
        Told what goes on.
    python : str or None
        Interpreter to make it with; by default the first that is found.

    Raises
    ------
    BackendUnavailable
        E547 where no interpreter is found, or a step of the build fails; nothing is left then.
    """
    place = kit.default_place() if place is None else place.expanduser().absolute()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _lock(place, say):
            about = kit.read_mark(place)
            if about is not None and about.get("pins") == kit.digest():
                return f"{kit.title}'s environment is there: Python {about.get('python')}, {place}"
            if place.exists() and about is None and any(place.iterdir()):
                raise _failed(kit, f"{place} holds something else", "name another folder with --path, or remove it")
            return _build(kit, place, _interpreter(kit, python), say)
    except OSError as error:
        raise _failed(kit, f"{error.strerror}: {error.filename}", "name another folder with --path") from None


def _failed(kit: Kit, why: str, hint: str) -> BackendUnavailable:
    return BackendUnavailable(Diagnostic("E547", "", f"{kit.title}'s environment cannot be built: {why}", hint))


def _interpreter(kit: Kit, python: str | None) -> Interpreter:
    if python is not None:
        found = kit.interpreter_at(shutil.which(python) or python)
        if found is None:
            raise _failed(kit, f"{python} is no Python {kit.versions} that runs and has venv", "name another with --python")
        return found
    found = kit.find_interpreter()
    if found is None:
        raise _failed(kit, f"there is no Python {kit.versions} with venv here", "install one, or name it with --python")
    return found


@contextlib.contextmanager
def _lock(place: Path, say: Say) -> Iterator[None]:
    """Let one process at a time build *place*; the others wait, and find it built."""
    with (place.parent / f".{place.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another setup is at work on it: waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(kit: Kit, place: Path, python: Interpreter, say: Say) -> str:
    *packages, simulator = kit.pins[python.version]
    for left in place.parent.glob(f".{place.name}.building-*"):  # by a build that was killed; we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{place.name}.building-", dir=place.parent))
    try:
        say(f"Python {python.version} ({python.path}) makes {place}")
        _run(kit, [python.path, "-m", "venv", "--clear", str(aside)], "making a virtual environment")
        pip = [str(python_of(aside)), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
        if kit.bare:
            say(f"installing {', '.join(packages)}")
            _run(kit, [*pip, *packages], "installing packages")
            say(f"installing {simulator}")
            _run(kit, [*pip, "--no-deps", "--ignore-requires-python", simulator], f"installing {simulator}")
        else:
            say(f"installing {', '.join((*packages, simulator))}")
            _run(kit, [*pip, *packages, simulator], "installing packages")
        say("running a small network in it")
        answer = _run(kit, [str(python_of(aside)), "-I", "-B", str(kit.trial), "--check"], "running a small network")
        result = json.loads(answer.splitlines()[-1])
        for key, wanted in kit.expected.items():
            if result[key] != wanted:
                raise _failed(kit, f"{key} of its first network is {result[key]}, not {wanted}", "report this")
        about = {"pins": kit.digest(), "python": result["python"], "numpy": result["numpy"]}
        (aside / kit.mark).write_text(json.dumps(about), "utf-8")
        # An interpreter of a virtual environment finds its packages wherever the folder is; only scripts in bin/ do not.
        if place.exists():
            shutil.rmtree(place)
        aside.chmod(0o755)
        aside.rename(place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return f"{kit.title}'s environment is built: Python {about['python']}, {place}"


def _run(kit: Kit, command: list[str], what: str) -> str:
    """Run *command*; only its exit code counts, since pip warns about places of its own."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=clean, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        last = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "no words")
        raise _failed(kit, f"{what} ended with exit code {done.returncode}: {last.strip()[:300]}", "mend it, then run it again")
    return done.stdout


__all__ = ["set_up"]
