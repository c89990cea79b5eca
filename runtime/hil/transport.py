"""The one place that touches grpc: unary calls of bytes, over plaintext on this machine or over TLS.

grpc has no types and is an extra: it is loaded when a daemon starts or a client connects.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic, SpikeportError, UsageError
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.daemon.errors import error_from, error_json
from spikeport.runtime.hil.outcome import HilError, Outcome

SERVICE = "spikeport.Hild"
_MOST = wire.MAX_HEADER + wire.MAX_BODY + 1024
#: Bytes of all metadata of a call.
_METADATA = 16384
_ERROR = "spikeport-error-bin"
#: A peer that does not answer to a ping within PING_S + WAIT_S seconds is gone, whatever its TCP connection says.
PING_S, WAIT_S = 1.5, 1.5
#: Seconds for an answer, beside those that a call waits in the daemon for what is not there yet.
ANSWER_S, POLL_S = 2.5, 1.0
#: Seconds between two questions whether something has come that was not there yet.
PACE_S = 0.05
_STATUS = {"E866": "FAILED_PRECONDITION", "E867": "UNAUTHENTICATED", "E871": "RESOURCE_EXHAUSTED", "E877": "INVALID_ARGUMENT",
           "E883": "UNIMPLEMENTED", "E881": "RESOURCE_EXHAUSTED", "E896": "DATA_LOSS"}  # fmt: skip


def pace(asked: float) -> None:
    """Wait until *asked* (monotonic) is PACE_S ago: a daemon that has no thread left to let us wait answers at once."""
    time.sleep(max(0.0, asked + PACE_S - time.monotonic()))


def _grpc() -> Any:
    try:
        import grpc
    except ImportError as error:
        raise BackendUnavailable(
            Diagnostic("E882", "", "the package grpcio is not installed", "pip install 'spikeport[hil]'")
        ) from error
    return grpc


def _options(*more: tuple[str, int]) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", _MOST), ("grpc.max_send_message_length", _MOST),
        ("grpc.max_metadata_size", _METADATA), ("grpc.absolute_max_metadata_size", _METADATA),
        ("grpc.keepalive_time_ms", int(PING_S * 1000)), ("grpc.keepalive_timeout_ms", int(WAIT_S * 1000)),
        ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_pings_without_data", 0), *more,
    ]  # fmt: skip


class Server:
    """A grpc server that hands every call to *answer* (method, secret, peer, message) and returns what that returns.

    Raises
    ------
    UsageError
        E880 for certificates that cannot be read or an address that is taken.
    """

    def __init__(
        self, answer: Callable[[str, str | None, str, bytes], bytes], listen: str, tls: tuple[Path, Path] | None,
        threads: int, calls: int,
    ) -> None:  # fmt: skip
        grpc = _grpc()
        base: Any = grpc.GenericRpcHandler

        class Handler(base):
            def service(self, details: Any) -> Any:
                service, _, method = str(details.method).lstrip("/").partition("/")
                if service != SERVICE:
                    return None
                return grpc.unary_unary_rpc_method_handler(lambda data, context: _serve(grpc, answer, method, data, context))

        self._pool = futures.ThreadPoolExecutor(threads, "hild")
        self._server = grpc.server(
            self._pool, handlers=(Handler(),), maximum_concurrent_rpcs=calls,
            options=_options(
                ("grpc.so_reuseport", 0), ("grpc.http2.min_ping_interval_without_data_ms", 250),
                ("grpc.http2.max_ping_strikes", 0), ("grpc.max_concurrent_streams", calls),
            ),
        )  # fmt: skip
        try:
            if tls is None:
                self.port = self._server.add_insecure_port(listen)
            else:
                certificate, key = (path.read_bytes() for path in tls)
                self.port = self._server.add_secure_port(listen, grpc.ssl_server_credentials([(key, certificate)]))
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(Diagnostic("E880", listen, f"cannot listen on {listen}: {error}", "is it taken?")) from error

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self, grace_s: float = 1.0) -> None:
        """Take no more calls, let those under way end."""
        self._server.stop(grace_s).wait()
        self._pool.shutdown(wait=False)


def _serve(grpc: Any, answer: Callable[[str, str | None, str, bytes], bytes], method: str, data: bytes, context: Any) -> bytes:
    secret = None
    for key, value in context.invocation_metadata():
        if key == "authorization" and isinstance(value, str):
            secret = value.removeprefix("Bearer ")
    try:
        return answer(method, secret, str(context.peer()), data)
    except SpikeportError as error:
        found = error_json(error)
    except Exception as error:  # what a client sends must not end the thread; the traceback stays here
        import traceback

        traceback.print_exc()
        found = error_json(error)
    first = found["diagnostics"][0]
    found["diagnostics"] = [{**first, "message": first["message"][:1000], "hint": first["hint"][:500]}]
    status = getattr(grpc.StatusCode, _STATUS.get(first["code"], "ABORTED"))
    if "scope" in first["facts"]:  # whose token it is, is known
        status = grpc.StatusCode.PERMISSION_DENIED
    text = json.dumps(found).encode()[:8000]
    context.set_trailing_metadata(((_ERROR, zlib.crc32(text).to_bytes(4, "big") + text),))
    context.abort(status, f"{first['code']}: {first['message']}".encode("ascii", "replace").decode())
    raise AssertionError  # abort raises


class Lost(HilError):
    """No answer: the connection is gone, or the time is up; the call may or may not have been heard."""


class Channel:
    """A connection to a daemon; `call` may be used by several threads."""

    def __init__(self, address: str, secret: str | None, tls: bool, ca: bytes | None) -> None:
        self._grpc = _grpc()
        self._address, self._tls, self._ca = address, tls, ca
        self._metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
        self._lock = threading.Lock()
        self._channel: Any = None

    def _open(self) -> Any:
        with self._lock:
            if self._channel is None:
                options = _options(
                    ("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 1000),
                    ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.enable_http_proxy", 0),
                )  # fmt: skip
                if self._tls:
                    trust = self._grpc.ssl_channel_credentials(self._ca)
                    self._channel = self._grpc.secure_channel(self._address, trust, options)
                else:
                    self._channel = self._grpc.insecure_channel(self._address, options)
            return self._channel

    def call(self, method: str, message: bytes, seconds: float) -> bytes:
        """Return the answer to *message*.

        Raises
        ------
        Lost
            E865 where there is none within *seconds*.
        SpikeportError
            What the daemon refused.
        """
        try:
            answer: bytes = self._open().unary_unary(f"/{SERVICE}/{method}")(message, timeout=seconds, metadata=self._metadata)
            return answer
        except self._grpc.RpcError as error:
            raise self._refusal(error) from error
        except ValueError as error:  # closed in another thread
            raise self._lost(f"the connection was closed: {error}") from error

    def _refusal(self, error: Any) -> SpikeportError:
        for key, value in error.trailing_metadata() or ():
            if key == _ERROR:
                try:
                    if zlib.crc32(value[4:]).to_bytes(4, "big") == value[:4]:
                        return error_from(json.loads(value[4:]))
                except ValueError:
                    pass
                break
        code, text = error.code(), str(error.details() or "")
        if code == self._grpc.StatusCode.RESOURCE_EXHAUSTED:
            return HilError(
                Diagnostic("E871", self._address, f"the daemon has as many calls as it takes: {text:.200}", "try again",
                           {"retry_after_s": 0.5}), Outcome.INFRASTRUCTURE,
            )  # fmt: skip
        if code not in (self._grpc.StatusCode.UNAVAILABLE, self._grpc.StatusCode.DEADLINE_EXCEEDED):
            return self._lost(f"the call failed: {code.name}: {text:.300}")
        return self._lost(f"no answer from the daemon: {text:.300}")

    def _lost(self, message: str) -> Lost:
        other = "hild:// if it has no TLS" if self._tls else "hilds:// if it has TLS"
        hint = f"is it running there, and is the address right? ({other})"
        return Lost(Diagnostic("E865", self._address, message, hint), Outcome.INFRASTRUCTURE)

    def renew(self) -> None:
        """Drop the connection; the next call makes a new one."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """Drop the connection."""
        self.renew()
