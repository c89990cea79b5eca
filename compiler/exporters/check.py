"""The check of an export: the library imports the file itself, and both networks run on the same random input."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from spikeport.compiler.exporters.libraries import Library
from spikeport.ir import Diagnostic
from spikeport.ir.diagnostics import UnsupportedError
from spikeport.ir.network import StepNetwork
from spikeport.ir.nir_io import read_as_nir
from spikeport.ir.ops import Array
from spikeport.ir.reference import run_reference

SAMPLES, STEPS = 6, 100
#: Values of an input of which the larger samples are multiples.
_AMPLITUDES = (1.0, 1.0, 1.0, 3.0, 10.0, 30.0)
#: Relative changes of thresholds and of weights that stand for float32 sums in another order.
_TIE, _ULPS = 2e-6, 2e-7
#: Part of the steps that have to be the same before the first tie of their sample.
_ENOUGH = 0.3
#: Products that a run takes at most; the runs of large networks are shorter.
_WORK = 2**31


class Absent(Exception):
    """The library is not installed."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the importers print, log and warn of to themselves."""
    level = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


def run_there(path: str | os.PathLike[str], library: Library, x: Array) -> Array:
    """Return what *library*'s own import of the file at *path* gives for *x* (samples, steps, *shape).

    Raises
    ------
    Absent
        Where the library, or torch, is not installed.
    Exception
        Whatever the library raises.
    """
    for package in ("torch", library.package, "nirtorch"):
        try:
            with _quiet():
                importlib.import_module(package)
        except ImportError as error:
            raise Absent(f"{library.label} is not installed ({error})") from error
    import torch

    with _quiet(), torch.no_grad():
        out = _RUNNERS[library.name](read_as_nir(path), torch.tensor(x, dtype=torch.float32))
    return np.asarray(out.detach().numpy(), np.float64)


def _stepped(module: Any, x: Any) -> Any:
    """Run a module that takes (input, state) and returns both, step by step."""
    import torch

    state, out = None, []
    for t in range(x.shape[1]):
        value, state = module(x[:, t], state)
        out.append(value)
    return torch.stack(out, 1)


def _run_snntorch(graph: Any, x: Any) -> Any:
    from snntorch.import_nir import import_from_nir

    return _stepped(import_from_nir(graph), x)


def _run_norse(graph: Any, x: Any) -> Any:
    from norse.torch.utils.import_nir import from_nir

    return _stepped(from_nir(graph, ignore_warnings=True), x)


def _run_spikingjelly(graph: Any, x: Any) -> Any:
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return _stepped(import_from_nir(graph), x)


def _run_sinabs(graph: Any, x: Any) -> Any:
    from sinabs.nir import from_nir

    module = from_nir(graph, batch_size=x.shape[0])
    out = module(x.flatten(0, 1))
    out = out[0] if isinstance(out, tuple) else out
    return out.unflatten(0, x.shape[:2])


_RUNNERS: dict[str, Callable[[Any, Any], Any]] = {
    "snntorch": _run_snntorch, "sinabs": _run_sinabs, "norse": _run_norse, "spikingjelly": _run_spikingjelly,
}  # fmt: skip


def check(path: str | os.PathLike[str], network: StepNetwork, library: Library, *, seed: int = 0) -> Diagnostic:
    """Return that the file at *path* gives *network*'s outputs in *library* (E583), or that it was not tried (E582).

    Parameters
    ----------
    path : path
        The written file.
    network : StepNetwork
        What it stands for.
    library : Library
        Whose importer reads it.
    seed : int
        Of the input.

    Raises
    ------
    UnsupportedError
        E581 where the import fails or an output differs. A difference is excused only where, up to that step, changes of
        our own weights and thresholds by a few units of float32's last place change our own outputs too (sums in another
        order), and where enough was equal before.
    """
    x = random_input(network, seed)
    try:
        theirs = run_there(path, library, x)
    except Absent as error:
        return Diagnostic("E582", str(path), f"not checked: {error}", f"pip install {library.package}", severity="warning")
    except Exception as error:  # an importer may raise anything
        text = str(error).splitlines()[0] if str(error) else ""
        raise _different(library, f"its import of the file failed with {type(error).__name__}: {text}"[:300]) from error
    ours = _ours(network, x)
    if theirs.shape != ours.shape:
        raise _different(library, f"it gives outputs of the shape {theirs.shape[2:]}, not {ours.shape[2:]}")
    spiking = network.graph[network.graph.into(network.graph.outputs[0])[0].source].op.is_spiking
    limit = 0.0 if spiking else 1e-4 * max(1.0, float(np.abs(ours).max(initial=0)))
    wrong = ~(np.abs(ours - theirs) <= limit)
    facts = {"steps": x.shape[1], "samples": x.shape[0], "outputs": int(ours.size), "nonzero": int(np.count_nonzero(ours))}
    told = f"{x.shape[0]} samples of {x.shape[1]} steps, {ours.size:,} outputs, {facts['nonzero']:,} of them not 0"
    if not wrong.any():
        silent = " (the network stayed silent: this shows little)" if not facts["nonzero"] else ""
        text = f"imported by {library.label} and run beside the model: all outputs equal ({told}){silent}"
        return Diagnostic("E583", str(path), text, "", facts | {"different": 0}, "note")
    first = [int(np.argmax(w.reshape(x.shape[1], -1).any(1))) if w.any() else None for w in wrong]
    ties = _ties(network, x)
    real = [(s, t) for s, t in enumerate(first) if t is not None and t < ties[s]]
    equal = sum(x.shape[1] if t is None else t for t in first)
    if real or equal < _ENOUGH * x.shape[0] * x.shape[1]:
        sample, step = real[0] if real else next((s, t) for s, t in enumerate(first) if t is not None)
        count = int(np.count_nonzero(wrong))
        raise _different(library, f"{count:,} outputs differ ({told}), the first in sample {sample} at step {step}")
    excused = sum(t is not None for t in first)
    text = (
        f"imported by {library.label} and run beside the model: all outputs equal ({told}) up to near-threshold ties of "
        f"float32 in {excused} samples"
    )
    return Diagnostic("E583", str(path), text, "", facts | {"different": int(np.count_nonzero(wrong))}, "note")


def _different(library: Library, what: str) -> UnsupportedError:
    return UnsupportedError(
        Diagnostic("E581", "", f"{library.label} does not read this model back as it is: {what}",
                   "nothing was written; use --dialect spikeport, or simplify the model", {"dialect": library.name})
    )  # fmt: skip


def random_input(network: StepNetwork, seed: int) -> Array:
    """Return binary input (samples, steps, *shape) of several rates and amplitudes, shorter for large networks."""
    rng = np.random.default_rng(seed)
    shapes = network.shapes.output
    shape = shapes[network.graph.inputs[0]]
    work = sum(int(np.prod(shapes[n.path])) * _fan_in(n.op) for n in network.graph if n.op.is_weighted)
    steps = int(np.clip(_WORK // max(work * SAMPLES, 1), 10, STEPS))
    rates: Array = rng.uniform(0.1, 0.9, (SAMPLES, 1, *(1,) * len(shape)))
    x = (rng.random((SAMPLES, steps, *shape)) < rates).astype(np.float64)
    return x * np.reshape(np.array(_AMPLITUDES), (SAMPLES, 1, *(1,) * len(shape)))


def _fan_in(op: Any) -> int:
    return int(np.prod(op.weight.shape[1:]))


def _ours(network: StepNetwork, x: Array) -> Array:
    trace = run_reference(network, {network.graph.inputs[0]: x})
    return np.asarray(trace.out[network.graph.outputs[0]], np.float64)


def _ties(network: StepNetwork, x: Array) -> list[int]:
    """Return for each sample the first step at which our outputs depend on the last places of float32."""
    base = _ours(network, x)
    first = np.full(x.shape[0], x.shape[1])
    rng = np.random.default_rng(0)
    for change in (1 - _TIE, 1 + _TIE, 1.0, 1.0):
        models = {
            p: m if m.threshold is None else dataclasses.replace(m, threshold=m.threshold * change)
            for p, m in network.models.items()
        }
        ops = {p: _jittered(op, rng) if op.is_weighted else op for p, op in network.ops.items()}
        moved = _ours(dataclasses.replace(network, models=models, ops=ops), x)
        differs = (moved != base).reshape(*x.shape[:2], -1).any(2)
        first = np.minimum(first, np.where(differs.any(1), differs.argmax(1), x.shape[1]))
    return [int(t) for t in first]


def _jittered(op: Any, rng: np.random.Generator) -> Any:
    weight = op.weight * (1 + rng.uniform(-_ULPS, _ULPS, op.weight.shape))
    return dataclasses.replace(op, weight=weight.astype(op.weight.dtype))
