"""Faults on the way: a TCP proxy between client and daemon that delays, drops, cuts off and spoils bytes on purpose.

What each fault does to which bytes stands in `streams`. Connections are numbered from 0 in the order in which they are
accepted; ``up`` leads to the daemon, ``down`` to the client, and a fault acts in the ``way`` that it names, by default in both,
where positions count for each by itself. Every connection has every fault: a client that connects again meets it again.

    with Proxy("127.0.0.1", 7450, parse_faults("corrupt:p=0.01,way=up,seed=3")) as proxy:
        connect(f"hild://{proxy.address}")
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from types import TracebackType

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.runtime.hil.faults.spec import Fault
from spikeport.runtime.hil.faults.streams import Piece, Stage, Way, stage_of

#: Bytes of one read, and of what may wait in a way before no more is read.
_PIECE, _MOST = 65536, 2**22
#: Seconds after which a thread that waits looks whether the proxy was closed.
_TICK_S = 0.05


class Proxy:
    """Stands before the daemon at *host*:*port*; a context manager.

    Parameters
    ----------
    host, port : str, int
        The daemon's.
    faults : Iterable[Fault]
        Of the kind ``transport``, for every connection.

    Raises
    ------
    UsageError
        E895 for faults of another kind.
    """

    def __init__(self, host: str, port: int, faults: Iterable[Fault] = ()) -> None:
        self.faults = tuple(faults)
        wrong = [Diagnostic("E895", str(f), f"{f.name} is a fault of kind {f.kind}: it does not happen on the way",
                            "give it to FaultyDevice") for f in self.faults if f.kind != "transport"]  # fmt: skip
        if wrong:
            raise UsageError(wrong)
        #: Ways in which nothing comes through from now on, as with half_open but for every connection and revocable.
        self.silent: frozenset[Way] = frozenset()
        #: How often each fault struck, by its name: blocks, or for truncate, half_open and reset ways of connections.
        self.struck: Counter[str] = Counter()
        #: Connections that were accepted so far, and bytes that came where nothing goes through.
        self.connections, self.swallowed = 0, 0
        self._daemon = (host.strip("[]"), port)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_TICK_S)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._begin(self._accept)

    def close(self) -> None:
        """End all connections and threads; again does no harm."""
        self._closing.set()
        while self._threads:
            with contextlib.suppress(KeyError):
                self._threads.pop().join()
        self._listener.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.close()

    def _begin(self, work: Callable[[], None]) -> None:
        def body() -> None:
            work()
            self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=body, name=f"proxy {self.address}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            number, self.connections = self.connections, self.connections + 1
            try:
                daemon = socket.create_connection(self._daemon, timeout=10.0)
            except OSError:  # as the client would have found it
                _close(client, abruptly=True)
                continue
            line = _Line(client, daemon)
            ways: tuple[tuple[Way, socket.socket, socket.socket], ...] = (("up", client, daemon), ("down", daemon, client))
            for way, source, sink in ways:
                stages = [stage_of(f, number, way, self._strike) for f in self.faults if f.get("way", "both") in (way, "both")]
                self._begin(_Pump(self, line, way, source, sink, stages).run)

    def _strike(self, name: str) -> None:
        with self._lock:
            self.struck[name] += 1

    def swallow(self, count: int) -> None:
        """Count bytes that came where nothing goes through."""
        with self._lock:
            self.swallowed += count

    def is_over(self, line: _Line) -> bool:
        """Whether the threads of *line* have to end."""
        return line.is_reset or self._closing.is_set()


class _Line:
    """A connection: two sockets, closed by the last of its two threads."""

    def __init__(self, *sockets: socket.socket) -> None:
        self.is_reset = False
        self._sockets, self._left, self._lock = sockets, 2, threading.Lock()
        for one in sockets:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def leave(self) -> None:
        """Say that a thread has ended."""
        with self._lock:
            self._left -= 1
            if not self._left:
                for one in self._sockets:
                    _close(one, self.is_reset)


class _Pump:
    """Moves the bytes of one way of a connection, through its stages."""

    def __init__(
        self, proxy: Proxy, line: _Line, way: Way, source: socket.socket, sink: socket.socket, stages: list[Stage]
    ) -> None:
        self._proxy, self._line, self._way, self._source, self._sink, self._stages = proxy, line, way, source, sink, stages
        self._waiting: deque[Piece] = deque()
        self._over = ""  # what ended the way: the name of a fault, "end" or "deaf" for the peers themselves

    def run(self) -> None:
        """Go on until the source has ended or the connection is reset."""
        try:
            while not self._proxy.is_over(self._line) and self._turn():
                pass
        finally:
            self._line.leave()

    def _turn(self) -> bool:
        """Send what is due, read what there is; return whether there is more to come."""
        due, now = self._waiting[0][0] if self._waiting else None, time.monotonic()
        if due is not None and due <= now:
            self._send(self._waiting.popleft()[1])
            return True
        left = _TICK_S if due is None else min(_TICK_S, due - now)
        if self._over == "end":
            if due is None:
                self._tell_end()
                return False
            time.sleep(left)
        elif sum(len(data) for _, data in self._waiting) > _MOST:
            time.sleep(left)
        elif _is_ready(self._source, select.POLLIN, left):
            return self._read()
        return True

    def _read(self) -> bool:
        try:
            data = self._source.recv(_PIECE)
        except BlockingIOError:
            return True
        except OSError:  # the peer has reset it: so do we, unless nothing comes through
            self._line.is_reset = not self._is_silent()
            return False
        if not data:
            if self._over == "":
                self._over = "end"
            return self._over == "end"
        if self._over or self._is_silent():
            self._proxy.swallow(len(data))
            return True
        pieces: list[Piece] = [(0.0, data)]
        for stage in self._stages:
            pieces = [piece for before in pieces for piece in stage.feed(before)]
        now, last = time.monotonic(), self._waiting[-1][0] if self._waiting else 0.0
        for delay, piece in pieces:
            last = max(last, now + delay)
            if piece:
                self._waiting.append((last, piece))
        cut = next((stage.over for stage in self._stages if stage.over), "")
        if cut == "truncate":
            self._over = "end"
        elif cut:
            self._flush()
            self._over, self._line.is_reset = cut, cut == "reset"
        return True

    def _flush(self) -> None:
        while self._waiting:
            due, data = self._waiting.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            self._send(data)

    def _send(self, data: bytes) -> None:
        """Send *data*, however slowly it is read; to a peer that is gone it is lost, which its own end tells."""
        rest = memoryview(data)
        while rest and self._over != "deaf" and not self._is_silent() and not self._proxy.is_over(self._line):
            if _is_ready(self._sink, select.POLLOUT, _TICK_S):
                try:
                    rest = rest[self._sink.send(rest) :]
                except BlockingIOError:
                    continue
                except OSError:
                    self._over = "deaf"

    def _tell_end(self) -> None:
        if not self._is_silent():
            with contextlib.suppress(OSError):
                self._sink.shutdown(socket.SHUT_WR)

    def _is_silent(self) -> bool:
        return self._over == "half_open" or self._way in self._proxy.silent


def _is_ready(line: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(line, event)
    return bool(poll.poll(max(1, round(1e3 * seconds))))


def _close(line: socket.socket, abruptly: bool) -> None:
    """Close a socket, with RST in place of FIN if *abruptly*."""
    with contextlib.suppress(OSError):
        if abruptly:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()
