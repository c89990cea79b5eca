"""From a plan (JSON, and arrays beside it) to processes of Lava, run in as many steps as asked.

A plan lists processes ``{"kind", "name", "args", "arrays"}`` and wires ``[source, target]`` between them by number:
``args`` are Lava's own keyword arguments, ``arrays`` those of them that lie in the file of arrays. Matrices of Sparse and
DelaySparse come as ``ARGUMENT/rows``, ``/columns`` and ``/values``.
"""

import os

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.utils.weightutils import SignMode
from lava_models import DONE, KINDS, PERIOD, RUN, START
from scipy.sparse import csr_matrix


class Network:
    """A network in Lava; Lava itself compiles it at its first run.

    Parameters
    ----------
    folder : str
        Where the files of runs lie.
    """

    def __init__(self, folder):
        self.folder = folder
        self.steps = self.parts_done = 0
        self.building = ""  # the layer, while there is one
        self.processes, self.roots = [], []

    def build(self, plan, arrays):
        """Make the processes of *plan* with its *arrays* by key, and wire them."""
        self.control = np.lib.format.open_memmap(os.path.join(self.folder, "control.npy"), "w+", np.int64, (4,))
        self.processes = [self._process(entry, arrays) for entry in plan["processes"]]
        for source, target in plan["wires"]:
            self.building = plan["processes"][target]["name"]
            self._connect(self.processes[source], self.processes[target])
        self.building = ""
        self.roots = _roots(len(self.processes), plan["wires"])
        for number, (process, entry) in enumerate(zip(self.processes, plan["processes"], strict=True)):
            note = {"folder": self.folder, "index": number, "name": entry["name"], "leads": number in self.roots}
            process.proc_params["spikeport"] = note
        fixed = plan["models"] == "fixed_pt"
        self.config = Loihi2SimCfg(
            select_tag=plan["models"],
            exception_proc_model_map={process: models[not fixed] for process, *models in KINDS.values()},
        )

    def _process(self, entry, arrays):
        self.building = entry["name"]
        given = dict(entry["args"])
        for name, key in entry["arrays"].items():
            given[name] = arrays[key] if key in arrays else _sparse(arrays, key)
        if entry["kind"] == "DelaySparse":
            # Lava would lay one delay for all out as a full matrix.
            given["delays"] = _same(given["weights"], given["delays"])
        if "sign_mode" in given:
            given["sign_mode"] = SignMode[given["sign_mode"]]
        for name in ("shape", "input_shape", "padding", "stride", "dilation"):
            if name in given:
                given[name] = tuple(given[name])
        # Lava's LIFRefractory takes one period; the models here take one for each neuron as well.
        period = given.pop("refractory_period", None)
        held = given.pop("held_init", None)
        process = KINDS[entry["kind"]][0](name=entry["name"], **given)
        if held is not None:
            process.refractory_period_end.init = np.broadcast_to(held, process.proc_params["shape"])
        if period is not None:
            process.proc_params.overwrite("refractory_period", period)
        return process

    @staticmethod
    def _connect(source, target):
        out = source.s_out if hasattr(source, "s_out") else source.a_out
        into = target.s_in if hasattr(target, "s_in") else target.a_in
        if out.shape != into.shape:
            out = out.reshape(new_shape=into.shape)
        out.connect(into)

    def run(self, number, total, period):
        """Run *total* steps, whose files lie in ``run<number>``; every *period* steps the state starts anew (0: never)."""
        self.control[RUN], self.control[START], self.control[PERIOD] = number, self.steps, period
        # Lava runs what hangs together; parts that do not are run one after the other.
        for before, root in enumerate(self.roots):
            self.control[DONE] = 0
            self.parts_done = before
            self.processes[root].run(condition=RunSteps(num_steps=total), run_cfg=self.config)
        self.steps += total

    def done(self):
        """Return the parts of the network that are done, and the steps of the next one."""
        return self.parts_done, int(self.control[DONE])

    def stop(self):
        """End all processes of the network."""
        for root in self.roots:
            self.processes[root].stop()


def _roots(count, wires):
    """Return the first process of each part of the network that hangs together."""
    part = list(range(count))
    for source, target in wires:
        old, new = sorted((part[source], part[target]), reverse=True)
        part = [new if p == old else p for p in part]
    return sorted(set(part))


def _same(matrix, value):
    """Return *value* wherever *matrix* holds an entry."""
    return csr_matrix((np.full(matrix.data.size, value, int), matrix.indices, matrix.indptr), shape=matrix.shape)


def _sparse(arrays, key):
    rows, columns, values, shape = (arrays[f"{key}/{part}"] for part in ("rows", "columns", "values", "shape"))
    return csr_matrix((values, (rows, columns)), shape=tuple(int(n) for n in shape))
