"""Connections that only look alive, tokens that will not do, TLS on one side only, other versions, noise."""

import contextlib
import socket
import threading

import pytest
import trustme
from hil_bench import PATIENCE_S, artifact, assert_same, audit, run, running, through, until, works
from hil_drivers import SLOW

from spikeport.ir.diagnostics import UsageError
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.client import connect
from spikeport.runtime.hil.daemon.auth import new_token
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.hil.transport import Channel, Lost

pytestmark = pytest.mark.faults


@pytest.fixture
def bench(tmp_path):
    with running(tmp_path / "state") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    return folder


@pytest.fixture
def secure(tmp_path, certificates):
    tokens = tmp_path / "tokens.toml"
    secrets = {name: new_token(tokens, name, scopes) for name, scopes in
               (("reader", ("read",)), ("runner", ("read", "run")), ("boss", ("read", "run", "admin")))}  # fmt: skip
    both = certificates / "both.pem"
    with running(tmp_path / "state", tls=(both, both), tokens=tokens, listen="127.0.0.1:0") as daemon:
        yield daemon, secrets, tokens, certificates / "ca.pem"


def refused(call, *args, **options):
    with pytest.raises(HilError) as found:
        call(*args, **options)
    assert found.value.outcome == Outcome.INFRASTRUCTURE
    return found.value.diagnostics[0]


BOTH = frozenset({"up", "down"})


@pytest.mark.slow
@pytest.mark.parametrize("ways", [frozenset({"up"}), frozenset({"down"}), BOTH])
def test_a_half_open_connection_is_found_by_both_sides(bench, ways):
    with through(bench.url) as hole, connect(f"hild://{hole.address}", retry_s=0.0) as pool:
        leased = pool.lease(ttl_s=600.0)
        run(leased)
        hole.silent = ways
        assert refused(run, leased, load=False).code == "E865"  # the client's side
        # The daemon's side: it hears nothing, or hears that nothing it says arrives.
        until(lambda: any(line["event"] == "peer silent" for line in audit(bench.service.config.state)))
        assert bench.service.book.of("one") is not None  # it was promised 600 s, and might come back
        hole.silent = frozenset()
        pool.retry_s = 20.0
        pool._channel.renew()
        assert_same(run(leased, load=False))
        until(lambda: bench.service.book.state()["silent"] == 0)
        leased.close()
    works(bench.url)


@pytest.mark.slow
def test_a_client_that_hears_nothing_does_not_keep_its_lease(bench):
    with through(bench.url) as hole, connect(f"hild://{hole.address}", retry_s=0.0) as pool:
        pool.lease(ttl_s=2.0)
        hole.silent = frozenset({"down"})  # its signs of life do arrive
        works(bench.url)
        why = [line["why"] for line in audit(bench.service.config.state) if line["event"] == "lease over"]
        assert why[0] == "expired"


@pytest.mark.slow
def test_a_half_open_connection_in_mid_run_costs_time_not_the_result(bench):
    with (
        through(bench.url) as hole,
        connect(f"hild://{hole.address}", retry_s=PATIENCE_S) as pool,
        pool.lease() as leased,
    ):
        leased.load(artifact())
        caught = []
        thread = threading.Thread(target=lambda: caught.append(run(leased, SLOW, load=False)))
        thread.start()
        until(lambda: bench.service.jobs._live)
        hole.silent = frozenset({"down"})  # the run ends meanwhile, and its answer does not come through
        until(lambda: pool.losses)
        hole.silent = frozenset()
        thread.join()
        assert_same(caught[0])
    runs = [line for line in audit(bench.service.config.state) if line["event"] == "done" and line["do"] == "run"]
    assert len(runs) == 1


def test_plaintext_to_a_tls_port(secure):
    daemon, secrets, _, _ = secure
    finding = refused(connect, daemon.url.replace("hilds", "hild"), secrets["runner"], timeout_s=1.0)
    assert finding.code == "E865"
    assert "hilds:// if it has TLS" in finding.hint
    with contextlib.closing(socket.create_connection(("127.0.0.1", daemon.server.port))) as line:
        line.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
    works(daemon.url, token=secrets["runner"], ca=secure[3])


@pytest.mark.slow
def test_tls_to_a_plaintext_port(bench, certificates):
    finding = refused(connect, bench.url.replace("hild", "hilds"), ca=certificates / "ca.pem", timeout_s=1.0)
    assert finding.code == "E865"
    works(bench.url)


@pytest.mark.slow
def test_a_certificate_of_somebody_else(secure):
    daemon, secrets, _, _ = secure
    assert refused(connect, daemon.url, secrets["runner"], timeout_s=1.0).code == "E865"  # not one that the system trusts


def test_tokens_open_what_their_scopes_say(secure):
    daemon, secrets, _, ca = secure
    with connect(daemon.url, secrets["reader"], ca) as pool:
        assert pool.devices()[0].name == "one"
        assert "needs the scope run" in refused(pool.lease).message
    with connect(daemon.url, secrets["runner"], ca) as pool:
        assert "needs the scope admin" in refused(pool.judge, "one", "why not").message
    with connect(daemon.url, secrets["boss"], ca) as pool:
        pool.judge("one", "by hand")
        until(lambda: pool.devices()[0].health == "quarantined: by hand")
        pool.judge("one")
    works(daemon.url, token=secrets["runner"], ca=ca)


@pytest.mark.parametrize("secret", [None, "", "nonsense", "sphil_" + "x" * 43, "a b"])
def test_a_bad_token(secure, secret):
    daemon, secrets, _, ca = secure
    assert refused(connect, daemon.url, secret, ca).code == "E867"
    works(daemon.url, token=secrets["runner"], ca=ca)


@pytest.mark.slow
def test_an_expired_and_a_withdrawn_token(secure, tmp_path):
    daemon, secrets, tokens, ca = secure
    old = new_token(tokens, "old", ("read", "run"), days=-1)
    assert "has expired" in refused(connect, daemon.url, old, ca).message
    with connect(daemon.url, secrets["boss"], ca) as pool:
        tokens.write_text(tokens.read_text().split("[boss]")[0])
        assert refused(pool.devices).code == "E867"  # at once, not at the next start
    works(daemon.url, token=secrets["runner"], ca=ca)
    tokens.write_text("no tokens at all")
    assert refused(connect, daemon.url, secrets["runner"], ca).code == "E867"


def test_no_secret_is_written_anywhere(secure):
    daemon, secrets, _, ca = secure
    with connect(daemon.url, secrets["runner"], ca) as pool, pool.lease() as leased:
        run(leased)
        state = daemon.service.config.state
        files = [f for f in state.rglob("*") if f.is_file()]
        text = b"".join(f.read_bytes() for f in files)
        assert not any(secret.encode() in text for secret in secrets.values())
        assert leased.lease_id.encode() not in (state / "audit.jsonl").read_bytes()
        assert all(f.stat().st_mode & 0o077 == 0 for f in files if f.name in ("audit.jsonl", "state.sqlite"))


def test_ones_lease_is_nobody_elses(secure):
    daemon, secrets, _, ca = secure
    with connect(daemon.url, secrets["runner"], ca) as pool, pool.lease() as leased:
        run(leased)
        with connect(daemon.url, secrets["boss"], ca) as other:
            taken = {"lease": leased.lease_id, "fence": leased.fence}
            assert refused(other.call, "do", {"do": "reset", "id": "of-another", **taken}).code == "E868"
            other.call("release", taken)  # changes nothing
            assert_same(run(leased, load=False))
            assert other.revoke("one")
        assert refused(run, leased, load=False).code == "E868"


@pytest.mark.parametrize("version", [0, 2, 255])
def test_version_skew_of_the_frame(bench, version, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(wire, "PROTOCOL", version)
        message = wire.encode({"protocol": version, "spikeport": "9", "client": "x"})
    channel = Channel(f"127.0.0.1:{bench.server.port}", None, False, None)
    finding = refused(channel.call, "hello", message, 5.0)
    channel.close()
    assert (finding.code, finding.message) == ("E866", f"the other side speaks protocol {version}, this one speaks 1")
    assert finding.hint == "use the same version of spikeport on both sides"
    works(bench.url)


def test_version_skew_in_the_hello(bench, monkeypatch):
    monkeypatch.setattr(wire, "PROTOCOL", 1)
    with connect(bench.url) as pool:
        finding = refused(pool.call, "hello", {"protocol": 7, "spikeport": "9.1"})
        assert finding.code == "E866"
        assert finding.message.startswith("the client (spikeport 9.1) speaks protocol 7, the daemon (spikeport ")
    works(bench.url)


NOISE = (
    b"", b"x", b"\0" * 18, b"SPHIL\x01" + b"\xff" * 16, wire.encode({})[:-1], wire.encode({}) + b"x",
    wire.frame(b"[]", b""), wire.frame(b"nan", b""), b"SPHIL\x01" + b"\0" * 16,
)  # fmt: skip


def test_a_bit_that_is_turned_over_in_a_message_is_seen():
    message = wire.encode({"id": "some-request", "seed": 10}, b"\1\2\3" * 30)
    for bit in range(8 * len(message)):
        damaged = bytearray(message)
        damaged[bit // 8] ^= 1 << bit % 8
        assert refused(wire.decode, bytes(damaged)).code == "E896"


def test_a_damaged_message_is_sent_again_and_only_where_that_is_asked_for(bench, monkeypatch):
    with connect(bench.url, retry_s=0.0) as pool:
        call, damaged = pool._channel.call, []

        def damage(method, message, seconds):
            answer = call(method, message if len(damaged) % 2 else message[:-1] + b"!", seconds)
            return answer if len(damaged) > 2 else answer[:-1] + b"!"

        def once(*args):
            try:
                return damage(*args)
            finally:
                damaged.append(args)

        monkeypatch.setattr(pool._channel, "call", once)
        finding = refused(pool.devices)
        assert (finding.code, len(damaged)) == ("E896", 1)
        pool.retry_s = PATIENCE_S
        assert pool.devices()[0].name == "one"
        assert len(damaged) == 4
        assert len(pool.losses) == 3


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("method", ["hello", "do", "nonsense"])
def test_noise_is_refused(bench, noise, method):
    channel = Channel(f"127.0.0.1:{bench.server.port}", None, False, None)
    assert refused(channel.call, method, noise, 5.0).code in ("E877", "E883", "E866", "E896")
    channel.close()


def test_a_message_beyond_the_limit_is_not_even_read(bench):
    channel = Channel(f"127.0.0.1:{bench.server.port}", None, False, None)
    with pytest.raises((Lost, HilError)):
        channel.call("hello", b"x" * (wire.MAX_BODY + 2 * wire.MAX_HEADER), 5.0)
    channel.close()
    works(bench.url)


def test_raw_noise_on_the_port(bench):
    lines = []
    for data in (b"", b"\0" * 1000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 5000, b"GET / HTTP/1.0\r\n\r\n"):
        lines.append(socket.create_connection(("127.0.0.1", bench.server.port)))
        with contextlib.suppress(OSError):
            lines[-1].sendall(data)
    works(bench.url)  # while those lie open
    for line in lines:
        line.close()


def test_only_this_machine_without_tls_and_tokens(tmp_path, certificates):
    both, tokens = certificates / "both.pem", tmp_path / "tokens.toml"
    new_token(tokens, "any", ("run",))
    for more in ({}, {"tls": (both, both)}, {"tokens": tokens}):
        for listen in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0"):
            with pytest.raises(UsageError, match="E879"), running(tmp_path / "state", listen=listen, **more):
                pass
    with pytest.raises(UsageError, match="E879"):
        connect("hild://192.0.2.1:7450")
