"""What ran where: processor, caches, threads, versions, load."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numba
import torch
from threadpoolctl import threadpool_info

PACKAGES = ("spikeport", "numpy", "numba", "llvmlite", "torch", "snntorch", "sinabs", "norse", "brian2")


def host() -> dict:
    """Return the machine and the software as the JSON has them."""
    return {
        "cpu": _cpu(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "caches": _caches(),
        "system": platform.platform(),
        "load_before": [round(x, 2) for x in os.getloadavg()],
        "numba_threads": numba.config.NUMBA_NUM_THREADS,
        "torch_threads": torch.get_num_threads(),
        "thread_pools": [{k: p.get(k) for k in ("internal_api", "num_threads", "version")} for p in threadpool_info()],
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _caches() -> dict[str, str]:
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((folder / name).read_text("utf-8").strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        found[f"L{level} {kind.lower()}"] = size
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
