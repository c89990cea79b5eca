"""benchmarks/density.py compares what it says it compares."""

import importlib
import sys

import numpy as np
import pytest
from traces import differences

from spikeport.backends.engine import connections
from spikeport.backends.engine.columns import SPARSE
from spikeport.ir.trace import Recording


@pytest.fixture(scope="module")
def density(root):
    folder = str(root / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("density")
    finally:
        sys.path.remove(folder)


def test_crossover_lies_between_the_neighbours(density):
    shares = (0.1, 0.2, 0.4)
    assert density.crossover(shares, [0.5, 0.8, 1.2]) == "0.3"
    assert density.crossover(shares, [0.5, 0.6, 0.7]) == "above 0.4"
    assert density.crossover(shares, [1.5, 1.6, 1.7]) == "below 0.1"


def test_both_ways_to_hold_weights_run_and_agree(density, monkeypatch):
    monkeypatch.setattr(connections, "sparse_below", connections.sparse_below)  # the benchmark sets it: put it back
    traces = []
    for is_sparse in (True, False):
        engine, inputs = density.executable(density.Spec("float32", 64, 64, 0.3, 0.1, True, is_sparse))
        ops = {stage.op for plan in engine._plans.values() for stage in plan.stages}
        assert (SPARSE in ops) is is_sparse
        traces.append(engine.run(inputs, Recording(None, state=True)))
    assert differences(*traces) == []
    assert np.any(traces[0].v["1"])
