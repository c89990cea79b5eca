"""The memory bound: how fast this machine reads as many bytes as the weights have, from one thread and from two."""

import time

import numpy as np
from numba import njit, prange, set_num_threads


@njit(cache=True, nogil=True, fastmath=True)
def _read(a, times):
    """Sum *a* several times: eight sums at once, each in vector lanes, so that no addition waits for another."""
    n = a.shape[0] // 8
    b, c, d, e, f, g, h = a[n:], a[2 * n :], a[3 * n :], a[4 * n :], a[5 * n :], a[6 * n :], a[7 * n :]
    total = np.float32(0)
    for _ in range(times):
        s = t = u = v = w = x = y = z = np.float32(0)
        for i in range(n):
            s += a[i]
            t += b[i]
            u += c[i]
            v += d[i]
            w += e[i]
            x += f[i]
            y += g[i]
            z += h[i]
        total = max(total, s + t + u + v + w + x + y + z)
    return total


@njit(cache=True, parallel=True)
def _read_two(a, b, times):
    found = np.zeros(2, np.float32)
    for k in prange(2):
        found[k] = _read(a, times) if k == 0 else _read(b, times)
    return found


def bandwidth(size: int, seconds: float = 0.8) -> dict[str, float]:
    """Return bytes per second from a working set of *size* bytes: one thread, and two with half of it each.

    The best of many readings; where somebody else holds the second core, two threads count as fast as one.
    """
    count = max(128, size // 4 // 128 * 128)
    a = np.ones(count, np.float32)
    halves = a[: count // 2].copy(), a[count // 2 :].copy()
    times = max(1, 2**25 // count)  # a call of about a millisecond
    found = {}
    for name, threads, call in (
        ("one_thread", 1, lambda: _read(a, times)),
        ("two_threads", 2, lambda: _read_two(*halves, times)),
    ):
        set_num_threads(threads)
        call()
        best, ended = np.inf, time.perf_counter() + seconds / 2
        while time.perf_counter() < ended:
            started = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - started)
        found[name] = max(times * count * 4 / best, *found.values(), 0.0)
    return found
