"""What Loihi's integers cost: the example networks and the Braille recordings, from float to integers to real Lava.

    python benchmarks/loihi_accuracy.py [--lava N] [--seeds N] [--anchors DIR] [--json FILE]

Each network is compiled for loihi1 (digits_dense, which resets by subtraction, with --allow reset-change) on calibration
samples of the training half, then runs on all test images: correct images in float64 (the reference's bits, in the engine), in
Loihi's integers in the engine, and in lava-nc's fixed_pt on the first N images (0: all), with the bits in which Lava and the
engine differ over every spike, current and membrane. The Braille networks have one recorded sample: bits in which hidden
spikes differ from snnTorch's recording, out of all. Several seeds draw other calibration samples.
"""

import sys

# Scripts of this folder must not be found in place of packages.
sys.path.append(sys.path.pop(0))

from pathlib import Path

import numpy as np
from accuracybench import networks, tables
from accuracybench.tables import Row

import spikeport
from spikeport.runtime.session import RunResult


def differing(a: RunResult, b: RunResult) -> int:
    """Return how many values of all arrays of two runs differ."""
    ours, theirs = a.arrays(), b.arrays()
    return sum(int(np.count_nonzero(ours[k] != theirs[k])) for k in ours if k != "meta")


def digits(name: str, seed: int, lava: int) -> Row:
    """Return what one digits network scores at each step."""
    net = networks.digits(name, "loihi1", "loihi", seed)
    found: Row = {"network": name, "samples": len(net.given), "seed": seed}
    found["float"] = networks.correct(spikeport.run(net.model, net.given), net.labels)
    found["integers"] = networks.correct(spikeport.run(net.program, net.given), net.labels)
    if lava:
        some, labels = net.given[:lava], net.labels[:lava]
        real = spikeport.run(net.program, some, "lava", record="all", record_state=True)
        ours = spikeport.run(net.program, some, "engine", record="all", record_state=True)
        found |= {"lava": networks.correct(real, labels), "lava_samples": len(some), "differing": differing(real, ours)}
        found["integers_of_these"] = networks.correct(ours, labels)
    return found


def braille(name: str, anchors: Path, lava: bool) -> Row:
    """Return how far one Braille network is from its recording."""
    net = networks.braille(name, anchors, "loihi1", "loihi")
    found: Row = {"network": name, "places": int(net.wanted.size), "spikes": int(net.wanted.sum())}
    runs = {
        "float": spikeport.run(net.model, net.x, profile=net.profile, record="all"),
        "integers": spikeport.run(net.program, net.x, record="all", record_state=True),
    }
    if lava:
        runs["lava"] = spikeport.run(net.program, net.x, "lava", record="all", record_state=True)
        found["differing"] = differing(runs["lava"], runs["integers"])
    for step, result in runs.items():
        found[step] = int(np.count_nonzero(net.differing(result, step != "float")))
    return found


def show(row: Row) -> str:
    """Return a row of either table."""
    if "places" in row:
        return (
            f"{row['network']:34s} {row['spikes']:>7d} {row['places']:>7d} {row['float']:>8d} {row['integers']:>9d} "
            f"{row.get('lava', '-')!s:>6s}"
        )
    points = 100 * (row["integers"] - row["float"]) / row["samples"]
    real = f"{row['lava']} of {row['lava_samples']}" if "lava" in row else "-"
    return (
        f"{row['network']:18s} {row['float']:>10d} {row['integers']:>10d} {points:>+7.2f} {real:>12s}  "
        f"{row.get('differing', '-')}"
    )


def main() -> int:
    parser = tables.parser(__doc__)
    parser.add_argument("--lava", type=int, default=-1, metavar="N", help="images that Lava runs; 0 none, by default all")
    args = parser.parse_args()
    most = 10**9 if args.lava < 0 else args.lava
    heads = (
        f"{'network':18s} {'float64':>10s} {'integers':>10s} {'points':>7s} {'in Lava':>12s}  differing values Lava/engine",
        f"{'recording':34s} {'spikes':>7s} {'places':>7s} {'float64':>8s} {'integers':>9s} {'Lava':>6s}  differing places",
    )
    tables.run(
        args, heads, lambda name, seed: digits(name, seed, most if seed == 0 else 0),
        lambda name: braille(name, args.anchors, most != 0), show,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
