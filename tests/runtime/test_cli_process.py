"""The command as a process: pipes, and how little it loads."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_models import PROFILE, spikes, write_builder

COMMAND = [sys.executable, "-P", "-m", "spikeport.runtime.cli.main"]
HEAVY = ("torch", "snntorch", "numba", "h5py", "nir", "scipy", "brian2")


def call(*args, cwd, **options):
    return subprocess.run(
        [*COMMAND, *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120, **options
    )


def loaded(*args, cwd):
    """Return the modules that the command has loaded when it ends."""
    code = (
        "import sys; from spikeport.runtime.cli.main import run_command\n"
        f"code = run_command({list(map(str, args))!r})\n"
        "print('\\n' + ' '.join(sys.modules), code)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=cwd, capture_output=True, text=True, check=True, timeout=120)
    *names, end = done.stdout.splitlines()[-1].split()
    assert end == "0", done.stderr
    return set(names)


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_next_to_nothing(tmp_path, args):
    found = loaded(*args, cwd=tmp_path)
    assert sorted(found & {*HEAVY, "numpy", "networkx"}) == []
    assert "spikeport.ir" not in found


def test_a_run_in_the_reference_loads_what_it_needs(tmp_path):
    write_builder(tmp_path)
    np.save(tmp_path / "x.npy", spikes((8, 4)))
    found = loaded("run", "model.py:build", "-b", "reference", "-i", "x.npy", "-p", PROFILE, cwd=tmp_path)
    assert sorted(found & set(HEAVY)) == []


def test_results_can_be_piped_and_the_pipe_closed(tmp_path):
    write_builder(tmp_path)
    np.save(tmp_path / "x.npy", spikes((8, 4)))
    done = call("run", "model.py:build", "-b", "reference", "-i", "x.npy", "-p", PROFILE, "--json", "--steps", 9, cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["steps"] == 9
    assert done.stderr == "the input has 8 steps; 1 steps of zeros appended\n"
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        end = subprocess.run(
            [*COMMAND, "targets", "loihi1"],
            cwd=tmp_path,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert "Traceback" not in end.stderr
    assert "bug" not in end.stderr


def test_output_can_be_a_device(tmp_path):
    write_builder(tmp_path)
    np.save(tmp_path / "x.npy", spikes((8, 4)))
    done = call("run", "model.py:build", "-b", "reference", "-i", "x.npy", "-p", PROFILE, "-o", "/dev/null", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path("/dev/null").is_char_device()


SLOW = """
import numpy as np
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.ops import Affine, IF, Input, Output


def build(n=1500):
    nodes = [Node("i", Input((n,)))]
    for k in range(4):
        weights = np.linspace(-1, 1, n * n, dtype=np.float32).reshape(n, n)
        nodes += [Node(f"a{k}", Affine(weights, np.ones(n))), Node(f"n{k}", IF(np.ones(n), np.ones(n), np.zeros(n)))]
    nodes.append(Node("o", Output((n,))))
    return Graph(nodes, [Edge(a.path, b.path) for a, b in zip(nodes, nodes[1:])])
"""


def test_a_timeout_is_kept_by_the_engine(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    x = np.ones((1000, 60, 1), np.uint8)
    np.save(tmp_path / "x.npy", np.broadcast_to(x, (1000, 60, 1500)))
    started = time.monotonic()
    args = ("run", "slow.py:build", "-i", "x.npy", "-p", "norse:zero", "--timeout", 2, "-o", "o.npz", "--json")
    done = call(*args, cwd=tmp_path)
    seconds = time.monotonic() - started
    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout)["diagnostics"][0]["code"] == "E803"
    assert 2 <= seconds < 10  # beside the run: the start of Python, and the grace period
    assert not (tmp_path / "o.npz").exists()


def test_a_run_that_does_not_answer_is_ended(tmp_path):
    deaf = "import signal, time\n    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    time.sleep(60)"
    write_builder(tmp_path, deaf)
    np.save(tmp_path / "x.npy", spikes((8, 4)))
    done = call("run", "model.py:build", "-i", "x.npy", "-p", PROFILE, "--timeout", 0.5, "--json", cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout)["diagnostics"][0]["message"] == "the run did not end within 0.5 s"
    assert "error E803 at --timeout" in done.stderr


def test_exit_codes_reach_the_shell(tmp_path):
    (tmp_path / "bad.spk").write_bytes(b"no")
    assert call("check", "bad.spk", cwd=tmp_path).returncode == 8
    assert call("nonsense", cwd=tmp_path).returncode == 2
