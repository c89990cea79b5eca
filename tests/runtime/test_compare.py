import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import PROFILE, small_graph, spikes

from spikeport.ir.diagnostics import UsageError
from spikeport.runtime import api
from spikeport.runtime.compare import compare
from spikeport.runtime.compare_text import format_comparison


def result(**options):
    return api.run(small_graph(), spikes((3, 20, 4)), "reference", profile=PROFILE, record="all", record_state=True, **options)


def changed(run, key, at, value):
    arrays = {k: np.array(v) for k, v in run.arrays().items()}
    arrays[key][at] = value
    return arrays


def test_equal_runs_are_equal():
    found = compare(result(), result())
    assert found.equal
    assert found.mismatches == 0
    assert found.first is None
    assert [layer.key for layer in found.layers] == ["spikes/hidden", "v/hidden", "spikes/readout", "v/readout", "out/output"]
    assert "equal: A and B agree in all" in format_comparison(found)


def test_one_bit_is_found_with_all_that_is_known_of_it():
    run = result()
    at = (1, 7, 2)
    other = changed(run, "spikes/readout", at, 1 - run.spikes["readout"][at])
    found = compare(run, other, names=("left", "right"))
    assert not found.equal
    assert found.mismatches == 1
    first = found.first
    assert (first.key, first.path, first.sample, first.step, first.neuron) == ("spikes/readout", "readout", 1, 7, (2,))
    assert first.values == (run.spikes["readout"][at], 1 - run.spikes["readout"][at])
    assert first.membranes == (run.v["readout"][at], run.v["readout"][at])
    assert first.previous == (run.v["readout"][1, 6, 2], run.v["readout"][1, 6, 2])
    assert first.last_pass == ""
    text = format_comparison(found)
    assert "first divergence: spikes/readout, sample 1, step 7, neuron 2" in text
    assert "in left" in text
    assert "last pass that touched readout: none" in text


def test_the_pass_that_last_touched_the_node_is_named():
    run = api.run(api.compile(small_graph(), None, PROFILE, opt=1), spikes((20, 4)), "reference", record="all")
    other = changed(run, "spikes/readout", (3, 0), 9)
    assert compare(run, other).first.last_pass == "canonicalise"


def test_the_earliest_step_comes_first_and_in_it_the_earliest_node():
    base = {f"spikes/{n}": np.zeros((9, 2), int) for n in "abc"}
    late, early = {k: v.copy() for k, v in base.items()}, {k: v.copy() for k, v in base.items()}
    late["spikes/a"][5, 0] = 1
    late["spikes/c"][3, 1] = 1
    late["spikes/b"][3, 0] = 1
    assert compare(base, late, order=["a", "b", "c"]).first.path == "b"
    assert compare(base, late, order=["c", "a", "b"]).first.path == "c"
    early["spikes/a"][5, 0] = 1
    assert compare(base, early).first.step == 5


def test_membranes_alone_count_last():
    run = result()
    other = changed(run, "v/hidden", (0, 0, 0), 5.0)
    other["out/output"][2, 19, 0] += 1
    assert compare(run, other).first.key == "out/output"
    assert compare(run, changed(run, "v/hidden", (0, 0, 0), 5.0)).first.key == "v/hidden"


@given(st.integers(-5, 5).filter(bool), st.integers(0, 3))
def test_a_constant_offset_is_found(shift, noise):
    rng = np.random.default_rng(5)
    a = np.zeros((40, 6), np.int64)
    a[8:32] = rng.random((24, 6)) < 0.3
    b = np.roll(a, shift, axis=0)
    for number in range(noise):
        b[20, number] ^= 1
    layer = compare({"spikes/x": a}, {"spikes/x": b}).layers[0]
    assert (layer.shift, layer.shifted_mismatches) == (shift, noise)


def test_no_offset_is_claimed_where_none_explains():
    a, b = (spikes((50, 8), seed) for seed in (1, 2))
    assert compare({"spikes/x": a}, {"spikes/x": b}).layers[0].shift is None
    one = np.zeros((30, 1))
    one[29] = 1
    assert compare({"spikes/x": one}, {"spikes/x": np.zeros((30, 1))}).layers[0].shift is None


def test_floats_are_compared_exactly():
    a = {"out/y": np.array([[0.1], [0.2]])}
    b = {"out/y": np.array([[0.1], [np.nextafter(0.2, 1)]])}
    found = compare(a, b)
    assert found.mismatches == 1
    assert found.layers[0].max_abs_difference == np.nextafter(0.2, 1) - 0.2
    assert "largest difference 2.77" in format_comparison(found)


def test_missing_extra_and_misshapen_arrays():
    a = {"spikes/a": np.zeros((4, 2)), "spikes/b": np.zeros((4, 2)), "out/c": np.zeros((4, 2))}
    b = {"spikes/a": np.zeros((4, 2)), "out/c": np.zeros((5, 2)), "v/d": np.zeros((4, 2))}
    found = compare(a, b)
    assert not found.equal
    assert found.mismatches == 0
    assert (found.missing, found.extra) == (("spikes/b",), ("v/d",))
    assert found.shapes == (("out/c", (4, 2), (5, 2)),)
    text = format_comparison(found)
    assert "spikes/b: only in A" in text
    assert "v/d: only in B" in text
    assert "out/c: shape (4, 2) in A, (5, 2) in B" in text


def test_types_of_integers_do_not_matter():
    x = spikes((5, 3))
    assert compare({"spikes/a": x}, {"spikes/a": x.astype(np.int64)}).equal
    unsigned = compare({"spikes/a": x}, {"spikes/a": (1 - x).astype(np.uint8)})
    assert unsigned.layers[0].max_abs_difference == 1


def test_files_and_what_the_runs_differ_in(tmp_path):
    result().save(tmp_path / "a.npz")
    api.run(
        small_graph(), spikes((3, 20, 4)), "reference", profile="norse:subtract,dt=1e-3", record="all", record_state=True
    ).save(tmp_path / "b.npz")
    assert compare(tmp_path / "a.npz", tmp_path / "a.npz").equal
    found = compare(tmp_path / "a.npz", tmp_path / "b.npz")
    assert "profile: reset to_zero against subtract" in found.notes
    assert json.loads(json.dumps(found.to_json()))["first"]["path"] == found.first.path


@pytest.mark.parametrize("profile", ["", "of a later version,x=1", None, 3, ["norse"]])
def test_a_profile_that_cannot_be_read_is_shown_as_it_is(profile):
    runs = [{"out/a": np.zeros(3), "meta": np.array(json.dumps({"profile": p}))} for p in (profile, "norse")]
    (note,) = compare(*runs).notes
    assert note == f"profile: {profile or ('none' if profile == '' else None)} against norse"


@pytest.mark.parametrize(
    ("arrays", "say"),
    [({"x": np.zeros(3)}, "'x' are no rasters"), ({"": np.zeros(3)}, "a single array without a name"),
     ({}, "it holds no arrays"), ({"spikes/a": np.zeros(())}, "no rasters"),
     ({"spikes/a": np.zeros(3), "meta": np.array("{")}, "no JSON")],
)  # fmt: skip
def test_what_is_no_run(arrays, say):
    with pytest.raises(UsageError, match="E619") as caught:
        compare(arrays, arrays)
    assert say in str(caught.value)
