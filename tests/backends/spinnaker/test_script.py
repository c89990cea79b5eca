"""Emitted PyNN programs: exact arrays, the reference's spikes under sPyNNaker's own rules, a run on the virtual board."""

import dataclasses
import os
import runpy
import subprocess
import sys
import types
from functools import partial

import numpy as np
import pytest
from pretended_spinnaker import Machine
from spinnaker_nets import DT, NETS, PROFILE, chain, compiled, cuba, lif, spikes, weights

import spikeport
from spikeport.backends.environments import python_of
from spikeport.backends.matrices import matrix_of
from spikeport.backends.spinnaker.backend import BACKEND
from spikeport.backends.spinnaker.start import walked_back
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.network import build_network
from spikeport.ir.ops import LI, Affine, Extras, Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.spinnaker import FULL, ONE, Core
from spikeport.ir.trace import Recording
from spikeport.runtime.cli.main import run_command

BUILD = """\
    n['in'] = sim.Population(3, sim.SpikeSourceArray(spike_times=times['in']), label='in')
    n['h 1'] = sim.Population(
        2, sim.IF_curr_exp(tau_m=15.003662109375, cm=15.003662109375, v_rest=0.0, v_reset=0.0, v_thresh=p['h 1.v_thresh'], \
tau_refrac=0.0, i_offset=0.0, tau_syn_E=4.99969482421875, tau_syn_I=4.99969482421875),
        label='h 1', additional_parameters={"max_expected_summed_weight": [768.0, 384.0], "neurons_per_core": 2},
    )
    n['h 1'].initialize(v=0.0)
    join(n['in'], n['h 1'], 'fc', delay=1)
"""


def written(files, folder, is_virtual=True):
    for name, content in files.items():
        if isinstance(content, str):
            text = content if is_virtual else content.replace("virtual_board = True", "virtual_board = False")
            (folder / name).write_text(text, "utf-8")
        else:
            np.savez(folder / name, **content)
    return folder


def pretended(files, folder, monkeypatch):
    """Run an emitted program on the pretended machine; return the machine and what it recorded."""
    written(files, folder, is_virtual=False)
    machine, package = Machine(), types.ModuleType("pyNN")
    package.spiNNaker = machine
    monkeypatch.setitem(sys.modules, "pyNN", package)
    monkeypatch.setitem(sys.modules, "pyNN.spiNNaker", machine)
    monkeypatch.setattr(sys, "argv", ["run.py", str(folder / "input.npz"), str(folder / "rasters.npz")])
    monkeypatch.setenv("HOME", str(folder))
    (folder / ".spynnaker.cfg").write_text("")
    monkeypatch.chdir(folder)
    runpy.run_path(str(folder / "run.py"), run_name="__main__")
    with np.load(folder / "rasters.npz") as found:
        return machine, dict(found)


@pytest.mark.parametrize("name", NETS)
def test_the_program_under_spynnaker_s_rules_does_what_the_reference_does(name, tmp_path, monkeypatch):
    program, inputs = compiled(name)
    files = BACKEND.script(program, inputs, 'a net\nwith "names"')
    machine, found = pretended(files, tmp_path, monkeypatch)
    network = build_network(program.graph, program.profile, program.arithmetic)
    wanted = run_reference(network, inputs, Recording((*network.models, *network.graph.spiking), True))
    assert set(found) == set(network.models)
    for path, model in network.models.items():
        array = wanted.v[path] if model.threshold is None else wanted.spikes[path]
        assert np.array_equal(found[path], array), path
        assert np.any(array), path
    assert machine.saturated == 0


@pytest.mark.parametrize(("boundary", "runs"), [("reset", 3), ("carry", 1), ("silence(4)", 1)])
def test_samples_are_kept_apart_as_the_profile_says(boundary, runs, tmp_path, monkeypatch):
    graph = NETS["recurrent"]()
    program = spikeport.compile(graph, "spinnaker1", profile=f"{PROFILE},boundary={boundary}", arith="spinnaker1")
    inputs = spikes(graph, samples=3)
    inputs["in"][1] = 0  # 7.4.1 takes no source that never spikes
    machine, found = pretended(BACKEND.script(program, inputs, "a net"), tmp_path, monkeypatch)
    network = build_network(program.graph, program.profile, program.arithmetic)
    wanted = run_reference(network, inputs, Recording(tuple(network.graph.spiking)))
    assert machine.runs == runs
    assert all(np.array_equal(found[path], wanted.spikes[path]) for path in network.models)


def biased(seed):
    """Return a net whose layers move by themselves from the first step on, though they hear something only later."""
    rng = np.random.default_rng(seed)
    first, second = cuba((20,)), lif((8,), tau=9.0)
    starts = [Extras(v_init=rng.uniform(-0.3, 0.2, op.r.shape)) for op in (first, second)]
    li = LI(DT * 9 * np.ones(3), 9 * np.ones(3), np.zeros(3))
    return chain(
        ("in", Input((6,))), ("a", Affine(weights(seed, 20, 6), rng.normal(0.2, 0.3, 20))),
        ("h", dataclasses.replace(first, extras=starts[0])),
        ("b", Affine(weights(seed + 1, 8, 20) / 3, rng.normal(0.1, 0.05, 8))),
        ("o", dataclasses.replace(second, extras=starts[1])),
        ("c", Affine(weights(seed + 2, 3, 8), rng.normal(0, 0.1, 3))), ("v", li), ("out", Output((3,))),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a_layer_that_hears_nothing_at_first_starts_so_that_it_arrives(seed, tmp_path, monkeypatch):
    graph = biased(seed)
    # In this profile a spike goes through all layers in one step; on SpiNNaker each hop takes one.
    program = spikeport.compile(graph, "spinnaker1", profile=f"snntorch:zero,dt={DT}", arith="spinnaker1")
    inputs = spikes(graph)
    files = BACKEND.script(program, inputs, "a net")
    _, found = pretended(files, tmp_path, monkeypatch)
    network = build_network(program.graph, program.profile, program.arithmetic)
    wanted = run_reference(network, inputs, Recording((*network.models, *network.graph.spiking), True))
    held = {path: 0 if m.held_init is None else int(np.max(m.held_init)) for path, m in network.models.items()}
    assert [held[p] for p in ("h", "o", "v")] == [1, 2, 3]
    for path in ("h", "o"):
        assert np.array_equal(found[path], wanted.spikes[path]), path
        assert found[path].any()
    assert np.array_equal(found["v"][:, 3:], wanted.v["v"][:, 3:])
    assert not np.array_equal(found["v"][:, :3], wanted.v["v"][:, :3])
    assert "`o`: hears nothing for 2 steps" in files["README.md"]


def core(n, rng, threshold):
    register, none = partial(rng.integers, size=n), np.zeros(n, np.int64)
    return Core(
        (n,), register(1, ONE + 1), np.full(n, ONE), register(-(1 << 20), 1 << 20), none, none, np.full(n, threshold), none,
        register(0, FULL), register(0, FULL), (5, 5),
    )  # fmt: skip


def test_a_start_arrives_by_python_s_integers_or_is_none():
    rng, none = np.random.default_rng(0), 0
    for _ in range(200):
        one = core(1, rng, 1 << 22)
        wanted, current = int(rng.integers(-(1 << 20), 1 << 20)), int(rng.integers(-(1 << 18), 1 << 18))
        held = int(rng.integers(0, 9))
        start = walked_back(one, np.array([wanted / ONE]), np.array([current / ONE]), np.array([held]))
        if start is None:
            none += 1
            continue
        v, (exc, inh) = int(start[0] * ONE), (max(current, 0), max(-current, 0))
        for _ in range(held):
            exc, inh = exc * int(one.decay[0]) >> 32, inh * int(one.decay[0]) >> 32
            rest = exc - inh + int(one.v_rest[0])
            v = rest - (int(one.exp_tc[0]) * (rest - v) >> 15)
            assert v < 1 << 22
        assert v == wanted
    assert 0 < none < 150


def test_a_start_that_would_spike_or_leave_its_register_is_none():
    rng = np.random.default_rng(1)
    slow = dataclasses.replace(core(1, rng, 1 << 22), exp_tc=np.array([ONE // 2]), v_rest=np.array([0]))
    assert walked_back(slow, np.array([1.0]), np.zeros(1), np.array([3]))[0] == pytest.approx(8, abs=2**-10)
    assert walked_back(slow, np.array([100.0]), np.zeros(1), np.array([3])) is None  # 800 is above its threshold of 128
    assert walked_back(slow, np.array([-100.0]), np.zeros(1), np.array([10])) is None  # and this below -65,536


def tiny():
    return chain(("in", Input((3,))), ("fc", Linear(weights(1, 2, 3))), ("h 1", cuba((2,))), ("out", Output((2,))))


def test_the_text_and_the_arrays():
    program = spikeport.compile(tiny(), "spinnaker1", profile=PROFILE, arith="spinnaker1")
    network = build_network(program.graph, program.profile, program.arithmetic)
    files = BACKEND.script(program, spikes(tiny()), "tiny.nir, written\nby nobody")
    assert BUILD in files["run.py"]
    assert files["run.py"].startswith('"""tiny.nir, written\n')
    assert "spikeport" not in files["run.py"]
    matrix = matrix_of(network.ops["fc"], (3,), (2,))
    assert set(files["network.npz"]) == {"fc/pre", "fc/post", "fc/weight", "h 1.v_thresh"}
    assert np.array_equal(files["network.npz"]["h 1.v_thresh"] * 2**15, network.models["h 1"].core.threshold)
    assert np.array_equal(files["network.npz"]["fc/weight"], matrix.values)
    assert np.array_equal(files["network.npz"]["fc/pre"], matrix.columns)
    assert np.array_equal(files["network.npz"]["fc/post"], matrix.rows)
    readme = files["README.md"]
    for words in ("untested", "`h 1` | IF_curr_exp | 2", "virtual_board = False", "spalloc_server", "get_data", "in real time",
                  "| `fc` | `in` | `h 1` | 6 | 1 |", "largest relative error"):  # fmt: skip
        assert words in readme


def test_a_model_of_another_step_and_neurons_that_differ():
    shape = (3,)
    graph = chain(
        ("in", Input((3,))), ("fc", Linear(weights(1, 3, 3))), ("h", lif(shape, np.array([5.0, 9.0, 30.0]))),
        ("out", Output(shape)),
    )  # fmt: skip
    program = spikeport.compile(graph, "spinnaker1", profile="spynnaker,dt=1e-4", arith="spinnaker1")
    files = BACKEND.script(program, spikes(graph), "a net")
    assert files["network.npz"]["h.tau_m"].shape == (3,)
    assert "tau_m=p['h.tau_m']" in files["run.py"]
    assert "A step is 0.1 ms of the model and\ntakes the machine 1 ms: it runs 10 times slower." in files["README.md"]


def test_it_runs_as_it_is_on_the_virtual_board_without_spikeport(environment, tmp_path):
    program, inputs = compiled("recurrent")
    folder = written(BACKEND.script(program, {p: np.repeat(x, 2, 0) for p, x in inputs.items()}, "a net"), tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    clean = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(tmp_path)}
    command = [str(python_of(environment)), "-I", str(folder / "run.py")]
    done = subprocess.run(command, cwd="/", env=clean, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1].startswith("A virtual board: placed and routed")
    assert (folder / "reports").is_dir()
    assert not list(home.iterdir())


def test_what_a_program_cannot_say_is_refused_by_name():
    held = LI(DT * 9 * np.ones(2), 9 * np.ones(2), np.zeros(2), extras=Extras(held_init=np.array([3, 0])))
    graph = chain(("in", Input((3,))), ("fc", Linear(weights(1, 2, 3))), ("v", held), ("out", Output((2,))))
    program = spikeport.compile(tiny(), None, profile=PROFILE, arith="spinnaker1")
    with pytest.raises(UnsupportedError, match=r"E550 at in: the input has values such as 0.5"):
        BACKEND.script(program, {"in": np.full((1, 4, 3), 0.5)}, "a net")
    other = spikeport.compile(tiny(), None, profile=PROFILE, arith="spinnaker2")
    with pytest.raises(UnsupportedError, match=r"E550: the network is in arithmetic spinnaker2"):
        BACKEND.script(other, spikes(tiny()), "a net")
    far = chain(("in", Input((3,))), ("fc", Linear(weights(1, 300, 3))), ("h", lif((300,))), ("out", Output((300,))),
                delays={("in", "fc"): 300})  # fmt: skip
    late = spikeport.compile(far, None, profile=PROFILE, arith="spinnaker1")
    with pytest.raises(UnsupportedError, match=r"E550 at fc: spikes take 300 steps from in to h; .* 1 to 288 steps"):
        BACKEND.script(late, spikes(far), "a net")
    with pytest.raises(UnsupportedError, match=r"E5[35]0 at v"):
        BACKEND.script(spikeport.compile(graph, None, profile=PROFILE, arith="spinnaker1"), spikes(graph), "a net")


def test_the_command_writes_it(tmp_path, capsys):
    from spikeport.runtime.artifact import save_artifact

    program, _ = compiled("dense")
    save_artifact(program, tmp_path / "net.spk")
    assert (
        run_command(["emit", str(tmp_path / "net.spk"), "--backend", "spinnaker", "-o", str(tmp_path / "out"), "--steps", "5"])
        == 0
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "README.md",
        "input.npz",
        "network.npz",
        "run.py",
        "spynnaker.cfg",
    ]
    assert "net.spk" in (tmp_path / "out" / "run.py").read_text()
    assert "wrote" in capsys.readouterr().out
