"""The form of a network in Brian2: groups, projections and our functions, without a number that a run may change.

One form serves every network of the same topology: weights, neuron parameters, inputs, the number of steps and of samples
are run-time data. Its digest names a compiled program.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Part of the digest: another number where the same form would be compiled otherwise.
VERSION = 2
#: Brian2's defaults hold -ffast-math, which reorders sums, and let the compiler fuse products into them.
FLAGS = ("-w", "-O3", "-fno-fast-math", "-ffp-contract=off", "-std=c++11")
#: A step of every clock. Profiles have their own dt in their coefficients; here only steps are counted.
STEP_S = 1e-3


@dataclass(frozen=True, slots=True)
class Call:
    """One of our functions, as a group's statements call it.

    Parameters
    ----------
    name : str
        In the statements.
    kind : {"input", "conv", "pool", "delay"}
        Which template.
    source : str
        Group whose ``y`` it reads; empty where it reads none.
    store : str
        Group that holds its kernel and biases; empty without.
    sizes : Mapping
        Whole numbers, and tuples of them: its geometry.
    """

    name: str
    kind: str
    source: str
    store: str
    sizes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """A NeuronGroup.

    Parameters
    ----------
    name : str
        In Brian2.
    size : int
        Neurons.
    variables : tuple of str
        Parameters and state, one number a neuron.
    links : tuple of (str, str)
        Variables that show ``y`` of another group: (variable, group).
    code : tuple of str
        Statements of a step; none for a store.
    slot : {"start", "groups"}
        Part of the step in which it works.
    order : int
        Place in its slot.
    emits : bool
        Whether values other than 0 are events that projections hear.
    records, records_state : bool
        Whether events, and the membrane ``v``, are recorded.
    calls : tuple of Call
        Functions that the code uses.
    what : str
        For people: what it is.
    """

    name: str
    size: int
    variables: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()
    code: tuple[str, ...] = ()
    slot: str = "groups"
    order: int = 0
    emits: bool = False
    records: bool = False
    records_state: bool = False
    calls: tuple[Call, ...] = ()
    what: str = ""


@dataclass(frozen=True, slots=True)
class Projection:
    """Synapses from a group's events into an accumulator of another: blocks of *n_in* to *n_out*, all to all in each.

    Parameters
    ----------
    name : str
        In Brian2.
    source, target : str
        Groups.
    variable : str
        Accumulator in the target.
    n_in, n_out : int
        Size of a block.
    slot, order
        As in `Group`.
    what : str
        For people: what it is.
    """

    name: str
    source: str
    target: str
    variable: str
    n_in: int
    n_out: int
    slot: str
    order: int
    what: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """All objects of a network, in the order of a step."""

    groups: tuple[Group, ...]
    projections: tuple[Projection, ...]

    def as_json(self) -> str:
        """Return the form as text: equal forms have equal texts."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Form:
        """Return the form that `as_json` wrote."""
        raw = json.loads(text)

        def group(g: dict[str, Any]) -> Group:
            calls = tuple(Call(**c) for c in g.pop("calls"))
            links = tuple((a, b) for a, b in g.pop("links"))
            return Group(**{**g, "variables": tuple(g["variables"]), "code": tuple(g["code"])}, calls=calls, links=links)

        return cls(tuple(group(g) for g in raw["groups"]), tuple(Projection(**p) for p in raw["projections"]))

    def digest(self, *also: str) -> str:
        """Return a SHA-256 of the form and of what else decides the compiled program."""
        anonymous = dataclasses.replace(
            self, groups=tuple(dataclasses.replace(g, what="") for g in self.groups),
            projections=tuple(dataclasses.replace(p, what="") for p in self.projections),
        )  # fmt: skip
        return hashlib.sha256("\n".join([str(VERSION), anonymous.as_json(), *also]).encode()).hexdigest()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all arrays that a run sets, in the order of a program's parameter file: ``OBJECT.VARIABLE``."""
        own = [f"{g.name}.{v}" for g in self.groups for v in g.variables if v != "y"]
        return (*own, *(f"{p.name}.w" for p in self.projections))

    @property
    def inputs(self) -> tuple[Call, ...]:
        """The functions that read the given values."""
        return tuple(c for g in self.groups for c in g.calls if c.kind == "input")
