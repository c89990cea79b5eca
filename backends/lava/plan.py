"""From a step network to a plan: which processes of Lava there are, with which arguments, and who is wired to whom.

Each way from a source (an input or a population) to a population becomes one process of synapses. Populations next to a
Conv are laid out as Lava wants them, channels last; all others are flat.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeport.backends.lava.synapses import conv_fits, conv_kernel, gained
from spikeport.backends.matrices import Synapses, matrix_of
from spikeport.backends.ways import Way, ways_of
from spikeport.ir.dynamics import NeuronModel
from spikeport.ir.loihi import LIMIT, registers, split_weights
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Conv1d, Conv2d, Shape

#: An integrator's threshold mantissa in Lava: shifted by six bits it is one more than the membrane can be.
NEVER = 2**17
#: Bits of a graded spike; Lava only asks whether there are any.
MESSAGE_BITS = 24
#: Matrices with a smaller share of weights that are not zero are Sparse.
SPARSE_BELOW = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Process:
    """A process of Lava.

    Parameters
    ----------
    kind : str
        Lava's class, or ``Source``, which is ours.
    name : str
        Path of the layer.
    args : Mapping[str, number, text or list]
        Its keyword arguments.
    arrays : Mapping[str, str]
        Further arguments, by key of the plan's arrays.
    """

    kind: str
    name: str
    args: Mapping[str, Any]
    arrays: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an input or a population is in a plan.

    Parameters
    ----------
    index : int
        Of its process.
    shape : tuple of int
        In Lava.
    order : array of int64
        Flat index of the graph for each flat index of Lava.
    """

    index: int
    shape: Shape
    order: Array

    def to_lava(self, values: Array) -> Array:
        """Return *values* (..., neurons) as Lava has them: (..., *shape)."""
        return values[..., self.order].reshape(*values.shape[:-1], *self.shape)

    def from_lava(self, values: Array) -> Array:
        """Return *values* (total, *shape) of Lava as (total, neurons) of the graph."""
        flat = values.reshape(values.shape[0], -1)
        back = np.empty_like(flat)
        back[:, self.order] = flat
        return back


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A network of Lava, ready to be built.

    Parameters
    ----------
    models : {"fixed_pt", "floating_pt"}
        Lava's tag of the process models.
    processes : tuple of Process
    wires : tuple of (int, int)
        Source and target by number.
    arrays : Mapping[str, array]
    places : Mapping[str, Place]
        By path: inputs and populations.
    """

    models: str
    processes: tuple[Process, ...]
    wires: tuple[tuple[int, int], ...]
    arrays: Mapping[str, Array]
    places: Mapping[str, Place]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without the arrays."""
        processes = [{"kind": p.kind, "name": p.name, "args": p.args, "arrays": p.arrays} for p in self.processes]
        return {"models": self.models, "processes": processes, "wires": self.wires}


def make_plan(network: StepNetwork, graded: frozenset[str] = frozenset(), conv: str = "conv") -> Plan:
    """Return the plan of *network*, in which ``check`` found nothing.

    Parameters
    ----------
    network : StepNetwork
    graded : set of str
        Inputs that hold other values than 0 and 1.
    conv : {"conv", "sparse"}
        Whether convolutions become Conv, or matrices.
    """
    return _Draft(network, graded, conv).finish()


@dataclass(slots=True)
class _Draft:
    network: StepNetwork
    graded: frozenset[str]
    conv: str
    processes: list[Process] = field(default_factory=list)
    wires: list[tuple[int, int]] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    @property
    def is_fixed(self) -> bool:
        return self.network.arithmetic.name == "loihi"

    def finish(self) -> Plan:
        ways = ways_of(self.network)
        convs = [w for w in ways if self._stays_conv(w)]
        images = {path for w in convs for path in (w.source, w.target)}
        for path in dict.fromkeys([*(w.source for w in ways), *self.network.models]):
            self._place(path, path in images)
        uses = [w.layer for w in ways]
        for way in ways:
            name = way.layer if uses.count(way.layer) == 1 else f"{way.layer} ({way.source} to {way.target})"
            self._synapses(way, name, way in convs)
        tag = "fixed_pt" if self.is_fixed else "floating_pt"
        return Plan(tag, tuple(self.processes), tuple(self.wires), self.arrays, self.places)

    def _stays_conv(self, way: Way) -> bool:
        op, shapes = self.network.ops[way.layer], self.network.shapes
        fits = self.conv == "conv" and way.steps == 1 and isinstance(op, (Conv1d, Conv2d)) and conv_fits(op)
        # Where a Flatten stands between, the population is no image.
        images = (shapes.output[way.source], shapes.output[way.target]) == (shapes.input[way.layer], shapes.output[way.layer])
        return fits and images and (self.is_fixed or gained(op, self._gain(way.target)) is not None)

    def _place(self, path: str, is_image: bool) -> None:
        shape = self.network.shapes.output[path]
        order: Array = np.arange(int(np.prod(shape)))
        if is_image:
            order = order.reshape(shape if len(shape) == 3 else (shape[0], 1, shape[1])).transpose(1, 2, 0)
        flat = order.shape
        place = self.places[path] = Place(len(self.processes), flat, order.ravel())
        if path not in self.network.models:
            self.processes.append(Process("Source", path, {"shape": list(flat)}, {}))
            return
        model = self.network.models[path]
        found = _fixed(model) if self.is_fixed else _floating(model)
        kind = "LIF"
        held = model.held_init if model.held_init is not None and model.held_init.any() else None
        if model.refractory_steps is not None and (held is not None or model.refractory_steps.any()):
            kind, found["refractory_period"] = "LIFRefractory", model.refractory_steps
        if held is not None:
            found["held_init"] = held
        self._add(kind, path, {"shape": list(flat)}, {name: _one(value, place) for name, value in found.items()})

    def _add(self, kind: str, name: str, args: dict[str, Any], more: Mapping[str, Any]) -> None:
        """Append a process; arguments that are arrays go among the plan's arrays."""
        keys: dict[str, str] = {}
        for argument, value in more.items():
            if isinstance(value, np.ndarray):
                keys[argument] = f"{name}.{argument}"
                self.arrays[keys[argument]] = value
            elif isinstance(value, Synapses):
                keys[argument] = f"{name}.{argument}"
                self.arrays |= {f"{keys[argument]}/{part}": array for part, array in value.parts().items()}
            else:
                args[argument] = value
        self.processes.append(Process(kind, name, args, keys))

    def _gain(self, target: str) -> Array:
        """Return what multiplies the weights into each neuron of *target*, flat: Lava's neurons have no gains."""
        model = self.network.models[target]
        gain = model.mem_gain if model.syn_gain is None else model.mem_gain * model.syn_gain
        return np.ravel(gain)

    def _synapses(self, way: Way, name: str, is_conv: bool) -> None:
        op = self.network.ops[way.layer]
        source, target = self.places[way.source], self.places[way.target]
        args: dict[str, Any] = {"num_message_bits": MESSAGE_BITS} if way.source in self.graded else {}
        more: dict[str, Any]
        if is_conv:
            kernel, options = conv_kernel(op if self.is_fixed else gained(op, self._gain(way.target)))
            # Lava's Conv takes its weights as they are, whatever exponent is given: the mantissas are shifted here.
            more = {"weight": kernel.astype(np.int32 if self.is_fixed else np.float64)}
            args |= {"input_shape": list(source.shape), **options}
            kind = "Conv"
        else:
            found = matrix_of(op, self.network.shapes.input[way.layer], self.network.shapes.output[way.layer])
            if self.is_fixed:
                values, exponent = split_weights(op.parameters()["weight"])
                found = found.scaled(2.0**-exponent).cast(np.int32)
                args["weight_exp"] = exponent
                if found.values.size and values.min() < 0 < values.max() and not found.is_mixed:
                    args["sign_mode"] = "MIXED"  # as the kernel has it, of which this matrix uses one sign only
            else:
                found = found.times(self._gain(way.target))
            found = found.ordered(source.order, target.order)
            is_sparse = 0 < found.values.size < SPARSE_BELOW * np.prod(found.shape)
            kind = "Sparse" if is_sparse else "Dense"
            more = {"weights": found if is_sparse else found.dense()}
        if way.steps > 1:
            kind, args["delays"] = f"Delay{kind}", way.steps - 1
        self.wires += [(source.index, len(self.processes)), (len(self.processes), target.index)]
        self._add(kind, name, args, more)


def _one(value: Array, place: Place) -> Any:
    """Return *value* as one number where all neurons share it, else laid out as Lava wants it."""
    flat = np.ravel(value)
    if flat.size and np.all(flat == flat[0]):
        return flat[0].item()
    return place.to_lava(flat.astype(np.int32) if flat.dtype.kind in "iu" else flat)


def _fixed(model: NeuronModel) -> dict[str, Array]:
    # Thresholds out of reach are those of neurons that a fault on purpose keeps silent.
    never = np.full(model.shape, True) if model.threshold is None else model.threshold >= LIMIT
    reached = None if model.threshold is None else np.where(never, 0.0, model.threshold)
    found = registers(dataclasses.replace(model, threshold=reached))
    threshold = np.where(never, NEVER, 0 if found.threshold is None else found.threshold)
    given = {"du": found.du, "dv": found.dv, "vth": threshold}
    more = {
        "bias_mant": found.bias_mantissa, "bias_exp": found.bias_exponent,
        "u": np.rint(model.i_init).astype(np.int64), "v": np.rint(model.v_init).astype(np.int64),
    }  # fmt: skip
    return given | {name: value for name, value in more.items() if value.any()}


def _floating(model: NeuronModel) -> dict[str, Array]:
    offset = 0.0 if model.offset is None else model.offset
    one = np.ones(model.shape)
    threshold = np.full(model.shape, np.inf) if model.threshold is None else model.threshold
    given = {"du": one if model.alpha is None else 1.0 - model.alpha, "dv": 1.0 - model.beta, "vth": threshold}
    # Lava's u goes into v as it is: u = mem_gain * i.
    u = one * 0.0 if model.alpha is None else model.mem_gain * model.i_init
    more = {"bias_mant": model.leak + model.mem_gain * offset, "u": u, "v": model.v_init}
    return given | {name: value for name, value in more.items() if np.any(value)}


__all__ = ["MESSAGE_BITS", "Place", "Plan", "Process", "make_plan"]
