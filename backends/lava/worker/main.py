"""The worker: a process of its own that holds Lava, told what to do in lines of JSON.

    python -I main.py FOLDER

reads commands from stdin and answers on stdout, a JSON object a line; arrays lie as .npy and .npz in FOLDER. All that Lava
prints goes to stderr. Answers have an ``event``: ``ready`` (Lava is imported), ``built``, ``done``, ``failed`` and, every
half second, ``beat``. With ``--check`` in place of a folder it runs a small network and ends.

It never outlives whoever started it: when stdin ends, or its parent is another, it removes FOLDER and ends its process
group; children of Lava are killed by the kernel when it dies. Multiprocessing's tracker of shared memory is left alone, so
that it can give back what Lava took; it ends by itself.

This file runs in the worker's own interpreter, Python 3.10 or 3.11. It needs lava-nc and nothing of spikeport.
"""

import contextlib
import ctypes
import dataclasses
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback

BEAT_S = 0.5
#: Beats that Lava has to say by itself that a process of it failed.
PATIENCE = 3
PR_SET_PDEATHSIG = 1


def import_lava():
    """Import Lava 0.10.0; on Python 3.11 with the one class mended that is refused there."""
    true = dataclasses.dataclass

    def mended(cls=None, /, **options):
        def wrap(one):
            made = true(one, **options)
            if one.__name__ == "ByteEncoder":
                # 3.11 takes no default without a hash; this dataclass lost its own by having __eq__.
                made.__hash__ = object.__hash__
            return made

        return wrap if cls is None else wrap(cls)

    dataclasses.dataclass = mended
    try:
        import lava.magma.compiler.var_model  # noqa: F401
    finally:
        dataclasses.dataclass = true
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import lava_network

    return lava_network


class Worker:
    """What is built, and the line to whoever asked.

    Parameters
    ----------
    folder : str
        For plans, arrays and runs; removed at the end.
    """

    def __init__(self, folder):
        self.folder, self.parent = folder, os.getppid()
        self.answers = os.dup(1)
        os.dup2(2, 1)  # Lava prints; stdout is ours
        self.asked = os.dup(0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        self.network = self.lava = None
        self.phase = "import"
        os.register_at_fork(after_in_child=self._in_child)

    def _in_child(self):
        """In a process that Lava forks: hold no end of the line, and die with the worker."""
        for descriptor in (self.answers, self.asked):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        die_with_parent()

    def say(self, event, **more):
        """Write one answer, in one piece: two threads do."""
        line = json.dumps({"event": event, **more}) + "\n"
        os.write(self.answers, line.encode())

    def serve(self):
        """Answer until stdin ends."""
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            self.lava = import_lava()
            self.say("ready", python=sys.version.split()[0])
        except Exception:
            self.say("failed", layer="", trace=traceback.format_exc())
            return
        text = b""
        while True:
            piece = os.read(self.asked, 65536)
            if not piece:
                return
            text += piece
            while b"\n" in text:
                line, text = text.split(b"\n", 1)
                self._answer(json.loads(line))

    def _answer(self, command):
        try:
            self.phase = command["do"]
            if command["do"] == "build":
                self._build(command)
                self.say("built")
            elif command["do"] == "run":
                self.network.run(command["number"], command["total"], command["period"])
                self.say("done")
            else:
                raise ValueError(f"unknown command {command['do']!r}")
        except Exception:
            self._say_failed(traceback.format_exc())
        self.phase = "wait"

    def _build(self, command):
        import numpy as np  # after Lava, whose import sets up multiprocessing

        if self.network is not None:
            self.network.stop()
            self.network = None
        with open(os.path.join(self.folder, command["plan"]), encoding="utf-8") as file:
            plan = json.load(file)
        with np.load(os.path.join(self.folder, command["arrays"]), allow_pickle=False) as arrays:
            self.network = self.lava.Network(self.folder)
            self.network.build(plan, dict(arrays))

    def _say_failed(self, trace):
        """Say what failed, in the words of the process that failed first."""
        path = os.path.join(self.folder, "failed.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.say("failed", **json.load(file))
        else:
            self.say("failed", layer=getattr(self.network, "building", ""), trace=trace)

    def _beat(self):
        """Tell that the worker lives and how far it is; end with the parent."""
        seen = 0
        while True:
            if os.getppid() != self.parent:
                leave(self.folder)
            # Where the failing process is part of a loop, Lava waits for ever and never says that it failed.
            seen = seen + 1 if os.path.exists(os.path.join(self.folder, "failed.json")) else 0
            if seen == PATIENCE:
                with contextlib.suppress(OSError):
                    self._say_failed("")
            done = self.network.done() if self.network is not None and self.phase == "run" else (0, 0)
            with contextlib.suppress(OSError):
                self.say("beat", phase=self.phase, part=done[0], done=done[1])
            time.sleep(BEAT_S)


def die_with_parent():
    """Ask the kernel to kill this process when its parent dies."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def leave(folder):
    """Remove *folder* and end the whole process group, but for the tracker, which ends by itself."""
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGTERM)  # the tracker ignores it
    time.sleep(1)
    os.killpg(0, signal.SIGKILL)


def check():
    """Run a neuron that a source drives for ten steps; print what was recorded, and the versions."""
    import tempfile

    lava = import_lava()
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        plan = {
            "models": "fixed_pt",
            "processes": [
                {"kind": "Source", "name": "x", "args": {"shape": [1]}, "arrays": {}},
                {"kind": "Dense", "name": "w", "args": {}, "arrays": {"weights": "w"}},
                {"kind": "LIF", "name": "n", "args": {"shape": [1], "du": 4095, "dv": 163, "vth": 25}, "arrays": {}},
            ],
            "wires": [[0, 1], [1, 2]],
        }
        network = lava.Network(folder)
        network.build(plan, {"w": np.array([[10]])})
        os.mkdir(os.path.join(folder, "run0"))
        np.save(os.path.join(folder, "run0", "x0.npy"), np.ones((10, 1), np.int32))
        np.save(os.path.join(folder, "run0", "s2.npy"), np.zeros((10, 1), np.uint8))
        network.run(0, 10, 0)
        network.stop()
        spikes = np.load(os.path.join(folder, "run0", "s2.npy")).ravel().tolist()
    print(json.dumps({"spikes": spikes, "python": sys.version.split()[0], "numpy": np.__version__}))


def main():
    """Serve, and leave nothing behind."""
    if sys.argv[1] == "--check":
        check()
        return
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)  # `leave` ends the group: never that of a shell
    worker = Worker(sys.argv[1])
    try:
        worker.serve()
    finally:
        leave(sys.argv[1])


if __name__ == "__main__":
    main()
