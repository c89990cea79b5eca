"""Recorded rasters of real libraries: ``golden/rasters.npz``, spike counts as packed bit planes (see the README there)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).parents[1] / "golden" / "rasters.npz"


def pack(counts: np.ndarray) -> np.ndarray:
    """Return small counts (0 to 255) as bytes: number of axes, shape as 4 bytes each, number of planes, bit planes."""
    counts = np.asarray(counts).astype(np.uint8)
    planes = max(int(counts.max()).bit_length(), 1)
    head = np.concatenate([[counts.ndim], np.frombuffer(np.array(counts.shape, "<u4").tobytes(), np.uint8), [planes]])
    bits = [np.packbits((counts >> plane) & 1) for plane in range(planes)]
    return np.concatenate([head.astype(np.uint8), *bits])


def unpack(packed: np.ndarray) -> np.ndarray:
    """Return what :func:`pack` packed, as uint8."""
    ndim = int(packed[0])
    shape = tuple(np.frombuffer(packed[1 : 1 + 4 * ndim].tobytes(), "<u4").tolist())
    planes, rest = int(packed[1 + 4 * ndim]), packed[2 + 4 * ndim :]
    size = int(np.prod(shape))
    bits = rest.reshape(planes, -1)
    return sum(np.unpackbits(row, count=size).astype(np.uint8) << plane for plane, row in enumerate(bits)).reshape(shape)


def names() -> list[str]:
    """Return the names of all rasters."""
    with np.load(FILE) as file:
        return sorted(file.files)


def raster(name: str) -> np.ndarray:
    """Return the raster called *name*, spike counts as uint8, steps first."""
    with np.load(FILE) as file:
        return unpack(file[name])
