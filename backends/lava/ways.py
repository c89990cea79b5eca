"""What Lava cannot do of a step network: every finding at once, with the layer's name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.dynamics import NeuronModel
from spikeport.ir.loihi import weighted_chains
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Flatten, Input, Output

#: Lava's delays have six bits, and its synapses take a step of themselves.
LONGEST = 64


def findings(network: StepNetwork) -> tuple[Diagnostic, ...]:
    """Return what Lava cannot do of *network*, as errors E544 to E546."""
    found = [*_nodes(network), *_chains(network)]
    for path, model in network.models.items():
        if network.arithmetic.name == "loihi":
            if model.threshold is not None and np.any(model.threshold < 0):
                hint = "leave the fault out that is to make it fire"
                found.append(Diagnostic("E544", path, "Lava's neurons do not have thresholds below zero in fixed_pt", hint))
        else:
            for why, hint in _neuron(model):
                found.append(Diagnostic("E544", path, f"Lava's neurons do not have {why}", hint))
    return tuple(found)


def _nodes(network: StepNetwork) -> Iterator[Diagnostic]:
    for node in network.graph:
        op = node.op
        if op.is_weighted:
            if np.any(getattr(network.ops[node.path], "bias", 0)):
                yield Diagnostic(
                    "E545", node.path, f"the biases of this {op.kind} have no place in Lava's synapses",
                    "set bias_at=membrane in the profile (lava and lava_float do): the neurons behind have biases",
                )  # fmt: skip
            if not _populations_behind(network, node.path):
                yield Diagnostic(
                    "E545", node.path, f"no population follows this {op.kind}, and Lava's synapses are read by neurons only",
                    "put an LI (or a spiking neuron) behind it",
                )  # fmt: skip
        elif not isinstance(op, (Input, Output, Flatten)) and node.path not in network.models:
            yield Diagnostic(
                "E545", node.path, f"Lava has no process for a {op.kind}",
                "fold pools and scales into the weights behind them (compile for loihi2 does), or run it on another backend",
            )  # fmt: skip


def _populations_behind(network: StepNetwork, path: str) -> bool:
    return any(path in paths for paths, _ in weighted_chains(network))


def _chains(network: StepNetwork) -> Iterator[Diagnostic]:
    """Yield what is wrong on the ways between populations."""
    for paths, steps in weighted_chains(network):
        layers = [p for p in paths[1:-1] if p in network.ops and network.ops[p].is_weighted]
        way = f"on the way from {paths[0]} to {paths[-1]}"
        if len(layers) != 1:
            what = f"{len(layers)} weighted layers ({', '.join(layers)})" if layers else "no weights"
            yield Diagnostic(
                "E545", paths[-1], f"{way} there are {what}; Lava's populations are joined by one process of synapses",
                "merge the weights" if layers else "put a Linear between, with ones on its diagonal",
            )  # fmt: skip
        elif network.graph[paths[0]].op.is_stateful and not network.graph[paths[0]].op.is_spiking:
            yield Diagnostic(
                "E545", layers[0], f"{paths[0]} does not spike, and its membrane is no output that synapses could read",
                "put a spiking neuron in its place",
            )  # fmt: skip
        elif steps < 1:
            yield Diagnostic(
                "E546", layers[0], f"{way} spikes take no step; every process of synapses in Lava takes one",
                "use the profile lava_float, whose timing that is, or give the edge a delay of 1", {"steps": steps},
            )  # fmt: skip
        elif steps > LONGEST:
            yield Diagnostic(
                "E546", layers[0], f"{way} spikes take {steps} steps; Lava's synapses delay by {LONGEST} at most",
                "shorten the delay, or put a relay population in between", {"steps": steps, "limit": LONGEST},
            )  # fmt: skip


def _neuron(model: NeuronModel) -> Iterator[tuple[str, str]]:
    """Yield what a floating-point LIF of Lava lacks for *model*, and what helps."""
    if model.threshold is not None:
        if model.reset != "to_v_reset" or np.any(model.v_reset):
            yield f"a reset other than to zero (this one's is {model.reset})", "train it with a reset to zero"
        elif model.reset_when != "after_spike":
            yield f"a reset {model.reset_when.replace('_', ' ')}", "set reset_when=after_spike in the profile"
        if model.compare != ">":
            yield f"a spike where v {model.compare} threshold", "set compare=> in the profile"
        if model.refractory_steps is not None and model.refractory_steps.any() and np.any(model.threshold < 0):
            yield "a refractory period with a threshold below zero", "raise the threshold"
    if model.syn_leak is not None and np.any(model.syn_leak):
        yield "a leak that drives the synaptic current", "set leak=nir in the profile"
    if model.old_current:
        yield "a membrane that takes the current of the step before", "set order=new_current in the profile"
    if model.decay_input:
        yield "input that decays in its own step", "set syn_gain in the profile to nir, unit or scaled"
    if model.clamp_low is not None:
        yield "a lower bound of the membrane", "set clamp_low=none in the profile"
    if model.output_delay:
        yield "spikes that show late", "set output_delay=0 in the profile"
    if model.amplitude is not None and np.any(model.amplitude != 1):
        yield "spikes of another size than 1", "fold the size into the weights behind"


__all__ = ["LONGEST", "findings"]
