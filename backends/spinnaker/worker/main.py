"""The worker: a process of its own that runs an emitted program on sPyNNaker's virtual board, and writes what PACMAN made.

    python -I main.py FOLDER ANSWER.json [SECTION.OPTION=VALUE ...]

FOLDER holds ``run.py`` with its arrays, and is written into: it becomes the home of the run, so that no configuration of the
user's is read or made. The program is ended when its routing tables are compressed; what comes after (data for the cores)
takes long and changes no table. With ``--check`` in place of the arguments it maps a small network of its own.

ANSWER.json: ``machine`` (chips with their cores and links), ``placements`` (vertices with population, slice and keys),
``tables`` and ``compressed`` (entries of each chip: key, mask, links, processors, whether the default route would do),
``seconds`` of the algorithms.

It never outlives whoever started it. This file runs in the worker's own interpreter; it needs sPyNNaker 7.4 and nothing of
spikeport.
"""

import configparser
import contextlib
import ctypes
import json
import os
import runpy
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

PR_SET_PDEATHSIG = 1
#: What the oracle asks for: a virtual board, all of its cores for the program (sPyNNaker else keeps one of each chip for its
#: monitors), tables as small as PACMAN makes them, and no reports beyond the needed.
OPTIONS = {
    "Machine": {"virtual_board": "True", "version": "5", "enable_advanced_monitor_support": "False"},
    "Mode": {"mode": "Production"},
    "Mapping": {"router_table_compress_as_far_as_possible": "True", "validate_json": "False"},
    "Reports": {"write_network_graph": "False"},
}
#: The algorithms that map, as sPyNNaker calls them.
ALGORITHMS = (
    "Splitter partitioner", "Application Placer", "Application Router", "Global allocate", "Zoned routing info allocator",
    "Basic routing table generator", "Merged routing table generator", "Ranged Compressor", "Pair compressor",
    "Pair unordered compressor", "Ordered covering compressor",
)  # fmt: skip

SMALL = """
import pyNN.spiNNaker as sim

sim.setup(timestep=1.0)
source = sim.Population(4, sim.SpikeSourceArray(spike_times=[[1.0]] * 4))
layers = [source, sim.Population(4, sim.IF_curr_exp()), sim.Population(4, sim.IF_curr_exp())]
for before, after in zip(layers, layers[1:]):
    sim.Projection(before, after, sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0, delay=1.0))
sim.run(10)
"""


class Enough(BaseException):
    """Raised when the tables are there; sPyNNaker takes it for no error of its own."""


def configure(folder, more):
    """Write the two files that sPyNNaker reads its configuration from."""
    config = configparser.ConfigParser()
    config.read_dict(OPTIONS)
    for text in more:
        name, _, value = text.partition("=")
        section, _, option = name.partition(".")
        if not config.has_section(section):
            config.add_section(section)
        config.set(section, option, value)
    for name in ("spynnaker.cfg", ".spynnaker.cfg"):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            config.write(file)


def map_program(folder, more):
    """Run FOLDER/run.py until its tables are compressed; return what PACMAN made."""
    # The XDG folders: matplotlib writes there, and sPyNNaker looks for a second configuration.
    os.environ |= {"HOME": folder, "XDG_CACHE_HOME": f"{folder}/cache", "XDG_CONFIG_HOME": f"{folder}/config"}
    os.chdir(folder)
    configure(folder, more)
    from spinn_front_end_common.interface.abstract_spinnaker_base import AbstractSpinnakerBase
    from spinn_front_end_common.interface.provenance import FecTimer

    seconds, starts, caught = {}, [], []
    enter, leave, compress = FecTimer.__enter__, FecTimer.__exit__, AbstractSpinnakerBase._do_early_compression

    def timed_enter(self):
        starts.append(time.perf_counter())
        return enter(self)

    def timed_leave(self, *what):
        name = self._algorithm
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - starts.pop()
        return leave(self, *what)

    def last(self, name):
        caught.append(compress(self, name))
        raise Enough

    FecTimer.__enter__, FecTimer.__exit__ = timed_enter, timed_leave
    AbstractSpinnakerBase._do_early_compression = last
    sys.argv = ["run.py"]
    with contextlib.suppress(Enough):
        runpy.run_path(os.path.join(folder, "run.py"), run_name="__main__")
    if not caught:
        raise RuntimeError("run.py ended without a run of the network")
    return describe(caught[0], {name: seconds[name] for name in ALGORITHMS if name in seconds})


def describe(compressed, seconds):
    """Return the machine, the placements and the tables as plain data."""
    from spynnaker.pyNN.data import SpynnakerDataView as View

    return {
        "machine": machine(View.get_machine()),
        "placements": [placement(p, View.get_routing_infos()) for p in View.iterate_placemements() if p.vertex.app_vertex],
        "tables": tables(View.get_uncompressed()),
        "compressed": tables(compressed),
        "seconds": seconds,
    }


def machine(found):
    """Return the chips that there are, their cores and their links."""
    chips = {}
    for chip in found.chips:
        links = {link.source_link_id: [link.destination_x, link.destination_y] for link in chip.router.links}
        chips[f"{chip.x},{chip.y}"] = {"cores": list(chip.placable_processors_ids), "links": links}
    return {"width": found.width, "height": found.height, "chips": chips}


def placement(place, infos):
    """Return where a vertex lies, what it holds and the keys that it sends; a delay extension has its source's name."""
    vertex = place.vertex
    part = vertex.vertex_slice
    keys = [infos.get_info_from(vertex, name) for name in infos.get_partitions_from(vertex)]
    found = {
        "x": place.x, "y": place.y, "processor": place.p, "population": vertex.app_vertex.label, "first": part.lo_atom,
        "neurons": part.n_atoms, "keys": [[k.key, k.mask] for k in keys],
    }  # fmt: skip
    if type(vertex).__name__ == "DelayExtensionMachineVertex":
        source = vertex.app_vertex
        found |= {"population": source.source_vertex.label, "delays": True, "steps": source.delay_per_stage}
    return found


def tables(found):
    """Return the entries of every chip's table, in order of precedence."""
    return {
        f"{table.x},{table.y}": [
            [e.key, e.mask, sorted(e.link_ids), sorted(e.processor_ids), bool(e.defaultable)]
            for e in table.multicast_routing_entries
        ]
        for table in found.routing_tables
    }


def check():
    """Map a small network; return a line about it."""
    import numpy

    with tempfile.TemporaryDirectory(prefix="spikeport-spynnaker-") as folder:
        Path(folder, "run.py").write_text(SMALL, "utf-8")
        found = map_program(folder, ())
        os.chdir("/")
    places = found["placements"]
    return {"python": sys.version.split()[0], "numpy": numpy.__version__, "cores": len(places),
            "chips": len({(p["x"], p["y"]) for p in places})}  # fmt: skip


def main():
    """Do what the command line asks for; see above."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if sys.argv[1:] == ["--check"]:
        print(json.dumps(check()), flush=True)
        os._exit(0)
    folder, answer, *more = sys.argv[1:]
    try:
        found = map_program(os.path.abspath(folder), more)
    except BaseException as error:
        traceback.print_exc()
        found = {"failed": f"{type(error).__name__}: {error}"}
    Path(f"{answer}.part").write_text(json.dumps(found), "utf-8")
    os.replace(f"{answer}.part", answer)
    sys.stderr.flush()
    os._exit(0)  # sPyNNaker's own handlers would go on with a run that was ended


if __name__ == "__main__":
    main()
