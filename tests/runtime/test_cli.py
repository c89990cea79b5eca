"""The command, in process: what it writes where, and every exit code."""

import json
import os
import signal

import numpy as np
import pytest
from small_models import PROFILE, small_graph, spikes, write_builder

from spikeport.compiler.driver import lower
from spikeport.ir import parse_profile
from spikeport.ir.codes import CODES
from spikeport.runtime.artifact import load_artifact, save_artifact


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a model function, an input, and a place for results; the current one."""
    monkeypatch.chdir(tmp_path)
    write_builder(tmp_path)
    np.save("x.npy", spikes((5, 20, 4)))
    np.save("one.npy", spikes((20, 4)))
    return tmp_path


RUN = ("run", "model.py:build", "-b", "reference", "-i", "x.npy", "-p", PROFILE)


# ----------------------------------------------------------------------------------------------------------- exit codes


def test_0_and_the_way_of_a_model(here, call):
    assert call("check", "model.py:build", "--target", "loihi2", "--profile", PROFILE)[0] == 0
    code, out, err = call("compile", "model.py:build", "--target", "loihi2", "--profile", PROFILE, "-O2", "-o", "m.spk")
    assert (code, err) == (0, "")
    assert "loihi2: 1 chips" in out
    assert "wrote m.spk" in out
    code, out, _ = call("run", "m.spk", "--backend", "reference", "--input", "x.npy", "-o", "o.npz", "--record", "all",
                        "--record-state", "--report", "r.json")  # fmt: skip
    assert code == 0
    assert "energy" in out
    with np.load("o.npz") as found:
        assert set(found) == {"spikes/hidden", "spikes/readout", "v/hidden", "v/readout", "out/output", "meta"}
        assert found["spikes/hidden"].shape == (5, 20, 6)
    assert call("compare", "o.npz", "o.npz")[0] == 0
    code, out, _ = call("report", "r.json", "r.json")
    assert code == 0
    assert out.count("loihi2") >= 2


def test_1_where_runs_differ(here, call):
    call(*RUN, "-o", "a.npz", "--record", "all")
    call(*RUN[:-1], "norse:subtract,dt=1e-3", "-o", "b.npz", "--record", "all")
    code, out, _ = call("compare", "a.npz", "b.npz")
    assert code == 1
    assert out.startswith("different:")
    assert "first divergence: spikes/" in out
    assert "the runs differ in profile: reset to_zero against subtract\n" in out
    code, out, _ = call("compare", "a.npz", "b.npz", "--json")
    data = json.loads(out)
    assert (code, data["ok"], data["equal"], data["exit_code"]) == (1, False, False, 1)
    assert data["first"]["step"] >= 0


@pytest.mark.parametrize(
    ("args", "say"),
    [((), "Usage"), (("chekc",), "no such command"), (("run",), "missing argument"), (("run", "model.py:build"), "--input"),
     (("compile", "model.py:build", "-t", "loihi2"), "--output"),
     (("run", "model.py:build", "-i", "x.npy", "--steps", "0"), "--steps"),
     (("compile", "model.py:build", "-t", "loihi2", "-o", "a", "-O", "3"), "-O"),
     (("check", "model.py:build"), "E330"), (("check", "none.nir"), "E630"),
     (("check", "modle.py:build"), "did you mean 'model.py'?"),
     (("check", "model.py:build", "-p", "nors"), "'norse'"),
     (("check", "model.py:build", "-p", PROFILE, "-t", "loihi3"), "E604"),
     ((*RUN, "--arith", "float16"), "E603"), ((*RUN, "--record", "hiden"), "did you mean 'hidden'?"),
     ((*RUN, "-b", "refrence"), "did you mean 'reference'?"), ((*RUN, "--encode", "rate"), "E615"),
     ((*RUN, "-i", "none.npy"), "E610"),
     ((*RUN, "--timeout", "-1"), "--timeout"), (("compare", "x.npy"), "E609"), (("compare", "x.npy", "x.npy"), "E619"),
     (("compare", "model.py:build", "--backends", "reference,reference"), "E609"), (("report", "x.npy"), "E632"),
     (("explain", "E000"), "E602"), (("targets", "loihi"), "E604"),
     (("inspect", "model.py:build", "--input-shape", "a"), "shape"),
     (("compile", "model.py:build", "-p", PROFILE, "-t", "loihi2", "--passes", "canon", "-o", "a.spk"), "E901")],
)  # fmt: skip
def test_2_for_usage(here, call, args, say):
    code, out, err = call(*args)
    assert code == 2
    assert say in " ".join((out + err).split())


@pytest.mark.parametrize(
    ("args", "path", "message"),
    [(("run", "m.nir"), "--input", "missing option"), (("run",), "MODEL", "missing argument"),
     (("run", "m.nir", "-i", "x.npy", "--steps", "0"), "--steps", "1, not '0'"),
     (("check", "m.nir", "--profil", "norse"), "--profil", "--profile"), (("chekc",), "", "'check'"),
     (("inspect", "m.nir", "--input-shape", "a"), "--input-shape", "write such as 1,28,28")],
)  # fmt: skip
def test_usage_errors_are_json_too(call, args, path, message):
    code, out, err = call(*args, "--json")
    data = json.loads(out)
    (found,) = data["diagnostics"]
    assert (code, data["ok"], data["exit_code"], found["code"], found["path"]) == (2, False, 2, "E600", path)
    assert message in found["message"]
    assert "--help tells more" in found["hint"]
    assert f"error E600{' at ' * bool(path)}{path}: {found['message']}" in err


def test_a_usage_error_says_how_the_command_is_written(call):
    _, out, err = call("compile", "m.nir")
    assert out == ""
    assert "-> spikeport compile MODEL --target T --output OUT.spk [OPTIONS]; spikeport compile --help tells more" in err


def test_explain_without_a_code_lists_all(call):
    code, out, _ = call("explain")
    assert code == 0
    assert all(f"  {c.code}  {c.title}" in out for c in CODES.values())
    assert len(json.loads(call("explain", "--json")[1])) == len(CODES)


def test_3_for_what_is_not_supported(here, call):
    code, out, err = call("check", "model.py:build", "-t", "loihi1", "-p", "sinabs:subtract")
    assert code == 3
    assert "E520" in err
    assert "not ok" in out
    write_builder(here, "raise ValueError('mine')")
    code, _, err = call("check", "model.py:build", "-p", PROFILE)
    assert (code, "ValueError: mine (line 6)" in err) == (3, True)


def test_4_where_it_does_not_fit(here, call):
    write_builder(here, "from spikeport.ir import Edge, Graph, Node\n"
                  "    nodes = [Node('i', Input((400,))), Node('a', Affine(np.ones((9000, 400), np.float32), np.zeros(9000))), "
                  "Node('n', lif(9000)), Node('o', Output((9000,)))]\n"
                  "    return Graph(nodes, [Edge('i', 'a'), Edge('a', 'n'), Edge('n', 'o')])")  # fmt: skip
    code, _, err = call("compile", "model.py:build", "-t", "spinnaker1", "-p", PROFILE, "--chips", "1", "-o", "a.spk")
    assert code == 4
    assert "E402" in err
    assert not (here / "a.spk").exists()


def test_what_is_dead_is_mapped_around_and_stays_so_in_the_artifact(here, call):
    dead = ("--dead-chips", "1,1:2,2", "--dead-cores", "0,0,1:0,0,2", "--dead-links", "0,0,0")
    code, _, _ = call("compile", "model.py:build", "-t", "spinnaker1", "-p", PROFILE, "-o", "a.spk", *dead)
    assert code == 0
    routing = load_artifact("a.spk").routing
    assert [s.processor for s in routing.senders] == [3, 4, 5]
    assert routing.machine.processors(routing.machine.at(1, 1)) == ()
    assert routing.machine.links[0, 0] == -1
    assert call("check", "model.py:build", "-t", "spinnaker1", "-p", PROFILE, *dead)[0] == 0
    assert call(*RUN, "-t", "spinnaker1", *dead)[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-t", "spinnaker1", "--dead-chips", "1"), 2, "'1' is not X,Y"),
        (("-t", "spinnaker1", "--dead-cores", "0,0"), 2, "'0,0' is not X,Y,N"),
        (("-t", "spinnaker1", "--dead-links", "0,0,-1"), 2, "'0,0,-1' is not X,Y,N"),
        (("-t", "spinnaker1", "--dead-chips", "9,9"), 4, "dead, but not on the machine of 48 chips: chip 9,9"),
        (("-t", "loihi2", "--dead-chips", "0,0"), 2, "loihi2 has no routing tables"),
        (("--dead-chips", "0,0"), 2, "no target is named"),
    ],
)
def test_what_is_dead_has_to_be_readable_and_there(here, call, words, code, said):
    found, out, err = call("check", "model.py:build", "-p", PROFILE, *words)
    assert found == code
    assert said in out + err


def test_5_where_a_backend_is_missing(here, call, monkeypatch):
    from spikeport.backends import registry
    from spikeport.backends.base import Availability

    backend = registry.get_backend("reference")
    monkeypatch.setattr(type(backend), "available", lambda self: Availability(False, "no package x", "pip install x"))
    code, _, err = call(*RUN)
    assert code == 5
    assert "E500" in err
    assert "pip install x" in err


def test_5_where_no_package_offers_the_backend(here, call):
    code, _, err = call(*RUN, "-b", "nosuch")
    assert code == 5
    assert "E500: no installed package offers a backend 'nosuch'" in err


def test_6_where_a_run_fails(here, call, monkeypatch):
    from spikeport.backends import reference

    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(reference, "run_reference", fail)
    code, _, err = call(*RUN)
    assert code == 6
    assert "E802" in err


def test_7_where_it_takes_too_long(here, call, monkeypatch):
    from spikeport.backends import reference

    def wait(*args):
        signal.pause()

    monkeypatch.setattr(reference, "run_reference", wait)
    code, _, err = call(*RUN, "--timeout", "0.2", "-o", "o.npz")
    assert code == 7
    assert "E803" in err
    assert not (here / "o.npz").exists()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_8_for_a_bad_artifact(here, call):
    (here / "bad.spk").write_bytes(b"PK\x03\x04")
    code, _, err = call("check", "bad.spk")
    assert code == 8
    assert "E701" in err
    assert call("run", "bad.spk", "-i", "x.npy")[0] == 8
    assert call("inspect", "bad.spk")[0] == 8


def test_70_for_our_bugs_with_a_traceback_file(here, call, monkeypatch):
    from spikeport.runtime import api

    def broken(*args, **kwargs):
        raise RuntimeError("oh no")

    monkeypatch.setattr(api, "run", broken)
    monkeypatch.setenv("TMPDIR", str(here))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    code, _, err = call(*RUN)
    assert code == 70
    assert "E999: this is a bug in spikeport: RuntimeError: oh no" in err
    (file,) = here.glob("spikeport-bug-*.txt")
    assert str(file) in err
    assert "in broken" in file.read_text()
    code, out, _ = call(*RUN, "--json")
    assert (code, json.loads(out)["diagnostics"][0]["code"]) == (70, "E999")


# ------------------------------------------------------------------------------------------------------ stdout, stderr


def test_json_goes_to_stdout_alone(here, call):
    save_artifact(lower(small_graph(), "loihi2", PROFILE), "m.spk")
    call("run", "m.spk", "-b", "reference", "-i", "x.npy", "--report", "r.json")
    for args in (
        ("check", "m.spk"), ("check", "model.py:build"), ("check", "none.nir"), ("inspect", "m.spk"),
        ("inspect", "model.py:build"),
        ("compile", "model.py:build", "-t", "loihi2", "-p", PROFILE, "-o", "c.spk"), (*RUN, "-o", "o.npz"),
        ("compare", "model.py:build", "-p", PROFILE, "--backends", "reference,reference", "--input", "x.npy"),
        ("report", "r.json"), ("targets",), ("targets", "loihi2"), ("passes",), ("explain", "E203"),
        ("run", "m.spk", "-i", "none.npy"),
    ):  # fmt: skip
        code, out, err = call(*args, "--json")
        data = json.loads(out)
        assert data, args
        assert isinstance(data, list) or data.get("exit_code", code) == code
        if code == 0:
            assert err == "", args


def test_talk_goes_to_stderr(here, call):
    code, out, err = call(*RUN, "--steps", "25", "--report", "r.json")
    assert code == 0
    assert "the input has 20 steps; 5 steps of zeros appended" in err
    assert "without --target there is no price" in err
    assert "zeros appended" not in out
    assert json.loads((here / "r.json").read_text())["target"] is None


def test_what_the_users_code_prints_is_talk(here, call):
    write_builder(here, "print('my own words')\n    return small_graph()")
    for args in (("check", "model.py:build", "-p", PROFILE), ("inspect", "model.py:build"), RUN,
                 ("compile", "model.py:build", "-t", "loihi2", "-p", PROFILE, "-o", "c.spk"),
                 ("compare", "model.py:build", "-p", PROFILE, "--backends", "reference,reference", "-i", "x.npy")):  # fmt: skip
        code, out, err = call(*args, "--json")
        assert code == 0
        assert json.loads(out)
        assert "my own words" in err


def test_a_model_function_that_exits_is_no_success(here, call):
    write_builder(here, "raise SystemExit(0)")
    code, _, err = call("check", "model.py:build", "-p", PROFILE)
    assert code == 3
    assert "E080 at model.py:build: build() of model.py raised SystemExit: 0 (line 6)" in err


def test_a_given_profile_that_replaces_the_models_is_said(here, call):
    write_builder(here, f"from spikeport.ir import parse_profile\n    return small_graph(parse_profile({PROFILE!r}))")
    assert call("check", "model.py:build")[0] == 0
    code, _, err = call("check", "model.py:build", "-p", "norse:subtract,dt=1e-3")
    assert code == 0
    assert "warning E335" in err


def test_every_finding_is_shown_at_once(here, call):
    write_builder(here, "g = small_graph()\n    return g.replace(edges=[e for e in g.edges if e.source != 'fc2'])")
    code, _, err = call("check", "model.py:build", "-p", PROFILE)
    assert code == 3
    assert err.count("E104") >= 2


# --------------------------------------------------------------------------------------------------------------- files


def test_the_leading_axes_of_the_output_are_those_of_the_input(here, call):
    call(*RUN, "-o", "many.npz")
    call(*RUN, "-i", "one.npy", "-o", "one.npz")
    with np.load("many.npz") as many, np.load("one.npz") as one:
        assert many["out/output"].shape == (5, 20, 3)
        assert one["out/output"].shape == (20, 3)
        assert set(one) == {"out/output", "meta"}
        meta = json.loads(str(one["meta"]))
    assert meta["profile"] == str(parse_profile(PROFILE))


def test_equal_runs_give_equal_files(here, call):
    for name in ("a", "b"):
        call(*RUN[:-2], "-p", PROFILE, "-i", "x.npy", "--record", "hidden,readout", "-o", f"{name}.npz")
        call("compile", "model.py:build", "-t", "loihi1", "-p", PROFILE, "-o", f"{name}.spk")
    assert (here / "a.npz").read_bytes() == (here / "b.npz").read_bytes()
    assert (here / "a.spk").read_bytes() == (here / "b.spk").read_bytes()


def test_what_was_there_survives_a_failure(here, call):
    for name in ("o.npz", "m.spk", "r.json"):
        (here / name).write_text("precious")
    assert call(*RUN, "-p", "norse,dt=7", "-o", "o.npz", "--report", "r.json")[0] != 0
    assert call("compile", "model.py:build", "-t", "loihi2", "-p", "nope", "-o", "m.spk")[0] == 2
    assert [(here / n).read_text() for n in ("o.npz", "m.spk", "r.json")] == ["precious"] * 3
    assert call(*RUN, "-o", "nowhere/o.npz")[0] == 2
    assert not [p for p in os.listdir(here) if p.endswith(".part")]


def test_a_place_that_cannot_be_written_is_said_before_the_run(here, call, monkeypatch):
    from spikeport.runtime import api

    monkeypatch.delattr(api, "run")
    monkeypatch.delattr(api, "load")
    (here / "folder").mkdir()
    code, _, err = call(*RUN, "-o", "nowhere/o.npz", "--report", "folder")
    assert code == 2
    assert "E631 at nowhere/o.npz: cannot write nowhere/o.npz: there is no folder" in err
    assert "E631 at folder: cannot write folder: folder is a folder" in err
    assert call("compile", "model.py:build", "-t", "loihi2", "-p", PROFILE, "-o", "nowhere/o.spk")[0] == 2


def test_codes_of_static_values(here, call):
    np.save("images.npy", np.random.default_rng(0).random((6, 4)))
    args = ("run", "model.py:build", "-b", "reference", "-i", "images.npy", "-p", PROFILE, "--steps", "15", "--encode")
    for code in ("constant", "rate", "latency"):
        assert call(*args, code, "--seed", "3", "-o", f"{code}.npz")[0] == 0
        with np.load(f"{code}.npz") as found:
            assert found["out/output"].shape == (6, 15, 3)


# ------------------------------------------------------------------------------------------------- dialects and export


def test_a_recognised_file_asks_for_what_it_does_not_show(here, call, anchors):
    model = anchors / "braille" / "braille_noDelay_bias_zero.nir"
    code, _, err = call("check", model)
    assert code == 2
    assert err.count("E338") == 1
    assert "--dialect snntorch:subtract" in err
    code, out, err = call("check", model, "--dialect", "snntorch:zero,reset_delay=no")
    assert code == 0
    assert "ok under snntorch (dt 0.0001 s)" in out
    assert "note E040: a file of snnTorch (as stated with --dialect); its profile is snntorch:zero" in err
    assert call("check", model, "--profile", "norse")[0] == 0  # a given profile wins
    assert call("check", model, "--dialect", "norse,dt=1e-3")[0] == 3
    assert call("inspect", model, "--dialect", "nope")[0] == 2
    np.save("b.npy", np.ones((20, 12)))
    for args in (("run", model, "-i", "b.npy", "-b", "reference"), ("compile", model, "-t", "loihi2", "-o", "m.spk"),
                 ("compare", model, "-i", "b.npy", "--backends", "reference,reference")):  # fmt: skip
        code, _, err = call(*args)
        assert (code, "error E338" in err) == (2, True)
        assert call(*args, "--dialect", "snntorch:zero,reset_delay=no")[0] == 0


def test_a_dialect_where_none_is_needed_is_said(here, call):
    code, _, err = call("check", "model.py:build", "-p", PROFILE, "--dialect", "norse")
    assert code == 0
    assert "warning E047 at model.py:build: this is no .nir file of another program" in err


def test_export(here, call):
    code, out, err = call("export", "model.py:build", "-p", "norse:value", "--dialect", "spikeport", "-o", "m.nir")
    assert (code, err) == (0, "")
    assert out == "wrote m.nir\n"
    assert call("check", "m.nir")[0] == 0
    code, out, err = call("export", "m.nir", "--dialect", "snntorch", "-o", "s.nir", "--json")
    found = json.loads(out)
    assert code == found["exit_code"]
    codes = {d["code"] for d in found["diagnostics"]}
    assert codes & {"E583", "E582", "E580"}
    assert (here / "s.nir").is_file() == (code == 0)


def test_export_calls_the_dialect_of_the_source_by_its_option(here, call, anchors):
    model = anchors / "braille" / "braille_noDelay_bias_zero.nir"
    code, _, err = call("export", model, "--dialect", "norse", "-o", "f.nir")
    assert (code, "error E338" in err) == (2, True)
    assert "--source-dialect snntorch:subtract" in err
    assert " --dialect" not in err
    code, _, err = call("export", "model.py:build", "--dialect", "norse", "-o", "f.nir")
    assert (code, "error E330" in err) == (2, True)
    assert "--source-dialect NAME[:RESET]" in err
    code, _, err = call("export", model, "--dialect", "norse", "--source-dialect", "Snntorhc", "-o", "f.nir")
    assert (code, "E041 at --source-dialect: unknown dialect 'snntorhc' (did you mean 'snntorch'?)" in err) == (2, True)
    code, _, err = call(
        "export", model, "--dialect", "Snntorhc", "--source-dialect", "SNNtorch:zero,reset_delay=no", "-o", "f.nir"
    )
    assert (code, "E041 at --dialect: unknown dialect 'snntorhc' (did you mean 'snntorch'?)" in err) == (2, True)
    code, _, err = call(
        "export", model, "--dialect", "SpikePort", "--source-dialect", "SNNtorch:zero,reset_delay=no", "-o", "f.nir"
    )
    assert (code, "as stated with --source-dialect" in err) == (0, True)


def test_export_refuses_places_in_words(here, call):
    for name, text in (("n" * 300 + ".nir", "too long"), ("n" * 300 + "/f.nir", "too long"), (".", "is a folder")):
        code, _, err = call("export", "model.py:build", "-p", PROFILE, "--dialect", "spikeport", "-o", name)
        assert (code, "E631" in err, text in err) == (2, True, True), err
    folder = here / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if not os.access(folder, os.W_OK):  # root may write anywhere
        code, _, err = call("export", "model.py:build", "-p", PROFILE, "--dialect", "spikeport", "-o", "locked/f.nir")
        assert (code, "no permission" in err) == (2, True)


def test_an_export_onto_the_model_s_own_file_is_refused(here, call):
    assert call("export", "model.py:build", "-p", "norse:value", "--dialect", "spikeport", "-o", "own.nir")[0] == 0
    before = (here / "own.nir").read_bytes()
    (here / "link.nir").symlink_to(here / "own.nir")
    for model, out in (
        ("own.nir", "own.nir"),
        ("own.nir", "./own.nir"),
        ("own.nir", "link.nir"),
        ("model.py:build", "model.py"),
    ):
        code, _, err = call("export", model, "--dialect", "spikeport", "-o", out)
        assert (code, "it is the model's own file" in err) == (2, True)
    assert (here / "own.nir").read_bytes() == before


def test_an_export_that_cannot_be_leaves_what_was_there(here, call):
    (here / "f.nir").write_text("precious")
    for args, exit_code, text in (
        (("--dialect", "norse"), 2, "E330"),
        (("--dialect", "nors", "-p", PROFILE), 2, "E041"),
        (("--dialect", "lava-dl", "-p", PROFILE), 3, "E584 at --dialect: nothing is exported for lava-dl: its importer copies"),
        (("--dialect", "sinabs", "-p", "norse:value"), 3, "E580"),
        ((), 2, "E600"),
    ):
        code, _, err = call("export", "model.py:build", "-o", "f.nir", *args)
        assert code == exit_code, err
        assert text in err
    assert call("export", "model.py:build", "-o", "nowhere/f.nir", "--dialect", "nir")[0] == 2
    save_artifact(lower(small_graph(), "loihi2", PROFILE), "m.spk")
    code, _, err = call("export", "m.spk", "-o", "f.nir", "--dialect", "nir")
    assert (code, "E618" in err) == (2, True)
    assert (here / "f.nir").read_text() == "precious"


# --------------------------------------------------------------------------------------------------------------- lists


def test_inspect(here, call):
    code, out, _ = call("inspect", "model.py:build")
    assert code == 0
    assert "hidden" in out
    assert "not stated" in out
    save_artifact(lower(small_graph(), "loihi2", PROFILE), "m.spk")
    out = call("inspect", "m.spk", "--cores")[1]
    assert "core     0" in out
    data = json.loads(call("inspect", "m.spk", "--json")[1])
    assert {n["path"] for n in data["nodes"]} == {"input", "fc1", "hidden", "fc2", "readout", "output"}
    assert data["program"]["slices"][0]["box"] == [[0, 6]]


def test_lists(here, call):
    out = call("passes")[1]
    assert "canonicalise" in out
    assert "-O 2  canonicalise,dead" in out
    out = call("targets")[1]
    assert all(name in out for name in ("loihi1", "loihi2", "spinnaker1", "spinnaker2"))
    out = call("targets", "loihi1")[1]
    assert "what it has:" in out
    assert "published" in out
    assert call("--version")[1].startswith("spikeport 0.")


def test_explain(call):
    for code in sorted(CODES)[::12]:
        assert call("explain", code)[1].startswith(f"{code}: {CODES[code].title}")


def test_backends_say_why_not(call, monkeypatch):
    from spikeport.backends import registry
    from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic

    real = registry.get_backend

    def get(name):
        if name == "engine":
            raise BackendUnavailable(Diagnostic("E500", "", "numba is gone", "pip install numba"))
        return real(name)

    monkeypatch.setattr(registry, "get_backend", get)
    code, out, _ = call("backends")
    assert code == 0
    assert "not available: numba is gone" in out
    assert "-> pip install numba" in out
    rows = {row["name"]: row for row in json.loads(call("backends", "--json")[1])}
    assert rows["reference"]["available"]
    assert not rows["engine"]["available"]


def test_doctor(call, monkeypatch):
    from spikeport.runtime import health

    fine = [health.Check("a", "there", True), health.Check("b", "not there", False, needed=False, remedy="pip install b")]
    monkeypatch.setattr(health, "examine", lambda: fine)
    code, out, _ = call("doctor")
    assert code == 0
    assert "-> pip install b" in out
    monkeypatch.setattr(health, "examine", lambda: [*fine, health.Check("c", "gone", False)])
    code, out, _ = call("doctor", "--json")
    assert (code, json.loads(out)["ok"]) == (5, False)


def test_what_doctor_looks_at():
    from spikeport.runtime.health import _cores, _folders, _packages, _python

    names = [c.name for c in (_python(), *_packages(), _cores(), *_folders())]
    assert {"python", "numpy", "numba", "nir", "typer", "cores", "numba cache", "temporary files", "torch"} <= set(names)
    assert "pytest" not in names
    assert all(c.ok or c.remedy for c in (*_packages(), *_folders()))
