"""The texts that ``script`` fills in: the program, what it brings along, and its README."""

#: Names that the program uses.
OWN = """np sys dataclasses tempfile Path csr_matrix here p data sparse Recorder Probe InPort RefPort AbstractProcess
PyLoihiProcessModel RecorderFixed RecorderFloat ProbeFixed ProbeFloat main build RingBuffer RunSteps Loihi2SimCfg LoihiProtocol
CPU implements requires tag LavaPyType PyInPort PyRefPort LIF LIFRefractory Dense DelayDense Sparse DelaySparse Conv SignMode
PyLifRefractoryModel INPUTS LAYERS MODELS DTYPE IS_RESET SILENCE lava entering run_once mended true_dataclass
PyLifModelBitAcc AbstractPyLifModelFloat PyLifRefractoryModelFloat"""

PROGRAM = '''"""@TITLE@

    python run.py [INPUT.npz [RASTERS.npz]]

runs the network on INPUT.npz (by default the input.npz beside this file; for every input an array (samples, steps, *shape)) in
Lava's simulator, prints the spikes of every layer, and writes them to RASTERS.npz (of layers that do not spike, their
membranes). Needs lava-nc 0.10.0 on Python 3.10 or 3.11; parameters are in network.npz. README.md says what a chip needs.

Untested on a chip.
"""

import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np

# Lava 0.10.0 is for Python before 3.11, which refuses one of its dataclasses as a default: it gets its hash back here.
true_dataclass = dataclasses.dataclass


def mended(cls=None, /, **options):
    def wrap(one):
        made = true_dataclass(one, **options)
        if one.__name__ == "ByteEncoder":
            made.__hash__ = object.__hash__
        return made

    return wrap if cls is None else wrap(cls)


dataclasses.dataclass = mended
import lava.magma.compiler.var_model

dataclasses.dataclass = true_dataclass
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.io.source import RingBuffer
from scipy.sparse import csr_matrix
@IMPORTS@

here = Path(__file__).parent
p = np.load(here / "network.npz", allow_pickle=False)
MODELS, DTYPE = "@MODELS@", @DTYPE@
IS_RESET = @RESET@  # every sample starts anew
SILENCE = @SILENCE@  # steps without input after each sample, where it does not
INPUTS = {  # name: shape in Lava, and (scale, least, most) of the integers that its values become
@INPUTS@
}
LAYERS = {  # name: what is recorded, shape in Lava, shape in the model
@LAYERS@
}


def sparse(key, value=None):
    """Return a matrix of network.npz, or *value* wherever it holds a weight."""
    rows, columns, weights, shape = (p[f"{key}/{part}"] for part in ("rows", "columns", "values", "shape"))
    filled = weights if value is None else np.full(weights.size, value, int)
    return csr_matrix((filled, (rows, columns)), shape=tuple(int(n) for n in shape))


def build(data):
    """Return the populations of a new network, by name; *data* holds each input's values, steps last."""
@BUILD@


# ---- reading spikes and membranes: each step goes into a file, since Var.get() takes 11 us for every value


class Recorder(AbstractProcess):
    """Writes the spikes that it receives into a file."""

    def __init__(self, *, shape, file):
        super().__init__(file=file)
        self.a_in = InPort(shape=shape)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
class RecorderModel(PyLoihiProcessModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, int)

    def run_spk(self):
        file = np.load(self.proc_params["file"], mmap_mode="r+")
        file[self.time_step - 1] = self.a_in.recv()


class Probe(AbstractProcess):
    """Writes the membranes that it looks at into a file."""

    def __init__(self, *, shape, file):
        super().__init__(file=file)
        self.v = RefPort(shape=shape)


@implements(proc=Probe, protocol=LoihiProtocol)
@requires(CPU)
class ProbeModel(PyLoihiProcessModel):
    v: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, DTYPE)

    def post_guard(self):
        return True

    def run_post_mgmt(self):
        file = np.load(self.proc_params["file"], mmap_mode="r+")
        file[self.time_step - 1] = self.v.read()
@REFRACTORY@

# ---- running


def entering(name, values):
    """Return the values of an input as they enter the network, (samples, steps, *shape in Lava)."""
    shape, whole = INPUTS[name]
    flat = np.asarray(values, float).reshape(*values.shape[:2], -1)
    if flat.shape[2] != np.prod(shape):
        raise ValueError(f"input {name} takes {int(np.prod(shape))} values a step, and is given {flat.shape[2]}")
    if whole is not None:
        scale, least, most = whole
        exact, flat = flat * scale, np.rint(flat * scale)
        if np.max(np.abs(exact - flat), initial=0) > 1e-4:
            raise ValueError(f"input {name} holds values that are no multiples of 1/{scale:g}")
        if flat.size and (flat.min() < least or flat.max() > most):
            raise ValueError(f"input {name} leaves its range, {least / scale:g} to {most / scale:g}")
    if f"{name}.order" in p.files:  # channels last, as Lava's Conv wants them
        flat = flat[..., p[f"{name}.order"]]
    return flat.reshape(*flat.shape[:2], *shape).astype(DTYPE)


def run_once(inputs):
    """Run a new network on *inputs*, by name (steps, *shape); return by layer what was recorded, (steps, *shape)."""
    steps = len(next(iter(inputs.values())))
    layers = build({name: np.moveaxis(x, 0, -1) for name, x in inputs.items()})
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for number, (name, (what, shape, _)) in enumerate(LAYERS.items()):
            files[name] = str(Path(folder, f"{number}.npy"))
            np.lib.format.open_memmap(files[name], "w+", np.int32 if what == "s_out" else DTYPE, (steps, *shape))
            if what == "s_out":
                layers[name].s_out.connect(Recorder(shape=shape, file=files[name]).a_in)
            else:
                Probe(shape=shape, file=files[name]).v.connect_var(layers[name].v)
        config = Loihi2SimCfg(select_tag=MODELS, exception_proc_model_map=@MODEL_MAP@)
        try:
            for layer in layers.values():
                if layer.runtime is None:  # a run takes all that hangs together
                    layer.run(condition=RunSteps(num_steps=steps), run_cfg=config)
        finally:
            for layer in layers.values():  # without it the interpreter never ends
                if layer.runtime is not None:
                    layer.stop()
        return {name: np.load(file) for name, file in files.items()}


def main():
    given = np.load(sys.argv[1] if len(sys.argv) > 1 else here / "input.npz", allow_pickle=False)
    inputs = {name: entering(name, given[name]) for name in INPUTS}
    samples, steps = next(iter(inputs.values())).shape[:2]
    if IS_RESET:
        runs = [run_once({name: x[sample] for name, x in inputs.items()}) for sample in range(samples)]
        heard = {name: np.stack([run[name] for run in runs]) for name in LAYERS}
    else:
        quiet = {name: np.pad(x, [(0, 0), (0, SILENCE), *[(0, 0)] * (x.ndim - 2)]) for name, x in inputs.items()}
        run = run_once({name: x.reshape(-1, *x.shape[2:]) for name, x in quiet.items()})
        heard = {name: x.reshape(samples, steps + SILENCE, *x.shape[1:])[:, :steps] for name, x in run.items()}
    saved = {}
    for name, (what, _, shape) in LAYERS.items():
        flat = heard[name].reshape(samples, steps, -1)
        if f"{name}.order" in p.files:
            back = np.empty_like(flat)
            back[..., p[f"{name}.order"]] = flat
            flat = back
        saved[name] = flat.reshape(samples, steps, *shape)
        print(name, int(flat.sum()) if what == "s_out" else "does not spike")
    if len(sys.argv) > 2:
        np.savez(sys.argv[2], **saved)


if __name__ == "__main__":
    main()
'''

ABOUT_REFRACTORY = """
Lava has no fixed-point model of LIFRefractory. `PyLifRefractoryModel` in run.py is one: Lava's fixed-point LIF, held after a
spike as Lava's floating-point LIFRefractory is. On a chip the refractory period is a register of its own, which Lava 0.10.0
does not set: ask Intel's extension for it.
"""

README = """# @TITLE@

A network of Lava processes. `python run.py [INPUT.npz [RASTERS.npz]]` runs it in Lava's simulator, with lava-nc 0.10.0 on
Python 3.10 (`pip install lava-nc==0.10.0`) or 3.11 (`pip install numpy scipy networkx asteval pbr psutil`, then
`pip install --no-deps --ignore-requires-python lava-nc==0.10.0`). `build` in run.py is the network; process models: `@MODELS@`.

| layer | process | arguments |
|---|---|---|
@ROWS@

| input | shape | values |
|---|---|---|
@INPUTS@

Outputs of the model: @OUTPUTS@. A population next to a Conv has its channels last, as Lava wants; `LAYER.order` in network.npz
holds the model's index of each of its neurons. Each process of synapses sends one step late. A layer that does not spike has a
threshold that its membrane cannot reach (2^17 in fixed point), and is read by its membrane.
@REFRACTORY@
## On a Loihi chip: untested

Nothing of this was run on a chip. What is known to be needed:

- Intel's extension of Lava (lava-loihi), which members of the Intel Neuromorphic Research Community get, on a machine with a
  chip. It brings the process models of Dense, Sparse, Conv and LIF that run on neurocores, and `lava.proc.embedded_io`.
- `Loihi2HwCfg()` in place of `Loihi2SimCfg(...)`.
- Input: a RingBuffer runs on the host. Between it and the first synapses goes a `PyToNxAdapter(shape=...)` of
  `lava.proc.embedded_io.spike`: `source.s_out.connect(adapter.inp)`, then `adapter.out.connect(dense.s_in)`.
  Graded input needs Loihi 2.
- Output: between a population and a Recorder goes `NxToPyAdapter(shape=...)`: `lif.s_out.connect(adapter.inp)`,
  `adapter.out.connect(recorder.a_in)`. The adapters move one value a step and neuron through the embedded processors: this, and
  not the neurocores, often sets the time of a step. Record outputs only.
- Membranes: a `Probe` reads them on the simulator. On a chip a state probe of the extension does, or read `v` at the end
  (`layer.v.get()`). The chip's probe is known to show 128 instead of 0 in the step of a spike.
- Sample boundaries: run.py builds a network for each sample. On a chip reset `u` and `v` with `layer.v.set(...)` between runs,
  or leave enough silent steps.
"""

__all__ = ["ABOUT_REFRACTORY", "OWN", "PROGRAM", "README"]
