"""What is printed, and which of the issue's bars are reached."""

from rich.console import Console
from rich.table import Table

#: Name, the case's beginning and end, whose time, times at least.
BARS = (
    ("dense 5 %, batch 1: the fastest of snnTorch, sinabs, Norse", "dense", " 5% input, batch 1", None, 40.0),
    ("convolutional: the fastest of them that gives the same spikes", "conv", "frames", None, 5.0),
    ("dense 5 %, batch 64: the fastest of snnTorch, sinabs, Norse", "dense", " 5% input, batch 64", None, 4.0),
    ("dense 5 %, batch 1: plain numba loop", "dense", " 5% input, batch 1", "numba loop", 1.5),
    ("dense 5 %, batch 64: plain numba loop, 2 threads", "dense", " 5% input, batch 64", "numba loop, 2 threads", 2.0),
)
#: The same against the loop without branches: no bar of the issue, shown because it is the faster loop.
BESIDE = {"numba loop": "numba loop, no branches", "numba loop, 2 threads": "numba loop, no branches, 2 threads"}


def judge(results: list[dict]) -> list[dict]:
    """Return every bar with the measured ratio and its spread; without one where its case was not run."""
    found = []
    for title, begins, ends, name, least in BARS:
        bar = {"bar": title, "at_least": least, "against": None, "ratio": None, "reached": None}
        for case in results:
            if not (case["name"].startswith(begins) and case["name"].endswith(ends)):
                continue
            rows = [r for r in case["simulators"] if (r["is_library"] if name is None else r["name"] == name)]
            row = min(rows, key=lambda r: r["ratio"]["median"])
            bar |= {"against": row["name"], "ratio": row["ratio"], "reached": row["ratio"]["median"] >= least}
            beside = [r for r in case["simulators"] if r["name"] == BESIDE.get(name)]
            if beside:
                bar["without_branches"] = beside[0]["ratio"]
        found.append(bar)
    return found


def show_spread(value: dict, digits: int = 3) -> str:
    return f"{value['median']:.{digits}g} ({value['p10']:.{digits}g} - {value['p90']:.{digits}g})"


def print_case(console: Console, case: dict) -> None:
    table = Table(title=case["name"], title_justify="left", title_style="bold")
    table.add_column("simulator")
    for column in ("threads", "ms per sample (p10 - p90)", "times ours (p10 - p90)"):
        table.add_column(column, justify="right")
    for row in case["simulators"]:
        ratio = "1" if row["role"] == "ours" else show_spread(row["ratio"])
        threads = f"{'' if row['role'] == 'peer' else 'up to '}{row['threads']}"
        table.add_row(row["name"], threads, show_spread(row["ms_per_sample"]), ratio)
    console.print(table)
    bound = case["memory_bound"]
    size = bound["working_set_bytes"] / 2**20
    console.print(
        f"  {case['synaptic_events']:,.0f} synaptic events a sample; weights {size:.2f} MiB, read at "
        f"{bound['one_thread'] / 1e9:.0f} GB/s by one thread, {bound['two_threads'] / 1e9:.0f} by two"
    )
    console.print(
        f"  memory bound (a read per event): {bound['ms_one_thread']:.3g} ms, two threads {bound['ms_two_threads']:.3g}; "
        f"ours is {bound['ours_over_one_thread']:.3g} and {bound['ours_over_two_threads']:.3g} times that"
    )
    first = ", ".join(f"{name} {seconds:.2g} s" for name, seconds in case["first_run_s"].items())
    console.print(
        f"  spikes of every layer equal in {len(case['checked'])} others; rounds {case['rounds']}; first run: {first}"
    )
    for line in case["notes"]:
        console.print(f"  note: {line}")
    console.print()


def print_bars(console: Console, bars: list[dict]) -> None:
    table = Table(title="The bars", title_justify="left", title_style="bold")
    for column in ("bar", "at least", "measured (p10 - p90)", "against", ""):
        table.add_column(column)
    for bar in bars:
        measured = "not measured" if bar["ratio"] is None else show_spread(bar["ratio"])
        word = {None: "", True: "reached", False: "not reached"}[bar["reached"]]
        if bar["reached"] and bar["ratio"]["p10"] < bar["at_least"]:
            word = "reached, within the spread"
        table.add_row(bar["bar"], f"{bar['at_least']:g} x", measured, bar["against"] or "", word)
        if "without_branches" in bar:
            table.add_row("  the same, loop without branches (no bar)", "", show_spread(bar["without_branches"]), "", "")
    console.print(table)
