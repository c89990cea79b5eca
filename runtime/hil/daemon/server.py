"""The daemon: service and network, from start to signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import TracebackType

from spikeport.runtime.hil.daemon.config import Config, require_safe
from spikeport.runtime.hil.daemon.service import Service
from spikeport.runtime.hil.transport import Server


class Daemon:
    """A running daemon; a context manager.

    Raises
    ------
    UsageError
        E879 for an address beyond this machine without TLS and tokens, E880 for files that cannot be read or an address that
        is taken, E884 for a folder of state that another daemon uses.
    """

    def __init__(self, config: Config) -> None:
        require_safe(config)
        self.service = Service(config)
        limits = config.limits
        try:
            self.server = Server(self.service.call, config.listen, config.tls, limits.threads, limits.calls)
        except BaseException:
            self.service.stop()
            raise
        self.url = f"{'hilds' if config.tls else 'hild'}://{config.listen.rpartition(':')[0]}:{self.server.port}"
        self.service.start()
        self.server.start()

    def stop(self) -> None:
        """Answer no more, end all workers; what was acknowledged stays in the state."""
        self.server.stop()
        self.service.stop()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.stop()


def serve(config: Config, restore: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Run a daemon until SIGTERM or SIGINT."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Daemon(config) as daemon:
        for name in restore:
            if name in daemon.service.keepers:
                daemon.service.keepers[name].judge("", by="--restore")
        say(f"listening on {daemon.url}")
        ended.wait()
        say("stopping")
