"""The demo: a trained network on its chips, from file to spikes, accuracy, energy and time.

``make demo`` runs it, or ``python -m spikeport.models.demo``. Standard output carries the result, standard error the talk.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.ir.ops import Neuron
from spikeport.models import digits

if TYPE_CHECKING:
    import numpy as np

    from spikeport import Report

# Each network and its chips. digits_dense subtracts at a reset, which Loihi 1 and SpiNNaker 1 do not have.
TARGETS = {
    "digits_conv": ("loihi1", "loihi2", "spinnaker1"),
    "digits_dense": ("loihi2", "spinnaker2"),
    "digits_rows": ("loihi1", "loihi2", "spinnaker1"),
}

NEXT = """\
What to try next:
  {command} inspect {model}
      the layers, and the profile that says what a step is
  {command} check {model} --target loihi2
      what stands in the way of a chip, before compiling
  {command} compile {model} --target loihi2 -o digits.spk
      the mapped network as one file, to run and to hand on
  {command} targets loihi1
      every number of a chip, with unit, class and source
  {command} check YOUR.py:FUNCTION --target loihi1
      a network of your own: FUNCTION returns your torch module
In Python: spikeport.from_torch(module, input_shape=(1, 28, 28)), spikeport.compile, spikeport.run."""


def score(counts: np.ndarray, labels: np.ndarray) -> str:
    """Return accuracy, its 95 % interval and the ties as a text; *counts* has the shape (samples, 10)."""
    chosen, ties = digits.winners(counts)
    correct, total = int((chosen == labels).sum()), len(labels)
    low, high = digits.interval(correct, total)
    return (
        f"{correct} of {total} correct ({correct / total:.2%}, 95 % interval {low:.1%} to {high:.1%}; "
        f"{ties} ties, given to the lowest class)"
    )


def _near(path: Path) -> str:
    """Return *path* as it is written from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def run_on(target: str, model: Path, currents: np.ndarray, backend: str) -> tuple[np.ndarray, Report]:
    """Compile *model* for *target* and run it on *currents*, shape (samples, steps, ...), with a progress bar.

    Returns
    -------
    counts : ndarray, shape (samples, 10)
        Output spikes of each sample.
    report : Report
        What that costs on the chip.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    import spikeport

    program = spikeport.compile(model, target)
    columns = (TextColumn("{task.description:24s}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        # The engine's first use builds machine code, once: some seconds in which no image is done.
        task = bar.add_task("preparing the engine", total=None)
        result = spikeport.run(
            program, currents, backend=backend,
            progress=lambda done, total: bar.update(task, description=f"images on {target}", completed=done, total=total),
        )  # fmt: skip
    return result.out["output"].sum(axis=1), result.report


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the network on its targets; print accuracy, the reports side by side, and what to try next."""
    parser = argparse.ArgumentParser(description="Compile a trained network for its chips, run it and price it.")
    parser.add_argument("--model", choices=TARGETS, default="digits_conv", help="the network (default: %(default)s)")
    parser.add_argument("--backend", default="engine", help="who runs it (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=None, help="test images, from the first (default: all 899)")
    options = parser.parse_args(arguments)

    import spikeport

    experiment: digits.Experiment = importlib.import_module(f"spikeport.models.{options.model}").EXPERIMENT
    path = Path(__file__).with_name(f"{options.model}.nir")
    neurons = sum(math.prod(n.op.shape) for n in spikeport.load(path).graph if isinstance(n.op, Neuron))
    _, _, images, labels = digits.split()
    currents, labels = experiment.encode(images[: options.samples]), labels[: options.samples]
    print(
        f"{path.name}: a {experiment.title} of {neurons} neurons, trained with {experiment.library} on handwritten digits.\n"
        f"{len(labels)} images that it has not seen, {currents.shape[1]} steps each.\n",
        file=sys.stderr,
    )
    reports, scores = [], {}
    for target in TARGETS[options.model]:
        counts, report = run_on(target, path, currents, options.backend)
        scores[target] = score(counts, labels)
        reports.append(report)
    print("Accuracy")
    for target, text in scores.items():
        print(f"  {target:12s} {text}")
    print()
    print(spikeport.format_reports(reports))
    print("\n" + NEXT.format(command=_near(Path(sys.executable).with_name("spikeport")), model=_near(path)), file=sys.stderr)


if __name__ == "__main__":
    main()
