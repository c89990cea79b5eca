"""A virtual board: an emitted program runs in sPyNNaker's environment up to its tables, and PACMAN's work is read."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.backends.environments import python_of
from spikeport.backends.processes import end_group
from spikeport.backends.spinnaker.environment import KIT, WORKER
from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic, RunError, UsageError
from spikeport.ir.ops import Array

#: Seconds that PACMAN is given; ``SPIKEPORT_SPYNNAKER_DEADLINE`` sets others.
DEADLINE_S = 600.0


def map_on_board(
    files: Mapping[str, str | Mapping[str, Array]], environment: Path | None = None, options: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return what PACMAN makes of an emitted program, as plain data; see ``worker/main.py``.

    Parameters
    ----------
    files : Mapping[str, text or arrays]
        The program's, by name.
    environment : Path or None
        sPyNNaker's; None for the one that is found.
    options : tuple of str
        Further configuration, ``SECTION.OPTION=VALUE`` each.

    Raises
    ------
    BackendUnavailable
        E553 where the environment is not there.
    RunError
        E551 where the program fails, or its process is killed; E552 where it takes too long.
    """
    deadline = _deadline()
    if environment is None:
        environment, why = KIT.find()
        if environment is None:
            raise BackendUnavailable(Diagnostic("E553", "--oracle", why, KIT.remedy))
    folder = Path(tempfile.mkdtemp(prefix="spikeport-spynnaker-"))  # only its owner may look into it
    for name, content in files.items():
        if isinstance(content, str):
            (folder / name).write_text(content, "utf-8")
        else:
            np.savez(folder / name, **content)  # type: ignore[arg-type]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    answer = folder / "answer.json"
    command = [str(python_of(environment)), "-I", "-B", str(WORKER / "main.py"), str(folder), str(answer), *options]
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=folder, env=clean, start_new_session=True
        )
    ended = weakref.finalize(process, end_group, process, folder, os.getpid())  # at the end of the program, if not before
    try:
        process.wait(deadline)
        return _answer(folder, answer, process.returncode)
    except subprocess.TimeoutExpired:
        raise RunError(
            Diagnostic(
                "E552", "--oracle", f"sPyNNaker took more than {deadline:g} s; it was ended",
                "give it more time, in seconds: SPIKEPORT_SPYNNAKER_DEADLINE=3600", {"deadline_s": deadline},
            )
        ) from None  # fmt: skip
    finally:
        ended()


def _deadline() -> float:
    text = os.environ.get("SPIKEPORT_SPYNNAKER_DEADLINE", "")
    try:
        seconds = float(text) if text else DEADLINE_S
        if not 0 < seconds < float("inf"):
            raise ValueError
    except ValueError:
        raise UsageError(
            Diagnostic("E549", "SPIKEPORT_SPYNNAKER_DEADLINE", f"{text!r} is no number of seconds", "write such as 600")
        ) from None
    return seconds


def _answer(folder: Path, answer: Path, code: int) -> dict[str, Any]:
    lines = [line.strip() for line in (folder / "said.txt").read_text("utf-8", "replace").splitlines() if line.strip()]
    if not answer.exists():
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = f" Its last words: {lines[-1][:300]}" if lines else ""
        raise RunError(Diagnostic("E551", "--oracle", f"sPyNNaker {how}.{last}", "run it again"))
    found: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    if "failed" in found:
        raise RunError(
            Diagnostic(
                "E551", "--oracle", f"sPyNNaker failed: {found['failed']}", "emit the program (spikeport emit) and run it",
                {"said": "\n".join(lines[-60:])},
            )
        )  # fmt: skip
    return found


__all__ = ["DEADLINE_S", "map_on_board"]
