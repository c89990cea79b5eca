"""What Loihi 1 was measured to take, beside what we model for the same networks: a comparison, and no fit.

    python benchmarks/loihi1_measured.py

Measured: the keyword spotter of Blouw et al. 2019 (doi:10.1145/3320288.3320304) and its scaled versions; their layers as in
the authors' repository abr/power_benchmarks (``ScaledModel``): 390 inputs, a layer of 256, N branches of 10 layers of 256,
a layer of 256 that all branches enter. Ten steps an inference. How often its neurons spike was not published, so the model is
priced at stated rates, and the rate at which it would meet the measurement is shown instead of being put into the model.

The cost sets know nothing of these measurements, but for the 70 mW of the x86 cores, which are from the same paper: what
leans on them is no check. NxTF's MNIST network (60.81 us a step) is left out: its layers are not in our sources.
"""

import numpy as np

from spikeport.compiler.mapping import map_graph
from spikeport.hw_profiles.target import load_target
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import LIF, Input, Linear, Output
from spikeport.ir.profiles import parse_profile
from spikeport.ir.units import Quantity, format_si
from spikeport.runtime.report import Report, StatedRates, price

PROFILE = "norse:zero,dt=1e-3"
STEPS = 10
#: Measured dynamic energy of an inference of the spotter and of the scaled networks by N, in J; inferences a second.
SPOTTER_J, SCALED_J = 0.2721e-3, {0: 0.6194e-3, 1: 0.6833e-3, 2: 0.7033e-3, 10: 0.8356e-3}
SPOTTER_HZ, SCALED_HZ = 296.5, {0: 125.8, 1: 114.7, 2: 114.4, 10: 114.0}
#: Measured energy of a further branch: 2,560 neurons.
BRANCH_J = (SCALED_J[10] - SCALED_J[1]) / 9
#: Share of steps in which a neuron spikes.
ACTIVITIES = (0.02, 0.05, 0.1, 0.2, 1.0)


def network(branches: int | None) -> Graph:
    """Return the scaled network with that many branches; None for the spotter, 390-256-256-29."""
    nodes, edges = [Node("input", Input((390,)))], []

    def layer(path: str, size: int, *behind: tuple[str, int]) -> tuple[str, int]:
        nodes.append(Node(path, LIF(*(np.broadcast_to(v, (size,)) for v in (0.02, 1.0, 0.0, 1.0, 0.0)))))
        for rank, (source, inputs) in enumerate(behind):
            nodes.append(Node(f"{path}.w{rank}", Linear(np.broadcast_to(np.float64(1), (size, inputs)))))
            edges.extend([Edge(source, f"{path}.w{rank}"), Edge(f"{path}.w{rank}", path, rank=rank)])
        return path, size

    first = layer("first", 256, ("input", 390))
    ends = [first] if not branches else []
    for branch in range(branches or 0):
        last = first
        for depth in range(10):
            last = layer(f"branch{branch}.layer{depth}", 256, last)
        ends.append(last)
    last = layer("last", 256, *ends)
    if branches is None:
        last = layer("characters", 29, last)
    nodes.append(Node("output", Output((last[1],))))
    return Graph(nodes, [*edges, Edge(last[0], "output")])


def modelled(branches: int | None, activity: float) -> Report:
    """Return the report of one inference in which every neuron and input spikes in that share of steps."""
    profile, target = parse_profile(PROFILE), load_target("loihi1")
    program = map_graph(network(branches), profile, target)
    return price(program, StatedRates(activity / profile.dt, STEPS), target)


def dynamic(branches: int | None, activity: float) -> Quantity:
    """Return the modelled dynamic energy of the neurocores for one inference."""
    return modelled(branches, activity).energy_dynamic.total


def branch(activity: float) -> tuple[float, float, float]:
    """Return the modelled energy of a further branch, in J: as priced, and the ends of the interval."""
    more, less = dynamic(2, activity), dynamic(1, activity)
    ends = [(more.low or 0.0) - (less.low or 0.0), (more.high or 0.0) - (less.high or 0.0)]
    return (more.value or 0.0) - (less.value or 0.0), ends[0], ends[1]


def implied_activity(number: int) -> float:
    """Return the activity at which the modelled branch takes what was measured: as priced (0), low (1) or high (2) end."""
    # Energy is linear in activity but for the choice of the interval's ends: a straight line through 5 and 20 % will do.
    low, high = branch(0.05)[number], branch(0.2)[number]
    return 0.05 + (BRANCH_J - low) * 0.15 / (high - low)


def main() -> None:
    print("A further branch of 2,560 neurons, energy of an inference")
    print(f"  measured                 {format_si(BRANCH_J, 'J')}")
    for activity in ACTIVITIES:
        value, low, high = (format_si(v, "J") for v in branch(activity))
        print(f"  modelled at {activity:4.0%} activity {value} [{low} .. {high}]")
    shares = ", ".join(f"{implied_activity(n):.1%}" for n in (0, 1, 2))
    print(f"  they meet at an activity of (priced, low, high): {shares}\n")
    print("The spotter, an inference")
    print(f"  measured                 {format_si(SPOTTER_J, 'J')} dynamic, {format_si(1 / SPOTTER_HZ / STEPS, 's')} a step")
    for activity in ACTIVITIES:
        report = modelled(None, activity)
        energy, time = report.energy_dynamic.total, report.chip_time.total
        step = format_si((time.value or 0.0) / STEPS, "s")
        print(f"  modelled at {activity:4.0%} activity {format_si(energy.value, 'J')} in the neurocores, {step} a step")
    wall = load_target("loihi1").power["management_per_chip"].value or 0.0
    over = format_si(wall / SPOTTER_HZ, "J")
    print(f"  x86 cores, {format_si(wall, 'W')} over the measured time: {over} (no check: same paper)")
    print("  The measured steps wait for input and output, which the model does not have: chip time is a lower bound.")


if __name__ == "__main__":
    main()
