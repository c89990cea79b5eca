"""The worker's life: whatever ends it, the error is clear, no process is left, and nothing half written."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from loihi import GRID, on_grid_lif

import spikeport
from spikeport.backends.environments import python_of
from spikeport.backends.lava.backend import LavaBackend, LavaExecutable
from spikeport.backends.processes import living
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.diagnostics import BackendUnavailable, RunError, UnsupportedError
from spikeport.ir.network import build_network
from spikeport.ir.ops import Input, Linear, Output

SPIKEPORT = os.path.join(os.path.dirname(sys.executable), "spikeport")


def small():
    """Return a graph of one population on the grid."""
    nodes = (
        Node("in", Input((4,))), Node("w", Linear(np.full((3, 4), 100.0))), Node("lif", on_grid_lif((3,), threshold=250)),
        Node("out", Output((3,))),
    )  # fmt: skip
    return Graph(nodes, (Edge("in", "w"), Edge("w", "lif"), Edge("lif", "out")), profile=GRID)


def long_input(steps=200_000):
    return {"in": np.ones((1, steps, 4), np.uint8)}


def gone(group, seconds=15):
    """Wait until no process of *group* runs."""
    until = time.monotonic() + seconds
    while living(group) and time.monotonic() < until:
        time.sleep(0.05)
    return not living(group)


def running(executable):
    """Wait until the worker is in its run; return its group."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        line = executable._line
        if line is not None and line.holds is not None and len(living(line.process.pid)) > 2:
            return line.process.pid
        time.sleep(0.05)
    raise AssertionError("the worker did not come up")


@pytest.fixture
def executable(environment):
    with LavaExecutable(build_network(small(), GRID, "loihi"), environment) as found:
        yield found


def test_after_success_nothing_is_left_and_the_worker_serves_many_runs(executable):
    first = executable.run({"in": np.ones((2, 30, 4), np.uint8)})
    group = executable._line.process.pid
    again = executable.run({"in": np.ones((2, 30, 4), np.uint8)})
    assert executable._line.process.pid == group
    assert np.array_equal(first.out["out"], again.out["out"])
    folder = executable._line.folder
    executable.close()
    assert gone(group)
    assert not folder.exists()


def test_a_killed_worker_is_a_clear_error_and_the_next_run_starts_another(executable):
    found = []

    def run():
        try:
            executable.run(long_input())
        except RunError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    group = running(executable)
    os.kill(group, signal.SIGKILL)
    thread.join(30)
    assert not thread.is_alive()
    assert "E541" in str(found[0])
    assert "killed by signal 9 in the phase run" in str(found[0])
    assert gone(group)
    assert executable.run({"in": np.ones((1, 10, 4), np.uint8)}).steps == 10


def test_a_run_beyond_its_deadline_is_ended(environment, monkeypatch):
    monkeypatch.setenv("SPIKEPORT_LAVA_DEADLINES", "run=1,step=0.000001")
    with LavaExecutable(build_network(small(), GRID, "loihi"), environment) as executable:
        with pytest.raises(RunError, match=r"E542.*took more than .* in the phase run, at step"):
            executable.run(long_input())
        assert executable._line is None


def test_the_command_killed_leaves_no_process_and_no_file(environment, tmp_path):
    program = spikeport.compile(small(), None, arith="loihi")
    from spikeport.runtime.artifact import save_artifact

    save_artifact(program, tmp_path / "p.spk")
    np.save(tmp_path / "x.npy", long_input()["in"])
    command = [SPIKEPORT, "run", "p.spk", "-i", "x.npy", "-b", "lava", "-o", "out.npz"]
    for number, code in ((signal.SIGINT, None), (signal.SIGKILL, -9)):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        worker = wait_for_child(process.pid)
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == code if code is not None else process.returncode != 0
        assert gone(worker, 30)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["p.spk", "x.npy"]


def wait_for_child(parent):
    """Return the worker of the process *parent*, once it is running Lava."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
        for pid in map(int, done.stdout.split()):
            if len(living(pid)) > 2:
                return pid
        time.sleep(0.1)
    raise AssertionError("no worker came up")


def test_without_an_environment_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("SPIKEPORT_LAVA_ENV", str(tmp_path / "nowhere"))
    with pytest.raises(BackendUnavailable, match=r"not there\n    -> spikeport backends setup lava"):
        spikeport.run(small(), np.ones((5, 4), np.uint8), "lava", arith="loihi")


def test_what_floating_pt_lacks_is_refused_by_name(environment):
    with pytest.raises(UnsupportedError, match="at lif"):
        spikeport.run(small(), np.ones((5, 4), np.uint8), "lava", profile="norse:subtract,dt=1e-4", arith="float64")
    assert LavaBackend().fidelity_for("float64") == "float"


def test_an_emitted_program_runs_without_spikeport_and_prints_the_same_spikes(environment, tmp_path):
    x = (np.random.default_rng(0).random((20, 4)) < 0.5).astype(np.uint8)
    files = spikeport.emit(small(), tmp_path / "chip", "lava", inputs=x, arith="loihi")
    assert {"run.py", "README.md"} <= {p.name for p in files}
    readme = (tmp_path / "chip" / "README.md").read_text("utf-8")
    assert "untested" in readme.lower()
    done = subprocess.run(
        [python_of(environment), "-I", "run.py"],
        cwd=tmp_path / "chip",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wanted = int(spikeport.run(small(), x, "reference", arith="loihi", record="all").spikes["lif"].sum())
    assert wanted > 10
    assert str(wanted) in done.stdout, textwrap.shorten(done.stdout, 400)
