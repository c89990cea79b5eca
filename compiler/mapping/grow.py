"""Trees over chips, compiled: growing one over the living links, and pruning it to what one sender needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def _offset(delta: Any, extent: Any, wraps: Any, turn: Any) -> Any:  # pragma: no cover - compiled
    """Return *delta* itself, or (second *turn*, on a torus) the way around the other side."""
    if turn == 0 or not wraps:
        return delta
    return delta - extent if delta > 0 else delta + extent


@njit(cache=True)
def _length(dx: Any, dy: Any) -> Any:  # pragma: no cover - compiled
    if dx >= 0 and dy >= 0:
        return max(dx, dy)
    if dx <= 0 and dy <= 0:
        return max(-dx, -dy)
    return abs(dx) + abs(dy)


@njit(cache=True)
def vector(xy: Any, size: Any, a: Any, b: Any) -> Any:  # pragma: no cover - compiled
    """Return (hops, dx, dy) of a shortest way from chip *a* to *b* where every link lives.

    *size* is (width, height, wraps), wraps 0 for a plane.
    """
    best_n, best_x, best_y = -1, 0, 0
    dx, dy = xy[b, 0] - xy[a, 0], xy[b, 1] - xy[a, 1]
    for i in range(2):
        for j in range(2):
            x, y = _offset(dx, size[0], size[2], i), _offset(dy, size[1], size[2], j)
            n = _length(x, y)
            if best_n < 0 or n < best_n:
                best_n, best_x, best_y = n, x, y
    return best_n, best_x, best_y


@njit(cache=True)
def _straight(links: Any, at: Any, dx: Any, dy: Any, path: Any) -> Any:  # pragma: no cover - compiled
    """Write the links of the way (dx, dy), its longest dimension first, into *path*; return how many, -1 if one is dead."""
    # Along the three axes: x, y and the diagonal that does for one of each.
    z = 0
    if dx > 0 and dy > 0:
        z = min(dx, dy)
    elif dx < 0 and dy < 0:
        z = max(dx, dy)
    amounts = (dx - z, z, dy - z)
    n = 0
    done = [False, False, False]
    for _ in range(3):
        axis = -1
        for k in range(3):
            if not done[k] and (axis < 0 or abs(amounts[k]) > abs(amounts[axis])):
                axis = k
        done[axis] = True
        link = axis if amounts[axis] > 0 else axis + 3
        for _ in range(abs(amounts[axis])):
            if links[at, link] < 0:
                return -1
            path[n] = link
            at = links[at, link]
            n += 1
    return n


@njit(cache=True)
def grow(xy: Any, size: Any, links: Any, root: Any, ends: Any, up: Any, parent: Any, nodes: Any) -> Any:  # pragma: no cover
    """Grow a tree from *root* to all *ends*, nearest first; return its number of chips.

    ``parent[c]`` becomes the chip before c (-1 at the root, -2 outside the tree), ``up[c]`` the link from c to it, and
    ``nodes`` lists the chips of the tree. Where the straight way from the nearest chip of the tree meets a dead link, the
    shortest way around it is looked for. Returns -1 - chip for one that cannot be reached.
    """
    total = len(xy)
    parent[root], up[root], nodes[0] = -1, -1, root
    n = 1
    far = np.empty(len(ends), np.int64)
    for i in range(len(ends)):
        far[i] = vector(xy, size, root, ends[i])[0]
    path = np.empty(2 * total + 64, np.int64)
    queue = np.empty(total, np.int64)
    came = np.empty(total, np.int64)
    for i in np.argsort(far, kind="mergesort"):
        end = ends[i]
        if parent[end] != -2:
            continue
        best, start, vx, vy = -1, -1, 0, 0
        for k in range(n):
            d, dx, dy = vector(xy, size, nodes[k], end)
            if best < 0 or d < best:
                best, start, vx, vy = d, nodes[k], dx, dy
        steps = _straight(links, start, vx, vy, path)
        at = start
        if steps < 0:
            # Breadth first from the end until the tree is met; then the way back.
            came[:] = -1
            came[end] = 6
            queue[0] = end
            head, tail, at = 0, 1, -1
            while head < tail and at < 0:
                chip = queue[head]
                head += 1
                for link in range(6):
                    other = links[chip, link]
                    if other >= 0 and came[other] < 0:
                        came[other] = (link + 3) % 6
                        queue[tail] = other
                        tail += 1
                        if parent[other] != -2:
                            at = other
                            break
            if at < 0:
                return -1 - end
            steps, chip = 0, at
            while chip != end:
                path[steps] = came[chip]
                chip = links[chip, came[chip]]
                steps += 1
        for k in range(steps):
            link = path[k]
            other = links[at, link]
            if parent[other] == -2:
                parent[other], up[other], nodes[n] = at, (link + 3) % 6, other
                n += 1
            at = other
    return n


@njit(cache=True)
def prune(
    links: Any, root: Any, source: Any, ends: Any, bits: Any, up: Any, parent: Any, need: Any, out: Any
) -> Any:  # pragma: no cover - compiled
    """Write the part of a tree that leads from chip *source* to *ends* into the rows of *out*; return how many.

    *bits* are the processors at each of *ends*, ``need`` an array of zeros over all chips that is handed back so; a row is
    (chip, link by which packets arrive or -1, route).
    """
    # Marks: all chips between the terminals and the root.
    chip = source
    while chip != -1 and need[chip] == 0:
        need[chip] = 1
        chip = parent[chip]
    for end in ends:
        chip = end
        while chip != -1 and need[chip] == 0:
            need[chip] = 1
            chip = parent[chip]
    # What hangs above the first fork leads nowhere.
    for i in range(len(ends)):
        need[ends[i]] |= bits[i]
    top = root
    while top != source and need[top] == 1:
        children, only = 0, -1
        for link in range(6):
            other = links[top, link]
            if other >= 0 and need[other] and parent[other] == top and up[other] == (link + 3) % 6:
                children, only = children + 1, other
        if children != 1:
            break
        need[top] = 0
        top = only
    # From the source outwards, along all that is marked.
    out[0, 0], out[0, 1] = source, -1
    at_row, last = 0, 1
    while at_row < last:
        chip, arrives = out[at_row, 0], out[at_row, 1]
        route = need[chip] & ~np.int64(63)
        for link in range(6):
            other = links[chip, link]
            if link == arrives or other < 0 or need[other] == 0:
                continue
            below = parent[other] == chip and up[other] == (link + 3) % 6
            above = parent[chip] == other and up[chip] == link
            if below or above:
                route |= 1 << link
                out[last, 0], out[last, 1] = other, (link + 3) % 6
                last += 1
        out[at_row, 2] = route
        at_row += 1
    for row in range(last):
        need[out[row, 0]] = 0
    chip = root
    while chip != -1 and need[chip] != 0:
        need[chip] = 0
        chip = parent[chip]
    return last


@njit(cache=True)
def medoid(xy: Any, size: Any, sources: Any, ends: Any) -> Any:  # pragma: no cover - compiled
    """Return the one of *sources* from which the ways to all *ends* are shortest in sum."""
    best, chosen = -1, sources[0]
    for source in sources:
        total = 0
        for end in ends:
            total += vector(xy, size, source, end)[0]
        if best < 0 or total < best:
            best, chosen = total, source
    return chosen
