"""SpiNNaker's rows of the conversion table: registers of s16.15, weights of 16 bits with their shift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spikeport.compiler.integer.links import Link
from spikeport.compiler.integer.neurons import Dynamics
from spikeport.compiler.integer.table import Row, row, span, whole
from spikeport.compiler.spinnaker.scale import Choice
from spikeport.compiler.spinnaker.settle import Settled
from spikeport.ir.ops import Array
from spikeport.ir.spinnaker import FULL, word_bits


def rows_of(
    path: str, dyn: Dynamics, done: Settled, choice: Choice, links: Sequence[Link], names: Mapping[int, str]
) -> Iterator[Row]:  # fmt: skip
    """Yield the rows of one population and of the connections into it."""
    scale, decays = done.scale, done.decays
    if dyn.threshold is not None and done.threshold is not None:
        yield row(path, "V_thresh", dyn.threshold, word_bits(done.threshold), 0, done.threshold / scale)
    yield row(path, "exp_TC", dyn.beta, word_bits(decays.beta), 0, decays.beta)
    if dyn.alpha is not None and decays.alpha is not None:
        yield row(path, "decay", dyn.alpha, np.rint(decays.alpha * FULL).astype(np.int64), 0, decays.alpha)
    if np.any(done.rest):
        exact = done.rest / scale
        yield row(path, "V_rest", exact, word_bits(done.rest), 0, exact)
    for name, state in (("v_init", done.v_init), ("i_init", done.i_init)):
        if np.any(state):
            yield row(path, name, state / scale, word_bits(state), 0, state / scale)
    if done.refractory is not None:
        yield row(path, "T_refract", done.refractory, done.refractory, 0, done.refractory)
    place = [i for i, link in enumerate(links) if link.target == path]
    for number, at in enumerate(place):
        yield from _weights(names[at], links[at].incoming.weight, choice, number)


def _weights(name: str, old: Array, choice: Choice, number: int) -> Iterator[Row]:
    """Yield a row for the excitatory and one for the inhibitory weights of a connection."""
    bits, real = choice.weights[number], choice.modelled(number)
    for sign, kind, shift in ((1, "excitatory", choice.shifts[0]), (-1, "inhibitory", choice.shifts[1])):
        some = sign * old > 0
        if not np.any(some):
            continue
        error = float(np.sqrt(np.sum((real[some] - old[some]) ** 2) / np.sum(old[some] ** 2)))
        cut = int(np.count_nonzero(np.abs(bits[some]) == np.iinfo(np.uint16).max))
        yield Row(
            name, kind, span(old[some]), whole(bits[some]), (shift, shift), span(real[some]), error,
            cut if choice.cut[number] else 0, int(np.count_nonzero(bits[some] == 0)), int(np.count_nonzero(some)),
        )  # fmt: skip
