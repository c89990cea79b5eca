"""Uploads that are cut off, wrong or hostile: refused by the worker, never read by the daemon, and the device works on."""

import hashlib
import io
import pickle
import zipfile

import numpy as np
import pytest
from hil_bench import INPUTS, artifact, assert_same, code_of, run, running, until, works

from spikeport.ir.diagnostics import ArtifactError
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.client import connect
from spikeport.runtime.hil.outcome import Outcome, outcome_of

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with running(tmp_path_factory.mktemp("uploads") / "state", limits={"upload_mb": 8.0, "uploads_mb": 12.0}) as daemon:
        yield daemon


@pytest.fixture
def leased(bench):
    with connect(bench.url) as pool, pool.lease() as leased:
        yield leased
    works(bench.url)


def upload(leased, data, total=None, offset=0, digest=None):
    digest = digest or hashlib.sha256(data).hexdigest()
    header = {"sha256": digest, "total": len(data) if total is None else total, "offset": offset}
    return leased._call("upload", header, data)[0]["have"]


def zipped(*members, method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


HOSTILE = {
    "empty": b"", "noise": b"\xff" * 1000, "pickle": pickle.dumps({"a": 1}),
    "truncated": artifact()[:-100], "cut in half": artifact()[: len(artifact()) // 2],
    "a bit flipped": artifact()[:500] + bytes([artifact()[500] ^ 1]) + artifact()[501:],
    "leads out": zipped(("../../../tmp/hil-was-here", b"x")), "absolute": zipped(("/tmp/hil-was-here", b"x")),
    "a bomb": zipped(("arrays/0.npy", b"\0" * 2**24), method=zipfile.ZIP_DEFLATED),
    "code": zipped(("manifest.json", b"{}"), ("setup.py", b"import os")),
    "deep": zipped(("manifest.json", b"[" * 100_000), ("program.json", b"{}")),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_artifact_is_a_bad_artifact(leased, what, tmp_path):
    with pytest.raises(ArtifactError) as found:
        leased.load(HOSTILE[what])
    assert outcome_of(found.value) == Outcome.BAD_ARTIFACT
    assert found.value.diagnostics[0].code.startswith("E7")
    assert code_of(leased.run, INPUTS) in ("E850", "E872")
    assert_same(run(leased))


def test_a_cut_off_upload_is_gone_on_with(leased):
    data = artifact()
    digest = hashlib.sha256(data).hexdigest()
    assert upload(leased, data[:100], len(data), digest=digest) == 100
    order = {"do": "load", "id": "too-early", "sha256": digest}
    assert code_of(leased._call, "do", order) == "E875"
    assert upload(leased, data[:100], len(data), digest=digest) == 100  # a duplicate changes nothing
    assert upload(leased, data[500:600], len(data), 500, digest) == 100  # nor does a piece out of order
    assert upload(leased, data[100:], len(data), 100, digest) == len(data)
    assert_same(run(leased))


def test_bytes_that_are_not_the_announced_ones_are_dropped(leased):
    data = artifact()
    digest = hashlib.sha256(data).hexdigest()
    assert code_of(upload, leased, data[:-1] + b"x", digest=digest) == "E875"
    assert code_of(upload, leased, data, total=len(data) - 1, digest=digest) == "E875"
    assert upload(leased, data) == len(data)


@pytest.mark.parametrize("digest", ["", "x" * 64, "../" * 10, "a" * 63, "/etc/passwd", "A" * 64])
def test_a_digest_is_no_path(leased, digest):
    assert code_of(upload, leased, b"x", digest=digest or " ") == "E875"
    assert code_of(leased._call, "do", {"do": "load", "id": "not-a-path", "sha256": digest}) == "E875"


def test_uploads_have_a_limit_each_and_all_together(leased):
    assert code_of(upload, leased, b"x", total=9 * 2**20) == "E875"
    leased._pool.retry_s = 0.0
    assert upload(leased, b"x", total=7 * 2**20, digest="1" * 64) == 1
    assert code_of(upload, leased, b"x", total=7 * 2**20, digest="2" * 64) == "E871"


@pytest.mark.slow
def test_an_upload_that_nobody_goes_on_with_is_dropped(tmp_path):
    with running(tmp_path / "state", limits={"upload_s": 0.3}) as daemon, connect(daemon.url) as pool, pool.lease() as leased:
        upload(leased, b"x", total=1000)
        assert list(daemon.service.uploads.folder.rglob("*.part"))
        until(lambda: not list(daemon.service.uploads.folder.rglob("*.part")))
        assert_same(run(leased))


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        b"noise", zipped(("input.npy", npy(np.array([{"a": 1}], dtype=object)))),
        zipped(("input.npy", npy(np.zeros((1, 9, 4)))), method=zipfile.ZIP_DEFLATED), zipped(("input.npy", b"\x93NUMPY")),
        zipped(("input.npy", npy(np.zeros((1, 9, 4)))[:-8])),
        wire.pack_arrays({"input": np.zeros((1, 9, 5))}), wire.pack_arrays({"input": np.full((1, 9, 4), np.nan)}), b"",
    ],
)  # fmt: skip
def test_inputs_that_are_none_are_refused(leased, body):
    leased.load(artifact())
    order = {"do": "run", "record": [], "record_state": False, "seed": 0, "timeout_s": None}
    with pytest.raises(Exception, match=r"E\d\d\d"):
        leased._do(order, body)
    assert_same(run(leased, load=False))


@pytest.mark.parametrize(
    "change", [{"do": "exec"}, {"do": "connect"}, {"do": "close"}, {"do": "__class__"}, {"do": 1}, {"record": "some"},
               {"record": [1]}, {"record_state": 1}, {"seed": "0"}, {"timeout_s": -1}, {"timeout_s": "1"}, {"id": "x"},
               {"id": "../../etc/passwd"}, {"id": 5}, {"fence": True}, {"sha256": 5}],
)  # fmt: skip
def test_orders_of_the_wrong_form_are_refused(leased, change):
    order = {"do": "run", "id": "wrong-order", "record": [], "record_state": False, "seed": 0, "timeout_s": None}
    header = {**order, "lease": leased.lease_id, "fence": leased.fence, **change}
    assert code_of(leased._pool.call, "do", header) == "E877"
