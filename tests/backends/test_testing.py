"""The conformance kit: the reference passes it, and a backend that is wrong in one place does not."""

import dataclasses
import json
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from spikeport.backends.base import Availability, Backend, Executable
from spikeport.backends.reference import BACKEND
from spikeport.backends.testing import (
    CONTRACT,
    TOLERANCES,
    Result,
    cases,
    check_case,
    check_contract,
    format_results,
    run_kit,
)
from spikeport.backends.testing.check import reference_trace
from spikeport.ir import PROFILES, Recording
from spikeport.ir.diagnostics import Diagnostic, RunError
from spikeport.ir.network import build_network
from spikeport.ir.ops import OPS

BY_NAME = {case.name: case for case in cases()}
PLAIN = BY_NAME["LIF/a value for each neuron"]
DENSE = BY_NAME["loop/two populations"]
CARRY = BY_NAME["boundary/carry, 4 samples of 9 steps"]


class Wrapped(Backend):
    """The reference with something done to what goes in or comes out."""

    name, arithmetics, summary = "wrapped", BACKEND.arithmetics, "the reference, made wrong on purpose"
    fidelity = "bit_exact"

    def __init__(self, after=None, before=None, fidelity="bit_exact", found=(), here=None):
        self.after, self.before, self.fidelity, self.found, self.here = after, before, fidelity, found, here

    def available(self):
        return self.here or Availability(True)

    def check(self, program):
        return (*super().check(program), *self.found)

    def emit(self, program):
        self.require(program)
        return WrappedExecutable(BACKEND.emit(program), self)


class WrappedExecutable(Executable):
    def __init__(self, inner, owner):
        self.inner, self.owner = inner, owner

    def run(self, inputs, recording=None, seed=0):
        self.require_open()
        given = self.owner.before(inputs) if self.owner.before else inputs
        trace = self.inner.run(given, recording, seed)
        return self.owner.after(trace) or trace if self.owner.after else trace


def failure(after=None, case=PLAIN, arithmetic="float64", **options):
    result = check_case(Wrapped(after, **options), case, arithmetic)
    assert result.status == "failed", result
    with pytest.raises(AssertionError, match="failed"):
        result.require()
    return result.text


def why(text):
    """Return the code of a refusal by a lowering, and of E530, whose list is long, what is missing."""
    code = re.search(r"E5\d\d", text)[0]
    if code != "E530":
        return code
    kind = re.search(r"does not leak|sPyNNaker's neurons are set to v_reset", text)
    return "E530, " + ("other" if kind is None else "no leak" if kind[0] == "does not leak" else "reset")


@pytest.mark.parametrize("arithmetic", BACKEND.arithmetics)
def test_the_reference_passes_every_case(arithmetic):
    results = [check_case(BACKEND, case, arithmetic) for case in cases()]
    assert [str(r) for r in results if r.status == "failed"] == []
    refused = {r.name: r.text for r in results if r.status == "refused"}
    if arithmetic == "spinnaker1":
        assert dict(Counter(map(why, refused.values()))) == {
            # What its neuron has not: IF and I (no leak), resets but to a value, bounds, held starts, Threshold.
            "E530, no leak": 88, "E530, reset": 63, "E530, other": 11, "E531": 3, "E538": 8,
        }  # fmt: skip
    elif arithmetic == "loihi":  # lowering refuses what Loihi's neurons do not compute, and loops too short for it
        assert len(refused) < len(results) / 2
        assert {name: text for name, text in refused.items() if not re.search(r"E(310|51\d|52\d|53\d)", text)} == {}
    else:
        assert len(refused) == (3 if arithmetic == "spinnaker2" else 0), refused


@pytest.mark.parametrize("name", CONTRACT)
def test_the_reference_keeps_the_contract(name):
    assert check_contract(BACKEND, name).require().status == "passed"


def test_the_cases_cover_what_they_should():
    everything = cases()
    assert len({c.name for c in everything}) == len(everything)
    assert {n.op.kind for c in everything for n in c.graph} == set(OPS)
    named = {c.name for c in everything}
    assert {f"profile/{p.name}:{reset}" for p in PROFILES.values() for reset in p.resets} <= named
    assert {c.profile.boundary for c in everything} >= {"reset", "carry", "silence(1)", "silence(6)"}
    widths = {n.op.shape[0] for c in everything for n in c.graph if n.op.kind == "LIF" and n.op.shape}
    assert widths >= {1, 63, 64, 65, 130}
    sizes = {next(iter(c.inputs.values())).shape[:2] for c in everything}
    assert {1} <= {steps for _, steps in sizes}
    assert max(samples for samples, _ in sizes) > 256
    assert cases(BACKEND) == everything


def test_no_population_is_silent_unless_that_is_the_point():
    for case in cases():
        trace = reference_trace(build_network(case.graph, case.profile), case, Recording(None))
        for path, raster in trace.spikes.items():
            assert case.quiet or raster.any(), (case.name, path)
    assert sum(c.quiet for c in cases()) < len(cases()) / 4


def test_cases_are_the_same_in_every_process():
    code = "from spikeport.backends.testing import cases; import json; print(json.dumps([c.graph.digest for c in cases()]))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [c.graph.digest for c in cases()]


def test_the_kit_needs_a_core_install_only():
    code = "import sys, spikeport.backends.testing as t; t.cases(); print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert sorted(loaded & {"pytest", "hypothesis", "torch", "snntorch", "scipy", "numba", "brian2"}) == []


# A wrong backend is caught, whatever it is that is wrong.


def test_a_flipped_spike_is_caught():
    def flip(trace):
        if trace.spikes:
            trace.spikes["neuron"][1, 7, 2] ^= 1

    assert "spikes of neuron[2] in sample 1, step 7: " in failure(flip)
    assert "1 of 360 values of this array differ" in failure(flip)


def test_a_membrane_off_by_one_bit_is_caught():
    def nudge(trace):
        for v in trace.v.values():
            v[0, 3, 1] = np.nextafter(v[0, 3, 1], np.inf)

    assert "membrane of neuron[1] in sample 0, step 3" in failure(nudge)


def test_the_first_divergence_is_named_not_the_last():
    def late_and_early(trace):
        for path, step in (("there", 15), ("back", 4)):
            if path in trace.spikes:
                trace.spikes[path][0, step, 0] ^= 1

    assert "spikes of back[0] in sample 0, step 4" in failure(late_and_early, DENSE)


def test_a_wrong_output_is_caught_where_only_outputs_are_recorded():
    def only_then(trace):
        if not trace.spikes:
            trace.out["output"][1, 2, 0] += 1

    assert failure(only_then).startswith("recording the outputs alone: output of output[0] in sample 1, step 2")


@pytest.mark.parametrize("name", ["spikes", "events", "synops", "updates"])
def test_a_count_off_by_one_is_caught(name):
    def miscount(trace):
        counts = {
            path: dataclasses.replace(c, **{name: getattr(c, name) + 1}) if getattr(c, name) is not None else c
            for path, c in trace.counts.items()
        }
        return dataclasses.replace(trace, counts=counts)

    assert f"].{name} is " in failure(miscount)


@pytest.mark.parametrize("name", ["spikes_per_step", "synops_per_step"])
def test_a_count_in_the_wrong_step_is_caught(name):
    def shift(trace):
        counts = {
            path: dataclasses.replace(c, **{name: np.roll(getattr(c, name), 1, axis=1)}) if getattr(c, name) is not None else c
            for path, c in trace.counts.items()
        }
        return dataclasses.replace(trace, counts=counts)

    assert f"].{name}[0, " in failure(shift)


def test_wrong_activity_and_missing_arrays_are_caught():
    def active(trace):
        trace.activity["input"][0] += 1

    assert "activity['input'][0] is" in failure(active)
    assert "trace.v: missing ['neuron']" in failure(lambda t: dataclasses.replace(t, v={}))
    assert "trace.counts has []" in failure(lambda t: dataclasses.replace(t, counts={}))
    as_floats = lambda t: dataclasses.replace(t, spikes={p: a.astype(float) for p, a in t.spikes.items()})  # noqa: E731
    assert "is float64 of shape (2, 20, 9), the reference has int64" in failure(as_floats)


def test_a_dropped_sample_boundary_is_caught():
    class Forgetful(Wrapped):
        """Resets between samples whatever the profile says."""

        def emit(self, program):
            return super().emit(dataclasses.replace(program, profile=dataclasses.replace(program.profile, boundary="reset")))

    result = check_case(Forgetful(), CARRY)
    assert result.status == "failed"
    assert "in sample 1, step 0" in result.text


def test_a_changed_input_is_caught_and_mended():
    def spoil(inputs):
        inputs["input"][0, 0, 0] ^= 1
        return inputs

    before = PLAIN.inputs["input"].copy()
    assert failure(before=spoil) == "the run changed its input input"
    assert np.array_equal(PLAIN.inputs["input"], before)


def test_signed_zeros_are_equal():
    def negate_zeros(trace):
        for array in (*trace.v.values(), *trace.out.values()):
            array[array == 0] = -0.0

    assert check_case(Wrapped(negate_zeros), BY_NAME["activity/empty"]).status == "passed"


def test_an_exception_is_a_failure_with_its_place():
    def fail(trace):
        raise ZeroDivisionError("of all things")

    assert failure(fail).startswith("ZeroDivisionError: of all things (test_testing.py:")
    assert failure(lambda t: (_ for _ in ()).throw(RunError(Diagnostic("E801", "", "no")))) == "RunError: E801: no"


# Refusals.


def test_a_refusal_names_a_layer_or_a_field_of_the_profile():
    def refused(code, path, message="not here"):
        return check_case(Wrapped(found=(Diagnostic(code, path, message),)), PLAIN)

    assert refused("E510", "neuron").status == "refused"
    assert refused("E510", "boundary").status == "refused"
    assert "names no layer" in refused("E510", "").text
    assert "names no layer" in refused("E510", "nowhere").text
    assert "which is no E5xx" in refused("E301", "neuron").text
    assert "says nothing" in refused("E510", "neuron", "").text


def test_a_refusal_that_check_does_not_foresee_and_one_that_emit_forgets_are_failures():
    class Late(Wrapped):
        def check(self, program):
            return ()

    class Careless(Wrapped):
        def emit(self, program):
            return BACKEND.emit(program)

    assert "check() found nothing, emit() refused" in check_case(Late(), BY_NAME["linear/two in a row"], "spinnaker2").text
    careless = Careless(found=(Diagnostic("E510", "neuron", "not here"),))
    assert check_case(careless, PLAIN).text.startswith("it ran what its check() refuses")
    assert PLAIN not in cases(careless)


def test_the_kit_can_map_on_a_target():
    assert check_case(BACKEND, PLAIN, target="loihi2").status == "passed"
    assert check_case(BACKEND, BY_NAME["extras/refractory, norse:value"], target="spinnaker2").status in ("passed", "refused")


# Tolerances.


def test_roundings_pass_as_float_and_not_as_bit_exact():
    def round_off(trace):
        for array in (*trace.v.values(), *trace.out.values()):
            array *= 1 + 1e-6

    assert failure(round_off).startswith("output of output[4] in sample 0, step 0: 1.000001, the reference has 1.0; ")
    assert check_case(Wrapped(round_off, fidelity="float"), PLAIN).status == "passed"
    assert "is off by" in failure(lambda t: [v.__imul__(1.01) for v in t.v.values()] and None, fidelity="float")


def test_coarse_integers_pass_as_fixed_point():
    def coarse(trace):
        for array in trace.v.values():
            array[...] = np.round(array, 1)
        for raster in trace.spikes.values():
            raster[0, 4] ^= 1

    assert check_case(Wrapped(coarse, fidelity="fixed_point"), PLAIN).status == "passed"
    everything = lambda t: [r.__ixor__(1) for r in t.spikes.values()] and None  # noqa: E731
    assert "may" in failure(everything, fidelity="fixed_point")
    assert TOLERANCES["bit_exact"].is_exact


# The contract.


def contract(backend, name):
    result = check_contract(backend, name)
    assert result.status == "failed", result
    return result.text


def test_the_contract_catches_an_executable_that_runs_after_close():
    class Immortal(Wrapped):
        def emit(self, program):
            executable = super().emit(program)
            executable.require_open = lambda: None
            return executable

    assert "expected a RunError" in contract(Immortal(), "closing")


def test_the_contract_catches_runs_that_depend_on_the_past():
    class Worn(Wrapped):
        def emit(self, program):
            executable, runs = super().emit(program), []

            def tired(trace):
                runs.append(1)
                if len(runs) > 1:
                    trace.out["output"][0, 0, 0] += 1

            executable.owner = Wrapped(tired)
            return executable

    assert contract(Worn(), "repeatable").startswith("after a run on other input")


def test_the_contract_catches_a_buffer_that_is_used_twice():
    buffers = {}

    def reuse(trace):
        out = {p: buffers.setdefault((p, a.shape), np.zeros_like(a)) for p, a in trace.out.items()}
        for path, array in trace.out.items():
            out[path][...] = array
        return dataclasses.replace(trace, out=out)

    assert "out/output of a finished run was changed by a later one" in contract(Wrapped(reuse), "repeatable")


def test_the_contract_catches_unasked_records_types_and_words():
    hidden = lambda t: dataclasses.replace(t, v={})  # noqa: E731
    assert "trace.v: missing" in contract(Wrapped(hidden, fidelity="bit_exact"), "recording")
    halves = lambda x: {p: a * a.dtype.type(a.dtype != np.float16) for p, a in x.items()}  # noqa: E731
    assert contract(Wrapped(before=halves), "inputs of any type").startswith("with input in the form float16")
    odd = Wrapped(fidelity="perfect")
    odd.arithmetics = ("float64", "roman")
    text = contract(odd, "names")
    assert "fidelity is 'perfect'" in text
    assert "the arithmetic 'roman' is unknown" in text


def test_an_absent_backend_says_why_and_what_mends_it():
    gone = Wrapped(here=Availability(False, "no licence", "buy one"))
    assert check_contract(gone, "availability").status == "passed"
    assert "does not say why" in contract(Wrapped(here=Availability(False)), "availability")
    results = run_kit(gone)
    assert len(results) == len(CONTRACT)
    assert "not available: no licence (buy one)" in check_case(gone, PLAIN).text


def test_results_print_with_their_numbers():
    text = format_results([
        Result("a", "b", "float64", "passed"), Result("c", "b", "float32", "refused", "E510 at x: no"),
        Result("d", "b", "", "failed", "all wrong"),
    ])  # fmt: skip
    assert text.splitlines() == [
        "refused c (b, float32): E510 at x: no",
        "failed  d (b): all wrong",
        "1 passed, 1 refused, 1 failed",
    ]
