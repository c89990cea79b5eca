"""How robust a network is: its score against the rate of a fault, over several seeds.

For example::

    found = robustness("digits_dense.nir", "samples.npz", ["spike_drop", "late:steps=2"], [0, 0.01, 0.1])
    print(format_robustness(found))  # of robustness_text
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.backends.base import Backend
from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.ops import Array, Shape
from spikeport.ir.program import Program
from spikeport.ir.trace import Recording
from spikeport.runtime import api
from spikeport.runtime.batches import Progress
from spikeport.runtime.calibration import LABELS, labelled_inputs
from spikeport.runtime.files import read_arrays
from spikeport.runtime.hil.cassette import input_digest
from spikeport.runtime.hil.faults.network import Faulted, inject
from spikeport.runtime.hil.faults.spec import Fault, parse_faults
from spikeport.runtime.hil.metrics import top1
from spikeport.runtime.hil.robustness_value import Curve, Point, Robustness
from spikeport.runtime.inputs import drained, only_shape
from spikeport.runtime.model import load
from spikeport.runtime.session import run_emitted
from spikeport.runtime.stated import own_program, require_profile, settled

#: Most values of what is drawn for the samples that are run at once.
_PORTION = 1 << 22


def robustness(
    model: Any, data: Any, faults: str | Iterable[str], rates: Iterable[float], *, seeds: int = 5, target: Any = None,
    profile: Any = None, arith: str | None = None, backend: str = "engine", steps: int | None = None,
    encode: str | None = None, seed: int = 0, output: str | None = None, progress: Progress | None = None,
    **options: Any,
) -> Robustness:  # fmt: skip
    """Run *model* on *data* with faults at several rates, and score it.

    Parameters
    ----------
    model : path, Graph, Model, Program or torch.nn.Module
        As for `spikeport.run`. Dead cores and links need a program for a chip, or *target*.
    data : path, array or Mapping
        Inputs as for `spikeport.run`, with ``labels``, an integer for each sample, where the accuracy is asked for.
    faults : str or iterable of str
        Each makes a curve; what says how much may be left out: ``spike_drop:layer=lif1``. Those of one text that are
        joined by ``/`` have the same rate.
    rates : iterable of float
        From 0 to 1; of ``saturate`` bits from 2 to 8; 0 is the sound network.
    seeds : int
        Runs at each rate, with the seed of the fault and those that follow it.
    target, profile, arith, steps, encode, seed
        As for `spikeport.run`.
    backend : str
        Who runs it.
    output : str or None
        Output whose sum over the steps says the class, the first of the largest; needed where there are several.
    progress : callable, optional
        Called with (runs done, runs in all).
    **options
        As for `spikeport.compile`, such as ``allow`` or ``chips``.

    Raises
    ------
    UsageError
        E885 and E886 for faults, E890 for rates, seeds and outputs that cannot be.
    UnsupportedError
        E887 for a fault that cannot be done to this program, before anything is run.
    """
    from spikeport.backends.registry import get_backend

    curves, points = _asked(faults, rates, seeds)
    runner = get_backend(backend)
    program, inputs, labels, digest = _prepared(
        model, data, runner, {"target": target, "profile": profile, "arith": arith, **options},
        {"steps": steps, "encode": encode, "seed": seed},
    )  # fmt: skip
    path = _output(program, output)
    faulty = [(curve, rate) for curve in curves.values() for rate in points if rate]
    for curve, rate in faulty:
        inject(program, _at(curve, rate, 0))
    total, done = 1 + sum(len(_numbers(curve, seeds)) for curve, _ in faulty), 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    sound = _run(Faulted(program, program), inputs, runner, path, seed)
    tell()
    classes = top1(sound)
    wanted = classes if labels is None else labels
    is_right = int(np.count_nonzero(classes == wanted))

    def point(curve: tuple[Fault, ...], rate: float) -> Point:
        if not rate:
            return Point(rate, (is_right,), len(classes), 0.0)
        right, changed = [], []
        for number in _numbers(curve, seeds):
            found = _run(inject(program, _at(curve, rate, number)), inputs, runner, path, seed)
            right.append(int(np.count_nonzero(top1(found) == wanted)))
            changed.append(float(np.mean(found != sound)))
            tell()
        return Point(rate, tuple(right), len(classes), float(np.mean(changed)))

    return Robustness(
        "agreement" if labels is None else "accuracy", point((), 0.0),
        tuple(Curve(text, tuple(point(curve, rate) for rate in points)) for text, curve in curves.items()), seeds,
        program.graph.digest, digest, str(program.profile), program.arithmetic, program.target, runner.name,
        next(iter(inputs.values())).shape[1],
    )  # fmt: skip


def _asked(
    faults: str | Iterable[str], rates: Iterable[float], seeds: int
) -> tuple[dict[str, tuple[Fault, ...]], tuple[float, ...]]:  # fmt: skip
    """Return the faults of each curve by their text, and the rates, once each; all that is wrong with them is said at once."""
    texts = [faults] if isinstance(faults, str) else list(faults)
    points = tuple(dict.fromkeys(float(r) for r in rates))
    found = []
    if not texts:
        found.append(Diagnostic("E890", "--fault", "no fault is named", "such as spike_drop"))
    if not points or not all(math.isfinite(r) and r >= 0 for r in points):
        found.append(Diagnostic("E890", "--rates", f"{list(points)} are no rates", "numbers from 0, such as 0,0.01,0.1"))
    if seeds < 1:
        found.append(Diagnostic("E890", "--seeds", f"{seeds} seeds are none", "give 1 at least"))
    if found:
        raise UsageError(found)
    curves = {"/".join(map(str, c)): c for c in (parse_faults(text, is_open=True) for text in texts)}
    for curve in curves.values():
        for rate in points:
            if rate:
                _at(curve, rate, 0)
    return curves, points


def _at(curve: tuple[Fault, ...], rate: float, number: int) -> tuple[Fault, ...]:
    return tuple(fault.at_rate(rate).with_seed(fault.seed + number) for fault in curve)


def _numbers(curve: tuple[Fault, ...], seeds: int) -> range:
    """Return the numbers of the runs that differ from each other; nothing of ``saturate`` is drawn."""
    return range(seeds if any(f.name != "saturate" for f in curve) else 1)


def shape_of(data: Any) -> Shape | None:
    """Return the shape of the one array of *data* beside labels, where there is one: a model may state none."""
    return only_shape({k: v for k, v in data.items() if k != LABELS} if isinstance(data, Mapping) else data)


def _prepared(
    model: Any, data: Any, runner: Backend, compiling: Mapping[str, Any], shaping: Mapping[str, Any]
) -> tuple[Program, Mapping[str, Array], Array | None, str]:
    """Return the program, its inputs, the labels, and the digest of the data as they were given."""
    source = read_arrays(data) if isinstance(data, str | Path) else data
    loaded = load(model, like=shape_of(source))
    named, number = settled(loaded, compiling["profile"], compiling["arith"], compiling["target"])
    require_profile(loaded, named)
    given, labels = labelled_inputs(source, loaded.graph, **shaping)
    digest = input_digest(given.values if labels is None else {**given.values, LABELS: labels})
    program = own_program(loaded, compiling["target"])
    if program is None:
        stated = {**compiling, "profile": named, "arith": number or runner.arithmetics[0], "data": given.values}
        program = api.compile(loaded, **stated)
    return program, drained(given, program).values, labels, digest


def _output(program: Program, name: str | None) -> str:
    outputs = program.graph.outputs
    if name in outputs:
        return str(name)
    if name is None and len(outputs) == 1:
        return outputs[0]
    said = f"there is no output {name!r}" if name else f"the model has {len(outputs)} outputs"
    raise UsageError(Diagnostic("E890", "--of", f"{said}: which one says the class?", f"one of {', '.join(outputs)}"))


def _run(faulted: Faulted, inputs: Mapping[str, Array], runner: Backend, path: str, seed: int) -> Array:
    """Return the output *path*, (samples, steps, *shape), in portions where samples do not touch each other."""
    samples, steps = next(iter(inputs.values())).shape[:2]
    drawn = steps * sum(math.prod(g.way.shape) for g in faulted.gates) or 1
    size = max(1, _PORTION // drawn) if faulted.program.profile.boundary == "reset" and faulted.gates else samples
    found = []
    with runner.emit(faulted.program) as executable:
        for first in range(0, samples, size):
            values = faulted.inputs({p: x[first : first + size] for p, x in inputs.items()}, first)
            trace = run_emitted(executable, faulted.program, values, runner, Recording(), seed)
            found.append(trace.out[path])
    return np.concatenate(found)
