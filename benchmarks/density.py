"""Where the engine's two ways to do the same sum cost the same: the constants DENSE_ABOVE and sparse_below's.

    python benchmarks/density.py [--quick] [--only inputs|weights]

inputs: one LIF layer by events against rows together, by the share of active inputs; `backends/engine/dense.py` has
the crossover as DENSE_ABOVE. weights: one LIF layer held sparse against dense, by the share of non-zero weights;
`backends/engine/connections.py` has it in sparse_below. Both ways give the same bits and run in turns, one thread, the
median of the rounds is shown. Ways are compiled anew in processes of their own, since kernels are compiled with the
constant in them: a minute passes before the first line appears, several before the last (a third of that with --quick).
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
from rich.console import Console
from rich.table import Table

SHAPES = ((64, 64), (256, 256), (512, 512), (1024, 1024), (2048, 2048))
INPUTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
WEIGHTS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2)
#: Share of active inputs where the share of weights is varied: what a spiking layer usually sees.
ACTIVITY = 0.1
#: Products that a run is made long enough for, and seconds of a turn.
PRODUCTS, TURN_S = 3e7, 0.02


@dataclass(frozen=True)
class Spec:
    """One layer, its input, and whether its weights are held sparse."""

    arithmetic: str
    n_in: int
    n_out: int
    active: float
    weights: float = 1.0
    is_graded: bool = False
    is_sparse: bool = False

    @property
    def steps(self) -> int:
        """Steps of a run, a multiple of four."""
        return 4 * int(np.clip(PRODUCTS / (4 * self.n_in * self.n_out), 4, 250))


def executable(spec: Spec) -> tuple:
    """Return the layer ready to run, and its input."""
    from spikeport.backends.engine import connections
    from spikeport.backends.engine.execute import EngineExecutable
    from spikeport.backends.testing.sketch import chain
    from spikeport.ir.network import build_network
    from spikeport.ir.ops import LIF, Linear
    from spikeport.ir.profiles import parse_profile

    rng = np.random.default_rng(0)
    shape = (spec.n_out, spec.n_in)
    weight = np.where(rng.random(shape) < spec.weights, rng.normal(0, 1, shape), 0.0)
    neurons = LIF(*(np.full(spec.n_out, value) for value in (0.02, 20.0, 0.0, np.sqrt(spec.n_in), 0.0)))
    graph = chain(Linear(weight), neurons, shape=(spec.n_in,))
    x = (rng.random((1, spec.steps, spec.n_in)) < spec.active).astype(np.uint8)
    if spec.is_graded:
        x = x * rng.uniform(0.5, 1.5, x.shape)
    connections.sparse_below = lambda _: 2.0 if spec.is_sparse else 0.0  # read when a plan is made
    engine = EngineExecutable(build_network(graph, parse_profile("norse:subtract,dt=1e-3"), spec.arithmetic), threads=1)
    inputs = {"input": x.astype(np.float32) if spec.is_graded and spec.arithmetic == "float32" else x}
    engine.run(inputs)
    return engine, inputs


def serve(pipe: Connection, dense_above: float, cache: str) -> None:
    """Build and time what comes through the pipe, in an engine compiled with *dense_above*."""
    os.environ["NUMBA_CACHE_DIR"] = cache
    from spikeport.backends.engine import dense

    dense.DENSE_ABOVE = dense_above
    made: tuple = ()
    while (asked := pipe.recv()) is not None:
        if isinstance(asked, Spec):
            made = executable(asked)
            pipe.send(0.0)
            continue
        engine, inputs = made
        found, ended = [], time.perf_counter() + TURN_S
        while len(found) < 3 or time.perf_counter() < ended:
            found.append(engine.run(inputs).seconds["run"])
        pipe.send(float(np.median(found)))


class Worker:
    """A process with an engine of its own."""

    def __init__(self, stack: ExitStack, dense_above: float) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        cache = stack.enter_context(tempfile.TemporaryDirectory())
        self.process = context.Process(target=serve, args=(there, dense_above, cache), daemon=True)
        self.process.start()
        there.close()  # so that a worker that dies ends the wait for it
        stack.callback(self.close)

    def ask(self, question: object) -> float:
        self.pipe.send(question)
        return self.pipe.recv()

    def close(self) -> None:
        self.pipe.send(None)
        self.process.join()


def compare(one: Worker, two: Worker, first: Spec, second: Spec, rounds: int) -> float:
    """Return how much longer *first* takes in *one* than *second* in *two*: the median over neighbours in time."""
    one.ask(first)
    two.ask(second)
    return float(np.median([one.ask("time") / two.ask("time") for _ in range(rounds)]))


def crossover(shares: tuple[float, ...], ratios: list[float]) -> str:
    """Return the share at which the ratio passes 1 upwards, between its neighbours on a straight line."""
    for k in range(1, len(shares)):
        if ratios[k - 1] < 1 <= ratios[k]:
            part = (1 - ratios[k - 1]) / (ratios[k] - ratios[k - 1])
            return f"{shares[k - 1] + part * (shares[k] - shares[k - 1]):.3g}"
    return f"above {shares[-1]:g}" if ratios[-1] < 1 else f"below {shares[0]:g}"


def table(title: str, shares: tuple[float, ...]) -> Table:
    found = Table(title=title, title_justify="left", title_style="bold")
    found.add_column("layer")
    for share in shares:
        found.add_column(f"{share:.3g}", justify="right")
    found.add_column("crossover", justify="right")
    return found


def measure(console: Console, kind: str, arithmetics: tuple[str, ...], rounds: int, workers: tuple[Worker, Worker]) -> None:
    """Print the ratios of one kind by the share that is varied."""
    shares = INPUTS if kind == "inputs" else WEIGHTS
    name = "by events / rows together, by active inputs" if kind == "inputs" else "sparse / dense, by non-zero weights"
    found = table(f"time {name}", shares)
    for arithmetic in arithmetics:
        for n_in, n_out in SHAPES:
            for is_graded in (False, True):
                ratios = []
                for share in shares:
                    if kind == "inputs":
                        first = second = Spec(arithmetic, n_in, n_out, share, is_graded=is_graded)
                    else:
                        first = Spec(arithmetic, n_in, n_out, ACTIVITY, share, is_graded, is_sparse=True)
                        second = Spec(arithmetic, n_in, n_out, ACTIVITY, share, is_graded)
                    ratios.append(compare(*workers, first, second, rounds))
                label = f"{arithmetic} {n_in} -> {n_out}, {'graded' if is_graded else 'spikes'}"
                found.add_row(label, *(f"{r:.2f}" for r in ratios), crossover(shares, ratios))
    console.print(found)


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="float32 alone, few rounds")
    parser.add_argument("--only", choices=("inputs", "weights"), help="one of the two tables")
    options = parser.parse_args(given)
    console = Console(width=max(140, Console().width), highlight=False)
    if os.getloadavg()[0] > 0.5:
        console.print(f"load {os.getloadavg()[0]:.1f}: others work on this machine, ratios will spread", style="yellow")
    arithmetics = ("float32",) if options.quick else ("float32", "float64")
    rounds = 5 if options.quick else 9
    with ExitStack() as stack:
        # Above 1 nothing is dense, below 0 everything is. Sparse weights are summed by events either way.
        workers = Worker(stack, 2.0), Worker(stack, -1.0)
        if options.only != "weights":
            measure(console, "inputs", arithmetics, rounds, workers)
        if options.only != "inputs":
            events = workers[0], Worker(stack, 2.0)
            measure(console, "weights", arithmetics, rounds, events)
    return 0


if __name__ == "__main__":
    sys.exit(main())
