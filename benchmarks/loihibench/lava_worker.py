"""One network in Lava's own words, built once and run as often as asked: a process of its own, without spikeport.

    python lava_worker.py NETWORK.npz FOLDER

Reads lines from stdin and answers each on stdout with a line that begins with "@": ``build`` (``build all`` keeps every
layer, not the last alone) with the seconds of making and compiling, ``run`` with the seconds of one call of
``Process.run`` over all steps of the input, ``spikes`` after writing FOLDER/rasters.npz, ``stop``.

The first steps of a run, while Lava starts its processes, are timed apart: ``start`` runs the first one.
"""

import dataclasses
import os
import sys
import time
from pathlib import Path

import numpy as np


def mend_for_python_311() -> None:
    """Import the one module whose dataclass Python 3.11 refuses, with a hash on its class; 3.10 does not mind."""
    real = dataclasses.dataclass

    def lenient(cls=None, **options):
        if cls is None:
            return lambda found: lenient(found, **options)
        if cls.__name__ == "ByteEncoder":
            cls.__hash__ = object.__hash__
        return real(cls, **options)

    dataclasses.dataclass = lenient
    try:
        import lava.magma.compiler.var_model  # noqa: F401
    finally:
        dataclasses.dataclass = real


mend_for_python_311()

from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.conv.process import Conv  # noqa: E402
from lava.proc.dense.process import Dense  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402
from lava.proc.lif.process import LIF  # noqa: E402


class Net:
    """Source, layers of a connection and LIF neurons, and sinks."""

    def __init__(self, net: dict[str, np.ndarray], keep_all: bool) -> None:
        x = net["x"]  # (steps, *shape), channels last for a convolution
        self.steps = len(x)
        self.source = Source(data=np.moveaxis(x, 0, -1).astype(np.int32))
        self.sinks: dict[int, Sink] = {}
        out = self.source.s_out
        layers = int(net["layers"])
        for i in range(layers):
            weight = net[f"w{i}"].astype(np.int32)
            if weight.ndim == 4:  # (out, kx, ky, in), as Lava wants them
                shape = out.shape
                stride, padding = tuple(net[f"stride{i}"]), tuple(net[f"padding{i}"])
                connection = Conv(weight=weight, input_shape=shape, stride=stride, padding=padding)
            else:
                if len(out.shape) > 1:
                    out = out.flatten()
                connection = Dense(weights=weight)
            out.connect(connection.s_in)
            neurons = LIF(
                shape=connection.a_out.shape, du=int(net[f"du{i}"]), dv=int(net[f"dv{i}"]), vth=int(net[f"vth{i}"]), bias_mant=0
            )
            connection.a_out.connect(neurons.a_in)
            out = neurons.s_out
            if keep_all or i == layers - 1:
                self.sinks[i] = Sink(shape=out.shape, buffer=self.steps)
                out.connect(self.sinks[i].a_in)

    def run(self, steps: int) -> None:
        self.source.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))

    def rasters(self) -> dict[str, np.ndarray]:
        return {f"lif{i}": np.moveaxis(sink.data.get(), -1, 0).astype(np.uint8) for i, sink in self.sinks.items()}

    def stop(self) -> None:
        self.source.stop()


def main() -> None:
    with np.load(sys.argv[1]) as file:
        loaded = dict(file)
    folder = Path(sys.argv[2])
    net = None
    print(f"@{sys.version.split()[0]} {np.__version__}", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        word, *rest = line.split()
        if word == "build":
            net = Net(loaded, "all" in rest)
        elif word == "run":
            net.run(int(rest[0]))
        elif word == "spikes":
            np.savez(folder / "rasters.npz", **net.rasters())
        elif word == "stop":
            net.stop()
        print("@", time.perf_counter() - started, flush=True)
    # Lava's threads would keep the interpreter.
    os._exit(0)


if __name__ == "__main__":
    main()
