"""Compiler options that all kernels share, and the arguments that say which rows a stage has to do."""

# Exactness first: no reordering, no fused multiply-add (numba does not contract without fastmath), division as numpy's.
OPTIONS = {"nogil": True, "fastmath": False, "error_model": "numpy"}
INLINE = {"forceinline": True, "fastmath": False, "error_model": "numpy"}

# Every kernel takes `frame`, a tuple (samples, pitch, lead, first, last): the chunk has `samples` samples of `pitch` rows
# each, of which the first `lead` are history, and the steps first..last-1 are to be done; row = s*pitch + lead + t.
