"""Dense weights as lava-dl's netx and Lava's Dense have them in effect, recorded from both (0.6.0 and 0.10.0)."""

import numpy as np
import pytest
from netx_files import dense, write_net

from spikeport.compiler.importers.netx import load_netx
from spikeport.compiler.importers.netx_weights import dense_weights


@pytest.mark.parametrize(
    ("weight", "effective"),
    [
        ([-178, 192], [-178, 192]),
        ([-10, 10, 3], [-10, 10, 3]),
        ([193, -5], [193, -5]),
        ([127, -127], [127, -127]),
        ([1, -1], [1, -1]),
        ([255, 254], [255, 254]),
        ([3, 0, 1], [3, 0, 1]),
        ([-255, -3], [-255, -3]),
        ([-101, 0, -7], [-101, 0, -7]),
        ([0, 0], [0, 0]),
        # netx clips mixed signs to -256 to 254; Lava clips -256 to -255 where no weight is positive, and then cuts bits.
        ([300, -300, 8], [254, -256, 8]),
        ([-128, -1], [-127, -1]),
        ([-128, -64], [-64, -64]),
        ([-64, -2], [-62, -2]),
        ([-256, -256], [0, 0]),
    ],
)
def test_weights_in_effect(weight, effective):
    (got,), changed = dense_weights(np.array([weight]))
    assert got.tolist() == [effective]
    assert changed == sum(a != b for a, b in zip(weight, effective, strict=True))


@pytest.mark.parametrize("weight", [[256, 2], [-257, -2], [-257, 0], [-149, 0]])
def test_weights_that_no_synapse_holds(weight):
    with pytest.raises(ValueError, match="weights from"):
        dense_weights(np.array([weight]))


def test_the_weights_of_a_recurrent_layer_are_scaled_together():
    weight, own = np.array([[200, 190]]), np.array([[-6, 4]])
    (a, b), changed = dense_weights(weight, own)
    assert (a.tolist(), b.tolist(), changed) == ([[200, 190]], [[-6, 4]], 0)
    # An odd one: netx then gives all of them 9 bits, and Lava, for which the first are of one sign, loses those.
    with pytest.raises(ValueError, match="would lose them"):
        dense_weights(weight, np.array([[-5, 4]]))
    # Alone, 300 would be refused; beside a negative weight netx clips it.
    assert dense_weights(np.array([[300]]), np.array([[-6]]))[0][0].tolist() == [[254]]


def test_a_change_is_said_with_its_numbers(tmp_path):
    graph, found = load_netx(write_net(tmp_path / "a.net", [dense([[300, -8], [4, 2]])]))
    assert graph["layer.0.weight"].op.weight.tolist() == [[254, -8], [4, 2]]
    assert [(d.code, d.path, d.severity) for d in found] == [("E059", "layer/0/weight", "warning")]
    assert "1 of 4 weights" in str(found[0])
    assert "from 300 to 254" in str(found[0])
