"""What an arithmetic or a profile cannot express: every connection is named, all at once, before anything is built."""

import numpy as np
import pytest

from spikeport.backends.reference import BACKEND
from spikeport.backends.testing.case import Draft
from spikeport.ir.arithmetic import ARITHMETICS
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.expressible import inexpressible, populations_behind
from spikeport.ir.network import build_network
from spikeport.ir.ops import Affine, Flatten

INT8, DOUBLE = ARITHMETICS["spinnaker2"], ARITHMETICS["float64"]


def two_in_a_row(profile="norse:value"):
    draft = Draft("two in a row", profile, (4,))
    draft.add("second", Affine(np.ones((3, 5)), np.ones(3)), draft.add("first", Affine(np.ones((5, 4)), np.ones(5)), "input"))
    draft.leave(draft.neuron("neuron", "second"))
    draft.leave("second", "values")
    return draft.case()


def test_populations_behind_are_found_through_stateless_nodes():
    draft = Draft("behind", "norse:value", (2, 3))
    draft.layer("b", draft.add("flat", Flatten(), "input"), 4)
    draft.neuron("a", "input")
    draft.leave("a")
    assert populations_behind(draft.graph(), "input") == ("a", "b")
    assert populations_behind(draft.graph(), "a") == ("output",)


def test_integer_weights_need_one_population_and_no_weights_in_front():
    case = two_in_a_row()
    found = inexpressible(case.graph, case.profile, INT8)
    assert [(d.code, d.path) for d in found] == [("E510", "first"), ("E510", "second"), ("E510", "second")]
    assert "there are ['neuron', 'values']" in found[0].message
    assert "int8 weights of second follow those of first with no neuron between" in found[2].message
    assert inexpressible(case.graph, case.profile, DOUBLE) == ()


def test_a_bias_at_the_membrane_needs_a_neuron_right_behind():
    case = two_in_a_row("norse:value,bias_at=membrane")
    found = inexpressible(case.graph, case.profile, DOUBLE)
    assert [(d.path, d.message.rpartition(": ")[2]) for d in found] == [
        ("first", "it feeds the Affine second"), ("second", "it feeds the Output values")
    ]  # fmt: skip


@pytest.mark.parametrize(("profile", "arithmetic"), [("norse:value", "spinnaker2"), ("lava_float", "float64")])
def test_check_finds_all_that_building_refuses(profile, arithmetic):
    case = two_in_a_row(profile)
    with pytest.raises(UnsupportedError) as caught:
        build_network(case.graph, case.profile, arithmetic)
    assert len(caught.value.diagnostics) > 1
    assert BACKEND.check(case.program(arithmetic)) == caught.value.diagnostics
