"""The benchmark's networks as somebody who knows Brian2 would write them by hand: cpp_standalone, Brian2's own compiler flags.

    python handwritten.py NETWORK.npz FOLDER

Layers of LIF neurons, all to all, perhaps a recurrent matrix; spikes of every layer are monitored. Builds once, then answers
each line "run" on stdin with a line "@ WALL LOOP": seconds of starting the program, running it and reading its spikes back,
and of its loop over time alone. "spikes" writes FOLDER/rasters.npz.
"""

import sys
import time
from pathlib import Path

import brian2 as b
import numpy as np


def build(net: dict[str, np.ndarray], folder: Path) -> list[b.SpikeMonitor]:
    b.set_device("cpp_standalone", directory=str(folder / "code"), build_on_run=False)
    b.defaultclock.dt = 1 * b.ms
    x, layers = net["x"], int(net["layers"])
    steps, index = np.nonzero(x)
    last = b.SpikeGeneratorGroup(x.shape[1], index, steps * b.ms)
    objects: list[object] = [last]
    monitors = []
    beta, limit = float(net["beta"]), float(net["threshold"])

    def connect(source: object, target: b.NeuronGroup, weight: np.ndarray) -> None:
        synapses = b.Synapses(source, target, "w : 1", on_pre="I_post += w")
        synapses.connect()
        synapses.w = weight.T.ravel()
        objects.append(synapses)

    for i in range(layers):
        weight = net[f"w{i}"]
        # What arrives in a step is taken up in the next one: every layer works a step later than the one before.
        group = b.NeuronGroup(
            len(weight), "v : 1\nI : 1", threshold="v > limit", reset="v = 0", namespace={"beta": beta, "limit": limit}
        )
        group.run_regularly("v = beta*v + I\nI = 0", when="groups")
        connect(last, group, weight)
        if i == 0 and "recurrent" in net:
            connect(group, group, net["recurrent"])
        monitors.append(b.SpikeMonitor(group))
        objects.append(group)
        last = group
    network = b.Network(*objects, *monitors)
    network.run((len(x) + layers) * b.ms)
    b.device.build(directory=str(folder / "code"), compile=True, run=False, with_output=False)
    return monitors


def main() -> None:
    with np.load(sys.argv[1]) as file:
        net = dict(file)
    folder, steps = Path(sys.argv[2]), len(net["x"])
    started = time.perf_counter()
    monitors = build(net, folder)
    print("@", time.perf_counter() - started, flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        if line.strip() == "run":
            b.device.run(with_output=False)
            for monitor in monitors:
                np.asarray(monitor.t_), np.asarray(monitor.i)
            print("@", time.perf_counter() - started, b.device._last_run_time, flush=True)
        elif line.strip() == "spikes":
            rasters = {}
            for i, monitor in enumerate(monitors):
                raster = np.zeros((1, steps, len(net[f"w{i}"])), np.uint8)
                at = np.rint(np.asarray(monitor.t_) / 1e-3).astype(int) - (i + 1)
                inside = at < steps
                raster[0, at[inside], np.asarray(monitor.i)[inside]] = 1
                rasters[f"lif{i}"] = raster
            np.savez(folder / "rasters.npz", **rasters)
            print("@", flush=True)


if __name__ == "__main__":
    main()
