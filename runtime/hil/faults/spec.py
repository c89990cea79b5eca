"""Faults on purpose, as text: ``spike_drop:p=0.01,seed=3/device_dies:step=40`` names two.

A fault is ``name:key=value,...``; several are joined by ``/``. Every fault takes ``seed`` (default 0): the same text does the
same to the same program and input, whatever runs them and in which order. Three kinds: ``transport`` (on the way to a daemon:
`proxy`), ``device`` (what runs the program: `faulty`) and ``neuromorphic`` (what the network on the chip does:
`network`); those modules state exactly what each fault means.

>>> [str(f) for f in parse_faults("spike_drop:p=0.01/late:steps=2,p=0.1,seed=3")]
['spike_drop:p=0.01', 'late:p=0.1,steps=2,seed=3']
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.profile import MAX_STEPS

Kind = Literal["transport", "device", "neuromorphic"]


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a fault: what it takes, as words for people, and how its text is read (ValueError where it cannot be)."""

    takes: str
    read: Callable[[str], Any]


def _within(kind: type[float], low: float, high: float, takes: str) -> Option:
    def read(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return Option(takes, read)


def _number(low: float, high: float, unit: str = "") -> Option:
    return _within(float, low, high, f"a number from {low:g} to {high:g}{unit}")


def _whole(low: int, high: int, what: str = "") -> Option:
    return _within(int, low, high, f"a whole number from {low} to {high:,}{what}")


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
_INDEX = Option("an index such as 5 or 2.0.7", _neuron)
_CORE = _whole(0, 2**31)
_SEED = _whole(0, 2**62)
_BYTES = _whole(0, 2**40, " (bytes of a connection)")
_WAY = _word("up", "down", "both")


@dataclass(frozen=True, slots=True)
class Form:
    """What a fault may be given: its options, and those of which exactly one is needed."""

    kind: Kind
    options: Mapping[str, Option]
    one_of: tuple[str, ...] = ()
    #: The option that a rate of `robustness` sets; "" where there is none.
    rate: str = ""


#: All faults by name; what they mean stands in `network`, `faulty` and `proxy`.
FORMS: dict[str, Form] = {
    "spike_drop": Form("neuromorphic", {"p": _P, "layer": _LAYER}, ("p",), "p"),
    "late": Form("neuromorphic", {"p": _P, "steps": _whole(1, MAX_STEPS), "layer": _LAYER}, ("p",), "p"),
    "bit_flip": Form("neuromorphic", {"p": _P, "n": _COUNT, "format": _word("int8", "ieee"), "layer": _LAYER}, ("p", "n"), "p"),
    "saturate": Form("neuromorphic", {"bits": _whole(2, 8), "layer": _LAYER}, ("bits",), "bits"),
    "dead_core": Form("neuromorphic", {"core": _CORE, "p": _P, "n": _COUNT}, ("core", "p", "n"), "p"),
    "dead_link": Form("neuromorphic", {"from": _CORE, "to": _CORE, "p": _P, "n": _COUNT}, ("from", "p", "n"), "p"),
    "stuck": Form(
        "neuromorphic",
        {"neuron": _INDEX, "p": _P, "n": _COUNT, "at": _word("0", "1"), "layer": _LAYER},
        ("neuron", "p", "n"), "p",
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
    options : tuple of (str, value)
        Those that were given, in the order of the form.
    seed : int
        Of everything that is drawn for it.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    seed: int = 0

    @property
    def kind(self) -> Kind:
        """Where it acts: on the way, in the device, or in the network."""
        return FORMS[self.name].kind

    def get(self, name: str, default: Any = None) -> Any:
        """Return an option, or *default* where it was not given."""
        return dict(self.options).get(name, default)

    def at_rate(self, rate: float) -> Fault:
        """Return the fault with *rate* in place of what says how much: a probability, or the bits of ``saturate``.

        Raises
        ------
        UsageError
            E886 for a fault without a rate, E885 for a rate that it does not take.

        Examples
        --------
        >>> str(parse_faults("dead_core:n=3,seed=2")[0].at_rate(0.5))
        'dead_core:p=0.5,seed=2'
        """
        form = FORMS[self.name]
        if not form.rate:
            names = ", ".join(n for n, f in FORMS.items() if f.rate)
            raise UsageError(Diagnostic("E886", self.name, f"{self.name} has no rate to be varied", f"one of {names}"))
        gone = (*form.one_of, "to")
        kept = [f"{k}={_show(v)}" for k, v in self.options if k not in gone]
        (fault,) = parse_faults(f"{self.name}:{','.join([f'{form.rate}={_show(rate)}', *kept, f'seed={self.seed}'])}")
        return fault

    def with_seed(self, seed: int) -> Fault:
        """Return the fault with another seed."""
        return dataclasses.replace(self, seed=seed)

    def __str__(self) -> str:
        parts = [f"{k}={_show(v)}" for k, v in self.options] + ([f"seed={self.seed}"] if self.seed else [])
        return f"{self.name}:{','.join(parts)}" if parts else self.name


def _show(value: Any) -> str:
    """Return *value* as text that is read back as the same."""
    if isinstance(value, tuple):
        return ".".join(str(v) for v in value)
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def parse_faults(text: str, *, is_open: bool = False) -> tuple[Fault, ...]:
    """Return the faults that *text* names.

    Parameters
    ----------
    text : str
        Such as ``spike_drop:p=0.01,seed=3/device_dies:step=40``.
    is_open : bool
        Whether what says how much may be left out, to be set by `Fault.at_rate`: ``spike_drop:seed=3``.

    Raises
    ------
    UsageError
        E885 for every name, option or value that cannot be, with those that can.
    """
    faults: list[Fault] = []
    found: list[Diagnostic] = []
    for part in text.split("/"):
        try:
            faults.append(_parse(part.strip(), is_open))
        except UsageError as error:
            found += error.diagnostics
    if found:
        raise UsageError(found)
    return tuple(faults)


def _parse(text: str, is_open: bool) -> Fault:
    name, _, rest = (piece.strip() for piece in text.partition(":"))
    if name not in FORMS:
        raise _wrong(text, f"unknown fault {name!r}{did_you_mean(name, FORMS)}", f"one of {', '.join(FORMS)}")
    form, options = FORMS[name], {}
    for piece in filter(None, (p.strip() for p in rest.split(","))):
        key, equals, value = (p.strip() for p in piece.partition("="))
        allowed = {**form.options, "seed": _SEED}
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
    if form.one_of and len(given) != 1 and not (is_open and form.rate and not given):
        raise _wrong(text, f"{name} needs {'exactly one of ' * (len(form.one_of) > 1)}{', '.join(form.one_of)}", usage(name))
    if name == "dead_link" and ("from" in options) != ("to" in options):
        raise _wrong(text, "a dead link leads from a core to a core: from and to are both needed", usage(name))
    if name == "stuck" and "neuron" in options and "layer" not in options:
        raise _wrong(text, "the index of a stuck neuron is one in a layer: layer is needed", usage(name))
    return Fault(name, tuple((key, options[key]) for key in form.options if key in options), seed)


def usage(name: str) -> str:
    """Return how the fault *name* is written.

    >>> usage("spike_drop")
    'spike_drop:p=(a number from 0 to 1),layer=(the path of a layer),seed=(a whole number)'
    """
    parts = [f"{key}=({option.takes})" for key, option in FORMS[name].options.items()]
    return f"{name}:{','.join([*parts, 'seed=(a whole number)'])}"


def _wrong(path: str, message: str, hint: str) -> UsageError:
    return UsageError(Diagnostic("E885", path, message, hint))


def of_kind(faults: Iterable[Fault], kind: Kind) -> tuple[Fault, ...]:
    """Return the faults of one kind, in their order."""
    return tuple(f for f in faults if f.kind == kind)
