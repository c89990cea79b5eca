"""Arithmetic loihi from the command and the API: scales from data, the conversion table, silence that drains, refusals."""

import json

import numpy as np
import pytest
from small_models import PROFILE, small_graph, spikes, write_builder

import spikeport
from spikeport.ir import Edge, Node
from spikeport.ir.diagnostics import ProfileError, RunError, UnsupportedError, UsageError
from spikeport.ir.ops import Flatten

LABELS = np.array([0, 1, 2, 0, 1])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_builder(tmp_path)
    np.save("x.npy", spikes((5, 20, 4)))
    np.savez("calib.npz", inputs=spikes((5, 20, 4)), labels=LABELS)
    return tmp_path


COMPILE = ("compile", "model.py:build", "-t", "loihi1", "-p", PROFILE, "--arith", "loihi", "-o", "m.spk")


def test_compile_prints_what_became_of_every_number(here, call):
    code, out, err = call(*COMPILE, "--data", "calib.npz")
    assert code == 0, err
    for what in ("threshold", "dv", "du", "bias", "weights", "5 samples", "accuracy:", "steps behind the model", "hidden 1"):
        assert what in out, out
    data = json.loads(call(*COMPILE, "--data", "calib.npz", "--json")[1])
    rows = {(r["path"], r["parameter"]): r for r in data["conversion"]}
    assert {p for p, _ in rows} == {"hidden", "readout", "fc1", "fc2"}
    assert rows["hidden", "threshold"]["error"] < 1e-12
    assert rows["hidden", "dv"]["integer"] == [819, 819]  # 4096/5
    assert rows["hidden", "dv"]["error"] == pytest.approx(abs(819 / 4096 - 0.2) / 0.8)
    weights = rows["fc1", "weights"]
    assert (weights["size"], weights["saturated"]) == (24, 0)
    assert 0 < weights["error"] < 0.005
    assert data["lags"] == {"hidden": 1, "readout": 2}
    assert data["measured"]["samples"] == 5
    assert len(data["measured"]["correct"]) == 2


def test_without_data_it_says_what_it_takes_the_input_for(here, call):
    code, _, err = call(*COMPILE)
    assert code == 0
    assert "E537" in err
    assert "spikes, 0 or 1" in err


def test_engine_and_reference_run_an_artifact_alike_and_drain_it(here, call):
    assert call(*COMPILE, "--data", "calib.npz")[0] == 0
    for backend in ("engine", "reference"):
        code, _, err = call("run", "m.spk", "-i", "x.npy", "-b", backend, "--record", "all", "--record-state",
                            "-o", f"{backend}.npz")  # fmt: skip
        assert code == 0, err
        assert "2 steps without input appended" in err
    code, out, err = call("compare", "engine.npz", "reference.npz")
    assert code == 0, out + err
    with np.load("engine.npz") as found:
        assert {k.split("/")[0] for k in found} == {"spikes", "out", "v", "i", "meta"}
        assert found["i/hidden"].shape == (5, 22, 6)
    assert "appended" not in call("run", "m.spk", "-i", "x.npy", "-b", "reference", "--steps", "20")[2]


def test_the_integers_do_nearly_what_the_model_does():
    graph, x = small_graph(), spikes((40, 30, 4))
    ours = spikeport.run(graph, x, "reference", profile=PROFILE, arith="loihi", record="all")
    theirs = spikeport.run(graph, x, "reference", profile=PROFILE, record="all")
    for late, path in ((1, "hidden"), (2, "readout")):
        a, b = theirs.spikes[path], ours.spikes[path][:, late : late + 30]
        assert np.count_nonzero(a) > 100
        assert np.count_nonzero(a != b) < 0.04 * a.size


def test_an_artifact_refuses_another_arithmetic_and_other_input():
    graph, x = small_graph(), spikes((3, 20, 4))
    program = spikeport.compile(graph, None, PROFILE, arith="loihi", data=x)
    with pytest.raises(UsageError, match="E620"):
        spikeport.run(program, x, arith="float64")
    with pytest.raises(ProfileError, match="E336"):
        spikeport.run(program, x, profile=PROFILE)
    with pytest.raises(RunError, match=r"E806.*values from 0 to 2; the program was compiled for 0 to 1"):
        spikeport.run(program, 2 * x, "reference")
    with pytest.raises(RunError, match=r"E806.*the value 0.5 is no multiple of 1/1"):
        spikeport.run(program, 0.5 * x, "reference")


def test_graded_input_enters_in_the_unit_that_the_data_shows():
    graph, x = small_graph(), spikes((3, 20, 4)) * np.random.default_rng(0).integers(0, 17, (3, 20, 4)) / 16
    program = spikeport.compile(graph, "loihi2", PROFILE, arith="loihi", data=x)
    assert program.graph["input"].notes["loihi_input"] == {"scale": 16.0, "least": 0, "most": 16, "rounding": 1e-4}
    spikeport.run(program, x, "reference")


@pytest.mark.parametrize(
    ("labels", "what"), [(np.zeros(4, int), "shape"), (np.zeros(5), "float64"), (np.zeros((5, 1), int), "shape")]
)
def test_labels_must_fit_the_data(labels, what):
    with pytest.raises(UsageError, match=f"E624.*{what}"):
        spikeport.compile(
            small_graph(), None, PROFILE, arith="loihi", data={"inputs": spikes((5, 20, 4)), "labels": labels}
        )  # fmt: skip


@pytest.mark.parametrize(
    ("arith", "word", "what"),
    [("loihi", "reset-chnge", r"did you mean 'reset-change'\?"), ("float64", "reset-change", "has no approximation")],
)
def test_an_approximation_that_would_do_nothing_is_refused(arith, word, what):
    with pytest.raises(UsageError, match=f"E625.*{what}"):
        spikeport.compile(small_graph(), None, PROFILE, arith=arith, data=spikes((5, 20, 4)), allow=(word,))


def test_outputs_behind_a_flatten_are_drained_too():
    graph, x = small_graph(), spikes((5, 20, 4))
    edges = [e for e in graph.edges if e.target != "output"]
    behind = graph.replace(
        nodes=[*graph.nodes, Node("flatter", Flatten(0, -1))],
        edges=[*edges, Edge("readout", "flatter"), Edge("flatter", "output")],
    )
    data = {"inputs": x, "labels": LABELS}
    program = spikeport.compile(behind, None, PROFILE, arith="loihi", data=data)
    assert program.notes["drain"] == 2
    plain = spikeport.compile(graph, None, PROFILE, arith="loihi", data=data)
    assert program.notes["measured"]["correct"] == plain.notes["measured"]["correct"]


def test_a_reset_by_subtraction_is_changed_on_request_only_and_measured():
    graph, x = small_graph(), spikes((5, 20, 4))
    subtract = "norse:subtract,dt=1e-3"
    with pytest.raises(UnsupportedError, match=r"E530 at hidden: this LIF has a reset by subtraction"):
        spikeport.compile(graph, None, subtract, arith="loihi", data=x)
    with pytest.raises(UnsupportedError, match=r"E536.*only be measured on data"):
        spikeport.compile(graph, None, subtract, arith="loihi", allow=("reset-change",))
    program = spikeport.compile(
        graph, None, subtract, arith="loihi", allow=("reset-change",), data={"inputs": x, "labels": LABELS}
    )
    warned = [d for d in program.notes["warnings"] if d["code"] == "E536"]
    assert [d["path"] for d in warned] == ["hidden", "readout"]
    theirs, ours = program.notes["measured"]["layers"]["readout"]["spikes"]
    assert theirs > ours > 0
    assert len(program.notes["measured"]["correct"]) == 2
