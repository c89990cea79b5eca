"""A module that stands for pyNN.spiNNaker: the few calls that emitted programs make, run as sPyNNaker's cores would.

Written from sPyNNaker's own sources (names in the functions), on whole numbers only; it shares nothing with the reference of
arithmetic ``spinnaker1`` but the exponential, which has a test of its own.
"""

import math
import types

import numpy as np

from spikeport.ir.spinnaker_host import membrane, ratio, synapse

ONE, FULL, SATURATED = 1 << 15, 1 << 32, (1 << 16) - 1


def s1615(value):
    """The host's word for a parameter."""
    return np.rint(np.asarray(value, np.float64) * ONE).astype(np.int64)


def wrapped(bits):
    return (bits + FULL // 2) % FULL - FULL // 2


class Train:
    def __init__(self, times, index):
        self.magnitude, self.annotations = np.asarray(times, np.float64), {"source_index": index}

    def rescale(self, unit):
        assert unit == "ms"
        return self


class Machine(types.ModuleType):
    """The module; ``saturated`` counts the sums of weights that did not fit."""

    def __init__(self):
        super().__init__("pyNN.spiNNaker")
        self.runs, self.saturated = 0, 0

    def setup(self, timestep, time_scale_factor):
        assert timestep == 1.0
        assert time_scale_factor == 1
        self.populations, self.projections = [], []

    def SpikeSourceArray(self, spike_times):  # noqa: N802 - PyNN's
        return types.SimpleNamespace(kind="source", spike_times=spike_times)

    def IF_curr_exp(self, **parameters):  # noqa: N802
        return types.SimpleNamespace(kind="exp", **parameters)

    def IF_curr_delta(self, **parameters):  # noqa: N802
        return types.SimpleNamespace(kind="delta", **parameters)

    def StaticSynapse(self):  # noqa: N802
        return None

    def FromListConnector(self, rows, column_names):  # noqa: N802
        assert column_names == ["weight", "delay"]
        return rows

    def Population(self, size, cell, label, additional_parameters=None):  # noqa: N802
        done = Population(size, cell, label, additional_parameters or {})
        self.populations.append(done)
        return done

    def Projection(self, source, target, rows, synapse, receptor_type, label):  # noqa: N802
        assert np.all(rows[:, 2] > 0 if receptor_type == "excitatory" else rows[:, 2] < 0)
        assert rows[:, 3].min() >= 1
        kind = int(receptor_type == "inhibitory")
        # synapse_dynamics_static.py: get_static_synaptic_data
        weights = np.rint(np.abs(rows[:, 2]) * 2.0 ** (15 - target.shifts[kind])).astype(np.int64)
        assert weights.max() <= SATURATED
        source.out.append((target, kind, *rows[:, :2].astype(np.int64).T, weights, np.rint(rows[:, 3]).astype(np.int64)))

    def run(self, ms):
        self.runs += 1
        for tick in range(int(ms)):
            for population in self.populations:
                fired = population.tick(tick)
                for target, kind, pre, post, weights, delays in population.out:
                    for p, w, d in zip(post[fired[pre]], weights[fired[pre]], delays[fired[pre]], strict=True):
                        slot = target.ring.setdefault(tick + int(d), np.zeros((2, target.size), np.int64))
                        total = slot[kind, p] + w
                        self.saturated += int(total > SATURATED)
                        slot[kind, p] = min(total, SATURATED)

    def end(self):
        self.populations = []


class Population:
    def __init__(self, size, cell, label, more):
        self.size, self.cell, self.label, self.out, self.ring, self.fired, self.v_seen = size, cell, label, [], {}, [], []
        if cell.kind == "source":
            assert any(cell.spike_times)  # 7.4.1 fails otherwise
            self.times = [set(times) for times in cell.spike_times]
            return
        # population_vertex.py: get_ring_buffer_shifts
        self.shifts = [0 if w <= 0 else math.ceil(max(0, math.log2(w))) for w in more["max_expected_summed_weight"]]
        self.shifts = [s + 1 if 2**s <= w else s for s, w in zip(self.shifts, more["max_expected_summed_weight"], strict=True)]
        self.per_core = more["neurons_per_core"]
        self.word = {k: np.broadcast_to(s1615(v), size).copy() for k, v in vars(cell).items() if k != "kind"}
        tau, cm = self.word["tau_m"], self.word["cm"]
        # neuron_model_lif_impl.h: neuron_model_initialise
        self.resistance = np.array([ratio(int(t), int(c)) for t, c in zip(tau, cm, strict=True)])
        self.exp_tc = np.array([membrane(int(t), ONE) for t in tau])
        self.refractory = np.array([-(-ratio(int(t), ONE) // ONE) for t in self.word["tau_refrac"]])
        self.timer, self.current = np.zeros(size, np.int64), np.zeros((2, size), np.int64)
        if cell.kind == "exp":
            # exp_synapse_utils.h: decay_and_init
            both = [[synapse(int(t), ONE) for t in self.word[name]] for name in ("tau_syn_E", "tau_syn_I")]
            self.decay, self.init = np.array(both).transpose(2, 0, 1)
        self.v = np.zeros(size, np.int64)

    def initialize(self, v=0.0, isyn_exc=0.0, isyn_inh=0.0):
        self.v = np.broadcast_to(s1615(v), self.size).copy()
        self.current = np.stack([np.broadcast_to(s1615(i), self.size) for i in (isyn_exc, isyn_inh)])

    def record(self, what):
        self.what = what

    def tick(self, tick):
        """neuron_impl_standard.h: neuron_impl_do_timestep_update, after the ring buffers were read."""
        if self.cell.kind == "source":
            return np.array([float(tick) in times for times in self.times])
        self.v_seen.append(self.v / ONE)
        slot = self.ring.pop(tick, np.zeros((2, self.size), np.int64)) << np.array(self.shifts)[:, None]
        if self.cell.kind == "exp":
            self.current = wrapped(self.current + (slot * self.init >> 32))
        else:
            self.current = slot
        total = wrapped(self.current[0] - self.current[1] + self.word["i_offset"])
        rest = wrapped((total * self.resistance >> 15) + self.word["v_rest"])
        after = wrapped(rest - (self.exp_tc * wrapped(rest - self.v) >> 15))
        waits = self.timer > 0
        self.v = np.where(waits, self.v, after)
        self.timer = np.where(waits, self.timer - 1, self.timer)
        fired = self.v >= self.word["v_thresh"]
        self.v = np.where(fired, self.word["v_reset"], self.v)
        self.timer = np.where(fired, self.refractory, self.timer)
        if self.cell.kind == "exp":
            self.current = self.current * self.decay >> 32
        self.fired.append(fired)
        return fired

    def get_data(self, what):
        assert what == self.what
        fired = np.array(self.fired)
        trains = [Train(np.flatnonzero(fired[:, n]), n) for n in range(self.size)]
        signal = types.SimpleNamespace(magnitude=np.array(self.v_seen))
        segment = types.SimpleNamespace(spiketrains=trains, filter=lambda name: [signal])
        return types.SimpleNamespace(segments=[segment])
