"""The modes in this process, ``numpy`` and ``cython``: a network of Brian2 objects, run as often as asked."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from spikeport.backends.brian2.build import Built, bind, build, settings
from spikeport.backends.brian2.form import STEP_S
from spikeport.backends.brian2.layout import Layout
from spikeport.backends.brian2.results import Course, Heard
from spikeport.ir.ops import Array

#: Brian2's preferences, its device and its list of objects belong to the process: one network at a time is made or run.
_ONE_AT_A_TIME = threading.Lock()
_START = "before the first step"


@contextlib.contextmanager
def _in_this_process(b: Any) -> Iterator[None]:
    """Have Brian2 run its objects here, whatever device the user's own code has chosen; give that back afterwards."""
    from brian2.devices.device import RuntimeDevice, reset_device

    if isinstance(b.get_device(), RuntimeDevice):
        yield
        return
    b.set_device("runtime")
    try:
        yield
    finally:
        reset_device()


def _timed_preparation(network: Any) -> list[float]:
    """Return a list to which *network* adds the time at which its code is ready and the first step begins."""
    prepare, ready = type(network).before_run, []

    def before_run(*given: Any, **named: Any) -> None:
        prepare(network, *given, **named)
        ready.append(time.perf_counter())

    network.before_run = before_run
    return ready


class LocalProgram:
    """The objects of one layout, with its numbers in them.

    Parameters
    ----------
    layout : Layout
        What to build.
    target : {"numpy", "cython"}
        Who makes code of the statements.
    """

    def __init__(self, layout: Layout, target: str) -> None:
        self.layout, self.target = layout, target
        started = time.perf_counter()
        with _ONE_AT_A_TIME, settings(target) as b, _in_this_process(b):
            self.built: Built = build(b, layout.form, light=target == "cython")
            for name in layout.form.parameters:
                owner, variable = name.split(".")
                setattr(self.built.objects[owner], variable, layout.values[name])
            self.built.network.store(_START)
        self.generate_s = time.perf_counter() - started

    def run(self, given: Mapping[str, Array], course: Course) -> tuple[Heard, dict[str, float]]:
        """Run all samples; *given* by the name of the input function, (total, neurons)."""
        built, form = self.built, self.layout.form
        with _ONE_AT_A_TIME, settings(self.target) as b, _in_this_process(b):
            started = time.perf_counter()
            built.network.restore(_START)
            for name, function in built.functions.items():
                bind(function, given.get(name))
            for group in form.groups:
                if group.code:
                    built.objects[group.name].period = course.period
            prepared = _timed_preparation(built.network)
            built.network.run(course.total * STEP_S * b.second, namespace=built.namespace)
            finished = time.perf_counter()
            events = {
                name: (np.rint(np.asarray(m.t_) / STEP_S).astype(np.int64), np.array(m.i), np.array(m.y))
                for name, m in built.events.items()
            }
            states = {name: np.array(m.v).T for name, m in built.states.items()}
        seconds = {"generate": self.generate_s, "compile": prepared[-1] - started, "run": finished - prepared[-1]}
        self.generate_s = 0.0
        return Heard(events, states, {g.name: g.size for g in form.groups}), seconds

    def close(self) -> None:
        """Let go of the objects."""
        self.built = Built(None, {}, {}, {}, {}, {})


__all__ = ["LocalProgram"]
