"""The comparisons: which network on which input, and who can run it with the same spikes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from enginebench import nets
from enginebench.brian2_peer import Brian2, is_installed
from enginebench.nets import Case, ConvNet, LifNet
from enginebench.numba_loop import NumbaConv, NumbaLif
from enginebench.numpy_loops import NumpyConv, NumpyDense, NumpyEvents
from enginebench.peer import Peer
from enginebench.torch_loops import Norse, Sinabs, SinabsConv, SnnTorch, TorchPeer

CONV_FILE = "cnn/cnn_sinabs.nir"
NO_BATCH = "Brian2: has no batch"


def cases(anchors: Path, tiny: bool = False) -> Iterator[Case]:
    """Yield the cases; *tiny* ones try the script and mean nothing."""
    sizes, steps, many = ((30, 20, 20, 5), 20, 4) if tiny else ((784, 256, 256, 10), 100, 64)
    dense = nets.dense_net(sizes)
    for samples in (1, many):
        for activity in (0.01, 0.05, 0.2):
            x = nets.bernoulli((samples, steps, sizes[0]), activity, seed=1)
            notes = (NO_BATCH,) if samples > 1 else ()
            yield Case(f"{dense.name}, {activity:.0%} input, batch {samples}", dense, x, nets.LIF_PROFILE, notes)
    file = anchors / CONV_FILE
    if file.is_file():
        conv = ConvNet.load(file)
        x = nets.bernoulli((1, 5 if tiny else 300, 2, 34, 34), 0.06, seed=1)
        notes = (
            "snnTorch, Norse: no neuron that spikes several times a step and has a lower bound, so other spikes",
            "Brian2: no convolution but as a list of synapses",
            "weights rounded to the grid of 2^-14 (by 3e-5 at most), so that no order of sums can move a spike",
        )
        yield Case(f"{conv.name}, {x.shape[1]} frames", conv, x, nets.CONV_PROFILE, notes)
    recurrent = nets.recurrent_net(100, 20) if tiny else nets.recurrent_net()
    x = nets.bernoulli((1, steps, recurrent.weights[0].shape[1]), 0.05, seed=1)
    notes = ("layer over time: a step's input is the step before, so only sinabs has it, with its loop inside",)
    yield Case(f"{recurrent.name}, batch 1", recurrent, x, nets.LIF_PROFILE, notes)


def left_out(anchors: Path) -> list[str]:
    """Return what no case shows, and why."""
    found = [] if (anchors / CONV_FILE).is_file() else [f"the convolutional net: no {CONV_FILE} in {anchors} (--anchors DIR)"]
    return found if is_installed() else [*found, "Brian2: not installed"]


def peers(case: Case, brian2: bool = True) -> Iterator[Peer]:
    """Yield those who run the case, slow to build ones last."""
    net, x = case.net, case.x
    if isinstance(net, ConvNet):
        yield from (NumbaConv(net, x), NumpyConv(net, x), SinabsConv(net, x))
        return
    yield from (NumbaLif(net, x), NumbaLif(net, x, branchless=True))
    if len(x) > 1:
        yield from (NumbaLif(net, x, 2), NumbaLif(net, x, 2, branchless=True))
    yield from (NumpyEvents(net, x), NumpyDense(net, x))
    recurrent = net.recurrent is not None
    for kind in (TorchPeer, SnnTorch, Norse, Sinabs):
        if not (recurrent and kind is Sinabs):
            yield kind(net, x, False)
        if not recurrent or kind is Sinabs:
            yield kind(net, x, True)
    if brian2 and len(x) == 1 and is_installed():
        yield Brian2(net, x)


def weight_bytes(net: LifNet | ConvNet) -> int:
    """Return the bytes of all float32 weights: the working set of the inner loop."""
    if isinstance(net, ConvNet):
        return sum(4 * n.op.weight.size for n in net.chain() if n.op.is_weighted)
    arrays = [*net.weights] + ([] if net.recurrent is None else [net.recurrent])
    return sum(np.float32(0).nbytes * w.size for w in arrays)
