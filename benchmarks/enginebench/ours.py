"""Our backend behind the same face as the peers: ready to run, and end to end through the public API."""

import time

import numba
import numpy as np

import spikeport
from enginebench.nets import Case
from enginebench.peer import Peer, Rasters
from spikeport.backends.registry import get_backend
from spikeport.ir.trace import Recording


class Ours(Peer):
    """A backend's executable, given the input as bytes; what it counts for pricing is part of its run."""

    threads = (numba.config.NUMBA_NUM_THREADS,)

    def __init__(self, case: Case, backend: str, arith: str) -> None:
        started = time.perf_counter()
        self.name = f"{backend} {arith}"
        self.net = case.net
        self.program = spikeport.compile(case.net.graph(), None, case.profile, opt=0, arith=arith)
        self.executable = get_backend(backend).emit(self.program)
        (path,) = (n.path for n in self.program.graph if n.op.kind == "Input")
        self.inputs = {path: case.x}
        self.run()
        #: Compile, emit and first run, which may load or build machine code.
        self.first_run_s = time.perf_counter() - started

    def set_threads(self, threads: int) -> None:
        numba.set_num_threads(threads)  # the numba peers change it

    def run(self, keep: bool = False) -> Rasters:
        trace = self.executable.run(self.inputs, Recording(None if keep else ()))
        if keep:
            self.synops = sum(c.synops or 0 for c in trace.counts.values()) / trace.samples
            return dict(trace.spikes)
        (raster,) = trace.out.values()
        return {self.net.layers[-1]: raster}

    def close(self) -> None:
        self.executable.close()


class EndToEnd(Peer):
    """`spikeport.run` on the graph: checking, lowering and preparing the backend are in the time."""

    name = "spikeport.run, end to end"
    threads = Ours.threads
    set_threads = Ours.set_threads

    def __init__(self, case: Case, backend: str) -> None:
        self.net, self.x = case.net, case.x
        self.graph, self.profile, self.backend = case.net.graph(), case.profile, backend

    def run(self, keep: bool = False) -> Rasters:
        record = self.net.layers if keep else ()
        result = spikeport.run(self.graph, self.x, self.backend, profile=self.profile, arith="float32", record=record)
        if keep:
            return {layer: np.asarray(result.spikes[layer]) for layer in self.net.layers}
        (raster,) = result.out.values()
        return {self.net.layers[-1]: raster}
