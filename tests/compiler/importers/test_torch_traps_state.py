"""What a forward keeps between calls, and what it does to neurons and weights: refused, or imported with its own spikes."""

from collections import deque
from types import SimpleNamespace

import pytest
import torch
from spikingjelly.activation_based import functional
from torch import nn
from torch_traps import Trap, assert_refused_or_exact, assert_same_outputs, binary_input, enter, left_as_it_was, linear

from spikeport.compiler.importers.torch_module import import_module

TRAPS = {}

# What a call leaves behind, so that the next one does something else.


@enter(TRAPS, "step", "in each call")
def a_counter_of_calls(self, x):
    self.calls += 1
    return self.lif(self.fc(x) * (2.0 if self.calls % 2 else 0.5))


@enter(TRAPS, "step", "in each call")
def a_flag_of_the_first_call(self, x):
    current = self.fc(x)
    if self.last is None:
        current, self.last = current * 3, True
    return self.lif(current)


@enter(TRAPS, "step", "in each call", lambda net: net.register_buffer("seen", torch.zeros(())))
def a_buffer_that_counts(self, x):
    self.seen += 1
    return self.lif(self.fc(x) * (self.seen / 10))


@enter(TRAPS, "step", "earlier call left|first one left")
def spikes_kept_for_two_steps(self, x):
    current = self.fc(x)
    if self.older is not None:
        current = current + self.back(self.older)
    spk = self.lif(current)
    self.older, self.last = self.last, spk
    return spk


@enter(TRAPS, "step", "earlier call left|first one left", lambda net: setattr(net, "line", deque(maxlen=1)))
def spikes_kept_in_a_deque(self, x):
    current = self.fc(x)
    if self.line:
        current = current + self.back(self.line[-1])
    spk = self.lif(current)
    self.line.append(spk)
    return spk


@enter(TRAPS, "step", "earlier call left|first one left", lambda net: setattr(net, "space", SimpleNamespace(last=None)))
def spikes_kept_in_a_namespace(self, x):
    current = self.fc(x)
    if self.space.last is not None:
        current = current + self.back(self.space.last)
    self.space.last = self.lif(current)
    return self.space.last


@enter(TRAPS, "step", "earlier call left|first one left")
def an_input_kept_for_the_next_step(self, x):
    before = torch.zeros_like(x) if self.last is None else self.last
    self.last = x
    return self.lif(self.fc(before))


@enter(TRAPS, "step", "earlier call left|first one left")
def a_current_kept_for_the_next_step(self, x):
    before, self.last = self.last, self.fc(x)
    return self.lif(self.last if before is None else before)


@enter(TRAPS, "step", "earlier call left|first one left|in each call")
def the_current_of_the_first_step_kept(self, x):
    if self.last is None:
        self.last = self.fc(x)
    return self.lif(self.last)


@enter(TRAPS, "step", "state|mem")
def a_membrane_kept_and_halved(self, x):
    spk, mem = self.leaky(self.fc(x), torch.zeros(2, 6) if self.last is None else self.last)
    self.last = mem * 0.5
    return spk


@enter(TRAPS, "step", "state|mem", lambda net: setattr(net, "last", torch.zeros(2, 6)))
def a_membrane_kept_and_detached(self, x):
    spk, mem = self.leaky(self.fc(x), self.last)
    self.last = mem.detach()
    return spk


# States of neurons that the forward writes or resets.


def _loop(between, neuron="lif"):
    """Return a loop over all steps that calls *between* (self, t) before each."""

    def forward(self, x):
        self.lif.reset_mem()
        functional.reset_net(self)
        spikes = []
        for t in range(x.shape[0]):
            between(self, t)
            spikes.append(getattr(self, neuron)(self.fc(x[t])))
        return torch.stack(spikes)

    return forward


def _halve_membrane(self, t):
    self.lif.mem = self.lif.mem * 0.5


def _halve_voltage(self, t):
    if t > 0:
        self.jelly.v = self.jelly.v * 0.5


def _reset_every_10(self, t):
    if t % 10 == 9:
        functional.reset_net(self)


TRAPS |= {
    "the membrane of a Leaky halved": Trap(_loop(_halve_membrane), "time", "state"),
    "the membrane of a Leaky reset in each step": Trap(_loop(lambda self, t: self.lif.reset_mem()), "time", "state"),
    "the voltage of a LIFNode halved": Trap(_loop(_halve_voltage, "jelly"), "time", "state"),
    "a LIFNode reset every 10 steps": Trap(_loop(_reset_every_10, "jelly"), "time", "state"),
}


@enter(TRAPS, "time", "state")
def the_membrane_of_a_leaky_halved_after_each_step(self, x):
    self.lif.reset_mem()
    spikes = []
    for t in range(x.shape[0]):
        spikes.append(self.lif(self.fc(x[t])))
        self.lif.mem = self.lif.mem * 0.5
    return torch.stack(spikes)


@enter(TRAPS, "time", "state")
def the_voltage_of_a_lif_node_halved_after_each_step(self, x):
    functional.reset_net(self)
    spikes = []
    for t in range(x.shape[0]):
        spikes.append(self.jelly(self.fc(x[t])))
        self.jelly.v = self.jelly.v * 0.5
    return torch.stack(spikes)


@enter(TRAPS, "step", "state")
def a_lif_node_reset_in_a_forward_of_one_step(self, x):
    functional.reset_net(self)
    return self.jelly(self.fc(x))


@enter(TRAPS, "time", "state")
def the_state_of_a_lif_cell_halved_in_place(self, x):
    state, spikes = None, []
    for t in range(x.shape[0]):
        spk, state = self.cell(self.strong(x[t]), state)
        state.v.mul_(0.5)
        spikes.append(spk)
    return torch.stack(spikes)


@enter(TRAPS, "time", "state")
def a_lif_cell_that_starts_anew_every_20_steps(self, x):
    state, spikes = None, []
    for t in range(x.shape[0]):
        if t % 20 == 0:
            state = None
        spk, state = self.cell(self.strong(x[t]), state)
        spikes.append(spk)
    return torch.stack(spikes)


@enter(TRAPS, "step", "state")
def a_lif_cell_whose_state_is_not_returned(self, x, state=None):
    spk, state = self.cell(self.strong(x), state)
    return spk


# Thresholds and weights that the forward sets.


@enter(TRAPS, "time", "threshold")
def the_threshold_of_a_lif_node_set(self, x):
    self.jelly.v_threshold = 0.3
    functional.reset_net(self)
    return torch.stack([self.jelly(self.fc(step)) for step in x])


@enter(TRAPS, "time", "threshold")
def the_threshold_of_a_leaky_set(self, x):
    self.lif.threshold = torch.tensor(0.4)
    self.lif.reset_mem()
    return torch.stack([self.lif(self.fc(step)) for step in x])


@enter(TRAPS, "step", "threshold")
def the_threshold_of_a_leaky_filled(self, x):
    self.lif.threshold.fill_(0.4)
    return self.lif(self.fc(x))


@enter(TRAPS, "step", "weight")
def weights_clamped(self, x):
    self.fc.weight.data.clamp_(min=0)
    return self.lif(self.fc(x))


@enter(TRAPS, "step", "weight", lambda net: setattr(net, "wide", linear(8, 9000)))
def many_weights_clamped(self, x):
    self.wide.weight.data.clamp_(min=0)
    return self.lif(self.wide(x))


@enter(TRAPS, "step", "")
def a_weight_replaced(self, x):
    self.fc.weight = nn.Parameter(self.fc.weight.abs())
    return self.lif(self.fc(x))


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_refused_or_exact(name):
    assert_refused_or_exact(TRAPS[name], binary_input(8))


# Outputs.


def _copies(self, x):
    spk = self.lif(self.fc(x))
    return spk, spk


def test_one_result_returned_twice_is_two_outputs():
    trap = Trap(_copies, "step")
    graph, found = import_module(trap.build())
    assert len(graph.outputs) == 2
    assert not found
    assert_same_outputs(graph, trap.build(), binary_input(8), "step")


def _last(self, x):
    mem = self.leaky.init_leaky()
    for t in range(x.shape[0]):
        spk, mem = self.leaky(self.fc(x[t]), mem)
    return spk


def _last_of_list(self, x):
    self.lif.reset_mem()
    return [self.lif(self.fc(step)) for step in x][-1]


def _all(self, x):
    self.lif.reset_mem()
    return torch.stack([self.lif(self.fc(step)) for step in x])


@pytest.mark.parametrize("forward", [_last, _last_of_list])
def test_the_last_steps_spikes_alone_get_a_note(forward):
    graph, found = import_module(Trap(forward, "time").build())
    assert [(d.code, d.severity) for d in found] == [("E036", "note")]
    assert "step" in found[0].message
    assert found[0].hint
    assert_same_outputs(graph, Trap(_all, "time").build(), binary_input(8), "time")


def _held(self, x):
    return self.lif(self.fc(x)) + self.lif(self.fc(x))


def test_a_neuron_called_twice_is_two_steps_of_a_held_input_and_the_note_says_so():
    trap = Trap(_held, "step")
    graph, found = import_module(trap.build())
    assert [d.code for d in found] == ["E036"]
    assert "sum over all steps" in found[0].message
    assert [e.source for e in graph.into("output")] == ["lif"]


def _membrane_beside(self, x, mem=None):
    spk, mem = self.leaky(self.fc(x), mem)
    return spk, mem


def _hidden_membrane_beside(self, x):
    return self.lif(self.fc(x)), self.lif.mem


def _last_membrane_beside(self, x):
    mem, spikes = self.leaky.init_leaky(), []
    for t in range(x.shape[0]):
        spk, mem = self.leaky(self.fc(x[t]), mem)
        spikes.append(spk)
    return torch.stack(spikes), mem


def _cells_state_beside(self, x, state=None):
    spk, state = self.cell(self.strong(x), state)
    return spk, state


def _last_state_beside(self, x):
    state, spikes = None, []
    for t in range(x.shape[0]):
        spk, state = self.cell(self.strong(x[t]), state)
        spikes.append(spk)
    return torch.stack(spikes), state


def _sequences_state_beside(self, x):
    return self.norse(self.strong(x))


def _voltage_beside(self, x):
    return self.jelly(self.fc(x)), self.jelly.v


STATES = (_membrane_beside, _hidden_membrane_beside, _last_membrane_beside, _cells_state_beside, _last_state_beside,
          _sequences_state_beside, _voltage_beside)  # fmt: skip


@pytest.mark.parametrize("forward", STATES)
def test_states_beside_spikes_are_no_outputs(forward):
    module = Trap(forward, "").build()
    with left_as_it_was(module):
        graph, found = import_module(module)
    assert graph.outputs == ("output",)
    assert all((d.code, d.severity) == ("E037", "note") for d in found)
