"""Mapping on SpiNNaker against PACMAN (sPyNNaker 7.4.1): a million neurons in 300 projections, both in one run.

    python benchmarks/spinnaker.py [--rounds 5] [--only TEXT] [--json FILE]

PACMAN runs in the environment of our backend (`spikeport backends setup spinnaker`), on the virtual machine that it asks for,
and compresses as far as it can. Its time is that of its own algorithms as it reports them (partition, place, route, keys,
tables, compression), without building the network, checks and reports. Ours is of the same stages in a process of its own,
compiled code loaded from its cache; the replay of every packet, which PACMAN has not, stands beside it. Both sides get the same
populations of 256 neurons a core and the same pairs of populations, every slice of one connected to every slice of the other.
Ratios are PACMAN's over ours, of neighbours in time: median (10th to 90th percentile). Memory is the most that a process held,
with all that it imports. PACMAN also places monitor cores of its own, one a chip and two a board: these have no entries here.
"""

import sys

# A script called spinnaker.py must not be found in place of a package.
sys.path.append(sys.path.pop(0))

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: Neurons a core on both sides.
PER_CORE = 256


@dataclass(frozen=True)
class Case:
    """*populations* of *size* neurons, joined at random by *projections*, no pair twice."""

    name: str
    populations: int
    size: int
    projections: int
    seed: int

    def pairs(self) -> list[tuple[int, int]]:
        """Return (source, target) of each projection."""
        rng, found = np.random.default_rng(self.seed), []
        while len(found) < self.projections:
            pair = tuple(rng.integers(self.populations, size=2).tolist())
            if pair not in found:
                found.append(pair)
        return found


CASES = (
    Case("100 populations of 10,000", 100, 10_000, 300, 1),
    Case("200 populations of 5,000", 200, 5_000, 300, 2),
    Case("1,000 populations of 1,000", 1000, 1_000, 300, 3),
)
RUN = """
import pyNN.spiNNaker as sim

sim.setup(timestep=1.0)
cells = [sim.Population({size}, sim.IF_curr_exp(), label=f"p{{n}}") for n in range({populations})]
for a, b in {pairs}:
    sim.Projection(cells[a], cells[b], sim.FixedProbabilityConnector(0.01), sim.StaticSynapse(weight=0.1, delay=1.0))
sim.run(10)
"""


def ours(case: Case) -> dict:
    """Map *case* and return seconds by stage, sizes and memory."""
    from spikeport.compiler.mapping.compress import compress
    from spikeport.compiler.mapping.keys import allocate
    from spikeport.compiler.mapping.machine import machine_for
    from spikeport.compiler.mapping.replay import replay
    from spikeport.compiler.mapping.routed import place
    from spikeport.compiler.mapping.routes import Wires, route
    from spikeport.compiler.mapping.tables import entries
    from spikeport.compiler.mapping.vertices import Vertex
    from spikeport.hw_profiles.target import load_target

    target, pairs = load_target("spinnaker1"), case.pairs()

    def once(case: Case, pairs: list[tuple[int, int]]) -> dict:
        marks, seconds = [time.perf_counter()], {}

        def lap(name: str) -> None:
            marks.append(time.perf_counter())
            seconds[name] = marks[-1] - marks[-2]

        each = -(-case.size // PER_CORE)
        cuts = [(case.size * i // each, case.size * (i + 1) // each) for i in range(each)]
        vertices = [Vertex(f"p{n}", (cut,), 0, (), 0, 0) for n in range(case.populations) for cut in cuts]
        group = np.repeat(np.arange(case.populations), each)
        lap("partition")
        machine = machine_for(target, -(-len(vertices) // 16))
        cores = place(vertices, machine, None)
        assert cores is not None
        lap("place")
        start = np.arange(each)
        source = np.concatenate([np.repeat(a * each + start, each) for a, _ in pairs])
        end = np.concatenate([np.tile(b * each + start, each) for _, b in pairs])
        chip, wires = cores // machine.stride, Wires.of(len(vertices), source, cores[end], machine)
        trees = route(machine, group, chip, wires)
        lap("route")
        size = np.array([stop - first for first, stop in cuts] * case.populations)
        keys = allocate(group, np.array([(int(n) - 1).bit_length() for n in size]))
        lap("keys")
        tables = entries(machine, group, keys, trees)
        lap("tables")
        short = compress(tables)
        lap("compress")
        proof = replay(machine, short, chip, wires, (np.arange(len(vertices) + 1), keys.key, size))
        lap("replay")
        assert proof.ok, proof
        return {
            "seconds": seconds, "machine": machine.name, "chips": int(np.unique(chip).size), "entries": len(tables.key),
            "compressed": len(short.key), "largest": int(short.sizes().max()), "visits": int(proof.visits.sum()),
            "keys": proof.packets,
        }  # fmt: skip

    once(Case("warm", 3, 600, 3, 0), [(0, 1), (1, 2), (2, 2)])
    found = once(case, pairs)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found | {"total_s": sum(s for n, s in found["seconds"].items() if n != "replay"), "memory_b": held}


def theirs(case: Case, python: Path, worker: Path) -> dict:
    """Have PACMAN map *case*; return the same."""
    with tempfile.TemporaryDirectory(prefix="spikeport-pacman-") as folder:
        Path(folder, "run.py").write_text(RUN.format(size=case.size, populations=case.populations, pairs=case.pairs()), "utf-8")
        answer = Path(folder, "answer.json")
        command = [str(python), "-I", str(worker), folder, str(answer)]
        with Path(folder, "log.txt").open("w+", encoding="utf-8") as log:
            child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode or not answer.exists():
                log.seek(0)
                raise SystemExit(f"PACMAN failed:\n{log.read()[-3000:]}")
        data = json.loads(answer.read_text("utf-8"))
        if "failed" in data:
            raise SystemExit(f"PACMAN failed: {data['failed']}")
        # In a process of its own: what this one holds would count as its children's memory.
        judge = [sys.executable, "-P", __file__, "--replay", str(answer), "--ours", case.name]
        judged = json.loads(subprocess.run(judge, check=True, capture_output=True, text=True).stdout)
    sizes = [len(t) for t in data["compressed"].values()]
    found = {
        "seconds": data["seconds"], "machine": f"{data['machine']['width']} x {data['machine']['height']} chips",
        "chips": len({(p["x"], p["y"]) for p in data["placements"]}), "entries": sum(map(len, data["tables"].values())),
        "compressed": sum(sizes), "largest": max(sizes), "memory_b": used.ru_maxrss * 1024,
        "total_s": sum(data["seconds"].values()),
    }  # fmt: skip
    return found | judged


def visits_of(case: Case, data: dict) -> dict:
    """Replay PACMAN's compressed tables: routers visited by one packet of every slice, and whether all arrive."""
    from spikeport.compiler.mapping.replay import replay
    from spikeport.compiler.mapping.routes import Wires
    from spikeport.ir.routing import Machine, Tables

    places = [tuple(map(int, name.split(","))) for name in data["machine"]["chips"]]
    at = {place: n for n, place in enumerate(places)}
    links, cores = np.full((len(places), 6), -1), np.zeros(len(places), np.int64)
    lines: list[list[int]] = []
    start = [0]
    for n, (x, y) in enumerate(places):
        chip = data["machine"]["chips"][f"{x},{y}"]
        for link, end in chip["links"].items():
            links[n, int(link)] = at[tuple(end)]
        cores[n] = sum(1 << p for p in range(18))
        for key, mask, out, processors, _ in data["compressed"].get(f"{x},{y}", ()):
            lines.append([key, mask, sum(1 << k for k in out) | sum(1 << 6 + p for p in processors)])
        start.append(len(lines))
    columns = np.array(lines, np.int64).reshape(-1, 3).T.copy()
    tables = Tables(np.array(start), columns[0], columns[1], columns[2], np.zeros(len(lines), bool))
    machine = Machine("PACMAN's", data["machine"]["width"], data["machine"]["height"], np.array(places), cores, links,
                      np.zeros(len(places), np.int64), 18)  # fmt: skip
    slices = sorted(data["placements"], key=lambda p: (int(p["population"][1:]), p["first"]))
    rows: dict[int, list[int]] = {}
    for row, p in enumerate(slices):
        rows.setdefault(int(p["population"][1:]), []).append(row)
    core = np.array([at[p["x"], p["y"]] * 18 + p["processor"] - 1 for p in slices])
    pairs = [(a, b) for pre, post in case.pairs() for a in rows[pre] for b in rows[post]]
    source, end = np.array(pairs).T
    keys = np.array([p["keys"][0][0] if p["keys"] else 0 for p in slices])
    proof = replay(machine, tables, core // 18, Wires.of(len(slices), source, core[end], machine),
                   (np.arange(len(slices) + 1), keys, np.array([p["neurons"] for p in slices])))  # fmt: skip
    return {"visits": int(proof.visits.sum()), "replay": str(proof)}


def spread(values: list[float]) -> dict[str, float]:
    """Return median and 10th to 90th percentile."""
    low, middle, high = np.percentile(values, [10, 50, 90])
    return {"median": float(middle), "p10": float(low), "p90": float(high)}


def said(s: dict[str, float], form: str) -> str:
    """Return a spread as text."""
    return f"{s['median']:{form}} ({s['p10']:{form}} to {s['p90']:{form}})"


def compare(case: Case, rounds: int, python: Path, worker: Path) -> dict:
    """Run both sides in turns."""
    mine, other = [], []
    for _ in range(rounds):
        command = [sys.executable, "-P", __file__, "--ours", case.name]
        mine.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        other.append(theirs(case, python, worker))
    ratios = [b["total_s"] / a["total_s"] for a, b in zip(mine, other, strict=True)]
    more = [b["memory_b"] / a["memory_b"] for a, b in zip(mine, other, strict=True)]
    return {
        "case": case.name,
        "rounds": rounds,
        "ours": mine,
        "pacman": other,
        "ratio": spread(ratios),
        "memory_ratio": spread(more),
    }


def show(row: dict) -> None:
    """Print a case."""
    print(f"\n{row['case']}, {row['rounds']} rounds: PACMAN takes {said(row['ratio'], '.1f')} times our time, "
          f"{said(row['memory_ratio'], '.1f')} times our memory")  # fmt: skip
    for name in ("ours", "pacman"):
        runs = row[name]
        one = runs[0]
        stages = ", ".join(f"{k} {np.median([r['seconds'][k] for r in runs]):.3f}" for k in one["seconds"])
        took, held = said(spread([r["total_s"] for r in runs]), ".2f"), max(r["memory_b"] for r in runs) / 1e6
        print(f"  {name:6s} {took} s, {held:,.0f} MB, {one['chips']} chips of {one['machine']}")
        right = one.get("replay", f"{one.get('keys', 0):,} keys right")
        print(f"         {one['entries']:,} entries -> {one['compressed']:,}, at most {one['largest']} a chip; {right}, "
              f"{one['visits']:,} routers for a packet of every slice")  # fmt: skip
        print(f"         {stages}")


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name has this text")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ours", help=argparse.SUPPRESS)
    parser.add_argument("--replay", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.replay:
        print(json.dumps(visits_of(next(c for c in CASES if c.name == args.ours), json.loads(args.replay.read_text("utf-8")))))
        return
    if args.ours:
        print(json.dumps(ours(next(c for c in CASES if c.name == args.ours))))
        return
    from spikeport.backends.environments import python_of
    from spikeport.backends.spinnaker.environment import KIT, WORKER

    place, why = KIT.find()
    if place is None:
        raise SystemExit(f"{why}; {KIT.remedy}")
    rows = []
    for case in CASES:
        if args.only in case.name:
            rows.append(compare(case, args.rounds, python_of(place), WORKER / "main.py"))
            show(rows[-1])
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    main()
