"""Two layers of neurons, with or without cores, and what they do with faults in them."""

import dataclasses

import numpy as np
from fault_oracle import program_of
from mapped import PROFILE, chain, lif

from spikeport.backends.registry import get_backend
from spikeport.ir.ops import Input, Linear, Output
from spikeport.ir.program import Projection, Slice
from spikeport.ir.trace import Recording
from spikeport.runtime.hil.faults.network import inject
from spikeport.runtime.hil.faults.spec import parse_faults

INPUT = (np.random.default_rng(1).random((3, 20, 4)) < 0.5).astype(np.uint8)


def two_layers(weight=None):
    """Return 4 inputs, 6 neurons and 3 neurons, as a program on no chip."""
    rng = np.random.default_rng(7)
    first, second = rng.uniform(0, 1, (6, 4)), rng.uniform(0, 0.3, (3, 6))
    second = second if weight is None else weight
    return program_of(
        chain(("in", Input((4,))), ("a", Linear(first)), ("one", lif((6,))), ("b", Linear(second)),
              ("two", lif((3,))), ("out", Output((3,)))), PROFILE,
    )  # fmt: skip


def on_cores(program, *slices):
    """Return *program* with slices (path, start, stop, core) along the first axis, and the links between its layers."""
    shapes = {"one": (6,), "two": (3,)}
    held = tuple(Slice(p, ((a, b), *((0, n) for n in shapes.get(p, (0,))[1:])), core) for p, a, b, core in slices)
    return dataclasses.replace(program, slices=held, projections=(Projection("one", "two", ("b",), 0),))


def spikes(program, text="", inputs=INPUT, backend="engine", first=0):
    """Return the rasters of all layers, and the outputs, of *program* with the faults of *text*."""
    faulted = inject(program, parse_faults(text) if text else ())
    values = faulted.inputs({program.graph.inputs[0]: inputs}, first)
    with get_backend(backend).emit(faulted.program) as executable:
        trace = faulted.trace(executable.run(values, Recording(None)), values)
    return {**trace.spikes, **trace.out}


def equal(a, b):
    """Assert that two such runs are the same, and that something happened in them."""
    assert a.keys() == b.keys()
    for path, array in a.items():
        np.testing.assert_array_equal(array, b[path], err_msg=path)
    assert any(array.any() for array in a.values())
