"""sinabs 3.1: IAF, LIF, ExpLeak, their recurrent and their squeezed forms, read from the module, not from its exporter.

With ``a = exp(-1/tau_mem)`` (IAF: 1), ``b = exp(-1/tau_syn)`` and ``x`` the input::

    recurrent    x = x + rec_connect(s of the step before); at step 0 nothing is added, no bias either
    tau_syn      i = b*(i + x);  without it i = x
    norm_input   v = a*v + (1 - a)*i;  without it v = a*v + i
    MultiSpike   s = trunc(v/threshold) where v > 0;  MaxSpike(n): n at most;  SingleSpike: s = v - threshold >= 0
    reset        MembraneSubtract: v = v - s*threshold;  MembraneReset: v = v*(s == 0) + reset_value, in every step
    min_v_mem    v = relu(v - min_v_mem) + min_v_mem
    ExpLeak      gives v in place of s, as LIF does with spike_fn=None

sinabs counts time constants in steps: ours are of 1 ms. The decays are computed by the module's own expressions in its
own number type and kept exactly. Our lower bound is ``max(v, min_v_mem)``, which can differ from the module's by a
rounding. Spikes are float32 in sinabs whatever the module is, so a module in float64 with one threshold for all neurons
subtracts a float32 number; where that is another number than the threshold, it is refused. Initial states are 0, whatever
a module still holds from its last run.
Source: the package's own ``layers/*.py``, ``layers/functional/lif.py`` and ``activation/*.py``, version 3.1.3.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import sinabs.layers as sl
import torch
from torch import nn

from spikeport.compiler.importers.sinabs_layers import inside, plain
from spikeport.compiler.importers.sinabs_refusals import most_spikes, recurrent_part, refusals, reset_kind
from spikeport.compiler.importers.torch_layers import connection
from spikeport.compiler.importers.torch_library import (
    BATCH_FIRST,
    MERGED,
    Lead,
    Library,
    NeuronReading,
    class_name,
    per_neuron,
    refusal,
    to_numpy,
    with_own_fields,
)
from spikeport.ir.graph import Graph
from spikeport.ir.ops import IF, LI, LIF, Array, CubaLI, CubaLIF, Discrete, Extras, I, Neuron, Op, Scale, Shape
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import parse_profile

#: sinabs has no dt: a step of ours lasts 1 ms.
DT = 1e-3
#: Time constants in steps for a decay of 1 and of 0: in double precision ``exp(-2**-60)`` is 1, and ``exp(-1024)`` 0.
NO_LEAK_STEPS, NO_MEMORY_STEPS = 2.0**60, 2.0**-10
#: Rows of README's table: what a module or an option is, whether it is imported, and what to know of it.
CONSTRUCTS = (
    ("IAF, IAFSqueeze", "exact", ""),
    ("LIF, LIFSqueeze", "exact", ""),
    ("ExpLeak, ExpLeakSqueeze", "exact", ""),
    ("IAFRecurrent, LIFRecurrent with Linear", "exact", "its bias does not act at step 0"),
    ("LIFRecurrent with Conv1d or Conv2d", "exact", ""),
    ("LIFRecurrent with another rec_connect", "refused", ""),
    ("tau_mem, tau_syn, train_alphas", "exact", "per neuron or channel too"),
    ("norm_input", "exact", ""),
    ("spike_threshold", "exact", "per neuron or channel too"),
    ("MultiSpike, MaxSpike(n) with MembraneSubtract", "exact", ""),
    ("SingleSpike with MembraneSubtract", "exact", ""),
    ("SingleSpike or MaxSpike(1) with MembraneReset", "exact", ""),
    ("MultiSpike with MembraneReset", "refused", ""),
    ("MembraneSubtract(value) other than the threshold", "refused", ""),
    ("MembraneReset(value) other than 0", "refused", "sinabs adds it in every step"),
    ("min_v_mem", "exact", "one for all neurons, or the negative threshold; to a rounding of one sum"),
    ("min_v_mem of ExpLeak", "refused", "its output is not bounded"),
    ("spike_fn=None", "exact", "a leaky integrator"),
    ("spike_fn or reset_fn of one's own", "refused", ""),
    ("a class derived from these with a forward of its own", "refused", ""),
    ("ALIF, ALIFRecurrent", "refused", ""),
    ("SumPool2d", "exact", ""),
    ("SumPool2d with a window over the edge (ceil_mode)", "refused", ""),
    ("FlattenTime, UnflattenTime, Repeat", "exact", ""),
    ("Merge", "exact", "of signals of equal shape"),
    ("Cropping2dLayer, ChannelShift", "exact", "as a convolution"),
    ("QuantizeLayer(quantize=False)", "exact", ""),
    ("SpikingMaxPooling2dLayer", "refused", ""),
    ("NeuromorphicReLU, QuantizeLayer", "refused", ""),
    ("Img2SpikeLayer, Sig2SpikeLayer", "refused", ""),
    ("network.Network, from_torch.from_model", "exact", ""),
)


def owns(module: Any) -> bool:
    """Whether *module* is a layer of sinabs with state."""
    return isinstance(module, sl.StatefulLayer)


def state_arguments(module: Any) -> tuple[str, ...]:
    """Return no names: a call takes the input alone."""
    return ()


def results(module: Any) -> tuple[str, ...]:
    """Return what a call returns: a tensor."""
    return ("spikes",)


def input_shape(module: Any) -> Shape | None:
    """Return the shape that a recurrent Linear fixes."""
    linear = recurrent_part(getattr(module, "rec_connect", None))
    return (int(linear.in_features),) if isinstance(linear, nn.Linear) else None


def lead(module: Any) -> Lead:
    """Return the axes in front of the population's: batch and time, merged in the squeezed forms."""
    return MERGED if isinstance(module, sl.SqueezeMixin) else BATCH_FIRST


def merged(module: Any, length: int) -> tuple[int, int]:
    """Return the samples and steps that a squeezed form takes batch and time of *length* apart into."""
    samples = module.batch_size if module.batch_size > 0 else length // module.num_timesteps
    return samples, length // samples


def hidden(module: Any) -> dict[str, str]:
    """Return the attributes that hold the state of the layer *module*."""
    names = {"v_mem": "mem", "i_syn": "syn"}
    return {name: names.get(name, "state") for name in module._buffers}


def reset(module: Any) -> None:
    """Forget the state of *module*, if it keeps one."""
    if isinstance(module, sl.StatefulLayer):
        module.reset_states()


def read(module: Any, path: str, shape: Shape) -> NeuronReading:
    """Return what *module* means for a population of *shape*.

    Raises
    ------
    ImportModelError
        E027 where a parameter or the recurrent connection does not fit the population.
    """

    def value(tensor: Any, name: str) -> Array:
        return per_neuron(tensor, name, module, path, shape)

    with torch.no_grad():
        alpha_mem, alpha_syn = module.alpha_mem_calculated, module.alpha_syn_calculated
        is_normed = bool(module.norm_input)
        beta = value(alpha_mem, "alpha_mem" if module.train_alphas else "tau_mem")
        mem_gain = value(1 - alpha_mem, "tau_mem") if is_normed else np.ones(())
        alpha = None if alpha_syn is None else value(alpha_syn, "alpha_syn" if module.train_alphas else "tau_syn")
        mem_steps = NO_LEAK_STEPS if module.tau_mem_calculated is None else value(module.tau_mem_calculated, "tau_mem")
        syn_steps = None if alpha is None else value(module.tau_syn_calculated, "tau_syn")
    gain = "nir" if is_normed else "unit"
    exact = Discrete(
        DT, "exponential", gain, beta=_thin(beta), mem_gain=_thin(mem_gain),
        alpha=None if alpha is None else _thin(alpha), syn_gain=None if alpha is None else np.ones(()),
    )  # fmt: skip
    fields: dict[str, Any] = {"gain": gain, "clamp_low": None, "max_spikes": None}
    spiking: dict[str, Array] = {}
    if module.spike_fn:
        threshold = value(module.spike_threshold, "spike_threshold")
        spiking = {"v_threshold": _full(threshold, shape), "v_reset": _full(0.0, shape)}
        fields |= _spike_fields(module)
    op = _neuron(exact, mem_steps, syn_steps, shape, spiking)
    return NeuronReading(op, fields, _feedback(module, path, shape), feedback_name="rec_connect")


def _neuron(exact: Discrete, mem_steps: Any, syn_steps: Any, shape: Shape, spiking: Mapping[str, Array]) -> Neuron:
    """Return the neuron (with threshold and reset in *spiking*), or the integrator (without).

    NIR's fields say the same neuron as the coefficients do, to a rounding: ``r*(1 - beta)`` is the gain of the membrane
    (``r*dt`` of one that does not leak), ``w_in*(1 - alpha)`` that of the synapse, whose input decays in its own step.
    """
    fields: dict[str, Any] = {**spiking, "extras": Extras(discrete=exact)}
    if exact.alpha is None and np.all(exact.beta == 1):
        return (IF if spiking else I)(r=_full(exact.mem_gain / DT, shape), **fields)
    steps = np.clip(mem_steps, NO_MEMORY_STEPS, NO_LEAK_STEPS)
    r = 1.0 if exact.gain == "nir" else -1 / np.expm1(-1 / steps)
    fields |= {"r": _full(r, shape), "v_leak": _full(0.0, shape)}
    if exact.alpha is None:
        return (LIF if spiking else LI)(tau=_full(DT * steps, shape), **fields)
    syn_steps = np.clip(syn_steps, NO_MEMORY_STEPS, NO_LEAK_STEPS)
    with np.errstate(over="ignore"):
        w_in = 1 / np.expm1(1 / syn_steps)
    fields |= {"tau_syn": _full(DT * syn_steps, shape), "w_in": _full(w_in, shape)}
    return (CubaLIF if spiking else CubaLI)(tau_mem=_full(DT * steps, shape), **fields)


def _spike_fields(module: Any) -> dict[str, Any]:
    """Return the profile fields of a spiking neuron's counts, reset and bound."""
    most, low = most_spikes(module.spike_fn), module.min_v_mem
    fields: dict[str, Any] = {"reset": "to_zero"}
    if reset_kind(module.reset_fn) == "subtract":
        fields["reset"] = "subtract" if most == 1 else "multi_subtract"
        fields["max_spikes"] = int(most) if most is not None and 1 < most < math.inf else None
    if low is not None:
        values = np.unique(to_numpy(low).astype(np.float64))
        fields["clamp_low"] = float(values[0]) if values.size == 1 else "-v_threshold"
    return fields


def _full(value: Any, shape: Shape) -> Array:
    """Return *value* with the shape of the population; equal values stay one number in memory."""
    return np.broadcast_to(_thin(value), shape)


def _thin(value: Any) -> Array:
    """Return one number where all of *value* are equal."""
    array = np.asarray(value, np.float64)
    return array.reshape(-1)[0] if array.size and np.all(array == array.reshape(-1)[0]) else array


def _feedback(module: Any, path: str, shape: Shape) -> Op | None:
    """Return what the spikes of a recurrent neuron pass through."""
    recurrent = getattr(module, "rec_connect", None)
    if recurrent is None:
        return None
    if type(recurrent) is nn.Identity:
        return Scale(_full(1.0, shape))
    where = f"{path}.rec_connect"
    if type(recurrent) is nn.Sequential and len(shape) != 1:
        raise refusal(
            "E021", where, f"this rec_connect takes apart a population of {shape} in {class_name(recurrent)}; a recurrent "
            "connection is one Linear, Conv1d or Conv2d", "use a convolution, or put a Flatten in front of the neuron",
        )  # fmt: skip
    part = recurrent_part(recurrent)
    op, out = connection(part, where, shape)
    if out != shape:
        raise refusal(
            "E027", where, f"the recurrent {class_name(part)} gives {out}, its population has {shape}",
            "use an odd kernel_size with padding, and as many channels or features as the layer has", got=out, expected=shape,
        )  # fmt: skip
    return op


def profile(graph: Graph, readings: Mapping[str, NeuronReading]) -> Profile:
    """Return the profile of *graph*: the commonest value of each field for all, the others' own as overrides."""
    text = f"sinabs:subtract,dt={DT!r}"
    for name in ("reset", "gain", "clamp_low", "max_spikes"):
        values = Counter(r.fields[name] for r in readings.values() if name in r.fields)
        if values:
            common = values.most_common(1)[0][0]
            text += f",{name}={'none' if common is None else common}"
    return with_own_fields(parse_profile(text), graph, readings)


LIBRARY = Library(
    "sinabs", owns, refusals, state_arguments, results, input_shape, read, profile,
    lead=lead, plain=plain, inside=inside, reset=reset, hidden=hidden, merged=merged,
)  # fmt: skip
