"""The report as a frozen, versioned value: plain data out, the same value back in. Printing is another file's matter."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.units import Quantity
from spikeport.runtime.report_records import Amount, CoreUse, CostSetLines, Io, Layer, Used

FORMAT = "spikeport report 2"
#: Lines of the energy, in the order in which they are shown.
ENERGY_LINES = ("synapse", "soma", "core", "network", "barrier", "static", "management", "host_io")
#: Lines of the chip time.
TIME_LINES = ("cores", "barrier", "timer", "host_io")


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did and what it costs on a target. Every priced number has a class and a source; unknown is None.

    Parameters
    ----------
    kind : {"run", "stated_rates"}
        Whether spikes were simulated, or a mean rate stated.
    target, target_title : str or None
        Chip; None where nothing was priced.
    chips, boards, cores : int or None
        What the network takes of it.
    backend : str or None
        What ran.
    profile, arithmetic : str
        Time semantics in full, and number system.
    dt_s : float
        Step of the model.
    samples, steps : int
        Samples, and steps of each.
    neurons, synapses : int
        Size of the network; synapses with each use of a shared weight counted.
    energy : tuple of Amount
        ``synapse``, ``soma``, ``core``, ``network``, ``barrier``, ``static``, ``management``, ``host_io``.
    energy_dynamic, energy_known, energy_total : Amount
        Sum of the first four lines: neurocores and network alone; of all known lines; of all lines of the whole chip,
        unknown if one of them is.
    cost_sets : tuple of CostSetLines
        The run by each cost set alone: the ends of the intervals, and what they are made of.
    apart : tuple of Amount
        Energy of the surroundings (frame, box), in no sum.
    model_time, chip_time, host_time : Amount
        Steps times dt; what the chip takes; what the simulation took here.
    time : tuple of Amount
        What the chip time is made of: ``cores`` and ``barrier`` (or ``timer``), and beside them ``host_io``.
    io : Io or None
        What enters and leaves in a step; None without a target.
    edp : Quantity
        Energy-delay product of a sample, in J s.
    bounded_by : str
        What bounds the chip's step, and where.
    layers : tuple of Layer
        Inputs, neurons.
    neurobench : Mapping
        NeuroBench 2.3's metrics by its own names.
    usage : tuple of Used
        Resources.
    by_core : tuple of CoreUse
        What each core takes of them.
    passes : tuple of Mapping
        Record of each pass.
    notes : tuple of str
        What a reader should know.
    versions, digests : Mapping[str, str]
        What it was made with and from.
    """

    kind: str
    target: str | None
    target_title: str | None
    chips: int | None
    boards: int | None
    cores: int | None
    backend: str | None
    profile: str
    arithmetic: str
    dt_s: float
    samples: int
    steps: int
    neurons: int
    synapses: int
    energy: tuple[Amount, ...]
    energy_dynamic: Amount
    energy_known: Amount
    energy_total: Amount
    cost_sets: tuple[CostSetLines, ...]
    apart: tuple[Amount, ...]
    model_time: Amount
    chip_time: Amount
    host_time: Amount
    time: tuple[Amount, ...]
    io: Io | None
    edp: Quantity
    bounded_by: str
    layers: tuple[Layer, ...]
    neurobench: Mapping[str, Any]
    usage: tuple[Used, ...]
    by_core: tuple[CoreUse, ...] = ()
    passes: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    format: str = FORMAT

    def line(self, name: str) -> Amount:
        """Return the energy line called *name*."""
        return next(a for a in self.energy if a.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return plain data as ``report.schema.json`` says."""
        data: dict[str, Any] = _plain(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | str | bytes) -> Report:
        """Return the report that plain data, or its JSON text, says.

        Raises
        ------
        UsageError
            E643 for what is no report of this version.
        """
        try:
            value = json.loads(data, parse_constant=_refuse) if isinstance(data, (str, bytes)) else data
            if not isinstance(value, Mapping) or value.get("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT!r}")
            report: Report = _build(cls, value, "$")
            return report
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(
                Diagnostic(
                    "E643", "", f"not a report of this version: {error}", "write one with `spikeport run --report R.json`"
                )
            ) from None


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _plain(value: Any) -> Any:
    if isinstance(value, Quantity):
        return value.as_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value


#: Fields that hold records, by the name of the field.
_RECORDS: dict[str, type] = {
    "energy": Amount, "apart": Amount, "layers": Layer, "usage": Used, "energy_dynamic": Amount, "energy_known": Amount,
    "energy_total": Amount, "model_time": Amount, "chip_time": Amount, "host_time": Amount, "edp": Quantity, "total": Quantity,
    "per_sample": Quantity, "cost_sets": CostSetLines, "time": Amount, "io": Io, "by_core": CoreUse, "step": Quantity,
}  # fmt: skip
_HOLD_RECORDS = (Report, Amount, CostSetLines, Io)
_LISTS = ("energy", "cost_sets", "apart", "time", "layers", "usage", "by_core", "passes", "notes")
_SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "None": (type(None),),
}  # fmt: skip


def _build(cls: type, data: Any, at: str) -> Any:
    """Return the record *cls* from plain data; ValueError names what is missing, too much or of another type."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{at}: expected an object, got {data!r:.60}")
    names = {("class" if cls is Quantity and f.name == "kind" else f.name): f for f in dataclasses.fields(cls)}
    if set(data) != set(names):
        raise ValueError(f"{at}: missing {sorted(set(names) - set(data))}, unknown {sorted(set(data) - set(names))}")
    values = {}
    for key, f in names.items():
        value, where, record = data[key], f"{at}.{key}", _RECORDS.get(f.name)
        if f.name in _LISTS and cls in (Report, CostSetLines):
            if not isinstance(value, (list, tuple)):
                raise ValueError(f"{where}: expected a list")
            value = tuple(_build(record, v, f"{where}[{i}]") if record else v for i, v in enumerate(value))
        elif record is not None and cls in _HOLD_RECORDS:
            value = None if value is None and "None" in str(f.type) else _build(record, value, where)
        elif str(f.type).startswith("Mapping"):
            if not isinstance(value, Mapping):
                raise ValueError(f"{where}: expected an object")
        else:
            allowed = [t for part in str(f.type).split("|") for t in _SCALARS.get(part.strip(), (str,))]
            if (isinstance(value, bool) and bool not in allowed) or not isinstance(value, tuple(allowed)):
                raise ValueError(f"{where}: expected {f.type}, got {value!r:.60}")
        values[f.name] = value
    return cls(**values)
