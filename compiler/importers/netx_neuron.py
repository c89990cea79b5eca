"""Neurons of a ``.net`` file: the types CUBA and LOIHI as Lava's fixed-point LIF, on Loihi's grid as they stand.

With ``du = iDecay - 1`` and ``dv = vDecay`` (netx), weights that enter six bits up, and bias and threshold six bits up::

    u = u*(4096 - iDecay) >> 12 + 64*x
    v = v*(4096 - vDecay) >> 12 + u + 64*bias;  a spike where v > 64*vThMant, and then v = 0

The bias acts on the membrane, not on the current; refDelay 1 is no refractory period.
"""

from __future__ import annotations

import numpy as np

from spikeport.compiler.importers.netx_fields import Fields
from spikeport.ir.ops import LIF, Array, CubaLIF, Discrete, Extras, Neuron, Shape
from spikeport.ir.profile import Profile

#: Loihi's own ranges: decays of 12 bits (and netx's 4096, forgotten at once), thresholds of 17 bits.
DECAY_ONE, MAX_THRESHOLD = 4096, 2**17 - 1
SHIFT = 64
_KNOWN = (
    "type", "iDecay", "vDecay", "vThMant", "refDelay", "gradedSpike", "messageBits", "wgtExp", "weight_exp", "theta",
    "scaleRho", "tauRho",
)  # fmt: skip
_REFUSED = {
    "SDNN": "sigma-delta neurons send graded changes of their activation; Loihi's LIF sends spikes",
    "ALIF": "its threshold and refractory state adapt", "ADRF": "it resonates, and its threshold adapts",
    "RF": "it resonates: its state is a complex number",
}  # fmt: skip


def read_neuron(layer: Fields, shape: Shape, bias: Array | None, profile: Profile, *, driven: bool = False) -> Neuron | None:
    """Return the population that a layer's group ``neuron`` describes; None where something in it is refused.

    Parameters
    ----------
    layer : Fields
        The layer.
    shape : tuple of int
        Of the population, channels first.
    bias : array of int64 or None
        Mantissas, broadcast to *shape* as ``ir.loihi`` wants them; None for 0.
    profile : Profile
        That of the graph: its dt, scheme and gain are those of the coefficients.
    driven : bool
        The input is a bias (an input layer's): it does not pass through the current, whose decay then says nothing.
    """
    fields = layer.group("neuron")
    if fields is None:
        if not layer.has("neuron"):
            layer.say(
                "E056", "neuron", "this layer has no neuron (slayer's affine): netx makes an integrator of it with du -1, "
                "dv 4096 and threshold 131072, which Loihi's registers do not hold",
                "read the spikes of the layer before it, or give it a neuron of the type CUBA",
            )  # fmt: skip
        return None
    kind = fields.text("type")
    if kind is not None and kind not in ("CUBA", "LOIHI"):
        family = next((why for name, why in _REFUSED.items() if kind.upper().replace("-", "").startswith(name)), "")
        why = f": {family}" if family else ""
        fields.say("E056", "type", f"neurons of the type {kind!r} do not lower to Loihi's LIF{why}",
                   "CUBA and LOIHI do; train the layer with slayer.block.cuba")  # fmt: skip
        return None
    before = _errors(fields)
    i_decay = _by_channel(fields, "iDecay", shape, 0, DECAY_ONE)
    v_decay = _by_channel(fields, "vDecay", shape, 0, DECAY_ONE)
    threshold = _by_channel(fields, "vThMant", shape, 0, MAX_THRESHOLD)
    _two_readings(fields)
    fields.only(_KNOWN, "neuron")
    if kind is None or i_decay is None or v_decay is None or threshold is None or _errors(fields) > before:
        return None
    return _lif(shape, np.full((), DECAY_ONE) if driven else i_decay, v_decay, threshold, bias, profile)


def _errors(fields: Fields) -> int:
    return sum(d.severity == "error" for d in fields.found)


def _by_channel(fields: Fields, name: str, shape: Shape, least: int, most: int) -> Array | None:
    """Return one number, or one for each channel, in a shape that spreads over the population."""
    array = fields.whole(name, least, most)
    if array is None or array.size == 1:
        return None if array is None else array.reshape(())
    if array.size != shape[0]:
        text = f"{name} has {array.size} values; the layer has {shape[0]} channels, and takes one value or one for each"
        fields.say("E054", name, text, got=array.size, expected=shape[0])
        return None
    return array.reshape(-1, *(1,) * (len(shape) - 1))


def _two_readings(fields: Fields) -> None:
    """Refuse what netx leaves out and training does not: the file then means two networks (E057)."""
    neutral = {
        "refDelay": (0, 1, "holds the membrane for {} steps after a spike; netx runs the layer without"),
        "wgtExp": (0, 0, "multiplies the weights by 2^{}; netx takes them as they are"),
        "weight_exp": (0, 0, "divides the current by 2^{} (batch normalisation); netx takes it as it is"),
    }
    for name, (low, high, text) in neutral.items():
        value = fields.number(name, -(2**15), 2**15) if fields.has(name) else None
        if value is not None and not low <= value <= high:
            fields.say("E057", name, f"{name} {value} {text.format(value - (name == 'refDelay'))}",
                       f"set {name} to {high} in the file if netx's reading is meant", value=value)  # fmt: skip
    if fields.has("gradedSpike") and fields.number("gradedSpike", 0, 1):
        fields.say("E056", "gradedSpike", "the spikes of this layer carry a value; Loihi's LIF sends 0 or 1",
                   "train it with graded_spike=False")  # fmt: skip
    if fields.has("theta") and fields.has("vThMant"):
        theta, mantissa = fields.number("theta", 0, 2**30), fields.data["vThMant"]
        stated = np.asarray(mantissa)
        if theta is not None and stated.dtype.kind in "iuf" and np.any(stated * SHIFT != theta):
            text = (
                f"theta is {theta} in training, vThMant {stated.reshape(-1)[0]} is {SHIFT * stated.reshape(-1)[0]:g} on Loihi"
            )
            fields.say("E057", "theta", text, f"theta is {SHIFT}*vThMant: mend one of the two", theta=theta)


def _lif(shape: Shape, i_decay: Array, v_decay: Array, threshold: Array, bias: Array | None, profile: Profile) -> Neuron:
    def full(value: Array | float) -> Array:
        return np.broadcast_to(np.asarray(value, np.float64), shape)

    def tau(decay: Array) -> Array:
        # Beside the exact coefficients it only tells people; a decay of 0 has no finite one.
        return full(profile.dt * DECAY_ONE / np.maximum(decay, 2.0**-20))

    current = bool(np.any(i_decay != DECAY_ONE))
    gain = 1.0 if current else float(SHIFT)
    exact = Discrete(
        profile.dt, profile.scheme, profile.gain, full((DECAY_ONE - v_decay) / DECAY_ONE), full(gain),
        full((DECAY_ONE - i_decay) / DECAY_ONE) if current else None, full(SHIFT) if current else None,
    )  # fmt: skip
    leak = full(0.0 if bias is None else bias * float(SHIFT))
    common = {"v_leak": leak, "v_threshold": full(threshold * float(SHIFT)), "v_reset": full(0.0), "r": full(1.0)}
    extras = Extras(discrete=exact)
    if current:
        return CubaLIF(tau_syn=tau(i_decay), tau_mem=tau(v_decay), w_in=full(1.0), extras=extras, **common)
    return LIF(tau=tau(v_decay), extras=extras, **common)
