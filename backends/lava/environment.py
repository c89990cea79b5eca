"""The worker's environment: which packages it holds.

Lava 0.10.0 asks for Python before 3.11. On 3.10 it installs as it is; on 3.11 its metadata is overruled and the worker
mends the one class that 3.11 refuses. Results are the same. Each set of packages has an environment of its own.
"""

from __future__ import annotations

from pathlib import Path

from spikeport.backends.environments import Kit

#: Folder of the worker's own files.
WORKER = Path(__file__).resolve().parent / "worker"
#: Lava's own list of dependencies holds test tools and notebooks; it installs without them.
KIT = Kit(
    name="lava",
    title="Lava",
    holds="lava-nc 0.10.0",
    backend="lava",
    pins={
        "3.10": ("numpy==1.26.4", "scipy==1.15.3", "networkx==3.4.2", "asteval==1.0.10", "pbr==7.1.3", "psutil==7.2.2",
                 "lava-nc==0.10.0"),
        "3.11": ("numpy==2.3.5", "scipy==1.17.1", "networkx==3.6.1", "asteval==1.0.10", "pbr==7.1.3", "psutil==7.2.2",
                 "lava-nc==0.10.0"),
    },
    trial=WORKER / "main.py",
    expected={"spikes": [0, 0, 0, 1, 0, 0, 1, 0, 0, 1]},
    bare=True,
)  # fmt: skip

__all__ = ["KIT", "WORKER"]
