"""Scripts of Brian2: they run without spikeport, print the same spikes, and overwrite nothing of others."""

import ast
import subprocess
import sys

import numpy as np
import pytest
from brian2_networks import draw

import spikeport
from spikeport.backends.brian2.script import script_files
from spikeport.backends.testing import cases
from spikeport.ir.diagnostics import UsageError
from spikeport.ir.graph import Edge, Node
from spikeport.ir.network import build_network
from spikeport.runtime.cli.main import run_command

pytest.importorskip("brian2")


def executed(folder):
    """Return (what the script printed by layer, its rasters); spikeport cannot be imported where it runs."""
    (folder / "spikeport.py").write_text("raise ImportError('not here')")
    done = subprocess.run([sys.executable, "run.py", "input.npz", "rasters.npz"], cwd=folder, capture_output=True, text=True,
                          check=False, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts = {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in done.stdout.splitlines()}
    with np.load(folder / "rasters.npz") as file:
        return counts, dict(file)


def check(model, x, folder, profile=None):
    spikeport.emit(model, folder, inputs=x, profile=profile)
    counts, rasters = executed(folder)
    expected = spikeport.run(model, x, "reference", profile=profile, record="all")
    spiking = {path: expected.trace.spikes[path] for path in expected.program.graph.spiking}
    assert counts == {path: int(s.sum()) for path, s in spiking.items()}
    for path, s in spiking.items():
        assert np.array_equal(rasters[path].reshape(s.shape), s), path


@pytest.mark.parametrize(("net", "reset"), [("bias_zero", "zero"), ("noBias_subtract", "subtract")])
def test_braille(anchors, tmp_path, net, reset):
    x = np.load(anchors / "braille" / "braille_test_sample0_input.npy")
    model = anchors / "braille" / f"braille_noDelay_{net}.nir"
    check(model, x, tmp_path / "braille", f"snntorch:{reset},reset_delay=false")


def test_digits(root, tmp_path):
    x = np.random.default_rng(0).random((3, 6, 1, 8, 8))
    check(root / "models" / "digits_conv.nir", x, tmp_path / "digits")


@pytest.mark.slow
def test_a_convolutional_network_of_sinabs(anchors, tmp_path):
    x = np.random.default_rng(0).random((1, 20, 2, 34, 34)) < 0.06
    check(anchors / "cnn" / "cnn_sinabs.nir", x, tmp_path / "cnn", "sinabs")


@pytest.mark.parametrize("name", ["loop/a loop within a loop, layers around", "boundary/silence(6), values under way"])
def test_cases_of_the_kit(tmp_path, name):
    (case,) = [c for c in cases() if c.name == name]
    check(case.graph, dict(case.inputs), tmp_path / "case", case.profile)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3, 300, 12))
def test_random_networks(tmp_path, number):
    graph, profile, inputs = draw(300)[number]
    check(graph, inputs, tmp_path / "random", profile)


def test_names_of_layers_are_no_code(tmp_path):
    (case,) = [c for c in cases() if c.name == "affine/double weights"]
    bad = 'x\nraise SystemExit(3) #"""\\\nraise SystemExit(4)'
    name = lambda path: bad if path in case.graph.spiking else path  # noqa: E731
    graph = case.graph.replace(
        nodes=[Node(name(n.path), n.op) for n in case.graph],
        edges=[Edge(name(e.source), name(e.target), e.delay, e.rank) for e in case.graph.edges],
    )
    # The verifier refuses such a path (E107); a script would not run it either.
    files = script_files(build_network(graph, case.profile), dict(case.inputs), f"{bad} {bad}")
    assert not any(isinstance(part, ast.Raise) for part in ast.walk(ast.parse(files["run.py"])))


def test_the_command(root, tmp_path, capfd):
    folder = tmp_path / "new" / "script"
    assert run_command(["emit", str(root / "models" / "digits_conv.nir"), "--steps", "5", "-o", str(folder)]) == 0
    assert f"wrote {folder / 'run.py'}" in capfd.readouterr().out
    assert sorted(p.name for p in folder.iterdir()) == ["input.npz", "network.npz", "run.py"]
    text = (folder / "run.py").read_text()
    assert "import spikeport" not in text
    assert str(tmp_path) not in text
    assert run_command(["emit", str(root / "models" / "digits_conv.nir"), "--steps", "5", "-o", str(folder)]) == 0  # its own


def test_it_overwrites_nothing_of_others(root, tmp_path):
    mine = tmp_path / "run.py"
    mine.write_text("print('mine')\n")
    with pytest.raises(UsageError, match=r"E633.*the folder holds run.py, and no script of ours"):
        spikeport.emit(root / "models" / "digits_conv.nir", tmp_path)
    assert mine.read_text() == "print('mine')\n"
    assert [p.name for p in tmp_path.iterdir()] == ["run.py"]


def test_a_backend_without_scripts(root, tmp_path):
    with pytest.raises(UsageError, match="E608: backend engine writes no scripts"):
        spikeport.emit(root / "models" / "digits_conv.nir", tmp_path / "x", "engine")
