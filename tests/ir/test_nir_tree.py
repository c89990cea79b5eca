"""Hostile and damaged files: refused by key, before anything large is built, and nothing outside them is read."""

import h5py
import nir
import numpy as np
import pytest
from graphs import chain, lif

from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.nir_io import read_nir_tree, save_nir, tree_to_graph
from spikeport.ir.ops import Linear


@pytest.fixture
def file(tmp_path):
    """A sound file, to be made unsound."""
    path = tmp_path / "g.nir"
    save_nir(chain(Linear(np.eye(2)), lif(2), shape=(2,)), path)
    return path


def refusal(path, **options):
    with pytest.raises(ImportModelError) as caught:
        tree_to_graph(read_nir_tree(path, **options))
    assert caught.value.exit_code == 3
    return caught.value.diagnostics


def only(path, **options):
    (finding,) = refusal(path, **options)
    return finding


def replace(path, key, **given):
    with h5py.File(path, "a") as f:
        if key in f:
            del f[key]
        if given:
            f.create_dataset(key, **given)


def test_a_sound_file_is_plain_data(file):
    tree = read_nir_tree(file)
    assert tree["version"] == nir.version
    assert set(tree["node"]) == {"type", "nodes", "edges"}
    assert tree["node"]["nodes"]["0"]["type"] == "Linear"
    assert tree["node"]["nodes"]["0"]["weight"].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert tree["node"]["edges"].tolist() == [["input", "0"], ["0", "1"], ["1", "output"]]


def test_no_file_no_hdf5_no_nir(tmp_path):
    assert only(tmp_path / "none.nir").message == "there is no such file"
    assert only(tmp_path).code == "E001"
    (tmp_path / "text.nir").write_text("hello")
    assert "not a readable HDF5 file" in only(tmp_path / "text.nir").message
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["data"] = 1
    assert "it holds data" in only(tmp_path / "other.h5").message
    with h5py.File(tmp_path / "flat.h5", "w") as f:
        f["node"] = 1
    assert only(tmp_path / "flat.h5").code == "E001"


def test_every_truncation_is_told(file):
    whole = file.read_bytes()
    for part in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        file.write_bytes(whole[:part])
        assert {d.code for d in refusal(file)} == {"E001"}


def test_flipped_bytes_never_crash(file):
    whole = bytearray(file.read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.choice(len(whole), 300, replace=False):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        file.write_bytes(broken)
        try:
            tree_to_graph(read_nir_tree(file))
        except ImportModelError:
            refused += 1
    assert refused > 10


def test_links_are_not_followed(file, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as f:
        f["weight"] = np.full((2, 2), 42.0)
    for link in (h5py.ExternalLink(str(secret), "/weight"), h5py.SoftLink("/node/nodes/1/tau")):
        with h5py.File(file, "a") as f:
            del f["node/nodes/0/weight"]
            f["node/nodes/0/weight"] = link
        found = only(file)
        assert (found.code, found.path) == ("E003", "node/nodes/0/weight")
        assert "link" in found.message


def test_the_root_may_be_no_link_either(file):
    with h5py.File(file, "a") as f:
        f.move("node", "real")
        f["node"] = h5py.SoftLink("/real")
    assert only(file).path == "node"


def test_external_storage_is_not_read(file, tmp_path):
    (tmp_path / "raw").write_bytes(np.full(4, 42.0).tobytes())
    with h5py.File(file, "a") as f:
        del f["node/nodes/0/weight"]
        f.create_dataset("node/nodes/0/weight", (2, 2), "<f8", external=[(str(tmp_path / "raw"), 0, 32)])
    assert only(file).message == "this array lies in another file"


def test_virtual_datasets_are_not_read(file, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["w"] = np.ones((2, 2))
    layout = h5py.VirtualLayout((2, 2), "f8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "w", (2, 2))
    with h5py.File(file, "a") as f:
        del f["node/nodes/0/weight"]
        f.create_virtual_dataset("node/nodes/0/weight", layout)
    assert only(file).message == "this array lies in another file"


@pytest.mark.parametrize(
    "given",
    [
        {"shape": (2,), "dtype": h5py.ref_dtype},
        {"shape": (2,), "dtype": h5py.regionref_dtype},
        {"shape": (2,), "dtype": h5py.vlen_dtype(np.float64)},
        {"data": np.zeros(2, [("a", "f8"), ("b", "i4")])},
        {"data": np.zeros(2, complex)},
        {"data": np.zeros(2, "V8")},
        {"data": h5py.Empty("f8")},
    ],
)
def test_types_that_nir_lacks(file, given):
    replace(file, "node/nodes/0/weight", **given)
    found = only(file)
    assert (found.code, found.path) == ("E003", "node/nodes/0/weight")


def test_a_named_type_is_refused(file):
    with h5py.File(file, "a") as f:
        f["node/nodes/0/kind"] = np.dtype("f8")
    assert only(file).message == "NIR has no Datatype in a file"


def test_the_size_is_known_before_anything_is_read(file):
    # 8 TB on paper, nothing on disk.
    replace(file, "node/nodes/0/weight", shape=(10**6, 10**6), dtype="f8", chunks=(1000, 1000), compression="gzip")
    found = only(file)
    assert (found.code, found.path) == ("E002", "node/nodes/0/weight")
    assert found.facts["taken"] > 8 * 10**12


def test_the_limit_is_for_all_arrays_together(file):
    with h5py.File(file, "a") as f:
        for k in range(4):
            f.create_dataset(f"node/nodes/0/x{k}", data=np.zeros(1000), compression="gzip")
    assert only(file, limit=30_000).code == "E002"
    assert only(file).code == "E004"


def test_chunks_larger_than_the_limit(file):
    replace(file, "node/nodes/0/weight", shape=(2, 2), maxshape=(None, None), dtype="f8", chunks=(8000, 8000))
    found = only(file, limit=10**6)
    assert (found.code, found.facts["chunk"]) == ("E002", 512_000_000)


def test_a_chunk_that_unfolds_to_more_than_it_may(file):
    import zlib

    stream = zlib.compressobj(9)
    bomb = stream.compress(b"\0" * 2**20)
    for _ in range(400):
        bomb += stream.compress(b"\0" * 2**20)
    bomb += stream.flush()
    assert len(bomb) * 1032 > 256 * 2**20
    with h5py.File(file, "a") as f:
        del f["node/nodes/0/weight"]
        data = f.create_dataset("node/nodes/0/weight", (2, 2), "f8", chunks=(2, 2), compression="gzip")
        data.id.write_direct_chunk((0, 0), bomb)
    found = only(file)
    assert (found.code, found.path) == ("E002", "node/nodes/0/weight")
    assert "unpacks to more than its 32 bytes" in found.message


def test_filters_that_nir_does_not_use_are_refused(file):
    replace(file, "node/nodes/0/weight", data=np.ones((2, 2)), chunks=(2, 2), scaleoffset=3)
    assert "HDF5 filters [6]" in only(file).message


def test_usual_filters_are_read(file):
    for given in ({"compression": "lzf"}, {"compression": "gzip", "shuffle": True, "fletcher32": True}, {}):
        replace(file, "node/nodes/0/weight", data=np.eye(2), chunks=(2, 2), **given)
        tree_to_graph(read_nir_tree(file))


def test_deep_files_and_loops_of_groups(file):
    with h5py.File(file, "a") as f:
        f.create_group("node/nodes/" + "/".join("x" * 40))
    assert "more than 16 levels" in only(file).message
    with h5py.File(file, "a") as f:
        del f["node/nodes/x"]
        f["node/nodes/self"] = f["node"]
    assert only(file).message == "this group stands in the file under two names"


def test_text_that_is_no_text(file):
    replace(file, "node/nodes/0/type", data=np.bytes_(b"\xff\xfe"))
    assert "not UTF-8" in only(file).message


def test_one_long_text_named_many_times(file):
    kind = h5py.string_dtype()
    with h5py.File(file, "a") as f:
        del f["node/edges"]
        rows = f.create_dataset("node/edges", (3000, 2), kind)
        rows[...] = "x" * 10_000
    assert only(file, limit=20 * 10**6).code == "E002"


@pytest.mark.parametrize(
    ("key", "given", "code", "text"),
    [
        ("node/type", {"data": "Linear"}, "E006", "single 'Linear'"),
        ("node/nodes", {}, "E004", "no group 'nodes'"),
        ("node/edges", {}, "E004", "no 'edges'"),
        ("node/edges", {"data": np.ones((2, 2))}, "E005", "an edge is two names"),
        ("node/edges", {"data": np.array([b"a", b"b", b"c"])}, "E005", "an edge is two names"),
        ("node/extra", {"data": 1}, "E004", "no entry extra"),
        ("node/nodes/0/type", {"data": "Lienar"}, "E006", "unknown node type 'Lienar' (did you mean 'Linear'?)"),
        ("node/nodes/0/type", {}, "E006", "unknown node type None"),
        ("node/nodes/0/weight", {}, "E004", "this Linear lacks weight"),
        ("node/nodes/0/weight", {"data": "text"}, "E005", "weight of a Linear is the text 'text', not a number"),
        ("node/nodes/0/bias", {"data": np.ones(2)}, "E004", "a Linear has no field bias"),
        ("node/nodes/1/tau", {}, "E004", "this LIF lacks tau"),
        ("node/nodes/input/shape", {"data": np.array([-3])}, "E005", "every axis is 1 or more"),
        ("node/nodes/input/shape", {"data": np.array([1.5])}, "E005", "takes whole numbers"),
        ("node/nodes/input/shape", {"data": np.zeros(0)}, "E005", "takes whole numbers"),
        ("node/metadata/spikeport", {"data": "{}"}, "E008", "expected version 1"),
        ("node/metadata/big", {"data": np.ones(20_000)}, "E008", "an array of 20,000 numbers"),
        ("node/metadata/nan", {"data": np.nan}, "E008", "finite numbers"),
    ],
)
def test_nodes_that_are_not_nir_s(file, key, given, code, text):
    replace(file, key, **given)
    found = only(file)
    assert found.code == code
    assert text in found.message


def test_several_broken_nodes_are_told_at_once(file):
    replace(file, "node/nodes/0/weight")
    replace(file, "node/nodes/1/tau")
    assert [(d.code, d.path) for d in refusal(file)] == [("E004", "0"), ("E004", "1")]


def test_missing_v_reset_and_w_in_are_nir_s(file, tmp_path):
    replace(file, "node/nodes/1/v_reset")
    warnings = []
    graph = tree_to_graph(read_nir_tree(file), warnings)
    assert [(d.code, d.path, d.severity) for d in warnings] == [("E010", "1", "warning")]
    assert graph["1"].op.v_reset.tolist() == [0.0, 0.0]
