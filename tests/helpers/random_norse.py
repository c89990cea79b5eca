"""Seeded random Norse networks in each of the forms in which they are written, and the runner that goes with them."""

import copy
import itertools

import norse.torch as norse
import numpy as np
import torch
from torch import nn
from torch_runs import TorchRun

METHODS = ("super", "heaviside", "triangle", "tanh", "circ", "heavi_erfc")
#: Higher than any membrane: the step taken with it gives the membrane before the reset.
NEVER = 1e30


class Loop(nn.Module):
    """Cells and plain layers one after the other, in a loop over time; *x* is (time, batch, ...)."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        states, out = [None] * len(self.layers), []
        for step in range(x.shape[0]):
            y = x[step]
            for number, layer in enumerate(self.layers):
                if is_cell(layer):
                    y, states[number] = layer(y, states[number])
                else:
                    y = layer(y)
            out.append(y)
        return torch.stack(out)


class Step(nn.Module):
    """The same for one step: takes and returns the states."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x, state=None):
        after = []
        for layer in self.layers:
            if is_cell(layer):
                x, own = layer(x, None if state is None else state[len(after)])
                after.append(own)
            else:
                x = layer(x)
        return x, after


class LoopBack(nn.Module):
    """A loop over time in which spikes come back through a Linear of the user's own."""

    def __init__(self, rng, width, **fixed):
        super().__init__()
        self.front, self.back = nn.Linear(width, 5), nn.Linear(5, 5, bias=False)
        self.cell, self.out = cell(rng, (5,), spiking=True, **fixed), cell(rng, (5,), **fixed)

    def forward(self, x):
        spikes = torch.zeros(x.shape[1], 5)
        own = last = None
        out = []
        for step in range(x.shape[0]):
            spikes, own = self.cell(self.front(x[step]) + self.back(spikes), own)
            y, last = self.out(spikes, last)
            out.append(y)
        return torch.stack(out)


class Residual(nn.Module):
    """Branches that are added, subtracted, scaled and joined, for one step."""

    def __init__(self, rng, width=6, **fixed):
        super().__init__()
        self.front, self.inner, self.side = (nn.Linear(width, width) for _ in range(3))
        self.lif1, self.lif2, self.lif3 = (cell(rng, (width,), spiking=True, **fixed) for _ in range(3))
        self.last, self.out = nn.Linear(2 * width, 4), cell(rng, (4,), **fixed)

    def step(self, x, s1, s2, s3, s4):
        """Return the output, and the states."""
        first, s1 = self.lif1(self.front(x), s1)
        second, s2 = self.lif2(self.inner(first) + 0.5 * first - self.side(x), s2)
        third, s3 = self.lif3(second + first, s3)
        y, s4 = self.out(self.last(torch.cat([second, third], dim=1)), s4)
        return y, (s1, s2, s3, s4)

    def forward(self, x, state=None):
        s1, s2, s3, s4 = (None if state is None else state[k] for k in range(4))
        return self.step(x, s1, s2, s3, s4)


class ResidualLoop(Residual):
    """The same in a loop over time."""

    def forward(self, x):
        states, out = (None,) * 4, []
        for step in range(x.shape[0]):
            y, states = self.step(x[step], *states)
            out.append(y)
        return torch.stack(out)


class Skip(nn.Module):
    """A block with a way around its neuron, as a layer with state of a SequentialState."""

    def __init__(self, rng, width, **fixed):
        super().__init__()
        self.fc, self.cell = nn.Linear(width, width), cell(rng, (width,), spiking=True, **fixed)

    def forward(self, x, state=None):
        spikes, state = self.cell(self.fc(x), state)
        return spikes + x, state


def is_cell(module):
    """Whether *module* takes and returns a state."""
    return type(module).__module__.startswith("norse.") and not isinstance(module, norse.Lift)


def scalar(rng, low, high):
    """Return a parameter that holds one number: in single or double precision, learnt or not."""
    value = float(rng.uniform(low, high))
    form = rng.integers(3)
    return [torch.tensor(value), torch.tensor(value, dtype=torch.float64), nn.Parameter(torch.tensor(value))][form]


def parameter(rng, shape, low, high):
    """Return a parameter: one number, one in an array, one a neuron, or one a channel."""
    form = rng.integers(4)
    if form == 0:
        return scalar(rng, low, high)
    size = [(1,), tuple(shape), (shape[0], *(1,) * (len(shape) - 1))][form - 1]
    return torch.tensor(rng.uniform(low, high, size), dtype=torch.float32)


def _parameters(rng, shape, dt, names, single):
    """Return the parameters *names* as a dict; half of the time the library's own defaults but for the threshold."""
    if rng.random() < 0.3:
        return {"v_th": torch.tensor(float(rng.uniform(0.1, 0.5)))} if "v_th" in names else {}
    ranges = {
        "tau_syn_inv": (0.1 / dt, 0.9 / dt), "tau_mem_inv": (0.1 / dt, 0.7 / dt), "v_leak": (-0.1, 0.2), "v_th": (0.15, 0.8),
        "v_reset": (-0.2, 0.1),
    }  # fmt: skip
    made = {n: parameter(rng, shape, *ranges[n]) for n in names if rng.random() < 0.8}
    if "v_leak" in made and single:
        made["v_leak"] = scalar(rng, *ranges["v_leak"])
    if "v_th" in names:
        made["method"] = str(rng.choice(METHODS))
    return made


def _lif(rng, shape, dt, single):
    names = ("tau_syn_inv", "tau_mem_inv", "v_leak", "v_th", "v_reset")
    return norse.LIFParameters(**_parameters(rng, shape, dt, names, single))


def _refractory(rng, shape, dt, single):
    rho = torch.tensor(float(rng.choice([0.0, 1.0, 2.3, 5.0])))
    if rng.integers(2):
        rho = torch.tensor(rng.integers(0, 4, shape), dtype=torch.float32)
    return norse.LIFRefracParameters(_lif(rng, shape, dt, single), rho)


def cell(rng, shape, dt=0.001, spiking=False, kind=None):
    """Return a random cell for a population of *shape*; *spiking*: no integrator."""
    kinds = ["LIFCell", "LIFBoxCell", "IAFCell", "LIFRefracCell", "LICell", "LIBoxCell"]
    kind = kind or str(rng.choice(kinds, p=[0.35, 0.2, 0.15, 0.2, 0.05, 0.05]))
    if spiking and kind.startswith("LI") and not kind.startswith("LIF"):
        kind = "LIFCell"
    if kind == "LIFCell":
        return norse.LIFCell(_lif(rng, shape, dt, single=False), dt=dt)
    if kind == "LIFBoxCell":
        p = norse.LIFBoxParameters(**_parameters(rng, shape, dt, ("tau_mem_inv", "v_leak", "v_th", "v_reset"), single=False))
        return norse.LIFBoxCell(p._replace(reset_method=[norse.reset_value, norse.reset_subtract][rng.integers(2)]), dt=dt)
    if kind == "IAFCell":
        return norse.IAFCell(norse.IAFParameters(**_parameters(rng, shape, dt, ("v_th", "v_reset"), single=False)))
    if kind == "LIFRefracCell":
        return norse.LIFRefracCell(_refractory(rng, shape, dt, single=True), dt=dt)
    if kind == "LICell":
        p = norse.LIParameters(**_parameters(rng, shape, dt, ("tau_syn_inv", "tau_mem_inv", "v_leak"), single=False))
        return norse.LICell(p, dt=dt)
    return norse.LIBoxCell(norse.LIBoxParameters(**_parameters(rng, shape, dt, ("tau_mem_inv", "v_leak"), single=False)), dt=dt)


def layer(rng, shape, dt=0.001, spiking=False):
    """Return a random layer that takes all steps at once."""
    kind = str(rng.choice(["LIF", "IAF", "LI"], p=[0.7, 0.2, 0.1]))
    if kind == "LIF" or spiking:
        return norse.LIF(_lif(rng, shape, dt, single=True), dt=dt, record_states=bool(rng.integers(2)))
    if kind == "IAF":
        return norse.IAF(norse.IAFParameters(**_parameters(rng, shape, dt, ("v_th", "v_reset"), single=False)))
    return norse.LI(norse.LIParameters(**_parameters(rng, shape, dt, ("tau_syn_inv", "tau_mem_inv", "v_leak"), True)), dt=dt)


def recurrent(rng, inputs, outputs, dt=0.001, in_time=False):
    """Return a random recurrent cell, or layer."""
    options = {"autapses": bool(rng.integers(2)), "dt": dt}
    if rng.integers(2):  # plain tensors, which .to() does not reach
        options["input_weights"] = torch.tensor(rng.normal(0, 1.2, (outputs, inputs)), dtype=torch.float32)
    if rng.integers(2):
        options["recurrent_weights"] = torch.tensor(rng.normal(0, 0.6, (outputs, outputs)), dtype=torch.float32)
    if rng.integers(2):
        kind = norse.LIFRecurrent if in_time else norse.LIFRecurrentCell
        return kind(inputs, outputs, _lif(rng, (outputs,), dt, single=True), **options)
    kind = norse.LIFRefracRecurrent if in_time else norse.LIFRefracRecurrentCell
    return kind(inputs, outputs, _refractory(rng, (outputs,), dt, single=in_time), **options)


def _written(rng, parts):
    """Return a network of *parts*, a function of whether its neurons take all steps, in one of the usual forms."""
    form = rng.integers(4)
    if form == 0:
        return Loop(*parts(in_time=False))
    if form == 1:
        return Step(*parts(in_time=False))
    if form == 2:
        return norse.SequentialState(*parts(in_time=False))
    lifted = [p if is_cell(p) else norse.Lift(p) for p in parts(in_time=True)]
    return norse.SequentialState(*lifted, return_hidden=False)


def _dt(rng):
    return float(rng.choice([0.001, 0.0005, 0.003], p=[0.6, 0.2, 0.2]))


def dense(rng):
    """Return a network of Linear layers, and its input shape."""
    sizes, dt = [int(n) for n in rng.integers(3, 14, rng.integers(2, 5))], _dt(rng)

    def parts(in_time):
        made = []
        for a, b in itertools.pairwise(sizes):
            made.append(nn.Linear(a, b, bias=bool(rng.integers(2))))
            if rng.random() < 0.2:
                made.append(_norm(nn.BatchNorm1d(b), rng))
            made.append((layer if in_time else cell)(rng, (b,), dt, spiking=len(made) < 3))
            if rng.random() < 0.2:
                made.append(nn.Dropout(0.3))
        return made

    return _written(rng, parts), (sizes[0],)


def convolutional(rng):
    """Return a convolutional network and its input shape."""
    channels, size, dt = int(rng.choice([1, 2, 4])), int(rng.integers(7, 11)), _dt(rng)

    def parts(in_time):
        neuron = layer if in_time else cell
        made, shape = [], (channels, size, size + 1)
        for _ in range(rng.integers(1, 3)):
            if min(shape[1:]) < 6:
                break
            out = int(rng.choice([2, 4]))
            conv = nn.Conv2d(
                shape[0], out, [1, 3, (2, 3)][rng.integers(3)], stride=[1, 2, (1, 2)][rng.integers(3)],
                bias=bool(rng.integers(2)), padding=["valid", 1, (0, 2)][rng.integers(3)],
                groups=2 if shape[0] % 2 == 0 and rng.integers(2) else 1,
            )  # fmt: skip
            made.append(conv)
            shape = tuple(conv(torch.zeros(1, *shape)).shape[1:])
            if rng.random() < 0.3:
                made.append(_norm(nn.BatchNorm2d(out), rng))
            made.append(neuron(rng, shape, dt, spiking=len(made) < 3))
            if min(shape[1:]) > 3 and rng.random() < 0.5:
                made.append(nn.AvgPool2d(2, padding=int(rng.integers(2))))
                shape = tuple(made[-1](torch.zeros(1, *shape)).shape[1:])
        return [*made, nn.Flatten(), nn.Linear(int(np.prod(shape)), 5), neuron(rng, (5,), dt)]

    return _written(rng, parts), (channels, size, size + 1)


def recurrent_net(rng):
    """Return a network with spikes that come back, and its input shape."""
    width, dt = int(rng.integers(3, 8)), _dt(rng)
    form = rng.random()
    if form < 0.2:
        return LoopBack(rng, width, dt=dt), (width,)
    if form < 0.4:
        body = [
            nn.Linear(width, 6),
            cell(rng, (6,), dt, spiking=True),
            nn.Linear(6, width),
            cell(rng, (width,), dt, spiking=True),
        ]
        return norse.RecurrentSequential(*body, output_modules=[-1, 3][rng.integers(2)]), (width,)

    def parts(in_time):
        made = [nn.Linear(width, 5)] if rng.integers(2) else []
        made += [recurrent(rng, 5 if made else width, 7, dt, in_time)]
        if rng.integers(2):
            made += [nn.Linear(7, 4), (layer if in_time else cell)(rng, (4,), dt)]
        elif rng.integers(2) and not in_time:
            made.append(norse.LILinearCell(7, 3, norse.LIParameters(v_leak=torch.tensor(0.1)), dt=dt))
        return made

    return _written(rng, parts), (width,)


def residual(rng):
    """Return a branching module and its input shape."""
    dt, form = _dt(rng), rng.integers(3)
    if form == 2:
        parts = [Skip(rng, 6, dt=dt), nn.Linear(6, 6), Skip(rng, 6, dt=dt), cell(rng, (6,), dt)]
        return norse.SequentialState(*parts), (6,)
    return (Residual, ResidualLoop)[form](rng, dt=dt), (6,)


FAMILIES = {"dense": dense, "convolutional": convolutional, "recurrent": recurrent_net, "residual": residual}


def _norm(norm, rng):
    ranges = ((norm.weight, 0.5, 1.5), (norm.bias, -0.2, 0.4), (norm.running_mean, -0.3, 0.3), (norm.running_var, 0.3, 2))
    for tensor, low, high in ranges:
        tensor.data = torch.tensor(rng.uniform(low, high, tensor.shape), dtype=torch.float32)
    return norm


def random_module(family, seed):
    """Return (module, input shape) of *family*; weights scaled so that neurons fire now and then."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    module, shape = FAMILIES[family](rng)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, (nn.Linear, nn.Conv2d)):
                part.weight.mul_(3.0)
    return module.eval(), shape


def takes_all_steps(module):
    """Whether a call of *module* takes (time, batch, ...)."""
    in_time = (
        norse.Lift,
        norse.LIF,
        norse.LIFRecurrent,
        norse.LIFRefracRecurrent,
        norse.LI,
        norse.IAF,
        Loop,
        LoopBack,
        ResidualLoop,
    )
    return any(isinstance(m, in_time) for m in module.modules())


def run_norse(module, x, dtype=torch.float64, outputs=None):
    """Run a copy of *module* from rest on *x* (samples, steps, *shape) in *dtype*; append what it returns to *outputs*."""
    net = copy.deepcopy(module).to(dtype).eval()
    spikes, tested = {}, {}
    for path, part in net.named_modules():
        if isinstance(part, nn.Linear):  # a forward's own zeros are of single precision
            part.register_forward_pre_hook(lambda _, args: tuple(a.to(dtype) for a in args))
        for name in ("input_weights", "recurrent_weights"):
            given = part.__dict__.get(name)
            if given is not None:
                part.__dict__[name] = given.detach().to(dtype)
        if hasattr(part, "activation") and hasattr(getattr(part.p, "lif", part.p), "v_th"):
            path = path or type(part).__name__.lower()
            _watch(part, spikes.setdefault(path, []), tested.setdefault(path, []))
    values = torch.as_tensor(np.asarray(x)).to(dtype).transpose(0, 1)
    with torch.no_grad():
        if takes_all_steps(net):
            out = net(values)
            out = out[0] if isinstance(out, tuple) else out
        else:
            state, steps = None, []
            for value in values:
                y, state = net(value, state)
                steps.append(y)
            out = torch.stack(steps)
    if outputs is not None:
        outputs.append(out.transpose(0, 1).double().numpy())
    return TorchRun(*({p: np.stack(v, axis=1) for p, v in found.items()} for found in (spikes, tested)))


def _watch(part, spikes, tested):
    step = part.activation

    def activation(x, state, *weights_p_dt):
        *weights, p, dt = weights_p_dt
        own = getattr(p, "lif", p)._replace(v_th=torch.tensor(NEVER))
        never = p._replace(lif=own) if hasattr(p, "lif") else own
        _, after = step(x, state, *weights, never, dt)
        tested.append(getattr(after, "lif", after).v.double().numpy().copy())
        z, after = step(x, state, *weights, p, dt)
        spikes.append(z.numpy().astype(np.int64))
        return z, after

    part.activation = activation
