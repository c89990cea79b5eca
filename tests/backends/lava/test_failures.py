"""What fails inside Lava comes back with the layer's name, and what hangs is ended: in a line, in a loop, in the build."""

import dataclasses
import os
import re
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from loihi import GRID, on_grid_lif

from spikeport.backends.lava.backend import LavaExecutable
from spikeport.backends.lava.line import DEADLINES, deadlines
from spikeport.backends.lava.plan import make_plan
from spikeport.backends.processes import living
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.diagnostics import RunError, UsageError
from spikeport.ir.network import build_network
from spikeport.ir.ops import Input, Linear, Output

X = {"in": np.ones((2, 40, 3), np.uint8)}


def two_layers(loop=False):
    nodes = [
        Node("in", Input((3,))), Node("w", Linear(np.full((4, 3), 90.0))), Node("w2", Linear(np.full((2, 4), 70.0))),
        Node("first.lif", on_grid_lif((4,), [1, 2, 3, 4], 100)), Node("second.lif", on_grid_lif((2,), 30, 100)),
        Node("out", Output((2,))),
    ]  # fmt: skip
    chain = ("in", "w", "first.lif", "w2", "second.lif", "out")
    edges = [Edge(a, b) for a, b in pairwise(chain)]
    if loop:
        nodes.append(Node("back", Linear(np.full((4, 2), 8.0))))
        edges += [Edge("second.lif", "back"), Edge("back", "first.lif", 1, 1)]
    return build_network(Graph(tuple(nodes), tuple(edges)), GRID, "loihi")


def spoiled(network, **arrays):
    """Return the plan of *network* with *arrays* (``first__dv`` for ``first.lif.dv``) in place of its own."""
    plan = make_plan(network)
    return dataclasses.replace(plan, arrays={**plan.arrays, **{k: np.asarray(v, np.int32) for k, v in arrays.items()}})


@pytest.fixture
def executable(environment, request):
    with LavaExecutable(two_layers(**getattr(request, "param", {})), environment) as found:
        yield found


def shared_memory(group):
    """Return the segments of shared memory that processes of *group* have; there are some while Lava runs."""
    found = set()
    for pid in living(group):
        found |= set(re.findall(r"/dev/shm/psm_\w+", Path(f"/proc/{pid}/maps").read_text()))
    assert found
    return {Path(p) for p in found}


def gone(group, seconds=15):
    until = time.monotonic() + seconds
    while living(group) and time.monotonic() < until:
        time.sleep(0.05)
    return not living(group)


@pytest.mark.parametrize("executable", [{"loop": False}, {"loop": True}], indirect=True, ids=["line", "loop"])
def test_an_error_in_a_process_names_its_layer_and_leaves_nothing(executable):
    executable._plan = spoiled(executable.network, **{"first.lif.dv": [1, 2]})
    with pytest.raises(
        RunError, match=r"E543 at first\.lif: the process of first\.lif failed in the phase run: ValueError"
    ) as found:
        executable.run(X)
    assert "could not be broadcast" in found.value.diagnostics[0].message
    assert "Traceback" in found.value.diagnostics[0].facts["traceback"]
    assert executable._line is None
    # A network that is whole runs in a worker of its own afterwards.
    executable._plan = None
    assert executable.run(X).samples == 2
    group, folder = executable._line.process.pid, executable._line.folder
    shared = shared_memory(group)
    executable.close()
    assert gone(group)
    assert not folder.exists()
    assert not [p for p in shared if p.exists()]


def test_an_error_in_the_build_names_the_layer(executable):
    executable._plan = spoiled(executable.network, **{"w2.weights": [1, 2, 3]})
    with pytest.raises(RunError, match=r"E543 at w2: the process of w2 failed in the phase build: "):
        executable.run(X)
    assert executable._line is None


@pytest.mark.parametrize(
    ("limits", "stops", "words"),
    [
        ("stall=1", "child", "made no step for 1 s in the phase run, at step"),
        ("beat=2", "worker", "gave no sign of life for 2 s"),
    ],
)
def test_what_stands_still_is_ended(limits, stops, words, environment, monkeypatch):
    monkeypatch.setenv("SPIKEPORT_LAVA_DEADLINES", limits)
    found = []
    with LavaExecutable(two_layers(), environment) as executable:

        def run():
            try:
                executable.run({"in": np.ones((1, 100_000, 3), np.uint8)})
            except RunError as error:
                found.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        until = time.monotonic() + 60
        line = None
        while time.monotonic() < until and (line is None or line.holds is None or len(living(line.process.pid)) < 8):
            time.sleep(0.05)
            line = executable._line
        assert line is not None
        group = line.process.pid
        shared = shared_memory(group)
        os.kill(group if stops == "worker" else max(living(group)), signal.SIGSTOP)
        thread.join(60)
    assert not thread.is_alive()
    assert found[0].diagnostics[0].code == "E542"
    assert words in str(found[0])
    assert gone(group)
    assert not [p for p in shared if p.exists()]


def test_deadlines_are_read_from_the_environment(monkeypatch):
    assert deadlines() == DEADLINES
    monkeypatch.setenv("SPIKEPORT_LAVA_DEADLINES", "run=3600, stall=600,")
    assert deadlines() == DEADLINES | {"run": 3600.0, "stall": 600.0}
    for text in ("run", "sleep=3", "run=soon", "run=-1"):
        monkeypatch.setenv("SPIKEPORT_LAVA_DEADLINES", text)
        with pytest.raises(UsageError, match=f"E549 at SPIKEPORT_LAVA_DEADLINES: '{text}' is no PHASE=SECONDS"):
            deadlines()


def test_an_environment_that_is_broken_is_said_to_be(tmp_path):
    fake = tmp_path / "bin" / "python"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho no module named lava >&2\nexit 3\n")
    fake.chmod(0o755)
    network = two_layers()
    told = r"E541: the Lava worker ended with exit code 3 in the phase import\. Its last words: no module"
    with LavaExecutable(network, tmp_path) as executable, pytest.raises(RunError, match=told):
        executable.run(X)
    fake.unlink()
    with LavaExecutable(network, tmp_path) as executable, pytest.raises(RunError, match=r"E541: .* does not start"):
        executable.run(X)
