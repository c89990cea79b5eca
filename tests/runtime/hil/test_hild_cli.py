"""``spikeport hild`` and ``spikeport devices`` as commands."""

import json
import stat

import pytest
from hil_bench import Process, running, until

from spikeport.runtime.cli.main import run_command


def test_devices_of_this_machine(capsys):
    assert run_command(["devices", "--json"]) == 0
    found = {d["name"]: d for d in json.loads(capsys.readouterr().out)["devices"]}
    assert found["reference"]["health"] == "free"
    assert run_command(["devices"]) == 0
    assert "engine" in capsys.readouterr().out


def test_devices_of_a_daemon(tmp_path, capsys):
    with Process(tmp_path / "state") as daemon:

        def health():
            assert run_command(["devices", "--url", daemon.url, "--json"]) == 0
            return json.loads(capsys.readouterr().out)

        found = until(lambda: (d := health())["devices"][0]["health"] == "free" and d)
        assert found["daemon"]["leases"] == 0
        assert found["daemon"]["audit_ok"]
        assert run_command(["devices", "--url", daemon.url]) == 0
        assert capsys.readouterr().out.startswith("one  sim reference")
        assert run_command(["devices", "--url", daemon.url, "--restore", "one"]) != 0
        assert "needs the scope admin" in capsys.readouterr().err


def test_nobody_there(capsys):
    assert run_command(["devices", "--url", "nonsense"]) == 2
    assert run_command(["devices", "--url", "hild://example.invalid:1"]) == 2
    assert "E879" in capsys.readouterr().err


def test_a_quarantine_is_lifted_by_an_admin(tmp_path, capsys):
    tokens, config = tmp_path / "tokens.toml", tmp_path / "hild.toml"
    config.write_text('[auth]\ntokens = "tokens.toml"\n')
    make = ["hild", "--config", str(config), "--new-token"]
    assert run_command([*make, "boss", "--scopes", "read,admin", "--days", "1"]) == 0
    secret = capsys.readouterr().out.strip()
    assert secret not in tokens.read_text()
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    assert run_command([*make, "boss"]) == 2  # there already
    capsys.readouterr()
    (tmp_path / "secret").write_text(secret + "\n")
    with running(tmp_path / "state", tokens=tokens) as daemon:
        call = ["devices", "--url", daemon.url, "--token-file", str(tmp_path / "secret"), "--json"]
        assert run_command([*call, "--quarantine", "one"]) == 0
        until(lambda: daemon.service.keepers["one"].info.health == "quarantined: by hand")
        assert run_command([*call, "--restore", "one"]) == 0
        until(lambda: daemon.service.keepers["one"].info.health == "free")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("lisen = 1", "lisen: unknown (did you mean 'listen'?)"), ("[devices.a]", "either a backend or a driver"),
        ("[limits]\nrun_s = -1", "is no number above 0"), ("[tls]\nkey = 'x'", "certificate and key are needed"),
        ("listen = 'here'", "is no HOST:PORT"), ("=", "hild.toml"), ("[devices.a]\nbackend = 1", "is no text"),
        ("[devices.a]\nbackend = 'engin'", "devices.a.backend: there is no backend 'engin' (did you mean 'engine'?)"),
        ("[devices.'a b']\nbackend = 'engine'", "with a name of letters"),
        ("listen = '0.0.0.0:1'", "there are no TLS and tokens"),
    ],
)  # fmt: skip
def test_a_configuration_that_is_wrong(tmp_path, capsys, text, what):
    (tmp_path / "hild.toml").write_text(text)
    assert run_command(["hild", "--config", str(tmp_path / "hild.toml"), "--state", str(tmp_path / "s")]) == 2
    assert what in capsys.readouterr().err
