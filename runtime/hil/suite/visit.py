"""A visit: what one attempt of one test does on the bench, and what is to be said of it afterwards."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from spikeport.ir.diagnostics import Diagnostic, SpikeportError
from spikeport.ir.program import Program
from spikeport.runtime.hil.cassette import input_digest
from spikeport.runtime.hil.device import MEMBRANES, DeviceInfo, DeviceRun
from spikeport.runtime.hil.evidence import save_evidence
from spikeport.runtime.hil.oracle import Verdict, compare
from spikeport.runtime.hil.outcome import GOOD, HilError, HilMismatch, Outcome
from spikeport.runtime.hil.policy import Policy
from spikeport.runtime.hil.replay import RecordingDevice
from spikeport.runtime.hil.suite.baseline import read_baseline
from spikeport.runtime.hil.suite.bench import Bench, reference_run
from spikeport.runtime.hil.suite.bench_device import BenchDevice, prepared
from spikeport.runtime.hil.suite.budget import Budget, BudgetVerdict, judge, spent
from spikeport.runtime.hil.suite.want import Artifact, NoDevice, Want
from spikeport.runtime.session import chip_of


class Visit:
    """What one attempt of one test does on the bench."""

    def __init__(self, bench: Bench, nodeid: str, marks: Mapping[str, Mapping[str, Any]]) -> None:
        self.bench, self.nodeid = bench, nodeid
        self.want = Want.of(marks.get("hil", {}))
        self.tolerance = dict(marks.get("hil_tolerance", {}))
        Policy.of(self.tolerance)  # said before anything is run
        self.budget = Budget.of(marks["hil_budget"]) if "hil_budget" in marks else None
        self.devices: list[BenchDevice] = []
        self.runs: list[tuple[Artifact, DeviceRun]] = []
        self.verdicts: list[Verdict] = []
        self.budgets: list[BudgetVerdict] = []
        self.evidence: list[str] = []
        self.infos: list[DeviceInfo] = []
        self.faults: list[str] = []
        self.is_broken = False
        #: Asks pytest for the fixture ``hil_device``.
        self.first_device: Callable[[], BenchDevice] | None = None

    def devices_or_skip(self, count: int | None = None) -> list[BenchDevice]:
        """Return *count* devices, all of them freshly leased; skip the test with the reason where none fit."""
        __tracebackhide__ = True
        count = self.want.count if count is None else count
        try:
            found = self.bench.acquire(self.want, count)
        except NoDevice as error:
            if self.bench.options.require:
                raise
            pytest.skip(error.diagnostics[0].message)
        options = self.bench.options
        taken = [BenchDevice(device, self.runs, self.want.timeout_s, options.timeout_multiplier) for device in found]
        self.devices += taken
        self.infos += [device.info for device in taken]
        for device in taken:
            if options.fault:
                self.inject(options.fault, device, has_way=options.url is not None)
            if options.record:
                device.inner = RecordingDevice(device.inner, options.record)
        return taken

    def release(self) -> None:
        """Reset the devices, verify that, and give them back; HilError E851 where one is not fresh."""
        __tracebackhide__ = True
        failed: list[Diagnostic] = []
        for device in self.devices:
            # After a run that failed the device is given up as it is: whoever gets it next resets it.
            for step in (device.close,) if self.is_broken else (device.reset, device.require_fresh, device.close):
                try:
                    step()
                except SpikeportError as error:
                    failed += error.diagnostics
        self.devices = []
        if failed:
            raise HilError(failed, Outcome.QUARANTINED)

    def inject(self, spec: str, device: BenchDevice | None = None, *, has_way: bool = False) -> BenchDevice:
        """Inject the faults *spec* into *device* (by default the test's first) from here on.

        Those of transport are the session's, where *has_way* says that they are done by now; elsewhere they are refused (E859).
        """
        from spikeport.runtime.hil.suite.bench_faults import faulty

        device = self._device(device)
        device.exchange(faulty(device.inner, spec, has_way))
        self.faults.append(spec)
        if miss := self.want.misses(device.info):  # a fault may have made it another device than was asked for
            raise NoDevice(miss)
        return device

    def _device(self, device: BenchDevice | None) -> BenchDevice:
        if device is not None:
            return device
        if self.devices:
            return self.devices[0]
        assert self.first_device is not None, "the fixtures set it"
        return self.first_device()

    def artifact(self, model: Any, target: Any = None, profile: Any = None, **options: Any) -> Artifact:
        """Return *model* compiled, once a session.

        Parameters
        ----------
        model : path, Graph, Model, Program or torch.nn.Module
            As for `spikeport.load`.
        target : Target, str or None
            Chip; None takes the marker's where that is one.
        profile, **options
            As for `spikeport.compile`.
        """
        from spikeport.hw_profiles.target import Target, load_target, target_names

        if target is None:
            target = self.want.chip or (self.want.target if self.want.target in target_names() else None)
        chip = target if target is None or isinstance(target, Target) else load_target(target)
        path = Path(model) if isinstance(model, str | Path) else None
        # A file may be written anew while a session runs; another model is another object, which is kept as long as its key.
        stamp = (path.stat().st_mtime_ns, path.stat().st_size) if path is not None and path.is_file() else None
        key = ("artifact", str(path) if path else id(model), stamp, chip and chip.digest, repr(profile), repr(options))
        compiled: Artifact = self.bench.kept(key, lambda: (model, _compiled(model, chip, profile, options)))[1]
        return compiled

    def reference(
        self, artifact: Artifact, inputs: Any, *, record: tuple[str, ...] | str = "all", record_state: bool = True,
        seed: int = 0, backend: str = "reference", **options: Any,
    ) -> DeviceRun:  # fmt: skip
        """Return what the model does: *artifact* in the reference interpreter, once a session for an input."""
        given = prepared(artifact, inputs, seed=seed, **options)
        key = ("reference", artifact.data, input_digest(given), str(record), record_state, seed, backend)
        request = {"record": record, "record_state": record_state, "seed": seed}
        run: DeviceRun = self.bench.kept(key, lambda: reference_run(artifact, given, backend, **request))
        return run

    def compare(
        self, artifact: Artifact, inputs: Any, device: BenchDevice | None = None, *, record: tuple[str, ...] | str = "all",
        seed: int = 0, steps: int | None = None, encode: str | None = None, reference: str = "reference", check: bool = True,
        **tolerance: Any,
    ) -> Verdict:  # fmt: skip
        """Run *artifact* in the reference and on a device, and compare.

        Parameters
        ----------
        artifact : Artifact
            From ``hil_artifact``.
        inputs : path, array or Mapping[str, array]
            As for `spikeport.run`, with *steps* and *encode*.
        device : BenchDevice or None
            By default the test's first.
        record : tuple of str or "all"
            Layers to compare beside the outputs.
        seed : int
            Of encoding and device.
        reference : str
            Backend that is the oracle.
        check : bool
            Whether to fail the test by a bad verdict; else it is returned like a good one.
        **tolerance
            Criteria beside, or in place of, those of ``@pytest.mark.hil_tolerance``; see `Policy`.

        Raises
        ------
        HilMismatch
            E853, with the criteria that failed and the first divergence; both runs are saved before.
        """
        __tracebackhide__ = True
        policy = Policy.of({**self.tolerance, **tolerance})
        device = self._device(device)
        given = prepared(artifact, inputs, seed=seed, steps=steps, encode=encode)
        states = MEMBRANES in device.info.features
        model = self.reference(artifact, given, record=record, record_state=states, seed=seed, backend=reference)
        device.load(artifact)
        run = device.run(given, record=record, record_state=states, seed=seed)
        verdict = compare(model, run, policy)
        self.verdicts.append(verdict)
        if not verdict.ok:
            self._keep(verdict, model, run, device, policy)
        return verdict.require() if check else verdict

    def _keep(self, verdict: Verdict, model: DeviceRun, run: DeviceRun, device: BenchDevice, policy: Policy) -> None:
        """Save both runs; a disk that is full must not hide the mismatch."""
        number = "" if len(self.verdicts) == 1 else f"-{len(self.verdicts)}"
        folder = Path(self.bench.options.out) / f"{slug(self.nodeid)}{number}"
        note = {"test": self.nodeid, "device": dataclasses.asdict(device.info), "artifact": run.artifact, "graph": run.graph,
                "policy": policy.to_json(), "faults": self.faults}  # fmt: skip
        try:
            self.evidence += save_evidence(folder, verdict, model, run, note)
        except (SpikeportError, OSError) as error:
            self.evidence.append(f"not saved: {error}")

    def judge_budget(self) -> None:
        """Hold every run of the test against its budget; HilMismatch E854 or E855 where one is beyond it."""
        __tracebackhide__ = True
        if self.budget is None:
            return
        if not self.runs:
            what = "@pytest.mark.hil_budget stands at a test that ran nothing on a device"
            raise HilMismatch(Diagnostic("E855", "", what, "run something: hil_compare, or hil_device"), Outcome.UNSUPPORTED)
        options = self.bench.options
        base = None
        if options.baseline:
            baseline = self.bench.kept(("baseline", options.baseline), lambda: read_baseline(str(options.baseline)))
            base = baseline.get(self.nodeid)
        budget = self.budget
        if options.baseline_update:  # what is being written is not yet held against what was
            budget = dataclasses.replace(budget, rel=None)
        for artifact, run in self.runs:
            chip = chip_of(artifact.program, artifact.target)
            self.budgets.append(judge(budget, spent(artifact.program, run, chip), base))
        for verdict in self.budgets:
            verdict.require()

    def to_json(self) -> dict[str, Any]:
        """Return what was done, as plain data for the reports."""
        taken: dict[str, float] = {}
        for verdict in self.budgets:
            for name, s in verdict.spent.items():
                if s.value is not None:
                    taken[name] = max(taken.get(name, 0.0), s.value)
        marginal = [str(c) for v in self.verdicts for c in v.checks if c.outcome == Outcome.MARGINAL]
        marginal += [str(line) for b in self.budgets for line in b.lines if line.outcome == Outcome.MARGINAL]
        return {
            "devices": [dataclasses.asdict(i) for i in self.infos], "outcomes": [str(o) for o in self._outcomes()],
            "verdicts": [{"outcome": str(v.outcome), "text": str(v)} for v in self.verdicts],
            "budget": [{"outcome": str(b.outcome), "lines": [str(line) for line in b.lines]} for b in self.budgets],
            "spent": taken, "marginal": marginal, "evidence": self.evidence, "faults": self.faults, "runs": len(self.runs),
        }  # fmt: skip

    def _outcomes(self) -> list[Outcome]:
        return [v.outcome for v in self.verdicts if v.outcome in GOOD] + [b.outcome for b in self.budgets]


def _compiled(model: Any, chip: Any, profile: Any, options: Mapping[str, Any]) -> Artifact:
    from spikeport.runtime import api
    from spikeport.runtime.artifact import artifact_bytes
    from spikeport.runtime.stated import own_program

    loaded = api.load(model)
    program: Program | None = None if options or profile is not None else own_program(loaded, chip)
    if program is None:
        program = api.compile(loaded, chip, profile, **options)
    return Artifact(program, artifact_bytes(program), chip)


def slug(nodeid: str) -> str:
    """Return a test's name as that of a folder, different for different tests.

    >>> slug("tests/test_chip.py::test_a[1-x/y]")
    'test_chip.py-test_a-1-x-y-7a6e2b'
    """
    head, bracket, tail = nodeid.partition("[")
    name = re.sub(r"[^\w.]+", "-", head.rpartition("/")[2] + bracket + tail).strip("-")
    return f"{name[:80]}-{hashlib.sha256(nodeid.encode()).hexdigest()[:6]}"
