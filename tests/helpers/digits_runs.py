"""The digit networks of models/: a golden file's weights back in its torch module, and the spikes of both."""

import re

import numpy as np
import torch

import spikeport
from spikeport.models import digits


def module_of(experiment, graph):
    """Return the torch module of *experiment* with the weights of *graph*."""
    net = experiment.build()
    with torch.no_grad():
        for node in graph:
            if node.op.is_weighted:
                net.get_submodule(node.path).weight.copy_(torch.from_numpy(np.array(node.op.weight)))
    return net


def torch_spikes(experiment, net, x, paths):
    """Run *net* as it is trained, in float32, on the images *x*; return the spikes of *paths*, (samples, steps, neurons)."""
    found = {path: [] for path in paths}
    handles = [
        net.get_submodule(path).register_forward_hook(lambda _, args, out, path=path: found[path].append(out.clone()))
        for path in paths
    ]
    with torch.no_grad():
        experiment.run(net, torch.from_numpy(experiment.encode(x)))
    for handle in handles:
        handle.remove()
    # A layer is called once for all steps, or once a step.
    return {p: (each[0] if len(each) == 1 else torch.stack(each, 1)).numpy() for p, each in found.items()}


def differing_bits(model, experiment, x, expected, backend, arith):
    """Return how many spikes of *model* on the images *x* differ from *expected*, by path."""
    result = spikeport.run(model, experiment.encode(x), record="all", backend=backend, arith=arith)
    return {path: int(np.count_nonzero(result.spikes[path] != spikes)) for path, spikes in expected.items()}


def assert_card(card, graph, spikes, output):
    """Assert that the text *card* has accuracy, interval, ties, rates and sizes of *spikes*, by path, of the test half."""
    labels = digits.split()[3]
    chosen, ties = digits.winners(spikes[output].sum(axis=1))
    correct, total = int((chosen == labels).sum()), len(labels)
    low, high = digits.interval(correct, total)
    assert f"**{correct} of {total}** test images, {correct / total:.2%}".replace("%", " %") in card
    assert f"Wilson: {low * 100:.1f} % to {high * 100:.1f} %" in card
    assert f"on {ties} of the {total} images" in card
    for path in graph.spiking:
        assert re.search(rf"`{path}`.* \| {spikes[path].mean():.4f} \|", card), path
    weights = sum(np.asarray(n.op.weight).size for n in graph if n.op.is_weighted)
    neurons = sum(spikes[p][0, 0].size for p in graph.spiking)
    assert f"{neurons} neurons and {weights:,} weights" in card
