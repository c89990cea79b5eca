"""The engine in arithmetic loihi against lava-nc 0.10.0 fixed_pt: the same network and input, equal spikes, both in one run.

    python benchmarks/loihi.py [--rounds 7] [--only TEXT] [--json FILE]

Lava runs in the environment of our backend (`spikeport backends setup lava`) as a program that its users would write: its own
RingBuffer, Dense or Conv, and LIF processes, built once, no value read while time is taken. Every layer's spikes are compared
first, in a program of its own with a sink behind each layer. Times are of a step, start-up excluded: Lava's second and later
calls of run(), the engine's warm runs, one sample, the last layer's raster recorded on both sides. Ratios are Lava's time over
ours, of neighbours in time: median (10th to 90th percentile). Beside them the same with start-up, one first run: building,
compiling and starting Lava's processes, and checking and packing our network. What a process or an installation pays once
(imports on both sides; our kernels, compiled at the first use and kept) is in neither.
"""

import sys

# A script called loihi.py must not be found in place of a package.
sys.path.append(sys.path.pop(0))

import argparse
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from enginebench.clock import spread
from enginebench.host import host

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.backends.engine.walk import make_ready
from spikeport.backends.environments import python_of
from spikeport.backends.lava.environment import KIT
from spikeport.ir import Edge, Graph, Node, parse_profile
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import LIF, Conv2d, Discrete, Extras, Flatten, Input, Linear, Op, Output
from spikeport.ir.trace import Recording

WORKER = Path(__file__).resolve().parent / "loihibench" / "lava_worker.py"
#: Bars: times that the engine is faster per step.
DENSE_BAR, BAR = 600, 100
DV, STEPS = 410, 100


@dataclass(frozen=True)
class Case:
    """A chain of layers, each weights and LIF neurons of threshold *vth* << 6, and the share of inputs that spike a step."""

    name: str
    shape: tuple[int, ...]
    layers: tuple[tuple[Op, int], ...]
    rate: float
    bar: int

    def network(self) -> StepNetwork:
        """Return it on Loihi's grid."""
        nodes, edges = [Node("in", Input(self.shape))], []
        before, shape = "in", self.shape
        for i, (op, vth) in enumerate(self.layers):
            if isinstance(op, Linear) and len(shape) > 1:
                nodes.append(Node(f"flat{i}", Flatten(0, -1)))
                edges.append(Edge(before, f"flat{i}", 0))
                before, shape = f"flat{i}", (int(np.prod(shape)),)
            shape = op.output_shape(shape)
            discrete = Discrete(1e-4, "euler", "nir", np.asarray((4096 - DV) / 4096), np.asarray(64.0))
            ones = np.ones(shape)
            lif = LIF(1e-4 * 4096 / DV * ones, ones, 0 * ones, vth * 64 * ones, 0 * ones, extras=Extras(discrete))
            nodes += [Node(f"w{i}", op), Node(f"lif{i}", lif)]
            edges += [Edge(before, f"w{i}", 0), Edge(f"w{i}", f"lif{i}", 1)]
            before = f"lif{i}"
        nodes.append(Node("out", Output(shape)))
        edges.append(Edge(before, "out", 0))
        return build_network(Graph(tuple(nodes), tuple(edges)), parse_profile("lava,dt=1e-4"), "loihi")


def cases() -> tuple[Case, ...]:
    """Return the networks: even weights of both signs, thresholds for a few per cent of spikes."""
    rng = np.random.default_rng(0)

    def dense(n_in: int, n_out: int, spread: float = 30.0) -> Linear:
        return Linear(2.0 * np.clip(np.rint(rng.normal(spread / 15, spread, (n_out, n_in))), -127, 126))

    def conv(c_in: int, c_out: int, stride: int) -> Conv2d:
        weight = 2.0 * np.clip(np.rint(rng.normal(1, 30, (c_out, c_in, 3, 3))), -127, 126)
        return Conv2d(None, weight, (stride, stride), (1, 1), (1, 1), 1, np.zeros(c_out))

    return (
        Case("dense 784-256-256-10", (784,), ((dense(784, 256), 1500), (dense(256, 256), 700), (dense(256, 10), 400)), 0.05,
             DENSE_BAR),
        Case("100 neurons, dense 100-100", (100,), ((dense(100, 100), 500),), 0.05, BAR),
        Case("1,000 neurons, dense 256-500-500", (256,), ((dense(256, 500), 900), (dense(500, 500), 900)), 0.05, BAR),
        Case("10,000 neurons, dense 256-10,000", (256,), ((dense(256, 10_000), 900),), 0.05, BAR),
        Case("10,000 neurons, dense 2,000-5,000-5,000", (2000,),
             ((dense(2000, 5000, 15.0), 1500), (dense(5000, 5000, 15.0), 2800)), 0.05, BAR),
        Case("convolution 2x32x32, 8 and 16 channels", (2, 32, 32), ((conv(2, 8, 2), 250), (conv(8, 16, 2), 400)), 0.05, BAR),
    )  # fmt: skip


class Lava:
    """The hand-written Lava program in a process of its own."""

    def __init__(self, python: Path, case: Case, x: np.ndarray) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="spikeport-lava-bench-")
        arrays: dict[str, object] = {"layers": len(case.layers), "x": np.moveaxis(x, 1, -1) if x.ndim == 4 else x}
        shape = case.shape
        for i, (op, vth) in enumerate(case.layers):
            weight = np.asarray(op.parameters()["weight"])
            if isinstance(op, Conv2d):
                # Over (C, x, y) ours correlates; over (x, y, C) Lava's convolves.
                arrays |= {
                    f"w{i}": weight[:, :, ::-1, ::-1].transpose(0, 2, 3, 1),
                    f"stride{i}": op.stride,
                    f"padding{i}": op.padding,
                }
            else:
                arrays[f"w{i}"] = weight
            arrays |= {f"du{i}": 4095, f"dv{i}": DV, f"vth{i}": vth}
            shape = op.output_shape(shape)
        file = Path(self.folder.name, "net.npz")
        np.savez(file, **arrays)  # type: ignore[arg-type]
        self.process = subprocess.Popen(
            [str(python), str(WORKER), str(file), self.folder.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        #: Versions of Python and numpy there.
        self.versions = self.answer()

    def answer(self) -> str:
        """Return what the program says next."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@"):
                return line[1:].strip()
        raise SystemExit("the Lava program ended: run it by hand to see why")

    def ask(self, word: str) -> float:
        """Return the seconds that *word* took there."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return float(self.answer())

    def rasters(self) -> dict[str, np.ndarray]:
        """Return the spikes of every layer, channels first."""
        self.ask("spikes")
        with np.load(Path(self.folder.name, "rasters.npz")) as file:
            return {k: np.moveaxis(a, -1, 1) if a.ndim == 4 else a for k, a in file.items()}

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Hold its processes, which look for work all the time, while ours is timed."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the program."""
        if self.process.poll() is None:
            self.ask("stop")
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait(30)
        self.folder.cleanup()


def compare(case: Case, python: Path, x: np.ndarray, ours: Mapping[str, np.ndarray]) -> None:
    """Compare the spikes of all layers, from the first step on."""
    lava = Lava(python, case, x)
    try:
        lava.ask("build all")
        lava.ask(f"run {STEPS}")
        for name, raster in lava.rasters().items():
            different = int(np.count_nonzero(raster.astype(np.int64) != ours[name][0]))
            if different:
                raise SystemExit(f"{case.name}: {different} bits of {name} differ")
    finally:
        lava.close()


def measure(case: Case, python: Path, rounds: int) -> dict[str, object]:
    """Return both sides' times on *case*, after comparing every layer's spikes."""
    x = (np.random.default_rng(1).random((STEPS, *case.shape)) < case.rate).astype(np.uint8)
    layers = tuple(f"lif{i}" for i in range(len(case.layers)))
    began = time.perf_counter()
    with EngineExecutable(case.network()) as engine:
        engine.run({"in": x[None]})
        ours_with_start = time.perf_counter() - began
        trace = engine.run({"in": x[None]}, Recording(layers))
        compare(case, python, x, trace.spikes)
        ratios, ours, theirs = [], [], []
        lava = Lava(python, case, x)
        try:
            lava_with_start = lava.ask("build") + lava.ask(f"run {STEPS}")
            for _ in range(rounds):
                theirs.append(lava.ask(f"run {STEPS}") / STEPS)
                quick = []
                with lava.paused():
                    for _ in range(20):
                        began = time.perf_counter()
                        engine.run({"in": x[None]})
                        quick.append((time.perf_counter() - began) / STEPS)
                ours.append(float(np.median(quick)))
                ratios.append(theirs[-1] / ours[-1])
        finally:
            lava.close()
    return {
        "case": case.name, "spikes_per_step": {p: float(trace.spikes[p].sum()) / STEPS for p in layers},
        "ours_us": 1e6 * float(np.median(ours)), "lava_us": 1e6 * float(np.median(theirs)), "ratio": spread(ratios),
        "ours_with_start_s": ours_with_start, "lava_with_start_s": lava_with_start,
        "with_start": lava_with_start / ours_with_start, "bar": case.bar, "lava_versions": lava.versions,
        "reached": float(np.median(ratios)) >= case.bar,
    }  # fmt: skip


def _shown(ratio: object) -> str:
    r: dict[str, float] = dict(ratio)  # type: ignore[call-overload]
    return f"{r['median']:.0f} ({r['p10']:.0f} to {r['p90']:.0f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name holds TEXT")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    place, why = KIT.find()
    if place is None:
        print(f"{why}: {KIT.remedy}", file=sys.stderr)
        return 5
    about = host()
    print(f"{about['cpu']}, {about['cores_usable']} cores, load {about['load_before']}; Lava: {why}")
    for dtype in (np.float32, np.float64):
        make_ready(dtype)
    print(f"all times measured, {STEPS} steps a run, {args.rounds} rounds\n")
    print(
        f"{'network':42s} {'ours, us':>9s} {'Lava, us':>9s} {'ratio of a step':>24s} {'with start-up: Lava / ours':>30s}  bar"
    )
    rows = []
    for case in cases():
        if args.only not in case.name:
            continue
        row = measure(case, python_of(place), args.rounds)
        rows.append(row)
        start = f"{row['lava_with_start_s']:.2f} s / {row['ours_with_start_s']:.3f} s = {row['with_start']:.0f}"
        print(
            f"{case.name:42s} {row['ours_us']:9.2f} {row['lava_us']:9.0f} {_shown(row['ratio']):>24s} {start:>30s}  "
            f"{case.bar} {'reached' if row['reached'] else 'MISSED'}",
            flush=True,
        )
    if args.json is not None:
        args.json.write_text(json.dumps({"host": about, "rows": rows}, indent=1, default=str), encoding="utf-8")
    return 0 if all(r["reached"] for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
