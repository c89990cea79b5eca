"""What lava-dl's netx and Lava's fixed-point Dense make of the weights of a ``.net`` file.

netx shifts a dense layer's weights up until they fill eight bits, tells Lava how many bits they then have, and Lava's Dense
clips, cuts and shifts them back. For even weights from -256 to 254 that changes nothing; at the edges it does, and a network
that is to equal Lava bit for bit has to have the weights that come out. Found in netx/utils.py (lava-dl 0.6.0) and
utils/weightutils.py (lava-nc 0.10.0). Lava's Conv takes its weights as they are.
"""

from __future__ import annotations

import math

import numpy as np

from spikeport.ir.ops import Array

#: Range to which netx clips weights of mixed signs.
MIXED = (-256, 254)


def netx_format(weight: Array) -> tuple[int, int]:
    """Return (bits of shift, bits of weight) that netx chooses for *weight*, which is not all 0 and was clipped.

    Raises
    ------
    ValueError
        Where the weights are larger than Loihi's synapses hold.
    """
    low, high = int(weight.min()), int(weight.max())
    mixed = low < 0 <= high
    top = 127 / max(high, 0.5)  # 0.5: without a positive weight there is no limit
    scale = min(top, -128 / low) if mixed else -256 / low if low < 0 else 255 / high
    shift = math.floor(math.log2(scale)) + mixed
    if shift < 0:
        limits = "-256 to 254" if mixed else "-256 to -1" if low < 0 else "0 to 255"
        raise ValueError(f"weights from {low} to {high}; a Loihi synapse with weights of these signs holds {limits}")
    zeros = next((n for n in range(8, 0, -1) if not np.any(weight & ((1 << n) - 1))), 0)
    return shift, 8 - shift - (zeros - mixed)


def lava_dense(weight: Array, shift: int, bits: int) -> Array:
    """Return the weights that Lava's fixed-point Dense has in effect, where netx gave it *shift* and *bits*.

    Raises
    ------
    ValueError
        Where Lava would shift a sum of weights down with a remainder, or by less than nothing (and lose them all).
    """
    shifted = weight << shift
    low, high = int(shifted.min()), int(shifted.max())
    sign = -1 if low < 0 and high <= 0 else 1
    mixed = low < 0 < high
    clipped = np.clip(sign * shifted, -256 if mixed else 0, 255)
    cut = 8 - bits + mixed
    if cut < 0:
        span = f"weights from {low >> shift} to {high >> shift}, of one sign for Lava and mixed for netx"
        raise ValueError(f"{span}, which gives odd ones {bits} bits; Lava's Dense has 8 and would lose them")
    effective = sign * ((clipped >> cut) << cut)
    if np.any(effective & ((1 << shift) - 1)):
        kept = f"{int(effective.min())} to {int(effective.max())}, shifted down by {shift} with a remainder"
        raise ValueError(f"weights from {low >> shift} to {high >> shift}: Lava's Dense has {kept}")
    return np.asarray(effective >> shift)


def dense_weights(*weights: Array) -> tuple[list[Array], int]:
    """Return what Lava has of the dense *weights* of one layer (those of a recurrent one are scaled together).

    Parameters
    ----------
    *weights : array of int64, shape (outputs, inputs)
        As the file has them.

    Returns
    -------
    list of array of int64
        The weights in effect.
    int
        How many of them differ from the file's.

    Raises
    ------
    ValueError
        As above.
    """
    low, high = min(int(w.min()) for w in weights), max(int(w.max()) for w in weights)
    if low == 0 == high:
        return list(weights), 0
    clips = low < 0 < high
    clipped = [np.clip(w, *MIXED) if clips else w for w in weights]
    shift, bits = netx_format(np.concatenate([w.reshape(-1) for w in clipped]))
    done = [lava_dense(w, shift, bits) for w in clipped]
    return done, sum(int(np.count_nonzero(a != b)) for a, b in zip(done, weights, strict=True))
