"""Every backend as a device of a daemon: bit for bit what it gives in this process, and nothing of it is left afterwards."""

import itertools
import os
import signal

import numpy as np
import pytest
from aside import needed
from hil_bench import PATIENCE_S, orphans, parent, running, until

import spikeport
from spikeport.backends.lava.environment import KIT as LAVA
from spikeport.ir.diagnostics import RunError
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import LIF, Affine, Input, Output
from spikeport.runtime.artifact import artifact_bytes
from spikeport.runtime.hil.client import connect
from spikeport.runtime.hil.daemon.config import DeviceConfig
from spikeport.runtime.hil.device import LocalDevice
from spikeport.runtime.hil.outcome import Outcome, outcome_of

pytestmark = [pytest.mark.faults, pytest.mark.slow]

DT = 1e-4
INPUTS = {"in": (np.random.default_rng(3).random((2, 20, 5)) < 0.4).astype(np.float64)}
LIMITS = {"memory_mb": 4096.0, "stall_s": 60.0}
RUN = {"record": "all", "record_state": True}


@pytest.fixture(params=["engine", "reference", "brian2", "lava"])
def backend(request):
    if request.param == "lava":
        needed(LAVA)
    elif request.param == "brian2":
        pytest.importorskip("brian2")
    return request.param


def lif(size, rng):
    one, tau = np.ones(size), DT * rng.uniform(4, 20, size)
    return LIF(tau, tau / DT, 0 * one, 0.9 * one, 0 * one)


def artifact(backend):
    """Return two layers of LIF neurons, 6 and 3, under a profile that the backend runs, as the bytes of a .spk."""
    rng, most = np.random.default_rng(7), 0.6 if backend == "lava" else 2.4  # whose input counts as it is, not by dt / tau
    nodes = [
        Node("in", Input((5,))), Node("fc1", Affine(rng.uniform(0, most, (6, 5)), np.zeros(6))), Node("hidden", lif(6, rng)),
        Node("fc2", Affine(rng.uniform(0, most, (3, 6)), np.zeros(3))), Node("last", lif(3, rng)), Node("out", Output((3,))),
    ]  # fmt: skip
    graph = Graph(nodes, [Edge(a.path, b.path) for a, b in itertools.pairwise(nodes)])
    profile = f"{'lava_float' if backend == 'lava' else 'norse:zero'},dt={DT}"
    return artifact_bytes(spikeport.compile(graph, None, profile))


def assert_equal(there, here):
    """Compare two runs: every array to the last bit, and every count."""
    got, wanted = there.trace.arrays(), here.trace.arrays()
    assert list(got) == list(wanted)
    assert sum(int(spikes.sum()) for spikes in here.trace.spikes.values()) > 10
    for key, array in wanted.items():
        assert got[key].dtype == array.dtype
        assert got[key].shape == array.shape
        assert got[key].tobytes() == array.tobytes(), key
    assert list(there.trace.counts) == list(here.trace.counts)
    for path, counts in here.trace.counts.items():
        found = there.trace.counts[path]
        assert (found.spikes, found.events, found.synops) == (counts.spikes, counts.events, counts.synops)
    assert (there.graph, there.artifact) == (here.graph, here.artifact)


def test_a_backend_gives_behind_the_daemon_what_it_gives_here(backend, tmp_path):
    program = artifact(backend)
    with LocalDevice(backend) as local:
        local.load(program)
        here = local.run(INPUTS, **RUN)
        firmware = local.info.firmware
    with running(tmp_path / "state", DeviceConfig("sim", backend=backend), limits=LIMITS) as daemon:
        with connect(daemon.url) as pool, pool.lease(wait_s=PATIENCE_S) as leased:
            assert (leased.info.backend, leased.info.firmware) == (backend, firmware)
            leased.load(program)
            assert_equal(leased.run(INPUTS, **RUN), here)
            leased.reset()
            leased.load(program)
            assert_equal(leased.run(INPUTS, **RUN), here)
            mine = set(orphans(daemon.service.config.state))
        until(lambda: not mine & set(orphans(daemon.service.config.state)))  # guard, worker, and whatever the backend started


def children(pid, among):
    """Return the processes below *pid*."""
    found = {p for p in among if parent(p) == pid}
    return found.union(*(children(p, among) for p in found))


@pytest.mark.parametrize("whom", ["worker", "guard", "lava"])
def test_of_lava_nothing_is_left_when_somebody_kills_it(whom, tmp_path):
    needed(LAVA)
    program = artifact("lava")
    with running(tmp_path / "state", DeviceConfig("sim", backend="lava"), limits=LIMITS) as daemon:
        state, line = daemon.service.config.state, daemon.service.keepers["sim"]
        with connect(daemon.url) as pool, pool.lease(wait_s=PATIENCE_S) as leased:
            leased.load(program)
            first = leased.run(INPUTS, **RUN)
            everyone = set(orphans(state))
            guard = line.line.process.pid
            (worker,) = {p for p in everyone if parent(p) == guard}
            lavas = children(worker, everyone)
            assert lavas  # its own interpreter, and what that starts
            os.kill({"worker": worker, "guard": guard, "lava": min(lavas)}[whom], signal.SIGKILL)
            if whom == "lava":
                with pytest.raises(RunError, match=r"E541: the Lava worker was killed by signal 9") as found:
                    leased.run(INPUTS, **RUN)
                assert outcome_of(found.value) == Outcome.INFRASTRUCTURE
                leased.load(program)
            else:
                until(lambda: not everyone & set(orphans(state)))
            assert_equal(leased.run(INPUTS, **RUN), first)
            everyone |= set(orphans(state))
        until(lambda: not everyone & set(orphans(state)))
