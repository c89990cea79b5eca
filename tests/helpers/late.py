"""A lowering without its rounding against the source model: the same spikes, late by the lags, but for ties."""

import numpy as np
from hypothesis import assume

from spikeport.ir import reference
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.network import build_network
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording


def assert_late(case, refusals, unrounded):
    """Compare all spikes of the source model in *case* with those of its lowering.

    *refusals(network)* are what the chip has not; *unrounded(network, inputs)* is (graph, profile, lags) or None.
    """
    graph, profile, inputs = case
    network = build_network(graph, profile, "float64")
    assume(not list(refusals(network)))
    try:
        found = unrounded(network, inputs)
    except UnsupportedError:
        found = None
    assume(found is not None)
    low, low_profile, lag = found
    most = max(lag.values(), default=0)
    assume(profile.boundary == "reset" or not most)
    longer = {p: np.concatenate([x, np.zeros((x.shape[0], most, *x.shape[2:]))], axis=1) for p, x in inputs.items()}
    wanted = run_reference(network, inputs, Recording(None, True))
    ours = run_reference(build_network(low, low_profile, "float64"), longer, Recording(None))
    first = []
    for path, model in network.models.items():
        if model.threshold is not None:
            theirs = wanted.spikes[path][:, model.output_delay :]
            differs = ours.spikes[path][:, lag.get(path, 0) :][:, : theirs.shape[1]] != theirs
            if differs.any():
                first.append((int(np.argmax(differs.any(axis=tuple(i for i in range(differs.ndim) if i != 1)))), path, differs))
    if first:
        # The first difference must be a tie: weights are in single precision, and sums are taken in another order.
        step, path, differs = min(first, key=lambda f: f[:2])
        threshold = network.models[path].threshold
        distance = np.abs(reference.tested_membrane(network, inputs, path, step) - threshold)
        assert distance[differs[:, step]].max() < 1e-5 * max(np.abs(threshold).max(), np.abs(wanted.v[path]).max()), (
            path,
            step,
        )
