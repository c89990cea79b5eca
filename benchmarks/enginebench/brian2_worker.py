"""One network in Brian2's cpp_standalone, built once and run as often as asked: a process of its own.

    python brian2_worker.py NETWORK.npz FOLDER KEEP

Reads lines from stdin and answers each on stdout with a line that begins with "@": ``run`` with the seconds of the C++
loop over time (start of the program and loading of arrays left out), ``spikes`` after writing FOLDER/rasters.npz.
"""

import sys
from pathlib import Path

import brian2 as b
import numpy as np


def build(net: dict[str, np.ndarray], folder: Path, keep: bool) -> list[b.SpikeMonitor]:
    """Build the program; return the monitors by layer (with *keep* all, else the last one)."""
    b.set_device("cpp_standalone", directory=str(folder / "code"), build_on_run=False)
    # Exact: no reordered and no fused sums. Single precision like everybody.
    b.prefs.codegen.cpp.extra_compile_args_gcc = ["-w", "-O3", "-march=native", "-fno-fast-math", "-ffp-contract=off"]
    b.prefs.core.default_float_dtype = np.float32
    b.defaultclock.dt = 1 * b.ms
    x, layers = net["x"], int(net["layers"])
    steps, index = np.nonzero(x)
    last = b.SpikeGeneratorGroup(x.shape[1], index, steps * b.ms)
    objects: list[object] = [last]
    monitors = []

    def connect(source: object, target: b.NeuronGroup, weight: np.ndarray) -> None:
        synapses = b.Synapses(source, target, "w : 1", on_pre="I_post += w")
        pre, post = np.indices(weight.T.shape).reshape(2, -1)
        synapses.connect(i=pre, j=post)
        synapses.w = weight.T.ravel()
        objects.append(synapses)

    for i in range(layers):
        weight = net[f"w{i}"]
        # Input of a step arrives after the groups' slot: every layer works a step later than the one before.
        group = b.NeuronGroup(
            len(weight), "v : 1\nI : 1\nbeta : 1 (shared)\nlimit : 1 (shared)", threshold="v > limit", reset="v = 0"
        )
        group.run_regularly("v = beta*v + I\nI = 0", when="groups")
        group.beta, group.limit = float(net["beta"]), float(net["threshold"])
        connect(last, group, weight)
        if i == 0 and "recurrent" in net:
            connect(group, group, net["recurrent"])
        objects.append(group)
        if keep or i == layers - 1:
            monitors.append(b.SpikeMonitor(group))
        last = group
    network = b.Network(*objects, *monitors)
    network.run((len(x) + layers) * b.ms)
    b.device.build(directory=str(folder / "code"), compile=True, run=False, with_output=False)
    return monitors


def main() -> None:
    with np.load(sys.argv[1]) as file:
        net = dict(file)
    folder, keep = Path(sys.argv[2]), sys.argv[3] == "1"
    monitors = build(net, folder, keep)
    layers, steps = int(net["layers"]), len(net["x"])
    names = range(layers) if keep else [layers - 1]
    print("@ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "run":
            b.device.run(with_output=False)
            print("@", b.device._last_run_time, flush=True)
        elif line.strip() == "spikes":
            rasters = {}
            for i, monitor in zip(names, monitors, strict=True):
                raster = np.zeros((1, steps, len(net[f"w{i}"])), np.uint8)
                at = np.rint(np.asarray(monitor.t / b.ms)).astype(int) - (i + 1)
                inside = at < steps
                raster[0, at[inside], np.asarray(monitor.i)[inside]] = 1
                rasters[f"lif{i}"] = raster
            np.savez(folder / "rasters.npz", **rasters)
            print("@", flush=True)


if __name__ == "__main__":
    main()
