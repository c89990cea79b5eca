"""The proxy of transport faults: exactly which bytes each fault strikes, however the stream is cut, and what the peers see."""

import contextlib
import socket
import struct
import threading
import time

import pytest

from spikeport.ir.diagnostics import UsageError
from spikeport.runtime.hil.faults.proxy import Proxy
from spikeport.runtime.hil.faults.spec import parse_faults
from spikeport.runtime.hil.faults.streams import BLOCK, stage_of

DATA = bytes(range(256)) * 40  # 160 blocks
WHOLE = (len(DATA),)
PATIENCE_S = 30.0


def fed(text, sizes=WHOLE, connection=0, way="up"):
    """Return what becomes of DATA, cut into pieces of *sizes* over and over, and what ended it."""
    stages = [stage_of(fault, connection, way) for fault in parse_faults(text)]
    out, at, turn = [], 0, 0
    while at < len(DATA):
        pieces = [(0.0, DATA[at : at + sizes[turn % len(sizes)]])]
        at, turn = at + sizes[turn % len(sizes)], turn + 1
        for stage in stages:
            pieces = [piece for before in pieces for piece in stage.feed(before)]
        out += pieces
        if any(stage.over for stage in stages):
            break
    return out, next((stage.over for stage in stages if stage.over), "")


def after(text, sizes=WHOLE, **place):
    return b"".join(data for _, data in fed(text, sizes, **place)[0])


def blocks(data):
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


TEXTS = (
    "drop:p=0.2,seed=1", "corrupt:p=0.3", "duplicate:p=0.2,after=1000", "truncate:after=777", "half_open:after=0",
    "reset:after=4000", "delay:ms=5,p=0.5", "corrupt:p=0.1,seed=4/duplicate:p=0.1/drop:p=0.1/truncate:after=9000",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("sizes", [(1,), (7, 64, 65, 3), (1000, 1), (BLOCK,)])
def test_a_fault_strikes_positions_however_the_stream_is_cut(text, sizes):
    assert after(text, sizes) == after(text)
    assert fed(text, sizes)[1] == fed(text)[1]


def delays(found):
    return [delay for delay, data in found for _ in data]


def test_a_delay_is_a_blocks():
    found = delays(fed("delay:ms=5,p=0.5")[0])
    assert len(found) == len(DATA)
    assert delays(fed("delay:ms=5,p=0.5", (7,))[0]) == found
    assert all(len(set(found[at : at + BLOCK])) == 1 for at in range(0, len(DATA), BLOCK))
    assert set(found) == {0.0, 0.005}
    assert set(delays(fed("delay:ms=5")[0])) == {0.005}
    assert max(delays(fed("delay:ms=5/delay:ms=7")[0])) == pytest.approx(0.012)


@pytest.mark.parametrize("text", ["drop:p=0.2", "corrupt:p=0.3", "duplicate:p=0.2"])
def test_other_seeds_connections_and_ways_are_struck_elsewhere(text):
    found = {after(text), after(f"{text},seed=1"), after(text, connection=1), after(text, way="down")}
    assert len(found) == 4
    assert after(text) == after(text)


def test_what_is_dropped_are_whole_blocks():
    left = blocks(after("drop:p=0.25"))
    assert 160 * 0.6 < len(left) < 160 * 0.9
    assert set(left) <= set(blocks(DATA))
    assert after("drop:p=1") == b""
    assert after("drop:p=0") == DATA


def test_what_is_corrupt_has_one_bit_turned_over_a_block():
    turned = [(int.from_bytes(a) ^ int.from_bytes(b)).bit_count()
              for a, b in zip(blocks(DATA), blocks(after("corrupt:p=1,after=130")), strict=True)]  # fmt: skip
    assert turned == [0, 0, 0] + [1] * 157  # the block at 128 begins before 130


def test_what_is_duplicate_comes_right_behind_itself():
    assert blocks(after("duplicate:p=1")) == [block for block in blocks(DATA) for _ in range(2)]


@pytest.mark.parametrize("name", ["truncate", "half_open", "reset"])
@pytest.mark.parametrize("position", [0, 1, 64, 100, 10_239, 10_240])
def test_a_cut_lets_exactly_its_bytes_through(name, position):
    for sizes in (WHOLE, (10,)):
        found, over = fed(f"{name}:after={position}", sizes)
        assert b"".join(data for _, data in found) == DATA[:position]
        assert over == name
    assert fed(f"{name}:after=10241") == ([(0.0, DATA)], "")


def test_faults_act_one_behind_the_other():
    assert after("drop:p=1/truncate:after=10") == b""
    assert fed("drop:p=1/truncate:after=10")[1] == ""  # nothing of the stream came as far as that
    assert after("truncate:after=100/duplicate:p=1") == DATA[:64] * 2 + DATA[64:100]


def test_a_fault_of_the_device_does_not_happen_on_the_way():
    with pytest.raises(UsageError, match=r"E895.*spike_drop is a fault of kind neuromorphic"):
        Proxy("127.0.0.1", 1, parse_faults("delay:ms=1/spike_drop:p=0.1"))


class Far:
    """A server that keeps what it hears, by connection; *say* is said to whoever connects."""

    def __init__(self, say=b""):
        self._say, self._listener = say, socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port, self.heard, self.ends, self._open = self._listener.getsockname()[1], [], [], True
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while self._open:
            with contextlib.suppress(TimeoutError):
                line, _ = self._listener.accept()
                self.heard.append(bytearray())
                self.ends.append("")
                self._threads.append(threading.Thread(target=self._listen, args=(line, len(self.ends) - 1)))
                self._threads[-1].start()

    def _listen(self, line, number):
        line.settimeout(0.05)
        with line:
            try:
                line.sendall(self._say)
                while self._open and not self.ends[number]:
                    with contextlib.suppress(TimeoutError):
                        data = line.recv(65536)
                        self.heard[number] += data
                        self.ends[number] = "" if data else "closed"
            except ConnectionResetError:  # seen by whichever call comes after it, the first one too
                self.ends[number] = "reset"

    def __enter__(self):
        return self

    def __exit__(self, *how):
        self._open = False
        for thread in self._threads:
            thread.join()
        self._listener.close()


def until(holds):
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "this did not come to hold"
        time.sleep(0.01)


@contextlib.contextmanager
def way(text="", say=b""):
    """Yield a far end, a proxy before it, and a connection through that."""
    with Far(say) as far, Proxy("127.0.0.1", far.port, parse_faults(text) if text else ()) as proxy:
        host, _, port = proxy.address.partition(":")
        with socket.create_connection((host, int(port))) as line:
            line.settimeout(PATIENCE_S)
            yield far, proxy, line


@pytest.mark.parametrize("text", ["", *(t for t in TEXTS if "reset" not in t and "half" not in t)])
def test_what_goes_through_the_proxy_is_what_the_stages_make_of_it(text):
    wanted = after(text) if text else DATA
    with way(text) as (far, proxy, line):
        for piece in (DATA[:100], DATA[100:5000], DATA[5000:]):
            line.sendall(piece)
        line.shutdown(socket.SHUT_WR)
        until(lambda: far.ends == ["closed"])
        assert far.heard[0] == wanted
        assert proxy.struck.total() > 0 or not text


def test_what_comes_down_is_struck_too_and_only_there():
    with way("drop:p=0.3,way=down", DATA) as (far, _, line):
        line.sendall(DATA)
        line.shutdown(socket.SHUT_WR)
        got = b""
        while data := line.recv(65536):
            got += data
        assert got == after("drop:p=0.3,way=down", way="down")
        assert far.heard[0] == DATA


def test_a_truncated_way_ends_in_good_order_and_the_other_goes_on():
    with way("truncate:after=10,way=up", DATA) as (far, _, line):
        line.sendall(DATA)
        until(lambda: far.ends == ["closed"])
        assert far.heard[0] == DATA[:10]
        got = b""
        while data := line.recv(65536):
            got += data
        assert got == DATA


def test_a_reset_is_seen_as_one_by_both_ends():
    with way("reset:after=100,way=up") as (far, proxy, line):
        line.sendall(DATA[:200])
        with pytest.raises(ConnectionResetError):
            line.recv(1)
        until(lambda: far.ends == ["reset"])
        assert proxy.struck == {"reset": 1}


def test_of_a_half_open_way_nothing_is_told():
    with way("half_open:after=100,way=up") as (far, proxy, line):
        line.sendall(DATA)
        line.shutdown(socket.SHUT_WR)
        until(lambda: far.heard and len(far.heard[0]) == 100)
        host, _, port = proxy.address.partition(":")
        with socket.create_connection((host, int(port))) as other:  # which comes and goes meanwhile
            other.sendall(b"x")
            other.shutdown(socket.SHUT_WR)
            until(lambda: len(far.ends) == 2 and far.heard[1] == b"x")
            until(lambda: far.ends[1] == "closed")
        assert far.ends[0] == ""
        assert bytes(far.heard[0]) == DATA[:100]


def test_ways_can_be_made_silent_and_heard_again():
    with way() as (far, proxy, line):
        line.sendall(b"one ")
        until(lambda: far.heard and far.heard[0] == b"one ")
        proxy.silent = frozenset({"up"})
        line.sendall(b"two ")
        until(lambda: proxy.swallowed == 4)
        proxy.silent = frozenset()
        line.sendall(b"three")
        until(lambda: far.heard[0] == b"one three")


def test_a_peer_that_resets_is_passed_on():
    with way() as (far, _, line):
        line.sendall(b"x")
        until(lambda: far.heard and far.heard[0] == b"x")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()
        until(lambda: far.ends == ["reset"])


def first_byte(address):
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as line:
        return line.recv(1)


def test_nobody_behind_the_proxy_is_a_reset():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Proxy("127.0.0.1", port) as proxy, pytest.raises(ConnectionResetError):
        first_byte(proxy.address)


def test_a_closed_proxy_leaves_neither_threads_nor_connections():
    with way("delay:ms=600000") as (far, proxy, line):
        line.sendall(DATA)
        until(lambda: proxy.struck["delay"])
        proxy.close()
        proxy.close()
        assert line.recv(1) == b""
        assert not [thread for thread in threading.enumerate() if proxy.address in thread.name]
        until(lambda: far.ends == ["closed"])
        assert far.heard == [b""]
