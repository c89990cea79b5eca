"""Comparing two traces of the same run, all of it."""

import numpy as np


def differences(a, b):
    """Return what differs between two traces, as texts; -0.0 and 0.0 are the same."""
    found = []
    for group in ("spikes", "out", "v", "activity"):
        left, right = getattr(a, group), getattr(b, group)
        if set(left) != set(right):
            found.append(f"{group}: {sorted(left)} against {sorted(right)}")
        for path in set(left) & set(right):
            x, y = left[path], right[path]
            if x.shape != y.shape or not np.array_equal(x, y, equal_nan=True):
                where = "shape" if x.shape != y.shape else np.argwhere((x != y) & ~(np.isnan(x) & np.isnan(y)))[0].tolist()
                found.append(f"{group}/{path}: {where}")
            if group in ("out", "v") and x.dtype != y.dtype:
                found.append(f"{group}/{path}: {x.dtype} against {y.dtype}")
    if set(a.counts) != set(b.counts):
        found.append(f"counts: {sorted(a.counts)} against {sorted(b.counts)}")
    for path in set(a.counts) & set(b.counts):
        for name in ("spikes", "events", "synops", "updates"):
            x, y = getattr(a.counts[path], name), getattr(b.counts[path], name)
            if x != y:
                found.append(f"{path}.{name}: {x} against {y}")
        for name in ("spikes_per_step", "synops_per_step"):
            x, y = getattr(a.counts[path], name), getattr(b.counts[path], name)
            if (x is None) != (y is None) or (x is not None and not np.array_equal(x, y)):
                found.append(f"{path}.{name}")
    return found
