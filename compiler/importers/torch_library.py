"""What an importer of a spiking library tells the shared part about its neurons: one ``LIBRARY`` a file.

The shared part (``torch_trace``, ``torch_build``, ``torch_layers``) knows containers, plain layers, forwards and time
loops; a library's file knows its neuron classes. A new library is a file with a ``LIBRARY`` and a line in ``HOMES``.
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
HOMES = {"snntorch": "spikeport.compiler.importers.snntorch"}


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
    """

    op: Neuron
    fields: Mapping[str, Any]
    feedback: Op | None = None
    membrane: Neuron | None = None


@dataclass(frozen=True, slots=True)
class Library:
    """A spiking library's neurons, as functions of a module.

    Parameters
    ----------
    name : str
        The library's package.
    owns : (module) -> bool
        Whether the module is one of its layers, so that tracing stops there.
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
    """

    name: str
    owns: Callable[[Any], bool]
    refusals: Callable[[Any, str], list[Diagnostic]]
    state_arguments: Callable[[Any], tuple[str, ...]]
    results: Callable[[Any], tuple[str, ...]]
    input_shape: Callable[[Any], Shape | None]
    read: Callable[[Any, str, Shape], NeuronReading]
    profile: Callable[[Graph, Mapping[str, NeuronReading]], Profile]


def library_of(module: Any) -> Library | None:
    """Return the library that *module* is a neuron of (its class or one that it derives from), or None."""
    for cls in type(module).__mro__:
        home = HOMES.get(cls.__module__.partition(".")[0])
        if home is not None:
            library: Library = importlib.import_module(home).LIBRARY
            return library if library.owns(module) else None
    return None


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
    """Return a copy of *tensor* as an array; 16-bit floats as float32, every value exact."""
    import torch

    tensor = torch.as_tensor(tensor).detach().cpu()
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    return np.array(tensor.numpy(), copy=True)


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
