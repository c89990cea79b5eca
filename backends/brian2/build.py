"""Brian2 objects from a form: what the modes in this process and the worker of stand-alone programs share."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.backends.brian2 import functions
from spikeport.backends.brian2.form import FLAGS, STEP_S, Call, Form, Group
from spikeport.ir.ops import Array


def brian() -> Any:
    """Return the module brian2; what it and its parsers warn of at import is not for the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it spells pyparsing's functions the old way
        import brian2

    return brian2


@contextlib.contextmanager
def settings(target: str) -> Iterator[Any]:
    """Hold Brian2's preferences as exactness wants them, with code made by *target*; give the module."""
    b = brian()
    # Cython's modules are compiled while the user waits, one for each group: lightly.
    flags = [flag if target == "numpy" or flag != "-O3" else "-O1" for flag in FLAGS]
    wanted = {
        "codegen.target": target,
        "codegen.loop_invariant_optimisations": False,
        "codegen.cpp.extra_compile_args": flags,
        "codegen.cpp.extra_compile_args_gcc": flags,
        "core.default_float_dtype": np.float64,
        "core.default_integer_dtype": np.int32,
        "devices.cpp_standalone.openmp_threads": 0,
        "codegen.max_cache_dir_size": 0,
    }
    before = {name: b.prefs[name] for name in wanted}
    from brian2.utils.logger import BrianLogger

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", DeprecationWarning)  # of pyparsing, again
        try:
            for name, value in wanted.items():
                b.prefs[name] = value
            # A hint about thresholds without a reset: here the reset is part of the statements.
            BrianLogger.suppress_hierarchy("brian2.groups.neurongroup.only_threshold")
            yield b
        finally:
            for name, value in before.items():
                b.prefs[name] = value


@dataclass(slots=True)
class Built:
    """A network of Brian2 objects.

    Parameters
    ----------
    network : brian2.Network
    objects : dict
        Groups and projections by name.
    events, states : dict
        Monitors by the name of their group.
    functions : dict
        Our functions by name.
    namespace : dict
        What the statements find: our functions and nothing else.
    """

    network: Any
    objects: dict[str, Any]
    events: dict[str, Any]
    states: dict[str, Any]
    functions: dict[str, Any]
    namespace: dict[str, Any]


def build(b: Any, form: Form, *, light: bool = False) -> Built:
    """Return the objects of *form*, with no numbers in them yet.

    With *light* whatever only passes values on (inputs, spike tests, monitors) stays in numpy, and Cython compiles what
    computes: a third of the modules, at some two seconds each.
    """
    numpy_code = b.codegen.runtime.numpy_rt.NumpyCodeObject if light else None
    compiled = b.codegen.runtime.cython_rt.CythonCodeObject if light else None
    namespace = {name: _shared(b, name) for name in functions.SHARED_NUMPY}
    clock = b.Clock(dt=STEP_S * b.second, name="steps")
    objects: dict[str, Any] = {}
    calls: dict[str, Any] = {}
    events, states = {}, {}
    for group in form.groups:
        objects[group.name] = _group(b, group, clock, numpy_code)
    for group in form.groups:
        made = objects[group.name]
        for variable, other in group.links:
            setattr(made, variable, b.linked_var(objects[other], "y"))
        calls |= {call.name: _function(b, call, objects) for call in group.calls}
        if group.code:
            passes_on = any(call.kind in ("input", "delay") for call in group.calls)
            made.run_regularly(
                "\n".join(group.code), clock=clock, when=group.slot, order=group.order, name=f"{group.name}_step",
                codeobj_class=numpy_code if passes_on else compiled,
            )  # fmt: skip
        if group.records:
            events[group.name] = b.SpikeMonitor(made, variables="y", when="end", name=f"{group.name}_events",
                                                 codeobj_class=numpy_code)  # fmt: skip
        if group.records_state:
            states[group.name] = b.StateMonitor(made, "v", record=True, clock=clock, when="end", name=f"{group.name}_v",
                                                codeobj_class=numpy_code)  # fmt: skip
    namespace |= calls
    for projection in form.projections:
        synapses = b.Synapses(
            objects[projection.source], objects[projection.target], "w : 1",
            on_pre=f"{projection.variable}_post += w * y_pre", clock=clock, name=projection.name,
        )  # fmt: skip
        n_in, n_out = projection.n_in, projection.n_out
        if n_in == objects[projection.source].N:
            synapses.connect()
        else:  # blocks along the leading axes
            synapses.connect(j=f"k for k in range((i // {n_in}) * {n_out}, (i // {n_in} + 1) * {n_out})")
        synapses.pre.when, synapses.pre.order = projection.slot, projection.order
        objects[projection.name] = synapses
    network = b.Network(*objects.values(), *events.values(), *states.values())
    network.schedule = ["start", "groups", "end"]
    return Built(network, objects, events, states, calls, namespace)


def _group(b: Any, group: Group, clock: Any, code: Any) -> Any:
    equations = [f"{v} : 1" for v in group.variables] + [f"{v} : 1 (linked)" for v, _ in group.links]
    if group.code:
        equations.append("period : integer (shared)")
    made = b.NeuronGroup(
        group.size, "\n".join(equations), threshold="y != 0" if group.emits else None, clock=clock, name=group.name,
        codeobj_class=code,
    )  # fmt: skip
    if group.emits:
        made.thresholder["spike"].when, made.thresholder["spike"].order = group.slot, group.order + 1
    return made


def _shared(b: Any, name: str) -> Any:
    numpy_form = functions.SHARED_NUMPY[name]
    types = ("boolean", "any", "any") if name == "if_else" else ("any",)  # any number: C++ makes doubles of them
    units = [1] * len(types)
    made = b.core.functions.Function(numpy_form, arg_units=units, arg_types=list(types), return_unit=1, return_type="float")
    made.implementations.add_implementation("numpy", numpy_form)
    made.implementations.add_implementation("cython", functions.SHARED_CYTHON[name], name=name)
    made.implementations.add_implementation("cpp", functions.SHARED_CPP[name], name=name)
    return made


def _function(b: Any, call: Call, objects: Mapping[str, Any]) -> Any:
    arrays: dict[str, Array] = {}
    if call.source:
        arrays["x"] = objects[call.source].variables["y"]
    if call.store:
        arrays["k"] = objects[call.store].variables["k"]
    types = functions.arguments(call)
    made = b.core.functions.Function(
        lambda *given: 0.0, arg_units=[1] * len(types), arg_types=list(types), return_unit=1, return_type="float",
        stateless=False,
    )  # fmt: skip
    made.implementations.add_implementation("cpp", functions.in_cpp(call), name=call.name)
    made.spikeport_call, made.spikeport_variables = call, arrays
    return made


def bind(function: Any, given: Array | None) -> None:
    """Give *function* its arrays for a run in this process: those of the groups, its own, and the *given* input."""
    call: Call = function.spikeport_call
    arrays = {key: variable.get_value() for key, variable in function.spikeport_variables.items()}
    if given is not None:
        arrays["given"] = given
    function.implementations.add_implementation("numpy", functions.in_numpy(call, arrays), name=call.name)
    flat = {f"{call.name}_{key}": np.ascontiguousarray(a).reshape(-1) for key, a in arrays.items()}
    if call.kind == "delay":
        flat[f"{call.name}_line"] = np.zeros(call.sizes["depth"] * call.sizes["n"])
    if call.kind == "conv":
        flat[f"{call.name}_total"] = np.zeros(math.prod(call.sizes["output"]))
    function.implementations.add_implementation("cython", functions.in_cython(call), namespace=flat, name=call.name)


__all__ = ["Built", "bind", "brian", "build", "settings"]
