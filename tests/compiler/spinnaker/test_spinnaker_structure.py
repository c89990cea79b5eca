"""The lowering but for its rounding: with words of any width the lowered network is the source model, late by its lags."""

import numpy as np
import pytest
from graphs import FEATURES, networks
from hypothesis import HealthCheck, given, settings
from late import assert_late

from spikeport.compiler.driver import lower
from spikeport.compiler.integer.entry import Entry
from spikeport.compiler.integer.links import links_of
from spikeport.compiler.integer.neurons import dynamics, refused
from spikeport.compiler.integer.prepare import timing
from spikeport.compiler.integer.unit import in_unit, unit_of
from spikeport.compiler.spinnaker import lower_to_spinnaker
from spikeport.compiler.spinnaker.lower import SPINNAKER, form
from spikeport.compiler.spinnaker.registers import decays, too_slow
from spikeport.compiler.spinnaker.settle import settle
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.nir_io import from_nir, to_nir
from spikeport.ir.verify import verify
from spikeport.runtime.artifact import load_artifact, save_artifact

#: Those whose resets sPyNNaker has.
PROFILES = ("norse", "snntorch", "spikingjelly", "lava_float", "spinnaker2", "spynnaker")
#: Most of what is drawn has a reset, a membrane or a chain that sPyNNaker has not.
FILTERED = [HealthCheck.filter_too_much, HealthCheck.too_slow]
#: Millivolts of a unit of the membrane.
SCALE = 64.0


def unrounded(network, inputs):
    """Return (graph, profile, lags) of *network*, only its weights rounded, to single precision; None where E534 would be."""
    entering = {path: Entry(1.0, -(2**40), 2**40) for path in inputs}
    shapes = {path: dynamics(model) for path, model in network.models.items()}
    exact = {path: decays(dyn, rounded=False) for path, dyn in shapes.items()}
    currents = {path: exact[path].shaped(dyn) for path, dyn in shapes.items()}
    units = {path: unit_of(dyn) for path, dyn in currents.items()}
    links = links_of(network, {path: in_unit(dyn, units[path]) for path, dyn in currents.items()}, entering, SPINNAKER)
    lag, silent = timing(network, SPINNAKER, links, shapes)
    done, weights = {}, {}
    for path, dyn in shapes.items():
        done[path], said = settle(path, dyn, exact[path], silent[path], lag.get(path, 0), SCALE / units[path], rounded=False)
        if said or not np.all(np.abs([done[path].v_init, done[path].i_init]) < 1e4):
            return None
        weights[path] = [one.incoming.weight * SCALE for one in links if one.target == path]
    graph, _ = form(network, entering, links, done, weights, dict.fromkeys(done, (0, 0)), lag)
    return graph, graph.profile, lag


def refusals(network):
    return [*refused(network, frozenset(), SPINNAKER), *too_slow(network, frozenset())]


@settings(max_examples=100, suppress_health_check=FILTERED)
@given(networks(features=FEATURES - {"threshold", "integrator"}, profiles=PROFILES))
def test_spikes_are_those_of_the_source_model_late_by_the_lags(case):
    assert_late(case, refusals, unrounded)


@pytest.mark.slow
@settings(max_examples=800, suppress_health_check=FILTERED)
@given(networks(features=FEATURES - {"threshold", "integrator"}, profiles=PROFILES))
def test_spikes_of_many_networks(case):
    assert_late(case, refusals, unrounded)


@settings(max_examples=60, suppress_health_check=FILTERED)
@given(networks(features={"conv1d", "conv2d", "pool", "edge_delays"}, profiles=PROFILES))
def test_convolutions_into_neurons_that_differ(case):
    assert_late(case, refusals, unrounded)


@settings(max_examples=60, suppress_health_check=FILTERED)
@given(case=networks(features=FEATURES - {"threshold"}, profiles=PROFILES))
def test_what_is_lowered_verifies_and_survives_files(tmp_path_factory, case):
    graph, profile, inputs = case
    try:
        lowered = lower_to_spinnaker(graph, profile, data=inputs)
    except UnsupportedError:
        return
    low = lowered.graph
    assert not [d for d in verify(low, lowered.profile) if d.severity == "error"]
    assert from_nir(to_nir(low)).digest == low.digest
    again = lower_to_spinnaker(low, lowered.profile)
    assert again.graph.digest == low.digest
    assert [d.code for d in again.diagnostics] == ["E539"]
    program = lower(graph, None, profile, arithmetic="spinnaker1", data=inputs)
    assert program.graph.digest == low.digest
    file = tmp_path_factory.mktemp("artifact") / "p.spk"
    save_artifact(program, file)
    assert load_artifact(file).graph.digest == low.digest
