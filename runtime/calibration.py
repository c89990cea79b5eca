"""Calibration data: inputs as for a run, and labels where accuracy is to be measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array
from spikeport.runtime.files import read_arrays
from spikeport.runtime.inputs import Inputs, prepare_inputs

LABELS = "labels"


def calibration_data(source: Any, graph: Graph) -> tuple[dict[str, Array] | None, Array | None]:
    """Return (inputs by path, labels) of *source*, either None where it is not there.

    Parameters
    ----------
    source : path, array, Mapping or None
        As for `prepare_inputs`; a mapping or ``.npz`` may hold ``labels``, integers of shape (samples,).

    Raises
    ------
    UsageError
        E61x as for inputs; E624 for labels that are no integers, or not one for each sample.
    """
    if source is None:
        return None, None
    inputs, labels = labelled_inputs(source, graph)
    return dict(inputs.values), labels


def labelled_inputs(source: Any, graph: Graph, **options: Any) -> tuple[Inputs, Array | None]:
    """Return the inputs of *source* and its labels, or None where it has none.

    Parameters
    ----------
    source : path, array or Mapping
        As for `calibration_data`.
    **options
        Of `prepare_inputs`.

    Raises
    ------
    UsageError
        As `calibration_data`.
    """
    if isinstance(source, (str, Path)):
        source = read_arrays(source)
    labels = None
    if isinstance(source, Mapping) and LABELS in source and LABELS not in graph.inputs and len(source) > 1:
        labels = np.asarray(source[LABELS])
        source = {k: v for k, v in source.items() if k != LABELS}
    inputs = prepare_inputs(source, graph, **options)
    if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != (inputs.samples,)):
        raise UsageError(
            Diagnostic(
                "E624", LABELS, f"the labels are {labels.dtype} of shape {labels.shape}; the data has {inputs.samples} samples",
                "give an integer for each sample, or leave labels out", {"samples": inputs.samples},
            )
        )  # fmt: skip
    return inputs, labels
