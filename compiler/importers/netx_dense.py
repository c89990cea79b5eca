"""Dense layers of a ``.net`` file, recurrent ones too: weights as Lava's Dense has them in effect, and delays of synapses."""

from __future__ import annotations

import math

import numpy as np

from spikeport.compiler.importers.netx_chain import Chain, dense_delay, split_by_delay
from spikeport.compiler.importers.netx_fields import MAX_WHOLE, Fields
from spikeport.compiler.importers.netx_neuron import read_neuron
from spikeport.compiler.importers.netx_values import agrees, counts, read_bias, read_shape
from spikeport.compiler.importers.netx_weights import dense_weights
from spikeport.ir.ops import Array, Linear


def add_dense(chain: Chain, layer: Fields, path: str, *, recurrent: bool) -> bool:
    """Add a dense layer; return whether it lowers."""
    shape = read_shape(layer)
    outputs = None if shape is None else math.prod(shape)
    weight = _matrix(layer, "weight", outputs)
    own = _matrix(layer, "weight_rec", outputs) if recurrent else None
    bias = read_bias(layer, None if outputs is None else (outputs,))
    neuron = None if outputs is None else read_neuron(layer, (outputs,), bias[0], chain.profile)
    sound = bias[1] and neuron is not None and weight is not None and (own is not None or not recurrent)
    if weight is None:
        return False
    delay, whole = dense_delay(layer, weight)
    sound &= whole & agrees(layer, "shape", outputs, weight.shape[0])
    sound &= counts(layer, ("outFeatures", weight.shape[0]), ("inFeatures", weight.shape[1]))
    if own is not None and own.shape != (weight.shape[0],) * 2:
        layer.say("E054", "weight_rec", f"weight_rec has the shape {own.shape}; the layer has {weight.shape[0]} neurons")
        sound = False
    if recurrent and delay is not None:
        layer.say("E057", "delay", "this recurrent layer has delays: netx delays its recurrent spikes too, training does not",
                  "set the delays to 0")  # fmt: skip
        sound = False
    entering = None if chain.shape is None else math.prod(chain.shape)
    sound &= agrees(layer, "weight", weight.shape[1], entering, "the layer takes {} inputs, the layers before give {}")
    ready = _in_effect(layer, weight, *([] if own is None else [own]))
    if not sound or ready is None or neuron is None or chain.lost:
        return False
    if not chain.nodes:
        chain.begin((weight.shape[1],))
    elif chain.shape is not None and len(chain.shape) > 1:
        text = f"no flatten stands before this dense layer; {chain.shape} is taken as ({entering},), channels first"
        layer.say("E059", "type", text, "write the flatten layer", warn=True)
        chain.flatten(f"{path}.flatten")
    loop = None if own is None else (f"{path}.weight_rec", Linear(ready[1].astype(np.float32)))
    chain.synapses(f"{path}.neuron", split_by_delay(f"{path}.weight", ready[0], delay), neuron, loop)
    return True


def _matrix(layer: Fields, name: str, outputs: int | None) -> Array | None:
    """Return dense weights (outputs, inputs); those in one row, or with axes of 1 behind, as netx reads them."""
    if isinstance(layer.data.get(name), dict):
        layer.say(
            "E055", name, "complex weights (real, imag) do not lower to Loihi's LIF", "use a real layer with CUBA neurons"
        )
        return None
    array = layer.whole(name, -MAX_WHOLE, MAX_WHOLE)
    if array is None:
        return None
    if array.ndim > 2 and array.shape[2:] == (1,) * (array.ndim - 2):
        array = array.reshape(array.shape[:2])
    if array.ndim == 1 and outputs and array.size % outputs == 0:
        array = array.reshape(outputs, -1)
    if array.ndim != 2:
        layer.say("E054", name, f"{name} has the shape {array.shape}; a dense layer takes (outputs, inputs)", got=array.shape)
        return None
    return array


def _in_effect(layer: Fields, *weights: Array) -> list[Array] | None:
    """Return dense weights as Lava's Dense has them (E058 where it cannot, E059 where they change)."""
    try:
        ready, changed = dense_weights(*weights)
    except ValueError as error:
        layer.say("E058", "weight", str(error), "scale the weights, vThMant and bias of this layer down together")
        return None
    if changed:
        total = sum(w.size for w in weights)
        old, new = next((int(w[w != r][0]), int(r[w != r][0])) for w, r in zip(weights, ready, strict=True) if np.any(w != r))
        text = f"{changed} of {total} weights are clipped or cut as netx and Lava's Dense do it: the first from {old} to {new}"
        hint = "keep them even, within -256 to 254, or -254 to 0 where none is above 0"
        layer.say("E059", "weight", text, hint, warn=True, changed=changed)
    return ready
