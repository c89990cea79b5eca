"""The line to a worker: starts it, asks, waits no longer than its deadlines, and leaves no process behind."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from spikeport.backends.environments import python_of
from spikeport.backends.lava.environment import WORKER
from spikeport.backends.lava.plan import Plan
from spikeport.backends.processes import end_group
from spikeport.ir.diagnostics import Diagnostic, RunError, UsageError

#: Seconds until a phase is given up, ``run`` plus ``step`` for each step and process; ``stall`` without a step; ``beat``
#: without a sign of life. ``SPIKEPORT_LAVA_DEADLINES=run=600,stall=30`` sets others.
DEADLINES = {"import": 120.0, "build": 120.0, "run": 120.0, "step": 0.05, "stall": 120.0, "beat": 60.0}


def deadlines() -> dict[str, float]:
    """Return the deadlines in force; raise UsageError E549 for a variable that cannot be read."""
    found = dict(DEADLINES)
    text = os.environ.get("SPIKEPORT_LAVA_DEADLINES", "")
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            if name.strip() not in found or not float(value) > 0:
                raise ValueError
            found[name.strip()] = float(value)
        except ValueError:
            raise UsageError(
                Diagnostic("E549", "SPIKEPORT_LAVA_DEADLINES", f"{part!r} is no PHASE=SECONDS", f"phases: {', '.join(found)}")
            ) from None
    return found


class Line:
    """A running worker.

    Parameters
    ----------
    environment : Path
        Whose interpreter and Lava it has.

    Raises
    ------
    RunError
        E541 to E543 where it does not come up.
    """

    def __init__(self, environment: Path) -> None:
        self.limits = deadlines()
        self.folder = Path(tempfile.mkdtemp(prefix="spikeport-lava-"))  # only its owner may look into it
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        # Many processes on few cores; and no threads of a library when Lava forks.
        clean |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        command = [str(python_of(environment)), "-I", "-B", str(WORKER / "main.py"), str(self.folder)]
        try:
            with (self.folder / "stderr.txt").open("wb") as errors:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=self.folder, env=clean,
                    start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise RunError(
                Diagnostic("E541", "", f"the Lava worker does not start: {error}", "spikeport backends setup lava")
            ) from None
        self._text = b""
        self.number = 0  # of plans and runs, which have files of their own
        self.holds: object = None  # the plan that is built
        self._finalizer = weakref.finalize(self, end_group, self.process, self.folder, os.getpid())
        self._wait("import", "ready", self.limits["import"])

    def build(self, plan: Plan) -> None:
        """Have *plan* built, in place of what is there."""
        self.number += 1
        self.holds = None
        names = f"plan{self.number}.json", f"plan{self.number}.npz"
        (self.folder / names[0]).write_text(json.dumps(plan.as_dict()), "utf-8")
        np.savez(self.folder / names[1], **plan.arrays)  # type: ignore[arg-type]
        self._ask({"do": "build", "plan": names[0], "arrays": names[1]})
        self._wait("build", "built", self.limits["build"])
        self.holds = plan
        for name in names:
            (self.folder / name).unlink()

    @contextlib.contextmanager
    def run_folder(self) -> Iterator[Path]:
        """Yield a folder for the files of the next run; it is removed."""
        self.number += 1
        folder = self.folder / f"run{self.number}"
        folder.mkdir()
        yield folder
        shutil.rmtree(folder)

    def run(self, total: int, period: int, processes: int) -> None:
        """Have *total* steps run, the state anew every *period* (0: never), with the files in the run's folder."""
        self._ask({"do": "run", "number": self.number, "total": total, "period": period})
        self._wait("run", "done", self.limits["run"] + self.limits["step"] * total * processes)

    def close(self) -> None:
        """End the worker and all that Lava started, and remove the folder; again does no harm."""
        self._finalizer()

    def _ask(self, command: dict[str, Any]) -> None:
        try:
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except (OSError, ValueError):
            self._died(command["do"])

    def _wait(self, phase: str, event: str, seconds: float) -> None:
        """Wait for *event*; whatever else happens ends the worker."""
        done = False
        try:
            self._listen(phase, event, seconds)
            done = True
        finally:
            if not done:  # Ctrl-C too
                self.close()

    def _listen(self, phase: str, event: str, seconds: float) -> None:
        stream = self.process.stdout
        assert stream is not None
        started = heard = moved = time.monotonic()
        at: tuple[int, int] = (0, 0)
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                for answer in self._answers():
                    heard = time.monotonic()
                    if answer["event"] == event:
                        return
                    if answer["event"] == "failed":
                        self._failed(phase, answer)
                    now = (int(answer.get("part", 0)), int(answer.get("done", 0)))
                    if now != at:
                        at, moved = now, heard
                clock = time.monotonic()
                if clock - started > seconds:
                    self._late(phase, f"took more than {seconds:g} s", at)
                if phase == "run" and clock - moved > self.limits["stall"]:
                    self._late(phase, f"made no step for {self.limits['stall']:g} s", at)
                if clock - heard > self.limits["beat"] and phase != "import":
                    self._late(phase, f"gave no sign of life for {self.limits['beat']:g} s", at)
                if selector.select(0.2):
                    piece = os.read(stream.fileno(), 65536)
                    if not piece:
                        self._died(phase)
                    self._text += piece

    def _answers(self) -> list[dict[str, Any]]:
        *lines, self._text = self._text.split(b"\n")
        return [json.loads(line) for line in lines if line]

    def _failed(self, phase: str, answer: dict[str, Any]) -> NoReturn:
        lines = [line for line in str(answer.get("trace", "")).splitlines() if line.strip()]
        last = lines[-1].strip() if lines else "no words"
        layer = str(answer.get("layer", ""))
        where = f"the process of {layer}" if layer else "Lava"
        raise RunError(
            Diagnostic(
                "E543", layer, f"{where} failed in the phase {phase}: {last}",
                "run it on --backend engine, and report the difference", {"traceback": "\n".join(lines)},
            )
        )  # fmt: skip

    def _late(self, phase: str, what: str, at: tuple[int, int]) -> NoReturn:
        raise RunError(
            Diagnostic(
                "E542", "", f"the Lava worker {what} in the phase {phase}" + (f", at step {at[1]}" if phase == "run" else "")
                + "; it was ended", "give fewer samples or steps, or more time: SPIKEPORT_LAVA_DEADLINES=run=3600,stall=600",
                {"phase": phase, "step": at[1]},
            )
        )  # fmt: skip

    def _died(self, phase: str) -> NoReturn:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        code = self.process.returncode
        how = "ended" if code is None else f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        try:
            said = [line for line in (self.folder / "stderr.txt").read_text("utf-8", "replace").splitlines() if line.strip()]
        except OSError:
            said = []
        last = f" Its last words: {said[-1].strip()[:300]}" if said else ""
        self.close()
        raise RunError(
            Diagnostic("E541", "", f"the Lava worker {how} in the phase {phase}.{last}", "run it again", {"phase": phase})
        )


__all__ = ["DEADLINES", "Line", "deadlines"]
