"""lava-dl's ``.net`` files: the recordings bit for bit, and every option of the format against Lava's own steps in numpy."""

import numpy as np
import pytest
from netx_files import CUBA, LOIHI, conv, dense, run_lava, write_net

from spikeport.compiler.importers.netx import load_netx
from spikeport.ir.network import build_network
from spikeport.ir.nir_io import from_nir, to_nir
from spikeport.ir.ops import LIF, CubaLIF
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording
from spikeport.ir.verify import findings
from spikeport.runtime.api import run as api_run
from spikeport.runtime.cli.main import run_command
from spikeport.runtime.model import load


def trace(graph, inputs):
    network = build_network(graph, graph.profile, "loihi")
    return run_reference(network, {"input": np.asarray(inputs)[None]}, Recording(paths=None, state=True))


def spikes(graph, inputs):
    """Return the spikes of every population by layer, (steps, *shape)."""
    found = trace(graph, inputs).spikes
    return [found[path][0] for path in sorted(found, key=lambda p: int(p.split(".")[1]))]


def agree(path, layers, inputs, **given):
    """Hold the reference in arithmetic loihi against Lava's steps; return the graph."""
    graph, _ = load_netx(write_net(path, layers), **given)
    assert not [d for d in findings(graph, graph.profile) if d.severity == "error"]
    expected = run_lava(layers, inputs)
    found = spikes(graph, inputs)
    assert len(found) == len(expected)
    for layer, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert np.array_equal(a, b), f"layer {layer}: {np.count_nonzero(a != b)} bits differ"
        assert b.any(), f"layer {layer} is silent: the case shows nothing"
        assert not b.all()
    return graph


def even(rng, shape, most=40):
    return 2 * rng.integers(-most, most + 1, shape)


def noise(rng, steps, *shape, rate=0.3):
    return (rng.random((steps, *shape)) < rate).astype(np.int64)


# ----------------------------------------------------------------------------------------------------------- recordings


def test_oxford_gives_its_recording(anchors):
    graph, found = load_netx(anchors / "netx" / "oxford.net")
    recorded = np.load(anchors / "netx" / "oxford_recorded.npz")
    assert found == ()
    assert np.array_equal(graph["layer.0.weight"].op.weight, recorded["weight"])
    got = spikes(graph, recorded["input"].T)[0]
    # No shift: the step that Lava's Dense takes is the delay of the edge.
    assert np.count_nonzero(recorded["output"] != got.T) == 0


def tinynet(recorded, name):
    return recorded[name][0].transpose(3, 0, 1, 2)


@pytest.mark.parametrize("backend", ["reference", "engine"])
def test_tinynet_gives_its_recording(anchors, backend):
    recorded = np.load(anchors / "netx" / "tinynet_recorded.npz")
    # What the recording's image makes of the input layer's weight and bias, in two samples of 20 steps.
    image = np.broadcast_to(recorded["input_bias"].transpose(2, 1, 0), (2, 20, 3, 16, 16))
    got = api_run(anchors / "netx" / "tiny.net", image, backend, record="all", record_state=True)
    for sample in (0, 1):
        for layer, name in enumerate(("input", "layer1", "output")):
            # The recording has no step between layers: layer k comes k steps later here, as on Loihi.
            bits = got.spikes[f"layer.{layer}.neuron"][sample][layer : layer + 16]
            assert np.count_nonzero(bits != tinynet(recorded, name)) == 0
        assert np.count_nonzero(got.trace.i["layer.1.neuron"][sample][1:17] != 64 * tinynet(recorded, "current")) == 0


def test_the_parameters_of_tinynet_are_those_recorded(anchors):
    graph, found = load_netx(anchors / "netx" / "tiny.net")
    recorded = np.load(anchors / "netx" / "tinynet_recorded.npz")
    assert [d.code for d in found] == ["E061"]
    kernel = graph["layer.1.weight"].op.weight
    assert np.array_equal(kernel[:, :, ::-1, ::-1].transpose(0, 3, 2, 1), recorded["layer1_kernel"])
    assert np.array_equal(graph["layer.1.neuron"].op.v_leak[:, 0, 0], 64 * recorded["layer1_bias"])


# --------------------------------------------------------------------------------------------------- options of the format


def test_dense_layers_with_biases_and_each_kind_of_neuron(tmp_path):
    rng = np.random.default_rng(1)
    layers = [
        dense(even(rng, (12, 9)), CUBA, bias=rng.integers(-9, 10, 12).astype(np.float32)),
        dense(even(rng, (8, 12)), LOIHI | {"vThMant": 30, "theta": 1920}, bias=[3.0]),
        dense(even(rng, (5, 8)), CUBA | {"iDecay": 300, "vDecay": 0, "vThMant": 60}),
    ]
    graph = agree(tmp_path / "a.net", layers, noise(rng, 60, 9))
    assert [type(graph[f"layer.{n}.neuron"].op) for n in range(3)] == [LIF, CubaLIF, CubaLIF]
    assert graph.notes["arithmetic"] == "loihi"
    assert graph.profile.name == "lava"


def test_decays_and_thresholds_of_their_own_for_each_channel(tmp_path):
    rng = np.random.default_rng(2)
    neuron = CUBA | {
        "iDecay": rng.integers(100, 4097, 6),
        "vDecay": rng.integers(1, 4096, 6),
        "vThMant": rng.integers(5, 40, 6),
    }
    fewer = {name: value[:4] if np.ndim(value) else value for name, value in neuron.items()}
    layers = [
        conv((6, 4, 3), even(rng, (6, 2, 2, 3), 20), neuron, bias=rng.integers(-4, 5, 6)),
        {"type": "flatten", "shape": [72, 1, 1]},
        dense(even(rng, (4, 72), 10), fewer),
    ]
    agree(tmp_path / "a.net", layers, noise(rng, 50, 2, 5, 5))


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [((1, 1), (0, 0), (1, 1), 1), ((2, 1), (1, 2), (1, 1), 1), ((1, 2), (0, 1), (2, 1), 2), (2, 1, 1, 4)],
)
def test_convolutions_of_unequal_sides(tmp_path, stride, padding, dilation, groups):
    rng = np.random.default_rng(3)
    (sh, sw), (ph, pw), (dh, dw) = (np.broadcast_to(a, 2) for a in (stride, padding, dilation))
    height, width, kernel = 9, 7, (3, 2)
    size = (height + 2 * ph - dh * 2 - 1) // sh + 1, (width + 2 * pw - dw - 1) // sw + 1
    layers = [
        {"type": "input", "shape": [4, height, width]},
        conv((8, *size), even(rng, (8, 4 // groups, *kernel), 20), CUBA, stride, padding, dilation, groups,
             bias=rng.integers(-5, 6, 8)),
        {"type": "flatten", "shape": [8 * size[0] * size[1], 1, 1]},
        dense(even(rng, (6, 8 * size[0] * size[1]), 10), CUBA | {"vThMant": 40}),
    ]  # fmt: skip
    graph = agree(tmp_path / "a.net", layers, noise(rng, 30, 4, height, width))
    assert np.array_equal(graph["layer.1.weight"].op.weight, layers[1]["weight"][..., 0])


@pytest.mark.parametrize("neuron", [CUBA, LOIHI])
def test_an_input_layer_is_driven_as_a_bias_one_step_late(tmp_path, neuron):
    rng = np.random.default_rng(4)
    layers = [
        {"type": "input", "shape": [2, 5, 4], "weight": [36.0], "bias": [-7.0], "neuron": neuron},
        conv((3, 3, 3), even(rng, (3, 2, 3, 2), 20), bias=np.arange(27).reshape(3, 3, 3) - 13),  # one for each (x, y, c)
    ]
    graph = agree(tmp_path / "a.net", layers, rng.integers(-30, 60, (40, 2, 5, 4)))
    found = load_netx(tmp_path / "a.net")[1]
    assert "36*x - 7" in str(found[0])
    assert graph["input"].notes["loihi_input"] == {"scale": 1.0, "least": -4096, "most": 4095}
    assert graph["layer.0.neuron"].op.extras.held_init is None
    assert graph["layer.1.neuron"].op.extras.held_init == 2


def test_an_input_layer_in_a_row(tmp_path):
    rng = np.random.default_rng(12)
    layers = [{"type": "input", "shape": [6], "neuron": CUBA}, dense(even(rng, (4, 6)))]
    agree(tmp_path / "a.net", layers, rng.integers(-30, 60, (40, 6)))
    assert "64*x + 0" in str(load_netx(tmp_path / "a.net")[1][0])  # netx's default weight


def test_a_recurrent_layer(tmp_path):
    rng = np.random.default_rng(5)
    layers = [
        dense(even(rng, (7, 5)), CUBA) | {"type": "dense_rec", "weight_rec": even(rng, (7, 7)).astype(np.float32)},
        dense(even(rng, (4, 7)), CUBA),
    ]
    agree(tmp_path / "a.net", layers, noise(rng, 60, 5))


@pytest.mark.parametrize(
    "delay", [3, np.array([4.9]), np.arange(6) * 2, np.arange(5) % 3, np.arange(30).reshape(6, 5) % 4, [70.0] * 6]
)
def test_delays_of_all_synapses_of_outputs_of_inputs_and_of_each(tmp_path, delay):
    rng = np.random.default_rng(6)
    layers = [dense(even(rng, (6, 5)), delay=delay, bias=[1.0]), dense(even(rng, (4, 6)))]
    agree(tmp_path / "a.net", layers, noise(rng, 90, 5))
    found = load_netx(tmp_path / "a.net")[1]
    assert [d.code for d in found] == (["E059"] if np.max(delay) > 62 else [])


def test_a_pool_is_one_kernel_for_every_channel(tmp_path):
    rng = np.random.default_rng(7)
    one = np.full((1, 1, 2, 3), 22)
    pool = {"type": "pool", "shape": [3, 3, 2], "kernelSize": [2, 3], "stride": [2, 3], "padding": [0, 0], "dilation": [1, 1],
            "weight": one[..., None].astype(np.float32), "neuron": CUBA}  # fmt: skip
    graph, _ = load_netx(write_net(tmp_path / "a.net", [{"type": "input", "shape": [3, 6, 6]}, pool]))
    inputs = noise(rng, 40, 3, 6, 6, rate=0.05)
    same = [conv((3, 3, 2), np.repeat(one, 3, 0), CUBA, (2, 3), groups=3)]
    assert np.array_equal(spikes(graph, inputs)[0], run_lava(same, inputs)[0])


def test_weights_in_one_row_and_with_axes_of_one_behind(tmp_path):
    rng = np.random.default_rng(8)
    weight = even(rng, (6, 5))
    plain, _ = load_netx(write_net(tmp_path / "a.net", [dense(weight)]))
    for form in (weight.reshape(-1), weight[:, :, None, None, None]):
        graph, _ = load_netx(write_net(tmp_path / "b.net", [dense(weight) | {"weight": form}]))
        assert graph.digest == plain.digest


def test_a_missing_flatten_is_put_in_channels_first(tmp_path):
    rng = np.random.default_rng(9)
    layers = [conv((2, 3, 2), even(rng, (2, 1, 2, 2))), dense(even(rng, (4, 12)))]
    graph, found = load_netx(write_net(tmp_path / "a.net", layers))
    assert [d.code for d in found] == ["E059"]
    with_flatten, _ = load_netx(write_net(tmp_path / "b.net", [layers[0], {"type": "flatten", "shape": [12]}, layers[1]]))
    inputs = noise(rng, 30, 1, 4, 3)
    assert np.array_equal(spikes(graph, inputs)[1], spikes(with_flatten, inputs)[1])


def test_the_size_of_an_input_that_the_file_leaves_open(tmp_path):
    layers = [conv((2, 3, 3), np.full((2, 1, 2, 2), 30), stride=(2, 2))]
    path = write_net(tmp_path / "a.net", layers)
    assert load_netx(path, input_shape=(1, 7, 6))[0]["input"].op.shape == (1, 7, 6)
    assert load_netx(path, like=(10, 1, 6, 7))[0]["input"].op.shape == (1, 6, 7)
    assert load(path, (1, 7, 7)).inputs == {"input": (1, 7, 7)}
    # A stride of 1 leaves nothing open.
    graph, _ = load_netx(write_net(tmp_path / "b.net", [conv((2, 3, 4), np.full((2, 1, 2, 2), 30))]))
    assert graph["input"].op.shape == (1, 4, 5)


def test_the_step_is_the_file_s_ts_in_milliseconds(tmp_path):
    layers = [dense(np.full((2, 2), 30))]
    assert load_netx(write_net(tmp_path / "a.net", layers, simulation={"Ts": 2, "tSample": 64}))[0].profile.dt == 2e-3
    for odd in ({}, {"Ts": "soon"}, {"Ts": -1}, {"Ts": np.nan}, {"Ts": [1, 2]}):
        assert load_netx(write_net(tmp_path / "a.net", layers, simulation=odd))[0].profile.dt == 1e-3


def test_the_graph_goes_through_a_nir_file_and_keeps_its_arithmetic(tmp_path):
    rng = np.random.default_rng(10)
    layers = [dense(even(rng, (6, 5)), LOIHI, bias=[2.0], delay=np.arange(6)), dense(even(rng, (4, 6)))]
    graph, _ = load_netx(write_net(tmp_path / "a.net", layers))
    again = from_nir(to_nir(graph))
    assert again.digest == graph.digest
    assert load(again).arithmetic == "loihi"


def test_the_commands_take_the_file(tmp_path, capsys):
    rng = np.random.default_rng(11)
    layers = [dense(even(rng, (6, 5)), bias=np.arange(6.0)), dense(even(rng, (4, 6)))]
    path, inputs = write_net(tmp_path / "a.net", layers), noise(rng, 30, 5).astype(np.uint8)
    np.save(tmp_path / "x.npy", inputs)
    for command in (["inspect", path], ["check", path], ["run", path, "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npz"]):
        assert run_command([str(a) for a in command]) == 0
    with np.load(tmp_path / "y.npz") as result:
        assert np.array_equal(result["out/output"], run_lava(layers, inputs)[1])
    assert run_command(["run", str(path), "--input", str(tmp_path / "x.npy"), "--arith", "float32"]) == 2
    assert "loihi" in capsys.readouterr().err
