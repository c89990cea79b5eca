"""Who asks, and the fields of what is asked for, held against their types before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeport.runtime.hil.wire import field, wire_error


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks: the name of the token ("" without tokens), and what the client calls itself."""

    owner: str
    client: str

    @property
    def key(self) -> str:
        """Owner of requests: the token, or without tokens the client."""
        return self.owner or f"client {self.client}"


def name_of(header: Mapping[str, Any]) -> str:
    """Return the id of a request; raise WireError E877 for one that is no good name."""
    name: str = field(header, "id", str)
    if not 8 <= len(name) <= 80 or not name.isascii() or not name.replace("-", "").isalnum():
        raise wire_error("a request has no id of 8 to 80 letters and digits")
    return name


def order_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the worker's order for a request, of fields of the right types only."""
    do = field(header, "do", str)
    order: dict[str, Any] = {"do": do}
    if do == "run":
        record = header.get("record")
        if record != "all" and not (isinstance(record, list) and len(record) <= 10_000 and all(type(r) is str for r in record)):
            raise wire_error("record is neither 'all' nor a list of paths")
        timeout = header.get("timeout_s")
        if timeout is not None and not 0 < (timeout := field(header, "timeout_s", float)) < 1e7:
            raise wire_error("timeout_s is no number of seconds")
        order |= {"record": record, "record_state": field(header, "record_state", bool), "seed": field(header, "seed", int)}
        order["seconds"] = timeout
    elif do not in ("load", "reset", "digest"):
        raise wire_error(f"a device cannot {do!r:.40}")
    return order
