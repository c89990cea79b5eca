"""What a network becomes in Brian2: one form for many networks, shared kernels, no number of a model in its text."""

import re

import numpy as np
import pytest
from brian2_networks import draw, network_of

from spikeport.backends.brian2.form import Form
from spikeport.backends.brian2.layout import lay_out
from spikeport.backends.testing import cases
from spikeport.ir.network import build_network
from spikeport.ir.trace import Recording


def layout(name, recording=None):
    (case,) = [c for c in cases() if c.name == name]
    return lay_out(build_network(case.graph, case.profile), recording or Recording())


def test_a_form_reads_back():
    for name in ("conv2d/groups", "loop/affine with bias, at step 0 yes, LIF", "delay/30 steps on every edge"):
        form = layout(name).form
        assert Form.from_json(form.as_json()) == form


def test_weights_are_no_part_of_a_form():
    from dataclasses import replace

    (case,) = [c for c in cases() if c.name == "affine/double weights"]
    other = case.graph.map_ops(lambda n: replace(n.op, weight=n.op.weight * 2) if hasattr(n.op, "weight") else n.op)
    a, b = (lay_out(build_network(g, case.profile), Recording()) for g in (case.graph, other))
    assert a.form.digest() == b.form.digest()
    (name,) = [f"{p.name}.w" for p in a.form.projections]
    assert np.array_equal(2 * a.values[name], b.values[name])


def test_a_convolution_keeps_its_kernel_once():
    found = layout("conv2d/many channels")
    (conv,) = [call for g in found.form.groups for call in g.calls if call.kind == "conv"]
    assert found.form.projections == ()
    assert found.values[f"{conv.store}.k"].size == np.prod(conv.sizes["kernel"]) + conv.sizes["kernel"][0]


def test_statements_hold_small_whole_numbers_only():
    seen = set()
    for drawn in draw(60):
        for group in lay_out(network_of(drawn), Recording()).form.groups:
            seen |= {n for line in group.code for n in re.findall(r"(?<![\w.])\d[\w.+-]*", line)}
    assert all(re.fullmatch(r"\d+", n) for n in seen), seen


@pytest.mark.parametrize("bad", ["a; import os", "x\ny = 2", "v : 1"])
def test_a_path_reaches_no_statement(bad):
    (case,) = [c for c in cases() if c.name == "affine/double weights"]
    from spikeport.ir.graph import Edge, Node

    def named(path):
        return bad if path == "neuron" else path

    graph = case.graph.replace(
        nodes=[Node(named(n.path), n.op) for n in case.graph],
        edges=[Edge(named(e.source), named(e.target), e.delay, e.rank) for e in case.graph.edges],
    )
    form = lay_out(build_network(graph, case.profile), Recording()).form
    assert not any(bad in text for g in form.groups for text in (g.name, *g.variables, *g.code))
