"""Near-threshold ties: where two orders of the same floating-point sum may fall on different sides of a threshold.

Two runs of one network that differ only in the order of their sums stay within twice a bound of each other as long as
their spikes agree. The bound is the textbook one (Higham, Accuracy and Stability of Numerical Algorithms, 3.1): a sum of
``n`` terms is off by at most ``n*u*sum(|terms|)``, ``u`` half an ulp of 1; it accumulates over steps with the decay. A
differing spike is excused only where it is the first of its sample, nothing that feeds it differs, and the membrane that
was tested lies within twice that bound of the threshold.
"""

import dataclasses

import numpy as np

from spikeport.ir.ops import AvgPool2d, Input

#: Products and sums of a neuron's own step: decay, gain, leak, current, reset, and their parameters' casts.
STEP_ROUNDINGS = 12


def unexcused(network, inputs, ours, torch_run, dtype=np.float32) -> list[str]:
    """Return the differing spikes that are no ties, as texts; an empty list where all are excused.

    Parameters
    ----------
    network : StepNetwork
        In float64: exact coefficients.
    inputs, ours : mapping of path to array (samples, steps, *shape)
        Inputs, and the spikes of our run.
    torch_run : TorchRun
        The other run.
    """
    bad = []
    paths = [p for p in torch_run.spikes if p in ours]
    for sample in range(next(iter(inputs.values())).shape[0]):
        differs = {p: np.nonzero((ours[p][sample] != torch_run.spikes[p][sample]).reshape(ours[p].shape[1], -1).any(1))[0]
                   for p in paths}  # fmt: skip
        first = min((d[0] for d in differs.values() if d.size), default=None)
        if first is None:
            continue
        now = {p for p in paths if first in differs[p]}
        own_inputs = {p: x[sample] for p, x in inputs.items()}
        own_spikes = {p: s[sample] for p, s in ours.items()}
        for path in sorted(now):
            if _fed_by(network, path) & now:
                continue
            where = np.nonzero(ours[path][sample, first] != torch_run.spikes[path][sample, first])
            bound = 2 * rounding_bound(network, own_inputs, own_spikes, path, first, dtype)[where]
            distance = np.abs(torch_run.tested[path][sample, first] - network.models[path].threshold)[where]
            bad += [f"{path} sample {sample} step {first}: {d:.3g} from the threshold, bound {b:.3g}"
                    for d, b in zip(distance, bound, strict=True) if d > b]  # fmt: skip
    return bad


def _fed_by(network, path):
    """Return the neurons whose spikes of the same step reach *path*."""
    found, frontier = set(), [path]
    while frontier:
        for edge in network.graph.into(frontier.pop()):
            if network.schedule.delays[edge] == 0 and edge.source not in found:
                found.add(edge.source)
                if edge.source not in network.models:
                    frontier.append(edge.source)
    return found


def rounding_bound(network, inputs, spikes, path, last, dtype):
    """Return by how much the membrane of *path* at step *last* may be off, from the magnitudes of all that was added."""
    model = network.models[path]
    unit = np.finfo(dtype).eps / 2
    size_v = size_i = error = error_i = np.zeros(model.shape)
    terms = _terms(network, path) + STEP_ROUNDINGS
    for t in range(last + 1):
        entered = sum(
            _size(network, e.source, t - network.schedule.delays[e], inputs, spikes) for e in network.graph.into(path)
        )
        if model.alpha is not None:
            size_i = np.abs(model.alpha) * size_i + np.abs(model.syn_gain) * entered
            error_i = np.abs(model.alpha) * error_i + terms * unit * size_i
            entered, added = size_i, np.abs(model.mem_gain) * error_i
        else:
            added = 0.0
        size_v = np.abs(model.beta) * size_v + np.abs(model.mem_gain) * entered + np.abs(model.threshold)
        error = np.abs(model.beta) * error + added + terms * unit * size_v
    return error


def _size(network, path, t, inputs, spikes):
    """Return the sum of the magnitudes of all terms of a node's output at step *t*."""
    if t < 0 and path not in network.ops:
        return np.zeros(network.shapes.output[path])
    op = network.graph[path].op
    if isinstance(op, Input):
        return np.abs(np.asarray(inputs[path][t], np.float64))
    if path in network.models:
        amplitude = network.models[path].amplitude
        return spikes[path][t] * (1.0 if amplitude is None else np.abs(amplitude))
    entered = sum(_size(network, e.source, t - network.schedule.delays[e], inputs, spikes) for e in network.graph.into(path))
    return _absolute(network.ops[path]).apply(np.asarray(entered, np.float64)[None])[0]


def _absolute(op):
    changed = {f.name: np.abs(v) for f in dataclasses.fields(op) if isinstance(v := getattr(op, f.name), np.ndarray)}
    return dataclasses.replace(op, **changed) if changed else op


def _terms(network, path):
    """Return the longest count of terms that are summed on the way into *path*."""
    most = 0
    for edge in network.graph.into(path):
        op = network.graph[edge.source].op
        if edge.source in network.models or isinstance(op, Input):
            most = max(most, 1)
            continue
        weight = getattr(op, "weight", None)
        own = 1 if weight is None else int(np.prod(weight.shape[1:] if op.kind.startswith("Conv") else weight.shape[-1:])) + 1
        if isinstance(op, AvgPool2d):
            own = int(np.prod(op.kernel_size)) + 1
        most = max(most, own + _terms(network, edge.source))
    return most + len(network.graph.into(path))
