"""Compare two runs: mismatching bits, the first divergence, and a constant offset in time. Never a cosine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, ProfileError, UsageError
from spikeport.ir.ops import Array
from spikeport.ir.profiles import differences, parse_profile
from spikeport.ir.trace import Trace
from spikeport.runtime.files import read_arrays

if TYPE_CHECKING:
    from spikeport.runtime.session import RunResult

    Run: TypeAlias = Trace | RunResult | Mapping[str, Array] | str | Path

#: Largest offset in steps that is looked for.
MAX_SHIFT = 16
#: Fields of a run's meta that, where they differ, explain why spikes do.
_TELLING = ("profile", "arithmetic", "dt", "backend", "target", "seed", "pipeline")


@dataclass(frozen=True, slots=True)
class Layer:
    """How two arrays of one name compare.

    Parameters
    ----------
    key : str
        ``spikes/PATH``, ``out/PATH``, ``v/PATH`` or ``i/PATH``.
    size, mismatches : int
        Values, and those that are not exactly equal.
    events : (int, int)
        Non-zero values on both sides.
    max_abs_difference : float
        Largest difference.
    shift, shifted_mismatches : int or None
        Steps by which the second run comes later (negative: earlier) so that fewer values differ, and how many then do;
        None where no offset explains most of it.
    """

    key: str
    size: int
    mismatches: int
    events: tuple[int, int]
    max_abs_difference: float
    shift: int | None = None
    shifted_mismatches: int | None = None


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place where two runs differ: the earliest step, in it the node that is evaluated first.

    Nothing in the same sample differs before it, so it is a cause and no consequence.

    Parameters
    ----------
    key, path : str
        Array and node.
    sample, step : int
        Where in the run.
    neuron : tuple of int
        Index in the population.
    values : (float, float)
        On both sides.
    membranes : (float, float) or None
        After the reset, where states were recorded.
    previous : (float, float) or None
        The same one step earlier: what the step started from.
    last_pass : str
        Pass that last touched the node, in either run; empty where none did.
    """

    key: str
    path: str
    sample: int
    step: int
    neuron: tuple[int, ...]
    values: tuple[float, float]
    membranes: tuple[float, float] | None = None
    previous: tuple[float, float] | None = None
    last_pass: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of `compare`.

    Parameters
    ----------
    names : (str, str)
        What the two runs are called.
    layers : tuple of Layer
        Arrays that both have, in the order of evaluation.
    first : Divergence or None
        None where nothing differs.
    missing, extra : tuple of str
        Arrays that the second run lacks, and that the first one lacks.
    shapes : tuple of (key, shape, shape)
        Arrays of different shapes.
    notes : tuple of str
        Differences of profile, arithmetic and the like.
    """

    names: tuple[str, str]
    layers: tuple[Layer, ...]
    first: Divergence | None
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    shapes: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def mismatches(self) -> int:
        """Values that differ, in all arrays that both runs have in the same shape."""
        return sum(layer.mismatches for layer in self.layers)

    @property
    def equal(self) -> bool:
        """Whether both have the same arrays with the same values."""
        return not (self.mismatches or self.missing or self.extra or self.shapes)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        from dataclasses import asdict

        return {"equal": self.equal, "mismatches": self.mismatches, **asdict(self)}


def compare(a: Run, b: Run, *, names: Sequence[str] = ("A", "B"), order: Sequence[str] = ()) -> Comparison:
    """Compare two runs value by value.

    >>> import numpy as np
    >>> x = np.array([[0], [1], [0], [1], [0]])
    >>> result = compare({"spikes/lif": x}, {"spikes/lif": np.roll(x, 1, axis=0)})
    >>> result.mismatches, result.first.step, result.layers[0].shift
    (4, 1, 1)

    Parameters
    ----------
    a, b : RunResult, Trace, Mapping[str, array] or path of an ``.npz``
        Arrays ``spikes/PATH``, ``out/PATH``, ``v/PATH``, ``i/PATH`` with the axes (steps, ...) or (samples, steps, ...), as
        ``spikeport run`` writes them.
    names : (str, str)
        What to call them.
    order : sequence of str
        Paths in the order of evaluation; by default what the runs say themselves, else alphabetical.

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        E610 for a file that cannot be read, E619 for one that is no run.
    """
    (left, meta_a), (right, meta_b) = _arrays(a), _arrays(b)
    order = order or meta_a.get("order") or meta_b.get("order") or ()
    both = in_order(left.keys() & right.keys(), order)
    shapes = tuple((k, left[k].shape, right[k].shape) for k in both if left[k].shape != right[k].shape)
    same = [k for k in both if left[k].shape == right[k].shape]
    batched = _batched(meta_a) or _batched(meta_b)
    layers = tuple(_layer(k, left[k], right[k], batched) for k in same)
    touched = {**dict(meta_a.get("touched", {})), **dict(meta_b.get("touched", {}))}
    first = first_divergence(left, right, [n.key for n in layers if n.mismatches], touched, batched)
    return Comparison(
        (str(names[0]), str(names[1])), layers, first,
        tuple(in_order(left.keys() - right.keys(), order)), tuple(in_order(right.keys() - left.keys(), order)), shapes,
        _notes(meta_a, meta_b),
    )  # fmt: skip


def _arrays(run: Any) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays of a run by key, and its meta with ``batched`` added where it is known."""
    if isinstance(run, Trace):
        return dict(run.arrays()), {"batched": True}
    if isinstance(run, (str, Path)):
        arrays, where = read_arrays(run), str(run)
    elif isinstance(run, Mapping):
        arrays, where = {str(k): np.asarray(v) for k, v in run.items()}, ""
    else:
        arrays, where = run.arrays(), ""
    meta: dict[str, Any] = {}
    text = arrays.pop("meta", None)
    if text is not None:
        try:
            meta = dict(json.loads(str(text)))
        except (ValueError, TypeError):
            raise UsageError(Diagnostic("E619", where, "its meta is no JSON", "write it with `spikeport run`")) from None
    require_rasters(arrays, where)
    return arrays, meta


def require_rasters(arrays: Mapping[str, Array], where: str = "") -> None:
    """Raise UsageError E619 where *arrays*, called *where* in messages, are not those of a run."""
    odd = [k for k in arrays if k.partition("/")[0] not in ("spikes", "out", "v", "i") or "/" not in k or not arrays[k].ndim]
    if odd or not arrays:
        what = f"its arrays {', '.join(map(repr, odd[:3]))} are no rasters" if odd else "it holds no arrays"
        if odd == [""]:
            what = "it is a single array without a name"
        hint = "give what `spikeport run -o OUT.npz` writes, or name the arrays spikes/PATH, out/PATH, v/PATH or i/PATH"
        raise UsageError(Diagnostic("E619", where, f"this is no result of a run: {what}", hint))


def in_order(keys: Iterable[str], order: Sequence[str]) -> list[str]:
    """Return the names of arrays *keys* in the order of evaluation: of their paths in *order*, those beside it last."""
    place = {path: i for i, path in enumerate(order)}

    def rank(key: str) -> tuple[int, str, str]:
        group, _, path = key.partition("/")
        return place.get(path, len(place)), path, group

    return sorted(keys, key=rank)


def _batched(meta: Mapping[str, Any]) -> bool:
    return bool(meta.get("batched", False))


def _layer(key: str, a: Array, b: Array, batched: bool) -> Layer:
    differs = a != b
    count = int(np.count_nonzero(differs))
    events = (int(np.count_nonzero(a)), int(np.count_nonzero(b)))
    if not count:
        return Layer(key, a.size, 0, events, 0.0)
    largest = float(np.abs(a[differs].astype(np.float64) - b[differs].astype(np.float64)).max())
    shift, left = _shift(a, b, count, int(batched))
    return Layer(key, a.size, count, events, largest, shift, left)


def _shift(a: Array, b: Array, count: int, axis: int) -> tuple[int | None, int | None]:
    """Return the offset of *b* against *a* that leaves the fewest mismatches, and these; None where none explains half."""
    steps = a.shape[axis]
    best: tuple[int, int, int] | None = None
    for k in range(1, min(MAX_SHIFT, steps - 1) + 1):
        early, late = _cut(axis, 0, steps - k), _cut(axis, k, steps)
        for signed, (x, y) in ((k, (a[early], b[late])), (-k, (a[late], b[early]))):
            # An offset that merely pushes the events out of sight explains nothing.
            if 2 * np.count_nonzero(x) >= np.count_nonzero(a) and 2 * np.count_nonzero(y) >= np.count_nonzero(b):
                found = (int(np.count_nonzero(x != y)), k, signed)
                best = found if best is None or found < best else best
    return (best[2], best[0]) if best is not None and 2 * best[0] < count else (None, None)


def _cut(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, stop),)


def first_divergence(
    a: Mapping[str, Array], b: Mapping[str, Array], keys: Sequence[str], touched: Mapping[str, str], batched: bool = True
) -> Divergence | None:
    """Return the earliest difference of spikes or outputs; of membranes where only these differ.

    Parameters
    ----------
    a, b : Mapping[str, array, shape (samples, steps, *shape)]
        Both runs; without the axis of samples where they are not *batched*.
    keys : sequence of str
        Arrays to look at, of one shape on both sides, `in_order`.
    touched : Mapping[str, str]
        Pass that last touched each node, by path.
    batched : bool
        Whether there is an axis of samples.
    """
    found = []
    for number, key in enumerate(keys):
        differs = a[key] != b[key]
        if differs.any():
            differs = differs if batched else differs[None]
            steps = differs.any(axis=tuple(i for i in range(differs.ndim) if i != 1))
            step = int(np.argmax(steps))
            where = np.argwhere(differs[:, step])[0]
            found.append((key.startswith(("v/", "i/")), step, number, tuple(int(i) for i in where)))
    if not found:
        return None
    _, step, number, (sample, *neuron) = min(found)
    key, path = keys[number], keys[number].partition("/")[2]
    at = (*((sample,) if batched else ()), step, *neuron)

    def pair(name: str, where: tuple[int, ...]) -> tuple[float, float] | None:
        if name not in a or name not in b or a[name].shape != b[name].shape or a[name].ndim != len(where):
            return None
        return float(a[name][where]), float(b[name][where])

    earlier = (*((sample,) if batched else ()), step - 1, *neuron)
    return Divergence(
        key, path, sample, step, tuple(neuron), pair(key, at) or (0.0, 0.0), pair(f"v/{path}", at),
        pair(f"v/{path}", earlier) if step else None, touched.get(path, ""),
    )  # fmt: skip


def _notes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    if not a or not b:
        return ()
    differing = [n for n in _TELLING if n in a and n in b and a[n] != b[n]]
    return tuple(f"{name}: {_told(name, a[name], b[name])}" for name in differing)


def _told(name: str, a: Any, b: Any) -> str:
    if name == "profile" and isinstance(a, str) and isinstance(b, str):
        with contextlib.suppress(ProfileError):  # of another version
            return "; ".join(differences(parse_profile(a), parse_profile(b))) or f"{a.split(',')[0]} against {b.split(',')[0]}"
    return f"{'none' if a == '' else a} against {'none' if b == '' else b}"
