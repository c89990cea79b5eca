"""Whether to share out the work of one sample among threads, learned from what stretches of it took.

On a busy machine, or for a small network, threads that wait for each other cost more than they bring. Who computes what
changes no bit, so the choice shows in nothing but the time.
"""

from __future__ import annotations

#: Seconds below which waking another thread costs more than it brings.
WORTH_SHARING_S = 4e-4
#: Most threads that share one sample: each meeting of all costs more, the more they are.
MOST_PARTS = 4
#: Most chunks of a stretch: behind it an interrupt gets through.
CHUNKS_A_CALL = 64
#: Seconds that a stretch of a long run should take.
STRETCH_S = 0.02
#: Chunks of a stretch that only finds out how long a step takes; the first is spoilt by memory that is new.
LOOK, LOOKS = 4, 2
#: Stretches after which the slower way is tried again.
RETRY = 64


class Habit:
    """What stretches of runs of one plan took, and what follows for the next.

    Parameters
    ----------
    threads : int
        Threads at hand.
    worth_s : float
        Seconds of work worth sharing; below 0 everything is shared.
    """

    def __init__(self, threads: int, worth_s: float = WORTH_SHARING_S) -> None:
        self.threads, self.worth_s = min(threads, MOST_PARTS), worth_s
        self.most = 1  # threads that took part since somebody set this to 1
        self._step_s: dict[int, list[float]] = {1: [], self.threads: []}
        self._stretches = 0

    def choose(self, steps: int, chunk: int) -> tuple[int, int]:
        """Return the threads and the length of the next stretch, of *steps* steps to go in chunks of *chunk*."""
        longest = min(steps, CHUNKS_A_CALL * chunk)
        if self.threads == 1:
            return 1, longest
        if self.worth_s < 0:
            return self.threads, min(steps, 3 * chunk)
        alone, shared = self._step_s[1], self._step_s[self.threads]
        if len(alone) < LOOKS:
            return 1, min(steps, LOOK * chunk)
        stretch = min(steps, max(chunk, min(longest, int(STRETCH_S / min(alone)))))
        if min(alone) * stretch <= self.worth_s:
            return 1, stretch
        if len(shared) < LOOKS:
            return self.threads, stretch
        self._stretches += 1
        best, other = (1, self.threads) if min(alone) < min(shared) else (self.threads, 1)
        return other if self._stretches % RETRY == 0 else best, stretch

    def learn(self, parts: int, steps: int, seconds: float) -> None:
        """Keep what a stretch took: the last two count."""
        known = self._step_s[parts]
        known.append(seconds / steps)
        del known[:-LOOKS]
        self.most = max(self.most, parts)
