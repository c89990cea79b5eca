"""Modes: the same spikes in each, programs that serve many networks, several runs and processes, and no compiler."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import spikeport
from spikeport.backends.brian2 import MODES, Brian2Backend, cache
from spikeport.backends.testing import CONTRACT, cases, check_case, check_contract
from spikeport.ir.diagnostics import RunError, UsageError
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import LIF, Affine, Input, Output
from spikeport.ir.trace import Recording

pytest.importorskip("brian2")

PROFILE = "norse"


def graph(seed, n=7, path="hidden"):
    rng = np.random.default_rng(seed)
    full = lambda value: np.full(n, value)  # noqa: E731
    lif = LIF(full(rng.uniform(1e-3, 3e-3)), full(1.0), full(0.0), full(rng.uniform(0.05, 0.1)), full(0.0))
    nodes = [Node("in", Input((5,))), Node("fc", Affine(rng.normal(0, 1, (n, 5)), rng.normal(0, 1, n))), Node(path, lif)]
    return Graph([*nodes, Node("out", Output((n,)))], [Edge("in", "fc"), Edge("fc", path), Edge(path, "out")])


def spikes(seed, samples=3, steps=20):
    return np.random.default_rng(seed).random((samples, steps, 5)) < 0.3


def run(model, x, mode, **more):
    return spikeport.run(model, x, "brian2", profile=PROFILE, record="all", backend_options={"mode": mode}, **more)


def same(model, x, result):
    expected = spikeport.run(model, x, "reference", profile=PROFILE, record="all")
    assert expected.spikes["hidden"].sum() > 0
    assert spikeport.compare(expected, result).equal


@pytest.mark.parametrize("mode", MODES)
def test_spikes_are_the_references(mode):
    same(graph(0), spikes(0), run(graph(0), spikes(0), mode))


@pytest.mark.parametrize("mode", MODES)
def test_the_time_is_split(mode):
    seconds = run(graph(0), spikes(0), mode).trace.seconds
    assert {"generate", "compile", "run"} <= set(seconds)
    assert seconds["run"] > 0


def test_a_program_serves_other_weights_inputs_samples_and_steps():
    run(graph(0), spikes(0), "cpp_standalone")
    for seed, samples, steps in ((1, 1, 5), (2, 4, 31)):
        again = run(graph(seed), spikes(seed, samples, steps), "cpp_standalone")
        assert (again.trace.seconds["generate"], again.trace.seconds["compile"]) == (0.0, 0.0)
        same(graph(seed), spikes(seed, samples, steps), again)


def test_several_executables_at_a_time():
    program = spikeport.compile(graph(0), None, PROFILE)
    with Brian2Backend("numpy").emit(program) as one, Brian2Backend("cpp_standalone").emit(program) as two:
        first = [e.run({"in": spikes(0)}, Recording(None)).spikes["hidden"] for e in (one, two)]
        again = [e.run({"in": spikes(0)}, Recording(None)).spikes["hidden"] for e in (two, one)]
    assert all(np.array_equal(first[0], other) for other in (*first, *again))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: run(graph(seed), spikes(seed), MODES[2 * (seed % 2)]), range(6)))
    for seed, result in enumerate(found):
        same(graph(seed), spikes(seed), result)


def test_two_processes_want_the_same_program(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "net.nir"
    spikeport.export(graph(3), file, dialect="spikeport", profile=PROFILE)
    np.save(tmp_path / "x.npy", spikes(3))
    command = [sys.executable, "-P", "-m", "spikeport.runtime.cli.main", "run", str(file), "--profile", PROFILE, "--backend",
               "brian2", "--mode", "cpp_standalone", "--input", str(tmp_path / "x.npy"), "--json"]  # fmt: skip
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [p.communicate(timeout=300) for p in processes]
    assert [p.returncode for p in processes] == [0, 0], said
    programs = [p for p in cache.folder().iterdir() if (p / "main").is_file()]
    assert len(programs) == 1
    third = subprocess.run(command, capture_output=True, text=True, check=True)
    assert '"compile": 0.0' in third.stdout


def test_the_command_compiles_once(tmp_path, monkeypatch, capfd, root):
    from spikeport.runtime.cli.main import run_command

    (tmp_path / "brian2.py").write_text("raise ImportError('not the package')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((2, 1, 8, 8)))
    model, x = root / "models" / "digits_conv.nir", tmp_path / "x.npy"
    command = ["run", str(model), "-i", str(x), "--encode", "constant", "--steps", "4", "--backend",
                "brian2", "--mode", "cpp_standalone", "-t", "loihi2", "--json"]  # fmt: skip
    found = []
    for _ in range(2):
        assert run_command(command) == 0
        found.append(capfd.readouterr().out)
    assert '"compile": 0.0' not in found[0]
    assert '"compile": 0.0' in found[1]


def test_without_a_compiler_it_is_numpy_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    result = run(graph(0), spikes(0), "cpp_standalone")
    (line,) = [note for note in result.notes if "compiler" in note]
    assert line == "no C++ compiler for Brian2's mode cpp_standalone: it runs in the mode numpy, with the same spikes"
    assert result.trace.meta["mode"] == "numpy"
    same(graph(0), spikes(0), result)


def test_a_compiler_that_fails_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(RunError, match=r"E812.*the C\+\+ compiler failed with exit code 1"):
        run(graph(0), spikes(0), "cpp_standalone")
    assert [p for p in cache.folder().iterdir() if p.is_dir()] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "nunpy"}, "takes numpy | cython | cpp_standalone, not 'nunpy' (did you mean 'numpy'?)"),
        ({"mood": "numpy"}, "backend brian2 has no option 'mood' (did you mean 'mode'?)"),
    ],
)
def test_an_option_that_it_does_not_have(options, message):
    with pytest.raises(UsageError) as caught:
        Brian2Backend().with_options(options)
    (found,) = caught.value.diagnostics
    assert found.code == "E607"
    assert message in found.message


def test_it_leaves_the_users_brian2_alone():
    import brian2

    before = brian2.prefs["codegen.target"], brian2.get_device()
    run(graph(0), spikes(0), "numpy")
    assert (brian2.prefs["codegen.target"], brian2.get_device()) == before


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "every"), [("cython", 15), ("cpp_standalone", 5)])
@pytest.mark.parametrize("part", range(4))
def test_the_kit_in_the_compiled_modes(mode, every, part):
    for case in cases()[part * every :: 4 * every]:
        check_case(Brian2Backend(mode), case).require()


@pytest.mark.slow
@pytest.mark.parametrize("promise", CONTRACT)
@pytest.mark.parametrize("mode", MODES[1:])
def test_the_contract_in_the_compiled_modes(mode, promise):
    check_contract(Brian2Backend(mode), promise).require()
