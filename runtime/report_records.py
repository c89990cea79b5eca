"""The records that a report is made of, all of them frozen: amounts, layers, resources, cores, cost sets, input and output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spikeport.ir.units import Quantity


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity of the whole run, and the share of one sample.

    Parameters
    ----------
    name : str
        What it is.
    total, per_sample : Quantity
        Over all samples, and divided by their number.
    within : str or None
        The line that contains this one, where the chip's own law does not tell the two apart; both numbers are then None.
    """

    name: str
    total: Quantity
    per_sample: Quantity
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the network in the run.

    Parameters
    ----------
    path, kind : str
        Node, and NIR's name of its primitive.
    neurons, synapses, cores : int or None
        Its size; synapses that enter it, and cores that it takes, where it is mapped.
    spikes : int or None
        Of the whole run; None where it does not spike.
    spikes_per_sample, rate_hz : float or None
        Mean spikes of the layer a sample; mean rate of a neuron in model time.
    synops_per_sample : float or None
        Synaptic operations that enter it, a sample, as the chip does them.
    """

    path: str
    kind: str
    neurons: int
    synapses: int | None
    cores: int | None
    spikes: int | None
    spikes_per_sample: float | None
    rate_hz: float | None
    synops_per_sample: float | None


@dataclass(frozen=True, slots=True)
class Used:
    """A resource: the most that any core or chip takes of it.

    Parameters
    ----------
    resource, meaning, unit : str
        Name, words, SI unit.
    used : int
        Most of all places.
    limit : int or None
        None where nobody published one.
    where, layer : str
        The place that takes most, and the layers there.
    """

    resource: str
    meaning: str
    unit: str
    used: int
    limit: int | None
    where: str
    layer: str


@dataclass(frozen=True, slots=True)
class CoreUse:
    """What one core holds.

    Parameters
    ----------
    core : int
        Its index; cores of a chip are consecutive.
    layers : str
        The layers on it.
    used : Mapping[str, int]
        What they take of each resource; the limits stand in :class:`Used`.
    """

    core: int
    layers: str
    used: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CostSetLines:
    """The run priced by one cost set alone.

    Parameters
    ----------
    name : str
        Such as ``published`` or ``calibrated``.
    energy : tuple of Amount
        The lines that it prices, and ``dynamic``, their sum: neurocores and their network, nothing else of the chip.
    time : tuple of Amount
        ``cores``, ``barrier`` and ``chip``, their sum.
    """

    name: str
    energy: tuple[Amount, ...]
    time: tuple[Amount, ...]


@dataclass(frozen=True, slots=True)
class Io:
    """What enters and leaves the chip in a step.

    Parameters
    ----------
    inputs, outputs : int
        Values of the network's inputs; output neurons and values that are read.
    values_in, values_out : float or None
        Events injected and values read in a mean step: an input value n is n spikes where a spike has one bit, else one
        event; of spiking outputs the spikes, of others every value.
    limit_in, limit_out : int or None
        Most that the chips in use take and give in a step; None where nobody published it.
    step : Quantity
        Time that a step waits for the host, in s: unknown but for the networks that were measured, whose span is the
        interval.
    sets_step : bool or None
        Whether input and output, not the cores, set the step of a run that is fed and read at every step; None where that
        is not known.
    why : str
        What that rests on.
    """

    inputs: int
    outputs: int
    values_in: float | None
    values_out: float | None
    limit_in: int | None
    limit_out: int | None
    step: Quantity
    sets_step: bool | None
    why: str
