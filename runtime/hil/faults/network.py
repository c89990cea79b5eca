"""Faults of the network on the chip: a program with faults in it, which any backend runs, and what its inputs then are.

=============  =========================================================================  ==============
fault          what it means, exactly                                                     stands in
=============  =========================================================================  ==============
``spike_drop`` a neuron's spikes of a step are lost on their way, with probability p      `ways`
``late``       they come ``steps`` (1) later, with probability p                          `ways`
``bit_flip``   bits of stored weights are turned                                          `weights`
``saturate``   weights are clipped to fewer bits                                          `weights`
``dead_core``  neurons on a core never fire                                               `neurons`
``dead_link``  the synapses from one core to another deliver nothing                      `links`
``stuck``      a neuron never fires, or fires in every step                               `neurons`
=============  =========================================================================  ==============

In whatever order they are written, weights come first, then neurons (a dead core wins over a neuron that is stuck), then links,
then the way. All are drawn from the fault's own seed by `draws`, by layer, sample, step and neuron: the same text does
the same to the same program and input in every backend, however samples are shared out over runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, SpikeportError, UnsupportedError
from spikeport.ir.graph import Graph
from spikeport.ir.loihi import FAULTS_NOTE
from spikeport.ir.network import build_network
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.trace import Trace
from spikeport.ir.verify import verify
from spikeport.runtime.hil.faults.draws import not_here
from spikeport.runtime.hil.faults.links import cut
from spikeport.runtime.hil.faults.neurons import dead_cores, dead_links, stuck
from spikeport.runtime.hil.faults.spec import Fault, of_kind
from spikeport.runtime.hil.faults.ways import Gate, Way, gated, on_input, ways_of
from spikeport.runtime.hil.faults.weights import bit_flip, saturate
from spikeport.runtime.injected import input_spikes
from spikeport.runtime.neurobench import binary_inputs

_WEIGHTS: dict[str, Callable[[Program, Fault], Graph]] = {"bit_flip": bit_flip, "saturate": saturate}


@dataclass(frozen=True, slots=True, eq=False)
class Faulted:
    """A program with faults in it.

    Parameters
    ----------
    sound : Program
        As it was.
    program : Program
        What is to be run in its place; its graph's note ``faults`` says which there are.
    ways : tuple of Way
        Layers whose spikes meet faults on their way.
    gates : tuple of Gate
        What the graph has for that.
    """

    sound: Program
    program: Program
    ways: tuple[Way, ...] = ()
    gates: tuple[Gate, ...] = ()

    @property
    def has_more_nodes(self) -> bool:
        """Whether nodes were put in, which lie on no core: what runs mapped programs as they are cannot run that."""
        return len(self.program.graph) != len(self.sound.graph)

    def inputs(self, values: Mapping[str, Array], first: int = 0) -> dict[str, Array]:
        """Return the inputs of `program`, given those of `sound`.

        Parameters
        ----------
        values : Mapping[str, array, shape (samples, steps, *shape)]
            By Input node.
        first : int
            Number in the whole run of the first of these samples: shared out over runs, samples keep their faults.
        """
        found = dict(values)
        samples, steps = next(iter(values.values())).shape[:2]
        for way in self.ways:
            fates = way.fates(range(first, first + samples), steps)
            if way.layer in found:
                found[way.layer] = on_input(way, found[way.layer], fates)
            found.update({g.input: g.values(fates) for g in self.gates if g.way is way})
        return found

    def trace(self, trace: Trace, values: Mapping[str, Array]) -> Trace:
        """Return the *trace* of a run of `program` as one of `sound`: without what faults put in. *values* are its inputs."""
        known = self.sound.graph
        groups: dict[str, Any] = {
            name: {path: found for path, found in getattr(trace, name).items() if path in known}
            for name in ("spikes", "out", "v", "i", "counts", "activity")
        }
        own = {path: x for path, x in values.items() if path in known}
        meta = {**trace.meta, "binary_inputs": binary_inputs(own), "input_spikes": input_spikes(known, own)}
        return dataclasses.replace(trace, meta=meta, **groups)


def inject(program: Program, faults: Iterable[Fault]) -> Faulted:
    """Return *program* with the neuromorphic ones of *faults* in it.

    Raises
    ------
    UnsupportedError
        E887 for a fault that cannot be done to this program, with the reason; nothing is left out silently.
    """
    own = of_kind(faults, "neuromorphic")
    sound = program
    if not own:
        return Faulted(sound, program)
    if FAULTS_NOTE in program.graph.notes:
        before = "/".join(program.graph.notes[FAULTS_NOTE])
        raise not_here(own[0], f"the program has faults in it already: {before}", "give all at once to the sound program")
    for fault in own:
        if fault.name in _WEIGHTS:
            program = dataclasses.replace(program, graph=_WEIGHTS[fault.name](program, fault))
    for fault in own:
        if fault.name == "stuck":
            program = stuck(program, fault)
    program = dead_cores(program, tuple(f for f in own if f.name == "dead_core"))
    links = dead_links(program, tuple(f for f in own if f.name == "dead_link"))
    program = dataclasses.replace(program, graph=cut(program, links))
    ways = ways_of(sound, [f for f in own if f.name in ("spike_drop", "late")])
    gates: tuple[Gate, ...] = ()
    if ways:
        program, gates = gated(program, ways)
    notes = {**program.graph.notes, FAULTS_NOTE: [str(f) for f in own]}
    program = dataclasses.replace(program, graph=program.graph.replace(notes=notes))
    _require_expressible(sound, program, own)
    return Faulted(sound, program, ways, gates)


def _require_expressible(sound: Program, program: Program, faults: tuple[Fault, ...]) -> None:
    """Raise UnsupportedError E887 where *program* has no meaning in the number system or the profile of *sound*."""
    text = "/".join(map(str, faults))
    if program.arithmetic == "spinnaker2":
        before, after = (build_network(p.graph, p.profile, p.arithmetic) for p in (sound, program))
        for path, op in before.ops.items():
            if op.is_weighted and path in after.ops and _rescaled(op, after.ops[path]):
                why = f"the largest weight into the population behind {path} is lost, and arithmetic spinnaker2 scales by it"
                raise not_here(faults[0], why, "--arith float64", path)
    try:
        verify(program.graph, program.profile)
        build_network(program.graph, program.profile, program.arithmetic)
    except SpikeportError as error:
        raise UnsupportedError(
            [Diagnostic("E887", d.path, f"{text} cannot be expressed here: {d.code}: {d.message}",
                        "leave the fault out that this layer cannot have, or take --arith float64", d.facts)
             for d in error.diagnostics]
        ) from error  # fmt: skip


def _rescaled(before: Any, after: Any) -> bool:
    """Whether a weight that is still there has another integer than it had."""
    return bool(((after.weight != before.weight) & (after.weight != 0)).any())
