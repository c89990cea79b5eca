"""Where a module's run and its import's part first, and whether that is a tie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, ImportModelError
from spikeport.ir.dynamics import NeuronModel
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array
from spikeport.ir.reference import tested_membrane
from spikeport.ir.trace import Trace

#: Share of the magnitudes at a threshold within which a double-precision membrane is on it.
TIE = 1e-12


def compared(
    network: StepNetwork, inputs: Mapping[str, Array], trace: Trace, theirs: Mapping[str, Array]
) -> tuple[Diagnostic, ...]:
    """Return a warning for ties, raise the first divergence that is none."""
    found: dict[int, tuple[int, int, str]] = {}
    outputs: dict[str, Array] = {}
    for order, path in enumerate(p for p in network.schedule.order if p in theirs):
        outputs[path], differs = _differing(network.models[path], path, trace, theirs[path])
        for sample, step in np.argwhere(differs.reshape(*differs.shape[:2], -1).any(axis=2)).tolist():
            found[sample] = min(found.get(sample, (step, order, path)), (step, order, path))
    ties = []
    for sample, (step, _, path) in sorted(found.items()):
        finding, is_tie = _judged(network, inputs, path, sample, step, outputs[path], theirs[path])
        if not is_tie:
            raise ImportModelError(finding)
        ties.append(finding)
    return tuple(ties[:1])


def _differing(model: NeuronModel, path: str, trace: Trace, given: Array) -> tuple[Array, Array]:
    """Return what the import gave, and where it is not what the module gave."""
    own = trace.out[path] if model.threshold is None else trace.spikes[path]
    if own.shape != given.shape:
        raise ImportModelError(
            Diagnostic(
                "E033", path, f"on this sample the module gives {given.shape} (samples, steps, neurons) here, and its import "
                f"{own.shape}", "see that the sample's batch and time stand where the module takes them",
                {"got": given.shape, "expected": own.shape},
            )
        )  # fmt: skip
    if model.threshold is None:
        return own, np.abs(own - given) > 1e-9 * np.maximum(1.0, np.abs(given).max(initial=0.0))
    own = own * (1.0 if model.amplitude is None else model.amplitude)
    return own, np.abs(own - given) > 1e-5 * np.abs(own) + 1e-9


def _judged(
    network: StepNetwork, inputs: Mapping[str, Array], path: str, sample: int, step: int, own: Array, given: Array
) -> tuple[Diagnostic, bool]:
    """Return the finding on the first divergence of a sample, and whether it is a tie."""
    where = tuple(np.argwhere(own[sample, step] != given[sample, step])[0].tolist())
    index = (sample, step, *where)
    model, node = network.models[path], network.graph[path]
    text = (
        f"this {node.notes.get('origin', node.op.kind)} and its import part in step {step} of sample {sample}, neuron {where}: "
        f"the module gives {given[index]:g}, the import {own[index]:g}"
    )
    facts: dict[str, Any] = {"step": step, "sample": sample, "neuron": list(where)}
    if model.threshold is not None:
        membrane = float(tested_membrane(network, inputs, path, step)[(sample, *where)])
        threshold = float(model.threshold[where])
        facts |= {"membrane": membrane, "threshold": threshold}
        text += f" (membrane {membrane!r}, threshold {threshold!r})"
        # With several spikes a step, every multiple of the threshold is one.
        times = np.rint(membrane / threshold) if model.reset == "multi_subtract" and threshold else 1.0
        if abs(membrane - times * threshold) <= TIE * max(abs(membrane), abs(threshold)) and times:
            hint = "both are right within rounding; inputs on a grid that meets the threshold exactly are such a case"
            return Diagnostic("E035", path, f"{text}: a tie, the membrane is on the threshold", hint, facts, "warning"), True
    hint = "report this with the module: an import must give the same spikes"
    return Diagnostic("E034", path, text, hint, facts), False
