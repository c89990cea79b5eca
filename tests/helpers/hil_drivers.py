"""A driver of a device that misbehaves when its client asks for it: by the seed of a run."""

import dataclasses
import fcntl
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from spikeport.runtime.hil.device import LocalDevice

DIES, HANGS, EATS, EATS_IN_CHILD, LEAVES, SLOW, LARGE, STAINS, SPINS, PRINTS, CRASHES, BABBLES = range(101, 113)


class Rascal(LocalDevice):
    """The reference backend in a process that does what `seed` says."""

    def __init__(self, config):
        super().__init__("reference", {}, config.get("target") or None, config["name"])
        self._stain = ""
        self._lock = None
        if once := config.get("dies_on_connect"):
            os.kill(os.getpid(), signal.SIGKILL) if Path(once).exists() else None
        if exclusive := config.get("exclusive"):
            # A port that two cannot have at once.
            self._lock = Path(exclusive).open("w")  # noqa: SIM115 (held as long as the device is)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def run(self, inputs, *, record=(), record_state=False, seed=0, timeout_s=None):
        if seed == DIES:
            os.kill(os.getpid(), signal.SIGKILL)
        elif seed == HANGS:
            time.sleep(1000)
        elif seed == EATS:
            held = [np.ones(2**27) for _ in range(64)]  # 64 GiB
            assert held
        elif seed == EATS_IN_CHILD:
            code = "import resource, time; r = resource.RLIMIT_AS; resource.setrlimit(r, (resource.getrlimit(r)[1],) * 2)\n"
            code += "held = []\nwhile len(held) < 200: held.append(bytearray(b'x') * 2**24); time.sleep(0.02)\n"
            subprocess.run([sys.executable, "-c", code], check=False)
            time.sleep(1000)
        elif seed == LEAVES:
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
        elif seed == SLOW:
            for step in range(60):
                time.sleep(0.05)
                if self.on_progress is not None:
                    self.on_progress(step, 60)
        elif seed == STAINS:
            self._stain = "still there"
        elif seed == SPINS:
            while True:
                pass
        elif seed == PRINTS:
            print("noise on stdout", flush=True)
            os.write(1, b"raw noise\n")
        elif seed == BABBLES:
            _babble()
        elif seed == CRASHES:
            raise RuntimeError("the driver is confused")
        found = super().run(inputs, record=record, record_state=record_state, seed=seed, timeout_s=timeout_s)
        return _large(found) if seed == LARGE else found

    def state_digest(self):
        return hashlib.sha256((super().state_digest() + self._stain).encode()).hexdigest()


def _babble():
    """Write noise where the worker's answers go."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        is_pipe = fd > 2 and Path(f"/proc/self/fd/{fd}").exists() and stat.S_ISFIFO(os.fstat(fd).st_mode)
        if is_pipe and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            os.write(fd, b"this is no answer " * 10)


def _large(found):
    out = {**found.trace.out, "large": np.arange(700_000, dtype=np.float64).reshape(1, 7, 100_000)}
    return dataclasses.replace(found, trace=dataclasses.replace(found.trace, out=out))


def make(config):
    """Return the device; the entry point of a driver looks like this."""
    return Rascal(config)
