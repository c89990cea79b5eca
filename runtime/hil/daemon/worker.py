"""The worker: one process for one lease, which alone touches the device and alone reads what clients send.

    python -m spikeport.runtime.hil.daemon.worker LIFELINE STATUS MEMORY   (the numbers of two descriptors, and bytes)

On stdin come messages of `spikeport.runtime.hil.wire`, on stdout go the answers; what a backend prints goes to stderr. Large
bodies lie in files of the daemon's (inputs, artifacts) or in the worker's own folder (results).
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from spikeport.runtime.hil.daemon.guard import guarded

if TYPE_CHECKING:
    from spikeport.runtime.hil.device import Device


def main(lifeline: int, status: int, memory: int) -> int:
    """Become the guard of a worker; return its exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return guarded(_serve, lifeline, status, memory)


def _serve() -> int:
    """Answer one message after the other until stdin ends."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)  # a backend that prints must not speak in our place
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from spikeport.runtime.hil import wire

    worker = Worker(answers)
    while (message := wire.read_message(orders.read)) is not None:
        worker.answer(*message)
        if worker.is_done:
            break
    return 0


class Worker:
    """Holds the device and does what the daemon orders; each answer says ``ok`` and, if not, what went wrong."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers
        self._device: Device | None = None
        self._fence = 0
        self.is_done = False

    def answer(self, order: dict[str, Any], body: bytes) -> None:
        """Do *order*, whatever it is, and answer."""
        from spikeport.runtime.hil.daemon.errors import error_json

        try:
            fence = int(order.get("fence", self._fence))
            if fence < self._fence:
                from spikeport.runtime.hil.daemon.refusals import stale

                raise stale("")
            self._fence = fence
            header, answer = getattr(self, f"_do_{order['do']}")(order, body)
            self._send({"ok": True, **header}, answer)
        except BaseException as error:
            self._send({"ok": False, "error": error_json(error)})
            if not isinstance(error, Exception):
                raise

    def _send(self, header: dict[str, Any], body: bytes = b"") -> None:
        from spikeport.runtime.hil import wire

        if len(body) > wire.CHUNK:
            Path("result").write_bytes(body)
            header, body = {**header, "file": "result"}, b""
        self._answers.write(wire.encode(header, body))
        self._answers.flush()

    def _progress(self, done: int, total: int) -> None:
        self._send({"step": done, "of": total})

    def _do_connect(self, order: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        from spikeport.runtime.hil import wire

        self._device = open_device(order["device"])
        if hasattr(self._device, "on_progress"):
            self._device.on_progress = self._progress
        for kind, most in ((resource.RLIMIT_FSIZE, order["file_bytes"]), (resource.RLIMIT_AS, order["memory_bytes"])):
            # Beside what is mapped already: libraries map far more than they use.
            most += _mapped() if kind == resource.RLIMIT_AS else 0
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))
        return {"info": wire.info_json(self._device.info)}, b""

    def _do_reset(self, order: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        self._open().reset()
        return {"state": self._open().state_digest()}, b""

    def _do_digest(self, order: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        return {"state": self._open().state_digest()}, b""

    def _do_load(self, order: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        return {"sha256": self._open().load(_upload(order["path"]))}, b""

    def _do_run(self, order: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        from spikeport.runtime.hil import wire

        inputs = wire.unpack_arrays(_upload(order["path"]) if order.get("path") else body)
        record = order["record"]
        run = self._open().run(
            inputs, record=record if isinstance(record, str) else tuple(record), record_state=order["record_state"],
            seed=order["seed"],  # how long it may take is the daemon's business
        )  # fmt: skip
        header, arrays = wire.encode_run(run)
        return {"run": header}, arrays

    def _do_close(self, order: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        self.is_done = True
        if self._device is not None:
            self._device.close()
        return {}, b""

    def _open(self) -> Device:
        assert self._device is not None, "the daemon connects first"
        return self._device


def _upload(path: str) -> bytes:
    """Return what a client has sent; HilError E875 where it has made room for other uploads since."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        from spikeport.ir.diagnostics import Diagnostic
        from spikeport.runtime.hil.outcome import HilError

        raise HilError(Diagnostic("E875", "", "this upload is not there any more", "send it again")) from error


def _mapped() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def open_device(config: dict[str, Any]) -> Device:
    """Return the device that *config*, a DeviceConfig as plain data, describes.

    Raises
    ------
    UsageError, BackendUnavailable
        For a backend or a driver that is not there.
    """
    from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic
    from spikeport.runtime.hil.device import DRIVERS, LocalDevice

    if config["backend"]:
        return LocalDevice(config["backend"], config["options"], config["target"] or None, config["name"])
    from importlib.metadata import entry_points

    name = config["driver"]
    try:
        if ":" in name:  # the operator's own, given in the daemon's configuration
            module, _, function = name.partition(":")
            driver = getattr(importlib.import_module(module), function)
        else:
            (entry,) = entry_points(group=DRIVERS, name=name)
            driver = entry.load()
    except Exception as error:
        what = "no installed package offers it" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise BackendUnavailable(
            Diagnostic("E500", "", f"the driver {name!r} cannot be loaded: {what}", f"drivers are entry points of {DRIVERS}")
        ) from error
    return driver({**config["config"], "name": config["name"], "target": config["target"]})


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
