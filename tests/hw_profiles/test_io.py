"""Widths of weights, input and output of a step, values that are no spikes: what the files say, and what breaks them."""

import dataclasses
from importlib.resources import files

import pytest
from mapped import PROFILE, chain, lif

from spikeport.hw_profiles.support import constructs
from spikeport.hw_profiles.target import load_target, read_target, target_names
from spikeport.ir.diagnostics import UsageError
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.ops import Input, Output
from spikeport.runtime.cli.target_text import target_text

ALL = target_names()


def text_of(name):
    return files("spikeport.hw_profiles").joinpath(f"{name}.toml").read_text()


def refusal(text):
    with pytest.raises(UsageError) as caught:
        read_target(text.encode(), "mine.toml")
    return caught.value.diagnostics


def test_widths_that_chips_store():
    """Loihi has no weights of 7 bits (nengo-loihi's table of formats); SpiNNaker 1 stores 16."""
    assert load_target("loihi1").widths() == load_target("loihi2").widths() == (1, 2, 3, 4, 5, 6, 8)
    assert [load_target("loihi1").stored_width(b) for b in (1, 6, 7, 8, 9)] == [1, 6, 8, 8, 8]
    assert load_target("spinnaker1").stored_width(3) == 16


def without(text, table):
    """The text of a target without one of its tables."""
    head, _, rest = text.partition(f"\n[{table}]\n")
    return head + "\n" + rest[rest.index("\n[") :]


def test_a_file_without_widths_stores_any_and_one_without_io_says_so():
    text = text_of("loihi1")
    start = text.index("widths = [")
    text = without(text[:start] + text[text.index("]\n", start) + 2 :], "io")
    target = read_target(text.encode(), "mine.toml")
    assert target.stored_width(7) == 7
    assert target.io.values_in.source == target.io.values_out.source == "the target's file does not say"
    assert (target.io.measured, target.io.span) == ((), None)


def test_measured_steps_are_those_of_the_paper():
    """296.5 and 114.0 inferences a second of ten steps each."""
    cases = load_target("loihi1").io.measured
    assert [(c.values_in, c.values_out) for c in cases] == [(390, 29), (390, 256)]
    assert [c.step.value for c in cases] == pytest.approx([1 / 296.5 / 10, 1 / 114.0 / 10], rel=1e-3)
    assert {c.step.kind for c in cases} == {"measured"}


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ("in = 390, out = 29", "in = 390.5, out = 29", "io.measured[0]", "expected { in = N, out = N"),
        ("in = 390, out = 29", "out = 29", "io.measured[0]", "expected { in = N, out = N"),
        ('value = 337.3, unit = "us"', 'value = 337.3, unit = "uJ"', "io.measured[0].unit", "expected a number in s"),
        ("values_in = {", "value_in = {", "io.value_in", "did you mean 'values_in'"),
        ('{ value = 2, unit = "1", class = "published", source = "nengo_loihi" },\n  { value = 3',
         '{ value = 3, unit = "1", class = "published", source = "nengo_loihi" },\n  { value = 2', "weights.widths", "ascend"),
        ('{ value = 5, unit = "1", class = "published", source = "nengo_loihi" },\n', "5,\n", "weights.widths[4]", "no unit"),
    ],
)  # fmt: skip
def test_what_breaks_widths_and_io_is_named(old, new, where, message):
    text = text_of("loihi1")
    assert text.count(old) == 1
    found = refusal(text.replace(old, new))
    assert any(where in d.path and message in d.message for d in found), [str(d) for d in found]


@pytest.mark.parametrize(("least", "most", "needed"), [(0, 1, False), (0, 2, True), (-1, 1, True)])
def test_inputs_that_are_no_spikes_ask_for_a_construct(least, most, needed):
    note = {INPUT_NOTE: {"scale": 1.0, "least": least, "most": most}}
    graph = chain(("in", Input((2,))), ("lif", lif((2,))), ("out", Output((2,))))
    graph = graph.replace(nodes=[dataclasses.replace(n, notes=note) if n.path == "in" else n for n in graph.nodes])
    assert (constructs(graph, PROFILE).get("graded_input") == ("in",)) is needed


def test_how_graded_inputs_enter():
    support = {name: load_target(name).support["graded_input"] for name in ALL}
    assert {n: s.status for n, s in support.items()} == {
        "loihi1": "rewritten", "loihi2": "native", "spinnaker1": "rewritten", "spinnaker2": "refused",
    }  # fmt: skip
    assert support["loihi1"].how == (
        "the value n is injected as n spikes in the same step, a negative one on an axon of its own with the weights negated"
    )


@pytest.mark.parametrize("name", ALL)
def test_the_text_of_a_target_shows_widths_encodings_and_io(name):
    text, target = target_text(load_target(name)), load_target(name)
    assert text.count("weight bits in memory") == len(target.widths())
    for said in (
        "values that enter in a step",
        "values that leave in a step",
        f"{target.encodings[0].name} weights: header_bits",
    ):
        assert said in text
    if name == "loihi1":
        line = next(x for x in text.splitlines() if x.startswith("step with 390 inputs, 29 outputs"))
        assert line.split()[6:9] == ["337.3", "us", "measured"]
