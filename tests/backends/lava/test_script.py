"""Emitted programs: Lava's own process models in a new network for each sample, which the backend and the reference equal."""

import subprocess
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loihi import loihi_networks

import spikeport
from spikeport.backends.environments import python_of
from spikeport.backends.lava.backend import LavaBackend, LavaExecutable
from spikeport.backends.lava.script import script_files
from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.network import build_network
from spikeport.ir.ops import LI, LIF, Conv2d, CubaLIF, Extras, Flatten, Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def write(files, folder):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        if isinstance(content, str):
            (folder / name).write_text(content, "utf-8")
        else:
            np.savez(folder / name, **content)
    return folder


def run(folder, environment, *arguments):
    command = [str(python_of(environment)), "-I", "run.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def assert_program_is(network, inputs, folder, environment, conv="conv", exact=True):
    """The program of *network* records what the reference does."""
    files = script_files(network, inputs, 'a net\nwith "names"', conv)
    assert "spikeport" not in files["run.py"]
    assert max(len(line) for line in files["run.py"].splitlines()) < 400
    done = run(write(files, folder), environment, "input.npz", "rasters.npz")
    assert done.returncode == 0, done.stderr
    wanted = run_reference(network, inputs, Recording((*network.models, *network.graph.spiking), True))
    with np.load(folder / "rasters.npz") as found:
        assert set(found.files) == set(network.models)
        for path, model in network.models.items():
            array = wanted.spikes[path] if model.threshold is not None else wanted.v[path]
            assert np.array_equal(found[path], array) if exact else np.allclose(found[path], array, rtol=1e-9), path
    return wanted


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=QUIET)
@given(case=loihi_networks(max_steps=12), conv=st.sampled_from(("conv", "sparse")))
def test_programs_of_random_networks(case, conv, environment, tmp_path_factory):
    graph, profile, inputs = case
    network = build_network(graph, profile, "loihi")
    assert_program_is(network, inputs, tmp_path_factory.mktemp("program"), environment, conv)


@settings(max_examples=4, suppress_health_check=QUIET)
@given(
    case=loihi_networks(features={"dense", "conv2d", "negative", "cuba", "refractory", "edge_delays", "graded", "integrator"})
)
def test_lava_s_own_models_anew_for_each_sample_are_what_the_backend_runs(case, environment, worker, tmp_path_factory):
    graph, profile, inputs = case
    network = build_network(graph, profile, "loihi")
    wanted = assert_program_is(network, inputs, tmp_path_factory.mktemp("program"), environment)
    with LavaExecutable(network, worker.place, line=worker.get()) as lava:
        found = lava.run(inputs, Recording(None, True))
    assert all(np.array_equal(found.spikes[p], wanted.spikes[p]) for p in found.spikes)


DT = 1e-4


def float_graph():
    rng = np.random.default_rng(5)
    one = np.ones((2, 4, 4))
    image = LIF(DT * 8 * one, 8 * one, 0 * one, 0.8 * one, 0 * one, extras=Extras(refractory_steps=np.array(2)))
    five = np.ones(5)
    cuba = CubaLIF(DT * 9 * five, DT * 4 * five, 9 * five, 0 * five, 0.6 * five, 0 * five, 4 * five)
    conv = Conv2d(None, rng.normal(0.3, 0.5, (2, 1, 3, 3)), (1, 1), (1, 1), (1, 1), 1, np.zeros(2))
    layers = [
        ("in", Input((1, 4, 4))), ("Conv.1", conv), ("lambda", image), ("flat", Flatten(0, -1)),
        ("2", Linear(rng.normal(0.1, 0.3, (5, 32)))), ("print", cuba), ("p", Linear(rng.normal(0, 1, (3, 5)))),
        ("data", LI(DT * 9 * np.ones(3), np.ones(3), np.zeros(3))), ("out", Output((3,))),
    ]  # fmt: skip
    names = [name for name, _ in layers]
    return Graph(tuple(Node(*layer) for layer in layers), tuple(Edge(a, b) for a, b in pairwise(names)))


def test_floating_pt_and_layers_that_are_called_like_python_s_words(environment, tmp_path):
    profile = parse_profile(f"lava_float,dt={DT},boundary=silence(2)")
    network = build_network(float_graph(), profile, "float64")
    x = (np.random.default_rng(6).random((2, 25, 1, 4, 4)) < 0.4).astype(np.uint8)
    wanted = assert_program_is(network, {"in": x}, tmp_path, environment, exact=False)
    assert wanted.spikes["lambda"].sum() > 30
    assert wanted.spikes["print"].sum() > 5


def test_the_program_refuses_input_that_it_is_not_made_for(environment, tmp_path):
    from loihi import GRID, on_grid_lif, with_input_range

    nodes = (
        Node("in", Input((2,))), Node("w", Linear(np.full((1, 2), 30.0))), Node("n", on_grid_lif((1,), threshold=90)),
        Node("out", Output((1,))),
    )  # fmt: skip
    graph = Graph(nodes, (Edge("in", "w"), Edge("w", "n"), Edge("n", "out")))
    network = build_network(with_input_range(graph, "in", -3, 3, 2.0), GRID, "loihi")
    folder = write(script_files(network, {"in": np.ones((1, 5, 2))}, "a net"), tmp_path)
    for number, (x, words) in enumerate(((0.3, "no multiples of 1/2"), (4.0, "leaves its range, -1.5 to 1.5"))):
        np.savez(folder / f"x{number}.npz", **{"in": np.full((1, 5, 2), x)})
        done = run(folder, environment, f"x{number}.npz")
        assert done.returncode == 1
        assert words in done.stderr
    np.savez(folder / "wide.npz", **{"in": np.ones((1, 5, 3))})
    assert "takes 2 values a step, and is given 3" in run(folder, environment, "wide.npz").stderr
    readme = (folder / "README.md").read_text("utf-8")
    for words in ("untested", "PyToNxAdapter", "NxToPyAdapter", "Loihi2HwCfg", "times 2: integers from -3 to 3", "`w` | Dense"):
        assert words in readme


def test_what_lava_lacks_is_not_emitted(tmp_path):
    program = spikeport.compile(float_graph(), None, profile=f"lava_float,dt={DT},compare=>=", arith="float64")
    with pytest.raises(UnsupportedError, match="E544 at lambda"):
        LavaBackend().script(program, {"in": np.ones((1, 3, 1, 4, 4))}, "a net")
