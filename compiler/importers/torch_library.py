"""What an importer of a spiking library tells the shared part about its neurons: one ``LIBRARY`` a file.

The shared part (``torch_trace``, ``torch_build``, ``torch_layers``) knows containers, plain layers, forwards and time
loops; a library's file knows its neuron classes. A new library is a file with a ``LIBRARY`` and a line in ``HOMES``.

Libraries differ in what stands in front of a layer's own axes, its *lead*: one step is ``(batch, ...)``; some layers take
all steps at once, as ``(batch, time, ...)``, ``(time, batch, ...)``, or both axes merged into one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, ImportModelError
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array, Neuron, Op, Shape
from spikeport.ir.profile import Profile

#: Top-level package of a neuron's class -> our file that reads it.
HOMES = {
    "snntorch": "spikeport.compiler.importers.snntorch",
    "sinabs": "spikeport.compiler.importers.sinabs",
    "norse": "spikeport.compiler.importers.norse",
    "spikingjelly": "spikeport.compiler.importers.spikingjelly",
}

#: Axes in front of a layer's own: names out of ``batch``, ``time``, ``all`` (batch and time merged, all steps of the first
#: sample first) and ``all by time`` (merged, the first step of all samples first).
Lead = tuple[str, ...]
STEP: Lead = ("batch",)
MERGED: Lead = ("all",)
MERGED_BY_TIME: Lead = ("all by time",)
BATCH_FIRST: Lead = ("batch", "time")
TIME_FIRST: Lead = ("time", "batch")


@dataclass(frozen=True, slots=True)
class NeuronReading:
    """What one neuron module means.

    Parameters
    ----------
    op : Neuron
        NIR parameters of the population's shape, exact coefficients beside them.
    fields : Mapping[str, Any]
        Profile fields that this neuron follows (``reset``, ``reset_when``, ...).
    feedback : Op or None
        What the population's own spikes pass through on their way back, one step later.
    membrane : Neuron or None
        The integrator that the membrane is where the neuron never resets: it can stand for the neuron where a
        network reads the membrane instead of the spikes.
    feedback_name : str
        What the module calls its recurrent connection: the node is ``PATH.NAME``.
    feedback_delay : int or None
        Steps until a spike is back; None is the profile's ``feedback``.
    front : (str, Op) or None
        Name and op of a connection that the module applies to its input before the neuron (Norse's recurrent cells hold
        their input weights): the node is ``PATH.NAME``.
    wait : int
        Steps that everything waits in front of the neuron.
    """

    op: Neuron
    fields: Mapping[str, Any]
    feedback: Op | None = None
    membrane: Neuron | None = None
    feedback_name: str = "recurrent"
    feedback_delay: int | None = None
    front: tuple[str, Op] | None = None
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Plain:
    """A library's own layer without state.

    Parameters
    ----------
    build : (module, path, shape) -> (Op or None, shape)
        Its op for an input of *shape* (without the lead) and the shape that it gives; None passes its input on.
    lead : tuple of str or None
        What it takes in front of its own axes; None is any lead of one axis, as PyTorch's layers take it.
    gives : tuple of str or None
        The lead that it gives; None is the same.
    refusals : (module, path) -> list of Diagnostic
        Why it cannot be imported; empty where it can.
    """

    build: Callable[[Any, str, Shape], tuple[Op | None, Shape]]
    lead: Lead | None = None
    gives: Lead | None = None
    refusals: Callable[[Any, str], list[Diagnostic]] = lambda module, path: []


def _step(module: Any) -> Lead:
    return STEP


def _one_sample(module: Any, length: int) -> tuple[int, int]:
    return 1, length


def _no_names(module: Any) -> Mapping[str, str]:
    return {}


def _yes(module: Any) -> bool:
    return True


def _none(module: Any) -> None:
    return None


def _nothing(module: Any) -> None:
    """Do nothing: the default of ``Library.reset``."""


@dataclass(frozen=True, slots=True)
class Library:
    """A spiking library's neurons, as functions of a module.

    Parameters
    ----------
    name : str
        The library's package.
    owns : (module) -> bool
        Whether the module is one of its neurons (or a layer with state that is refused), so that tracing stops there. Not
        its containers, nor the layers that ``plain`` knows.
    refusals : (module, path) -> list of Diagnostic
        Why it cannot be imported, by name; empty where it can.
    state_arguments : (module) -> tuple of str
        Names of the state arguments of a call after the input.
    results : (module) -> tuple of str
        What a call returns: ``("spikes",)`` is a bare tensor, more are a tuple (``spikes``, ``syn``, ``mem``).
    input_shape : (module) -> tuple of int or None
        Shape that the module alone fixes.
    read : (module, path, shape) -> NeuronReading
        Its parameters for a population of *shape*.
    profile : (graph, readings) -> Profile
        Execution profile of a graph whose neurons have these readings by path.
    lead : (module) -> tuple of str
        What a call of the neuron takes in front of the population's axes.
    keeps_state : (module) -> bool
        Whether a call that is given no state goes on from the one before (snnTorch's do); else it starts anew (Norse's).
    plain : (module) -> Plain or None
        A layer of the library without state; None for all others.
    inside : (module) -> function or None
        For a container whose forward cannot be traced as it stands: a function ``(module, *args, **kwargs)`` that does the
        same in terms of ``torch_trace.one_step``, ``all_steps`` and ``previous``, to be traced in its place.
    reset : (module) -> None
        Forget the state of the neuron *module*, in place.
    hidden : (module) -> dict of str to str
        Attributes in which the neuron *module* keeps its state, and what each is (``mem``, ``syn``, ``spikes``).
    merged : (module, int) -> (int, int)
        Samples and steps that a call of *module* takes a merged axis of that length for, samples first.
    """

    name: str
    owns: Callable[[Any], bool]
    refusals: Callable[[Any, str], list[Diagnostic]]
    state_arguments: Callable[[Any], tuple[str, ...]]
    results: Callable[[Any], tuple[str, ...]]
    input_shape: Callable[[Any], Shape | None]
    read: Callable[[Any, str, Shape], NeuronReading]
    profile: Callable[[Graph, Mapping[str, NeuronReading]], Profile]
    lead: Callable[[Any], Lead] = _step
    keeps_state: Callable[[Any], bool] = _yes
    plain: Callable[[Any], Plain | None] = _none
    inside: Callable[[Any], Callable[..., Any] | None] = _none
    reset: Callable[[Any], None] = _nothing
    hidden: Callable[[Any], Mapping[str, str]] = _no_names
    merged: Callable[[Any, int], tuple[int, int]] = _one_sample


def home_of(module: Any) -> Library | None:
    """Return the library whose package the class of *module*, or one that it derives from, is in; None outside of all."""
    for cls in type(module).__mro__:
        home = HOMES.get(cls.__module__.partition(".")[0])
        if home is not None:
            library: Library = importlib.import_module(home).LIBRARY
            return library
    return None


def library_of(module: Any) -> Library | None:
    """Return the library that *module* is a neuron of (its class or one that it derives from), or None."""
    library = home_of(module)
    return library if library is not None and library.owns(module) else None


def plain_of(module: Any) -> Plain | None:
    """Return what a library says of *module* as a layer of its own without state, or None."""
    library = home_of(module)
    return None if library is None else library.plain(module)


def with_own_fields(base: Profile, graph: Graph, readings: Mapping[str, NeuronReading]) -> Profile:
    """Return *base* with an override for every field in which a neuron's reading differs from it."""
    done = base
    for path, reading in sorted(readings.items()):
        own = base.at(path, graph[path].op.kind)
        fields = {name: value for name, value in reading.fields.items() if getattr(own, name) != value}
        if fields:
            done = done.with_overrides(path, **fields)
    return done


def class_name(module: Any) -> str:
    """Return the class of *module* as its users write it: ``torch.nn.Conv2d``, ``snntorch.Leaky``."""
    cls = type(module)
    top = cls.__module__.partition(".")[0]
    if cls.__module__.startswith("torch.nn."):
        return f"torch.nn.{cls.__qualname__}"
    return f"{top}.{cls.__qualname__}" if top in HOMES else f"{cls.__module__}.{cls.__qualname__}"


def refusal(code: str, path: str, message: str, hint: str, **facts: Any) -> ImportModelError:
    """Return the error of one finding."""
    return ImportModelError(Diagnostic(code, path, message, hint, facts))


def to_numpy(tensor: Any) -> Array:
    """Return a read-only copy of *tensor* as an array; 16-bit floats as float32, every value exact."""
    import torch

    tensor = torch.as_tensor(tensor).detach().cpu()
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    array = np.array(tensor.numpy(), copy=True)
    array.flags.writeable = False  # so that an op takes it as it is
    return array


def per_neuron(tensor: Any, name: str, module: Any, path: str, shape: Shape) -> Array:
    """Return a parameter as float64 of *shape*, broadcast as PyTorch does against (batch, *shape).

    Raises
    ------
    ImportModelError
        E027 where it does not broadcast, or differs along the batch.
    """
    array = to_numpy(tensor).astype(np.float64)
    try:
        if array.ndim > len(shape):
            if array.ndim != len(shape) + 1 or array.shape[0] != 1:
                raise ValueError
            array = array[0]
        return np.broadcast_to(array, shape)
    except ValueError:
        raise refusal(
            "E027", path, f"{name} of this {class_name(module)} has shape {tuple(array.shape)}, its population {shape}",
            f"give {name} one value, or one for each neuron", parameter=name, got=array.shape, expected=shape,
        ) from None  # fmt: skip
