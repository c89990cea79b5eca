"""Small ``.net`` files, and what lava-dl's netx and Lava's fixed-point processes make of them, in plain numpy.

The oracle shares no code with the importer. It has Lava's shapes (x, y, c), turns kernels as netx does and convolves (not
correlates), keeps a step in every synapse's buffer, and decays with shifts of integers.
"""

import h5py
import numpy as np
from scipy.signal import convolve2d

CUBA = {"type": "CUBA", "iDecay": 4096, "vDecay": 400, "vThMant": 20, "refDelay": 1, "gradedSpike": False}
LOIHI = {
    "type": "LOIHI", "iDecay": 1024, "vDecay": 128, "vThMant": 10, "refDelay": 1, "wgtExp": 0, "theta": 640, "scaleRho": 10.0,
    "tauRho": 0.5,
}  # fmt: skip


def write_net(path, layers, **more):
    """Write *layers*, a list of dicts (or a dict of them by name), as ``layer`` of a ``.net`` file; *more* are other groups."""
    with h5py.File(path, "w") as file:
        named = layers if isinstance(layers, dict) else {str(n): layer for n, layer in enumerate(layers)}
        for key, value in ({"layer": named} | more).items():
            _write(file, key, value)
    return path


def _write(group, key, value):
    if isinstance(value, dict):
        made = group.create_group(key)
        for name, item in value.items():
            _write(made, name, item)
    elif isinstance(value, str):
        group.create_dataset(key, (1,), "S10", [value.encode()])
    elif value is not None:
        group.create_dataset(key, data=value)


def dense(weight, neuron=CUBA, **more):
    weight = np.asarray(weight)
    return {"type": "dense", "shape": [weight.shape[0]], "inFeatures": weight.shape[1], "outFeatures": weight.shape[0],
            "weight": weight.astype(np.float32), "neuron": neuron, **more}  # fmt: skip


def conv(shape, weight, neuron=CUBA, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, **more):
    weight = np.asarray(weight)
    return {"type": "conv", "shape": list(shape), "inChannels": weight.shape[1] * groups, "outChannels": weight.shape[0],
            "kernelSize": weight.shape[2:4], "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
            "weight": weight.astype(np.float32)[..., None], "neuron": neuron, **more}  # fmt: skip


class Lif:
    """Lava's LIFReset in fixed point, reset in the step *start* as netx resets each layer; *shape* is Lava's."""

    def __init__(self, shape, neuron, bias=0, start=0):
        self.left = start
        self.u, self.v = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.du, self.dv = np.asarray(neuron["iDecay"]) - 1, np.asarray(neuron["vDecay"])
        self.threshold, self.bias = np.asarray(neuron["vThMant"]) << 6, np.asarray(bias, np.int64) << 6

    def step(self, a, bias=None):
        if self.left == 0:  # what came before does not count
            self.u[:], self.v[:] = 0, 0
        self.left -= 1
        self.u = np.sign(self.u) * (np.abs(self.u) * (4096 - (self.du + 1)) >> 12) + (a << 6)
        drive = self.bias if bias is None else np.asarray(bias, np.int64) << 6
        self.v = np.sign(self.v) * (np.abs(self.v) * (4096 - self.dv) >> 12) + self.u + drive
        spikes = self.v > self.threshold
        self.v[spikes] = 0
        return spikes.astype(np.int64) * (self.left < 0)


def lava_conv(x, layer):
    """Return the convolution of (x, y, c) as netx hands it to Lava: kernels and pairs of numbers turned."""
    kernel = layer["weight"][..., 0].astype(np.int64)[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)
    (sx, sy), (px, py), (dx, dy) = (np.broadcast_to(layer[n], 2)[::-1] for n in ("stride", "padding", "dilation"))
    spread = np.zeros(
        (kernel.shape[0], dx * (kernel.shape[1] - 1) + 1, dy * (kernel.shape[2] - 1) + 1, kernel.shape[3]), np.int64
    )
    spread[:, ::dx, ::dy] = kernel
    padded = np.pad(x, ((px, px), (py, py), (0, 0)))
    groups = layer["groups"]
    outs, ins = kernel.shape[0] // groups, kernel.shape[3]
    planes = [
        sum(convolve2d(padded[..., c + (k // outs) * ins], spread[k, ..., c], "valid") for c in range(ins))[::sx, ::sy]
        for k in range(kernel.shape[0])
    ]
    return np.stack(planes, -1).astype(np.int64)


def run_lava(layers, inputs):
    """Return the spikes of each layer with neurons, (steps, *shape) channels first, for *inputs* of that form.

    An input layer with neurons gets *inputs* as its bias, one step late.
    """
    steps = len(inputs)
    signal = np.moveaxis(inputs, 1, -1).swapaxes(1, 2) if inputs.ndim == 4 else inputs  # (steps, x, y, c)
    signal = signal.astype(np.int64)
    found = []
    start = 0
    for layer in layers:
        if layer["type"] == "flatten":
            signal = signal.transpose(0, 3, 2, 1).reshape(steps, -1)
            continue
        if "neuron" not in layer:
            continue
        bias = np.asarray(layer.get("bias", 0)).astype(np.int64)
        start += 1
        if layer["type"] == "input":
            lif = Lif(signal.shape[1:], layer["neuron"])
            late = np.concatenate([np.zeros_like(signal[:1]), signal[:-1]])
            signal = np.array([lif.step(np.zeros(signal.shape[1:], np.int64), bias=b) for b in late])
        else:
            shape = tuple(layer["shape"][::-1])
            lif = Lif(shape, layer["neuron"], bias, start)
            signal = _through(layer, lif, signal, shape)
        found.append(signal.transpose(0, 3, 2, 1) if signal.ndim == 4 else signal)
    return found


def _through(layer, lif, signal, shape):
    buffer = np.zeros((64, *shape), np.int64)  # row d: what arrives in d steps
    out = []
    if layer["type"] == "conv":
        for x in signal:
            out.append(lif.step(buffer[0]))
            buffer[0] = lava_conv(x, layer)
        return np.array(out)
    weight = np.asarray(layer["weight"]).astype(np.int64)
    delay = np.asarray(layer.get("delay", 0)).astype(np.int64)
    if delay.ndim == 1:
        delay = delay[:, None] if delay.size == weight.shape[0] else delay[None]
    delay = np.broadcast_to(np.minimum(delay, 62), weight.shape)
    own = np.zeros(shape, np.int64)
    for x in signal:
        spikes = lif.step(buffer[0] + own)
        out.append(spikes)
        buffer = np.concatenate([buffer[1:], np.zeros_like(buffer[:1])])
        for d in np.unique(delay):
            buffer[d] += np.where(delay == d, weight, 0) @ x
        if layer["type"] == "dense_rec":
            own = np.asarray(layer["weight_rec"]).astype(np.int64) @ spikes
    return np.array(out)
