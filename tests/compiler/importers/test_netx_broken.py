"""``.net`` files that are broken, hostile or beyond Loihi: each is refused with the place, the numbers and what to do."""

import contextlib

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from netx_files import CUBA, LOIHI, conv, dense, write_net

from spikeport.compiler.importers.netx import load_netx
from spikeport.ir.diagnostics import ImportModelError
from spikeport.runtime.cli.main import run_command

SOUND = [dense(np.full((3, 2), 20), bias=[1.0, 2.0, 3.0]), dense(np.full((2, 3), 10), LOIHI)]
IMAGE = {"type": "input", "shape": [2, 5, 4], "weight": [36.0], "bias": [34.0], "neuron": CUBA}
CONV = conv((3, 4, 3), np.full((3, 2, 2, 2), 10), bias=[1.0, 2.0, 3.0])


def refused(path, **given):
    with pytest.raises(ImportModelError) as caught:
        load_netx(path, **given)
    for d in caught.value.diagnostics:
        assert d.severity == "error"
        assert d.message
    return [(d.code, d.path) for d in caught.value.diagnostics], str(caught.value)


def layers_refused(tmp_path, layers, **given):
    return refused(write_net(tmp_path / "a.net", layers), **given)


def without(layer, name):
    return {k: v for k, v in layer.items() if k != name}


# ------------------------------------------------------------------------------------------------------------- the file


def test_what_is_no_such_file(tmp_path):
    assert refused(tmp_path / "nothing.net")[0] == [("E050", str(tmp_path / "nothing.net"))]
    (tmp_path / "text.net").write_text("layer")
    assert "export_hdf5" in refused(tmp_path / "text.net")[1]
    with h5py.File(tmp_path / "other.net", "w") as file:
        file.create_group("node")
    assert "it holds node" in refused(tmp_path / "other.net")[1]
    with h5py.File(tmp_path / "flat.net", "w") as file:
        file["layer"] = 3
    assert refused(tmp_path / "flat.net")[0] == [("E050", "layer")]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({}, "no layers"),
        ({"0": SOUND[0], "2": SOUND[1]}, "1 is not there, 2 is instead"),
        ({"0": SOUND[0], "a": SOUND[1]}, "a is instead"),
        ({"00": SOUND[0]}, "0 is not there"),
        ({"1": SOUND[0]}, "0 is not there"),
    ],
)
def test_layers_that_are_no_sequence(tmp_path, layers, words):
    found, text = layers_refused(tmp_path, layers)
    assert found == [("E051", "layer")]
    assert words in text


def test_too_many_layers(tmp_path):
    with h5py.File(tmp_path / "a.net", "w") as file:
        for n in range(10_001):
            file.create_group(f"layer/{n}")
    assert "10,001 layers" in refused(tmp_path / "a.net")[1]


def test_a_file_without_neurons(tmp_path):
    assert layers_refused(tmp_path, [{"type": "input", "shape": [4]}])[0] == [("E051", "layer")]
    assert layers_refused(tmp_path, [{"type": "flatten", "shape": [4]}])[0] == [("E051", "layer")]


def test_links_references_and_bombs(tmp_path):
    write_net(tmp_path / "other.net", SOUND)
    for name, link in (
        ("soft", h5py.SoftLink("/layer/0")), ("external", h5py.ExternalLink(str(tmp_path / "other.net"), "/layer/0")),
    ):  # fmt: skip
        with h5py.File(write_net(tmp_path / f"{name}.net", SOUND), "a") as file:
            file["layer/2"] = link
        assert refused(tmp_path / f"{name}.net")[0] == [("E003", "layer/2")]
    with h5py.File(write_net(tmp_path / "twice.net", SOUND), "a") as file:
        file["layer/2"] = file["layer/0"]
    assert refused(tmp_path / "twice.net")[0][0][0] == "E003"
    with h5py.File(write_net(tmp_path / "reference.net", SOUND), "a") as file:
        file.create_dataset("layer/0/delay", data=file["layer/0"].ref, dtype=h5py.ref_dtype)
    found, text = refused(tmp_path / "reference.net")
    assert found == [("E003", "layer/0/delay")]
    assert "a .net file has no values of the type" in text
    with h5py.File(write_net(tmp_path / "bomb.net", SOUND), "a") as file:
        file.create_dataset("layer/0/delay", (2**20, 2**20), np.float32, chunks=(64, 64))
    assert refused(tmp_path / "bomb.net")[0] == [("E002", "layer/0/delay")]
    with h5py.File(write_net(tmp_path / "deep.net", SOUND), "a") as file:
        file.create_group("layer/" + "/".join("0" * 20))
    assert refused(tmp_path / "deep.net")[0][0][0] == "E002"


@given(st.data())
def test_no_damage_of_the_bytes_gets_out_as_anything_but_a_refusal(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("net") / "a.net"
    raw = bytearray(write_net(path, [IMAGE, CONV]).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw) // 2]))]))
    with contextlib.suppress(ImportModelError):
        load_netx(path)


# ------------------------------------------------------------------------------------------------------------ the fields

NEURON = "layer/0/neuron"


@pytest.mark.parametrize(
    ("layer", "expected", "words"),
    [
        (without(SOUND[0], "type"), ("E052", "layer/0/type"), "has no type"),
        (without(SOUND[0], "shape"), ("E052", "layer/0/shape"), "has no shape"),
        (without(SOUND[0], "weight"), ("E052", "layer/0/weight"), "has no weight"),
        (SOUND[0] | {"neuron": without(CUBA, "type")}, ("E052", f"{NEURON}/type"), "has no type"),
        (SOUND[0] | {"neuron": without(CUBA, "vDecay") | {"vdecay": 3}}, ("E052", f"{NEURON}/vDecay"), "did you mean 'vdecay'"),
        (SOUND[0] | {"type": 3}, ("E053", "layer/0/type"), "not a text"),
        (SOUND[0] | {"neuron": 3}, ("E053", "layer/0/neuron"), "not a group"),
        (SOUND[0] | {"weight": "heavy"}, ("E053", "layer/0/weight"), "the text 'heavy', not a number"),
        (SOUND[0] | {"weight": np.full((3, 2), np.nan)}, ("E053", "layer/0/weight"), "6 of 6 values that are NaN"),
        (SOUND[0] | {"weight": np.full((3, 2), 0.5)}, ("E053", "layer/0/weight"), "not whole, the first 0.5"),
        (SOUND[0] | {"weight": np.full((3, 2), 1e9)}, ("E053", "layer/0/weight"), "1000000000, outside"),
        (SOUND[0] | {"weight": np.zeros((0, 2))}, ("E053", "layer/0/weight"), "empty"),
        (SOUND[0] | {"shape": [0]}, ("E053", "layer/0/shape"), "0, outside 1 to"),
        (SOUND[0] | {"shape": [2**20, 2**20]}, ("E053", "layer/0/shape"), "at most 134,217,728 neurons"),
        (SOUND[0] | {"shape": [1, 1, 1, 3]}, ("E053", "layer/0/shape"), "one to three axes"),
        (SOUND[0] | {"neuron": CUBA | {"iDecay": -1}}, ("E053", f"{NEURON}/iDecay"), "-1, outside 0 to 4,096"),
        (SOUND[0] | {"neuron": CUBA | {"vDecay": 4097}}, ("E053", f"{NEURON}/vDecay"), "4097, outside"),
        (SOUND[0] | {"neuron": CUBA | {"vThMant": 2**17}}, ("E053", f"{NEURON}/vThMant"), "131072, outside"),
        (SOUND[0] | {"neuron": CUBA | {"vThMant": np.inf}}, ("E053", f"{NEURON}/vThMant"), "NaN or infinite"),
        (SOUND[0] | {"neuron": CUBA | {"vThMant": "high"}}, ("E053", f"{NEURON}/vThMant"), "the text 'high'"),
        (SOUND[0] | {"bias": [1e7]}, ("E053", "layer/0/bias"), "outside"),
        (SOUND[0] | {"delay": -1}, ("E053", "layer/0/delay"), "-1, outside 0"),
        (SOUND[0] | {"inFeatures": [1, 2]}, ("E053", "layer/0/inFeatures"), "it takes one"),
        (SOUND[0] | {"inFeatures": 7}, ("E054", "layer/0/inFeatures"), "inFeatures is 7, weight has 2"),
        (without(SOUND[0], "bias") | {"shape": [4]}, ("E054", "layer/0/shape"), "4 neurons, weight has 3"),
        (SOUND[0] | {"weight": np.full((3, 2, 2), 2)}, ("E054", "layer/0/weight"), "(3, 2, 2)"),
        (SOUND[0] | {"bias": [1.0, 2.0]}, ("E054", "layer/0/bias"), "the layer has 3 neurons"),
        (SOUND[0] | {"delay": [1, 2, 3, 4]}, ("E054", "layer/0/delay"), "3 outputs and 2 inputs"),
        (SOUND[0] | {"neuron": CUBA | {"vDecay": [1, 2]}}, ("E054", f"{NEURON}/vDecay"), "2 values; the layer has 3 channels"),
        (SOUND[0] | {"type": "sparse"}, ("E055", "layer/0/type"), "no layer has the type 'sparse'"),
        (SOUND[0] | {"weight": {"real": 1, "imag": 2}}, ("E055", "layer/0/weight"), "complex"),
        (without(SOUND[0], "neuron"), ("E056", "layer/0/neuron"), "affine"),
        (SOUND[0] | {"neuron": CUBA | {"gradedSpike": True}}, ("E056", f"{NEURON}/gradedSpike"), "carry a value"),
        (SOUND[0] | {"neuron": CUBA | {"refDelay": 4}}, ("E057", f"{NEURON}/refDelay"), "for 3 steps after a spike; netx"),
        (SOUND[0] | {"neuron": CUBA | {"wgtExp": 2}}, ("E057", f"{NEURON}/wgtExp"), "2^2"),
        (SOUND[0] | {"neuron": CUBA | {"weight_exp": -1.0}}, ("E057", f"{NEURON}/weight_exp"), "2^-1"),
        (SOUND[0] | {"neuron": LOIHI | {"theta": 641}}, ("E057", f"{NEURON}/theta"), "theta is 641 in training, vThMant 10 is"),
        (SOUND[0] | {"weight": [[300, 2]] * 3}, ("E058", "layer/0/weight"), "0 to 255"),
        (SOUND[0] | {"weight": [[-300, -2]] * 3}, ("E058", "layer/0/weight"), "-300 to -2"),
        (SOUND[0] | {"type": "dense_rec"}, ("E052", "layer/0/weight_rec"), "has no weight_rec"),
        (SOUND[0] | {"type": "dense_rec", "weight_rec": np.full((3, 2), 2)}, ("E054", "layer/0/weight_rec"), "3 neurons"),
        (SOUND[0] | {"type": "dense_rec", "weight_rec": np.eye(3), "delay": 2}, ("E057", "layer/0/delay"), "recurrent"),
    ],
)  # fmt: skip
def test_a_dense_layer_that_is_wrong_in_one_place(tmp_path, layer, expected, words):
    found, text = layers_refused(tmp_path, [layer, SOUND[1]])
    assert found == [expected]
    assert words in text


@pytest.mark.parametrize("kind", ["SDNN", "ALIF", "RF", "RF_IZ", "RF-PHASE", "ADRF", "Hoyer", ""])
def test_neurons_that_do_not_lower_are_refused_by_name(tmp_path, kind):
    found, text = layers_refused(tmp_path, [SOUND[0] | {"neuron": CUBA | {"type": kind}}])
    assert found == [("E056", f"{NEURON}/type")]
    assert repr(kind) in text


@pytest.mark.parametrize("kind", ["average", "concat", "convT", "unpool", "dense_comp"])
def test_layers_that_do_not_lower_are_refused_by_name(tmp_path, kind):
    found, text = layers_refused(tmp_path, [*SOUND, {"type": kind, "shape": [2]}])
    assert found == [("E055", "layer/2/type")]
    assert repr(kind) in text


@pytest.mark.parametrize(
    ("layer", "expected", "words"),
    [
        (without(CONV, "stride"), ("E052", "layer/1/stride"), "has no stride"),
        (without(CONV, "groups"), ("E052", "layer/1/groups"), "has no groups"),
        (CONV | {"stride": [0, 1]}, ("E053", "layer/1/stride"), "0, outside 1"),
        (CONV | {"padding": [-1, 1]}, ("E053", "layer/1/padding"), "-1, outside 0"),
        (CONV | {"dilation": [1, 1, 1]}, ("E053", "layer/1/dilation"), "height and width"),
        (CONV | {"groups": 3}, ("E054", "layer/1/inChannels"), "inChannels is 2, weight has 6"),
        (CONV | {"groups": 2, "inChannels": 4}, ("E054", "layer/1/weight"), "3 output channels in 2 groups"),
        (CONV | {"kernelSize": [3, 3]}, ("E054", "layer/1/weight"), "kernelSize (3, 3)"),
        (CONV | {"shape": [3, 5, 3]}, ("E054", "layer/1/shape"), "make (3, 4, 3) of (2, 5, 4)"),
        (CONV | {"shape": [36]}, ("E054", "layer/1/shape"), "channels, height, width"),
        (CONV | {"bias": [1.0]}, ("E054", "layer/1/bias"), "3 channels"),
        (CONV | {"dilation": [9, 9]}, ("E054", "layer/1/weight"), "larger than its padded input"),
        (CONV | {"delay": [0.0, 2.0, 0.0]}, ("E057", "layer/1/delay"), "up to 2 steps"),
        (CONV | {"neuron": CUBA | {"refDelay": 3}}, ("E057", "layer/1/neuron/refDelay"), "netx"),
        (dense(np.full((2, 7), 2)), ("E054", "layer/1/weight"), "takes 7 inputs, the layers before give 40"),
        ({"type": "flatten", "shape": [41]}, ("E054", "layer/1/shape"), "(41,)"),
        (IMAGE, ("E055", "layer/1/type"), "the first"),
    ],
)
def test_a_layer_behind_an_image_that_is_wrong_in_one_place(tmp_path, layer, expected, words):
    found, text = layers_refused(tmp_path, [IMAGE, layer])
    assert found == [expected]
    assert words in text


def test_an_input_layer_that_is_wrong(tmp_path):
    assert layers_refused(tmp_path, [IMAGE | {"weight": [1.0, 2.0]}, CONV])[0] == [("E053", "layer/0/weight")]
    assert layers_refused(tmp_path, [IMAGE | {"neuron": CUBA | {"type": "SDNN"}}, CONV])[0] == [("E056", f"{NEURON}/type")]


def test_a_pool_that_is_wrong(tmp_path):
    pool = CONV | {"type": "pool", "weight": np.ones((1, 1, 3, 2, 1))}
    assert layers_refused(tmp_path, [IMAGE, pool])[0] == [("E054", "layer/1/weight")]


def test_an_input_of_open_size(tmp_path):
    layers = [conv((3, 3, 3), np.full((3, 2, 2, 2), 10), stride=(2, 2))]
    found, text = layers_refused(tmp_path, layers)
    assert found == [("E060", "layer/0/shape")]
    assert "2 channels of 6 to 7 by 6 to 7 fit" in text
    assert layers_refused(tmp_path, layers, input_shape=(2, 9, 9))[0] == [("E060", "layer/0/shape")]
    found, text = layers_refused(tmp_path, [IMAGE, CONV], input_shape=(2, 5, 5))
    assert found == [("E054", "layer/0")]
    assert "(2, 5, 4); (2, 5, 5) was given" in text


def test_all_that_is_wrong_is_found_at_once(tmp_path):
    layers = [
        SOUND[0] | {"weight": np.full((3, 2), np.nan), "neuron": CUBA | {"iDecay": 9999, "refDelay": 7}, "bias": "none"},
        SOUND[1] | {"neuron": LOIHI | {"type": "RF"}},
        {"type": "concat", "shape": [2]},
        CONV | {"stride": [0, 0]},
    ]
    found, _ = layers_refused(tmp_path, layers)
    assert set(found) == {
        ("E053", "layer/0/weight"), ("E053", "layer/0/bias"), ("E053", f"{NEURON}/iDecay"), ("E057", f"{NEURON}/refDelay"),
        ("E056", "layer/1/neuron/type"), ("E055", "layer/2/type"), ("E053", "layer/3/stride"),
    }  # fmt: skip


def test_what_nobody_reads_is_said(tmp_path):
    neuron = CUBA | {"threshold_eps": 1}
    path = write_net(tmp_path / "a.net", [SOUND[0] | {"neuron": neuron, "colour": 3, "wieght": 1}])
    found = load_netx(path)[1]
    assert [(d.code, d.path) for d in found] == [
        ("E059", "layer/0/colour"), ("E059", "layer/0/wieght"), ("E059", f"{NEURON}/threshold_eps"),
    ]  # fmt: skip
    assert "did you mean 'weight'" in str(found[1])


def test_the_command_line_refuses_in_words(tmp_path, capsys):
    path = write_net(tmp_path / "a.net", [SOUND[0] | {"neuron": CUBA | {"type": "SDNN"}}])
    assert run_command(["inspect", str(path)]) == 3
    assert "E056 at layer/0/neuron/type: neurons of the type 'SDNN' do not lower" in capsys.readouterr().err
