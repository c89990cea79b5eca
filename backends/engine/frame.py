"""Compiler options that all kernels share, and what a stage has to do of a chunk: rows, and blocks of neurons.

Every kernel takes `frame`, a tuple (samples, pitch, lead, first, last, part, parts): the chunk has `samples` samples of
`pitch` rows each, of which the first `lead` are history; the steps first..last-1 are to be done, row = s*pitch + lead + t.
Of `parts` threads that take the same chunk this one is number `part`: kernels whose rows depend on each other share out the
blocks, the others are handed fewer rows.
"""

from numba import njit

# Exactness first: no reordering, no fused multiply-add (numba does not contract without fastmath), division as numpy's.
OPTIONS = {"nogil": True, "fastmath": False, "error_model": "numpy"}
INLINE = {"forceinline": True, "fastmath": False, "error_model": "numpy"}


@njit(**INLINE)
def share(count, frame):
    """Return the part of `count` blocks that is this thread's: first, behind the last."""
    part, parts = frame[5], frame[6]
    return count * part // parts, count * (part + 1) // parts


@njit(**INLINE)
def share_rows(frame):
    """Return the frame with the steps that are this thread's."""
    samples, pitch, lead, first, last, _, _ = frame
    begin, end = share(last - first, frame)
    return samples, pitch, lead, first + begin, first + end, 0, 1


@njit(**INLINE)
def one_step(frame, t):
    """Return the frame of step `t` alone."""
    samples, pitch, lead, _, _, part, parts = frame
    return samples, pitch, lead, t, t + 1, part, parts
