"""Distances between two recordings of one population, in numpy alone.

Rasters have the axes (samples, steps, *shape) and hold spike counts. Times are counted in steps; a spike train is one neuron
in one sample, and every distance of trains is an array (samples, *shape).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.ir.ops import Array

Floats = NDArray[np.float64]
#: Standard normal quantile of a two-sided interval of 95 %.
Z_95 = 1.959963984540054
#: Cells of the table of Victor and Purpura that are held at once.
_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two classifiers agree, with Wilson's interval of 95 %.

    Parameters
    ----------
    same, samples : int
        Samples with the same class, and all.
    low, high : float
        Ends of the interval.

    Notes
    -----
    Wilson's score interval, doi:10.1080/01621459.1927.10502953.
    """

    same: int
    samples: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """Share of samples that agree."""
        return self.same / self.samples


def mismatches(a: Array, b: Array) -> int:
    """Return how many values of two arrays of one shape are not exactly equal."""
    return int(np.count_nonzero(a != b))


def spike_counts(raster: Array) -> Floats:
    """Return the spikes of each train, (samples, *shape)."""
    counts: Floats = raster.sum(axis=1, dtype=np.float64)
    return counts


def count_difference(a: Array, b: Array) -> float:
    """Return the spikes by which the trains' counts differ, as a share of those of *a*: sum |Na - Nb| / max(1, sum Na).

    >>> count_difference(np.array([[[1, 1], [1, 1]]]), np.array([[[1, 1], [0, 1]]]))
    0.25
    """
    first, second = spike_counts(a), spike_counts(b)
    return float(np.abs(first - second).sum() / max(1.0, first.sum()))


def shifted(a: Array, b: Array, steps: int) -> tuple[Array, Array]:
    """Return the parts of *a* and *b* that lie over each other where *b* comes *steps* later (negative: earlier)."""
    k, most = abs(steps), a.shape[1]
    early, late = slice(0, most - k), slice(k, most)
    return (a[:, early], b[:, late]) if steps >= 0 else (a[:, late], b[:, early])


def best_shift(a: Array, b: Array, most: int) -> tuple[int, int]:
    """Return the shift of *b* against *a*, at most *most* steps, that leaves the fewest mismatches; and how many.

    Events that the shift pushes out of sight count as mismatches, so that no shift is good by hiding them. Of equally good
    shifts the smallest is taken, late before early.

    >>> x = np.array([[[0], [1], [0], [1], [0]]])
    >>> best_shift(x, np.roll(x, 1, axis=1), 2)
    (1, 0)
    """
    found = []
    whole = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    for k in range(min(most, a.shape[1] - 1) + 1):
        for steps in (k, -k) if k else (0,):
            x, y = shifted(a, b, steps)
            hidden = whole - int(np.count_nonzero(x)) - int(np.count_nonzero(y))
            found.append((mismatches(x, y) + hidden, k, -steps))
    count, _, minus = min(found)
    return -minus, count


def van_rossum(a: Array, b: Array, tau: float) -> Floats:
    """Return van Rossum's distance of each pair of trains, exactly, in O(steps).

    With ``f`` and ``g`` the trains under an exponential kernel, ``D^2 = (2 / tau) * integral (f - g)^2 dt`` in continuous
    time to infinity: a spike that has no partner costs 1, as in elephant. (The paper has 1 / tau: 1 / 2.)

    Parameters
    ----------
    a, b : array of integers, shape (samples, steps, *shape)
        Rasters.
    tau : float
        Time constant of the kernel, in steps, above 0; ``inf`` leaves the difference of the counts.

    Returns
    -------
    array of float64, shape (samples, *shape)

    Notes
    -----
    van Rossum 2001, doi:10.1162/089976601300014321.
    """
    difference = a.astype(np.float64) - b
    decay = math.exp(-1.0 / tau)
    trace = np.zeros(difference[:, 0].shape)
    total = np.zeros_like(trace)
    for step in range(difference.shape[1]):
        # Between two steps the square of the trace decays twice as fast; what it loses is the integral's part.
        total += (1.0 - decay * decay) * trace**2
        trace = trace * decay + difference[:, step]
    total += trace**2
    return np.sqrt(total)


def victor_purpura(a: Array, b: Array, cost: float) -> Floats:
    """Return Victor and Purpura's distance of each pair of trains: the cheapest way to turn one into the other.

    Parameters
    ----------
    a, b : array of integers, shape (samples, steps, *shape)
        Rasters; a count of n is n spikes at one time.
    cost : float
        Of moving a spike by one step (q), at least 0; adding or deleting one costs 1. At 0 only counts matter, and above 2
        no spike is moved.

    Returns
    -------
    array of float64, shape (samples, *shape)

    Notes
    -----
    Victor and Purpura 1996, doi:10.1152/jn.1996.76.2.1310.
    """
    steps = a.shape[1]
    shape = (a.shape[0], *a.shape[2:])
    first, second = (np.moveaxis(x, 1, -1).reshape(-1, steps) for x in (a, b))
    distance = np.zeros(len(first))
    todo = np.flatnonzero((first != second).any(axis=1))
    sizes = first[todo].sum(axis=1, dtype=np.int64) + second[todo].sum(axis=1, dtype=np.int64)
    todo = todo[np.argsort(sizes, kind="stable")]  # trains of like length share a table
    start = 0
    while start < len(todo):
        width = int(second[todo[start]].sum()) + 1
        stop = start + max(1, _CELLS // width)
        rows = todo[start:stop]
        distance[rows] = _tables(*_times(first[rows]), *_times(second[rows]), cost)
        start = stop
    return distance.reshape(shape)


def _times(trains: Array) -> tuple[Floats, NDArray[np.int64]]:
    """Return the times of the spikes, (trains, most spikes of one), and how many of them each train has."""
    counts = trains.sum(axis=1, dtype=np.int64)
    times = np.zeros((len(trains), int(counts.max(initial=0))))
    row, step = np.nonzero(trains)
    many = trains[row, step].astype(np.int64)
    row, step = np.repeat(row, many), np.repeat(step, many)
    begin = np.concatenate([[0], np.cumsum(counts)[:-1]])
    times[row, np.arange(len(row)) - begin[row]] = step
    return times, counts


def _tables(x: Floats, n: NDArray[np.int64], y: Floats, m: NDArray[np.int64], cost: float) -> Floats:
    """Return the last cell of each pair's table; cells within a pair's own sizes depend on no padding."""
    column = np.arange(y.shape[1] + 1, dtype=np.float64)
    pairs = np.arange(len(n))
    row = np.repeat(column[None], len(n), axis=0)
    found = np.where(n == 0, row[pairs, m], 0.0)
    for i in range(x.shape[1]):
        moved = row[:, :-1] + cost * np.abs(x[:, i, None] - y)
        below = row + 1.0
        below[:, 1:] = np.minimum(below[:, 1:], moved)
        # A cell may also come from its left neighbour at a cost of 1: the least of (cell k) + (j - k).
        row = np.minimum.accumulate(below - column, axis=1) + column
        found = np.where(n == i + 1, row[pairs, m], found)
    return found


def synchrony(a: Array, b: Array) -> Floats:
    """Return the SPIKE synchronization of each pair of trains: the share of spikes that have a partner, 1 for none at all.

    Two spikes are partners where they lie closer than half the shortest interval around them. It needs no parameter.

    Parameters
    ----------
    a, b : array of integers, shape (samples, steps, *shape)
        Rasters; a count above 1 is taken as one spike.

    Returns
    -------
    array of float64, shape (samples, *shape)

    Notes
    -----
    Kreuz, Mulansky and Bozanic 2015, doi:10.1152/jn.00848.2014; PySpike's, for trains from 0 to *steps*.
    """
    steps = a.shape[1]
    first, second = (np.moveaxis(x != 0, 1, -1).reshape(-1, steps) for x in (a, b))
    found = np.ones(len(first))
    for k in np.flatnonzero((first != second).any(axis=1)):
        x, y = np.flatnonzero(first[k]), np.flatnonzero(second[k])
        if not len(x) or not len(y):
            found[k] = 0.0
            continue
        near = np.minimum(_around(x, steps)[:, None], _around(y, steps)[None, :])
        partners = np.abs(x[:, None] - y[None, :]) < near / 2
        found[k] = 2.0 * np.count_nonzero(partners) / (len(x) + len(y))
    return found.reshape((a.shape[0], *a.shape[2:]))


def _around(times: NDArray[np.intp], steps: int) -> Floats:
    """Return the shorter of the intervals before and after each spike, *steps* where there is none."""
    gaps = np.concatenate([[steps], np.diff(times), [steps]]).astype(np.float64)
    return np.minimum(gaps[:-1], gaps[1:])


def membrane_error(a: Array, b: Array) -> tuple[float, float]:
    """Return the largest and the root mean square difference of two arrays of membranes, in their own unit."""
    difference = a.astype(np.float64) - b
    if not difference.size:
        return 0.0, 0.0
    return float(np.abs(difference).max()), float(np.sqrt(np.mean(difference**2)))


def top1(output: Array) -> NDArray[np.intp]:
    """Return the class of each sample: the largest of the outputs summed over the steps, the first of equal ones.

    >>> top1(np.array([[[0, 1], [0, 1]], [[1, 0], [0, 0]]])).tolist()
    [1, 0]
    """
    return output.sum(axis=1, dtype=np.float64).reshape(len(output), -1).argmax(axis=1)


def agreement(a: Array, b: Array) -> Agreement:
    """Return how often two arrays of classes, (samples,) each, agree.

    >>> found = agreement(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 2]))
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.75, 0.301, 0.954)
    """
    same, samples = int(np.count_nonzero(a == b)), len(a)
    low, high = wilson(same, samples)
    return Agreement(same, samples, low, high)


def wilson(same: float, samples: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval of *same* in *samples*, within 0 and 1; (0, 1) of none."""
    if not samples:
        return 0.0, 1.0
    share, square = same / samples, z * z / samples
    middle = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / samples + square / (4 * samples)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)
