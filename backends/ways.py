"""The ways of spikes through a step network, each through one weighted layer."""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.ir.loihi import weighted_chains
from spikeport.ir.network import StepNetwork


@dataclass(frozen=True, slots=True)
class Way:
    """A way from an input or a population through one weighted layer to a population.

    Parameters
    ----------
    source, layer, target : str
        Paths.
    steps : int
        From a spike of the source to the neurons of the target.
    """

    source: str
    layer: str
    target: str
    steps: int


def ways_of(network: StepNetwork) -> tuple[Way, ...]:
    """Return all ways of *network*, in which every way has one weighted layer."""
    found = []
    for paths, steps in weighted_chains(network):
        (layer,) = (p for p in paths[1:-1] if network.ops[p].is_weighted)
        found.append(Way(paths[0], layer, paths[-1], steps))
    return tuple(found)


__all__ = ["Way", "ways_of"]
