"""Brian2 as a peer: cpp_standalone, single precision, the time of its loop over steps alone."""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from enginebench.nets import LifNet
from enginebench.peer import Peer, Rasters

WORKER = Path(__file__).with_name("brian2_worker.py")


def is_installed() -> bool:
    return find_spec("brian2") is not None


class Brian2(Peer):
    """One sample; every network is a program of its own, built outside of the timing (10 to 40 s)."""

    name = "Brian2 cpp_standalone, inner loop"

    def __init__(self, net: LifNet, x: np.ndarray) -> None:
        if len(x) != 1:
            raise ValueError("Brian2 has no batch")
        self.arrays = {f"w{i}": w for i, w in enumerate(net.weights)}
        self.arrays |= {"x": x[0], "layers": len(net.weights), "beta": net.beta, "threshold": net.threshold}
        if net.recurrent is not None:
            self.arrays["recurrent"] = net.recurrent
        self.workers: dict[bool, tuple[subprocess.Popen, tempfile.TemporaryDirectory]] = {}

    def ask(self, keep: bool, word: str) -> str:
        """Send *word* to the worker that keeps all layers or the output only; return its answer."""
        if keep not in self.workers:
            folder = tempfile.TemporaryDirectory(prefix="spikeport-brian2-")
            np.savez(f"{folder.name}/net.npz", **self.arrays)
            command = [sys.executable, str(WORKER), f"{folder.name}/net.npz", folder.name, str(int(keep))]
            pipe = subprocess.PIPE
            with open(f"{folder.name}/log.txt", "w", encoding="utf-8") as log:
                worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True)
            self.workers[keep] = worker, folder
            self._answer(keep)
        worker, _ = self.workers[keep]
        worker.stdin.write(word + "\n")
        worker.stdin.flush()
        return self._answer(keep)

    def _answer(self, keep: bool) -> str:
        worker, folder = self.workers[keep]
        for line in worker.stdout:
            if line.startswith("@"):
                return line[1:].strip()
        log = Path(folder.name, "log.txt").read_text("utf-8")
        raise RuntimeError(f"Brian2's worker ended:\n{log[-3000:]}")

    def timed(self) -> float:
        return float(self.ask(False, "run"))

    def run(self, keep: bool = False) -> Rasters:
        self.ask(keep, "run")
        self.ask(keep, "spikes")
        with np.load(Path(self.workers[keep][1].name, "rasters.npz")) as file:
            found = dict(file)
        if keep:
            self._end(keep)
        return found

    def _end(self, keep: bool) -> None:
        worker, folder = self.workers.pop(keep)
        worker.stdin.close()
        worker.wait(60)
        worker.stdout.close()
        folder.cleanup()

    def close(self) -> None:
        for keep in tuple(self.workers):
            self._end(keep)
