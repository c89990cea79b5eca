"""Tables and rows of the daemon's state."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS devices(name TEXT PRIMARY KEY, fence INT NOT NULL, strikes INT NOT NULL, quarantined TEXT);
CREATE TABLE IF NOT EXISTS leases(
    id TEXT PRIMARY KEY, device TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, client TEXT NOT NULL, ticket TEXT NOT NULL,
    fence INT NOT NULL, ttl REAL NOT NULL);
CREATE TABLE IF NOT EXISTS requests(
    owner TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, lease TEXT NOT NULL, device TEXT NOT NULL, fence INT NOT NULL,
    state TEXT NOT NULL, header BLOB, body BLOB, file TEXT, size INT NOT NULL DEFAULT 0, acked INT NOT NULL DEFAULT 0,
    at REAL NOT NULL, PRIMARY KEY(owner, id));
CREATE INDEX IF NOT EXISTS requests_age ON requests(acked, at);
CREATE INDEX IF NOT EXISTS requests_size ON requests(size) WHERE size > 0;
"""
SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A lease as it is stored."""

    id: str
    device: str
    owner: str
    client: str
    ticket: str
    fence: int
    ttl: float


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is stored: what it was (by digest), and once it is done its answer.

    ``state`` is running, done or lost; ``file`` holds a body that is too large for the database.
    """

    owner: str
    id: str
    digest: str
    state: str
    header: bytes
    file: str
    size: int
