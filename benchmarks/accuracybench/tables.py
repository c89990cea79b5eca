"""The two tables that a benchmark of accuracy prints, and its arguments."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enginebench.host import host

from accuracybench.networks import BRAILLE, NETWORKS, ROOT

Row = dict[str, Any]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the arguments that all have."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seeds", type=int, default=1, help="draws of the calibration samples")
    made.add_argument("--anchors", type=Path, default=ROOT.parent / "shared" / "anchors")
    made.add_argument("--json", type=Path)
    return made


def run(
    args: argparse.Namespace, heads: tuple[str, str], digits: Callable[[str, int], Row], braille: Callable[[str], Row],
    show: Callable[[Row], str],
) -> None:  # fmt: skip
    """Print a row for each network and seed, and one for each recording; write them all where ``--json`` says.

    Parameters
    ----------
    args : Namespace
        As `parser` gives it.
    heads : (str, str)
        Heads of the tables.
    digits, braille : callable
        Give the row of a network and seed, and that of a recording.
    show : callable
        Gives a row as text.
    """
    rows: list[Row] = []
    about = host()
    print(f"{about['cpu']}, {about['cores_usable']} cores, spikeport {about['versions']['spikeport']}\n")
    print(heads[0])
    for name in NETWORKS:
        for seed in range(args.seeds):
            rows.append(digits(name, seed))
            print(show(rows[-1]), flush=True)
    if not (args.anchors / "braille").is_dir():
        print(f"\nno Braille recordings in {args.anchors}: left out")
    else:
        print(f"\n{heads[1]}")
        for name in BRAILLE:
            rows.append(braille(name))
            print(show(rows[-1]), flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
