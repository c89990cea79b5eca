"""Many clients share few devices: what each got, who had which device when, and the memory of the daemon."""

import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from hil_bench import artifact, connect, run
from numpy import array_equal

HERE = Path(__file__).resolve()
HELPERS = HERE.parents[2] / "tests" / "helpers"


def client(url, until, wanted, log, runs=3):
    """Lease, load, run, release, over and over; append to *log* what happened."""
    with connect(url, retry_s=60.0) as pool:
        while time.monotonic() < until:
            asked = time.monotonic()
            with pool.lease(wait_s=600.0, ttl_s=30.0) as leased:
                got = time.monotonic()
                good = 0
                leased.load(artifact())
                for _ in range(runs):
                    arrays = run(leased, load=False).trace.arrays()
                    good += sorted(arrays) == sorted(wanted) and all(array_equal(arrays[k], wanted[k]) for k in wanted)
                left = time.monotonic()
            log.append([leased.info.name, leased.fence, asked, got, left, good, runs, len(pool.losses)])


def main(url, clients, seconds):
    """Run *clients* in threads of this process and print what they logged."""
    from spikeport.runtime.hil.device import LocalDevice

    with LocalDevice("reference") as local:
        wanted = run(local).trace.arrays()
    log, failed = [], []

    def body():
        try:
            client(url, time.monotonic() + seconds, wanted, log)
        except Exception as error:
            failed.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=body) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"log": log, "failed": failed}))


def resident_mb(pid):
    """Return the megabytes that a process holds in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def load(daemon, clients, seconds, processes=5):
    """Return what a load of *clients* for *seconds* showed."""
    command = [sys.executable, "-P", "-c", f"import sys; sys.path[:0] = [{str(HELPERS)!r}, {str(HERE.parents[1])!r}]\n"
               "from hilbench.load import main\nmain(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))"]  # fmt: skip
    shares = [clients // processes + (n < clients % processes) for n in range(processes)]
    running = [
        subprocess.Popen([*command, daemon.url, str(n), str(seconds)], stdout=subprocess.PIPE, text=True) for n in shares if n
    ]
    memory, started = [], time.monotonic()
    while any(p.poll() is None for p in running):
        memory.append((time.monotonic() - started, resident_mb(daemon.process.pid)))
        time.sleep(0.5)
    said = [json.loads(p.stdout.read()) for p in running]
    for process in running:
        process.stdout.close()
    rows = [row for one in said for row in one["log"]]
    return judge(rows, [f for one in said for f in one["failed"]], memory, seconds)


def judge(rows, failed, memory, seconds):
    """Return the numbers of a load, double grants by overlap of the times that two had a device, and by fences."""
    overlaps = 0
    for name in {row[0] for row in rows}:
        spans = sorted((row[3], row[4]) for row in rows if row[0] == name)
        overlaps += sum(b[0] < a[1] for a, b in itertools.pairwise(spans))
    fences = [(row[0], row[1]) for row in rows]
    third = [mb for at, mb in memory if seconds / 3 <= at <= seconds * 2 / 3]
    last = [mb for at, mb in memory if at > seconds * 2 / 3]
    waits = sorted(row[3] - row[2] for row in rows)
    return {
        "leases": len(rows), "runs": sum(row[6] for row in rows), "lost": sum(row[6] - row[5] for row in rows) + len(failed),
        "double_granted": overlaps + len(fences) - len(set(fences)), "failed_clients": failed,
        "calls_made_again": sum({(row[0], row[1]): row[7] for row in rows}.values()),
        "wait_median_s": round(waits[len(waits) // 2], 3) if waits else None,
        "wait_most_s": round(waits[-1], 3) if waits else None,
        "daemon_mb": [round(memory[0][1], 1), round(max(third), 1) if third else None, round(max(last), 1) if last else None],
    }  # fmt: skip
