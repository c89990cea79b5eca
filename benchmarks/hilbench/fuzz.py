"""Mutated artifacts to a worker, mutated requests to the daemon's service: every one is answered or refused."""

import hashlib
import io
import json
import os
import random
import re
import time
import zipfile

from hil_bench import INPUTS, artifact, config, device, path_of_helpers, until

from spikeport.ir.diagnostics import SpikeportError
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.daemon.line import Line, WorkerLost
from spikeport.runtime.hil.daemon.service import SCOPE, Service
from spikeport.runtime.hil.outcome import HilError

CANARY = "hil-was-here"
_NAMES = (f"../../../{CANARY}", f"/tmp/{CANARY}", f"arrays/../../{CANARY}.npy", "manifest.json", "program.json", "arrays/0.npy")


def mutated(data, rng):
    """Return *data* with a few bytes changed, cut, doubled, moved or overwritten."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(out) + 1)
        how = rng.randrange(7)
        if how == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif how == 1 and out:
            out[at % len(out)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif how == 2:
            del out[at : at + rng.randrange(1, 64)]
        elif how == 3:
            out[at:at] = out[at : at + rng.randrange(1, 64)]
        elif how == 4:
            out[at:at] = rng.randbytes(rng.randrange(1, 16))
        elif how == 5:
            del out[rng.randrange(max(1, len(out))) :]
        else:
            out[at : at + 8] = rng.choice(
                (b"\xff" * 8, b"\0" * 8, (2**31).to_bytes(8, "little"), (2**63).to_bytes(8, "little"))
            )
    return bytes(out)


def repacked(data, rng):
    """Return the artifact *data* with a member changed and all sizes and digests right again, so that deeper checks see it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    untouched, name = members["manifest.json"], rng.choice(sorted(members))
    members[name] = tampered(members[name], rng) if name.endswith(".json") else mutated(members[name], rng)
    if rng.random() < 0.2:
        members[rng.choice(_NAMES)] = members[name]
    if name != "manifest.json" and members["manifest.json"] is untouched:
        manifest = json.loads(untouched)
        manifest["members"] = {
            n: {"sha256": hashlib.sha256(d).hexdigest(), "size": len(d)} for n, d in members.items() if n != "manifest.json"
        }
        members["manifest.json"] = json.dumps(manifest).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if rng.random() < 0.05 else zipfile.ZIP_STORED) as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return stream.getvalue()


_ODD = (
    None,
    True,
    -1,
    0,
    1e308,
    2**63,
    "",
    "x" * 300,
    f"../{CANARY}",
    [],
    {},
    [[]],
    {"array": 10**6},
    {"kind": "os.system"},
    0.5,
)


def tampered(data, rng):
    """Return the JSON *data* with a value replaced, a key dropped or a list doubled."""
    try:
        value = json.loads(data)
    except ValueError:
        return mutated(data, rng)
    places = []

    def walk(x):
        if isinstance(x, (dict, list)):
            for key in list(x) if isinstance(x, dict) else range(len(x)):
                places.append((x, key))
                walk(x[key])

    walk(value)
    if not places or rng.random() < 0.3:
        return mutated(data, rng)
    where, key = rng.choice(places)
    if rng.random() < 0.3:
        del where[key]
    elif isinstance(where, list) and rng.random() < 0.5:
        where.append(where[key])
    else:
        where[key] = rng.choice(_ODD)
    return json.dumps(value).encode()


def fuzz(count, folder, seed=0):
    """Return what *count* mutations did, half of them artifacts and half requests."""
    before = files(folder.parent)
    with path_of_helpers():
        found = artifacts(count // 2, folder / "artifacts", seed)
        for key, value in requests(count - count // 2, folder / "requests", seed).items():
            found[key] = found.get(key, 0) + value
    new = {f for f in files(folder.parent) - before if not OWN.fullmatch(os.path.relpath(f, folder))}
    new |= {path for path in (f"/tmp/{CANARY}", f"/{CANARY}") if os.path.exists(path)}
    new |= {f for f in files(folder) if CANARY in os.path.basename(f)}
    return {**found, "files_outside": sorted(new)}


#: What worker and daemon write for themselves: the log, what was handed over, and the daemon's state.
OWN = re.compile(
    r"artifacts/(artifact|log(\.1)?|(odd|lost)\d+\.spk)"
    r"|requests/state/(lock|audit\.jsonl|one\.log(\.1)?|state\.sqlite(-wal|-shm)?|(uploads|results|leases)/[0-9a-f./part]+)"
)


def files(folder):
    """Return the paths of all files below *folder*."""
    return {os.path.join(at, name) for at, _, names in os.walk(folder) for name in names}


def artifacts(count, folder, seed):
    """Load mutated artifacts into a worker under its watchdogs."""
    rng, whole = random.Random(seed), [artifact(n) for n in range(4)]
    folder.mkdir(parents=True)
    tally = {"artifacts": 0, "accepted": 0, "refused": 0, "crashes": 0, "hangs": 0}
    line, slowest, path = None, 0.0, folder / "artifact"
    for number in range(count):
        if line is None:
            line = Line(folder / f"worker{number}", 1024, 64, folder / "log")
            ask(line, {"do": "connect", "device": device().as_dict(), **line.limits})
        base = rng.choice(whole)
        path.write_bytes(mutated(base, rng) if rng.random() < 0.4 else repacked(base, rng))
        started = time.monotonic()
        try:
            header, _ = ask(line, {"do": "load", "path": str(path)})
            tally["accepted" if header["ok"] else "refused"] += 1
            error = header.get("error", {})
            if error and error["outcome"] != "bad_artifact" and error["diagnostics"][0]["code"] in ("E801", "E877"):
                tally["crashes"] += 1  # the reader answered with an exception that it does not know
                (folder / f"odd{number}.spk").write_bytes(path.read_bytes())
                print("odd:", number, error["diagnostics"][0]["message"][:200])
        except WorkerLost as error:
            tally["crashes" if error.is_crash else "hangs"] += 1
            (folder / f"lost{number}.spk").write_bytes(path.read_bytes())
            line = None
        slowest = max(slowest, time.monotonic() - started)
        tally["artifacts"] += 1
    left = []
    if line is not None:
        # The link to the worker's temporary folder is the daemon's own; nothing may lie behind it.
        left = sorted({*os.listdir(line.folder), *os.listdir(line.folder / "tmp")} - {"tmp"})
        line.end()
    return {**tally, "slowest_s": round(slowest, 3), "left_by_worker": left}


def ask(line, order):
    """Give an order under tight watchdogs."""
    return line.ask(order, b"", 60.0, 15.0, lambda: True)


def requests(count, folder, seed):
    """Hand mutated messages to the service, those of a client that has a lease among them."""
    rng = random.Random(seed + 1)
    service = Service(config(folder / "state", limits={"jobs": 2, "queue_all": 8, "queue_each": 4, "poll_s": 0.001}))
    service.start()
    tally = {"requests": 0, "answered": 0, "denied": 0, "request_crashes": 0, "request_hangs": 0}
    try:

        def lease():
            ask = {"id": rng.randbytes(8).hex(), "target": "", "features": [], "ttl_s": 3600.0, "client": "fuzz"}

            def poll():
                try:
                    answer, _ = wire.decode(service.call("acquire", None, "fuzz", wire.encode(ask)))
                except HilError as error:  # what was fuzzed before waits in the queue, until it is found to be nobody's
                    if error.diagnostics[0].code != "E871":
                        raise
                    return None
                return answer if answer["state"] == "granted" else None

            return until(poll, 300.0)  # those before us are given the device one after the other, and do not claim it

        held = lease()
        for number in range(count):
            if not number % 50 and service.book.of("one") is None:
                held = lease()
            method, header, body = valid(rng, held)
            data = struck(json.dumps(header).encode(), body, rng)
            started = time.monotonic()
            try:
                service.call(method, None, "fuzz", data)
                tally["answered"] += 1
            except SpikeportError:
                tally["denied"] += 1
            except Exception as error:
                tally["request_crashes"] += 1
                print("odd:", method, f"{type(error).__name__}: {error}"[:200], header)
            tally["request_hangs"] += time.monotonic() - started > 10.0
            tally["requests"] += 1
        last = service.book.of("one")
        if last is not None:
            service.book.over(last.id, "fuzzed")
        lease()  # the device is usable afterwards
    finally:
        service.stop()
    return tally


def struck(text, body, rng):
    """Return a message with something changed: below its check sum, where the reader gets to see it, or seldom above it."""
    how = rng.randrange(10)
    if how < 6:
        text = tampered(text, rng)
    if 4 <= how < 9:
        body = mutated(body, rng)
    data = wire.frame(text, body)
    return mutated(data, rng) if how == 9 else data


def valid(rng, held):
    """Return a request as a client makes it."""
    body, lease = wire.pack_arrays(INPUTS), {"lease": held["lease"], "fence": held["fence"], "client": "fuzz"}
    name, spk = rng.randbytes(8).hex(), artifact()
    run = {"record": "all", "record_state": True, "seed": 0, "timeout_s": 5.0}
    digest = hashlib.sha256(spk).hexdigest()
    return rng.choice([
        ("hello", {"protocol": 1, "spikeport": "0", "client": "fuzz"}, b""), ("devices", {"client": "fuzz"}, b""),
        ("acquire", {"id": name, "target": "", "features": [], "ttl_s": 1.0, "client": "other"}, b""),
        ("cancel", {"id": name, "client": "fuzz"}, b""), ("keep", {**lease, "acks": [name]}, b""),
        ("upload", {**lease, "sha256": digest, "total": len(spk), "offset": 0}, spk),
        ("do", {**lease, "do": "load", "id": name, "sha256": digest, "wait_s": 0.0}, b""),
        ("do", {**lease, "do": "run", "id": name, "wait_s": 0.0, **run}, body),
        ("do", {**lease, "do": "digest", "id": name}, b""), ("wait", {"id": name, "client": "fuzz"}, b""),
        ("fetch", {"id": name, "offset": 0, "client": "fuzz"}, b""),
        ("judge", {"device": "one", "reason": "x", "client": "fuzz"}, b""),
        (rng.choice(sorted(SCOPE)), {"client": "fuzz"}, b""),
    ])  # fmt: skip
