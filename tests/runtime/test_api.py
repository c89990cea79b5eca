import dataclasses
import doctest
import importlib
import json

import numpy as np
import pytest
from small_models import PROFILE, lif, small_graph, spikes, write_builder

import spikeport
from spikeport.ir import Edge, Node, parse_profile
from spikeport.ir.diagnostics import ArtifactError, ImportModelError, InternalError, ProfileError, RunError, UsageError
from spikeport.ir.ops import Input
from spikeport.runtime import api
from spikeport.runtime.artifact import save_artifact


def test_the_facade_offers_it_all():
    assert (spikeport.run, spikeport.check, spikeport.compile) == (api.run, api.check, api.compile)
    assert (spikeport.load, spikeport.from_torch, spikeport.compare) == (api.load, api.from_torch, api.compare)


# ----------------------------------------------------------------------------------------------------------------- load


def test_load_takes_what_is_a_model(tmp_path):
    graph = small_graph()
    model = api.load(graph)
    assert model.graph is graph
    assert model.inputs == {"input": (4,)}
    assert api.load(model) is model
    program = api.compile(graph, None, PROFILE)
    assert api.load(program).profile == program.profile
    save_artifact(program, tmp_path / "a.spk")
    assert api.load(tmp_path / "a.spk").graph == program.graph
    built = api.load(write_builder(tmp_path))
    assert built.graph == graph
    assert built.source.endswith("model.py:build")
    assert api.load(write_builder(tmp_path, "return small_graph(), (4,)")).graph == graph


@pytest.mark.parametrize(
    ("name", "say"),
    [("none.nir", "is not there"), ("modle.py:build", "is not there"), ("model.py", "write"), ("model.txt", "unknown suffix"),
     (".", "is a folder"), ("model.py:biuld", "did you mean 'build'?")],
)  # fmt: skip
def test_what_is_no_model(tmp_path, name, say):
    write_builder(tmp_path)
    (tmp_path / "model.txt").write_text("x")
    with pytest.raises(UsageError, match="E630") as caught:
        api.load(f"{tmp_path}/{name}")
    assert say in str(caught.value)


def test_near_names_are_suggested(tmp_path):
    (tmp_path / "braille.nir").write_bytes(b"")
    with pytest.raises(UsageError, match=r"did you mean 'braille.nir'\?"):
        api.load(tmp_path / "brialle.nir")


def test_the_users_own_code_fails_with_its_line(tmp_path):
    with pytest.raises(ImportModelError, match=r"E080.*raised ZeroDivisionError: division by zero \(line 6\)"):
        api.load(write_builder(tmp_path, "return 1 / 0"))
    with pytest.raises(ImportModelError, match=r"E081.*returned a dict"):
        api.load(write_builder(tmp_path, "return {}"))


def test_other_objects():
    with pytest.raises(UsageError, match="a list is no model"):
        api.load([1])


def test_a_bad_artifact(tmp_path):
    (tmp_path / "bad.spk").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ArtifactError):
        api.load(tmp_path / "bad.spk")


# -------------------------------------------------------------------------------------------------------------- profiles


def test_a_graph_without_a_profile_is_refused():
    with pytest.raises(ProfileError, match="E330"):
        api.run(small_graph(), spikes((5, 4)), "reference")


def test_the_models_own_profile_is_used_and_a_given_one_wins_aloud():
    graph = small_graph(parse_profile(PROFILE))
    assert api.run(graph, spikes((5, 4)), "reference").program.profile == parse_profile(PROFILE)
    program = api.compile(graph, None, "norse:subtract,dt=1e-3")
    assert program.profile.reset == "subtract"
    (warning,) = program.notes["warnings"]
    assert warning["code"] == "E335"
    assert api.compile(graph, None, PROFILE).notes["warnings"] == []


def test_a_compiled_program_carries_profile_arithmetic_and_target():
    program = api.compile(small_graph(), "loihi2", PROFILE)
    x = spikes((5, 4))
    assert api.run(program, x, "reference", profile=PROFILE, arith="float64", target="loihi2").program is program
    with pytest.raises(ProfileError, match="E336"):
        api.run(program, x, "reference", profile="norse:subtract,dt=1e-3")
    with pytest.raises(UsageError, match=r"E620.*compiled for float64, float32 was given"):
        api.run(program, x, "reference", arith="float32")
    with pytest.raises(UsageError, match=r"E621.*compiled for loihi2, loihi1 was given"):
        api.run(program, x, "reference", target="loihi1")
    with pytest.raises(UsageError, match="E618"):
        api.compile(program, "loihi1")


# ------------------------------------------------------------------------------------------------------------------- run


def test_arrays_have_the_leading_axes_of_the_input(tmp_path):
    x = spikes((3, 20, 4))
    batch = api.run(small_graph(), x, "reference", profile=PROFILE, record="all", record_state=True)
    assert {k: v.shape for k, v in batch.arrays().items()} == {
        "spikes/hidden": (3, 20, 6), "spikes/readout": (3, 20, 3), "out/output": (3, 20, 3), "v/hidden": (3, 20, 6),
        "v/readout": (3, 20, 3), "meta": (),
    }  # fmt: skip
    single = api.run(small_graph(), x[1], "reference", profile=PROFILE, record="all", record_state=True)
    for key, value in single.arrays().items():
        if key != "meta":
            assert np.array_equal(value, batch.arrays()[key][1]), key
    assert batch.spikes["hidden"].dtype == np.int32
    assert batch.out["output"].dtype == np.float64
    assert batch.spikes["readout"].sum() > 0
    single.save(tmp_path / "o.npz")
    with np.load(tmp_path / "o.npz") as stored:
        meta = json.loads(str(stored["meta"]))
    assert meta["profile"] == str(parse_profile(PROFILE))
    assert (meta["arithmetic"], meta["dt"], meta["backend"], meta["batched"]) == ("float64", 1e-3, "reference", False)
    assert meta["digests"]["graph"] == small_graph().digest
    assert set(meta["versions"]) >= {"spikeport", "numpy"}


def test_equal_runs_give_equal_files(tmp_path):
    for name in "ab":
        run = api.run(small_graph(), spikes((9, 4)), "reference", profile=PROFILE, record="all", seed=4)
        run.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_recording():
    x = spikes((9, 4))
    assert set(api.run(small_graph(), x, "reference", profile=PROFILE).arrays()) == {"out/output", "meta"}
    some = api.run(small_graph(), x, "reference", profile=PROFILE, record=("hidden", "fc1", "flat"))
    assert set(some.arrays()) == {"out/output", "spikes/hidden", "out/fc1", "out/flat", "meta"}
    with pytest.raises(UsageError, match=r"E622.*no node 'hiden' to record \(did you mean 'hidden'\?\)"):
        api.run(small_graph(), x, "reference", profile=PROFILE, record=("hiden",))


def test_recorded_nodes_stay_when_a_target_is_compiled_for():
    run = api.run(small_graph(), spikes((9, 4)), "reference", target="loihi2", profile=PROFILE, record=("flat",))
    assert "flat" in run.out
    assert "ones" not in run.program.graph


def test_portions_are_the_same_run():
    x = spikes((70, 12, 4))
    seen = []
    plain = api.run(small_graph(), x, "reference", profile=PROFILE, record="all", record_state=True)
    cut = api.run(
        small_graph(),
        x,
        "reference",
        profile=PROFILE,
        record="all",
        record_state=True,
        progress=lambda a, b: seen.append((a, b)),
    )
    assert seen[:2] == [(0, 70), (4, 70)]
    assert seen[-1] == (70, 70)
    assert spikeport.compare(plain, cut).equal
    assert plain.trace.samples == cut.trace.samples
    for path, counts in plain.trace.counts.items():
        other = cut.trace.counts[path]
        assert (counts.spikes, counts.events, counts.synops, counts.updates) == (
            other.spikes, other.events, other.synops, other.updates,
        )  # fmt: skip
        assert np.array_equal(counts.spikes_per_step, other.spikes_per_step)
    assert all(np.array_equal(v, cut.trace.activity[k]) for k, v in plain.trace.activity.items())


def test_samples_that_touch_each_other_are_never_cut():
    seen = []
    profile = f"{PROFILE},boundary=carry"
    api.run(small_graph(), spikes((70, 3, 4)), "reference", profile=profile, progress=lambda a, b: seen.append(a))
    assert seen == []


def test_steps_and_codes_are_said():
    run = api.run(small_graph(), spikes((9, 4)), "reference", profile=PROFILE, steps=11)
    assert run.notes == ("the input has 9 steps; 2 steps of zeros appended",)
    coded = api.run(small_graph(), np.full((2, 4), 0.5), "reference", profile=PROFILE, encode="rate", steps=30, seed=2)
    assert coded.out["output"].shape == (2, 30, 3)


def test_reports_with_and_without_a_target():
    x = spikes((4, 20, 4))
    priced = api.run(small_graph(), x, "reference", target="loihi2", profile=PROFILE).report
    assert priced.target == "loihi2"
    assert priced.energy_dynamic.total.value > 0
    bare = api.run(small_graph(), x, "reference", profile=PROFILE).report
    assert bare.target is None
    assert bare.energy_total.total.value is None


@pytest.mark.parametrize(("module", "kind"), [("spikeport.backends.x", InternalError), ("outside", RunError)])
def test_a_backend_that_fails_is_named(monkeypatch, module, kind):
    from spikeport.backends import reference, registry

    class Broken(reference.ReferenceBackend):
        def emit(self, program):
            raise KeyError("lost")

    Broken.__module__ = module
    monkeypatch.setattr(registry, "get_backend", lambda name: Broken())
    with pytest.raises(kind, match=r"E801: backend reference failed: KeyError: 'lost'"):
        api.run(small_graph(), spikes((3, 4)), "reference", profile=PROFILE)


# ------------------------------------------------------------------------------------------------------- check, compare


def test_check():
    fine = api.check(small_graph(), "loihi2", PROFILE)
    assert fine.ok
    assert fine.program.target == "loihi2"
    assert not [d for d in fine.diagnostics if d.severity == "error"]
    unstated = api.check(small_graph())
    assert (unstated.ok, unstated.exit_code) == (False, 2)
    assert unstated.diagnostics[0].code == "E330"
    refused = api.check(small_graph(), "loihi1", "sinabs")
    assert refused.exit_code == 3
    assert {d.code for d in refused.diagnostics} & {"E520"}


def test_check_finds_structure_without_a_profile():
    graph = small_graph()
    broken = graph.replace(nodes=[*graph.nodes, Node("lost", lif(3))], edges=[*graph.edges, Edge("hidden", "nowhere")])
    found = api.check(broken)
    assert found.exit_code == 3
    assert {"E330", "E101"} <= {d.code for d in found.diagnostics}


def test_check_of_a_compiled_program():
    program = api.compile(small_graph(), "loihi2", PROFILE)
    assert api.check(program).program is program
    assert api.check(program, "loihi1").exit_code == 2
    moved = dataclasses.replace(program, slices=tuple(dataclasses.replace(s, usage={"neurons": 10**6}) for s in program.slices))
    assert api.check(moved).exit_code == 4


def test_compare_backends():
    found = api.compare_backends(small_graph(), spikes((3, 9, 4)), ("reference", "reference"), profile=PROFILE)
    assert found.equal
    assert {layer.key for layer in found.layers} >= {"spikes/hidden", "v/hidden", "out/output"}
    with pytest.raises(UsageError, match="E609"):
        api.compare_backends(small_graph(), spikes((9, 4)), ("reference",), profile=PROFILE)


def test_several_inputs():
    graph = small_graph()
    graph = graph.replace(
        nodes=[*graph.nodes, Node("bias", Input((6,)))], edges=[*graph.edges, Edge("bias", "hidden", None, 1)]
    )
    inputs = {"input": spikes((9, 4)), "bias": spikes((9, 6))}
    assert api.run(graph, inputs, "reference", profile=PROFILE).out["output"].shape == (9, 3)


@pytest.mark.parametrize("name", ["runtime.api", "runtime.compare", "compiler.pipeline", "ir.codes"])
def test_examples_in_docstrings(name):
    found = doctest.testmod(importlib.import_module(f"spikeport.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_a_torch_module_takes_its_open_input_shape_from_the_input():
    snntorch, torch = pytest.importorskip("snntorch"), pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), snntorch.Leaky(beta=0.9, init_hidden=True))
    with pytest.raises(ImportModelError, match="E024"):
        api.load(net)
    x = spikes((2, 5, 1, 6, 6))
    run = api.run(net, x, "reference", record="all")
    assert run.program.graph["input"].op.shape == (1, 6, 6)
    assert run.spikes["1"].shape == (2, 5, 2, 4, 4)
    assert api.run(net, x[0], "reference").out["output"].shape == (5, 2, 4, 4)
    assert api.from_torch(net, (1, 6, 6)).profile == run.program.profile
    assert api.load(net, (1, 7, 7)).inputs == {"input": (1, 7, 7)}


@pytest.mark.parametrize(
    ("profile", "record", "say"),
    [
        ("norse:subtract,dt=1e-3", ("hidden",), "E805 at hidden: 240 membranes are infinite or NaN in float32"),
        ("sinabs,dt=1e-3", ("hidden",), "spike counts are beyond 32 bits in float32, the first in step 0 of sample 0"),
        ("sinabs,dt=1e-3", (), "more than 32 bits count in float32, the first in step 0"),
    ],
)
def test_values_beyond_the_range_of_the_numbers_are_no_result(profile, record, say):
    x = np.full((40, 4), 3e38, np.float32)
    with pytest.raises(RunError) as caught:
        api.run(small_graph(), x, "reference", profile=profile, arith="float32", record=record, record_state=bool(record))
    assert say in str(caught.value)
    assert caught.value.exit_code == 6


def test_a_file_of_a_library_carries_what_it_leaves_open(tmp_path, anchors):
    path = anchors / "braille" / "braille_noDelay_bias_zero.nir"
    x = np.ones((5, 12))
    model = spikeport.load(path)
    assert model.profile is None
    assert model.leaves_open.code == "E338"
    assert "E338" not in {d.code for d in model.diagnostics}
    for refused in (lambda: spikeport.run(model, x), lambda: spikeport.compile(model, "loihi2"),
                    lambda: spikeport.export(model, tmp_path / "f.nir", dialect="norse")):  # fmt: skip
        with pytest.raises(ProfileError, match="E338"):
            refused()
    assert [d.code for d in spikeport.check(model).diagnostics if d.severity == "error"] == ["E338"]
    assert spikeport.run(model, x, profile="norse").out
    stated = spikeport.load(path, dialect="snntorch:zero,reset_delay=no")
    assert stated.leaves_open is None
    assert spikeport.run(stated, x).out
    found = spikeport.export(stated, tmp_path / "f.nir", dialect="norse")
    assert found[-1].code in ("E583", "E582")
