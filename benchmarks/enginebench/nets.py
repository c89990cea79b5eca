"""The networks that everybody runs, as plain arrays and as our graph, and their inputs.

Weights lie on a grid of 1/256 and are never zero: every sum of weights is exact in float32, so the order in which a
simulator sums cannot move a spike, and the synaptic events are fan-out times spikes. What still rounds is the leak,
at the last bit; the threshold lies off the values that membranes share, and every peer's spikes are compared.
"""

import dataclasses
import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import spikeport
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import LIF, Input, Linear, Op, Output

BETA = 0.9375
THRESHOLD = 1 - 2.0**-17
DT = 2.0**-10
#: Reset to zero within the step, v > threshold, decay 1 - dt/tau = BETA exactly, gain r*dt/tau = 1.
LIF_PROFILE = f"snntorch:zero,dt={DT!r},reset_delay=no"
CONV_PROFILE = "sinabs"


@dataclass(frozen=True)
class LifNet:
    """Dense layers of LIF neurons; a recurrent matrix for the first layer where there is one."""

    name: str
    weights: tuple[np.ndarray, ...]  # (N_out, N_in) each, float32
    recurrent: np.ndarray | None = None  # (N, N): [post, pre], acts one step later
    beta: float = BETA
    threshold: float = THRESHOLD

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(f"lif{i}" for i in range(len(self.weights)))

    def graph(self) -> Graph:
        """Return the same network for spikeport."""
        tau = DT / (1 - self.beta)
        nodes, edges, last = [Node("in", Input((self.weights[0].shape[1],)))], [], "in"
        for i, weight in enumerate(self.weights):
            ones = np.ones(len(weight))
            lif = LIF(tau=tau * ones, r=tau / DT * ones, v_leak=0 * ones, v_threshold=self.threshold * ones, v_reset=0 * ones)
            nodes += [Node(f"fc{i}", Linear(weight)), Node(f"lif{i}", lif)]
            edges += [Edge(last, f"fc{i}"), Edge(f"fc{i}", f"lif{i}")]
            last = f"lif{i}"
        if self.recurrent is not None:
            nodes.append(Node("rec", Linear(self.recurrent)))
            edges += [Edge("lif0", "rec", delay=1), Edge("rec", "lif0", rank=1)]
        nodes.append(Node("out", Output((len(self.weights[-1]),))))
        return Graph(nodes, [*edges, Edge(last, "out")])

    def synaptic_events(self, x: np.ndarray, rasters: dict[str, np.ndarray]) -> float:
        """Return the weights that an inference touches: spikes times fan-out, a sample's mean."""
        total, entering = 0, x
        for weight, layer in zip(self.weights, self.layers, strict=True):
            total += np.count_nonzero(entering) * len(weight)
            entering = rasters[layer]
        if self.recurrent is not None:
            total += np.count_nonzero(rasters["lif0"][:, :-1]) * len(self.recurrent)
        return total / len(x)


@dataclass(frozen=True)
class Case:
    """One comparison: a network, its input, and what is said about it."""

    name: str
    net: object
    x: np.ndarray  # (samples, steps, *shape), uint8
    profile: str
    notes: tuple[str, ...] = ()
    facts: dict = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return len(self.x)


def grid(rng: np.random.Generator, shape: tuple[int, int], mean: float, std: float) -> np.ndarray:
    """Return normal weights on the grid of 1/256, none of them zero."""
    steps = np.rint(rng.normal(mean, std, shape) * 256)
    steps[steps == 0] = 1
    return (steps / 256).astype(np.float32)


def dense_net(sizes: tuple[int, ...] = (784, 256, 256, 10), seed: int = 0) -> LifNet:
    """Return the dense network: at 5 % input about 1.475 M synaptic events an inference of 100 steps."""
    rng = np.random.default_rng(seed)
    pairs = itertools.pairwise(sizes)
    weights = [grid(rng, (post, pre), 0.045 / np.sqrt(pre), 1.7 / np.sqrt(pre)) for pre, post in pairs]
    return LifNet("dense " + "-".join(map(str, sizes)), tuple(weights))


def recurrent_net(neurons: int = 2000, inputs: int = 256, seed: int = 0) -> LifNet:
    """Return a recurrent population, all to all, that fires at about 4 % a step on 5 % input."""
    rng = np.random.default_rng(seed)
    weight = grid(rng, (neurons, inputs), 0.02, 0.08)
    recurrent = grid(rng, (neurons, neurons), -0.004, 0.03)
    return LifNet(f"recurrent {neurons}", (weight,), recurrent)


def bernoulli(shape: tuple[int, ...], p: float, seed: int = 0) -> np.ndarray:
    """Return spikes with probability *p*, uint8."""
    return (np.random.default_rng(seed).random(shape, np.float32) < p).astype(np.uint8)


@dataclass(frozen=True)
class ConvNet:
    """A chain of convolutions, pools and dense layers with integrate-and-fire neurons, read from a ``.nir`` file."""

    name: str
    source: Graph

    @classmethod
    def load(cls, file: Path) -> "ConvNet":
        """Return the network of *file*, its weights on the grid of 2**-14 (they move by 3e-5 at most): see above."""
        graph = spikeport.load(file).graph
        nodes = [dataclasses.replace(node, op=_on_grid(node.op)) for node in graph]
        return cls(f"conv {file.name}", Graph(nodes, graph.edges))

    def graph(self) -> Graph:
        return self.source

    def chain(self) -> list[Node]:
        """Return the nodes from the input to the output in their order."""
        path, found = next(n.path for n in self.source if isinstance(n.op, Input)), []
        while self.source.out_of(path):
            (edge,) = self.source.out_of(path)
            path = edge.target
            found.append(self.source[path])
        return found[:-1]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(n.path for n in self.chain() if n.op.is_spiking)


def _on_grid(op: Op) -> Op:
    if not op.is_weighted:
        return op
    arrays = {name: np.float32(np.rint(op.parameters()[name] * 2.0**14) / 2.0**14) for name in ("weight", "bias")}
    return dataclasses.replace(op, **arrays)
