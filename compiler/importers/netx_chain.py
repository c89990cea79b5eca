"""The chain of layers that a ``.net`` file is, as it grows: nodes and edges with their delays, and the shape so far."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from spikeport.compiler.importers.netx_fields import Fields
from spikeport.ir import Edge, Graph, Node
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.ops import Array, Conv2d, Flatten, Input, Linear, Neuron, Op, Output, Shape
from spikeport.ir.profile import Profile

#: Bias mantissas of 13 bits: what an input layer is driven with.
DRIVE = (-4096, 4095)
#: Most weights that a layer's synapses take once they are split by delay.
MAX_SPLIT = 2**28


class Chain:
    """Nodes and edges so far, the node that the next layer reads, and its shape.

    Parameters
    ----------
    profile : Profile
        Of the graph.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.tip = ""
        #: Shape that leaves the tip; None before the first layer, and behind a layer that was refused.
        self.shape: Shape | None = None
        #: Whether a layer was refused, so that shapes behind it are not known.
        self.lost = False
        #: Steps after which the first input reaches the tip.
        self.starts = 0

    def begin(self, shape: Shape, *, driven: bool = False) -> None:
        """Add the Input; *driven*: its values are bias mantissas of an input layer's neurons."""
        notes = {INPUT_NOTE: {"scale": 1.0, "least": DRIVE[0], "most": DRIVE[1]}} if driven else {}
        self.nodes.append(Node("input", Input(shape), notes))
        self.tip, self.shape = "input", shape

    def lose(self) -> None:
        """Go on behind a layer that was refused."""
        self.lost, self.shape = True, None

    def flatten(self, path: str) -> None:
        """Merge the axes of the tip, channels first, as netx does."""
        if self.shape is not None and len(self.shape) > 1:
            self._add(path, Flatten(0, -1))
            self.shape = (math.prod(self.shape),)

    def synapses(self, neuron: str, ways: Sequence[tuple[str, Op, int]], op: Neuron, own: tuple[str, Op] | None) -> None:
        """Add a population behind weighted nodes.

        Parameters
        ----------
        neuron : str
            Path of the population.
        ways : sequence of (path, op, delay)
            Weighted nodes that read the tip, and the steps until what they give is there.
        op : Neuron
            The population.
        own : (path, op) or None
            Recurrent weights; their spikes are there one step later.
        """
        source = self.tip
        for rank, (path, weighted, delay) in enumerate(ways):
            self.nodes.append(Node(path, weighted))
            self.edges += [Edge(source, path, 0, 0), Edge(path, neuron, delay, rank)]
        if own is not None:
            self.nodes.append(Node(*own))
            self.edges += [Edge(neuron, own[0], 0, 0), Edge(own[0], neuron, 1, len(ways))]
        self._population(neuron, op)

    def _population(self, path: str, op: Neuron) -> None:
        self.starts += 1
        if np.any(op.arrays()["v_leak"]):
            # lava-dl starts (and resets) each layer when its first input can reach it: a bias acts from then on.
            op = dataclasses.replace(op, extras=dataclasses.replace(op.extras, held_init=np.array(self.starts)))
        self.nodes.append(Node(path, op))
        self.tip, self.shape = path, op.shape

    def _add(self, path: str, op: Op) -> None:
        self.nodes.append(Node(path, op))
        self.edges.append(Edge(self.tip, path, 0, 0))
        self.tip = path

    def graph(self, notes: dict[str, object]) -> Graph:
        """Return the graph, its Output behind the tip."""
        if self.shape is None:
            raise AssertionError("a chain without layers has no graph")
        nodes = [*self.nodes, Node("output", Output(self.shape))]
        return Graph(tuple(nodes), (*self.edges, Edge(self.tip, "output", 0, 0)), notes, self.profile)


def split_by_delay(path: str, weight: Array, delay: Array | None) -> list[tuple[str, Op, int]]:
    """Return dense *weight* as one Linear for each delay, with the step that every synapse of Loihi takes added."""
    if delay is None:
        return [(path, Linear(weight.astype(np.float32)), 1)]
    steps = np.unique(delay)
    if len(steps) == 1:
        return [(path, Linear(weight.astype(np.float32)), 1 + int(steps[0]))]
    parts = [(int(d), np.where(delay == d, weight, 0).astype(np.float32)) for d in steps]
    return [(f"{path}.delay{d}", Linear(part), 1 + d) for d, part in parts if part.any()] or [(path, Linear(parts[0][1]), 1)]


def dense_delay(layer: Fields, weight: Array) -> tuple[Array | None, bool]:
    """Return the delay of each synapse of a dense layer (None for none), and whether the field is sound.

    One number for all, one for each output (slayer's axonal delay, which netx counts before the neuron), one for each input
    where their number is another, or one for each synapse.
    """
    if not layer.has("delay"):
        return None, True
    array = layer.whole("delay", 0, 2**20, round_down=True)
    if array is None:
        return None, False
    if int(array.max()) > 62:
        layer.say("E059", "delay", f"delays up to {int(array.max())} steps are cut to 62, as netx does", warn=True)
        array = np.minimum(array, 62)
    outputs, inputs = weight.shape
    if array.size == 1:
        array = np.broadcast_to(array.reshape(()), weight.shape)
    elif array.shape == (outputs,):
        array = np.broadcast_to(array[:, None], weight.shape)
    elif array.shape == (inputs,):
        array = np.broadcast_to(array, weight.shape)
    elif array.shape != weight.shape:
        text = f"delay has the shape {array.shape}; the layer has {outputs} outputs and {inputs} inputs"
        layer.say("E054", "delay", text, "one value, one for each output, or one for each input", got=array.shape)
        return None, False
    kinds = len(np.unique(array))
    if kinds > 1 and kinds * weight.size > MAX_SPLIT:
        layer.say("E054", "delay", f"{kinds} delays among {weight.size:,} synapses: split by delay they take more than "
                  f"{MAX_SPLIT:,} weights", "use fewer different delays", delays=kinds)  # fmt: skip
        return None, False
    return (array, True) if int(array.max()) else (None, True)


def conv_input(op: Conv2d, output: Shape, given: Shape | None, like: Shape | None) -> Shape | list[tuple[int, int]]:
    """Return the input shape of a convolution that begins the file, or the sizes along each axis that its output leaves open.

    Parameters
    ----------
    op : Conv2d
        Without input_shape.
    output : (C, H, W)
        As the file says.
    given, like : tuple of int or None
        What the caller says, and the shape of an array that will be run.
    """
    channels = op.weight.shape[1] * op.groups
    spans = []
    for n, k, s, d, pads in zip(output[1:], op.weight.shape[2:], op.stride, op.dilation, op.pads, strict=True):
        least = (n - 1) * s + d * (k - 1) + 1 - sum(pads)
        spans.append((max(least, 1), least + s - 1))
    for shape in (tuple(given or ()), tuple(like or ())[-3:]):
        fits = len(shape) == 3 and shape[0] == channels
        if fits and all(a <= n <= b for n, (a, b) in zip(shape[1:], spans, strict=True)):
            return shape
    if given is None and all(a == b for a, b in spans):
        return (channels, spans[0][0], spans[1][0])
    return spans
