"""Random networks of the house, the same ones in every mode, held against the float64 reference."""

import numpy as np
from graphs import networks
from hypothesis import HealthCheck, Phase, given, settings

from spikeport.ir.network import build_network
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

WHOLE = Recording(None, True)


def draw(number):
    """Return *number* networks, always the same: (graph, profile, inputs)."""
    found = []

    @settings(max_examples=number, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(networks())
    def collect(drawn):
        found.append(drawn)

    collect()
    return found


def assert_equal(network, inputs, found):
    """Hold a trace against the reference: every spike and count equal, outputs and states within 1e-12 relative."""
    with np.errstate(all="ignore"):
        expected = run_reference(network, inputs, WHOLE)
    for path, spikes in expected.spikes.items():
        assert np.array_equal(spikes, found.spikes[path]), (
            f"spikes of {path}: {int((spikes != found.spikes[path]).sum())} differ"
        )
    for group in ("out", "v"):
        for path, values in getattr(expected, group).items():
            np.testing.assert_allclose(getattr(found, group)[path], values, rtol=1e-12, atol=0, err_msg=f"{group} of {path}")
    for path, counts in expected.counts.items():
        mine = found.counts[path]
        assert (mine.spikes, mine.events, mine.synops, mine.updates) == (
            counts.spikes, counts.events, counts.synops, counts.updates,
        ), path  # fmt: skip
    for path, active in expected.activity.items():
        assert np.array_equal(active, found.activity[path]), path


def network_of(drawn):
    return build_network(drawn[0], drawn[1])
