"""The clock: engine and peer in turns, medians, and the spread of their ratios."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from enginebench.peer import Peer

#: Threads of a BLAS or OpenMP pool wait in a loop for a while after their work: let them go to sleep.
PAUSE_S = 0.03
VISIT_S = 0.01


@dataclass
class Measured:
    """Times of one simulator, and of ours beside it, a round each."""

    peer: Peer
    threads: int
    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def summary(self, samples: int) -> dict:
        """Return the table's row: milliseconds per sample, and the ratio to ours."""
        return {
            "name": self.peer.name, "threads": self.threads, "is_library": self.peer.is_library, "rounds": len(self.seconds),
            "ms_per_sample": spread([1e3 * s / samples for s in self.seconds]), "ratio": spread(self.ratios),
        }  # fmt: skip


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median and 10th to 90th percentile."""
    low, middle, high = np.percentile(values, [10, 50, 90])
    return {"median": float(middle), "p10": float(low), "p90": float(high)}


def visit(peer: Peer, threads: int) -> float:
    """Return the median of a few runs after a warm-up that is not counted."""
    peer.set_threads(threads)
    ended, last = time.perf_counter() + VISIT_S / 5, peer.timed()
    while time.perf_counter() < ended:
        last = peer.timed()
    count = min(50, max(1, math.ceil(VISIT_S / last)))
    return float(np.median([peer.timed() for _ in range(count)]))


def interleaved(ours: Peer, others: Sequence[Peer], budget_s: float, least: int = 5, most: int = 60) -> list[Measured]:
    """Run ours and each other in turns until the budget is spent; return ours first.

    Ours runs anew before every other's turn, and the ratio is that of the two neighbours. Others run with each number of
    threads that they have, and the faster is returned.
    """
    rows = [Measured(peer, threads) for peer in others for threads in peer.threads]
    mine = Measured(ours, ours.threads[0])
    ended = time.perf_counter() + budget_s
    while len(mine.seconds) < most and (len(mine.seconds) < least or time.perf_counter() < ended):
        of_round = []
        for row in rows:
            time.sleep(PAUSE_S)
            own = visit(ours, mine.threads)
            time.sleep(PAUSE_S)
            theirs = visit(row.peer, row.threads)
            of_round.append(own)
            row.seconds.append(theirs)
            row.ratios.append(theirs / own)
        mine.seconds.append(float(np.median(of_round)))
        mine.ratios.append(1.0)
    return [mine, *(min((r for r in rows if r.peer is peer), key=lambda r: np.median(r.seconds)) for peer in others)]
