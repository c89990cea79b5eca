"""What faults of a network mean, written out a second time: a run in which what a node hears is worked out step by step.

Slow, and on purpose unlike the rewritten graphs that it is held against: nothing is put into the graph here.
"""

from __future__ import annotations

import numpy as np

from spikeport.compiler.driver import lower
from spikeport.ir.ops import Delay, Input
from spikeport.ir.program import Slice
from spikeport.ir.reference import _Run


def program_of(graph, profile, arith="float64"):
    """Return *graph* as it is, as a program."""
    return lower(graph, None, profile, arithmetic=arith, opt=0)


def sliced(program, shapes, rng, cores=3):
    """Return the slices of a random mapping: every population cut along its first axis, the parts on random cores."""
    found = []
    for node in program.graph:
        if node.path in shapes and (node.op.is_spiking or node.op.kind in ("I", "LI", "CubaLI")):
            shape = shapes[node.path]
            cut = int(rng.integers(0, shape[0] + 1))
            for start, stop in ((0, cut), (cut, shape[0])):
                if start < stop:
                    box = ((start, stop), *((0, n) for n in shape[1:]))
                    found.append(Slice(node.path, box, int(rng.integers(0, cores))))
    return tuple(found)


class Oracle(_Run):
    """A run of a step network with faults; all samples start at rest.

    Parameters
    ----------
    network : StepNetwork
        Without faults.
    samples : int
    fates : dict of str to array, shape (samples, steps, *shape)
        By layer: steps by which each of its spikes is late, -1 where it is lost.
    forced : dict of str to (array of bool, 0 or 1)
        By layer: neurons that are stuck, and at what.
    cores : dict of str to array of int
        By population: the core of each neuron.
    dead : set of (int, int)
        Links.
    """

    def __init__(self, network, samples, fates=None, forced=None, cores=None, dead=()):
        super().__init__(network, samples)
        self.fates, self.forced, self.cores, self.dead = fates or {}, forced or {}, cores or {}, set(dead)
        self.depth = 10**9  # nothing is forgotten

    def run(self, inputs):
        """Return outputs, spikes and membranes by ``out/PATH``, ``spikes/PATH`` and ``v/PATH``, (samples, steps, *shape)."""
        graph, found = self.network.graph, {}
        for t in range(next(iter(inputs.values())).shape[1]):
            self.step({p: x[:, t] for p, x in inputs.items()})
            for path in graph.outputs:
                found.setdefault(f"out/{path}", []).append(self.output(path))
            for path in graph.spiking:
                model = self.network.models.get(path)
                late = 0 if model is None else model.output_delay
                found.setdefault(f"spikes/{path}", []).append(self.output(path, late))
                if model is not None:
                    found.setdefault(f"v/{path}", []).append(self.states[path].v)
        return {key: np.stack(values, axis=1) for key, values in found.items()}

    def step(self, inputs):
        self.inputs = inputs
        super().step(inputs)

    def _neuron(self, path, x):
        value = super()._neuron(path, x)
        if path in self.forced:
            mask, at = self.forced[path]
            value = np.where(mask, float(at), value)
        return value

    def _gather(self, path):
        missing = {}
        if path in self.cores:
            for core in np.unique(self.cores[path]):
                missing[int(core)] = {a for a, b in self.dead if b == core}
        if not any(missing.values()):
            return self._heard(path, self.t, set())
        total = np.zeros((self.batch, *self.network.shapes.input[path]), self.dtype)
        for core, lost in missing.items():
            total = np.where(self.cores[path] == core, self._heard(path, self.t, lost), total)
        return total

    def _heard(self, path, t, lost):
        """Return what enters *path* in step *t* where nothing of the cores *lost* arrives."""
        total, first = np.zeros((self.batch, *self.network.shapes.input[path]), self.dtype), True
        edges = [(e, self.network.schedule.delays[e]) for e in self.network.graph.into(path)]
        inputs = set(self.network.graph.inputs)
        for edge, delay in edges:
            value = self._arriving(edge.source, t - delay, 0, lost)
            if edge.source in inputs & set(self.fates):  # an input is one value, whenever its parts were sent
                for late in self._lateness(edge.source):
                    value = value + self._arriving(edge.source, t - delay - late, late, lost)
            total, first = (value if first else total + value), False
        for source in sorted(({e.source for e, _ in edges} & set(self.fates)) - inputs):
            for late in self._lateness(source):
                for edge, delay in edges:
                    if edge.source == source:
                        total = total + self._arriving(source, t - delay - late, late, lost)
        return total

    def _lateness(self, source):
        return sorted(set(np.unique(self.fates[source]).tolist()) - {-1, 0})

    def _arriving(self, source, t, late, lost):
        """Return what *source* sent in step *t* and is *late* by so many steps, zeros before the start."""
        op, shape = self.network.graph[source].op, (self.batch, *self.network.shapes.output[source])
        if t < 0:
            return np.zeros(shape, self.dtype)
        if source in self.cores or isinstance(op, Input) or op.is_spiking:
            value = self.left[source][t]
            if source in self.cores and lost:
                value = np.where(np.isin(self.cores[source], list(lost)), 0.0, value)
            return np.where(self.fates[source][:, t] == late, value, 0.0) if source in self.fates else value
        if isinstance(op, Delay):
            lags, value = self.network.delays[source], np.zeros(shape, self.dtype)
            for lag in np.unique(lags):
                if t - lag >= 0:
                    value = np.where(lags == lag, self._heard(source, t - int(lag), lost), value)
            return value
        if op.is_stateful:
            return self.left[source][t]
        if not lost:
            return self.left[source][t]
        return self.network.ops[source].apply(self._heard(source, t, lost))
