"""The example networks and the Braille recordings, compiled for a chip's integers."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import spikeport
from spikeport.ir.program import Program
from spikeport.models.digits import split, winners
from spikeport.runtime.model import Model
from spikeport.runtime.session import RunResult

ROOT = Path(__file__).resolve().parents[2]
#: Networks with what they need to be allowed: digits_dense resets by subtraction.
NETWORKS = {"digits_conv": (), "digits_rows": (), "digits_dense": ("reset-change",)}
BRAILLE = {
    "braille_noDelay_bias_zero": ("zero", (), "snntorch_activity_noDelay_bias_zero.npy"),
    "braille_noDelay_noBias_subtract": ("subtract", ("reset-change",), "snntorch_activity_noDelay_noBias_subtract.npy"),
}
CALIBRATION = 128
#: The layer of which the Braille recordings are.
HIDDEN = "lif1.lif"


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """A digits network, its program, and the test images: model file, input, classes."""

    model: Path
    program: Program
    given: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Braille:
    """A Braille network, its program, and its one recorded sample: input, and spikes of the hidden layer."""

    model: Model
    reset: str
    profile: str
    program: Program
    x: np.ndarray
    wanted: np.ndarray

    def differing(self, result: RunResult, late: bool) -> np.ndarray:
        """Return where hidden spikes of a run are not the recorded ones; a program's come *late* by its lag."""
        lag = self.program.notes["lags"][HIDDEN] if late else 0
        return result.spikes[HIDDEN][lag : lag + len(self.x)] != self.wanted


def digits(name: str, target: str, arith: str, seed: int) -> Digits:
    """Return a network, compiled with calibration samples that *seed* draws from the training half."""
    module = importlib.import_module(f"spikeport.models.{name}")
    train_x, train_y, x, y = split()
    chosen = np.random.default_rng(seed).permutation(len(train_x))[:CALIBRATION]
    model = ROOT / "models" / f"{name}.nir"
    data = {"inputs": module.encode(train_x[chosen]), "labels": train_y[chosen]}
    program = spikeport.compile(model, target, arith=arith, data=data, allow=NETWORKS[name])
    return Digits(model, program, module.encode(x), y)


def braille(name: str, anchors: Path, target: str, arith: str) -> Braille:
    """Return a network, compiled with the recorded sample as calibration data."""
    reset, allow, recorded = BRAILLE[name]
    x = np.load(anchors / "braille" / "braille_test_sample0_input.npy")
    wanted = np.load(anchors / "braille" / recorded).astype(np.int64)
    model = spikeport.load(anchors / "braille" / f"{name}.nir")
    profile = f"snntorch:{reset},reset_delay=false,dt=1e-4"
    program = spikeport.compile(model, target, profile, arith=arith, data=x, allow=allow)
    return Braille(model, reset, profile, program, x, wanted)


def correct(result: RunResult, labels: np.ndarray) -> int:
    """Return the samples whose class has the most spikes."""
    (counts,) = (out.sum(axis=1) for out in result.out.values())
    return int((winners(counts)[0] == labels).sum())
