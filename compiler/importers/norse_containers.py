"""Norse 1.1's containers, as forwards that can be traced in place of their own, which change lists and read lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import norse.torch as norse
import torch
from norse.torch.module.sequential import RecurrentSequentialState

from spikeport.compiler.importers.torch_library import TIME_FIRST, refusal
from spikeport.compiler.importers.torch_trace import all_steps, keep, one_step, previous

#: The Lifts that are being traced: a state of None is then the start of all steps, not of each.
_lifts: list[Any] = []


def inside(module: Any) -> Callable[..., Any] | None:
    """Return the forward that is traced in place of a container's own; None for all other modules."""
    own: Any = type(module)
    return next((f for cls, f in _FORWARDS.items() if isinstance(module, cls) and own.forward is cls.forward), None)


def _sequential(module: Any, input_tensor: Any, state: Any = None) -> Any:
    """Call the layers one after the other, each with its own state: SequentialState."""
    hidden, states = [], []
    for index, child in enumerate(module):
        own = None
        if module.stateful_layers[index]:
            input_tensor, own = child(input_tensor, None if state is None else state[index])
        else:
            input_tensor = child(input_tensor)
        states.append(own)
        hidden.append(input_tensor)
    return (hidden if module.return_hidden else input_tensor), states


def _recurrent_sequential(module: Any, x: Any, state: Any = None) -> Any:
    """Add the output of the step before to the input: RecurrentSequential."""
    chosen = module.output_modules
    if not isinstance(chosen, int):
        raise refusal(
            "E021", "", f"output_modules={chosen} gives several outputs, which Norse 1.1.0 cannot add to the next input",
            "give output_modules one number",
        )  # fmt: skip
    is_handed = state is not None and not isinstance(state, RecurrentSequentialState)
    if isinstance(state, RecurrentSequentialState):
        x = x + state.cache
    elif is_handed or _lifts:
        x = x + previous(module, "cache")
    else:
        x = x + torch.zeros(x.shape)
    outputs, states = module.module(x, None if state is None else state.state)
    if is_handed or _lifts:
        keep(module, "cache", outputs[chosen])
    return outputs[chosen], RecurrentSequentialState(outputs[chosen], states)


def _lift(module: Any, x: Any) -> Any:
    """Call the module inside for each step of a signal whose first axis is time: Lift."""
    if isinstance(x, tuple):
        x, state = x
        if module.is_stateful and state is not None:
            raise refusal(
                "E026", "", "this norse.Lift is given the state of the layer in front of it, from which Norse 1.1.0 starts it",
                "take the spikes alone: write the forward out, or lift one SequentialState of both layers",
            )  # fmt: skip
    if not module.is_stateful:
        return all_steps(module.lifted_module(one_step(x)), TIME_FIRST)
    _lifts.append(module)
    try:
        out, state = module.lifted_module(one_step(x), None)
    finally:
        _lifts.pop()
    return all_steps(out, TIME_FIRST), state


_FORWARDS: dict[Any, Callable[..., Any]] = {
    norse.SequentialState: _sequential,
    norse.RecurrentSequential: _recurrent_sequential,
    norse.Lift: _lift,
}
