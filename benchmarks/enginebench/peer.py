"""What every simulator of the comparison is, and the check that all of them give the same spikes."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import numpy as np

Rasters = dict[str, np.ndarray]


class Peer(ABC):
    """A network in one simulator, its input at hand in that simulator's own form."""

    name: str
    #: Numbers of threads to try; the fastest is timed.
    threads: tuple[int, ...] = (1,)
    #: Whether it is one of the libraries that the issue's bars name.
    is_library = False

    @abstractmethod
    def run(self, keep: bool = False) -> Rasters:
        """Run all samples from rest; return the output layer's raster (samples, steps, ...), with *keep* every layer's."""

    def set_threads(self, threads: int) -> None:  # noqa: B027 - most have nothing to set
        """Make the next runs use that many threads."""

    def timed(self) -> float:
        """Run once and return the seconds."""
        started = time.perf_counter()
        self.run()
        return time.perf_counter() - started

    def close(self) -> None:  # noqa: B027 - most have nothing to release
        """Release what the peer holds."""


def differences(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> list[str]:
    """Return a line for each layer of *theirs* whose spikes differ from *ours*."""
    found = []
    for layer, raster in theirs.items():
        expected = np.asarray(ours[layer])
        got = np.asarray(raster)
        if got.shape != expected.shape:
            found.append(f"{layer}: shape {got.shape}, expected {expected.shape}")
        elif not np.array_equal(got, expected):
            wrong = got != expected
            first = int(np.argwhere(wrong)[:, 1].min())
            found.append(
                f"{layer}: {np.count_nonzero(wrong)} of {wrong.size} values differ, the first at step {first}; "
                f"{got.sum():.0f} spikes against {expected.sum():.0f}"
            )
    return found


def check(peer: Peer, expected: Mapping[str, np.ndarray], threads: Iterable[int] | None = None) -> list[str]:
    """Return how *peer*'s spikes differ from *expected*: every layer's, and the output of the run that is timed."""
    found = []
    for count in threads or peer.threads:
        peer.set_threads(count)
        every = peer.run(keep=True)
        missing = set(expected) - set(every)
        found += [f"{layer}: not recorded" for layer in sorted(missing)]
        found += differences(expected, every)
        found += differences(expected, peer.run())
    return found
