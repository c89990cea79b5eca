"""The plain numba event loop: for each layer, for each spike that enters, add a row of weights; then update the neurons.

What a good programmer writes in an afternoon, and the real bar: one thread, or the samples split over two. The variant
without branches finds the neurons that fire without an ``if`` that the processor must guess, worth a tenth of the time.
"""

import numpy as np
from numba import njit, prange, set_num_threads

from enginebench.nets import ConvNet, LifNet
from enginebench.peer import Peer, Rasters


@njit(cache=True, nogil=True)
def _lif_sample(x, weights, recurrent, beta, threshold, rasters, keep, branchless):
    """Run one sample: *weights* (N_in, N_out), *recurrent* (N, N) by presynaptic row or empty, *rasters* per layer."""
    layers = len(weights)
    v, acc, active = [], [], []
    for i in range(layers):
        v.append(np.zeros(weights[i].shape[1], np.float32))
        acc.append(np.zeros(weights[i].shape[1], np.float32))
        active.append(np.empty(weights[i].shape[1] + 1, np.int64))
    entering = np.empty(x.shape[1] + 1, np.int64)
    before = 0  # active neurons of layer 0 in the step before
    for t in range(x.shape[0]):
        count = 0
        for j in range(x.shape[1]):
            entering[count] = j  # without a branch: a wrong guess costs more than the store
            count += x[t, j] != 0
        source = entering
        for i in range(layers):
            a, u, w, fired = acc[i], v[i], weights[i], active[i]
            n = w.shape[1]
            a[:] = 0
            for k in range(count):
                row = w[source[k]]
                for j in range(n):
                    a[j] += row[j]
            if i == 0 and recurrent.shape[0]:
                for k in range(before):
                    row = recurrent[fired[k]]
                    for j in range(n):
                        a[j] += row[j]
            count = 0
            if branchless:
                for j in range(n):
                    u[j] = beta * u[j] + a[j]
                for j in range(n):
                    fired[count] = j
                    count += u[j] > threshold
                for k in range(count):
                    u[fired[k]] = 0
            else:
                for j in range(n):
                    m = beta * u[j] + a[j]
                    if m > threshold:
                        m = np.float32(0)
                        fired[count] = j
                        count += 1
                    u[j] = m
            if keep or i == layers - 1:
                for k in range(count):
                    rasters[i][t, fired[k]] = 1
            if i == 0:
                before = count
            source = fired


@njit(cache=True, nogil=True)
def _lif_one_thread(x, weights, recurrent, beta, threshold, rasters, keep, branchless):
    for s in range(len(x)):
        views = [r[s] for r in rasters]
        _lif_sample(x[s], weights, recurrent, beta, threshold, views, keep, branchless)


@njit(cache=True, parallel=True)
def _lif_threads(x, weights, recurrent, beta, threshold, rasters, keep, branchless):
    for s in prange(len(x)):
        views = [r[s] for r in rasters]
        _lif_sample(x[s], weights, recurrent, beta, threshold, views, keep, branchless)


class NumbaLif(Peer):
    """The loop over a `LifNet`."""

    def __init__(self, net: LifNet, x: np.ndarray, threads: int = 1, branchless: bool = False) -> None:
        kind = "numba loop, no branches" if branchless else "numba loop"
        self.name = kind if threads == 1 else f"{kind}, {threads} threads"
        self.threads, self.branchless = (threads,), branchless
        self.net, self.x = net, x
        self.run_samples = _lif_one_thread if threads == 1 else _lif_threads
        self.weights = tuple(np.ascontiguousarray(w.T) for w in net.weights)
        self.recurrent = np.zeros((0, 0), np.float32)
        if net.recurrent is not None:
            self.recurrent = np.ascontiguousarray(net.recurrent.T)

    def set_threads(self, threads: int) -> None:
        set_num_threads(threads)

    def run(self, keep: bool = False) -> Rasters:
        samples, steps = self.x.shape[:2]
        sizes = [w.shape[1] for w in self.weights]
        rasters = tuple(
            np.zeros((samples, steps, n if keep or i == len(sizes) - 1 else 1), np.uint8) for i, n in enumerate(sizes)
        )
        beta, threshold = np.float32(self.net.beta), np.float32(self.net.threshold)
        self.run_samples(self.x, self.weights, self.recurrent, beta, threshold, rasters, keep, self.branchless)
        return dict(zip(self.net.layers, rasters, strict=True)) if keep else {self.net.layers[-1]: rasters[-1]}


@njit(cache=True, nogil=True)
def _conv_sample(x, weights, biases, geometry, rasters, keep):
    """Run one sample through stages of convolution, integrate-and-fire and sum pooling, channels last.

    *geometry* per stage: out height and width, stride, padding, pool. Weights (C_in, k_h, k_w, C_out). Several spikes a
    step at threshold 1, subtracted; the membrane not below -1. Dense layers are 1 x 1 images.
    """
    stages = len(weights)
    v, acc, out = [], [], []
    for i in range(stages):
        h, w, c, pool = geometry[i, 0], geometry[i, 1], weights[i].shape[3], geometry[i, 4]
        v.append(np.zeros((h, w, c), np.float32))
        acc.append(np.zeros((h, w, c), np.float32))
        out.append(np.zeros((h // pool, w // pool, c), np.float32))
    for t in range(x.shape[0]):
        entering = x[t]
        for i in range(stages):
            w, a, u, o = weights[i], acc[i], v[i], out[i]
            height, width, stride, pad, pool = geometry[i]
            for y in range(height):
                for z in range(width):
                    a[y, z] = biases[i]
            if height == 1 and width == 1 and w.shape[1] == 1:  # dense: the order of the image is (y, x, c)
                flat = entering.reshape(-1)
                for j in range(flat.shape[0]):
                    if flat[j] != 0:
                        for k in range(w.shape[3]):
                            a[0, 0, k] += flat[j] * w[j, 0, 0, k]
            else:
                for y in range(entering.shape[0]):
                    for z in range(entering.shape[1]):
                        for c in range(entering.shape[2]):
                            s = entering[y, z, c]
                            if s == 0:
                                continue
                            for ky in range(w.shape[1]):
                                oy = y + pad - ky
                                if oy < 0 or oy % stride or oy // stride >= height:
                                    continue
                                for kx in range(w.shape[2]):
                                    oz = z + pad - kx
                                    if oz < 0 or oz % stride or oz // stride >= width:
                                        continue
                                    to, row = a[oy // stride, oz // stride], w[c, ky, kx]
                                    for k in range(row.shape[0]):
                                        to[k] += s * row[k]
            o[:] = 0
            for y in range(height):
                for z in range(width):
                    for k in range(w.shape[3]):
                        m = u[y, z, k] + a[y, z, k]
                        if m >= 1:
                            n = np.floor(m)
                            m -= n
                            o[y // pool, z // pool, k] += n
                            if keep or i == stages - 1:
                                rasters[i][t, y, z, k] = n
                        u[y, z, k] = max(m, np.float32(-1))
            entering = o


class NumbaConv(Peer):
    """The loop over a `ConvNet`, one thread: the 300 frames are one sample."""

    name = "numba loop"

    def __init__(self, net: ConvNet, x: np.ndarray) -> None:
        self.net = net
        self.x = np.ascontiguousarray(np.moveaxis(x, 2, -1), np.float32)
        weights, biases, geometry, paths = [], [], [], []
        channels, height, width = x.shape[2:]
        for node in net.chain():
            op = node.op
            if op.kind == "Conv2d":
                stride, pad, k = op.stride[0], op.padding[0], op.weight.shape[2]
                height, width = ((n + 2 * pad - k) // stride + 1 for n in (height, width))
                channels = len(op.weight)
                weights.append(np.ascontiguousarray(op.weight.transpose(1, 2, 3, 0), np.float32))
                geometry.append([height, width, stride, pad, 1])
            elif op.kind == "Affine":
                by_pixel = op.weight.reshape(len(op.weight), channels, height, width).transpose(2, 3, 1, 0)
                channels, height, width = len(op.weight), 1, 1
                weights.append(np.ascontiguousarray(by_pixel.reshape(-1, 1, 1, channels), np.float32))
                geometry.append([1, 1, 1, 0, 1])
            elif op.kind == "SumPool2d":
                geometry[-1][4] = pool = op.kernel_size[0]
                height, width = height // pool, width // pool
            elif op.kind == "IF":
                if np.any(op.v_threshold != 1):
                    raise ValueError("the plain loop knows the threshold 1 only")
                paths.append(node.path)
            if op.is_weighted:
                biases.append(np.asarray(op.bias, np.float32))
        self.weights, self.biases, self.geometry = tuple(weights), tuple(biases), np.array(geometry)
        self.paths = tuple(paths)

    def run(self, keep: bool = False) -> Rasters:
        last = len(self.weights) - 1
        shapes = [(g[0], g[1], w.shape[3]) for g, w in zip(self.geometry, self.weights, strict=True)]
        found = {}
        for s, x in enumerate(self.x):
            rasters = tuple(
                np.zeros((len(x), *shape) if keep or i == last else (1, 1, 1, 1), np.uint8) for i, shape in enumerate(shapes)
            )
            _conv_sample(x, self.weights, self.biases, self.geometry, rasters, keep)
            for i, (path, raster) in enumerate(zip(self.paths, rasters, strict=True)):
                if keep or i == last:
                    full = np.moveaxis(raster, -1, 1)
                    full = full.reshape(len(x), -1) if full.shape[2:] == (1, 1) else full
                    found.setdefault(path, np.empty((len(self.x), *full.shape), np.uint8))[s] = full
        return found
