"""Sweeps over fault rates: scores, intervals, seeds, data without labels, the command, and what is refused."""

import importlib
import json

import numpy as np
import pytest
from fault_parts import INPUT, spikes, two_layers
from mapped import PROFILE, chain, lif

from spikeport.ir.diagnostics import BackendUnavailable, SpikeportError
from spikeport.ir.graph import Edge, Node
from spikeport.ir.ops import Input, Linear, Output
from spikeport.models import digits
from spikeport.runtime.cli.main import run_command
from spikeport.runtime.hil import robustness_text
from spikeport.runtime.hil.metrics import top1, wilson
from spikeport.runtime.hil.robustness import robustness
from spikeport.runtime.hil.robustness_text import format_robustness, save_plot

LABELS = np.array([1, 2, 0])


def labelled(**more):
    return {"in": INPUT, "labels": LABELS, **more}


def model():
    """Return the graph of two layers, with the profile that it needs beside it."""
    return two_layers().graph


def sweep(faults, rates, data=None, **options):
    return robustness(model(), labelled() if data is None else data, faults, rates, profile=PROFILE, **options)


def refused(call, *arguments, **options):
    with pytest.raises(SpikeportError) as found:
        call(*arguments, **options)
    return [d.code for d in found.value.diagnostics]


def test_scores_are_those_of_runs_with_each_seed():
    found = sweep(["spike_drop:layer=one,seed=3", "stuck:at=1"], [0, 0.3, 0.9], seeds=4)
    assert [c.fault for c in found.curves] == ["spike_drop:layer=one,seed=3", "stuck:at=1"]
    sound = spikes(two_layers())["out"]
    for curve, text in zip(found.curves, ("spike_drop:p={},layer=one,seed={}", "stuck:p={},at=1,seed={}"), strict=True):
        first = 3 if "layer" in text else 0
        assert [p.rate for p in curve.points] == [0, 0.3, 0.9]
        for point in curve.points[1:]:
            outs = [spikes(two_layers(), text.format(point.rate, first + n))["out"] for n in range(4)]
            assert point.right == tuple(int((top1(out) == LABELS).sum()) for out in outs)
            assert point.changed == pytest.approx(np.mean([out != sound for out in outs]))
    assert found.score == "accuracy"
    assert (found.seeds, found.steps, found.target, found.backend) == (4, 20, "", "engine")


def test_the_rate_0_is_the_sound_network_exactly():
    right = int((top1(spikes(two_layers())["out"]) == LABELS).sum())
    found = sweep(["spike_drop", "late", "bit_flip", "saturate", "stuck"], [0], seeds=3)
    assert found.sound.right == (right,)
    assert found.sound.value == right / 3
    assert {(p.right, p.changed) for c in found.curves for p in c.points} == {((right,), 0.0)}


def test_seeds_that_draw_nothing_are_one_run():
    told = []
    found = sweep("saturate", [8, 2, 0], seeds=5, progress=lambda done, total: told.append((done, total)))
    assert [len(p.right) for p in found.curves[0].points] == [1, 1, 1]
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert found.curves[0].points[0].changed == 0.0 < found.curves[0].points[1].changed


def test_the_interval_is_for_the_samples_and_not_for_the_seeds():
    (curve,) = sweep("spike_drop", [0.5], seeds=6).curves
    (point,) = curve.points
    assert point.interval == wilson(sum(point.right) / 6, 3)
    assert point.value == pytest.approx(np.mean(point.right) / 3)


def test_without_labels_it_is_the_agreement_with_the_sound_network():
    found = sweep("spike_drop", [0, 1], {"in": INPUT}, seeds=2)
    assert found.score == "agreement"
    assert found.sound.right == (3,)
    silent = int((top1(spikes(two_layers())["out"]) == 0).sum())  # nothing comes out: the first class, everywhere
    assert found.curves[0].points[1].right == (silent, silent)


def test_faults_that_are_joined_have_one_rate():
    (both,) = sweep("spike_drop/late:steps=2", [0.4], seeds=1).curves
    out = spikes(two_layers(), "spike_drop:p=0.4/late:p=0.4,steps=2")["out"]
    assert both.fault == "spike_drop/late:steps=2"
    assert both.points[0].right == (int((top1(out) == LABELS).sum()),)


def test_backends_portions_and_artifacts_give_the_same(monkeypatch):
    whole = sweep(["spike_drop", "late"], [0.3], seeds=2)
    monkeypatch.setattr("spikeport.runtime.hil.robustness._PORTION", 1)
    assert sweep(["spike_drop", "late"], [0.3], seeds=2).curves == whole.curves
    assert sweep(["spike_drop", "late"], [0.3], seeds=2, backend="reference").curves == whole.curves
    assert robustness(two_layers(), labelled(), ["spike_drop", "late"], [0.3], seeds=2).curves == whole.curves


def test_data_has_a_digest_of_inputs_and_labels():
    one, same = sweep("stuck", [0]), sweep("stuck", [0], labelled(**{"in": INPUT.astype(float)}))
    other, none = sweep("stuck", [0], labelled(labels=LABELS[::-1])), sweep("stuck", [0], {"in": INPUT})
    assert one.data == same.data
    assert len({one.data, other.data, none.data}) == 3
    assert one.graph == none.graph


def test_what_it_gives_is_plain_data():
    found = sweep(["spike_drop"], [0, 0.5], seeds=2)
    data = json.loads(json.dumps(found.to_json()))
    assert data["format"] == "spikeport robustness 1"
    assert data["samples"] == 3
    point = data["curves"][0]["points"][1]
    assert (point["low"], point["high"]) == found.curves[0].points[1].interval
    assert point["value"] == found.curves[0].points[1].value
    text = format_robustness(found)
    assert f"without faults: {found.sound.right[0]} of 3 right" in text
    assert f"{found.curves[0].points[1].value:.2%}" in text


@pytest.mark.parametrize(
    ("faults", "rates", "options", "codes"),
    [
        ([], [0.1], {}, ["E890"]),
        ("spike_drop", [], {"seeds": 0}, ["E890", "E890"]),
        ("spike_drop", [-0.1], {}, ["E890"]),
        ("spike_drop", [float("nan")], {}, ["E890"]),
        ("spike_drop", [2], {}, ["E885"]),
        ("spike_dorp", [0.1], {}, ["E885"]),
        ("device_dies", [0.1], {}, ["E886"]),
        ("dead_core", [0.1], {}, ["E887"]),
        ("spike_drop", [0.1], {"output": "two"}, ["E890"]),
        ("spike_drop", [0.1], {"backend": "engin"}, ["E601"]),
        ("spike_drop", [0.1], {"data": {"in": INPUT, "labels": LABELS[:2]}}, ["E624"]),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(faults, rates, options, codes):
    told = []
    assert refused(sweep, faults, rates, progress=lambda *n: told.append(n), **options) == codes
    assert told == []


def test_several_outputs_need_a_name():
    graph = chain(("in", Input((4,))), ("a", Linear(np.ones((3, 4)))), ("n", lif((3,))), ("out", Output((3,))))
    graph = graph.replace(nodes=[*graph.nodes, Node("more", Output((3,)))], edges=[*graph.edges, Edge("n", "more")])
    assert refused(robustness, graph, labelled(), "stuck", [0.1], profile=PROFILE) == ["E890"]
    assert robustness(graph, labelled(), "stuck", [0.1], profile=PROFILE, output="more").sound.samples == 3


@pytest.mark.parametrize("name", ["dense", "conv", "rows"])
def test_the_digit_networks_lose_accuracy_with_faults(name, root):
    experiment = importlib.import_module(f"spikeport.models.digits_{name}").EXPERIMENT
    _, _, x, y = digits.split()
    data = {"input": experiment.encode(x[:200]), "labels": y[:200]}
    found = robustness(root / "models" / f"digits_{name}.nir", data, ["spike_drop", "bit_flip"], [0, 0.5], seeds=2)
    card = {"dense": 891, "conv": 891, "rows": 869}[name] / 899
    assert abs(found.sound.value - card) < 0.03
    for curve in found.curves:
        assert curve.points[0].value == found.sound.value
        assert curve.points[1].value < found.sound.value - 0.05


def test_the_command_writes_table_numbers_and_picture(tmp_path, root, capsys):
    _, _, x, y = digits.split()
    experiment = importlib.import_module("spikeport.models.digits_dense").EXPERIMENT
    np.savez(tmp_path / "d.npz", input=experiment.encode(x[:60]), labels=y[:60])
    call = ["robustness", str(root / "models" / "digits_dense.nir"), "--fault", "spike_drop", "-f", "dead_core", "-d",
            str(tmp_path / "d.npz"), "--rates", "0,0.5", "--seeds", "2", "-t", "loihi2", "-o", str(tmp_path / "p.png"),
            "--report", str(tmp_path / "r.json")]  # fmt: skip
    assert run_command(call) == 0
    said = capsys.readouterr()
    assert "spike_drop" in said.out
    assert "dead_core" in said.out
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["target"] == "loihi2"
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert run_command([*call, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["curves"] == data["curves"]
    assert answer["written"] == [str(tmp_path / "p.png"), str(tmp_path / "r.json")]
    assert run_command([*call[:2], "-f", "spike_drop", "-d", str(tmp_path / "d.npz"), "--rates", "0,a"]) == 2
    assert "no numbers" in capsys.readouterr().err
    assert run_command([*call[:2], "-f", "dead_core", "-d", str(tmp_path / "d.npz")]) == 3
    assert "E887" in capsys.readouterr().err


def test_without_matplotlib_the_picture_is_refused_at_once(tmp_path, monkeypatch):
    found = sweep("stuck", [0, 0.2], seeds=1)
    save_plot(found, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(robustness_text, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable) as error:
        save_plot(found, tmp_path / "q.png")
    assert (error.value.diagnostics[0].code, error.value.diagnostics[0].hint) == ("E891", "pip install 'spikeport[hil]'")
    assert run_command(["robustness", "m.nir", "-f", "stuck", "-d", "d.npz", "-o", str(tmp_path / "q.png")]) == 5
    assert not (tmp_path / "q.png").exists()
