"""A convolutional graph of a million neurons: loaded, checked, mapped on as many chips as it takes, priced for a stated rate.

    python benchmarks/million.py [TARGET] [RATE_HZ]

Prints the seconds of each part and the peak memory of the process; the bounds to keep are 30 s and 2 GB on loihi2.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from spikeport.compiler.importers.nir_file import load_nir
from spikeport.compiler.mapping import map_graph
from spikeport.hw_profiles.target import load_target
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.nir_io import save_nir
from spikeport.ir.ops import LIF, Affine, Conv2d, Flatten, Input, Op, Output, SumPool2d
from spikeport.ir.profiles import parse_profile
from spikeport.ir.verify import verify
from spikeport.runtime.report import StatedRates, price

PROFILE = "snntorch:zero,dt=1e-3,reset_delay=no"


def lif(shape: tuple[int, ...]) -> LIF:
    """Return LIF neurons with the same parameters, each with numbers of its own in memory, as a file gives them."""
    full = [np.full(shape, value, np.float32) for value in (0.02, 1.0, 0.0, 1.0, 0.0)]
    return LIF(*full)


def build() -> Graph:
    """Return the network: 1,000,000 neurons in five convolutional and two dense layers."""
    rng = np.random.default_rng(0)
    side = 128
    nodes, edges, last = [Node("input", Input((2, side, side)))], [], "input"

    def add(path: str, op: Op) -> None:
        nonlocal last
        nodes.append(Node(path, op))
        edges.append(Edge(last, path))
        last = path

    channels = 2
    for number, (wide, pool) in enumerate(((16, False), (24, True), (64, False), (16, True), (16, True))):
        kernel = rng.normal(0, 0.1, (wide, channels, 3, 3)).astype(np.float32)
        add(f"conv{number}", Conv2d(None, kernel, (1, 1), (1, 1), (1, 1), 1, np.zeros(wide, np.float32)))
        add(f"lif{number}", lif((wide, side, side)))
        channels = wide
        if pool:
            add(f"pool{number}", SumPool2d((2, 2), (2, 2), (0, 0)))
            side //= 2
    add("flatten", Flatten(0, -1))
    inputs = channels * side * side
    for name, size in (("hidden", 566), ("readout", 10)):
        weight = rng.normal(0, 0.1, (size, inputs)).astype(np.float32)
        add(f"{name}.fc", Affine(weight, np.zeros(size, np.float32)))
        add(name, lif((size,)))
        inputs = size
    add("output", Output((10,)))
    return Graph(nodes, edges)


def main() -> None:
    target_name = sys.argv[1] if len(sys.argv) > 1 else "loihi2"
    rate_hz = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    seconds, started = {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal started
        seconds[name] = round(time.perf_counter() - started, 3)
        started = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "million.nir"
        save_nir(build(), file)
        lap("build and write")
        graph, _ = load_nir(file)
    lap("load")
    profile, target = parse_profile(PROFILE), load_target(target_name)
    verify(graph, profile)
    lap("check")
    program = map_graph(graph, profile, target)
    lap("map")
    report = price(program, StatedRates(rate_hz, steps=100), target)
    lap("price")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {
        "target": target_name, "neurons": report.neurons, "synapses": report.synapses, "chips": report.chips,
        "cores": report.cores, "rate_hz": rate_hz, "energy_j_per_sample": report.energy_known.per_sample.value,
        "chip_time_s_per_sample": report.chip_time.per_sample.value, "seconds": seconds,
        "seconds_total": round(sum(seconds.values()), 3), "peak_bytes": peak,
    }  # fmt: skip
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
