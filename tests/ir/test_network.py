import numpy as np
from graphs import chain, lif

from spikeport.ir import parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import Affine


def test_a_bias_at_the_membrane_keeps_its_leading_axes():
    bias = np.arange(1.0, 7.0).reshape(2, 3)
    graph = chain(Affine(np.ones((2, 3, 4)), bias), lif((2, 3)), shape=(2, 4))
    network = build_network(graph, parse_profile("norse:zero,bias_at=membrane"))
    assert np.array_equal(network.models["1"].offset, bias)
    assert not network.ops["0"].bias.any()
