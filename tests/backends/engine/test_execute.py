from graphs import networks
from hypothesis import given, settings
from hypothesis import strategies as st
from traces import differences

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.network import build_network
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording


@settings(max_examples=300)
@given(
    networks(), st.sampled_from(("float64", "float64", "float32", "spinnaker2")), st.booleans(), st.data(), st.integers(1, 3),
    st.sampled_from((1, 2, 5, 16, 4096)),
)  # fmt: skip
def test_equals_the_reference_bit_for_bit(drawn, arithmetic, state, data, threads, rows):
    graph, profile, inputs = drawn
    try:
        network = build_network(graph, profile, arithmetic)
    except UnsupportedError:
        return
    every = tuple(n.path for n in graph)
    paths = data.draw(st.one_of(st.none(), st.just(()), st.lists(st.sampled_from(every), max_size=4, unique=True).map(tuple)))
    recording = Recording(paths, state)
    expected = run_reference(network, inputs, recording)
    engine = EngineExecutable(network, threads, rows, data.draw(st.sampled_from((-1.0, 1.0))))
    assert differences(engine.run(inputs, recording), expected) == []
    assert differences(engine.run(inputs, recording), expected) == []
