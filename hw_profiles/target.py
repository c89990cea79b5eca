"""The target: one chip as a frozen value, read from one TOML file; the one place where limits are enforced."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from spikeport.hw_profiles.limits import overfull
from spikeport.hw_profiles.reader import (
    MAX_BYTES,
    TOP,
    Reader,
    parse,
    read_costs,
    read_encodings,
    read_fabric,
    read_io,
    read_step,
    read_support,
)
from spikeport.hw_profiles.records import CHIP_RESOURCES, CORE_RESOURCES, CostSet, Dead, Encoding, Fabric, HostIo, StepTime
from spikeport.hw_profiles.support import Support, beside_the_chip, longest_refractory, refusals
from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.program import Program
from spikeport.ir.units import Quantity

POWERS = ("static_per_chip", "static_per_board", "core_active", "management_per_chip", "host_io")


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A chip: limits, fabric, formats, costs and what its neurons can do. Every number has unit, class and source.

    Parameters
    ----------
    name, title, technology : str
        As on the command line; for people; the process it is made in.
    digest : str
        SHA-256 of the file.
    notes : tuple of str
        What a reader of its reports should know.
    fabric : Fabric
        Cores, tiles, chips.
    core, chip : Mapping[str, Quantity]
        Limits by resource; one that nobody published is unknown, and not enforced.
    max_delay : Quantity
        Longest delay of a connection, in steps.
    delay_places : Quantity or None
        Places of a core's ring buffer of one synapse type, a power of two: a core of n neurons, rounded up to a power of two,
        delays natively by *delay_places* / n steps, which is ``max_delay`` for a full core. None where it is always that.
    delay_blocks : Quantity or None
        Further blocks, each as long as that, by which cores of their own (delay slices) can delay; None for none.
    max_refractory : Quantity or None
        Most refractory steps; None where the chip sets no limit of its own.
    weight_bits : Quantity
        Width of a weight.
    weight_widths : tuple of Quantity
        Widths in which weights can be stored, ascending; none for any up to ``weight_bits``.
    memory : str
        The resource that holds synapses.
    encodings : tuple of Encoding
        How they may lie there.
    state_per_core, state_per_neuron : Quantity or None
        Bytes of ``local_memory`` beside synapses.
    costs : tuple of CostSet
        The first gives values, all of them intervals.
    power : Mapping[str, Quantity]
        Watts that run on, whatever the activity.
    apart : Mapping[str, Quantity]
        Watts of the surroundings (frames, boxes), shown but in no sum.
    step : StepTime
        Timer and barriers.
    io : HostIo
        Values that enter and leave in a step.
    support : Mapping[str, Support]
        What it has beyond capacity.
    """

    name: str
    title: str
    technology: str
    digest: str
    notes: tuple[str, ...]
    fabric: Fabric
    core: Mapping[str, Quantity]
    chip: Mapping[str, Quantity]
    max_delay: Quantity
    delay_places: Quantity | None
    delay_blocks: Quantity | None
    max_refractory: Quantity | None
    weight_bits: Quantity
    weight_widths: tuple[Quantity, ...]
    memory: str
    encodings: tuple[Encoding, ...]
    state_per_core: Quantity | None
    state_per_neuron: Quantity | None
    costs: tuple[CostSet, ...]
    power: Mapping[str, Quantity]
    apart: Mapping[str, Quantity]
    step: StepTime
    io: HostIo
    support: Mapping[str, Support]

    def limit(self, resource: str) -> int | None:
        """Return the limit of a resource of a core or a chip; None where it is unknown or there is none."""
        found = self.core.get(resource) or self.chip.get(resource)
        return None if found is None or found.value is None else int(found.value)

    def native_delay(self, neurons: int) -> int | None:
        """Return the longest delay, in steps, into a core of *neurons* neurons without delay slices; None for unknown."""
        if self.max_delay.value is None or self.delay_places is None:
            return None if self.max_delay.value is None else int(self.max_delay.value)
        return max(1, int(self.delay_places.value or 1) >> (neurons - 1).bit_length())

    def longest_delay(self, neurons: int) -> int | None:
        """Return the longest delay, in steps, into a core of *neurons* neurons, delay slices used; None for unknown."""
        native = self.native_delay(neurons)
        return None if native is None else native * (1 + int(self.delay_blocks.value or 0 if self.delay_blocks else 0))

    def without(self, dead: Dead) -> Target:
        """Return the target with *dead* taken out beside what is dead already.

        Raises
        ------
        UsageError
            E414 where its fabric has no routing tables to go around it.
        """
        if not dead:
            return self
        if self.fabric.tables == "none":
            raise UsageError(
                Diagnostic("E414", self.name, f"{self.name} has no routing tables to go around what is dead",
                           "leave --dead-chips, --dead-cores and --dead-links out, or choose --target spinnaker1")
            )  # fmt: skip
        both = self.fabric.dead | dead
        digest = hashlib.sha256(f"{self.digest} {both!r}".encode()).hexdigest()
        return dataclasses.replace(self, fabric=dataclasses.replace(self.fabric, dead=both), digest=digest)

    def widths(self) -> tuple[int, ...]:
        """Return the widths in which weights can be stored, ascending."""
        most = int(self.weight_bits.value or 8)
        return tuple(int(q.value or most) for q in self.weight_widths) or tuple(range(1, most + 1))

    def stored_width(self, bits: int) -> int:
        """Return the width that weights of *bits* take: the next one that the chip stores, at most its widest."""
        return next((w for w in self.widths() if w >= bits), self.widths()[-1])

    def check(self, program: Program, *, chips: int | None = None) -> tuple[Diagnostic, ...]:
        """Return everything in *program* that breaks a limit or that the chip lacks.

        Errors are E402 (more chips than *chips*), E403 (delay), E404 (a core or a chip holds too much, or a core is dead),
        E407 (refractory steps), E412 (a compressed routing table that is too long) and E520 (a construct that the chip
        lacks); a warning E405 is a limit that compression may still meet, E522 a layer that stays beside the chip; notes
        E521 are exact rewrites.
        """
        return (
            *self._too_many_chips(program, chips), *self._delays(program), *self._refractory(program),
            *overfull(self, program), *self._lacking(program), *beside_the_chip(self.name, program.graph),
        )  # fmt: skip

    def _lacking(self, program: Program) -> tuple[Diagnostic, ...]:
        """Return the constructs that the chip lacks or rewrites; a refusal says which of the shipped targets has it."""
        out = []
        for found in refusals(self.name, self.support, program.graph, program.profile):
            if found.code == "E520":
                what = found.facts["construct"]
                having = [n for n in target_names() if n != self.name and _shipped(n).support[what].status != "refused"]
                way = f"choose --target {' or '.join(having)}, or train without it" if having else "train without it"
                found = dataclasses.replace(found, hint=f"{way}; {found.hint}")
            out.append(found)
        return tuple(out)

    def _too_many_chips(self, program: Program, chips: int | None) -> tuple[Diagnostic, ...]:
        if chips is None or program.chips <= chips:
            return ()
        cores = len(program.allocated)
        return (
            Diagnostic(
                "E402", "",
                f"the network takes {program.chips} chips of {self.name} ({cores} cores); {chips} allowed",
                f"--chips {program.chips}, or leave --chips out", {"need": program.chips, "limit": chips, "resource": "chips"},
            ),
        )  # fmt: skip

    def _delays(self, program: Program) -> tuple[Diagnostic, ...]:
        sizes = program.largest()
        limits = [self.longest_delay(sizes.get(p.target, 1)) for p in program.projections]
        own = int(program.arithmetic == "loihi")  # every spike takes a step there, and the chip's delay comes on top
        beside = " beside the one that every spike takes" if own else ""
        return tuple(
            Diagnostic(
                "E403", p.target,
                f"the connection from {p.source} waits {p.delay - own} steps{beside}; {self.name} has at most {limit:g}",
                f"shorten the delay to {limit:g} steps, or put relay neurons in between",
                {"resource": "delay", "need": p.delay - own, "limit": limit, "source": p.source},
            )
            for p, limit in zip(program.projections, limits, strict=True)
            if limit is not None and p.delay - own > limit
        )  # fmt: skip

    def _refractory(self, program: Program) -> tuple[Diagnostic, ...]:
        limit = None if self.max_refractory is None else self.max_refractory.value
        return tuple(
            Diagnostic(
                "E407", path, f"a neuron of this layer rests {steps} steps after a spike; {self.name} has at most {limit:g}",
                f"shorten the rest to {limit:g} steps, or choose a larger dt",
                {"resource": "refractory", "need": steps, "limit": limit},
            )
            for path, steps in longest_refractory(program.graph).items()
            if limit is not None and steps > limit
        )  # fmt: skip


def target_names() -> tuple[str, ...]:
    """Return the names of the targets that are shipped."""
    return tuple(sorted(f.name[:-5] for f in files("spikeport.hw_profiles").iterdir() if f.name.endswith(".toml")))


def load_target(name: str | Path) -> Target:
    """Return the target called *name*, or the one in the TOML file *name*.

    Raises
    ------
    UsageError
        E604 for a name that is not shipped, E605 for a file that is no TOML, E606 with all that breaks the schema.
    """
    if isinstance(name, Path) or name.endswith(".toml") or "/" in name or "\\" in name:
        path = Path(name)
        try:
            if not path.is_file():
                raise OSError("no such file")
            with path.open("rb") as file:
                text = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise UsageError(
                Diagnostic("E605", str(path), f"cannot read the target: {error}", "give a file or a name")
            ) from None
        return read_target(text, path.name)
    if name not in target_names():
        names = ", ".join(target_names())
        raise UsageError(
            Diagnostic("E604", "", f"unknown target {name!r}{did_you_mean(name, target_names())}",
                       f"one of {names}, or the path of a target's .toml file")
        )  # fmt: skip
    return _shipped(name)


@lru_cache(maxsize=16)
def _shipped(name: str) -> Target:
    return read_target(files("spikeport.hw_profiles").joinpath(f"{name}.toml").read_bytes(), f"{name}.toml")


def read_target(text: bytes, origin: str) -> Target:
    """Return the target that the TOML *text* describes; *origin* names it in errors.

    Raises
    ------
    UsageError
        E605 or E606, with all findings at once.
    """
    r = Reader(parse(text, origin), origin)
    r.known(r.data, TOP, "")
    if r.data.get("schema") != 1:
        r.wrong("schema", f"this version reads schema 1, the file says {r.data.get('schema')!r:.40}")
    for key, value in r.sources.items():
        if not isinstance(value, str) or not value.strip():
            r.wrong(f"sources.{key}", "expected the publication as text")
    notes = r.data.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(n, str) for n in notes):
        r.wrong("notes", "expected a list of texts")
        notes = []
    bits, widths, memory, encodings = read_encodings(r)
    state = r.table(r.data, "state", "", needed=False)
    r.known(state, ("per_core", "per_neuron"), "state")
    power = r.table(r.data, "power", "", needed=False)
    r.known(power, POWERS, "power")
    apart = r.table(r.data, "apart", "", needed=False)
    costs = read_costs(r)
    core, chip = r.limits("core", CORE_RESOURCES), r.limits("chip", CHIP_RESOURCES)
    if core.get("neurons", Quantity(None, "1", "estimated", "?")).value is None:
        r.wrong("core.neurons", "must be known: the mapper cannot do without it")
    target = Target(
        name=r.text(r.data, "name"), title=r.text(r.data, "title"), technology=r.text(r.data, "technology"),
        digest=hashlib.sha256(text).hexdigest(), notes=tuple(notes), fabric=read_fabric(r), core=MappingProxyType(core),
        chip=MappingProxyType(chip), max_delay=r.quantity(r.data.get("delay"), "delay", "1", whole=True),
        delay_places=r.count(r.data, "delay_places", "") if "delay_places" in r.data else None,
        delay_blocks=r.count(r.data, "delay_blocks", "") if "delay_blocks" in r.data else None,
        max_refractory=r.quantity(r.data["refractory"], "refractory", "1", whole=True) if "refractory" in r.data else None,
        weight_bits=bits, weight_widths=widths, memory=memory, encodings=encodings,
        state_per_core=r.count(state, "per_core", "state", "B", 0) if "per_core" in state else None,
        state_per_neuron=r.count(state, "per_neuron", "state", "B", 0) if "per_neuron" in state else None,
        costs=costs, power=MappingProxyType({k: r.quantity(v, f"power.{k}", "W") for k, v in power.items()}),
        apart=MappingProxyType({k: r.quantity(v, f"apart.{k}", "W") for k, v in apart.items()}),
        step=read_step(r, [c.name for c in costs]), io=read_io(r), support=MappingProxyType(read_support(r)),
    )  # fmt: skip
    r.fail()
    return target
