"""The texts that ``script`` fills in: the program, its configuration, and its README."""

PROGRAM = '''"""@TITLE@

    python run.py [INPUT.npz [RASTERS.npz]]

runs the network on INPUT.npz (by default the input.npz beside this file; for every input an array (samples, steps, *shape) of
0 and 1) with sPyNNaker 7.4, prints the spikes of every layer, and writes them to RASTERS.npz (of layers that do not spike,
their membranes). As spynnaker.cfg stands there is no machine: the network is placed and routed on a virtual board, and
nothing spikes. README.md says what a real one needs. A step is @MODEL_MS@ ms of the model and 1 ms here and on the machine:
that is the unit of all times; weights are in nA. Parameters that differ by neuron, and weights, are in network.npz.

Untested on a board.
"""

import configparser
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

here = Path(__file__).resolve().parent
given = [Path(name).resolve() for name in sys.argv[1:]]
os.chdir(here)  # sPyNNaker reads the spynnaker.cfg of the folder that it runs in
config = configparser.ConfigParser()
config.read("spynnaker.cfg")
VIRTUAL = config.getboolean("Machine", "virtual_board", fallback=False)
if not Path("~/.spynnaker.cfg").expanduser().exists():
    # It wants one in the home folder too, and ends where there is none.
    os.environ["HOME"] = tempfile.mkdtemp(prefix="spynnaker-")
    shutil.copy("spynnaker.cfg", Path("~/.spynnaker.cfg").expanduser())

import pyNN.spiNNaker as sim

p = dict(np.load("network.npz", allow_pickle=False))
TIME_SCALE = 1  # ms of the machine for each step: more where a core does not end its steps in time
IS_RESET = @RESET@  # every sample starts anew
SILENCE = @SILENCE@  # steps without input after each sample, where it does not
INPUTS = {  # name: shape
@INPUTS@
}
LAYERS = {  # name: what is recorded, shape
@LAYERS@
}


def join(source, target, key, delay):
    """Connect two populations by the weights of network.npz: those above zero excite, those below inhibit."""
    pre, post, weight = (p[f"{key}/{part}"] for part in ("pre", "post", "weight"))
    for receptor, chosen in (("excitatory", weight > 0), ("inhibitory", weight < 0)):
        if chosen.any():
            rows = np.column_stack([pre[chosen], post[chosen], weight[chosen], np.full(chosen.sum(), float(delay))])
            synapses = sim.FromListConnector(rows, column_names=["weight", "delay"])
            sim.Projection(source, target, synapses, sim.StaticSynapse(), receptor_type=receptor, label=key)


def build(times):
    """Return the populations of a new network, by name; *times* holds when each neuron of an input spikes, in ms."""
    n = {}
@BUILD@
    return n


def spike_times(x):
    """Return when each neuron of *x* (steps, neurons) spikes, in ms."""
    times = [np.flatnonzero(column).astype(float).tolist() for column in x.T]
    if not any(times):
        times[0] = [len(x) + 1000.0]  # sPyNNaker 7.4.1 takes no source without a spike; this one comes after the end
    return times


def run_once(inputs):
    """Run a new network on *inputs*, arrays (steps, *shape); return what each layer did, (steps, neurons)."""
    steps = len(next(iter(inputs.values())))
    sim.setup(timestep=1.0, time_scale_factor=TIME_SCALE)
    n = build({name: spike_times(x.reshape(steps, -1)) for name, x in inputs.items()})
    for name, (what, _) in LAYERS.items():
        n[name].record(what)
    sim.run(steps + 1)  # a step more: the membrane of a step is recorded at the start of the next
    heard = {}
    for name, (what, _) in LAYERS.items():
        heard[name] = np.zeros((steps, n[name].size), np.uint8 if what == "spikes" else np.float64)
        if VIRTUAL:
            continue
        (segment,) = n[name].get_data(what).segments
        if what == "spikes":
            for train in segment.spiketrains:
                at = np.rint(train.rescale("ms").magnitude).astype(int)
                heard[name][at[at < steps], train.annotations["source_index"]] = 1
        else:
            heard[name][:] = segment.filter(name="v")[0].magnitude[1 : steps + 1]
    sim.end()
    return heard


def entering(name, x):
    if x.shape[2:] != INPUTS[name]:
        sys.exit(f"input {name}: takes {INPUTS[name]} a step, and is given {x.shape[2:]}")
    if not np.isin(x, (0, 1)).all():
        sys.exit(f"input {name}: spikes are 0 or 1")
    return x


def main():
    arrays = dict(np.load(given[0] if given else "input.npz", allow_pickle=False))
    inputs = {name: entering(name, arrays[name]) for name in INPUTS}
    samples, steps = next(iter(inputs.values())).shape[:2]
    if IS_RESET:
        runs = [run_once({name: x[sample] for name, x in inputs.items()}) for sample in range(1 if VIRTUAL else samples)]
        heard = {name: np.stack([run[name] for run in runs]) for name in LAYERS}
    else:
        quiet = {name: np.pad(x, [(0, 0), (0, SILENCE), *[(0, 0)] * (x.ndim - 2)]) for name, x in inputs.items()}
        run = run_once({name: x.reshape(-1, *x.shape[2:]) for name, x in quiet.items()})
        heard = {name: x.reshape(samples, steps + SILENCE, -1)[:, :steps] for name, x in run.items()}
    if VIRTUAL:
        print("A virtual board: placed and routed, and nothing spiked. The reports are in the folder reports.")
        return
    for name, (what, _) in LAYERS.items():
        print(name, int(heard[name].sum()) if what == "spikes" else "does not spike")
    if len(given) > 1:
        np.savez(given[1], **{name: heard[name].reshape(samples, steps, *shape) for name, (_, shape) in LAYERS.items()})


if __name__ == "__main__":
    main()
'''

CONFIG = """# sPyNNaker adds this to the .spynnaker.cfg of your home folder. README.md says what a real board needs here.
[Machine]
virtual_board = True
version = 5

[Mapping]
router_table_compress_as_far_as_possible = True

[Reports]
write_network_graph = False
"""

README = """# @TITLE@

A PyNN program for SpiNNaker. `python run.py [INPUT.npz [RASTERS.npz]]` runs it with sPyNNaker 7.4.1
(`pip install 'sPyNNaker==1!7.4.1'`, Python 3.11 to 3.13). Nothing of spikeport is needed.

| layer | model | neurons | parameters |
|---|---|---|---|
@ROWS@

| connection | from | to | synapses | delay, steps |
|---|---|---|---|---|
@WIRES@

Inputs: @INPUTS@. Outputs of the model: @OUTPUTS@. A step is @MODEL_MS@ ms of the model and
takes the machine 1 ms: it runs @SLOWER@. The taus and delays of the program are in steps, as ms.

## What was written in place of what

@SUBSTITUTED@

## Without a board

As `spynnaker.cfg` stands, sPyNNaker makes a virtual SpiNNaker-5 board (48 chips), or as many as the network takes, places and
routes the network on it and ends. Nothing spikes there: what PACMAN made is in `reports/`. `[Mode] mode = Debug` in
`spynnaker.cfg` makes it write the machine, the placements and the routing tables as JSON.

## On a board: untested

Nothing of this was run on a board. What is known to be needed:

- In `spynnaker.cfg`: `virtual_board = False`, then `machine_name = ADDRESS` and `version = 3` (4 chips) or `5` (48 chips) for
  a board of your own, or `spalloc_server = ADDRESS` for a machine that is shared. On EBRAINS's machine the job's own
  configuration says it.
- The compiled models come with sPyNNaker; nothing has to be built.
- Inputs are SpikeSourceArrays: the spikes of a sample are loaded before it runs, and played from the board. A step in which
  more than some hundred neurons of one source spike makes a burst of packets, of which sPyNNaker warns ("Danger of
  SpikeSourceArray sending too many spikes"). For live input put a SpikeInjector in its place.
- Outputs are recorded in the memory of the chips and read after the run, by `get_data`. Record the outputs only where memory or
  reading time matters.
- @BOUNDARY@
- The provenance in the reports says whether ring buffers saturated, packets were lost, or a core did not end its step in
  time: then raise `TIME_SCALE` in run.py.
"""

BOUNDARY_RESET = (
    "Samples: run.py builds and loads the network anew for each, so that all state is as at the start "
    "(`SpikeSourceArray.set(spike_times=...)` by neuron fails in 7.4.1). Many samples are quicker one after the other in one "
    "run, with enough silent steps between."
)
BOUNDARY_CARRY = "Samples: they follow each other in one run, and the state is carried from one to the next."

__all__ = ["BOUNDARY_CARRY", "BOUNDARY_RESET", "CONFIG", "PROGRAM", "README"]
