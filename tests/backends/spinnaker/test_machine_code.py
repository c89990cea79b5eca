"""Our step against sPyNNaker's own machine code: the ARM code of its released binary, run by an emulator of the processor.

Needs sPyNNaker's environment (``spikeport backends setup spinnaker``), whose package holds the binaries, and the emulator
unicorn, which the extra ``test`` has. Nothing of theirs is kept here: addresses, and what lies where, were read off the
binary of sPyNNaker 7.4.1, of which a digest makes sure.
"""

import hashlib
import struct

import numpy as np
import pytest
import unicorn
from unicorn import arm_const as arm

from spikeport.ir.dynamics import State
from spikeport.ir.spinnaker import FULL, MOST, ONE, Core

#: SHA-256 of the binaries of spynnaker 1!7.4.1; where they take up ring buffers, where they step, and where that ends.
BINARIES = {
    "exp": ("f46d2c00996b5a79be546502b83b1c185683d26f46be76f0945e1a41ae714c43", 0x2510, 0x1EEC, 0x1F18),
    "delta": ("e70bf6530d450f3a6c6547cb64980f67ba486cd1277c22be395b8b7d198e0486", 0x2428, 0x1E28, 0x1E50),
}
HEADER = 0x40
#: Globals, and scratch in the data memory.
GLOBALS, HEAP, STACK, STOP = 0x400120, 0x401000, 0x40F000, 0x7FF0


class Machine:
    """A core's memories and registers with sPyNNaker's neuron code in them."""

    def __init__(self, code, neurons):
        self.n = neurons
        self.cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM)
        self.cpu.mem_map(0, 0x8000)
        self.cpu.mem_map(0x400000, 0x10000)
        self.cpu.mem_write(0, code[HEADER : HEADER + 0x7F00])
        self.top = HEAP

    def put(self, values):
        """Store words, return where."""
        at, data = self.top, np.asarray(values, np.int64).astype(np.uint32).tobytes()
        self.cpu.mem_write(at, data)
        self.top += len(data) + 8
        return at

    def set(self, offset, value):
        self.cpu.mem_write(GLOBALS + offset, struct.pack("<I", value))

    def words(self, at, count):
        return np.frombuffer(bytes(self.cpu.mem_read(at, 4 * count)), np.int32).astype(np.int64)

    def call(self, address, stop, **registers):
        for name, value in {"SP": STACK, "SL": GLOBALS, "LR": STOP, "SB": 0, **registers}.items():
            self.cpu.reg_write(getattr(arm, f"UC_ARM_REG_{name}"), value)
        self.cpu.emu_start(address, stop)


def prepared(code, core, state):
    """Return the machine with the registers of *core*, and where neurons, synapses, spikes and ring buffers lie."""
    n = core.exp_tc.size
    m = Machine(code, n)
    bits = lambda values: np.rint(values[0] * ONE).astype(np.int64)  # noqa: E731
    neurons = np.stack([
        bits(state.v), core.v_rest, core.resistance, core.exp_tc, core.i_offset, state.held[0], core.v_reset, core.refractory,
    ], axis=1)  # fmt: skip
    zero = np.zeros(n, np.int64)
    at = {"neurons": m.put(neurons.reshape(-1)), "bits": m.put(zero)}
    words = [m.put(zero) for _ in range(3)]
    indices = [m.put(zero) for _ in range(3)]
    order = m.put(np.array([2 * i | (2 * i + 1) << 16 for i in range(n)]))
    for offset, value in {0x04: m.put(words), 0x08: m.put(indices), 0x10: m.put([at["bits"]]), 0x14: m.put([order])}.items():
        m.set(offset, value)
    threshold, shifts = m.put(core.threshold), m.put(core.shifts)
    if core.decay is None:
        # A factor of 1 for the inputs, which is that of a step of 1 ms, and two values a neuron.
        at["synapses"] = m.put(np.zeros(2 * n))
        places = {
            0x4C: 1, 0x50: at["neurons"], 0x54: m.put(np.full(n, ONE)), 0x58: at["synapses"], 0x5C: threshold, 0x60: n, 0x68: 0,
            0x74: 0, 0x78: n, 0x7C: 2, 0x84: shifts,
        }  # fmt: skip
    else:
        # An inhibitory synapse like the excitatory one. The code decays at the end of a step: here it is due already.
        values = [(bits(part) * core.decay) >> 32 for part in (state.i.real, state.i.imag)]
        synapses = np.stack([core.decay, core.init, values[0], core.decay, core.init, values[1]], axis=1)
        at["synapses"] = m.put(synapses.reshape(-1))
        places = {
            0x4C: 1, 0x50: at["neurons"], 0x54: at["synapses"], 0x58: threshold, 0x5C: n, 0x64: 0, 0x70: 0, 0x74: n, 0x78: 2,
            0x80: shifts,
        }  # fmt: skip
    for offset, value in places.items():
        m.set(offset, value)
    at["rings"] = m.put(np.zeros(2 * n))
    return m, at


def binary(environment, kind):
    """Return the code of IF_curr_*kind*."""
    name = f"IF_curr_{kind}_neuron.aplx"
    (found,) = environment.glob(f"lib/python*/site-packages/spynnaker/pyNN/model_binaries/{name}")
    data = found.read_bytes()
    assert hashlib.sha256(data).hexdigest() == BINARIES[kind][0], "another release: look for addresses anew"
    return data


@pytest.mark.parametrize("kind", ["exp", "delta"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_every_word_is_that_of_the_machine_code(environment, seed, wide, kind):
    code = binary(environment, kind)
    _, transfer, start, stop = BINARIES[kind]
    rng = np.random.default_rng(seed)
    n, steps, reach = 12, 40, 1 << (31 if wide else 24)
    core = Core(
        (n,), rng.integers(0, ONE, n), rng.integers(1, 3 * ONE, n) if wide else np.full(n, ONE),
        rng.integers(-reach // 8, reach // 8, n), rng.integers(-reach // 64, reach // 64, n), rng.integers(-reach // 8, 1, n),
        rng.integers(1, reach // 64, n), rng.integers(0, 4, n), rng.integers(0, FULL, n) if kind == "exp" else None,
        rng.integers(1, FULL, n) if kind == "exp" else None,
        (int(rng.integers(6, 16 if wide else 10)), int(rng.integers(0, 16 if wide else 6))),
    )  # fmt: skip
    state = State(rng.integers(-reach // 8, 1, (1, n)) / ONE, np.zeros((1, n), complex), rng.integers(0, 3, (1, n)))
    machine, at = prepared(code, core, state)
    fired = 0
    for _ in range(steps):
        slots = np.where(rng.random((2, n)) < 0.5, rng.integers(0, MOST + 1, (2, n)), 0)
        x = slots[0] * 2.0 ** (core.shifts[0] - 15) + 1j * slots[1] * 2.0 ** (core.shifts[1] - 15)
        wanted = core.step(state, x[None])
        machine.cpu.mem_write(at["rings"], slots.astype(np.uint16).tobytes())
        machine.cpu.mem_write(at["bits"], bytes(4 * n))
        machine.call(transfer, STOP, R0=at["rings"])
        machine.call(start, stop)
        neurons = machine.words(at["neurons"], 8 * n).reshape(n, 8)
        assert np.array_equal(neurons[:, 0], np.rint(state.v[0] * ONE))
        assert np.array_equal(neurons[:, 5], state.held[0])
        if kind == "exp":
            synapses = machine.words(at["synapses"], 6 * n).reshape(n, 6)
            for column, part in ((2, state.i.real), (5, state.i.imag)):
                decayed = (np.rint(part[0] * ONE).astype(np.int64) * core.decay) >> 32
                assert np.array_equal(synapses[:, column], decayed)
        spikes = np.unpackbits(np.frombuffer(bytes(machine.cpu.mem_read(at["bits"], 4 * n)), np.uint8), bitorder="little")
        assert spikes[:n].tolist() == wanted[0].tolist()
        fired += int(wanted.sum())
    assert fired > 0
