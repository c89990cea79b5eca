import numpy as np
from graphs import lif, networks
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.backends.engine.plan import plan
from spikeport.backends.engine.vec import LANES
from spikeport.backends.engine.workspace import CHUNK_BYTES, MOST_ROWS, MOST_SAMPLES, Workspace, chunk_size
from spikeport.backends.testing.sketch import chain
from spikeport.ir import parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import Conv2d, Delay, Linear

PROFILE = parse_profile("norse:subtract")


def _plan(*ops, shape=(5,)):
    return plan(build_network(chain(*ops, shape=shape), PROFILE, "float32"))


@settings(max_examples=60)
@given(networks(), st.integers(1, 300), st.integers(1, 300), st.sampled_from((1, 2, 7, 100, MOST_ROWS)))
def test_a_chunk_is_never_empty_and_never_more_than_asked(drawn, samples, steps, most_rows):
    graph, profile, _ = drawn
    made = plan(build_network(graph, profile))
    chunk = chunk_size(made, samples, steps, 8, most_rows)
    assert 1 <= chunk.samples <= min(samples, MOST_SAMPLES)
    assert 1 <= chunk.steps <= steps
    # One sample with its history always fits; more of them only within the rows asked for.
    assert chunk.samples == 1 or chunk.samples * (chunk.steps + made.lead) <= most_rows
    assert chunk.steps <= most_rows


def test_rows_of_a_chunk_stay_in_cache():
    made = _plan(Linear(np.ones((2000, 5))), lif(2000), Linear(np.ones((2000, 2000))), lif(2000))
    chunk = chunk_size(made, 64, 1000, 4)
    space = Workspace(made, chunk)
    assert chunk.steps > 8
    assert space.F.nbytes + space.I.nbytes + space.U.nbytes < 8 * CHUNK_BYTES


def test_a_long_history_is_not_copied_for_every_row():
    made = _plan(Delay(np.full(5, 200) * PROFILE.dt), shape=(5,))
    assert made.lead == 200
    assert chunk_size(made, 1, 10_000, 4).steps >= 800
    assert chunk_size(made, 1, 30, 4).steps == 30


def test_a_wide_map_takes_a_row_at_a_time():
    kernel = np.ones((16, 1, 3, 3))
    made = _plan(Conv2d(None, kernel, 1, 1, 1, 1, np.zeros(16)), lif((16, 200, 200)), shape=(1, 200, 200))
    chunk = chunk_size(made, 8, 100, 4)
    assert (chunk.samples, chunk.steps) == (1, 1)
    space = Workspace(made, chunk)
    # The map, its sums with a margin, three states and a mask for each neuron, and no more.
    assert space.F.nbytes < 4 * 6 * 16 * 202 * 202


@settings(max_examples=60)
@given(networks(), st.integers(1, 20), st.integers(1, 40))
def test_room_for_every_form_of_every_row(drawn, samples, steps):
    graph, profile, _ = drawn
    made = plan(build_network(graph, profile), state=True)
    chunk = chunk_size(made, samples, steps, 8)
    space = Workspace(made, chunk)
    rows = chunk.samples * (made.lead + chunk.steps)
    values = sum(p.values + (p.trace and not p.trace_is_values) for p in made.ports for _ in range(p.blocks))
    assert space.F.size >= rows * values * LANES
    assert space.U.size >= rows * sum(p.blocks for p in made.ports if p.words)
    # Sixteen numbers are written at a time behind the last event of a row.
    assert space.I.size >= rows * sum(p.n + 16 for p in made.ports if p.stream)
