"""The lowering but for its rounding: with wide registers the lowered network is the source model, late by its lags."""

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
from spikeport.compiler.integer.silent import late_by, starting
from spikeport.compiler.loihi import lower_to_loihi, settle
from spikeport.compiler.loihi.assemble import assemble
from spikeport.compiler.loihi.lower import LOIHI
from spikeport.compiler.loihi.scale import Choice, Quantized
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.loihi import DECAY_ONE, LIMIT, SHIFT
from spikeport.ir.network import build_network
from spikeport.ir.nir_io import from_nir, to_nir
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording
from spikeport.ir.verify import verify
from spikeport.runtime.artifact import load_artifact, save_artifact

#: Those whose resets Loihi has.
PROFILES = ("norse", "snntorch", "spikingjelly", "lava_float", "spinnaker2")
#: Least bits in a unit of the membrane: so many that their rounding is not seen.
UNIT = 2.0**30
#: Most of what is drawn has a reset or a chain that Loihi has not.
FILTERED = [HealthCheck.filter_too_much]


def in_wide_registers(network, inputs):
    """Return (graph, profile, lags) of *network*, only its weights rounded, to single precision; None where E534 would be."""
    entering = {path: Entry(1.0, -(2**40), 2**40) for path in inputs}
    shapes = {path: dynamics(model) for path, model in network.models.items()}
    links = links_of(network, shapes, entering, LOIHI)
    lag, silent = timing(network, LOIHI, links, shapes)
    done = {}
    for path, dyn in shapes.items():
        weights = tuple(Quantized(one.incoming.weight * UNIT / SHIFT, 0, 0, 0) for one in links if one.target == path)
        threshold = None if dyn.threshold is None else dyn.threshold * UNIT / SHIFT
        if dyn.is_ge:
            threshold = threshold * (1 - 1e-12)
        if late_by(silent[path]) > 1:
            return None
        current, membrane = starting(dyn, silent[path], 1 / DECAY_ONE)
        bias = dyn.settled(silent[path][-1])
        for _ in range(lag.get(path, 0)):  # as start.back, in real numbers
            if dyn.threshold is not None and np.any(membrane > dyn.threshold):
                return None
            with np.errstate(divide="ignore", invalid="ignore"):
                membrane = (membrane - current - bias) / dyn.beta
                current = np.where(current == 0, 0.0, np.inf if dyn.alpha is None else current / dyn.alpha)
        if not np.all(np.abs([membrane, current]) < 1e4):
            return None
        done[path] = settle.Settled(
            Choice(UNIT, weights, threshold), None if dyn.alpha is None else dyn.alpha * DECAY_ONE, dyn.beta * DECAY_ONE,
            bias * UNIT, current * UNIT, membrane * UNIT, dyn.refractory,
        )  # fmt: skip
    graph, _ = assemble(network, entering, links, done, lag)
    return graph, graph.profile, lag


def refusals(network):
    return list(refused(network, frozenset(), LOIHI))


@settings(max_examples=120, suppress_health_check=FILTERED)
@given(networks(features=FEATURES - {"threshold", "integrator"}, profiles=PROFILES))
def test_spikes_are_those_of_the_source_model_late_by_the_lags(case):
    assert_late(case, refusals, in_wide_registers)


@pytest.mark.slow
@settings(max_examples=1500, suppress_health_check=FILTERED)
@given(networks(features=FEATURES - {"threshold", "integrator"}, profiles=PROFILES))
def test_spikes_of_many_networks(case):
    assert_late(case, refusals, in_wide_registers)


@settings(max_examples=60)
@given(networks(features=FEATURES - {"threshold"}, profiles=PROFILES))
def test_what_is_lowered_verifies_stays_in_range_and_survives_files(tmp_path_factory, case):
    graph, profile, inputs = case
    try:
        program, refusals = lower(graph, None, profile, arithmetic="loihi", data=inputs), ()
    except UnsupportedError as error:
        program, refusals = None, error.diagnostics
    assert {d.code for d in refusals} <= {"E530", "E531", "E532", "E538"}
    assert all(d.path in graph for d in refusals)
    if program is None:
        return
    low = program.graph
    verify(low, program.profile)
    trace = run_reference(build_network(low, program.profile, "loihi"), inputs, Recording(None, True))
    assert all(np.abs(i).max(initial=0) < LIMIT for i in trace.i.values())
    assert from_nir(to_nir(low)).digest == low.digest
    assert lower_to_loihi(low, program.profile).graph.digest == low.digest
    assert lower(graph, None, profile, arithmetic="loihi", data=inputs).graph.digest == low.digest
    file = tmp_path_factory.mktemp("artifact") / "p.spk"
    save_artifact(program, file)
    assert load_artifact(file).graph.digest == low.digest
