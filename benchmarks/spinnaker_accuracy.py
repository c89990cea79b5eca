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

import argparse
import importlib
import json
from pathlib import Path

import numpy as np
from enginebench.host import host

import spikeport
from spikeport.ir.program import Program
from spikeport.models.digits import split, winners
from spikeport.runtime.session import RunResult

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = {"digits_conv": (), "digits_rows": (), "digits_dense": ("reset-change",)}
BRAILLE = {
    "braille_noDelay_bias_zero": ("zero", (), "snntorch_activity_noDelay_bias_zero.npy"),
    "braille_noDelay_noBias_subtract": ("subtract", ("reset-change",), "snntorch_activity_noDelay_noBias_subtract.npy"),
}
CALIBRATION = 128


def correct(result: RunResult, labels: np.ndarray) -> int:
    """Return the samples whose class has the most spikes."""
    (counts,) = (out.sum(axis=1) for out in result.out.values())
    return int((winners(counts)[0] == labels).sum())


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


def digits(name: str, allow: tuple[str, ...], seed: int) -> dict[str, object]:
    """Return what one digits network scores at each step."""
    module = importlib.import_module(f"spikeport.models.{name}")
    train_x, train_y, x, y = split()
    chosen = np.random.default_rng(seed).permutation(len(train_x))[:CALIBRATION]
    model = ROOT / "models" / f"{name}.nir"
    data = {"inputs": module.encode(train_x[chosen]), "labels": train_y[chosen]}
    program = spikeport.compile(model, "spinnaker1", arith="spinnaker1", data=data, allow=allow)
    given = module.encode(x)
    theirs = spikeport.run(model, given, record="all")
    ours = spikeport.run(program, given, "spinnaker", record="all")
    differing, step, layer = parting(program, ours, theirs)
    places = sum(int(a.size) for a in theirs.spikes.values())
    return {
        "network": name, "samples": len(x), "seed": seed, "float": correct(theirs, y), "spinnaker1": correct(ours, y),
        "saturated": saturated(ours), "differing": differing, "places": places, "first_step": step, "first_layer": layer,
    }  # fmt: skip


def braille(name: str, anchors: Path) -> dict[str, object]:
    """Return how far one Braille network is from its recording, and SpiNNaker 2's from its own float."""
    reset, allow, recorded = BRAILLE[name]
    x = np.load(anchors / "braille" / "braille_test_sample0_input.npy")
    wanted = np.load(anchors / "braille" / recorded).astype(np.int64)
    model = spikeport.load(anchors / "braille" / f"{name}.nir")
    profile = f"snntorch:{reset},reset_delay=false,dt=1e-4"
    program = spikeport.compile(model, "spinnaker1", profile, arith="spinnaker1", data=x, allow=allow)
    runs = {
        "float": spikeport.run(model, x, profile=profile, record="all"),
        "spinnaker1": spikeport.run(program, x, "spinnaker", record="all"),
    }
    found: dict[str, object] = {"network": name, "places": int(wanted.size), "spikes": int(wanted.sum())}
    for step, result in runs.items():
        late = program.notes["lags"]["lif1.lif"] if step != "float" else 0
        differs = (result.spikes["lif1.lif"][late : late + len(x)] != wanted).any(axis=1)
        found[step] = int(np.count_nonzero(result.spikes["lif1.lif"][late : late + len(x)] != wanted))
        found[f"first_{step}"] = int(np.argmax(differs)) if differs.any() else -1
    own = f"spinnaker2:{reset},dt=1e-4"
    narrow, doubles = (
        spikeport.run(model, x, backend, profile=own, arith=arith, record="all").spikes["lif1.lif"]
        for backend, arith in (("spinnaker", "spinnaker2"), ("engine", "float64"))
    )
    found["spinnaker2"] = int(np.count_nonzero(narrow != doubles))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="draws of the calibration samples")
    parser.add_argument("--anchors", type=Path, default=ROOT.parent / "shared" / "anchors")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    about = host()
    print(f"{about['cpu']}, {about['cores_usable']} cores, spikeport {about['versions']['spikeport']}\n")
    print(f"{'network':18s} {'seed':>4s} {'float64':>8s} {'spinnaker1':>11s} {'points':>7s} {'differing places':>22s} "
          f"{'full slots':>11s}  first difference")  # fmt: skip
    for name, allow in NETWORKS.items():
        for seed in range(args.seeds):
            row = digits(name, allow, seed)
            rows.append(row)
            points = 100 * (row["spinnaker1"] - row["float"]) / row["samples"]  # type: ignore[operator]
            print(
                f"{name:18s} {seed:>4d} {row['float']:>8d} {row['spinnaker1']:>11d} {points:>+7.2f} "
                f"{row['differing']:>10,d} of {row['places']:>8,d} {row['saturated']:>11,d}  "
                f"step {row['first_step']} in {row['first_layer']}",
                flush=True,
            )
    if not (args.anchors / "braille").is_dir():
        print(f"\nno Braille recordings in {args.anchors}: left out")
    else:
        columns = f"{'spikes':>7s} {'places':>7s} {'float64':>8s} {'spinnaker1':>11s} {'first':>6s} {'spinnaker2':>11s}"
        print(f"\n{'recording':34s} {columns}  differing places; int8 against its own float64")
        for name in BRAILLE:
            row = braille(name, args.anchors)
            rows.append(row)
            print(
                f"{name:34s} {row['spikes']:>7d} {row['places']:>7d} {row['float']:>8d} {row['spinnaker1']:>11d} "
                f"{row['first_spinnaker1']:>6d} {row['spinnaker2']:>11d}"
            )
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
