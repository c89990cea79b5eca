"""Exports over random networks: each library imports the file itself and gives the same spikes, or is refused by name."""

import dataclasses

import h5py
import numpy as np
import pytest
from random_exports import FAMILIES, PROFILES, random_network

from spikeport.compiler.exporters import export as export_module
from spikeport.compiler.exporters.check import check
from spikeport.compiler.exporters.export import DIALECTS, export_nir
from spikeport.compiler.exporters.libraries import LIBRARIES, REFUSED
from spikeport.compiler.importers.dialects.base import starting_at
from spikeport.compiler.importers.nir_file import load_nir
from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.diagnostics import UnsupportedError, UsageError
from spikeport.ir.network import build_network
from spikeport.ir.nir_io import from_nir, read_as_nir
from spikeport.ir.ops import (
    IF,
    LI,
    LIF,
    Affine,
    CubaLIF,
    Delay,
    Extras,
    Flatten,
    Input,
    Linear,
    Output,
    Threshold,
)
from spikeport.ir.reference import run_reference

#: How the file is read back by us: the library's own defaults of what a file does not show.
BACK = {
    "snntorch": {"dialect": "snntorch:zero,reset_delay=no"}, "spikingjelly": {"dialect": "spikingjelly"},
    "sinabs": {"profile": "sinabs,dt=1"},
    "norse": {"profile": "norse:value,dt=1e-3"},
}  # fmt: skip


def exported(tmp_path, library, family, seed):
    """Export a random network; return its graph, profile, file and the notes, or None where it was refused by name."""
    graph, profile = random_network(library, family, seed)
    path = tmp_path / "f.nir"
    try:
        return graph, profile, path, export_nir(graph, profile, path, library)
    except UnsupportedError as error:
        found = error.diagnostics
    assert {d.code for d in found} == {"E580"}
    assert all(d.path in graph and d.hint for d in found)
    return None


def spikes(graph, profile, x):
    network = build_network(graph, profile)
    return run_reference(network, {graph.inputs[0]: x}).out[graph.outputs[0]]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_random_networks(tmp_path, library, family):
    move(tmp_path, library, family, range(4))


def move(tmp_path, library, family, seeds):
    """Export random networks, and look at each file once more by other means."""
    pytest.importorskip(LIBRARIES[library].package)
    written = 0
    for seed in seeds:
        found = exported(tmp_path, library, family, seed)
        if found is None:
            continue
        graph, profile, path, notes = found
        written += 1
        assert notes[-1].code == "E583"
        assert notes[-1].facts["steps"] == 100
        # With other input, and in our own reading of the library's files.
        assert check(path, build_network(graph, profile, "float32"), LIBRARIES[library], seed=seed + 7).code == "E583"
        back, told = load_nir(path, BACK[library].get("dialect"))
        assert "E047" not in {d.code for d in told}
        own = back.profile or parse_profile(BACK[library]["profile"])
        if "bias_at_0=no" in "".join(d.message for d in notes):
            own = dataclasses.replace(own, bias_at_0=False)
        back = starting_at(back, "v_leak") if library == "norse" else back  # as its membranes do
        assert library in ("sinabs", "norse") or ("E040" in {d.code for d in told})
        x = (np.random.default_rng(seed).random((2, 40, *graph[graph.inputs[0]].op.shape)) < 0.4).astype(float)
        ours, theirs = spikes(graph, profile, x), spikes(back, own, x)
        different = np.abs(ours - theirs) > (1e-4 if back[back.into("output")[0].source].op.kind == "LI" else 0)
        assert different.mean() < 0.02  # thresholds are float32 numbers there, ours need not be
    assert written or (library, family) == ("sinabs", "recurrent")


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_many_random_networks(tmp_path, library, family):
    move(tmp_path, library, family, range(4, 44))


@pytest.mark.parametrize("library", ["snntorch", "norse", "spikingjelly"])
@pytest.mark.parametrize("net", ["braille_noDelay_bias_zero"])
def test_the_braille_network_moves_between_libraries(anchors, tmp_path, library, net):
    pytest.importorskip(LIBRARIES[library].package)
    graph, _ = load_nir(anchors / "braille" / f"{net}.nir", "snntorch:zero,reset_delay=no")
    (note,) = [d for d in export_nir(graph, graph.profile, tmp_path / "f.nir", library) if d.code != "E585"]
    assert note.code == "E583"
    assert note.facts["different"] == 0
    assert note.facts["nonzero"] > 100


def test_a_library_s_file_is_plain_nir(tmp_path):
    graph, profile = random_network("norse", "dense", 0)
    export_nir(graph, profile, tmp_path / "f.nir", "norse")
    with h5py.File(tmp_path / "f.nir") as file:
        assert "metadata" not in file["node"] or "spikeport" not in file["node/metadata"]
    assert from_nir(read_as_nir(tmp_path / "f.nir")) == load_nir(tmp_path / "f.nir")[0]


@pytest.mark.parametrize("name", ["spikeport", "nir"])
def test_our_own_form_loses_nothing(tmp_path, name):
    graph, profile = random_network("snntorch", "recurrent", 2)
    assert export_nir(graph, profile, tmp_path / "f.nir", name) == ()
    assert load_nir(tmp_path / "f.nir")[0] == graph.replace(profile=profile)
    assert export_nir(graph, None, tmp_path / "f.nir", name) == ()
    assert load_nir(tmp_path / "f.nir")[0].profile is None


# ------------------------------------------------------------------------------------------------------------ refusals


def one(op, *more, shape=(3,), front=None, output=None):
    """Return Input -> front -> op -> Output, with what *more* adds."""
    nodes = [Node("input", Input(shape)), Node("fc", front or Linear(np.eye(shape[-1]))), Node("n", op)]
    edges = [Edge("input", "fc"), Edge("fc", "n"), Edge("n", "output")]
    nodes += [m for m in more if isinstance(m, Node)]
    edges += [m for m in more if isinstance(m, Edge)]
    return Graph((*nodes, Node("output", Output(output or shape))), tuple(edges))


ONE = np.ones(3)


def lif(**changed):
    fields = {"tau": 1e-3 * ONE, "r": ONE, "v_leak": 0 * ONE, "v_threshold": 0.5 * ONE, "v_reset": 0 * ONE}
    return LIF(**(fields | changed))


LOOP = (Node("w", Linear(np.eye(3))), Edge("n", "w"), Edge("w", "n", None, 1))
CUBA = CubaLIF(1e-3 * ONE, 1e-3 * ONE, ONE, 0 * ONE, ONE, 0 * ONE, ONE)
TWO_LOOPS = (
    Node("w", Linear(np.eye(3))), Node("m", lif()), Node("u", Linear(np.eye(3))),
    Edge("n", "w"), Edge("w", "m"), Edge("m", "u"), Edge("u", "n", None, 1),
)  # fmt: skip
CASES = [
    ("snntorch", lif(), "snntorch:subtract", "a reset by subtraction (next_step_keep_input): the importer builds a reset to a"),
    ("snntorch", lif(), "snntorch:none", "no reset"),
    ("snntorch", CUBA, "snntorch:zero", "a reset to a value (next_step_drop_input)"),
    ("snntorch", lif(v_reset=-ONE), "norse:value", "v_reset other than 0: the importer resets to 0"),
    ("snntorch", LI(1e-3 * ONE, ONE, 0 * ONE), "norse", "a LI: the importer has no integrator without spikes"),
    ("snntorch", lif(), "nengo", "a lower bound of the membrane: the importer builds none"),
    ("snntorch", lif(r=-ONE), "snntorch:zero,reset_delay=no", "an input gain of -0.1: the importer builds gains above 0"),
    ("snntorch", lif(extras=Extras(v_init=ONE)), "norse", "an initial membrane of 1: its neurons start at 0"),
    ("snntorch", lif(extras=Extras(refractory_steps=np.array(2))), "norse", "refractory steps: NIR has no field for it"),
    ("sinabs", lif(), "norse", "a reset other than by subtraction for each of several spikes a step"),
    ("sinabs", lif(), "sinabs,reset=subtract", "a reset other than by subtraction for each of several spikes a step"),
    ("sinabs", CUBA, "sinabs", "a CubaLIF: sinabs' importer has no synaptic current"),
    ("sinabs", lif(), "sinabs,compare=>", "a spike test with >: sinabs tests with >="),
    ("sinabs", lif(), "sinabs,clamp_low=-0.3", "this lower bound of the membrane"),
    ("norse", lif(tau=np.array([1e-3, 1e-3, 1e13])), "norse,gain=r", "some leak and some do not"),
    ("norse", IF(ONE, ONE, ONE), "norse:value", "v_reset other than 0: Norse's importer does not read it"),
    ("spikingjelly", lif(tau=np.array([1e-3, 2e-3, 3e-3])), "norse,gain=r", "a decay of each neuron its own (0.9 to 0.966667)"),
    ("spikingjelly", lif(v_reset=-ONE), "spikingjelly:value", "an initial membrane of 0: its neurons start at -1"),
]  # fmt: skip


@pytest.mark.parametrize(("library", "op", "profile", "text"), CASES)
def test_neurons_that_are_refused(tmp_path, library, op, profile, text):
    profile = parse_profile(profile)
    with pytest.raises(UnsupportedError) as caught:
        export_nir(one(op), profile, tmp_path / "f.nir", library)
    assert [(d.code, d.path) for d in caught.value.diagnostics] == [("E580", "n")]
    assert text in str(caught.value)
    assert f"{LIBRARIES[library].label} cannot take" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("library", "graph", "profile", "text"),
    [
        ("sinabs", one(lif(), *LOOP), "sinabs", "a recurrent layer"),
        ("norse", one(lif(), Node("d", Delay(2e-4 * ONE)), Edge("input", "d"), Edge("d", "n", None, 1)), "norse", "a Delay"),
        ("norse", one(Threshold(ONE)), "norse", "a Threshold: its importer has no such node, and leaves it out without a word"),
        ("norse", one(lif()), "spinnaker2:zero", "a delay of 1 steps from"),
        ("snntorch", one(lif(), *TWO_LOOPS), "norse", "a loop through m, n, u, w"),
        ("snntorch", one(lif(), LOOP[0], LOOP[1], Edge("w", "n", 3, 1)), "norse", "a loop of 3 steps"),
        ("snntorch", one(lif(), Edge("fc", "output", None, 1)), "norse", "a sum at the Output"),
        ("snntorch", one(lif(), Node("i", Input((3,))), Edge("i", "n", None, 1)), "norse", "2 Inputs: the importers take one"),
        ("snntorch", one(lif(), Edge("fc", "n", None, 1)), "norse", "two edges from fc to n"),
        ("snntorch", one(lif(v_threshold=np.array([1.0, 2, 3])), Edge("input", "n", None, 1)), "norse",
         "thresholds or gains of each neuron its own: the importer takes one, and no layer right in front"),
        ("spikingjelly", one(lif(), Node("w", Affine(np.eye(3), ONE)), Edge("n", "w"), Edge("w", "n", None, 1),
                             Edge("fc", "output", None, 1)), "snntorch:zero", "a sum at the Output"),
    ],
)  # fmt: skip
def test_graphs_that_are_refused(tmp_path, library, graph, profile, text):
    with pytest.raises(UnsupportedError, match="E580") as caught:
        export_nir(graph, parse_profile(profile), tmp_path / "f.nir", library)
    assert text in str(caught.value)


def test_layers_of_branches_that_join_run_in_their_order_or_are_refused(tmp_path):
    diamond = one(lif(), Node("other", Linear(np.eye(3))), Node("m", lif()), Edge("input", "other"), Edge("other", "m"),
                  Edge("m", "n", None, 1))  # fmt: skip
    for library in ("snntorch", "spikingjelly"):
        assert export_nir(diamond, parse_profile("norse"), tmp_path / "f.nir", library)[-1].code == "E583"
    with pytest.raises(UnsupportedError, match=r"the branches that join at .*depth first") as caught:
        export_nir(diamond, parse_profile("norse"), tmp_path / "f.nir", "norse")
    assert "--dialect snntorch or spikingjelly" in str(caught.value)


def test_equal_refusals_of_several_layers_are_one(tmp_path):
    graph, _ = random_network("snntorch", "dense", 0)
    with pytest.raises(UnsupportedError) as caught:
        export_nir(graph, parse_profile("snntorch:none"), tmp_path / "f.nir", "snntorch")
    (finding,) = caught.value.diagnostics
    assert "(needed by lif1, " in finding.message


@pytest.mark.parametrize("name", REFUSED)
def test_libraries_for_which_nothing_is_exported(tmp_path, name):
    with pytest.raises(UnsupportedError, match=f"E584 at --dialect: nothing is exported for {name}"):
        export_nir(one(lif()), parse_profile("norse"), tmp_path / "f.nir", name)


@pytest.mark.parametrize("library", ["snntorch", "spikingjelly"])
def test_weights_that_are_rounded_are_a_warning(tmp_path, library):
    pytest.importorskip(LIBRARIES[library].package)
    front = Linear(np.eye(3, dtype=np.float32) * np.float32(0.3))
    for thresholds, rounds in (([1, 7, 3], True), ([1, 2, 0.5], False), ([7, 7, 7], False)):
        op = IF(np.ones(3), np.array(thresholds, float), np.zeros(3))
        profile = parse_profile("spikingjelly:value,dt=1" if library == "spikingjelly" else "snntorch:zero,reset_delay=no,dt=1")
        found = [d for d in export_nir(one(op, front=front), profile, tmp_path / "f.nir", library) if d.code == "E586"]
        assert [d.severity for d in found] == ["warning"] * rounds
        if rounds:
            assert 1e-9 < found[0].facts["rounding"] < 6e-8
            assert f"the weights of {found[0].facts['layer']} are multiplied" in found[0].message
            assert "rounded in float32 by up to" in found[0].message


def test_unknown_dialects_and_places(tmp_path):
    with pytest.raises(UsageError, match=r"E041 at --dialect: unknown dialect 'nors' \(did you mean 'norse'"):
        export_nir(one(lif()), parse_profile("norse"), tmp_path / "f.nir", "nors")
    with pytest.raises(UsageError, match="E690"):
        export_nir(one(lif()), parse_profile("norse"), tmp_path / "nowhere" / "f.nir", "norse")
    with pytest.raises(UsageError, match=r"E690 at .*: cannot be written: .* is no file"):
        export_nir(one(lif()), parse_profile("norse"), tmp_path, "spikeport")
    assert set(DIALECTS) == {*PROFILES, "spikeport", "nir"}


def test_what_comes_back_different_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "f.nir"
    path.write_text("precious")
    real = export_module.rewrite

    def wrong(network, library):
        graph, notes = real(network, library)
        return graph.map_ops(lambda n: n.op if n.op.kind != "LIF" else dataclasses.replace(n.op, v_threshold=n.op.tau)), notes

    monkeypatch.setattr(export_module, "rewrite", wrong)
    with pytest.raises(UnsupportedError, match=r"E581: Norse does not read this model back as it is: .* outputs differ"):
        export_nir(one(lif()), parse_profile("norse"), path, "norse")
    assert [p.name for p in tmp_path.iterdir()] == ["f.nir"]
    assert path.read_text() == "precious"


def test_a_flatten_is_right_with_and_without_a_batch_axis(tmp_path):
    flat = one(lif(), shape=(1, 3), front=Flatten(0, -1), output=(3,))
    for library in ("snntorch", "norse", "spikingjelly"):
        export_nir(flat, parse_profile("norse"), tmp_path / "f.nir", library)
        assert load_nir(tmp_path / "f.nir")[0]["fc"].op.start_dim == -2
