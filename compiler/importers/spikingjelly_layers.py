"""SpikingJelly's layers without state, as the layers of PyTorch that they are in each step; and its containers.

In multi-step mode a layer takes ``(time, batch, ...)`` and merges both, so that every step is like single-step mode.
A container's forward runs over time, or merges it with the batch: a function that does the same for one step is traced in
its place. VotingLayer's quotient becomes a product with 1/voting_size, which may move what it gives by a rounding.
Source: the package's own ``activation_based/layer``, version 2.0.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import base, layer
from torch import nn

from spikeport.compiler.importers.torch_layers import LAYERS
from spikeport.compiler.importers.torch_library import TIME_FIRST, Plain, class_name, refusal
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.ops import Linear, Op, Shape

#: What a neuron or a container does in a step, and where its state starts.
METHODS = (
    "forward", "single_step_forward", "multi_step_forward", "functional_forward", "single_step_functional_forward",
    "multi_step_functional_forward", "materialize_states", "reset",
)  # fmt: skip
#: What a layer without state does.
_FORWARDS = (*METHODS[:-2], "_conv_forward", "super_forward", "_check_input_dim")


def first_of(module: Any, classes: Any) -> type | None:
    """Return the first of *classes* that the class of *module* is, or derives from."""
    return next((cls for cls in type(module).__mro__ if cls in classes), None)


def changes(module: Any, parent: type, names: tuple[str, ...]) -> list[str]:
    """Return which methods of *parent* the class of *module*, or *module* itself, replaces."""
    return [n for n in names if n in vars(module) or getattr(type(module), n, None) is not getattr(parent, n, None)]


def _voting(module: Any, path: str, shape: Shape) -> tuple[Op, Shape]:
    """Return the mean of each group of features; what is left over behind the last group is dropped."""
    size, groups = module.voting_size, shape[-1] // module.voting_size
    if len(shape) != 1 or not groups:
        text = f"this {class_name(module)} takes {size} features or more, not {shape}"
        raise refusal("E027", path, text, "put it behind a Linear", got=shape)
    return Linear(np.kron(np.eye(groups), np.full(size, 1 / size)) @ np.eye(groups * size, shape[0])), (groups,)


def _norm(module: Any, path: str, shape: Shape) -> tuple[Op | None, Shape]:
    """Return a BatchNorm that is none of PyTorch's by its class."""
    kind = nn.BatchNorm1d if isinstance(module, layer.ThresholdDependentBatchNorm1d) else nn.BatchNorm2d
    twin = kind(module.num_features, module.eps).eval()
    twin.weight, twin.bias = module.weight, module.bias
    twin.running_mean, twin.running_var = module.running_mean, module.running_var
    return LAYERS[kind](twin, path, shape)


#: Layers of theirs without state -> what builds their ops.
PLAIN: dict[type, Callable[[Any, str, Shape], tuple[Op | None, Shape]]] = {
    layer.Linear: LAYERS[nn.Linear], layer.Conv1d: LAYERS[nn.Conv1d], layer.Conv2d: LAYERS[nn.Conv2d],
    layer.Flatten: LAYERS[nn.Flatten], layer.AvgPool2d: LAYERS[nn.AvgPool2d],
    layer.AdaptiveAvgPool2d: LAYERS[nn.AdaptiveAvgPool2d], layer.MaxPool2d: LAYERS[nn.MaxPool2d], layer.VotingLayer: _voting,
    layer.BatchNorm1d: LAYERS[nn.BatchNorm1d], layer.BatchNorm2d: LAYERS[nn.BatchNorm2d],
    layer.ThresholdDependentBatchNorm1d: _norm, layer.ThresholdDependentBatchNorm2d: _norm,
    layer.Dropout: LAYERS[nn.Dropout], layer.Dropout2d: LAYERS[nn.Dropout2d],
}  # fmt: skip


def plain(module: Any) -> Plain | None:
    """Return what *module* is as a layer without state."""
    kind = first_of(module, PLAIN)
    if kind is None or changes(module, kind, _FORWARDS):
        return None
    takes = TIME_FIRST if module.step_mode == "m" else None
    return Plain(PLAIN[kind], takes, refusals=_norm_refusals) if PLAIN[kind] is _norm else Plain(PLAIN[kind], takes)


def _norm_refusals(module: Any, path: str) -> list[Diagnostic]:
    """Return why a BatchNorm that is none of PyTorch's by its class cannot be imported."""
    if not module.training and module.running_mean is not None:
        return []
    text = f"{class_name(module)} uses the statistics of each batch"
    return [Diagnostic("E021", path, text, "call .eval() on the module, made with track_running_stats=True", {})]


# Containers: traced by these functions in place of their forwards, which run over time or flatten it.


def _each_step(module: Any, x_seq: Any) -> Any:
    """Stand for a container that calls its layers step by step, or on all steps as if they were samples."""
    from spikeport.compiler.importers.torch_trace import all_steps, one_step

    y = one_step(x_seq)
    for part in module:
        y = part(y)
    return all_steps(y, TIME_FIRST)


def _recurrent(module: Any, x: Any) -> Any:
    """Stand for a container whose output comes back to its input a step later."""
    from spikeport.compiler.importers.torch_trace import all_steps, keep, one_step, previous

    step, before = one_step(x) if module.step_mode == "m" else x, previous(module, "y")
    if isinstance(module, layer.LinearRecurrentContainer):
        entered = module.rc(torch.cat([step, before], dim=-1))
    else:
        entered = module.element_wise_function(before, step)
    y = module.sub_module(entered)
    keep(module, "y", y)
    return all_steps(y, TIME_FIRST) if module.step_mode == "m" else y


#: Container -> the function that is traced in its place.
CONTAINERS: dict[type, Callable[..., Any]] = {
    layer.MultiStepContainer: _each_step, layer.SeqToANNContainer: _each_step, layer.StepModeContainer: _each_step,
    layer.ElementWiseRecurrentContainer: _recurrent, layer.LinearRecurrentContainer: _recurrent,
}  # fmt: skip


def inside(module: Any) -> Callable[..., Any] | None:
    """Return what is traced in place of the forward of the container *module*."""
    kind = first_of(module, CONTAINERS)
    if kind is None or changes(module, kind, METHODS):
        return None
    if kind is layer.StepModeContainer and module.step_mode == "s":
        return None  # a plain Sequential
    return CONTAINERS[kind]


def runs_steps_as_samples(module: Any) -> bool:
    """Whether *module* is a container that merges batch and time."""
    kind = first_of(module, (layer.SeqToANNContainer, layer.StepModeContainer))
    if kind is None or inside(module) is None:
        return False
    return kind is layer.SeqToANNContainer or not module.stateful


def with_state(module: Any) -> list[str]:
    """Return the paths of what keeps a state in *module*, itself apart."""
    found = [(path, part) for path, part in module.named_modules() if path]
    return [p for p, part in found if isinstance(part, base.MemoryModule) and part._memories and plain(part) is None]
