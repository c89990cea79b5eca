"""Our engine against snnTorch, sinabs, Norse, torch, numpy, numba and Brian2, on the same networks with the same spikes.

    python benchmarks/engine.py [--quick] [--budget SECONDS] [--json FILE] [--only TEXT] [--anchors DIR]

Cases: a dense LIF network at three activities, batch 1 and 64; a convolutional network on event frames; a recurrent
network. Before a case is timed, the spikes of every layer of every simulator must equal ours; the command ends with 1
where they do not. Then ours and each other run in turns: float32, the output's raster recorded, the other with its best
of one and two threads; ratios are those of neighbours in time. Our float64 and `spikeport.run` are shown beside.
"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

from enginebench.bound import bandwidth
from enginebench.cases import cases, left_out, peers, weight_bytes
from enginebench.clock import interleaved
from enginebench.host import host
from enginebench.nets import Case, LifNet
from enginebench.ours import EndToEnd, Ours
from enginebench.peer import check
from enginebench.tables import judge, print_bars, print_case
from rich.console import Console

from spikeport.ir.diagnostics import SpikeportError

ROOT = Path(__file__).resolve().parent.parent


class SpikesDifferError(Exception):
    """Two simulators disagree: there is nothing to time."""


def measure(case: Case, options: argparse.Namespace, budget_s: float, console: Console) -> dict:
    """Return one case's results: spikes compared, then times."""
    console.print(f"{case.name}: building, comparing spikes ...", style="dim")
    ours = Ours(case, options.backend, "float32")
    others = [
        *peers(case, brian2=not options.no_brian2),
        Ours(case, options.backend, "float64"),
        EndToEnd(case, options.backend),
    ]
    try:
        expected = ours.run(keep=True)
        wrong = check(ours, expected)
        for peer in others:
            wrong += [f"{peer.name}: {line}" for line in check(peer, expected)]
        if wrong:
            raise SpikesDifferError("\n".join([case.name, *wrong]))
        net = case.net
        events = net.synaptic_events(case.x, expected) if isinstance(net, LifNet) else ours.synops
        console.print(f"{case.name}: timing for {budget_s:.0f} s ...", style="dim")
        measured = interleaved(ours, others, budget_s, least=3 if options.quick else 5)
    finally:
        for peer in (ours, *others):
            peer.close()
    rows = [{"role": _role(m.peer, ours), **m.summary(case.samples)} for m in measured]
    return {
        "name": case.name, "samples": case.samples, "steps": case.x.shape[1], "profile": case.profile,
        "input_activity": float((case.x != 0).mean()), "synaptic_events": float(events),
        "spikes_per_sample": {layer: float(expected[layer].sum()) / case.samples for layer in net.layers},
        "load_after": [round(x, 2) for x in os.getloadavg()],
        "checked": [p.name for p in others], "rounds": rows[0]["rounds"],
        "first_run_s": {p.name: round(p.first_run_s, 3) for p in (ours, *others) if isinstance(p, Ours)},
        "memory_bound": _bound(weight_bytes(net), events, rows[0]["ms_per_sample"]["median"]),
        "simulators": rows, "notes": list(case.notes),
    }  # fmt: skip


def _role(peer: object, ours: object) -> str:
    if peer is ours:
        return "ours"
    return "ours beside" if isinstance(peer, (Ours, EndToEnd)) else "peer"


def _bound(size: int, events: float, ours_ms: float) -> dict[str, float]:
    rates = bandwidth(size)
    bound: dict[str, float] = {"working_set_bytes": size, "event_bytes": 4 * events, **rates}
    for name, rate in rates.items():
        bound[f"ms_{name}"] = 4e3 * events / rate
        bound[f"ours_over_{name}"] = ours_ms / bound[f"ms_{name}"]
    return bound


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the time, no Brian2")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="timing of all cases together (default 160; quick 16)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--only", metavar="TEXT", help="only cases whose name contains TEXT")
    parser.add_argument("--anchors", type=Path, metavar="DIR", default=ROOT.parent / "shared" / "anchors",
                        help="recorded real graphs (default: ../shared/anchors from the root)")  # fmt: skip
    parser.add_argument("--backend", default="engine", help="which of our backends (default: engine)")
    parser.add_argument("--no-brian2", action="store_true", help="leave Brian2 out: its programs take long to build")
    parser.add_argument("--tiny", action="store_true", help="tiny networks: tries the script, says nothing about speed")
    options = parser.parse_args(given)
    options.no_brian2 |= options.quick
    if options.budget is None:
        options.budget = 16.0 if options.quick else 160.0
    return options


def main(given: list[str] | None = None) -> int:
    options = arguments(given)
    warnings.filterwarnings("ignore", module=r"(torch|norse|sinabs|snntorch)\b.*")
    console = Console(width=max(120, Console().width), highlight=False)
    machine = host()
    console.print(f"{machine['cpu']}, {machine['cores_usable']} cores, load {machine['load_before']}")
    if machine["load_before"][0] > 0.5:
        console.print("others work on this machine: times and ratios will spread, those of two threads most", style="yellow")
    chosen = [c for c in cases(options.anchors, options.tiny) if options.only is None or options.only in c.name]
    if not chosen:
        console.print(f"no case has {options.only!r} in its name")
        return 2
    results = []
    for case in chosen:
        try:
            results.append(measure(case, options, options.budget / len(chosen), console))
        except SpikesDifferError as error:
            console.print(f"spikes differ, nothing is timed:\n{error}", style="bold red")
            return 1
        except SpikeportError as error:
            console.print(f"{case.name}: {error}", style="bold red")
            return error.exit_code
        print_case(console, results[-1])
    bars = judge(results)
    for line in left_out(options.anchors):
        console.print(f"left out: {line}")
    if options.tiny or options.backend != "engine":
        console.print("the bars are for the engine at full size")
    else:
        print_bars(console, bars)
    if options.json:
        document = {
            "format": "spikeport engine benchmark 1", "backend": options.backend, "tiny": options.tiny, "quick": options.quick,
            "budget_s": options.budget, "host": machine, "cases": results, "bars": bars, "left_out": left_out(options.anchors),
        }  # fmt: skip
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
