"""What a fault draws: numbers that depend on its name, its seed and a place, and on nothing else.

No number depends on another draw: not on the rate (what fails at 1 % fails at 5 % too), not on how many samples, steps or
other faults there are, not on the order in which anything is asked for. Faults of the same name and seed draw the same.
Philox's raw stream is the same in every version of numpy.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, did_you_mean
from spikeport.ir.ops import Array, Shape
from spikeport.runtime.hil.faults.spec import Fault


def uniform(fault: Fault, place: str, shape: Shape, sample: int = 0) -> Array:
    """Return numbers of [0, 1) for *place*, a word that says what they are for.

    Parameters
    ----------
    fault : Fault
        Its name and seed.
    place : str
        Such as the path of a layer.
    shape : tuple of int
        A longer first axis begins with the same numbers.
    sample : int
        Number of a sample of the run; each has numbers of its own.

    Returns
    -------
    array of float64, shape *shape*
    """
    digest = hashlib.blake2b(f"{fault.name} {fault.seed} {place}".encode(), digest_size=16).digest()
    key = np.frombuffer(digest, np.dtype("<u8")).astype(np.uint64)
    stream = np.random.Philox(key=key, counter=np.array([0, 0, 0, sample], np.uint64))
    raw = np.asarray(stream.random_raw(math.prod(shape)), np.uint64)
    return (raw >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53


def hit(fault: Fault, places: dict[str, Shape], what: str) -> dict[str, Array]:
    """Return which of all the things at *places* the fault hits: each with probability ``p``, or ``n`` of all.

    Parameters
    ----------
    fault : Fault
        Has ``p`` or ``n``.
    places : dict of str to shape
        Things by place.
    what : str
        Their name in the message.

    Returns
    -------
    dict of str to array of bool

    Raises
    ------
    UnsupportedError
        E887 where ``n`` is more than there are.
    """
    drawn = {place: uniform(fault, place, shape) for place, shape in places.items()}
    n, total = fault.get("n"), sum(d.size for d in drawn.values())
    if n is None:
        return {place: d < fault.get("p") for place, d in drawn.items()}
    if n > total:
        raise not_here(fault, f"there are {total:,} {what}, not {n:,}", f"n is {total} at most")
    flat = np.zeros(total, np.bool_)
    flat[np.argsort(np.concatenate([d.reshape(-1) for d in drawn.values()] or [flat]), kind="stable")[:n]] = True
    ends = np.cumsum([d.size for d in drawn.values()])[:-1]
    return {place: f.reshape(places[place]) for place, f in zip(drawn, np.split(flat, ends), strict=True)}


def layers_of(fault: Fault, known: Sequence[str], is_not: str, called: str) -> tuple[str, ...]:
    """Return the layer that *fault* names, or all that are *known* where it names none.

    Parameters
    ----------
    fault : Fault
        May have ``layer``.
    known : sequence of str
        Paths of layers that can have it.
    is_not, called : str
        What to say of a layer that is none of them, and what they are called in the hint.

    Raises
    ------
    UnsupportedError
        E887 for a layer that is none of them.
    """
    layer = fault.get("layer")
    if layer not in (None, *known):
        said = f"{layer!r} {is_not}{did_you_mean(layer, known)}"
        raise not_here(fault, said, f"{called}: {', '.join(known) or 'none'}")
    return tuple(known) if layer is None else (layer,)


def not_here(fault: Fault, message: str, hint: str, path: str = "") -> UnsupportedError:
    """Return the error E887 that *fault* cannot be done to this program."""
    return UnsupportedError(Diagnostic("E887", path or str(fault), f"{fault}: {message}" if path else message, hint))
