"""What a test session asks for: the options of the command line, the arguments of a marker, a compiled model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.program import Program
from spikeport.runtime.hil.device import DeviceInfo
from spikeport.runtime.hil.outcome import HilError, Outcome

#: Seconds that a run may take, before --hil-timeout-multiplier.
RUN_S = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; the fields are the options ``--hil-...``."""

    url: str | None = None
    ca: str | None = None
    token: str | None = None
    target: str | None = None
    backend: str = "engine"
    record: str | None = None
    replay: str | None = None
    fault: str | None = None
    timeout_multiplier: float = 1.0
    retries: int = 0
    baseline: str | None = None
    baseline_update: bool = False
    report: str | None = None
    out: str = "hil-results"
    require: bool = False

    @classmethod
    def of(cls, config: Any) -> Options:
        """Return the options of a pytest configuration."""
        return cls(**{name: config.getoption(f"hil_{name}") for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Want:
    """What a test asks for: the arguments of ``@pytest.mark.hil``.

    Parameters
    ----------
    target : str
        Chip; a device that stands for one takes its programs only, a simulator without one takes any.
    features : tuple of str
        What the device must be able to do.
    count : int
        Devices.
    device, firmware : str
        Its name, and the beginning of its firmware's digest.
    timeout_s : float
        Seconds for each run.
    """

    target: str = ""
    features: tuple[str, ...] = ()
    count: int = 1
    device: str = ""
    firmware: str = ""
    timeout_s: float = RUN_S
    #: The chip, where its description is a file.
    chip: Any = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Want:
        """Return what the *arguments* of the marker say; raise UsageError E859 for what cannot be."""
        known = [n for n in cls.__slots__ if n != "chip"]
        wrong = [
            f"there is no argument {n!r}{did_you_mean(n, known)}; there are {', '.join(known)}"
            for n in arguments if n not in known
        ]  # fmt: skip
        given = {n: v for n, v in arguments.items() if v is not None}
        if isinstance(given.get("features"), str):
            given["features"] = (given["features"],)
        given["features"] = tuple(given.get("features", ()))
        texts = ("target", "device", "firmware")
        wrong += [f"{n}={given[n]!r} is no text" for n in texts if not isinstance(given.get(n, ""), str)]
        wrong += [f"a feature {f!r} is no text" for f in given["features"] if not isinstance(f, str)]
        count, timeout = given.get("count", 1), given.get("timeout_s", RUN_S)
        if type(count) is not int or not 1 <= count <= 1000:
            wrong.append(f"count={count!r} is no number of devices")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            wrong.append(f"timeout_s={timeout!r} is no number of seconds")
        if wrong:
            raise UsageError([Diagnostic("E859", "hil", text, "see `pytest --markers`") for text in wrong])
        if given.get("target", "").endswith(".toml"):
            from spikeport.hw_profiles.target import load_target

            chip = load_target(given["target"])
            given |= {"target": chip.name, "chip": chip}
        return cls(**given)

    def misses(self, info: DeviceInfo) -> str:
        """Return why the device *info* will not do; empty where it does."""
        if self.device and self.device != info.name:
            return f"{info.name} is not {self.device}"
        if self.target and self.target not in (info.target, info.name, info.backend) and (info.target or info.kind == "hw"):
            return f"{info.name} is {info.target or 'no chip of that name'}, not {self.target}"
        lacking = [f for f in self.features if f not in info.features]
        if lacking:
            return f"{info.name} lacks {', '.join(lacking)} (it has {', '.join(info.features) or 'nothing'})"
        if not info.firmware.startswith(self.firmware):
            return f"{info.name} has firmware {info.firmware[:12]}, not {self.firmware[:12]}"
        return ""


class NoDevice(HilError):
    """No device does what a test asks for: the test is skipped with the reason, or fails with ``--hil-require``."""

    def __init__(self, why: str) -> None:
        super().__init__(Diagnostic("E869", "", why, "see `pytest --markers` and the options --hil-..."), Outcome.UNSUPPORTED)


@dataclass(frozen=True, slots=True, eq=False)
class Artifact:
    """A compiled model.

    Parameters
    ----------
    program : Program
        What runs.
    data : bytes
        It as a ``.spk``.
    target : Target or None
        Chip to price for.
    """

    program: Program
    data: bytes = field(repr=False)
    target: Any = None
