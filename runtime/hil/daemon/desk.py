"""What the keepers of a daemon share, and the jobs that they get."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import SpikeportError
from spikeport.runtime.hil.daemon.audit import Audit
from spikeport.runtime.hil.daemon.config import Limits
from spikeport.runtime.hil.daemon.leases import Book
from spikeport.runtime.hil.daemon.places import Lease
from spikeport.runtime.hil.daemon.store import Store


@dataclass
class Job:
    """A request on its way: the order for the worker, and once it is done the answer."""

    key: tuple[str, str]
    digest: str
    lease: Lease
    order: dict[str, Any]
    body: bytes
    generation: str = ""
    done: threading.Event = field(default_factory=threading.Event)
    step: tuple[int, int] = (0, 0)
    answer: tuple[dict[str, Any], bytes, Path | None] | None = None


@dataclass
class Desk:
    """What the keepers of a daemon share."""

    store: Store
    book: Book
    audit: Audit
    limits: Limits
    folder: Path
    finish: Callable[[Job, dict[str, Any], bytes, Path | None], None]
    fail: Callable[[Job, SpikeportError], None]
