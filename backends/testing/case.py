"""A conformance case: a small seeded graph with its profile and input, and the helpers that cases are made with."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from spikeport.backends.testing.sketch import Sketch, neuron
from spikeport.compiler.driver import lower
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Affine, Array, Conv2d, Input, Linear, Neuron, Op, Output, Shape
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import parse_profile
from spikeport.ir.program import Program


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What a backend is asked to run.

    Parameters
    ----------
    name : str
        Subject and variant, ``conv2d/groups``.
    graph : Graph
        What is computed.
    profile : Profile
        Its time semantics.
    inputs : Mapping[str, array, shape (samples, steps, *shape)]
        Values of every Input node.
    quiet : bool
        Whether a population may stay silent: by default a case in which one does shows nothing, and is a mistake of the kit.
    """

    name: str
    graph: Graph
    profile: Profile
    inputs: Mapping[str, Array]
    quiet: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))

    def __str__(self) -> str:
        return self.name

    @property
    def populations(self) -> tuple[str, ...]:
        """Paths of all nodes that spike or integrate."""
        return tuple(n.path for n in self.graph if n.op.is_spiking or isinstance(n.op, Neuron))

    def program(self, arithmetic: str = "float64", target: str | None = None) -> Program:
        """Return the case mapped on *target* (None: only to be simulated), as a user's model would be.

        Input other than spikes is calibration data too: arithmetics of whole numbers take their unit from it.
        """
        spikes = all(np.all((x == 0) | (x == 1)) for x in self.inputs.values())
        return lower(self.graph, target, self.profile, arithmetic=arithmetic, opt=0, data=None if spikes else self.inputs)


class Draft(Sketch):
    """A `Sketch` seeded by its name, with an Input "input" of *shape* and random input for it.

    Parameters
    ----------
    name : str
        Of the case; seeds weights, parameters and input.
    profile : Profile or str
        That the case runs under.
    shape : tuple of int
        Of the input.
    samples, steps : int
        Size of the input.
    rate : float
        Share of ones in the input.
    """

    def __init__(
        self, name: str, profile: Profile | str, shape: Shape, *, samples: int = 2, steps: int = 20, rate: float = 0.4
    ) -> None:
        super().__init__(parse_profile(profile), np.random.default_rng(zlib.crc32(name.encode())))
        self.name, self.size = name, (samples, steps)
        self.inputs: dict[str, Array] = {}
        self.rate = rate
        self.enter("input", Input(shape))

    def enter(self, path: str, op: Op) -> str:
        """Add the Input *op*, with random spikes to go in, and return its path."""
        self.add(path, op)
        full = (*self.size, *self.shape[path])
        self.inputs[path] = (self.rng.random(full) < self.rate).astype(np.uint8)
        return path

    def dense(self, path: str, source: str, n: int, *, bias: bool = True) -> str:
        """Add an Affine (or Linear) with *n* outputs behind *source* and return its path."""
        n_in = self.shape[source][-1]
        weight = self.weights(n, n_in, fan_in=n_in)
        return self.add(path, Affine(weight, self.rng.normal(0.1, 0.2, n)) if bias else Linear(weight), source)

    def conv(
        self, path: str, source: str, n: int, *, size: int = 3, stride: int = 1, padding: int = 1, bias: float = 0.0
    ) -> str:  # fmt: skip
        """Add a Conv2d of *n* square kernels behind *source*, biases of about *bias*, and return its path."""
        c_in = self.shape[source][0]
        weight = self.weights(n, c_in, size, size, fan_in=c_in * size * size)
        full = self.rng.normal(0, bias, n)
        return self.add(path, Conv2d(None, weight, (stride, stride), (padding, padding), (1, 1), 1, full), source)

    def neuron(self, path: str, source: str, kind: str = "LIF", **options: Any) -> str:
        """Add a population of *kind* behind *source*, its threshold suited to the profile, and return its path."""
        op = neuron(kind, self.shape[source], self.profile, self.rng, path=path, **options)
        return self.add(path, op, source)

    def layer(self, name: str, source: str, n: int, kind: str = "LIF", **options: Any) -> str:
        """Add ``NAME.fc`` and ``NAME`` (a population of *n*) behind *source* and return the population's path."""
        return self.neuron(name, self.dense(f"{name}.fc", source, n), kind, **options)

    def leave(self, source: str, path: str = "output") -> str:
        """Add an Output behind *source* and return its path."""
        return self.add(path, Output(self.shape[source]), source)

    def case(self, *, quiet: bool = False) -> Case:
        """Return the finished case."""
        return Case(self.name, self.graph(), self.profile, self.inputs, quiet)
