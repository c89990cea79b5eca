"""A reset at the instant of the crossing: refused where it has no closed form, whatever states it."""

import numpy as np
import pytest
from graphs import chain, lif

from spikeport.ir import PROFILES, parse_profile
from spikeport.ir.crossing import no_closed_form
from spikeport.ir.diagnostics import ProfileError
from spikeport.ir.ops import IF, CubaLIF, Extras
from spikeport.ir.verify import verify

HELD = Extras(refractory_steps=np.array([0, 3]))


def cuba(n=2):
    return CubaLIF(*(np.full(n, v) for v in (1e-3, 2e-3, 1.0, 0.0, 1.0, 0.0, 1.0)))


def integrate_and_fire(extras=None):
    return IF(np.ones(2), np.ones(2), np.zeros(2), **({"extras": extras} if extras else {}))


@pytest.mark.parametrize(
    ("op", "profile", "why"),
    [
        (cuba(), "exact,reset_when=at_crossing", "the synaptic current of this CubaLIF decays within the step"),
        (lif(2), "exact,scheme=euler", "scheme=euler does not say where the membrane is within a step"),
        (lif(2), "norse,@0:reset_when=at_crossing", "scheme=euler does not say where the membrane is within a step"),
        (lif(2, extras=HELD), "exact", "its refractory period of 3 steps would begin within a step"),
        (integrate_and_fire(HELD), "exact", "its refractory period of 3 steps would begin within a step"),
        (lif(2), "exact,reset=multi_subtract", "reset=multi_subtract acts at the end of a step"),
        (lif(2), "exact,@0:reset=subtract_once", "reset=subtract_once acts at the end of a step"),
    ],
)
def test_refused_with_node_and_reason(op, profile, why):
    with pytest.raises(ProfileError) as caught:
        verify(chain(op, shape=(2,)), parse_profile(profile))
    (found,) = caught.value.diagnostics
    assert (found.code, found.path) == ("E337", "0")
    assert found.message == f"a reset at the instant of the crossing has no closed form here: {why}"
    verify(chain(op, shape=(2,)), parse_profile(f"{profile.split(',@')[0]},{found.hint.split()[0]}"))


@pytest.mark.parametrize("op", [lif(2), integrate_and_fire(), cuba(), lif(2, extras=Extras(refractory_steps=np.zeros(2, int)))])
@pytest.mark.parametrize("reset", PROFILES["exact"].resets)
def test_the_named_profile_has_a_closed_form_or_resets_at_the_end(op, reset):
    verify(chain(op, shape=(2,)), parse_profile(f"exact:{reset}"))


def test_a_straight_line_needs_no_scheme():
    assert no_closed_form(integrate_and_fire(), parse_profile("exact,scheme=euler").at("0", "IF")) == ""
