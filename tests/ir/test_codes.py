import re
from pathlib import Path

import pytest

from spikeport.ir.codes import CODES, FAMILIES, explanation
from spikeport.ir.diagnostics import UsageError

ROOMS = ("ir", "hw_profiles", "compiler", "backends", "runtime", "models")


def used(root: Path) -> dict[str, list[str]]:
    """Return the codes that the source gives to findings, each with its files."""
    found: dict[str, list[str]] = {}
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            if file.parent != root / "ir" / "codes":
                for code in re.findall(r"[\"'](E\d{3})[\"']", file.read_text("utf-8")):
                    found.setdefault(code, []).append(str(file.relative_to(root)))
    # The one code that is raised where the table stands.
    found.setdefault("E602", ["ir/codes/__init__.py"])
    return found


def test_every_code_that_is_used_is_explained(root):
    assert {code: files for code, files in used(root).items() if code not in CODES} == {}


def test_every_code_that_is_explained_is_used(root):
    assert sorted(set(CODES) - set(used(root))) == []


def test_codes_in_docstrings_and_texts_exist(root):
    named = {}
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            text = re.sub(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)*", "", file.read_text("utf-8"))  # ruff's codes are not ours
            for code in re.findall(r"\bE\d{3}\b(?!\s*-)", text):
                named.setdefault(code, str(file.relative_to(root)))
    assert {code: file for code, file in named.items() if code not in CODES} == {}


def test_entries_are_whole():
    for code, entry in CODES.items():
        assert entry.code == code
        assert re.fullmatch(r"E[0-9]\d\d", code)
        assert code[1] in FAMILIES
        assert entry.title
        assert not entry.title.endswith(".")
        assert entry.text.endswith(".")
        assert len(entry.text) > 30
    assert len({e.title for e in CODES.values()}) == len(CODES)
    assert list(CODES) == sorted(CODES)


def test_explanation():
    assert explanation(" e203 ") is CODES["E203"]
    with pytest.raises(UsageError, match="E602") as caught:
        explanation("E204")
    assert "codes about shapes: E201, E202, E203" in str(caught.value)
    with pytest.raises(UsageError, match="codes look like E203"):
        explanation("nonsense")
