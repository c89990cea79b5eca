"""Importing ``.nir`` files: each recorded file is loaded, repaired with warnings, or refused for its own defect."""

import h5py
import nir
import numpy as np
import pytest
from graphs import chain, lif, networks
from hypothesis import HealthCheck, given, settings

from spikeport.compiler.importers.nir_file import load_nir
from spikeport.ir import Recording, SpikeportError, verify
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.network import build_network
from spikeport.ir.nir_io import from_nir, save_nir
from spikeport.ir.ops import Conv2d, Flatten, Linear
from spikeport.ir.reference import run_reference
from spikeport.ir.shapes import infer_shapes

#: file: (codes of what was repaired or said, codes of its refusal, a piece of the message). E040: a dialect was recognised;
#: E338: it leaves something open.
FILES = {
    "lif/lif_norse.nir": ({"E010"}, set(), ""),
    "lif/lif_rockpool.nir": ({"E010", "E015", "E040", "E046"}, set(), "a file of Rockpool"),
    "braille/braille_noDelay_bias_zero.nir": ({"E010", "E040", "E338"}, set(), "a file of snnTorch"),
    "braille/braille_noDelay_noBias_subtract.nir": ({"E010", "E040", "E338"}, set(), "a file of snnTorch"),
    "cnn/cnn_sinabs.nir": ({"E010"}, set(), ""),
    "legacy/braille_047410e9943a.nir": ({"E010", "E040", "E338"}, set(), "a file of snnTorch"),
    "legacy/braille_v2a_64a0b954dd7a.nir": (
        {"E010", "E040", "E044", "E338"}, set(), "there is no w_in, and snnTorch's input gain of 1 is tau_syn/dt = 2.22222",
    ),
    "legacy/braille_flattened_19004303a067.nir": (
        {"E010", "E011", "E040", "E044", "E338"}, set(), "tau_syn 10 and tau_mem 2.22222 are exchanged, and r is beta",
    ),
    "legacy/braille_a7c67c3a7c00.nir": (
        {"E010", "E011", "E012", "E018", "E040", "E044", "E338"}, set(), "edges name lif1, which is no node",
    ),
    "legacy/scnn_mnist_e5ac832548ad.nir": ({"E010", "E013"}, set(), ""),
    "legacy/scnn_mnist_669fbfadd39be5.nir": ({"E010", "E012", "E013", "E014"}, set(), ""),
    "legacy/braille_subgraph_77b4a802cc70.nir": (set(), {"E007"}, "give it the shape (38,) in the file, or fc1 one of (12,)"),
    "legacy/lif_norse_3a3afb6f8d83.nir": (set(), {"E017"}, "that may be neurons, or the time steps of one neuron"),
    "legacy/srnn.nir": (set(), {"E201", "E302", "E306"}, "bias of this Affine is boolean"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_each_recorded_file(anchors, name):
    repairs, refusals, text = FILES[name]
    if not refusals:
        graph, found = load_nir(anchors / name)
        assert {d.code for d in found} == repairs
        assert all(d.severity == ("note" if d.code in ("E040", "E338") else "warning") for d in found)
        assert all(d.path in graph or d.code in ("E040", "E338", "E018") for d in found)
        assert text in "\n".join(map(str, found))
        assert verify(graph) == ()
        return
    with pytest.raises(SpikeportError) as caught:
        verify(load_nir(anchors / name)[0])
    assert {d.code for d in caught.value.diagnostics} == refusals
    assert text in str(caught.value)


def test_every_recorded_file_is_in_the_table(anchors):
    assert {p.relative_to(anchors).as_posix() for p in anchors.rglob("*.nir")} == set(FILES)


def test_the_repaired_network_is_the_current_one(anchors):
    old, _ = load_nir(anchors / "legacy" / "scnn_mnist_669fbfadd39be5.nir")
    new, _ = load_nir(anchors / "cnn" / "cnn_sinabs.nir")
    assert infer_shapes(old)[0] == infer_shapes(new)[0]
    assert {n.path: n.op.kind for n in old} == {n.path: n.op.kind for n in new}


REPAIRED = ("braille_v2a_64a0b954dd7a", "braille_flattened_19004303a067", "braille_a7c67c3a7c00")


@pytest.mark.parametrize("name", REPAIRED)
def test_the_older_forms_of_one_network_spike_as_its_current_one(anchors, name):
    # These files hold one trained network, as three older exporters wrote it.
    x = np.load(anchors / "braille" / "braille_test_sample0_input.npy")[None].astype(float)
    rasters = []
    for file in ("braille_047410e9943a", name):
        graph, _ = load_nir(anchors / "legacy" / f"{file}.nir", "snntorch:zero,reset_delay=no")
        trace = run_reference(build_network(graph, graph.profile), {"input": x}, Recording(None))
        rasters.append([trace.spikes[p] for p in graph.spiking])
    assert rasters[0][0].sum() > 50
    for current, old in zip(*rasters, strict=True):
        assert np.array_equal(current, old)


def test_stock_nir_reads_the_same_graph(anchors):
    for name in ("braille/braille_noDelay_bias_zero.nir", "cnn/cnn_sinabs.nir", "lif/lif_norse.nir"):
        assert from_nir(nir.read(anchors / name)) == load_nir(anchors / name)[0]


@given(networks())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_our_own_files_are_loaded_as_they_are(tmp_path, case):
    graph, profile, _ = case
    for written in (graph, graph.replace(profile=profile)):
        save_nir(written, tmp_path / "g.nir")
        loaded, warnings = load_nir(tmp_path / "g.nir")
        assert loaded == written
        assert warnings == ()


def write(path, nodes, edges):
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=edges, type_check=False))
    return path


def border(*shape):
    size = np.array(shape)
    return nir.Input({"input": size}), nir.Output({"output": size})


def with_scalars(path, name, **scalars):
    """Write a LIF's parameters as single numbers, as old exporters did; those that are not given go."""
    with h5py.File(path, "a") as f:
        node = f[f"node/nodes/{name}"]
        for field in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
            del node[field]
            if field in scalars:
                node[field] = np.float32(scalars[field])
    return path


def test_scalars_between_layers_are_broadcast(tmp_path):
    first, last = border(3)[0], border(2)[1]
    nodes = {"input": first, "fc": nir.Linear(np.ones((2, 3))), "lif": nir.LIF(*(np.ones(2),) * 5), "output": last}
    path = write(tmp_path / "g.nir", nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")])
    graph, warnings = load_nir(with_scalars(path, "lif", tau=1, r=1, v_leak=0, v_threshold=1, v_reset=0))
    assert [(d.code, d.path, dict(d.facts)) for d in warnings] == [("E011", "lif", {"shape": (2,)})]
    assert graph["lif"].op.tau.shape == (2,)
    assert verify(graph) == ()


@pytest.mark.parametrize("size", [1, 5])
def test_a_lone_scalar_population_has_one_reading_only_for_one_neuron(tmp_path, size):
    first, last = border(size)
    nodes = {"i": first, "n": nir.LIF(*(np.ones(size),) * 5), "o": last}
    path = with_scalars(write(tmp_path / "g.nir", nodes, [("i", "n"), ("n", "o")]), "n", tau=1, r=1, v_leak=0, v_threshold=1)
    if size == 1:
        graph, warnings = load_nir(path)
        assert {d.code for d in warnings} == {"E010", "E011"}
        assert graph["n"].op.shape == (1,)
    else:
        with pytest.raises(ImportModelError, match=r"E017 at n: .*\(5,\)"):
            load_nir(path)


def test_a_leading_axis_of_one_that_belongs_there_stays(tmp_path):
    graph = chain(
        Conv2d(None, np.ones((2, 1, 3, 3)), 1, 0, 1, 1, np.zeros(2)), Flatten(), Linear(np.ones((2, 8))), shape=(1, 4, 4)
    )
    save_nir(graph, tmp_path / "g.nir")
    made = nir.read(tmp_path / "g.nir")
    made.metadata = {}
    nir.write(tmp_path / "g.nir", made)
    loaded, _ = load_nir(tmp_path / "g.nir")
    assert loaded["input"].op.shape == (1, 4, 4)


def test_a_leading_axis_of_one_is_not_stripped_where_that_mends_nothing(tmp_path):
    nodes = {"input": border(1, 3)[0], "fc": nir.Linear(np.ones((2, 4))), "output": border(2)[1]}
    graph, warnings = load_nir(write(tmp_path / "g.nir", nodes, [("input", "fc"), ("fc", "output")]))
    assert warnings == ()
    assert graph["input"].op.shape == (1, 3)


def test_a_batch_axis_that_is_not_one_is_left_to_the_verifier(tmp_path):
    first, last = border(4, 3)[0], border(4, 2)[1]
    nodes = {"input": first, "fc": nir.Linear(np.ones((2, 3))), "output": last}
    graph, warnings = load_nir(write(tmp_path / "g.nir", nodes, [("input", "fc"), ("fc", "output")]))
    assert warnings == ()
    with pytest.raises(SpikeportError, match=r"E201 at fc: .*takes input \(3,\), got \(4, 3\)"):
        verify(graph)


def test_a_flatten_is_shifted_only_where_the_neighbour_tells(tmp_path):
    first, last = border(2, 3, 4)[0], border(24)[1]
    flat = nir.Flatten({"input": np.array([2, 3, 4])}, 1, -1)
    edges = [("input", "flat"), ("flat", "fc"), ("fc", "output")]
    nodes = {"input": first, "flat": flat, "fc": nir.Linear(np.ones((24, 24))), "output": last}
    graph, warnings = load_nir(write(tmp_path / "g.nir", nodes, edges))
    assert [(d.code, d.path) for d in warnings] == [("E013", "flat")]
    assert graph["flat"].op.start_dim == 0
    # A layer over the last axis takes the file's own reading.
    nodes["fc"], nodes["output"] = nir.Linear(np.ones((2, 5, 12))), border(2, 5)[1]
    graph, warnings = load_nir(write(tmp_path / "g.nir", nodes, edges))
    assert warnings == ()
    assert graph["flat"].op.start_dim == 1
    # Neither reading fits: left as it is, and refused.
    nodes["fc"] = nir.Linear(np.ones((2, 7)))
    graph, warnings = load_nir(write(tmp_path / "g.nir", nodes, edges))
    assert warnings == ()
    assert graph["flat"].op.start_dim == 1


def test_an_output_that_differs_in_more_than_ones_is_left_to_the_verifier(tmp_path):
    save_nir(chain(lif(2), shape=(2,)), tmp_path / "g.nir")
    made = nir.read(tmp_path / "g.nir")
    made.nodes["output"] = nir.Output({"output": np.array([3])})
    nir.write(tmp_path / "g.nir", made)
    graph, warnings = load_nir(tmp_path / "g.nir")
    assert not [d for d in warnings if d.severity == "warning"]
    with pytest.raises(SpikeportError, match="E201 at output"):
        verify(graph)
