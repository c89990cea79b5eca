"""torch and the three libraries on it: their own neurons, a loop over steps or a layer over all steps at once.

Everything runs in inference mode, float32, from a state of zeros, with the best of one and two threads. Where a library
offers a layer over time that is taken too, and its faster form counts.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from enginebench.nets import DT, ConvNet, LifNet
from enginebench.peer import Peer, Rasters

State = object
#: One step of a layer's neurons: (current, state or None) -> (spikes, state).
Step = Callable[[torch.Tensor, State], tuple[torch.Tensor, State]]


def linear(weight: np.ndarray) -> nn.Linear:
    """Return a linear layer without bias that holds *weight*."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = torch.tensor(weight)
    return layer.requires_grad_(False)


class TorchPeer(Peer):
    """A `LifNet` in torch: subclasses give the neurons."""

    threads = (1, 2)
    library = "torch"

    def __init__(self, net: LifNet, x: np.ndarray, over_time: bool = False) -> None:
        self.name = f"{self.library}, layer over time" if over_time else f"{self.library}, step loop"
        self.net, self.over_time = net, over_time
        self.x = torch.tensor(np.ascontiguousarray(x.swapaxes(0, 1)), dtype=torch.float32)  # steps first
        self.linears = [linear(w) for w in net.weights]
        self.recurrent = None if net.recurrent is None else linear(net.recurrent)
        self.build()

    def build(self) -> None:
        """Make the neurons."""

    def set_threads(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def start(self) -> list[Step]:
        """Return a step function for every layer, at rest."""
        return [self.plain] * len(self.linears)

    def plain(self, current: torch.Tensor, v: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        v = current if v is None else self.net.beta * v + current
        fired = v > self.net.threshold
        return fired.float(), v.masked_fill(fired, 0.0)

    def layer(self, i: int, current: torch.Tensor, step: Step) -> torch.Tensor:
        """Run layer *i* over the currents of all steps."""
        state, out = None, []
        for t in range(len(current)):
            spikes, state = step(current[t], state)
            out.append(spikes)
        return torch.stack(out)

    @torch.inference_mode()
    def run(self, keep: bool = False) -> Rasters:
        steps = self.start()
        rasters: list[list[torch.Tensor] | torch.Tensor]
        if self.over_time:
            rasters, entering = [], self.x
            for i, (weight, step) in enumerate(zip(self.linears, steps, strict=True)):
                entering = self.layer(i, weight(entering), step)
                rasters.append(entering)
        else:
            rasters, states = [[] for _ in steps], [None] * len(steps)
            last = len(steps) - 1
            spikes = None
            for x in self.x:
                entering = x
                for i, (weight, step) in enumerate(zip(self.linears, steps, strict=True)):
                    current = weight(entering)
                    if i == 0 and self.recurrent is not None and spikes is not None:
                        current = current + self.recurrent(spikes)
                    entering, states[i] = step(current, states[i])
                    spikes = entering if i == 0 else spikes
                    if keep or i == last:
                        rasters[i].append(entering)
            rasters = [torch.stack(r) if r else None for r in rasters]
        pairs = list(zip(self.net.layers, rasters, strict=True))
        return {layer: r.transpose(0, 1).numpy() for layer, r in (pairs if keep else pairs[-1:])}


class SnnTorch(TorchPeer):
    """snnTorch's Leaky, reset to zero. Its delayed reset acts as if at once here, and saves it two operations."""

    library = "snnTorch"
    is_library = True

    def build(self) -> None:
        import snntorch as snn

        given = {"beta": self.net.beta, "threshold": self.net.threshold, "reset_mechanism": "zero"}
        if self.recurrent is None:
            self.neurons = [snn.Leaky(**given).eval() for _ in self.linears]
            return
        neuron = snn.RLeaky(**given, linear_features=len(self.net.recurrent), reset_delay=False)
        neuron.recurrent.weight.data = self.recurrent.weight.data
        neuron.recurrent.bias.data.zero_()
        self.neurons = [neuron.eval()]
        self.recurrent = None  # its own

    def start(self) -> list[Step]:
        def step_of(neuron: nn.Module) -> Step:
            neuron.reset_mem()
            if hasattr(neuron, "recurrent"):
                return lambda current, state: _rleaky(neuron, current, state)
            return neuron

        return [step_of(n) for n in self.neurons]


def _rleaky(neuron: nn.Module, current: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
    spikes, v = neuron(current, *(state or (None, None)))
    return spikes, (spikes, v)


class Norse(TorchPeer):
    """Norse's LIFBoxCell, or the same step in Norse's loop over time (`SNN`); it divides by tau, so weights are times tau."""

    library = "Norse"
    is_library = True

    def build(self) -> None:
        from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step
        from norse.torch.module.lif_box import LIFBoxCell
        from norse.torch.module.snn import SNN

        tau = DT / (1 - self.net.beta)
        p = LIFBoxParameters(
            tau_mem_inv=torch.tensor(1 / tau), v_leak=torch.tensor(0.0), v_th=torch.tensor(self.net.threshold),
            v_reset=torch.tensor(0.0),
        )  # fmt: skip
        for weight in [*self.linears, self.recurrent]:
            if weight is not None:
                weight.weight.data *= tau / DT
        self.rest = lambda x: LIFBoxFeedForwardState(v=torch.zeros(x.shape[-2:]))
        self.cell = LIFBoxCell(p, dt=DT)
        self.in_time = SNN(lif_box_feed_forward_step, self.rest, p, dt=DT)

    def start(self) -> list[Step]:
        return [lambda current, state: self.cell(current, state or self.rest(current))] * len(self.linears)

    def layer(self, i: int, current: torch.Tensor, step: Step) -> torch.Tensor:
        return self.in_time(current)[0]


class Sinabs(TorchPeer):
    """sinabs' LIF with single spikes and reset to zero; it runs a layer over time by itself, batch first."""

    library = "sinabs"
    is_library = True

    def __init__(self, net: LifNet, x: np.ndarray, over_time: bool = True) -> None:
        super().__init__(net, x, over_time)
        if over_time:
            self.x = self.x.transpose(0, 1).contiguous()

    def build(self) -> None:
        import sinabs.layers as sl
        from sinabs.activation import MembraneReset, SingleSpike

        given = {
            "tau_mem": 16.0, "spike_threshold": torch.tensor(self.net.threshold), "spike_fn": SingleSpike,
            "reset_fn": MembraneReset(), "train_alphas": True, "norm_input": False,
        }  # fmt: skip
        if self.recurrent is None:
            self.neurons = [sl.LIF(**given) for _ in self.linears]
        else:
            self.neurons = [sl.LIFRecurrent(rec_connect=self.recurrent, **given)]
            self.recurrent = None  # its own
        for neuron in self.neurons:
            neuron.alpha_mem.data.fill_(self.net.beta)  # the decay itself, not exp(-1/tau)
            neuron.requires_grad_(False)

    @torch.inference_mode()
    def run(self, keep: bool = False) -> Rasters:
        for neuron in self.neurons:
            neuron.reset_states()
        if not self.over_time:
            return super().run(keep)
        found, entering = {}, self.x
        for layer, weight, neuron in zip(self.net.layers, self.linears, self.neurons, strict=True):
            entering = neuron(weight(entering))
            found[layer] = entering.numpy()
        return found if keep else {self.net.layers[-1]: found[self.net.layers[-1]]}

    def start(self) -> list[Step]:
        def step_of(neuron: nn.Module) -> Step:
            return lambda current, _: (neuron(current[:, None])[:, 0], None)

        return [step_of(n) for n in self.neurons]


class SinabsConv(Peer):
    """The convolutional net in sinabs: every layer over all frames, IAFSqueeze with several spikes a step."""

    name = "sinabs, layer over time"
    threads = (1, 2)
    is_library = True

    def __init__(self, net: ConvNet, x: np.ndarray) -> None:
        import sinabs.layers as sl

        self.net = net
        self.x = torch.tensor(x[0], dtype=torch.float32)
        self.modules = [(n.path, _conv_module(n.op, sl)) for n in net.chain()]

    def set_threads(self, threads: int) -> None:
        torch.set_num_threads(threads)

    @torch.inference_mode()
    def run(self, keep: bool = False) -> Rasters:
        found, frames = {}, self.x
        for path, module in self.modules:
            if hasattr(module, "reset_states"):
                module.reset_states()
            frames = module(frames)
            if path in self.net.layers:
                found[path] = frames
        last = self.net.layers[-1]
        return {p: f.numpy()[None] for p, f in (found if keep else {last: found[last]}).items()}


def _conv_module(op: object, sl: object) -> nn.Module:
    if op.kind == "Conv2d":
        pair = {name: tuple(map(int, getattr(op, name))) for name in ("stride", "padding", "dilation")}
        module = nn.Conv2d(op.weight.shape[1] * op.groups, len(op.weight), op.weight.shape[2:], groups=op.groups, **pair)
    elif op.kind == "Affine":
        module = nn.Linear(op.weight.shape[1], len(op.weight))
    elif op.kind == "SumPool2d":
        return sl.SumPool2d(tuple(map(int, op.kernel_size)), tuple(map(int, op.stride)))
    elif op.kind == "Flatten":
        return nn.Flatten(1)
    else:
        threshold = torch.tensor(float(np.unique(op.v_threshold).item()))
        return sl.IAFSqueeze(batch_size=1, spike_threshold=threshold, min_v_mem=-threshold).requires_grad_(False)
    module.weight.data, module.bias.data = torch.tensor(op.weight), torch.tensor(op.bias)
    return module.requires_grad_(False)
