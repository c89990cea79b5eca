"""Daemons for tests: in this process or in one of their own, with quick limits; and what must hold after every fault."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_models import PROFILE, small_graph, spikes

import spikeport
from spikeport.runtime.artifact import artifact_bytes
from spikeport.runtime.hil.client import connect
from spikeport.runtime.hil.daemon.config import Config, DeviceConfig, Limits
from spikeport.runtime.hil.daemon.line import MARK
from spikeport.runtime.hil.daemon.server import Daemon
from spikeport.runtime.hil.daemon.service import Service
from spikeport.runtime.hil.device import LocalDevice
from spikeport.runtime.hil.faults.proxy import Proxy
from spikeport.runtime.hil.faults.spec import parse_faults
from spikeport.runtime.hil.outcome import HilError

HELPERS = Path(__file__).parent
INPUTS = {"input": spikes((1, 12, 4)).astype(np.float64)}
#: What a test waits for at most; nothing depends on how soon it comes.
PATIENCE_S = 60.0


@functools.cache
def artifact(seed=0):
    """Return a small program as the bytes of a .spk."""
    return artifact_bytes(spikeport.compile(small_graph(seed=seed), None, PROFILE))


def device(name="one", **config):
    """Return the configuration of a device with the driver of hil_drivers."""
    return DeviceConfig(name, driver="hil_drivers:make", config=config)


def config(state, *devices, limits=None, **more):
    """Return a daemon's configuration on a free port."""
    found = {"stall_s": 20.0, "memory_mb": 512.0, **(limits or {})}
    return Config(more.pop("listen", "127.0.0.1:0"), state, devices or (device(),), limits=Limits(**found), **more)


@contextlib.contextmanager
def running(state, *devices, limits=None, **more):
    """Yield a daemon in this process; at its end nothing of it is left."""
    with path_of_helpers(), Daemon(config(state, *devices, limits=limits, **more)) as daemon:
        yield daemon
    assert orphans(daemon.service.config.state) == []


@contextlib.contextmanager
def unstarted(state, now):
    """Yield a service that is not started, whose clock shows ``now[0]``."""
    service = Service(config(state), clock=lambda: now[0])
    try:
        yield service
    finally:
        service.stop()


@contextlib.contextmanager
def path_of_helpers():
    """Have the workers find hil_drivers."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(HELPERS)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def through(url, faults=""):
    """Return a proxy with transport faults before the daemon at *url*."""
    host, _, port = url.partition("://")[2].rpartition(":")
    return Proxy(host, int(port), parse_faults(faults) if faults else ())


class Process:
    """A daemon in a process of its own, on one port however often it starts."""

    def __init__(self, state, limits="", before="", more=""):
        self.state, self.port, self._before = state, 0, before
        self.file = state.parent / "hild.toml"
        more = more or '[devices.one]\ndriver = "hil_drivers:make"\n'
        self.file.write_text(f"{more}[limits]\nstall_s = 20\nmemory_mb = 512\n{limits}\n")
        self.start()

    @property
    def url(self):
        return f"hild://127.0.0.1:{self.port}"

    def start(self):
        """Start it, and wait until it listens."""
        code = f"{self._before}\nfrom spikeport.runtime.cli.main import main\nmain()"
        command = [sys.executable, "-P", "-c", code, "hild", "--config", str(self.file), "--state", str(self.state)]
        self.process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{self.port}"], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(HELPERS)},
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.port = int(line.rpartition(":")[2])

    def kill(self):
        """End it without a warning."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """End it in good order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *how):
        if self.process.poll() is None:
            self.stop()
        until(lambda: orphans(self.state) == [])


def orphans(state):
    """Return the processes that were started for workers of a daemon with this state."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes()
            if f"{MARK}={state}/work/".encode() in words and "Z" not in _state(entry.parent):
                found.append(int(entry.parent.name))
    return found


def _state(entry):
    return (entry / "stat").read_text().rpartition(")")[2].split()[0]


def workers(state):
    """Return the processes that hold devices: children of guards."""
    found = orphans(state)
    return [pid for pid in found if parent(pid) in found]


def parent(pid):
    """Return who started a process, 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def until(holds, seconds=PATIENCE_S):
    """Wait until *holds()* is true, and return what it is."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "this did not come to hold"
        time.sleep(0.02)
    return found


def works(url, **options):
    """Lease a device as a new client, load and run, and compare with the reference here."""
    with connect(url, **options) as pool, pool.lease(wait_s=PATIENCE_S) as leased:
        assert_same(run(leased))


def run(leased, seed=0, load=True, **options):
    """Load the small program, if need be, and run it."""
    if load:
        leased.load(artifact())
    return leased.run(INPUTS, record="all", record_state=True, seed=seed, **options)


def assert_same(found):
    """Compare a run with the same here."""
    with LocalDevice("reference") as local:
        wanted = run(local).trace.arrays()
    got = found.trace.arrays()
    assert sorted(got) == sorted(wanted)
    for key, array in wanted.items():
        np.testing.assert_array_equal(got[key], array)
        assert got[key].dtype == array.dtype


def refused(call, *args, **options):
    """Return the HilError that a call raises."""
    with pytest.raises(HilError) as found:
        call(*args, **options)
    return found.value


def code_of(call, *args, **options):
    """Return the code of the HilError that a call raises."""
    return refused(call, *args, **options).diagnostics[0].code


def full_disk(store):
    """Let the database grow no further, and fill what room it has."""
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    for row in range(100_000):
        try:
            store.begin("filler", f"filler-{row}", "d" * 500, "l", "one", 1)
        except HilError:
            return


def make_room(store):
    """Undo `full_disk`."""
    store._db.execute("PRAGMA max_page_count = 1000000")


def audit(state):
    """Return the lines of the audit log."""
    return [json.loads(line) for line in (state / "audit.jsonl").read_text().splitlines() if line]
