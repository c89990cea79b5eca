"""Hardware in the loop under load and under fire: the numbers that the daemon has to reach.

    python benchmarks/hil.py [--minutes 5] [--clients 50] [--devices 4] [--fuzz 100000] [--only load,overhead,...] [--json FILE]

Bars: load: 0 lost, 0 double-granted, memory flat; overhead of a run through the daemon below 10 ms at the median; half-open
peers found within 5 s by both sides; a worker's death told within 1 s; fuzz: 0 crashes, 0 hangs, 0 files outside.
Ends with exit code 1 where a bar is missed.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

import numpy as np
from hil_bench import INPUTS, Process, artifact, audit, connect, run, running, through, until, workers
from hil_drivers import SLOW
from hilbench.fuzz import fuzz
from hilbench.load import load

from spikeport.runtime.hil.daemon.config import DeviceConfig
from spikeport.runtime.hil.device import LocalDevice
from spikeport.runtime.hil.outcome import HilError


def measure_load(options, folder):
    """50 clients share 4 devices."""
    devices = "".join(f'[devices.d{n}]\ndriver = "hil_drivers:make"\n' for n in range(options.devices))
    with Process(folder / "state", more=devices) as daemon:
        found = load(daemon, options.clients, options.minutes * 60)
    settled, last = found["daemon_mb"][1:]
    found["bars"] = {
        "0 lost": found["lost"] == 0, "0 double-granted": found["double_granted"] == 0,
        "memory flat": settled is not None and last is not None and last <= settled * 1.1 + 5,
    }  # fmt: skip
    return found


def measure_overhead(options, folder):
    """The same run in this process and through a daemon, in the engine."""

    def times(leased, count=200):
        leased.load(artifact())
        taken = []
        for _ in range(count):
            started = time.perf_counter()
            leased.run(INPUTS, record="all", record_state=True)
            taken.append(1e3 * (time.perf_counter() - started))
        return np.array(taken[20:])

    with LocalDevice("engine") as local:
        here = times(local)
    engine, limits = DeviceConfig("sim", backend="engine"), {"memory_mb": 2048.0}
    with running(folder / "state", engine, limits=limits) as daemon, connect(daemon.url) as pool, pool.lease() as leased:
        there = times(leased)
    over = float(np.median(there) - np.median(here))
    return {
        "in_process_ms": round(float(np.median(here)), 2), "daemon_ms": round(float(np.median(there)), 2),
        "daemon_p95_ms": round(float(np.quantile(there, 0.95)), 2), "overhead_ms": round(over, 2),
        "bars": {"overhead < 10 ms": over < 10},
    }  # fmt: skip


def measure_half_open(options, folder):
    """Connections that stay open and carry nothing: up, down, or both."""
    seconds = {}
    for ways in (("up",), ("down",), ("up", "down")):
        for turn in range(3):
            state = folder / f"state-{'-'.join(ways)}-{turn}"
            with running(state) as daemon, through(daemon.url) as hole, connect(f"hild://{hole.address}", retry_s=0.0) as pool:
                leased = pool.lease(ttl_s=600.0)
                run(leased)
                hole.silent = frozenset(ways)
                began = time.monotonic()
                try:
                    run(leased, load=False)
                    found = float("inf")
                except HilError:
                    found = time.monotonic() - began
                seconds.setdefault(f"{'+'.join(ways)}: client", []).append(found)
                until(lambda state=state: any(line["event"] == "peer silent" for line in audit(state)))
                silent = next(line["mono"] for line in audit(state) if line["event"] == "peer silent")
                seconds.setdefault(f"{'+'.join(ways)}: daemon", []).append(silent - began)
                hole.silent = frozenset()
                leased._closing.set()
    most = {side: round(max(found), 2) for side, found in seconds.items()}
    return {"most_s": most, "bars": {"found < 5 s": max(most.values()) < 5}}


def measure_death(options, folder):
    """A worker is killed in mid-run; its client is told."""
    taken = []
    with running(folder / "state", limits={"strikes": 1000}) as daemon, connect(daemon.url) as pool, pool.lease() as leased:
        for _ in range(10):
            run(leased)
            told = []

            def body(told=told):
                try:
                    run(leased, SLOW, load=False)
                except HilError:
                    told.append(time.monotonic())

            thread = threading.Thread(target=body)
            thread.start()
            until(lambda: daemon.service.jobs._live)
            time.sleep(0.2)
            (pid,) = workers(daemon.service.config.state)
            killed = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            thread.join()
            taken.append(told[0] - killed)
    return {
        "median_s": round(float(np.median(taken)), 3),
        "most_s": round(max(taken), 3),
        "bars": {"told < 1 s": max(taken) < 1},
    }


def measure_fuzz(options, folder):
    """Mutated artifacts and requests."""
    started = time.monotonic()
    found = fuzz(options.fuzz, folder / "fuzz", options.seed)
    found["seconds"] = round(time.monotonic() - started, 1)
    found["bars"] = {
        "0 crashes": found["crashes"] + found["request_crashes"] == 0, "0 hangs": found["hangs"] + found["request_hangs"] == 0,
        "0 files outside": not found["files_outside"] and not found["left_by_worker"],
    }  # fmt: skip
    return found


MEASURES = {"overhead": measure_overhead, "half-open": measure_half_open, "death": measure_death, "load": measure_load,
            "fuzz": measure_fuzz}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--fuzz", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(MEASURES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory(prefix="spikeport-hil-") as folder:
            found[name] = MEASURES[name](options, Path(folder))
        bars = found[name].pop("bars")
        print(f"{name}: {json.dumps(found[name])}", flush=True)
        for bar, holds in bars.items():
            print(f"    {'ok  ' if holds else 'MISS'} {bar}", flush=True)
        found[name]["bars"] = bars
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0 if all(holds for one in found.values() for holds in one["bars"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
