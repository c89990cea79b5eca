"""Tokens: who may do what. A file of them holds hashes only; the secrets are shown once, when they are made.

    # tokens.toml, written by `spikeport hild --new-token NAME`
    [alice]
    sha256 = "…"
    scopes = ["read", "run"]
    expires = 2027-01-01T00:00:00Z     # may be left out

A secret has 256 random bits, so one round of SHA-256 keeps it as well as a slow hash would.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import threading
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.runtime.files import write_text

SCOPES = ("read", "run", "admin")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PREFIX = "sphil_"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: a name, and what it may do."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Token:
    """An entry of the file: name, digest of the secret, scopes, and the second (since 1970) from which it is worth nothing."""

    name: str
    digest: bytes
    scopes: frozenset[str]
    expires: float | None = None


class Tokens:
    """The tokens of a file; a changed file is read again, one that has become unreadable lets nobody in.

    Parameters
    ----------
    path : Path or None
        None: no tokens, everyone may read and run (loopback only, `spikeport.runtime.hil.daemon.server` sees to that).
    wall : callable
        The time of day; expiry is a date, so this is the one place where it counts.
    """

    def __init__(self, path: Path | None, wall: Callable[[], float] = time.time) -> None:
        self.path, self._wall = path, wall
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()
        if path is not None:
            # The stamp first: a change in between is then seen as one.
            self._seen = _stamp(path)
            self._tokens = read_tokens(path)

    def identify(self, secret: str | None) -> Identity | None:
        """Return whose *secret* it is, None for nobody's or an expired one; takes the same time for each entry."""
        if self.path is None:
            return Identity("", frozenset(("read", "run")))
        digest = hashlib.sha256((secret or "").encode()).digest()
        found: Token | None = None
        for token in self._current():
            if hmac.compare_digest(token.digest, digest):
                found = token
        if found is None or (found.expires is not None and self._wall() >= found.expires):
            return None
        return Identity(found.name, found.scopes)

    def _current(self) -> tuple[Token, ...]:
        assert self.path is not None
        with self._lock:
            try:
                stamp = _stamp(self.path)
                if stamp != self._seen:
                    self._tokens, self._seen = read_tokens(self.path), stamp
            except (OSError, UsageError):
                self._tokens, self._seen = (), None
            return self._tokens


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Return the tokens in *path*; raise UsageError E880 for a file that is not as it should be, or that others may write."""
    try:
        if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _wrong(path, "others than its owner may write to it", f"chmod 600 {path}")
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _wrong(path, str(error)) from error
    return tuple(_token(path, name, entry) for name, entry in data.items())


def _token(path: Path, name: str, entry: Any) -> Token:
    if not isinstance(entry, dict) or not set(entry) <= {"sha256", "scopes", "expires"} or not _NAME.fullmatch(name):
        raise _wrong(path, f"[{name}] holds something else than sha256, scopes, expires")
    scopes, expires = entry.get("scopes"), entry.get("expires")
    if not isinstance(scopes, list) or not scopes or not set(scopes) <= set(SCOPES):
        raise _wrong(path, f"[{name}] scopes are {scopes!r:.60}, not some of {', '.join(SCOPES)}")
    if not re.fullmatch("[0-9a-f]{64}", str(entry.get("sha256"))):
        raise _wrong(path, f"[{name}] sha256 is no digest")
    if isinstance(expires, date) and not isinstance(expires, datetime):
        expires = datetime(expires.year, expires.month, expires.day, tzinfo=UTC)
    if expires is not None and not isinstance(expires, datetime):
        raise _wrong(path, f"[{name}] expires is {expires!r:.40}, no date")
    when = None if expires is None else (expires if expires.tzinfo else expires.replace(tzinfo=UTC)).timestamp()
    return Token(name, bytes.fromhex(entry["sha256"]), frozenset(scopes), when)


def new_token(path: Path, name: str, scopes: tuple[str, ...], days: float | None = None) -> str:
    """Add a token called *name* to the file *path*, which is made where there is none; return its secret.

    Raises
    ------
    UsageError
        E880 for a name that is there already or cannot be one, for unknown scopes, for a file that is not as it should be.
    """
    there = read_tokens(path) if path.exists() else ()
    if not _NAME.fullmatch(name) or name in {t.name for t in there}:
        raise _wrong(path, f"{name!r} is there already, or is no name of letters, digits, - and _")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise _wrong(path, f"the scopes {', '.join(scopes)} are not some of {', '.join(SCOPES)}")
    secret = _PREFIX + secrets.token_urlsafe(32)
    lines = [f"[{name}]", f'sha256 = "{hashlib.sha256(secret.encode()).hexdigest()}"']
    lines.append("scopes = [" + ", ".join(f'"{s}"' for s in scopes) + "]")
    if days is not None:
        lines.append(f"expires = {datetime.fromtimestamp(time.time() + days * 86400, UTC):%Y-%m-%dT%H:%M:%SZ}")
    before = path.read_text("utf-8").rstrip("\n") + "\n\n" if there else ""
    if not there:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    write_text(path, before + "\n".join(lines) + "\n")
    return secret


def _wrong(path: Path, why: str, hint: str = "`spikeport hild --new-token NAME` writes the file") -> UsageError:
    return UsageError(Diagnostic("E880", str(path), f"{path}: {why}", hint))
