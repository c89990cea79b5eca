import contextlib
import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import lif

from spikeport.ir import Edge, Graph, Node
from spikeport.ir.diagnostics import UsageError
from spikeport.ir.ops import Input, Output
from spikeport.runtime.encode import encode
from spikeport.runtime.files import read_arrays, write_npz
from spikeport.runtime.inputs import prepare_inputs


def graph(**shapes):
    """A graph with an Input node of each shape."""
    shapes = shapes or {"input": (2, 3)}
    nodes = [Node(p, Input(s)) for p, s in shapes.items()] + [Node("lif", lif((2, 3))), Node("output", Output((2, 3)))]
    return Graph(nodes, [Edge("input", "lif"), Edge("lif", "output")])


def refused(code, *args, **options):
    with pytest.raises(UsageError) as caught:
        prepare_inputs(*args, **options)
    assert code in {d.code for d in caught.value.diagnostics}, str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">f4", ">i2"])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_every_number_type_keeps_its_type(tmp_path, dtype, suffix):
    x = np.arange(24).reshape(4, 2, 3).astype(dtype)
    path = tmp_path / f"x.{suffix}"
    (np.save if suffix == "npy" else np.savez)(path, x)
    found = prepare_inputs(path, graph())
    assert found.is_single
    assert (found.samples, found.steps) == (1, 4)
    value = found.values["input"]
    assert value.dtype == (np.uint8 if dtype == "?" else np.dtype(dtype))
    assert np.array_equal(value[0], x)


def test_a_batch_by_the_shape_of_the_input_node():
    found = prepare_inputs(np.zeros((5, 4, 2, 3)), graph())
    assert not found.is_single
    assert (found.samples, found.steps) == (5, 4)


def test_fortran_order_is_read_as_it_is_meant(tmp_path):
    x = np.asfortranarray(np.random.default_rng(0).random((4, 2, 3)))
    np.save(tmp_path / "x.npy", x)
    assert np.array_equal(prepare_inputs(tmp_path / "x.npy", graph()).values["input"][0], x)


@pytest.mark.parametrize("shape", [(4, 3, 2), (4, 6), (2, 3), (1, 5, 4, 2, 3), (4, 2, 4), ()])
def test_wrong_shapes_show_both(shape):
    say = refused("E612", np.zeros(shape), graph())
    assert "takes (steps, 2, 3) or (samples, steps, 2, 3)" in say
    assert str(shape) in say


def test_hints_of_wrong_shapes():
    assert "add --encode" in refused("E612", np.zeros((2, 3)), graph())
    assert "reshape the last axes to (2, 3)" in refused("E612", np.zeros((4, 6)), graph())
    assert "takes (steps, 1) or (samples, steps, 1)" in refused("E612", np.zeros(4), graph(input=(1,)))
    assert "its last axes are (2, 4), the model wants (2, 3)" in refused("E612", np.zeros((5, 4, 2, 4)), graph())


def test_images_without_a_time_axis_are_doubted():
    images = np.random.default_rng(0).random((5, 2, 3))
    (note,) = prepare_inputs(images, graph()).notes
    assert note.startswith(
        "the input input of shape (5, 2, 3) is taken as one sample of 5 steps; if its first axis counts samples"
    )
    assert len(prepare_inputs(images, graph(), steps=7).notes) == 2
    for clear in (images[:, None], images.round(), images[:1]):
        assert prepare_inputs(clear, graph()).notes == ()
    assert prepare_inputs(images, graph(), encode="constant", steps=4).notes == ()


def test_a_misspelt_file_is_asked_about(tmp_path):
    np.save(tmp_path / "input.npy", np.zeros((4, 2, 3)))
    assert "imput.npy is not there (did you mean 'input.npy'?)" in refused("E610", tmp_path / "imput.npy", graph())
    assert "no/x.npy is not there\n" in refused("E610", tmp_path / "no" / "x.npy", graph())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(bad):
    x = np.zeros((4, 2, 3))
    x[1, 0, 2] = bad
    assert "1 values that are NaN or infinite, the first at (1, 0, 2)" in refused("E613", x, graph())


@pytest.mark.parametrize(
    "x", [np.zeros((4, 2, 3), complex), np.full((4, 2, 3), "a"), np.full((4, 2, 3), None), np.zeros((4, 2, 3), "M8[s]")]
)
def test_what_is_no_number(x):
    assert "not a number type" in refused("E611", x, graph())


def test_pickles_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    x = np.empty(1, object)
    x[0] = Bomb()
    np.save(tmp_path / "x.npy", x, allow_pickle=True)
    np.savez(tmp_path / "y.npz", x)
    for name in ("x.npy", "y.npz"):
        assert "pickled Python objects" in refused("E611", tmp_path / name, graph())
    assert not (tmp_path / "exploded").exists()


def test_a_header_is_held_against_the_file_before_memory_is_taken(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000, 2, 3), }".ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    (tmp_path / "x.npy").write_bytes(data)
    assert "its header claims 4,800,000,000 bytes" in refused("E610", tmp_path / "x.npy", graph())
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("input.npy", data)
    refused("E610", tmp_path / "x.npz", graph())


def test_a_bomb_is_refused_by_what_it_says_it_holds(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("input.npy", "w", force_zip64=True) as m,
    ):
        for _ in range(10):
            m.write(bytes(2**20))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(UsageError):
        read_arrays(tmp_path / "x.npz")


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read(tmp_path_factory, data):
    stream = io.BytesIO()
    (np.save if data.draw(st.booleans()) else np.savez_compressed)(stream, np.zeros((2, 2, 3)))
    raw = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(raw)
    with contextlib.suppress(UsageError):
        read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x93NUMPY"])
def test_other_files(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    refused("E610", tmp_path / "x", graph())
    refused("E610", tmp_path / "none", graph())
    refused("E610", tmp_path, graph())


def test_several_inputs_by_key(tmp_path):
    two = graph(input=(2, 3), other=(1,))
    a, b = np.zeros((4, 2, 3)), np.zeros((4, 1))
    np.savez(tmp_path / "x.npz", input=a, other=b)
    assert set(prepare_inputs(tmp_path / "x.npz", two).values) == {"input", "other"}
    say = refused("E614", {"input": a, "othre": b}, two)
    assert "there is no array for the input other (did you mean 'othre'?)" in say
    assert "the array 'othre' belongs to no input" in say
    assert "2 inputs (input, other), one array was given" in refused("E614", a, two)
    assert "4 steps" in refused("E616", {"input": a, "other": np.zeros((5, 1))}, two)
    refused("E616", {"input": a, "other": np.zeros((1, 4, 1))}, two)


def test_a_single_input_takes_the_only_array_whatever_its_key():
    assert prepare_inputs({"x": np.zeros((4, 2, 3))}, graph()).steps == 4


def test_steps_beyond_and_below():
    x = np.ones((4, 2, 3), np.uint8)
    longer = prepare_inputs(x, graph(), steps=6)
    assert longer.values["input"].dtype == np.uint8
    assert longer.values["input"][0].reshape(6, -1).sum(axis=1).tolist() == [6, 6, 6, 6, 0, 0]
    assert longer.notes == ("the input has 4 steps; 2 steps of zeros appended",)
    shorter = prepare_inputs(x, graph(), steps=3)
    assert (shorter.steps, shorter.notes) == (3, ("the input has 4 steps; cut to the first 3",))
    assert prepare_inputs(x, graph(), steps=4).notes == ()


def test_empty_inputs():
    refused("E616", np.zeros((0, 2, 3)), graph())
    refused("E616", np.zeros((0, 4, 2, 3)), graph())
    refused("E616", np.zeros((4, 2, 3)), graph(), steps=0)


# ---------------------------------------------------------------------------------------------------------------- codes


def test_constant_repeats_the_value_in_its_type():
    x = np.arange(12, dtype=np.int16).reshape(2, 2, 3)
    found = prepare_inputs(x, graph(), encode="constant", steps=3)
    assert found.values["input"].dtype == np.int16
    assert all(np.array_equal(found.values["input"][:, t], x) for t in range(3))
    assert prepare_inputs(x[0], graph(), encode="constant", steps=3).is_single


def test_rate_is_what_it_says():
    x = np.random.default_rng(3).random((5, 2, 3))
    found = prepare_inputs(x, graph(), encode="rate", steps=400, seed=7).values["input"]
    assert np.array_equal(found, np.random.default_rng(7).random((5, 400, 2, 3)) < x[:, None])
    assert np.abs(found.mean(axis=1) - x).max() < 0.12
    again = prepare_inputs(x, graph(), encode="rate", steps=400, seed=8).values["input"]
    assert not np.array_equal(found, again)
    edges = encode(np.array([[0.0, 1.0]]), "rate", 50, np.random.default_rng(0))
    assert edges[0].sum(axis=0).tolist() == [0, 50]


def test_latency_is_one_spike_early_for_strong_values():
    x = np.array([[1.0, 0.0, 0.5, 0.3]])
    raster = encode(x, "latency", 11, np.random.default_rng(0))
    assert raster.sum(axis=1).tolist() == [[1, 1, 1, 1]]
    assert raster[0].argmax(axis=0).tolist() == [0, 10, 5, 7]
    # Ties to even: 0.5 of 3 steps is 1.5, rounded to 2.
    assert encode(np.array([[0.5]]), "latency", 4, np.random.default_rng(0))[0].argmax() == 2


def test_codes_refused():
    x = np.full((1, 2, 3), 200, np.uint8)
    assert "divide by 255" in refused("E615", x, graph(), encode="rate", steps=4)
    assert "from -1 to 0" in refused("E615", -np.eye(3)[None, :2], graph(), encode="latency", steps=4)
    assert "add --steps N" in refused("E615", x, graph(), encode="constant")
    assert "did you mean 'latency'?" in refused("E615", x, graph(), encode="latncy", steps=4)
    assert "takes (2, 3) or (samples, 2, 3)" in refused("E612", np.zeros((1, 4, 2, 3)), graph(), encode="rate", steps=4)


def test_written_npz_is_the_same_each_time_and_reads_back(tmp_path):
    arrays = {
        "spikes/a.b": np.arange(6, dtype=np.int32).reshape(2, 3),
        "out/c": np.float64(3).reshape(()),
        "meta": np.array("{}"),
    }
    write_npz(tmp_path / "a.npz", arrays)
    write_npz(tmp_path / "b.npz", dict(reversed(arrays.items())))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert sorted(stored) == sorted(arrays)
        assert all(np.array_equal(stored[k], v) and stored[k].dtype == v.dtype for k, v in arrays.items())
    back = read_arrays(tmp_path / "a.npz")
    assert all(np.array_equal(back[k], v) for k, v in arrays.items())
