"""The environment of sPyNNaker, which maps emitted programs on a virtual board: which packages it holds.

sPyNNaker brings PACMAN, the machine's own tools for placing and routing, and PyNN. It has an environment of its own for its
many packages and their versions; nothing of spikeport needs it but the oracle.
"""

from __future__ import annotations

from pathlib import Path

from spikeport.backends.environments import Kit

#: Folder of the worker's own files.
WORKER = Path(__file__).resolve().parent / "worker"
_PINS = ("numpy==2.4.6", "scipy==1.17.1", "matplotlib==3.11.2", "PyNN==0.13.0", "neo==0.14.6", "quantities==0.16.4",
         "lazyarray==0.7.0", "sPyNNaker==1!7.4.1")  # fmt: skip
KIT = Kit(
    name="spynnaker",
    title="sPyNNaker",
    holds="sPyNNaker 7.4.1",
    backend="spinnaker",
    pins={"3.11": _PINS, "3.12": _PINS, "3.13": _PINS},
    trial=WORKER / "main.py",
    expected={"cores": 3, "chips": 1},
)

__all__ = ["KIT", "WORKER"]
