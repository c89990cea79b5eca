import contextlib
import dataclasses
import hashlib
import io
import json
import stat
import struct
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from graphs import networks
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import PROFILE, lif, small_graph

from spikeport.compiler.driver import lower
from spikeport.ir import Edge, Graph, Node, Recording
from spikeport.ir.diagnostics import ArtifactError, UsageError
from spikeport.ir.network import build_network
from spikeport.ir.ops import LIF, Affine, Conv2d, Discrete, Extras, Input, Output
from spikeport.ir.program import Projection, Slice
from spikeport.ir.reference import run_reference
from spikeport.runtime import program_json
from spikeport.runtime.artifact import artifact_bytes, load_artifact, read_artifact, save_artifact


def load(data):
    return read_artifact(data)


def mapped():
    """A program with slices, projections, passes and notes, as a mapper would make it."""
    program = lower(small_graph(), None, PROFILE, opt=2)
    return dataclasses.replace(
        program, target="loihi2", chips=1,
        slices=(Slice("hidden", ((0, 4),), 0, {"neurons": 4}), Slice("hidden", ((4, 6),), 1), Slice("readout", ((0, 3),), 1)),
        projections=(Projection("input", "hidden", ("fc1",), 0), Projection("hidden", "readout", ("fc2",), 1)),
        usage={"neurons": (5, 8192), "sdram": (7, None)},
    )  # fmt: skip


def rich_graph():
    """Constants, exact coefficients, strings, None, several types: all that ops can hold."""
    exact = Discrete(1e-3, "euler", "nir", np.full((2, 2, 2), 0.8), np.full((2, 2, 2), 0.2))
    extras = Extras(exact, v_init=np.linspace(0, 0.1, 8).reshape(2, 2, 2), refractory_steps=np.array(2))
    neuron = LIF(*(np.broadcast_to(np.float32(x), (2, 2, 2)) for x in (5e-3, 1, 0, 0.5, 0)), extras=extras)
    conv = Conv2d(None, np.ones((2, 1, 3, 3), np.float32), 1, "valid", (1, 1), 1, np.zeros(2))
    nodes = [Node("in", Input((1, 4, 4))), Node("conv", conv, {"origin": {"line": 3, "factor": 0.1}}), Node("lif", neuron),
             Node("out", Output((2, 2, 2)))]  # fmt: skip
    return Graph(nodes, [Edge("in", "conv", 2), Edge("conv", "lif"), Edge("lif", "out")], {"author": "ä"})


def test_the_same_program_gives_the_same_bytes_and_comes_back():
    program = mapped()
    data = artifact_bytes(program)
    again = load(data)
    assert artifact_bytes(mapped()) == data == artifact_bytes(again)
    assert again.graph == program.graph
    assert (again.profile, again.arithmetic, again.target, again.chips) == (program.profile, "float64", "loihi2", 1)
    assert again.slices == program.slices
    assert [(p.source, p.target, p.through, p.delay) for p in again.projections] == [
        ("input", "hidden", ("fc1",), 0), ("hidden", "readout", ("fc2",), 1),
    ]  # fmt: skip
    assert again.usage == program.usage
    assert [r["text"] for r in again.passes] == ["canonicalise", "dead{keep=}"]
    assert all("seconds" not in r for r in again.passes)
    assert dict(again.notes) == dict(program.notes)


def test_all_that_ops_hold_comes_back():
    program = lower(rich_graph(), None, PROFILE)
    again = load(artifact_bytes(program))
    assert again.graph == program.graph
    assert not any(again.graph["lif"].op.tau.strides), "a constant stays one number in memory"
    assert again.graph["lif"].op.tau.dtype == np.float32
    assert dict(again.graph["conv"].notes) == {"origin": {"line": 3, "factor": 0.1}}


@settings(max_examples=20, deadline=None)
@given(networks(max_steps=6))
def test_random_networks_come_back_and_run_alike(drawn):
    graph, profile, inputs = drawn
    program = lower(graph, None, profile)
    data = artifact_bytes(program)
    again = load(data)
    assert again.graph == program.graph
    assert again.profile == program.profile
    assert artifact_bytes(again) == data
    a, b = (run_reference(build_network(p.graph, p.profile), inputs, Recording(None)) for p in (program, again))
    assert all(np.array_equal(v, b.arrays()[k]) for k, v in a.arrays().items())


def test_save_is_atomic_and_says_its_digest(tmp_path):
    path = tmp_path / "a.spk"
    path.write_bytes(b"precious")
    digest = save_artifact(mapped(), path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert load_artifact(path).graph == mapped().graph
    assert [p.name for p in tmp_path.iterdir()] == ["a.spk"]
    with pytest.raises(UsageError, match="E631"):
        save_artifact(mapped(), tmp_path / "missing" / "a.spk")


# ------------------------------------------------------------------------------------------------------- hostile files


def members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(found, **options):
    """Zip *found* again, with the manifest as it is."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", options.get("compression", zipfile.ZIP_STORED)) as archive:
        for name, content in found.items():
            archive.writestr(name, content)
    return stream.getvalue()


def resealed(found):
    """Zip *found* with a manifest that lists it as it now is: what a forger would do."""
    manifest = json.loads(found["manifest.json"])
    others = {n: c for n, c in found.items() if n != "manifest.json"}
    manifest["members"] = {n: {"sha256": hashlib.sha256(c).hexdigest(), "size": len(c)} for n, c in others.items()}
    return packed({**others, "manifest.json": json.dumps(manifest).encode()})


def forged(change, member="program.json"):
    """Return an artifact whose JSON *member* went through *change*, digests mended."""
    found = members(artifact_bytes(mapped()))
    value = json.loads(found[member])
    change(value)
    found[member] = json.dumps(value).encode()
    return resealed(found) if member != "manifest.json" else packed(found)


def refused(data, code):
    with pytest.raises(ArtifactError) as caught:
        load(data)
    assert caught.value.diagnostics[0].code == code, str(caught.value)
    return str(caught.value)


def test_forging_nothing_loads():
    assert load(forged(lambda d: None)).graph == mapped().graph


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a\\b.npy", "C:x", "arrays/../x.npy", "arrays/01.npy", "arrays/x.npy", "extra.txt"],
)
def test_names_that_lead_elsewhere(name):
    say = refused(packed({**members(artifact_bytes(mapped())), name: b"x"}), "E702")
    assert "arrays/../x.npy" in say or repr(name) in say


def test_duplicates():
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        for name in ("manifest.json", "program.json", "manifest.json"):
            archive.writestr(name, b"{}")
    assert "is there twice" in refused(stream.getvalue(), "E702")


def test_links():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        entry = zipfile.ZipInfo("arrays/0.npy")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, b"/etc/passwd")
    assert "is a link" in refused(stream.getvalue(), "E702")


def test_encrypted_members():
    data = bytearray(artifact_bytes(mapped()))
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    assert "is encrypted" in refused(bytes(data), "E702")


def test_bombs_are_refused_before_they_are_unpacked():
    found = {**members(artifact_bytes(mapped())), "arrays/9.npy": bytes(50_000_000)}
    data = packed(found, compression=zipfile.ZIP_DEFLATED)
    assert len(data) < 200_000
    assert "is compressed" in refused(data, "E702")


def test_overlapping_members():
    # Many directory entries that all point at one stored member: a bomb without compression.
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("arrays/0.npy", bytes(100_000))
        for number in range(1, 50):
            entry = zipfile.ZipInfo(f"arrays/{number}.npy")
            first = archive.infolist()[0]
            entry.header_offset, entry.CRC = first.header_offset, first.CRC
            entry.compress_size = entry.file_size = first.file_size
            archive.filelist.append(entry)
        archive._didModify = True
    assert "they overlap" in refused(stream.getvalue(), "E702")


def directory_of(number):
    """A zip whose directory lists one member *number* times: some 50 bytes each, and 400 once Python has read it."""
    member = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 1, 0) + b"a"
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 0x314, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65535, 65535, number * len(entry), len(member), 0)
    return member + entry * number + end


def peak_of(call):
    """Return the most bytes that were held at once during *call*."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_directory_is_refused_by_its_length_before_it_is_read():
    data = directory_of(300_000)
    assert peak_of(lambda: refused(data, "E702")) < 2 * len(data)
    assert "lists more than the limit of 60,000 members" in refused(data, "E702")
    assert "exceed the limit of 60,000" in refused(directory_of(70_000), "E702")


@pytest.mark.parametrize("change", [lambda d: d + b"x", lambda d: b"x" + d, lambda d: d[:-2] + b"\1\0x",
                                    lambda d: d[:-22] + b"PK\6\7" + bytes(16) + d[-22:]])  # fmt: skip
def test_a_directory_that_is_not_where_it_should_be(change):
    refused(change(artifact_bytes(mapped())), "E701")


@pytest.mark.parametrize("text", [b"[" + b"[]," * 12_000_000 + b"[]]", b'"' + b"\\" * 30_000_001 + b'"'])
def test_json_that_grows_when_it_is_read(text):
    """36 MB of empty lists are 800 MB once parsed; a run of backslashes took a pattern's stack to gigabytes."""
    found = members(artifact_bytes(mapped()))
    data = resealed({**found, "program.json": text})
    assert peak_of(lambda: refused(data, "E706")) < 8 * len(data)


def test_slices_of_all_populations_together_have_a_limit(monkeypatch):
    data = artifact_bytes(mapped())
    monkeypatch.setattr(program_json, "MAX_NEURONS", 9)
    assert load(data).graph == mapped().graph
    monkeypatch.setattr(program_json, "MAX_NEURONS", 8)  # 6 of the one and 3 of the other
    assert "hold more than 8 neurons" in refused(data, "E707")


def test_repeated_numbers_are_no_bomb():
    """A file of 3 kB with a layer of a thousand million neurons, each parameter one number."""
    shape = (2**15, 2**15)
    neurons = LIF(*(np.broadcast_to(np.float64(x), shape) for x in (0.02, 1, 0, 1, 0)))
    nodes = [Node("i", Input(shape)), Node("n", neurons), Node("o", Output(shape))]
    program = dataclasses.replace(mapped(), graph=Graph(nodes, [Edge("i", "n"), Edge("n", "o")]), slices=(), projections=())
    data = artifact_bytes(program)
    assert peak_of(lambda: refused(data, "E707")) < 10 * 2**20


def test_a_member_that_lies_about_its_size():
    data = artifact_bytes(mapped())
    at = data.rindex(b"PK\x01\x02")
    size = struct.unpack("<I", data[at + 24 : at + 28])[0]
    lie = data[: at + 20] + struct.pack("<II", size + 5, size + 5) + data[at + 28 :]
    with pytest.raises(ArtifactError):
        load(lie)


@pytest.mark.parametrize(
    ("array", "say"),
    [(np.array([{}], object), "no .npy array of plain numbers"), (np.array(["x"]), "no .npy array"),
     (np.array([1 + 2j]), "no .npy array"), (np.array([True]), "no .npy array"),
     (np.zeros(2, [("a", int)]), "no .npy array"), (np.asfortranarray(np.ones((2, 3))), "no .npy array"),
     (np.array([np.nan]), "NaN or infinite"), (np.array([1, np.inf], np.float32), "NaN or infinite")],
)  # fmt: skip
def test_arrays_that_are_no_plain_finite_numbers(array, say):
    stream = io.BytesIO()
    np.save(stream, array)
    found = members(artifact_bytes(mapped()))
    assert say in refused(resealed({**found, "arrays/0.npy": stream.getvalue()}), "E705")


def test_array_headers_that_promise_too_much():
    found = members(artifact_bytes(mapped()))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 999999999999), }".ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    assert "claims" in refused(resealed({**found, "arrays/0.npy": data}), "E705")


def test_missing_extra_and_altered_members():
    found = members(artifact_bytes(mapped()))
    refused(packed({n: c for n, c in found.items() if n != "arrays/0.npy"}), "E704")
    refused(packed({n: c for n, c in found.items() if n != "manifest.json"}), "E703")
    refused(resealed({n: c for n, c in found.items() if n != "program.json"}), "E704")
    refused(packed({**found, "arrays/77.npy": found["arrays/0.npy"]}), "E704")
    refused(resealed({**found, "arrays/77.npy": found["arrays/0.npy"]}), "E704")
    altered = bytearray(found["arrays/1.npy"])
    altered[-1] ^= 1
    assert "altered or damaged" in refused(packed({**found, "arrays/1.npy": bytes(altered)}), "E704")


@pytest.mark.parametrize(
    ("change", "code"),
    [(lambda d: d.update(format="zip"), "E703"), (lambda d: d.update(version=2), "E703"),
     (lambda d: d.update(version=True), "E703"), (lambda d: d.update(more=1), "E703"), (lambda d: d.pop("members"), "E703"),
     (lambda d: d.update(graph="0" * 64), "E707"), (lambda d: d.update(graph=None), "E707")],
)  # fmt: skip
def test_manifests(change, code):
    refused(forged(change, "manifest.json"), code)


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000 + b"]" * 100_000, b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":1e999}', b"{", b'{"a":' + b"9" * 5000 + b"}",
     '{"ä":1}'.encode(), b"\xff\xfe", b'"' + b"\\" * 99],
)  # fmt: skip
def test_json(text):
    found = members(artifact_bytes(mapped()))
    refused(packed({**found, "manifest.json": text}), "E706")
    refused(resealed({**found, "program.json": text}), "E706")


def slice_of(d, number):
    return d["slices"][number]


def node_of(d, path):
    return next(n for n in d["graph"]["nodes"] if n["path"] == path)


@pytest.mark.parametrize(
    "change",
    [lambda d: slice_of(d, 0).__setitem__(1, [[0, 99]]), lambda d: slice_of(d, 0).__setitem__(1, [[-1, 4]]),
     lambda d: slice_of(d, 0).__setitem__(1, [[0, 5]]), lambda d: slice_of(d, 0).__setitem__(1, [[0, 3]]),
     lambda d: slice_of(d, 0).__setitem__(1, [[0, 4], [0, 1]]), lambda d: slice_of(d, 0).__setitem__(0, "nobody"),
     lambda d: slice_of(d, 0).__setitem__(2, -1), lambda d: slice_of(d, 0).__setitem__(2, 1.0),
     lambda d: slice_of(d, 0).__setitem__(2, True), lambda d: slice_of(d, 0).__setitem__(3, {"neurons": -4}),
     lambda d: slice_of(d, 0).append(0), lambda d: d["projections"][0].__setitem__(0, "nobody"),
     lambda d: d["projections"][0].__setitem__(2, [7]), lambda d: d["projections"][0].__setitem__(3, -1),
     lambda d: d["usage"].update(neurons=[1]), lambda d: d["usage"].update(neurons=[1, "x"]),
     lambda d: d.update(chips=-1), lambda d: d.update(chips="1"), lambda d: d.update(arithmetic="float16"),
     lambda d: d.update(arithmetic=["float64"]), lambda d: d.update(target=None), lambda d: d.update(notes=[]),
     lambda d: d.pop("notes"),
     lambda d: d.update(more=1), lambda d: d["passes"][0].pop("text"), lambda d: d["passes"].append(3),
     lambda d: d["graph"]["nodes"].append(3), lambda d: d["graph"]["nodes"].append(d["graph"]["nodes"][0]),
     lambda d: node_of(d, "fc1")["op"].update(kind="os.system"), lambda d: node_of(d, "fc1")["op"].update(kind="Extras"),
     lambda d: node_of(d, "fc1")["op"]["fields"].update(evil=1), lambda d: node_of(d, "fc1")["op"]["fields"].pop("weight"),
     lambda d: node_of(d, "fc1")["op"]["fields"].update(weight={"array": 99}),
     lambda d: node_of(d, "fc1")["op"]["fields"].update(weight={"array": -1}),
     lambda d: node_of(d, "fc1")["op"]["fields"].update(weight={"array": True}),
     lambda d: node_of(d, "fc1")["op"]["fields"].update(weight=3),
     lambda d: node_of(d, "fc1")["op"]["fields"].update(weight="3"),
     lambda d: node_of(d, "fc1")["op"]["fields"].update(bias={"array": 1, "shape": [2**40]}),
     lambda d: node_of(d, "input")["op"]["fields"].update(shape=[4.0]),
     lambda d: node_of(d, "input")["op"]["fields"].update(shape=[[4]]),
     lambda d: node_of(d, "input")["op"]["fields"].update(shape=None),
     lambda d: node_of(d, "input")["op"]["fields"].update(shape=[2**62]),
     lambda d: d["graph"]["edges"].append([1, 2, 3, 4]), lambda d: d["graph"]["edges"].append(["input", "fc1", -1, 5]),
     lambda d: d["graph"]["edges"].append(["input", "fc1", None, 1.5]), lambda d: d["graph"].update(nodes={}),
     lambda d: d["notes"].update(warnings=[1]), lambda d: d["notes"].update(pipeline=1),
     lambda d: d["notes"].update(warnings=[{"code": "E1", "severity": "fatal", "path": "", "message": "", "hint": "",
     "facts": {}}]),
     lambda d: d.update(profile="norse" if d["profile"] else ""), lambda d: d["graph"].update(profile=5)],
)  # fmt: skip
def test_contents_that_contradict_themselves(change):
    refused(forged(change), "E707")


@pytest.mark.parametrize("profile", ["nonsense", "norse:zero,dt=-1", "norse,@x:reset=none"])
def test_profiles_that_are_none(profile):
    refused(forged(lambda d: d.update(profile=profile)), "E708" if "@" not in profile else "E707")


def test_a_graph_that_does_not_verify():
    program = lower(small_graph(), None, PROFILE)
    graph = program.graph.replace(edges=program.graph.edges[1:])
    data = artifact_bytes(dataclasses.replace(program, graph=graph))
    say = refused(data, "E708")
    assert "E104" in say or "E10" in say


def test_an_array_of_the_wrong_sign_does_not_verify():
    graph = small_graph().map_ops(lambda n: dataclasses.replace(n.op, tau=-n.op.tau) if isinstance(n.op, LIF) else n.op)
    program = dataclasses.replace(lower(small_graph(), None, PROFILE), graph=graph)
    assert "time constant is above 0" in refused(artifact_bytes(program), "E708")


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"\x89HDF\r\n\x1a\n" + bytes(100), bytes(1000)])
def test_what_is_no_zip(data):
    with pytest.raises(ArtifactError) as caught:
        load(data)
    assert caught.value.exit_code == 8


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ArtifactError, match="E701"):
        load_artifact(tmp_path / "none.spk")


# ---------------------------------------------------------------------------------------------------------------- fuzz


def tiny():
    nodes = [
        Node("i", Input((1,))),
        Node("a", Affine(np.ones((1, 1)), np.zeros(1))),
        Node("n", lif(1)),
        Node("o", Output((1,))),
    ]
    return artifact_bytes(lower(Graph(nodes, [Edge("i", "a"), Edge("a", "n"), Edge("n", "o")]), None, PROFILE, opt=0))


def loads_equal_or_refuses(data, original):
    try:
        program = load(data)
    except ArtifactError:
        return
    assert artifact_bytes(program) == original


def test_every_single_byte_changed():
    data = tiny()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8 if at % 3 else 0xFF
        loads_equal_or_refuses(bytes(changed), data)


def test_every_single_byte_of_the_contents_changed_with_digests_mended():
    data = tiny()
    found = members(data)
    for name in ("program.json", "arrays/0.npy", "arrays/1.npy"):
        for at in range(0, len(found[name]), 3):
            changed = bytearray(found[name])
            changed[at] ^= 1 << at % 7
            with contextlib.suppress(ArtifactError):  # it may be another valid program
                load(resealed({**found, name: bytes(changed)}))


def test_every_truncation():
    data = tiny()
    for end in range(0, len(data), 7):
        with pytest.raises(ArtifactError):
            load(data[:end])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_damage(data):
    original = tiny()
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed) - 1))
        piece = data.draw(st.binary(max_size=12))
        changed[at : at + data.draw(st.integers(0, 12))] = piece
    loads_equal_or_refuses(bytes(changed), original)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) |
    st.dictionaries(st.sampled_from(["array", "shape", "kind", "fields", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(value, at=()):
    """Yield every place in plain data."""
    yield at
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*at, key))


@settings(max_examples=60, deadline=None)
@given(st.data(), JSON)
def test_any_value_anywhere_in_the_program(data, value):
    def change(d):
        at = data.draw(st.sampled_from([p for p in places(d) if p]))
        inner = d
        for key in at[:-1]:
            inner = inner[key]
        inner[at[-1]] = value

    with contextlib.suppress(ArtifactError):
        load(forged(change))
