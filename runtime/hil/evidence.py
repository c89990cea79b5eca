"""Evidence: what a failed comparison leaves behind, as arrays to look into and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.ir.ops import Array
from spikeport.runtime.files import make_folder, write_atomic, write_npz
from spikeport.runtime.hil.oracle import Run, Verdict, arrays_of

#: Neurons and steps of a picture, around the first divergence.
ROWS, COLUMNS = 200, 400


def save_evidence(folder: str | Path, verdict: Verdict, reference: Run, device: Run, note: Mapping[str, Any]) -> list[str]:
    """Write ``divergence.npz`` and ``raster.png`` into *folder*, each whole or not at all.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    verdict : Verdict
        What the oracle said; its first divergence chooses the sample.
    reference, device : Run
        What was compared.
    note : Mapping
        Plain data to keep beside: test, device, digests, policy.

    Returns
    -------
    list of str
        What was written; of a picture that could not be made, why.

    Raises
    ------
    UsageError
        E631 where the folder cannot be written.

    Notes
    -----
    The ``.npz`` holds the sample of the first divergence: ``reference/spikes/PATH`` and ``device/spikes/PATH`` (likewise
    ``out``, ``v``, ``i``), axes (steps, *shape), and ``verdict``, JSON.
    """
    folder = Path(folder)
    make_folder(folder)
    sample = 0 if verdict.first is None else verdict.first.sample
    pair = {name: arrays_of(run) for name, run in (("reference", reference), ("device", device))}
    arrays = {f"{name}/{key}": a[sample] for name, found in pair.items() for key, a in found.items()}
    text = json.dumps({**verdict.to_json(), "sample": sample, **note}, sort_keys=True, default=str)
    write_npz(folder / "divergence.npz", {**arrays, "verdict": np.array(text)})
    said = [str(folder / "divergence.npz")]
    key = _pictured(verdict, pair["reference"], pair["device"])
    if key is None:
        return [*said, "no picture: no raster is in both runs"]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return [*said, "no picture: matplotlib is not installed (pip install 'spikeport[hil]')"]
    figure = _figure(Figure, key, pair["reference"][key][sample], pair["device"][key][sample], verdict, sample)
    # Without pyplot: no window, no global state, no change of the user's own settings.
    write_atomic(folder / "raster.png", lambda stream: figure.savefig(stream, format="png", dpi=120))
    return [*said, str(folder / "raster.png")]


def _pictured(verdict: Verdict, a: Mapping[str, Array], b: Mapping[str, Array]) -> str | None:
    """Return the array to show: the spikes of the layer that diverges first, else the first raster that both have."""
    path = "" if verdict.first is None else verdict.first.path
    own = [] if verdict.first is None else [verdict.first.key]
    keys = [f"spikes/{path}", *own, *sorted(k for k in a if k.startswith("spikes/")), *sorted(a)]
    return next((k for k in keys if k in a and k in b and a[k].shape == b[k].shape), None)


def _figure(figure_type: Any, key: str, a: Array, b: Array, verdict: Verdict, sample: int) -> Any:
    """Return both rasters over each other: what both have, what only one has, and the first divergence."""
    x, y = (np.asarray(r).reshape(r.shape[0], -1) for r in (a, b))
    step, neuron = 0, 0
    first = verdict.first
    is_here = first is not None and first.path == key.partition("/")[2]
    if first is not None and is_here:
        step, neuron = first.step, int(np.ravel_multi_index(first.neuron, a.shape[1:])) if first.neuron else 0
    begin = max(0, min(step - COLUMNS // 4, x.shape[0] - COLUMNS))
    low = max(0, min(neuron - ROWS // 2, x.shape[1] - ROWS))
    x, y = (r[begin : begin + COLUMNS, low : low + ROWS] for r in (x, y))
    figure = figure_type(figsize=(10, 6), layout="constrained")
    axes = figure.add_subplot()
    spiking = key.startswith("spikes/")
    same, only_a, only_b = (x == y) & (x != 0), (x != y) & (x != 0), (x != y) & (y != 0)
    marks = (
        (same, "0.6", "|", "both"), (only_a, "tab:blue", "v", "reference, other than the device"),
        (only_b, "tab:red", "^", "device, other than the reference"),
    )  # fmt: skip
    for where, color, marker, label in marks:
        at, who = np.nonzero(where)
        axes.scatter(at + begin, who + low, s=12, c=color, marker=marker, linewidths=0.8, label=f"{label} ({len(at)})")
    if is_here:
        axes.axvline(step, color="tab:orange", linewidth=0.8)
        axes.plot([step], [neuron], "o", markersize=12, fillstyle="none", color="tab:orange", label="first divergence")
    axes.set_xlim(begin - 1, begin + x.shape[0])
    axes.set_ylim(low - 1, low + x.shape[1])
    axes.set_xlabel("step")
    axes.set_ylabel("neuron")
    what = "spikes" if spiking else "non-zero values"
    axes.set_title(f"{what} of {key.partition('/')[2]}, sample {sample}: {verdict.outcome}", parse_math=False)
    axes.legend(loc="upper right", fontsize="small")
    return figure
