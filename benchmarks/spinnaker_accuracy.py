"""What SpiNNaker's fixed point costs: the example networks and the Braille recordings, from float to sPyNNaker's registers.

    python benchmarks/spinnaker_accuracy.py [--seeds N] [--anchors DIR] [--json FILE]

Each network is compiled for spinnaker1 in arithmetic spinnaker1 (digits_dense, which resets by subtraction, with --allow
reset-change) on calibration samples of the training half, then runs on all test images: correct images in float64 (the
reference's bits, in the engine) and in the backend spinnaker, slots of ring buffers that saturated, and where the two part
first: step and layer of the earliest spike that differs, over all images. Several seeds draw other calibration samples. The
Braille networks have one recorded sample: bits in which hidden spikes differ from snnTorch's recording, out of all, in
float64, in spinnaker1, and with SpiNNaker 2's int8 weights (profile and arithmetic spinnaker2) against its own float64.
"""

import sys

# Scripts of this folder must not be found in place of packages.
sys.path.append(sys.path.pop(0))

from pathlib import Path

import numpy as np
from accuracybench import networks, tables
from accuracybench.tables import Row

import spikeport
from spikeport.ir.program import Program
from spikeport.runtime.session import RunResult


def parting(program: Program, ours: RunResult, theirs: RunResult) -> tuple[int, int, str]:
    """Return how many spikes differ, and step (of the model) and layer of the first that does; -1 where none does."""
    lags, first, differing = program.notes.get("lags", {}), (-1, ""), 0
    for path, wanted in theirs.spikes.items():
        late, steps = lags.get(path, 0), wanted.shape[1]
        differs = ours.spikes[path][:, late : late + steps] != wanted
        differing += int(np.count_nonzero(differs))
        found = np.flatnonzero(differs.any(axis=tuple(i for i in range(differs.ndim) if i != 1)))
        if found.size and (first[0] < 0 or int(found[0]) < first[0]):
            first = (int(found[0]), path)
    return differing, *first


def saturated(result: RunResult) -> int:
    """Return the slots of ring buffers that were full."""
    return sum(sum(ring["saturated"]) for ring in result.trace.meta["ring_buffers"].values())


def digits(name: str, seed: int) -> Row:
    """Return what one digits network scores at each step."""
    net = networks.digits(name, "spinnaker1", "spinnaker1", seed)
    theirs = spikeport.run(net.model, net.given, record="all")
    ours = spikeport.run(net.program, net.given, "spinnaker", record="all")
    differing, step, layer = parting(net.program, ours, theirs)
    scores = {key: networks.correct(result, net.labels) for key, result in (("float", theirs), ("spinnaker1", ours))}
    return {
        "network": name, "samples": len(net.given), "seed": seed, **scores, "saturated": saturated(ours),
        "differing": differing, "places": sum(int(a.size) for a in theirs.spikes.values()),
        "first_step": step, "first_layer": layer,
    }  # fmt: skip


def braille(name: str, anchors: Path) -> Row:
    """Return how far one Braille network is from its recording, and SpiNNaker 2's from its own float."""
    net = networks.braille(name, anchors, "spinnaker1", "spinnaker1")
    runs = {
        "float": spikeport.run(net.model, net.x, profile=net.profile, record="all"),
        "spinnaker1": spikeport.run(net.program, net.x, "spinnaker", record="all"),
    }
    found: Row = {"network": name, "places": int(net.wanted.size), "spikes": int(net.wanted.sum())}
    for step, result in runs.items():
        differs = net.differing(result, step != "float")
        found[step] = int(np.count_nonzero(differs))
        found[f"first_{step}"] = int(np.argmax(differs.any(axis=1))) if differs.any() else -1
    own = f"spinnaker2:{net.reset},dt=1e-4"
    narrow, doubles = (
        spikeport.run(net.model, net.x, backend, profile=own, arith=arith, record="all").spikes[networks.HIDDEN]
        for backend, arith in (("spinnaker", "spinnaker2"), ("engine", "float64"))
    )
    found["spinnaker2"] = int(np.count_nonzero(narrow != doubles))
    return found


def show(row: Row) -> str:
    """Return a row of either table."""
    if "spinnaker2" in row:
        return (
            f"{row['network']:34s} {row['spikes']:>7d} {row['places']:>7d} {row['float']:>8d} {row['spinnaker1']:>11d} "
            f"{row['first_spinnaker1']:>6d} {row['spinnaker2']:>11d}"
        )
    points = 100 * (row["spinnaker1"] - row["float"]) / row["samples"]
    return (
        f"{row['network']:18s} {row['seed']:>4d} {row['float']:>8d} {row['spinnaker1']:>11d} {points:>+7.2f} "
        f"{row['differing']:>10,d} of {row['places']:>8,d} {row['saturated']:>11,d}  "
        f"step {row['first_step']} in {row['first_layer']}"
    )


def main() -> int:
    args = tables.parser(__doc__).parse_args()
    heads = (
        f"{'network':18s} {'seed':>4s} {'float64':>8s} {'spinnaker1':>11s} {'points':>7s} {'differing places':>22s} "
        f"{'full slots':>11s}  first difference",
        f"{'recording':34s} {'spikes':>7s} {'places':>7s} {'float64':>8s} {'spinnaker1':>11s} {'first':>6s} "
        f"{'spinnaker2':>11s}  differing places; int8 against its own float64",
    )
    tables.run(args, heads, digits, lambda name: braille(name, args.anchors), show)
    return 0


if __name__ == "__main__":
    sys.exit(main())
