"""Our Brian2 backend in its mode cpp_standalone against a Brian2 script written by hand for the same network.

    python benchmarks/brian2.py [--rounds 15] [--only TEXT] [--tiny] [--anchors DIR] [--json FILE]

Both run in turns, warm, float64, one sample, spikes of every layer recorded and read back; spikes are compared first. Wall is
what a user waits for: program started, parameters and input read, run, spikes read back (ours: into rasters and counts, too).
Loop is the C++ loop over time alone. Ratios are ours over theirs, of neighbours in time: median (10th to 90th percentile).
Beside them: seconds to generate and to compile, memory for a synapse, and the peak memory of the convolutional network.
"""

import sys

# A script called brian2.py must not be found in place of the package.
sys.path.append(sys.path.pop(0))

import argparse
import json
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from enginebench import nets
from enginebench.clock import spread
from enginebench.host import host
from enginebench.nets import ConvNet, LifNet

from spikeport.backends.brian2 import Brian2Backend
from spikeport.backends.brian2.standalone import StandaloneProgram
from spikeport.compiler.driver import lower
from spikeport.ir.fanout import synapse_count
from spikeport.ir.network import build_network
from spikeport.ir.trace import Recording

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = Path(__file__).resolve().parent / "brian2bench" / "handwritten.py"
#: Bars: warm run over the hand-written script's, seconds to generate, bytes for the convolutional network.
WARM, GENERATE_S, MEMORY = 1.5, 0.5, 2e9


class ByHand:
    """The hand-written script in a process of its own."""

    def __init__(self, net: LifNet, x: np.ndarray) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="spikeport-byhand-")
        arrays = {f"w{i}": w.astype(float) for i, w in enumerate(net.weights)}
        arrays |= {"x": x[0], "layers": len(net.weights), "beta": net.beta, "threshold": net.threshold}
        if net.recurrent is not None:
            arrays["recurrent"] = net.recurrent.astype(float)
        file = Path(self.folder.name, "net.npz")
        np.savez(file, **arrays)
        self.log = open(Path(self.folder.name, "log.txt"), "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), str(file), self.folder.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip
        (self.build_s,) = self.answer()

    def answer(self) -> tuple[float, ...]:
        for line in self.process.stdout:
            if line.startswith("@"):
                return tuple(map(float, line[1:].split()))
        raise RuntimeError(Path(self.folder.name, "log.txt").read_text("utf-8")[-3000:])

    def ask(self, word: str) -> tuple[float, ...]:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.answer()

    def rasters(self) -> dict[str, np.ndarray]:
        self.ask("run")
        self.ask("spikes")
        with np.load(Path(self.folder.name, "rasters.npz")) as file:
            return dict(file)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()


def measure(net: LifNet, x: np.ndarray, rounds: int) -> dict:
    """Return the case's numbers: ours and the hand-written script's, in turns."""
    program = lower(net.graph(), None, nets.LIF_PROFILE, opt=0)
    recording = Recording(None, False)
    with Brian2Backend("cpp_standalone").emit(program) as ours:
        first = ours.run({"in": x}, recording)
        theirs = ByHand(net, x)
        try:
            spikes = theirs.rasters()
            differ = {p: int((spikes[p] != first.spikes[p]).sum()) for p in spikes}
            rows = []
            for _ in range(rounds):
                started = time.perf_counter()
                trace = ours.run({"in": x}, recording)
                wall = time.perf_counter() - started
                rows.append((wall, trace.seconds["loop"], *theirs.ask("run")))
        finally:
            theirs.close()
    wall, loop, their_wall, their_loop = np.array(rows).T
    synapses = sum(w.size for w in net.weights) + (0 if net.recurrent is None else net.recurrent.size)
    return {
        "name": net.name, "samples": len(x), "steps": x.shape[1], "rounds": rounds, "spikes_differ": differ,
        "spikes": int(sum(int(r.sum()) for r in spikes.values())), "synapses": synapses,
        "ours_ms": {"wall": spread(1e3 * wall), "loop": spread(1e3 * loop)},
        "by_hand_ms": {"wall": spread(1e3 * their_wall), "loop": spread(1e3 * their_loop)},
        "ratio": {"wall": spread(wall / their_wall), "loop": spread(loop / np.maximum(their_loop, 1e-9))},
        "first_s": dict(first.seconds), "by_hand_build_s": theirs.build_s,
    }  # fmt: skip


def generation(net: LifNet, x: np.ndarray) -> dict:
    """Return the seconds that it takes to make Brian2 objects of the network, Brian2 itself loaded already."""
    program = lower(net.graph(), None, nets.LIF_PROFILE, opt=0)
    found = []
    for _ in range(4):
        with Brian2Backend("numpy").emit(program) as executable:
            found.append(executable.run({"in": x[:, :1]}, Recording()).seconds["generate"])
    return spread(found[1:])


def convolution(file: Path, steps: int) -> dict:
    """Return time and peak memory of the convolutional network, ours only: each kernel is stored once."""
    net = ConvNet.load(file)
    x = nets.bernoulli((1, steps, 2, 34, 34), 0.06, seed=1)
    program = lower(net.graph(), None, nets.CONV_PROFILE, opt=0)
    network = build_network(program.graph, program.profile, "float64")
    engine_spikes = _engine(program, x)
    with Brian2Backend("cpp_standalone").emit(program) as ours:
        (name,) = program.graph.inputs
        first = ours.run({name: x}, Recording(None, False))
        walls = []
        for _ in range(5):
            started = time.perf_counter()
            ours.run({name: x}, Recording(None, False))
            walls.append(1e3 * (time.perf_counter() - started))
        layout = next(layout for layout, program in ours._programs.values() if isinstance(program, StandaloneProgram))
    synapses = sum(synapse_count(op, network.shapes.input[p]) for p, op in network.ops.items() if op.is_weighted)
    kept = sum(v.nbytes for k, v in layout.values.items() if k.startswith("kernel_") or k.endswith(".w"))
    peak = [resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "name": net.name, "steps": steps, "synapses": synapses, "bytes_of_weights": kept, "bytes_a_synapse": kept / synapses,
        "spikes_differ": {p: int((first.spikes[p] != s).sum()) for p, s in engine_spikes.items()},
        "ours_ms": spread(walls), "peak_bytes": {"this process": peak[0], "largest child (compiler included)": peak[1]},
    }  # fmt: skip


def _engine(program: object, x: np.ndarray) -> dict[str, np.ndarray]:
    import spikeport

    return spikeport.run(program, x, record="all").trace.spikes


def show(case: dict) -> None:
    def text(value: dict) -> str:
        return f"{value['median']:.3g} ({value['p10']:.3g} to {value['p90']:.3g})"

    print(f"{case['name']}: {case['synapses']:,} synapses, {case['steps']} steps, {case['spikes']:,} spikes", flush=True)
    print(f"  values that differ in spikes: {case['spikes_differ']}")
    for what in ("wall", "loop"):
        print(f"  {what}: ours {text(case['ours_ms'][what])} ms, by hand {text(case['by_hand_ms'][what])} ms, "
              f"ratio {text(case['ratio'][what])}")  # fmt: skip
    print(f"  first run: ours {case['first_s']['generate']:.1f} + {case['first_s']['compile']:.1f} s (0: compiled before), "
          f"by hand {case['by_hand_build_s']:.1f} s")  # fmt: skip


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--tiny", action="store_true", help="tiny networks: tries the script, says nothing about speed")
    parser.add_argument("--anchors", type=Path, metavar="DIR", default=ROOT.parent / "shared" / "anchors")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(given)
    machine = host()
    print(f"{machine['cpu']}, {machine['cores_usable']} cores, load {machine['load_before']}")
    steps = 20 if options.tiny else 100
    dense = nets.dense_net((30, 20, 20, 5)) if options.tiny else nets.dense_net()
    recurrent = nets.recurrent_net(100, 20) if options.tiny else nets.recurrent_net()
    results, missed = [], []
    for net in (dense, recurrent):
        if options.only in net.name:
            x = nets.bernoulli((1, steps, net.weights[0].shape[1]), 0.05, seed=1)
            case = measure(net, x, options.rounds) | {"generate_s": generation(net, x)}
            show(case)
            print(f"  generation of the objects: {case['generate_s']['median']:.3f} s")
            results.append(case)
            missed += [f"{net.name}: spikes differ"] if any(case["spikes_differ"].values()) else []
            missed += (
                [f"{net.name}: {case['ratio']['wall']['median']:.2f} times"] if case["ratio"]["wall"]["median"] > WARM else []
            )
            missed += [f"{net.name}: generation"] if case["generate_s"]["median"] > GENERATE_S else []
    file = options.anchors / "cnn" / "cnn_sinabs.nir"
    if file.is_file() and options.only in "conv":
        case = convolution(file, 5 if options.tiny else 300)
        print(f"{case['name']}: {case['synapses']:,} synapses, {case['bytes_a_synapse']:.3g} B of weights a synapse, "
              f"{case['ours_ms']['median']:.0f} ms; differ {case['spikes_differ']}; peak "
              + ", ".join(f"{k} {v / 1e6:.0f} MB" for k, v in case["peak_bytes"].items()))  # fmt: skip
        results.append(case)
        missed += ["conv: memory"] if max(case["peak_bytes"].values()) > MEMORY else []
        missed += ["conv: spikes differ"] if any(case["spikes_differ"].values()) else []
    print("bars: " + ("all reached" if not missed else "missed: " + "; ".join(missed)))
    if options.json:
        options.json.write_text(json.dumps({"host": machine, "cases": results, "missed": missed}, indent=1), "utf-8")
    return int(bool(missed)) if not options.tiny else int(any("differ" in m for m in missed))


if __name__ == "__main__":
    raise SystemExit(main())
