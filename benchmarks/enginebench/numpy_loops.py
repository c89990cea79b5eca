"""Plain numpy: gathering the rows of the spikes that came in, or multiplying whole matrices."""

import numpy as np
from threadpoolctl import threadpool_limits

from enginebench.nets import ConvNet, LifNet
from enginebench.peer import Peer, Rasters


class NumpyPeer(Peer):
    """A simulator whose threads are those of numpy's BLAS."""

    threads = (1, 2)

    def set_threads(self, threads: int) -> None:
        threadpool_limits(threads, "blas")


class NumpyEvents(NumpyPeer):
    """Sum the rows of weights that belong to spikes, step by step, one sample after the other."""

    name = "numpy event gather"
    threads = (1,)

    def __init__(self, net: LifNet, x: np.ndarray) -> None:
        self.net, self.x = net, x
        self.weights = [np.ascontiguousarray(w.T) for w in net.weights]
        self.recurrent = None if net.recurrent is None else np.ascontiguousarray(net.recurrent.T)

    def run(self, keep: bool = False) -> Rasters:
        samples, steps = self.x.shape[:2]
        beta, threshold = np.float32(self.net.beta), np.float32(self.net.threshold)
        rasters = [np.zeros((samples, steps, w.shape[1]), np.uint8) for w in self.weights]
        for s, x in enumerate(self.x):
            v = [np.zeros(w.shape[1], np.float32) for w in self.weights]
            before = np.empty(0, np.int64)
            for t in range(steps):
                active = np.flatnonzero(x[t])
                for i, weight in enumerate(self.weights):
                    current = weight[active].sum(0)
                    if i == 0 and self.recurrent is not None:
                        current += self.recurrent[before].sum(0)
                    v[i] *= beta
                    v[i] += current
                    active = np.flatnonzero(v[i] > threshold)
                    v[i][active] = 0
                    rasters[i][s, t, active] = 1
                    before = active if i == 0 else before
        return dict(zip(self.net.layers, rasters, strict=True))


class NumpyDense(NumpyPeer):
    """Multiply matrices: a layer over all steps at once where nothing feeds back."""

    name = "numpy dense gemm"

    def __init__(self, net: LifNet, x: np.ndarray) -> None:
        self.net = net
        self.x = np.ascontiguousarray(x.swapaxes(0, 1), np.float32)  # steps first
        self.weights = [np.ascontiguousarray(w.T) for w in net.weights]
        self.recurrent = None if net.recurrent is None else np.ascontiguousarray(net.recurrent.T)

    def run(self, keep: bool = False) -> Rasters:
        steps, samples = self.x.shape[:2]
        beta, threshold = np.float32(self.net.beta), np.float32(self.net.threshold)
        found, entering = {}, self.x
        for i, (layer, weight) in enumerate(zip(self.net.layers, self.weights, strict=True)):
            current = (entering.reshape(steps * samples, -1) @ weight).reshape(steps, samples, -1)
            v = np.zeros(current.shape[1:], np.float32)
            spikes = np.empty(current.shape, np.float32)
            for t in range(steps):
                v *= beta
                v += current[t]
                if i == 0 and self.recurrent is not None and t:
                    v += spikes[t - 1] @ self.recurrent
                fired = v > threshold
                v[fired] = 0
                spikes[t] = fired
            found[layer] = entering = spikes
        return {layer: raster.swapaxes(0, 1) for layer, raster in found.items()}


class NumpyConv(NumpyPeer):
    """The convolutional net, a layer over all frames at once: windows into a matrix, then a product."""

    name = "numpy dense gemm"

    def __init__(self, net: ConvNet, x: np.ndarray) -> None:
        self.net, self.x = net, np.asarray(x[0], np.float32)

    def run(self, keep: bool = False) -> Rasters:
        found, frames = {}, self.x
        for node in self.net.chain():
            op = node.op
            if op.kind == "Conv2d":
                frames = _convolve(op, frames)
            elif op.kind == "SumPool2d":
                k = op.kernel_size[0]
                t, c, h, w = frames.shape
                frames = frames.reshape(t, c, h // k, k, w // k, k).sum((3, 5))
            elif op.kind == "Flatten":
                frames = frames.reshape(len(frames), -1)
            elif op.kind == "Affine":
                frames = frames @ op.weight.T + op.bias
            else:
                frames = _integrate(frames)
                found[node.path] = frames[None]
        return found


def _convolve(op: object, frames: np.ndarray) -> np.ndarray:
    pad, stride, (k, m) = op.padding[0], op.stride[0], op.weight.shape[2:]
    padded = np.pad(frames, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, m), (2, 3))[:, :, ::stride, ::stride]
    t, c, h, w = windows.shape[:4]
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(t * h * w, c * k * m)
    out = columns @ op.weight.reshape(len(op.weight), -1).T + op.bias
    return np.ascontiguousarray(out.reshape(t, h, w, -1).transpose(0, 3, 1, 2))


def _integrate(current: np.ndarray) -> np.ndarray:
    """Several spikes a step at threshold 1, subtracted; the membrane not below -1."""
    v, spikes = np.zeros(current.shape[1:], np.float32), np.empty(current.shape, np.float32)
    for t in range(len(current)):
        v += current[t]
        np.floor(np.maximum(v, 0), out=spikes[t])
        v -= spikes[t]
        np.maximum(v, -1, out=v)
    return spikes
