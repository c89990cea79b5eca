"""Targets: every number labelled, every construct spoken about, files of users held to the schema."""

import math
import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from mapped import PROFILE, chain, changed, conv, lif

from spikeport.hw_profiles.records import Encoding
from spikeport.hw_profiles.support import CONSTRUCTS, constructs
from spikeport.hw_profiles.target import load_target, read_target, target_names
from spikeport.ir.diagnostics import UsageError
from spikeport.ir.ops import LI, Input, Output
from spikeport.ir.profiles import parse_profile
from spikeport.ir.units import KINDS, Quantity

ALL = ("loihi1", "loihi2", "spinnaker1", "spinnaker2")


def text_of(name):
    return files("spikeport.hw_profiles").joinpath(f"{name}.toml").read_text()


def refusal(text):
    with pytest.raises(UsageError) as caught:
        read_target(text.encode() if isinstance(text, str) else text, "mine.toml")
    return caught.value.diagnostics


def test_the_four_targets_are_shipped():
    assert target_names() == ALL


@pytest.mark.parametrize("name", ALL)
def test_every_number_of_a_file_is_labelled(name):
    """No bare number but the schema, the tiles of a barrier, the sizes of measured networks and the places of a board."""
    bare = []

    def walk(value, where):
        if isinstance(value, dict):
            if "value" in value:
                assert set(value) - {"tiles", "in", "out"} == {"value", "unit", "class", "source"}, where
                assert value["class"] in KINDS
            else:
                for key, inner in value.items():
                    walk(inner, f"{where}.{key}")
        elif isinstance(value, list):
            for inner in value:
                walk(inner, where)
        elif isinstance(value, (int, float)):
            bare.append(where)

    walk(tomllib.loads(text_of(name)), "")
    assert set(bare) <= {".schema", ".fabric.positions", ".fabric.fewer_cores"}


@pytest.mark.parametrize("name", ALL)
def test_every_construct_has_a_line(name):
    support = load_target(name).support
    assert list(support) == list(CONSTRUCTS)
    assert all(s.how for s in support.values() if s.status != "native")


@pytest.mark.parametrize("name", ALL)
def test_no_unknown_number_is_zero(name):
    target = load_target(name)
    groups = (target.core, target.chip, target.power, *(c.energy for c in target.costs), *(c.time for c in target.costs))
    for group in groups:
        for key, q in group.items():
            assert isinstance(q, Quantity)
            assert q.source
            assert q.value is None or q.value > 0 or key == "packet_in", key


def test_loihi2_energies_are_all_estimated():
    assert {q.kind for c in load_target("loihi2").costs for q in c.energy.values()} == {"estimated"}


def test_spinnaker2_idle_power_is_unknown():
    assert load_target("spinnaker2").power["static_per_chip"].value is None


def test_numbers_of_loihi1_in_si():
    target = load_target("loihi1")
    assert target.limit("synapse_memory") == 131072
    assert target.limit("neurons") == 1024
    published, calibrated = target.costs
    assert published.energy["synop"].value == pytest.approx(23.6e-12)
    assert calibrated.time["soma_spike"].value == pytest.approx(30e-9)
    assert target.step.barrier("published", 1).value == pytest.approx(113e-9)
    assert target.step.barrier("published", 32).value == pytest.approx(465e-9)
    assert target.step.barrier("published", 100).value == pytest.approx(465e-9)


def test_spinnaker_board_has_48_chips_of_which_eight_lack_a_core():
    fabric = load_target("spinnaker1").fabric
    assert len(fabric.positions) == 48
    assert sum(fabric.cores_of(chip) for chip in range(48)) == 48 * 17 - 8
    assert fabric.boards(48) == 1
    assert fabric.boards(49) == 2


def test_cycles_of_spinnaker1_s_cores():
    step = load_target("spinnaker1").step
    assert (step.cycles.clock.value, step.cycles.neuron.value, step.cycles.synapse.value) == (200e6, 165, 31)
    assert (step.cycles.clock.kind, step.cycles.neuron.kind, step.cycles.synapse.kind) == ("published", *2 * ("estimated",))
    assert step.budget == pytest.approx(200_000)
    assert load_target("spinnaker2").step.budget is None


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ('unit = "MHz"', 'unit = "ms"', "step.cycles.clock.unit", "expected a number in Hz"),
        ("synapse = { value = 31", "synapses = { value = 31", "step.cycles.synapses", "did you mean 'synapse'"),
        ("synapse = { value = 31", "synapses = { value = 31", "step.cycles.synapse", "has no unit, class and source"),
        ("neuron = { value = 165", "neuron = { value = -165", "step.cycles.neuron.value", "at least 0"),
        ("fixed = { value = 1,", "barrier = {} # {", "step.cycles", "there is no step.fixed that they would have to keep"),
        ("[step.cycles]", "[step.cycle]", "step.cycle", "did you mean 'cycles'"),
    ],
)
def test_what_breaks_the_cycles_is_named(old, new, where, message):
    text = text_of("spinnaker1")
    assert text.count(old) == 1
    found = refusal(text.replace(old, new))
    assert any(d.path.endswith(f": {where}") and message in d.message for d in found), [str(d) for d in found]


def test_encoding_rounds_blocks_up_to_words():
    """nengo-loihi's rule: 10 bits of header for at most 64 weights, words of 64 bits."""
    dense = next(e for e in load_target("loihi1").encodings if e.name == "dense")
    assert isinstance(dense, Encoding)
    one = [math.ceil((n * 8 + 10) / 64) * 64 for n in (1, 6, 7, 64)]
    assert [dense.bits([n], 8) for n in (1, 6, 7, 64)] == one == [64, 64, 128, 576]
    assert dense.bits([65], 8) == 576 + 64
    assert dense.bits([1, 65], 8) == 64 + 576 + 64


def test_unknown_name_has_a_suggestion():
    with pytest.raises(UsageError, match="unknown target 'lohi1' \\(did you mean 'loihi1'\\?\\)") as caught:
        load_target("lohi1")
    assert caught.value.diagnostics[0].code == "E604"


def test_a_file_of_the_user(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(text_of("loihi1").replace('name = "loihi1"', 'name = "mine"'))
    assert load_target(path).name == load_target(str(path)).name == "mine"


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(UsageError, match="E605"):
        load_target(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["a = ", b"\xff\xfe", "x = [" * 5000, "#" * (1 << 20) + "\na = 1"])
def test_no_toml(text):
    assert [d.code for d in refusal(text)] == ["E605"]


def test_unlabelled_number_is_refused():
    (found,) = refusal(text_of("loihi2").replace("neurons = { value = 8192, unit = \"1\", class = \"published\", source = \"orchard2021\" }", "neurons = 8192"))[:1]  # fmt: skip # noqa: E501
    assert found.code == "E606"
    assert found.path == "mine.toml: core.neurons"
    assert "8192 has no unit, class and source" in found.message


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        (
            'class = "measured", source = "blouw2019"',
            'class = "guessed", source = "blouw2019"',
            "class",
            "'guessed' is none of",
        ),
        ('class = "measured", source = "blouw2019"', 'class = "measured"', "management", "a number without source"),
        (
            'class = "measured", source = "blouw2019"',
            'class = "measured", source = "blow2019"',
            "source",
            "did you mean 'blouw2019'",
        ),
        ('value = 70, unit = "mW"', 'value = 70, unit = "mJ"', "unit", "expected a number in W, got 'mJ'"),
        ('value = 70, unit = "mW"', 'value = 70, unit = "mWh"', "unit", "unknown unit 'mWh'"),
        ('value = 70, unit = "mW"', 'value = nan, unit = "mW"', "value", "expected a finite number"),
        ('value = 70, unit = "mW"', 'value = -1, unit = "mW"', "value", "at least 0"),
        ('value = 1024, unit = "1"', 'value = 10.5, unit = "1"', "core.neurons", "a whole number"),
        ("synapse_configs", "synapse_confgs", "core.synapse_confgs", "did you mean 'synapse_configs'"),
        ('casting = "unicast"', 'casting = "broadcast"', "fabric.casting", "is none of unicast, multicast"),
        ("schema = 1", "schema = 2", "schema", "reads schema 1"),
        ('no_reset = { status = "refused"', 'no_reset = { status = "maybe"', "support.no_reset", "is none of native"),
    ],
)
def test_what_breaks_the_schema_is_named(old, new, where, message):
    text = text_of("loihi1")
    assert text.count(old) == 1
    found = refusal(text.replace(old, new))
    assert {d.code for d in found} == {"E606"}
    assert any(where in d.path and message in d.message for d in found), [str(d) for d in found]


def test_a_construct_left_out_is_refused():
    text = "\n".join(line for line in text_of("loihi1").splitlines() if not line.startswith("graded_spikes"))
    assert [d.path for d in refusal(text)] == ["mine.toml: support.graded_spikes"]


def test_all_findings_come_at_once():
    text = text_of("loihi1").replace("schema = 1", "schema = 3").replace('casting = "unicast"', 'casting = "x"')
    assert len(refusal(text)) == 2


def test_an_unknown_limit_is_not_enforced():
    assert load_target("loihi2").limit("in_axons") is None


def test_changed_target_has_another_digest():
    assert changed("loihi1", ("value = 1024", "value = 1000")).digest != load_target("loihi1").digest


def test_values_of_an_integrator_are_refused_where_spikes_have_none():
    graph = chain(
        ("in", Input((2,))), ("li", LI(*(np.full(2, v) for v in (0.02, 1.0, 0.0)))), ("lif", lif((2,))), ("out", Output((2,)))
    )  # fmt: skip
    found = constructs(graph, PROFILE)
    assert found["values_sent"] == found["integrator"] == ("li",)
    readout = chain(("in", Input((2,))), ("li", LI(*(np.full(2, v) for v in (0.02, 1.0, 0.0)))), ("out", Output((2,))))
    assert "values_sent" not in constructs(readout, PROFILE)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("norse:zero", "reset_to_zero"),
        ("norse:subtract", "reset_subtract"),
        ("snntorch:subtract,reset_delay=no", "reset_subtract_once"),
        ("snntorch:zero", "reset_next_step_keep"),
        ("snntorch:subtract", "subtract_next_step"),
        ("sinabs:subtract", "reset_multi"),
        ("exact:zero", "reset_at_crossing"),
        ("snntorch:none", "no_reset"),
    ],
)
def test_what_a_reset_asks_for(profile, expected):
    found = constructs(conv(), parse_profile(profile))
    assert expected in found
    assert [k for k in found if "reset" in k or k.startswith("subtract")] == [expected]
