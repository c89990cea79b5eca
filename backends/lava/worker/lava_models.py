"""Lava's own process models, watched: the arithmetic is inherited, what a sample starts from and what is recorded is ours.

Every model here subclasses the one that Lava itself would choose and calls its ``run_spk`` unchanged. Before a sample's
first step it puts the initial state back and empties the buffer of its synapses, as a network that was built anew would
have them; after each step neurons write ``s``, ``u`` and ``v`` into files that the worker laid out. Three are ours: the
source of inputs; ``LIFRefractory`` in fixed point (Lava has the process, and a floating-point model of it), whose arithmetic
is Lava's fixed-point LIF and whose hold is the floating-point model's; and that floating-point model for neurons that do not
share their parameters.

This file runs in the worker's own interpreter. It needs lava-nc and nothing of spikeport.
"""

import json
import os
import traceback

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.models import PyConvModelFixed, PyConvModelFloat
from lava.proc.conv.process import Conv
from lava.proc.dense.models import (
    PyDelayDenseModelBitAcc,
    PyDelayDenseModelFloat,
    PyDenseModelBitAcc,
    PyDenseModelFloat,
)
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.lif.models import AbstractPyLifModelFloat, PyLifModelBitAcc, PyLifModelFloat, PyLifRefractoryModelFloat
from lava.proc.lif.process import LIF, LIFRefractory
from lava.proc.sparse.models import (
    PyDelaySparseModelBitAcc,
    PyDelaySparseModelFloat,
    PySparseModelBitAcc,
    PySparseModelFloat,
)
from lava.proc.sparse.process import DelaySparse, Sparse

#: Words of the control file: number of the run, steps before it, steps of a sample (0: never anew), last step done.
RUN, START, PERIOD, DONE = range(4)


class Desk:
    """What a process of the network needs of the worker: when a run and a sample start, and where to write.

    Parameters
    ----------
    note : dict
        ``folder``, ``index`` and ``name`` of the process, and whether it ``leads`` (tells how far the run is).
    """

    def __init__(self, note):
        self.note = note
        self.control = np.load(os.path.join(note["folder"], "control.npy"), mmap_mode="r+")
        self.run = -1
        self.row = 0
        self.files = {}

    def opens(self, time_step):
        """Begin a step; return whether a sample starts with it."""
        control = self.control
        if control[RUN] != self.run:
            self.run = int(control[RUN])
            self.files = {}
            for key in "xsuv":
                path = os.path.join(self.note["folder"], f"run{self.run}", f"{key}{self.note['index']}.npy")
                if os.path.exists(path):
                    self.files[key] = np.load(path, mmap_mode="r" if key == "x" else "r+")
        self.row = int(time_step) - 1 - int(control[START])
        period = int(control[PERIOD])
        return self.row == 0 or (period > 0 and self.row % period == 0)

    def keep(self, key, value):
        """Write *value* into the row of this step, if *key* is recorded."""
        file = self.files.get(key)
        if file is not None:
            file[self.row] = value

    def closes(self):
        """End a step."""
        if self.note["leads"]:
            self.control[DONE] = self.row + 1

    def failed(self):
        """Leave word of the exception that is being handled, with the layer's name; the worker finds it there."""
        path = os.path.join(self.note["folder"], "failed.json")
        with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
            json.dump({"layer": self.note["name"], "trace": traceback.format_exc()}, file)
        os.replace(f"{path}.{os.getpid()}", path)


class Watched:
    """Mixin before a model of Lava's: a desk, and the two hooks around each step."""

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.desk = Desk(proc_params["spikeport"])

    def begin(self):
        """Put the process into the state in which it was built."""

    def end(self):
        """Record what the step left."""

    def run_spk(self):
        try:
            if self.desk.opens(self.time_step):
                self.begin()
            super().run_spk()
            self.end()
            self.desk.closes()
        except Exception:
            self.desk.failed()
            raise


class WatchedNeuron(Watched):
    """A neuron: starts from the u and v that it was built with, records s, u and v."""

    first = None

    def begin(self):
        if self.first is None:
            self.first = self.u.copy(), self.v.copy()
        self.u[:], self.v[:] = self.first

    def end(self):
        self.desk.keep("s", self.s_out_buff)
        self.desk.keep("u", self.u)
        self.desk.keep("v", self.v)


class WatchedSynapse(Watched):
    """Synapses: start with nothing on its way."""

    def begin(self):
        self.a_buff = np.zeros_like(self.a_buff)


class WatchedConv(Watched):
    """A convolution, whose buffer has another name."""

    def begin(self):
        self.a_buf = np.zeros_like(self.a_buf)


class OnceDelayed:
    """Mixin: the matrix of weights by delay is the same in every step, so it is made once."""

    made = None

    def get_delay_wgts_mat(self, weights, delays, max_delay):
        if self.made is None or self.made[0] is not weights:
            self.made = weights, super().get_delay_wgts_mat(weights, delays, max_delay)
        return self.made[1]


class LifFixed(WatchedNeuron, PyLifModelBitAcc):
    """LIF in fixed point."""


class LifFloat(WatchedNeuron, PyLifModelFloat):
    """LIF in floating point."""


class Holding(WatchedNeuron):
    """A neuron with a refractory period: the step in which it ends starts anew with the sample, held as it was built."""

    held = None

    def begin(self):
        super().begin()
        if self.held is None:
            self.held = self.refractory_period_end.copy()
        self.refractory_period_end[:] = self.time_step - 1 + self.held


class PyLifRefractoryModelEach(PyLifRefractoryModelFloat):
    """LIFRefractory in floating point with parameters of each neuron's own, which Lava's model takes for a population only."""

    def subthr_dynamics(self, activation_in):
        kept = self.v.copy()
        AbstractPyLifModelFloat.subthr_dynamics(self, activation_in)
        held = self.refractory_period_end >= self.time_step
        self.v[held] = kept[held]

    def spiking_activation(self):
        # A neuron that is held from the start may begin above its threshold.
        return super().spiking_activation() & (self.refractory_period_end < self.time_step)

    def process_spikes(self, spike_vector):
        period = np.broadcast_to(self.refractory_period, spike_vector.shape)
        self.refractory_period_end[spike_vector] = self.time_step + period[spike_vector]
        self.reset_voltage(spike_vector)
        self.s_out_buff = spike_vector


class LifRefractoryFloat(Holding, PyLifRefractoryModelEach):
    """The same, watched."""


class PyLifRefractoryModelFixed(PyLifModelBitAcc):
    """LIFRefractory in fixed point, which Lava lacks: its fixed-point LIF, held as its floating-point LIFRefractory.

    After a spike in step t the voltage keeps its value in the steps t+1 to t+period, while the current goes on.
    """

    refractory_period_end: np.ndarray = LavaPyType(np.ndarray, int)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.refractory_period = proc_params["refractory_period"]

    def subthr_dynamics(self, activation_in):
        kept = self.v.copy()
        super().subthr_dynamics(activation_in)
        held = self.refractory_period_end >= self.time_step
        self.v[held] = kept[held]

    def spiking_activation(self):
        # A neuron that is held from the start may begin above its threshold.
        return super().spiking_activation() & (self.refractory_period_end < self.time_step)

    def reset_voltage(self, spike_vector):
        period = np.broadcast_to(self.refractory_period, spike_vector.shape)
        self.refractory_period_end[spike_vector] = self.time_step + period[spike_vector]
        super().reset_voltage(spike_vector)


class LifRefractoryFixed(Holding, PyLifRefractoryModelFixed):
    """The same, watched."""


class DenseFixed(WatchedSynapse, PyDenseModelBitAcc):
    """Dense in fixed point."""


class DenseFloat(WatchedSynapse, PyDenseModelFloat):
    """Dense in floating point."""


class SparseFixed(WatchedSynapse, PySparseModelBitAcc):
    """Sparse in fixed point."""


class SparseFloat(WatchedSynapse, PySparseModelFloat):
    """Sparse in floating point."""


class DelayDenseFixed(WatchedSynapse, OnceDelayed, PyDelayDenseModelBitAcc):
    """DelayDense in fixed point."""


class DelayDenseFloat(WatchedSynapse, OnceDelayed, PyDelayDenseModelFloat):
    """DelayDense in floating point."""


class DelaySparseFixed(WatchedSynapse, OnceDelayed, PyDelaySparseModelBitAcc):
    """DelaySparse in fixed point."""


class DelaySparseFloat(WatchedSynapse, OnceDelayed, PyDelaySparseModelFloat):
    """DelaySparse in floating point."""


class ConvFixed(WatchedConv, PyConvModelFixed):
    """Conv in fixed point."""


class ConvFloat(WatchedConv, PyConvModelFloat):
    """Conv in floating point."""


class Source(AbstractProcess):
    """Sends a row of an array in each step."""

    def __init__(self, *, shape, name):
        super().__init__(shape=shape, name=name)
        self.s_out = OutPort(shape=shape)


class Sending(PyLoihiProcessModel):
    """What a source does in either arithmetic."""

    def run_spk(self):
        self.s_out.send(self.desk.files["x"][self.desk.row])


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SourceFixed(Watched, Sending):
    """Whole numbers of 32 bits."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SourceFloat(Watched, Sending):
    """Double precision."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


#: Process by its name in a plan, and its models in fixed and in floating point.
KINDS = {
    "Source": (Source, SourceFixed, SourceFloat),
    "LIF": (LIF, LifFixed, LifFloat),
    "LIFRefractory": (LIFRefractory, LifRefractoryFixed, LifRefractoryFloat),
    "Dense": (Dense, DenseFixed, DenseFloat),
    "Sparse": (Sparse, SparseFixed, SparseFloat),
    "DelayDense": (DelayDense, DelayDenseFixed, DelayDenseFloat),
    "DelaySparse": (DelaySparse, DelaySparseFixed, DelaySparseFloat),
    "Conv": (Conv, ConvFixed, ConvFloat),
}
