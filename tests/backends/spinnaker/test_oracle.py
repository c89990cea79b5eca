"""The oracle: the emitted program mapped by the real PACMAN, and what becomes of a worker that fails."""

import json
import os
import subprocess
import time

import numpy as np
import pytest
from spinnaker_nets import NETS, PROFILE, chain, compiled, lif, spikes

import spikeport
from spikeport.backends.environments import Kit
from spikeport.backends.mapping_check import MappingCheck, Pair
from spikeport.backends.processes import living
from spikeport.backends.spinnaker import board, oracle
from spikeport.backends.spinnaker.backend import BACKEND
from spikeport.backends.spinnaker.environment import KIT
from spikeport.backends.spinnaker.machine import options_of
from spikeport.compiler.mapping.machine import machine_for
from spikeport.hw_profiles.records import Dead
from spikeport.hw_profiles.target import load_target
from spikeport.ir.diagnostics import BackendUnavailable, RunError, UsageError
from spikeport.ir.ops import Input, Linear, Output
from spikeport.runtime.artifact import save_artifact
from spikeport.runtime.cli.main import run_command
from spikeport.runtime.oracle import ask_oracle

SETUP = "import pyNN.spiNNaker as sim\nsim.setup(timestep=1.0)\n"


@pytest.fixture(scope="module")
def asked(environment):
    """What the oracle says of each network, found out once."""
    known = {}

    def ask(name):
        if name not in known:
            program, inputs = compiled(name)
            known[name] = program, ask_oracle(program, BACKEND, inputs)
        return known[name]

    return ask


@pytest.mark.parametrize("name", NETS)
def test_pacman_joins_the_same_layers_and_our_tables_are_no_larger(name, asked):
    program, found = asked(name)
    assert found.ok
    assert found.connections == len({(p.source, p.target) for p in program.projections})
    for figure in ("compressed", "largest"):
        assert found.figure(figure).ours <= found.figure(figure).theirs, figure
    assert found.figure("chips").ours == found.figure("chips").theirs == 1
    assert found.figure("packets").ours > 0
    assert {"Application Placer", "Application Router", "Pair compressor"} <= set(found.seconds)


def test_on_a_chip_packets_visit_one_router_and_are_counted_alike(asked):
    _, found = asked("dense")
    assert found.figure("packets").ours == found.figure("packets").theirs
    assert found.figure("packet_hops").ours == found.figure("packet_hops").theirs == found.figure("packets").ours


def test_delays_beyond_the_ring_buffer_take_cores_on_both_sides(asked):
    program, found = asked("delayed")
    assert any(s.delay_blocks for s in program.routing.senders)
    plain = len(program.cores) + sum(s.slice < 0 for s in program.routing.senders if not s.delay_blocks)
    assert found.figure("cores").ours > plain
    assert found.figure("cores").theirs > plain
    assert found.figure("packets").ours == found.figure("packets").theirs


def test_the_command_prints_a_table_and_writes_json(environment, tmp_path, capsys):
    program, _ = compiled("recurrent")
    save_artifact(program, tmp_path / "net.spk")
    arguments = ["check", str(tmp_path / "net.spk"), "-b", "spinnaker", "--oracle", "--steps", "20"]
    assert run_command([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["oracle"]
    assert told["ok"]
    assert told["figures"]["cores"]["theirs"] >= 3
    shown = MappingCheck(
        told["tool"], tuple(Pair(n, f["ours"], f["theirs"], f["text"]) for n, f in told["figures"].items()), told["connections"]
    )
    lines = shown.lines()
    assert lines[0].split() == ["ours", "sPyNNaker", "7.4.1"]
    assert lines[-1] == "both connect the same 3 pairs of layers"


def test_packets_follow_tables_in_order_and_go_straight_on_without_an_entry():
    links = {"0,0": {"links": {0: [1, 0]}}, "1,0": {"links": {0: [2, 0], 3: [0, 0]}}, "2,0": {"links": {3: [1, 0]}}}
    tables = {
        (0, 0): [(0x10, 0xF0, (0,), (4,)), (0x00, 0x00, (), (9,))],
        (2, 0): [(0x10, 0xF0, (), (1, 2))],
    }  # fmt: skip
    walker = oracle._Board({"chips": links}, tables)
    assert walker.walk((0, 0), 0x13) == (3, [(0, 0, 4), (2, 0, 1), (2, 0, 2)])
    assert walker.walk((0, 0), 0x23) == (1, [(0, 0, 9)])
    assert walker.walk((1, 0), 0x13) == (1, [])  # the chip's own packet, and no entry: dropped
    round_about = oracle._Board({"chips": links}, {(0, 0): [(0, 0, (0,), ())], (1, 0): [(0, 0, (3,), ())]})
    with pytest.raises(RuntimeError, match="circles"):
        round_about.walk((0, 0), 1)


def test_layers_that_are_joined_otherwise_are_named():
    found = MappingCheck("PACMAN", (Pair("cores", 12345, 2, "cores"),), 3, (("a", "b"),), (("c", "d"),))
    assert not found.ok
    assert found.lines()[1] == "cores  12 345       2"
    assert found.lines()[-1] == "PACMAN does not connect a -> b; connects without being asked to c -> d"


def leftovers(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith("spikeport-spynnaker-")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Temporary files of the worker go here."""
    monkeypatch.setattr(board.tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SETUP + "raise ValueError('no such thing')\n", r"E551 at --oracle: sPyNNaker failed: ValueError: no such thing"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", r"E551 at --oracle: sPyNNaker was killed by signal 9"),
        ("pass\n", r"E551 at --oracle: .*ended without a run of the network"),
    ],
)
def test_a_program_that_fails_is_told_and_leaves_nothing(text, words, environment, folder):
    with pytest.raises(RunError, match=words):
        board.map_on_board({"run.py": text}, environment)
    assert not leftovers(folder)


def test_what_takes_too_long_is_ended_with_all_that_it_started(environment, folder, monkeypatch):
    monkeypatch.setenv("SPIKEPORT_SPYNNAKER_DEADLINE", "3")
    at = folder / "group"

    class Patient(subprocess.Popen):
        """Whose deadline begins when the program runs: a busy machine is no failure."""

        def wait(self, timeout=None):
            while timeout == 3 and not (at.exists() and at.read_text()):
                time.sleep(0.05)
            return super().wait(timeout)

    monkeypatch.setattr(board.subprocess, "Popen", Patient)
    text = (
        "import os, subprocess, time\nsubprocess.Popen(['sleep', '600'])\n"
        "open(%r, 'w').write(str(os.getpgid(0)))\ntime.sleep(600)\n"
    )
    with pytest.raises(RunError, match=r"E552 at --oracle: sPyNNaker took more than 3 s; it was ended"):
        board.map_on_board({"run.py": text % str(at)}, environment)
    assert not living(int(at.read_text()))
    assert not leftovers(folder)


def test_without_the_environment_the_command_that_mends_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Kit, "find", lambda self: (None, "sPyNNaker's environment is not there"))
    program, inputs = compiled("recurrent")
    with pytest.raises(BackendUnavailable) as caught:
        BACKEND.check_mapping(program, inputs, {})
    assert str(caught.value).splitlines() == [
        "E553 at --oracle: sPyNNaker's environment is not there", "    -> spikeport backends setup spinnaker",
    ]  # fmt: skip
    save_artifact(program, tmp_path / "net.spk")
    assert run_command(["check", str(tmp_path / "net.spk"), "-b", "spinnaker", "--oracle"]) == BackendUnavailable.exit_code
    assert KIT.remedy in capsys.readouterr().err


def test_questions_that_make_no_sense(tmp_path, monkeypatch, capsys):
    from spikeport.backends.registry import get_backend

    program, inputs = compiled("recurrent")
    with pytest.raises(UsageError, match="E554 at --oracle: backend engine has no oracle of the mapping"):
        ask_oracle(program, get_backend("engine"), inputs)
    save_artifact(program, tmp_path / "net.spk")
    assert run_command(["check", str(tmp_path / "net.spk"), "--oracle"]) == UsageError.exit_code
    assert "E554" in capsys.readouterr().err
    monkeypatch.setenv("SPIKEPORT_SPYNNAKER_DEADLINE", "soon")
    with pytest.raises(UsageError, match="E549 at SPIKEPORT_SPYNNAKER_DEADLINE: 'soon' is no number of seconds"):
        board.map_on_board({}, None)


def test_nothing_of_the_user_s_home_is_read_or_written(environment, folder, monkeypatch):
    home = folder / "home"
    home.mkdir()
    (home / ".spynnaker.cfg").write_text("[Machine]\nspalloc_server = nowhere.invalid\n")
    monkeypatch.setenv("HOME", str(home))
    program, inputs = compiled("conv")
    found = board.map_on_board(dict(BACKEND.script(program, inputs, "a net")), environment)
    assert len(found["machine"]["chips"]) == 48
    assert os.listdir(home) == [".spynnaker.cfg"]


def deep(width=700, layers=5):
    rng = np.random.default_rng(3)
    parts, before = [("in", Input((64,)))], 64
    for index in range(layers):
        weight = (rng.random((width, before)) < 0.05) * rng.normal(0.3, 0.4, (width, before))
        parts += [(f"w{index}", Linear(weight)), (f"h{index}", lif((width,)))]
        before = width
    return chain(*parts, ("out", Output((width,))))


def test_on_a_board_with_dead_parts_pacman_gets_the_same_board(environment):
    dead = Dead(((1, 1),), tuple((0, 0, p) for p in range(1, 11)), ((0, 0, 0),))
    target = load_target("spinnaker1").without(dead)
    program = spikeport.compile(deep(), target, profile=PROFILE, arith="spinnaker1")
    options = options_of(program.routing.machine)
    cores = ":".join(f"0,0,{p}" for p in range(1, 11))
    assert options == ("Machine.down_chips=1,1", f"Machine.down_cores={cores}", "Machine.down_links=0,0,0")
    found = ask_oracle(program, BACKEND, spikes(program.graph, 10))
    assert found.ok
    assert found.figure("chips").ours >= 2
    assert found.figure("cores").ours == found.figure("cores").theirs
    for figure in ("chips", "compressed", "largest"):
        assert found.figure(figure).ours <= found.figure(figure).theirs, figure


def test_machines_in_spynnaker_s_words():
    target = load_target("spinnaker1")
    assert options_of(machine_for(target, 48)) == ()
    assert options_of(machine_for(target, 4)) == ("Machine.version=3",)
    small = machine_for(target.without(Dead(links=((0, 0, 0),))), 4)
    assert options_of(small) == ("Machine.version=3", "Machine.down_links=0,0,0")
    with pytest.raises(UsageError, match="E554 at --oracle: parts of a machine of 3 boards are dead"):
        options_of(machine_for(target.without(Dead(chips=((9, 9),))), 144))
    with pytest.raises(UsageError, match="E554 at --oracle: chip 0,0 is dead"):
        options_of(machine_for(target.without(Dead(chips=((0, 0),))), 48))
