"""Place and route: every packet of random networks and of all models, on machines of four sizes with dead links and cores."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from mapped import PROFILE, chain, changed, conv, dense, lif, recurrent
from routed import mapped_at_random, prove, routing_of, wanted, with_dead

import spikeport
from spikeport.compiler.mapping import map_graph
from spikeport.hw_profiles.records import Dead
from spikeport.hw_profiles.target import load_target
from spikeport.ir.diagnostics import CapacityError, UsageError
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import Delay, Input, Linear, Output
from spikeport.runtime.api import load

SPINNAKER = load_target("spinnaker1")
MODELS = sorted((Path(spikeport.__file__).parent / "models").glob("*.nir"))
SIZES = (1, 4, 48, 144)


@pytest.mark.parametrize("chips", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_every_packet_of_random_networks_reaches_its_cores_and_no_other(chips, seed):
    assert prove(mapped_at_random(seed, chips, SPINNAKER), every=3) > 0


@pytest.mark.slow
@pytest.mark.parametrize("chips", SIZES)
@pytest.mark.parametrize("seed", range(3, 53))
def test_every_packet_of_200_random_networks_reaches_its_cores_and_no_other(chips, seed):
    program = mapped_at_random(seed, chips, SPINNAKER)
    assert prove(program, every=2) > 0
    assert program.notes["replay"]["packets"] == sum(
        len(s.keys()) for s, cores in zip(routing_of(program).senders, wanted(program), strict=True) if cores
    )


@pytest.mark.parametrize("chips", SIZES)
@pytest.mark.parametrize("model", MODELS, ids=lambda p: p.stem)
def test_every_packet_of_the_models_reaches_its_cores_and_no_other(model, chips):
    """The models reset by subtraction, which the target lacks: here they are mapped with a reset to zero."""
    target = with_dead(SPINNAKER, chips, 0.05, chips)
    program = map_graph(load(model).graph, PROFILE, target, chips=chips)
    assert routing_of(program).machine.chips == chips
    assert prove(program, every=29) > 0


def test_senders_are_slices_and_pieces_of_inputs_on_cores_of_their_own():
    program = map_graph(dense(300, 600, 10), PROFILE, SPINNAKER)
    routing = routing_of(program)
    assert [(s.path, s.slice) for s in routing.senders] == [
        ("in", -1), ("in", -1), ("lif0", 0), ("lif0", 1), ("lif0", 2), ("lif1", 3),
    ]  # fmt: skip
    assert len(set(routing.cores)) == 6
    assert [s.core for s in routing.senders if s.slice >= 0] == [s.core for s in program.slices]
    assert program.usage["cores"] == (6, 17)
    # Nobody listens to the last layer.
    assert routing.trees.visits().tolist() == [1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("graph", [conv(), recurrent()], ids=["convolutions", "recurrent"])
def test_small_graphs_without_anything_dead(graph):
    prove(map_graph(graph, PROFILE, SPINNAKER))


def test_same_network_same_routing():
    a, b = (routing_of(mapped_at_random(7, 48, SPINNAKER)) for _ in range(2))
    assert a.senders == b.senders
    for part in ("key", "mask", "route"):
        assert np.array_equal(getattr(a.compressed, part), getattr(b.compressed, part))


# ---------------------------------------------------------------------------------------------------- dead and too large


def test_a_row_of_dead_cores_is_gone_around():
    """Cores 1 to 8 of every chip of the bottom row are dead; the network takes the others."""
    row = tuple((x, 0, p) for x in range(5) for p in range(1, 9))
    program = map_graph(dense(10, 256 * 100), PROFILE, SPINNAKER.without(Dead(cores=row)))
    routing = routing_of(program)
    places = {(*routing.machine.xy[s.chip].tolist(), s.processor) for s in routing.senders}
    assert len(places) == 101
    assert not places & set(row)
    assert (0, 0, 9) in places
    prove(program, every=999)


def test_a_dead_chip_and_dead_links_are_gone_around():
    dead = Dead(chips=((1, 1),), links=((0, 0, 0), (0, 1, 2)))
    program = map_graph(dense(2000, 256 * 60, 256 * 60), PROFILE, SPINNAKER.without(dead))
    routing = routing_of(program)
    machine = routing.machine
    gone = machine.at(1, 1)
    assert gone is not None
    assert not machine.processors(gone)
    assert gone not in routing.trees.chip
    assert machine.links[machine.at(0, 0), 0] == machine.links[machine.at(1, 0), 3] == -1


def test_a_network_larger_than_a_board_takes_three_boards_on_a_torus():
    program = map_graph(dense(10, 256 * 850), PROFILE, SPINNAKER)
    assert routing_of(program).machine.name == "3 SpiNN-5 boards, 1 x 1 triads on a torus"
    assert program.chips == 51
    with pytest.raises(CapacityError, match=r"takes 51 chips of spinnaker1 .*48 allowed") as found:
        map_graph(dense(10, 256 * 850), PROFILE, SPINNAKER, chips=48)
    assert found.value.diagnostics[0].code == "E402"


def test_too_few_boards_for_any_network_is_said():
    from spikeport.compiler.mapping.machine import machine_for

    with pytest.raises(CapacityError, match="2,401 boards; the largest machine that we map on has 2,400") as found:
        machine_for(SPINNAKER, 48 * 2400 + 1)
    assert found.value.diagnostics[0].code == "E410"


def test_fan_in_beyond_a_chips_memory_names_the_layer():
    """Each input of a neuron is a row of 4 words; 8 million of them are more than the 123 MB of a chip."""
    graph = chain(("in", Input((8_000_000,))), ("fc", Linear(np.broadcast_to(1.0, (1, 8_000_000)))), ("sum", lif((1,))),
                  ("out", Output((1,))))  # fmt: skip
    with pytest.raises(CapacityError, match=r"128,000,000 bytes of the chip's shared memory") as found:
        map_graph(graph, PROFILE, SPINNAKER)
    assert (found.value.diagnostics[0].code, found.value.diagnostics[0].path) == ("E401", "sum")


def test_what_is_dead_has_to_be_there():
    with pytest.raises(CapacityError, match="chip 40,2, link 0,0,9") as found:
        map_graph(dense(2, 3), PROFILE, SPINNAKER.without(Dead(chips=((40, 2),), links=((0, 0, 9),))))
    assert found.value.diagnostics[0].code == "E411"


def test_targets_without_tables_have_nothing_to_go_around_with():
    with pytest.raises(UsageError, match="loihi2 has no routing tables to go around what is dead") as found:
        load_target("loihi2").without(Dead(chips=((0, 0),)))
    assert found.value.diagnostics[0].code == "E414"
    assert load_target("loihi2").without(Dead()) is load_target("loihi2")


# ------------------------------------------------------------------------------------------------------------- delays


def delayed(steps: int, size: int = 300) -> Graph:
    """Two layers, the second behind an edge that waits."""
    graph = dense(4, size, size)
    edges = [Edge(e.source, e.target, steps if e.source == "lif0" else e.delay, e.rank) for e in graph.edges]
    return Graph(graph.nodes, edges)


@pytest.mark.parametrize(("steps", "blocks"), [(1, ()), (32, ()), (33, (1,)), (64, (1,)), (200, (6,)), (288, (8,))])
def test_delays_beyond_the_ring_buffers_take_delay_slices(steps, blocks):
    """A delay of d steps waits (d - 1) // 32 blocks in the delay slice, the rest in the ring buffer, as sPyNNaker 7.4 does."""
    program = map_graph(delayed(steps), PROFILE, SPINNAKER)
    found = [s for s in routing_of(program).senders if s.delay_blocks]
    assert [(s.path, s.size, s.delay_blocks) for s in found] == [("lif0", 150, blocks)] * (2 if blocks else 0)
    assert prove(program) > 0


def test_cores_of_few_neurons_delay_longer_by_themselves():
    """8,192 places of a ring buffer: 1,024 steps for 5 to 8 neurons."""
    for steps, blocks in ((1024, []), (1025, [(1,)])):
        program = map_graph(delayed(steps, 7), PROFILE, SPINNAKER)
        assert [s.delay_blocks for s in routing_of(program).senders if s.delay_blocks] == blocks


def test_targets_of_different_sizes_have_delay_slices_with_blocks_of_their_own():
    nodes = [
        Node("in", Input((4,))), Node("fc", Linear(np.ones((4, 4)))), Node("a", lif((4,))),
        Node("fb", Linear(np.ones((256, 4)))), Node("b", lif((256,))),
        Node("fd", Linear(np.ones((128, 4)))), Node("d", lif((128,))), Node("out", Output((128,))),
    ]  # fmt: skip
    edges = [
        Edge("in", "fc"), Edge("fc", "a"), Edge("a", "fb", 100), Edge("fb", "b"), Edge("a", "fd", 100), Edge("fd", "d"),
        Edge("d", "out"),
    ]  # fmt: skip
    program = map_graph(Graph(nodes, edges), PROFILE, SPINNAKER)
    late = [(s.path, s.delay_steps, s.delay_blocks) for s in routing_of(program).senders if s.delay_blocks]
    assert late == [("a", 32, (3,)), ("a", 64, (1,))]
    prove(program)


def test_a_delay_beyond_delay_slices_names_the_layer():
    with pytest.raises(CapacityError, match="the connection from lif0 waits 289 steps; spinnaker1 has at most 288") as found:
        map_graph(delayed(289), PROFILE, SPINNAKER)
    assert (found.value.diagnostics[0].code, found.value.diagnostics[0].path) == ("E403", "lif1")


def test_a_delay_node_of_many_delays_takes_every_block_that_it_needs():
    """Delays of 5 and 100 steps in one node: some packets go at once, others through block 3."""
    nodes = [
        Node("in", Input((6,))), Node("fc", Linear(np.ones((6, 6)))), Node("a", lif((6,))),
        Node("wait", Delay(np.array([5e-3, 5e-3, 5e-3, 0.1, 0.1, 0.1]))), Node("fc2", Linear(np.ones((256, 6)))),
        Node("b", lif((256,))), Node("out", Output((256,))),
    ]  # fmt: skip
    names = [n.path for n in nodes]
    program = map_graph(Graph(nodes, [Edge(a, b) for a, b in pairwise(names)]), PROFILE, SPINNAKER)
    routing = routing_of(program)
    (late,) = (i for i, s in enumerate(routing.senders) if s.delay_blocks)
    assert routing.senders[late].delay_blocks == (3,)
    (first,) = (i for i, s in enumerate(routing.senders) if s.path == "a" and not s.delay_blocks)
    cores = {s.path: s.core for s in routing.senders if not s.delay_blocks}
    route = int(routing.trees.route[routing.trees.start[first]])
    assert route == 1 << 6 + cores["b"] % 17 + 1 | 1 << 6 + routing.senders[late].processor


def test_the_targets_file_may_say_what_is_dead():
    target = changed("spinnaker1", ('tables = "ternary"', 'tables = "ternary"\ndead_cores = [[0, 0, 1], [0, 0, 2]]'))
    program = map_graph(dense(2, 3), PROFILE, target)
    assert [s.processor for s in routing_of(program).senders] == [3, 4]
