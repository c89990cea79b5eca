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

import argparse
import importlib
import json
from pathlib import Path

import numpy as np
from enginebench.host import host

import spikeport
from spikeport.models.digits import split, winners
from spikeport.runtime.session import RunResult

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = {"digits_conv": (), "digits_rows": (), "digits_dense": ("reset-change",)}
BRAILLE = {
    "braille_noDelay_bias_zero": ("zero", (), "snntorch_activity_noDelay_bias_zero.npy"),
    "braille_noDelay_noBias_subtract": ("subtract", ("reset-change",), "snntorch_activity_noDelay_noBias_subtract.npy"),
}
CALIBRATION = 128


def differing(a: RunResult, b: RunResult) -> int:
    """Return how many values of all arrays of two runs differ."""
    ours, theirs = a.arrays(), b.arrays()
    return sum(int(np.count_nonzero(ours[k] != theirs[k])) for k in ours if k != "meta")


def correct(result: RunResult, labels: np.ndarray) -> int:
    """Return the samples whose class has the most spikes."""
    (counts,) = (out.sum(axis=1) for out in result.out.values())
    return int((winners(counts)[0] == labels).sum())


def digits(name: str, allow: tuple[str, ...], lava: int, seed: int) -> dict[str, object]:
    """Return what one digits network scores at each step."""
    module = importlib.import_module(f"spikeport.models.{name}")
    train_x, train_y, x, y = split()
    chosen = np.random.default_rng(seed).permutation(len(train_x))[:CALIBRATION]
    model = ROOT / "models" / f"{name}.nir"
    data = {"inputs": module.encode(train_x[chosen]), "labels": train_y[chosen]}
    program = spikeport.compile(model, "loihi1", arith="loihi", data=data, allow=allow)
    given = module.encode(x)
    found: dict[str, object] = {"network": name, "samples": len(x), "seed": seed}
    found["float"] = correct(spikeport.run(model, given), y)
    found["integers"] = correct(spikeport.run(program, given), y)
    if lava:
        some, labels = given[:lava], y[:lava]
        real = spikeport.run(program, some, "lava", record="all", record_state=True)
        ours = spikeport.run(program, some, "engine", record="all", record_state=True)
        found |= {"lava": correct(real, labels), "lava_samples": len(some), "differing": differing(real, ours)}
        found["integers_of_these"] = correct(ours, labels)
    return found


def braille(name: str, anchors: Path, lava: bool) -> dict[str, object]:
    """Return how far one Braille network is from its recording."""
    reset, allow, recorded = BRAILLE[name]
    x = np.load(anchors / "braille" / "braille_test_sample0_input.npy")
    wanted = np.load(anchors / "braille" / recorded).astype(np.int64)
    model = spikeport.load(anchors / "braille" / f"{name}.nir")
    profile = f"snntorch:{reset},reset_delay=false,dt=1e-4"
    program = spikeport.compile(model, "loihi1", profile, arith="loihi", data=x, allow=allow)
    found: dict[str, object] = {"network": name, "places": int(wanted.size), "spikes": int(wanted.sum())}
    runs = {
        "float": spikeport.run(model, x, profile=profile, record="all"),
        "integers": spikeport.run(program, x, record="all", record_state=True),
    }
    if lava:
        runs["lava"] = spikeport.run(program, x, "lava", record="all", record_state=True)
        found["differing"] = differing(runs["lava"], runs["integers"])
    for step, result in runs.items():
        late = program.notes["lags"]["lif1.lif"] if step != "float" else 0
        raster = result.spikes["lif1.lif"][late : late + len(x)]
        found[step] = int(np.count_nonzero(raster != wanted))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lava", type=int, default=-1, metavar="N", help="images that Lava runs; 0 none, by default all")
    parser.add_argument("--seeds", type=int, default=1, help="draws of the calibration samples")
    parser.add_argument("--anchors", type=Path, default=ROOT.parent / "shared" / "anchors")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    about = host()
    print(f"{about['cpu']}, {about['cores_usable']} cores, spikeport {about['versions']['spikeport']}\n")
    print(f"{'network':18s} {'float64':>10s} {'integers':>10s} {'points':>7s} {'in Lava':>12s}  differing values Lava/engine")
    for name, allow in NETWORKS.items():
        for seed in range(args.seeds):
            lava = (10**9 if args.lava < 0 else args.lava) if seed == 0 else 0
            row = digits(name, allow, lava, seed)
            rows.append(row)
            points = 100 * (row["integers"] - row["float"]) / row["samples"]  # type: ignore[operator]
            real = f"{row['lava']} of {row['lava_samples']}" if "lava" in row else "-"
            print(
                f"{name:18s} {row['float']:>10d} {row['integers']:>10d} {points:>+7.2f} {real:>12s}  "
                f"{row.get('differing', '-')}",
                flush=True,
            )
    if not (args.anchors / "braille").is_dir():
        print(f"\nno Braille recordings in {args.anchors}: left out")
    else:
        columns = f"{'spikes':>7s} {'places':>7s} {'float64':>8s} {'integers':>9s} {'Lava':>6s}  differing places"
        print(f"\n{'recording':34s} {columns}")
        for name in BRAILLE:
            row = braille(name, args.anchors, args.lava != 0)
            rows.append(row)
            print(
                f"{name:34s} {row['spikes']:>7d} {row['places']:>7d} {row['float']:>8d} {row['integers']:>9d} "
                f"{row.get('lava', '-')!s:>6s}"
            )
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
