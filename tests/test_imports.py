"""Names by which the rooms may be imported. Directions between rooms are import-linter's (`make layers`)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOMS = ("ir", "hw_profiles", "compiler", "backends", "runtime", "models")
# Below the facade nobody uses the facade: that would be a circle.
BELOW_FACADE = ("ir", "hw_profiles", "compiler", "backends")


def python_files(root: Path) -> list[Path]:
    found = [root / "__init__.py"]
    for folder in (*ROOMS, "tests", "benchmarks"):
        found += sorted((root / folder).rglob("*.py"))
    return found


def imports(source: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yield line, module and imported names of each import; a relative import's module begins with dots."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or ""), tuple(a.name for a in node.names)


def bare(source: str) -> list[str]:
    return [
        f"{line}: {module}"
        for line, module, _ in imports(source)
        if module.split(".")[0] in (*ROOMS, "tests") or module.startswith((".", "spikeport.tests"))
    ]


def through_facade(source: str) -> list[str]:
    return [
        f"{line}: {module} {' '.join(names)}".strip()
        for line, module, names in imports(source)
        if module == "spikeport" and not (names and set(names) <= {*ROOMS, "__version__"})
    ]


def test_no_file_imports_a_bare_room(root: Path) -> None:
    wrong = {str(f.relative_to(root)): bare(f.read_text("utf-8")) for f in python_files(root)}
    assert {name: lines for name, lines in wrong.items() if lines} == {}


def test_no_room_below_the_facade_uses_it(root: Path) -> None:
    files = [f for f in python_files(root) if f.relative_to(root).parts[0] in BELOW_FACADE]
    wrong = {str(f.relative_to(root)): through_facade(f.read_text("utf-8")) for f in files}
    assert {name: lines for name, lines in wrong.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    ["import ir", "import compiler.passes as p", "from runtime.api import run", "from .graph import Graph",
     "from spikeport.tests import x", "def f():\n    import models"],
)  # fmt: skip
def test_bare_import_is_seen(line: str) -> None:
    assert bare(line)


@pytest.mark.parametrize("line", ["import spikeport.ir", "from spikeport.compiler import passes", "import irx"])
def test_full_import_is_not(line: str) -> None:
    assert not bare(line)


@pytest.mark.parametrize("line", ["import spikeport", "from spikeport import run", "from spikeport import ir, Graph"])
def test_facade_import_is_seen(line: str) -> None:
    assert through_facade(line)


@pytest.mark.parametrize("line", ["import spikeport.ir", "from spikeport import ir, __version__"])
def test_room_import_is_not_facade(line: str) -> None:
    assert not through_facade(line)
