"""Routing in artifacts: what is written comes back, and a file that was tampered with is refused by name."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
from mapped import PROFILE, dense
from routed import with_dead

from spikeport.compiler.mapping import map_graph
from spikeport.hw_profiles.target import load_target
from spikeport.ir.diagnostics import ArtifactError
from spikeport.ir.graph import Edge, Graph
from spikeport.ir.routing import Routing
from spikeport.runtime.artifact import load_artifact, save_artifact
from spikeport.runtime.program_json import program_from_json, program_to_json
from spikeport.runtime.routing_json import routing_from_json, routing_to_json

TARGET = with_dead(load_target("spinnaker1"), 48, 0.05, 1)
_GRAPH = dense(300, 600, 4000)
GRAPH = Graph(_GRAPH.nodes, [Edge(e.source, e.target, 200 if e.source == "lif0" else e.delay, e.rank) for e in _GRAPH.edges])
PROGRAM = map_graph(GRAPH, PROFILE, TARGET)


def same(a: Routing, b: Routing) -> bool:
    """Whether all values of two routings are equal."""
    parts = [("machine", dataclasses.fields(a.machine)), ("trees", dataclasses.fields(a.trees))]
    parts += [(n, dataclasses.fields(a.tables)) for n in ("tables", "compressed")]
    return a.senders == b.senders and all(
        np.array_equal(getattr(getattr(a, n), f.name), getattr(getattr(b, n), f.name)) for n, fields in parts for f in fields
    )


def test_what_is_stored_comes_back(tmp_path):
    assert PROGRAM.routing is not None
    assert any(s.delay_blocks for s in PROGRAM.routing.senders)
    digest = save_artifact(PROGRAM, tmp_path / "a.spk")
    again = load_artifact(tmp_path / "a.spk")
    assert again.routing is not None
    assert same(again.routing, PROGRAM.routing)
    assert save_artifact(again, tmp_path / "b.spk") == digest


def test_programs_without_routing_say_so():
    structure, arrays = program_to_json(map_graph(dense(2, 3), PROFILE, load_target("loihi2")))
    assert structure["routing"] is None
    assert program_from_json(structure, dict(enumerate(arrays)), dense(2, 3).digest).routing is None


def stored() -> tuple[dict, dict[int, np.ndarray]]:
    """The routing of PROGRAM as plain data and arrays of its own."""
    arrays: dict[int, np.ndarray] = {}

    def number(array):
        arrays[len(arrays)] = array.copy()
        return len(arrays) - 1

    return copy.deepcopy(routing_to_json(PROGRAM.routing, number)), arrays


def set_in(part, name, where, value):
    """A change of one value of an array."""

    def change(data, arrays):
        arrays[data[part][name]][where] = value

    return change


def sender(column, value):
    """A change of a sender's column."""

    def change(data, arrays):
        data["senders"][2][column] = value

    return change


CHANGES = {
    "a missing part": (lambda d, a: d.pop("trees"), "routing: expected"),
    "an unknown part": (lambda d, a: d.update(more=1), "routing: expected"),
    "an array that is none": (lambda d, a: d["trees"].update(chip=10_000), "expected the number of an array of int64"),
    "an array of floats": (
        lambda d, a: a.update({d["trees"]["chip"]: np.zeros(3)}),
        "expected the number of an array of int64",
    ),
    "columns of two lengths": (lambda d, a: a.update({d["trees"]["chip"]: np.zeros(3, np.int64)}), "do not fit each other"),
    "rows that run back": (set_in("tables", "start", 1, 99), "do not fit each other"),
    "a chip that is not there": (set_in("trees", "chip", -1, 48), "a value is not between 0 and 47"),
    "a link that is not there": (set_in("trees", "arrives", -1, 6), "a value is not between -1 and 5"),
    "a route with too many bits": (set_in("compressed", "route", 0, 1 << 24), "a value is not between 0 and 16777215"),
    "a key of 33 bits": (set_in("compressed", "key", 0, 1 << 32), "a value is not between 0 and 4294967295"),
    "a tree that begins elsewhere": (set_in("trees", "chip", 0, 17), "does not begin at its sender"),
    "a link that leads one way": (set_in("machine", "links", (0, 0), 9), "a link leads one way only"),
    "a monitor for the program": (set_in("machine", "cores", 0, 3), "a monitor is given to the program"),
    "a machine as high as a tower": (lambda d, a: d["machine"].update(height=1 << 20), "no whole number from 1 to 65536"),
    "a stride of 0": (lambda d, a: d["machine"].update(stride=0), "no whole number from 1 to 17"),
    "a sender of nothing": (sender(0, "nobody"), "no sender"),
    "a box beyond the layer": (sender(1, [[0, 10_000]]), "no whole number"),
    "a core that is not there": (sender(2, 17 * 48), "no whole number"),
    "a mask that is no prefix": (sender(4, 0xFFFFFF0F), "do not number its"),
    "a mask too narrow for the slice": (sender(4, 0xFFFFFFFF), "do not number its"),
    "another slice's neurons": (sender(5, 3), "sends for another slice"),
    "a block too many": (sender(6, [65]), "no whole number"),
    "a block of no steps": (sender(6, [1]), "no whole number"),
    "a number that is a truth": (sender(3, True), "no whole number"),
    "senders twice": (lambda d, a: d["senders"].append(d["senders"][0]), "do not fit each other|share keys"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_out_of_bounds_is_refused(name):
    change, message = CHANGES[name]
    data, arrays = stored()
    assert same(routing_from_json(data, arrays, GRAPH, PROGRAM.slices), PROGRAM.routing)
    change(data, arrays)
    with pytest.raises(ArtifactError, match=message) as found:
        routing_from_json(data, arrays, GRAPH, PROGRAM.slices)
    assert found.value.diagnostics[0].code == "E707"
