"""Faults on purpose, as text: ``spike_drop:p=0.01,seed=3/device_dies:step=40`` names two.

A fault is ``name:key=value,...``; several are joined by ``/``. Every fault takes ``seed`` (default 0): the same text does the
same to the same program and input, whatever runs them and in which order. Three kinds: ``transport`` (on the way to a daemon,
`proxy`), ``device`` (what runs the program, `faulty`) and ``neuromorphic`` (what the network on the chip does: `network_faults`,
which states exactly what each of them means).

>>> [str(f) for f in parse_faults("spike_drop:p=0.01/late:p=0.1,steps=2,seed=3")]
['spike_drop:p=0.01', 'late:p=0.1,steps=2,seed=3']
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean

if TYPE_CHECKING:
    from spikeport.runtime.hil.faulty import FaultyDevice as FaultyDevice

Kind = Literal["transport", "device", "neuromorphic"]


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a fault: what it takes, as words for people, and how its text is read (ValueError where it cannot be)."""

    takes: str
    read: Callable[[str], Any]


def _number(low: float, high: float, unit: str = "") -> Option:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError
        return value

    top = "" if math.isinf(high) else f" to {high:g}"
    return Option(f"a number from {low:g}{top}{unit}", read)


def _whole(low: int, high: int, what: str = "") -> Option:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return Option(f"a whole number from {low} to {high:,}{what}", read)


def _word(*words: str) -> Option:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Option(" or ".join(words), read)


def _path(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _neuron(text: str) -> tuple[int, ...]:
    index = tuple(int(part) for part in text.split("."))
    if min(index) < 0:
        raise ValueError
    return index


_P = _number(0, 1)
_COUNT = _whole(0, 2**31)
_STEP = _whole(0, 2**31)
_LAYER = Option("the path of a layer", _path)
_CORE = _whole(0, 2**31)
_BYTES = _whole(0, 2**40, " (bytes of a connection)")
_WAY = _word("up", "down", "both")
_FORMAT = _word("int8", "ieee")


@dataclass(frozen=True, slots=True)
class Form:
    """What a fault may be given: its options, and those of which exactly one is needed."""

    kind: Kind
    options: Mapping[str, Option]
    one_of: tuple[str, ...] = ()
    #: The option that a rate of `robustness` sets; "" where there is none.
    rate: str = ""


#: All faults by name; what they mean stands in `network_faults`, `faulty` and `proxy`.
FORMS: dict[str, Form] = {
    "spike_drop": Form("neuromorphic", {"p": _P, "source": _LAYER, "layer": _LAYER}, ("p",), "p"),
    "late": Form("neuromorphic", {"p": _P, "steps": _whole(1, 4096), "source": _LAYER, "layer": _LAYER}, ("p",), "p"),
    "bit_flip": Form("neuromorphic", {"n": _COUNT, "p": _P, "layer": _LAYER, "format": _FORMAT}, ("n", "p"), "p"),
    "saturate": Form("neuromorphic", {"bits": _whole(2, 8), "layer": _LAYER}, ("bits",), "bits"),
    "dead_core": Form("neuromorphic", {"core": _CORE, "n": _COUNT, "p": _P}, ("core", "n", "p"), "p"),
    "dead_link": Form("neuromorphic", {"from": _CORE, "to": _CORE, "n": _COUNT, "p": _P}, ("from", "n", "p"), "p"),
    "stuck": Form(
        "neuromorphic",
        {
            "neuron": Option("an index such as 5 or 2.0.7", _neuron), "layer": _LAYER, "n": _COUNT, "p": _P, "at": _word("0", "1"),
        },
        ("neuron", "n", "p"), "p",
    ),
    "device_dies": Form("device", {"step": _STEP, "how": _word("error", "kill")}),
    "hang": Form("device", {"step": _STEP, "s": _number(0, 86400, " seconds")}),
    "stale_state": Form("device", {}),
    "wrong_firmware": Form("device", {}),
    "delay": Form("transport", {"ms": _number(0, 600_000, " milliseconds"), "p": _P, "way": _WAY}, ("ms",)),
    "drop": Form("transport", {"p": _P, "way": _WAY}, ("p",)),
    "truncate": Form("transport", {"after": _BYTES, "way": _WAY}, ("after",)),
    "corrupt": Form("transport", {"p": _P, "after": _BYTES, "way": _WAY}, ("p",)),
    "duplicate": Form("transport", {"p": _P, "after": _BYTES, "way": _WAY}, ("p",)),
    "half_open": Form("transport", {"after": _BYTES, "way": _WAY}),
    "reset": Form("transport", {"after": _BYTES, "way": _WAY}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault on purpose.

    Parameters
    ----------
    name : str
        A key of `FORMS`.
    options : Mapping[str, Any]
        As read; those that were not given are missing.
    seed : int
        Of everything that is drawn for it.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    @property
    def kind(self) -> Kind:
        """Where it acts: on the way, in the device, or in the network."""
        return FORMS[self.name].kind

    def get(self, name: str, default: Any = None) -> Any:
        """Return an option, or *default* where it was not given."""
        return self.options.get(name, default)

    def at_rate(self, rate: float) -> Fault:
        """Return the fault with *rate* in its option for rates (a probability; bits of ``saturate``)."""
        form = FORMS[self.name]
        if not form.rate:
            names = ", ".join(n for n, f in FORMS.items() if f.rate)
            raise _wrong(self.name, f"{self.name} has no rate", f"one of {names}")
        others = {k: v for k, v in self.options.items() if k not in form.one_of}
        text = ",".join(f"{k}={_show(v)}" for k, v in {**others, form.rate: rate}.items())
        return dataclasses.replace(parse_faults(f"{self.name}:{text}")[0], seed=self.seed)

    def __str__(self) -> str:
        parts = [f"{k}={_show(v)}" for k, v in self.options.items()] + ([f"seed={self.seed}"] if self.seed else [])
        return f"{self.name}:{','.join(parts)}" if parts else self.name


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return ".".join(str(v) for v in value)
    return f"{value:.17g}" if isinstance(value, float) and f"{value:g}" != repr(value) else f"{value:g}" if isinstance(
        value, float) else str(value)  # fmt: skip


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Return the faults that *text* names.

    Raises
    ------
    UsageError
        E885 for every name, option or value that cannot be, with those that can.
    """
    faults, found = [], []
    for part in text.split("/"):
        try:
            faults.append(_parse(part.strip()))
        except UsageError as error:
            found += error.diagnostics
    if found:
        raise UsageError(found)
    return tuple(faults)


def _parse(text: str) -> Fault:
    name, _, rest = (piece.strip() for piece in text.partition(":"))
    if name not in FORMS:
        raise _wrong(text, f"unknown fault {name!r}{did_you_mean(name, FORMS)}", f"one of {', '.join(FORMS)}")
    form, options, seed = FORMS[name], {}, 0
    for piece in filter(None, (p.strip() for p in rest.split(","))):
        key, equals, value = (p.strip() for p in piece.partition("="))
        allowed = {**form.options, "seed": _whole(0, 2**62)}
        if not equals or key not in allowed:
            said = f"{name} has no option {key!r}{did_you_mean(key, allowed)}" if equals else f"{piece!r} is not key=value"
            raise _wrong(text, said, usage(name))
        if key in options:
            raise _wrong(text, f"{key} stands twice", usage(name))
        try:
            options[key] = allowed[key].read(value)
        except ValueError:
            raise _wrong(text, f"{key} of {name} is {value!r}; it takes {allowed[key].takes}", usage(name)) from None
    seed = options.pop("seed", 0)
    given = [key for key in form.one_of if key in options]
    if form.one_of and len(given) != 1:
        raise _wrong(text, f"{name} needs {'exactly one of ' * (len(form.one_of) > 1)}{', '.join(form.one_of)}", usage(name))
    if name == "dead_link" and ("from" in options) != ("to" in options):
        raise _wrong(text, "a dead link leads from a core to a core: from and to are both needed", usage(name))
    if name == "stuck" and "neuron" in options and "layer" not in options:
        raise _wrong(text, "the index of a stuck neuron is one in a layer: layer is needed", usage(name))
    return Fault(name, options, seed)


def usage(name: str) -> str:
    """Return how the fault *name* is written.

    >>> usage("spike_drop")
    'spike_drop:p=(a number from 0 to 1),source=(the path of a layer),layer=(the path of a layer),seed=(a whole number)'
    """
    parts = [f"{key}=({option.takes})" for key, option in FORMS[name].options.items()]
    return f"{name}:{','.join([*parts, 'seed=(a whole number)'])}"


def _wrong(path: str, message: str, hint: str) -> UsageError:
    return UsageError(Diagnostic("E885", path, message, hint))


def of_kind(faults: Iterable[Fault], kind: Kind) -> tuple[Fault, ...]:
    """Return the faults of one kind, in their order."""
    return tuple(f for f in faults if f.kind == kind)


def __getattr__(name: str) -> Any:
    # The device needs numpy and a backend; a fault's text needs neither.
    if name == "FaultyDevice":
        from spikeport.runtime.hil.faulty import FaultyDevice

        return FaultyDevice
    raise AttributeError(name)
