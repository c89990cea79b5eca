"""The wheel holds the whole tree and nothing else; importing it is cheap and takes no foreign names."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOMS = ("ir", "hw_profiles", "compiler", "backends", "runtime", "models")
FACADE = ("compile", "load", "run", "check", "compare", "from_torch", "Target", "Report", "Graph", "Profile")
HEAVY = ("torch", "snntorch", "sinabs", "norse", "numba", "h5py", "nir", "brian2", "lava", "scipy", "sklearn")
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.py[cod]", "*.nb[ic]", ".*")


def source_files(root: Path) -> set[str]:
    """What the wheel must hold: root ``*.py`` and ``py.typed``, and every file of every room."""
    found = {f.name for f in root.glob("*.py")} | {"py.typed"}
    for room in ROOMS:
        for folder, subfolders, names in os.walk(root / room):
            hidden = NOT_SHIPPED(folder, [*subfolders, *names])
            subfolders[:] = [s for s in subfolders if s not in hidden]
            found |= {(Path(folder) / n).relative_to(root).as_posix() for n in names if n not in hidden}
    return found


@pytest.fixture(scope="session")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the tree in a folder that is not named spikeport."""
    tmp = tmp_path_factory.mktemp("wheel")
    copy = tmp / "another-name"
    copy.mkdir()
    for room in ROOMS:
        shutil.copytree(root / room, copy / room, ignore=NOT_SHIPPED)
    for file in root.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy2(file, copy)
    build = [sys.executable, "-P", "-m", "build", "--wheel", "--no-isolation"]
    command = [*build, "--outdir", str(tmp), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"build failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    (built,) = tmp.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def python(code: str, *, cwd: Path, path: Path | None = None, flags: Sequence[str] = ()) -> str:
    """Run code in a fresh interpreter, away from the tree, and return what it printed."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run([sys.executable, *flags, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_the_tree_and_nothing_else(root: Path, contents: set[str]) -> None:
    shipped = {name.removeprefix("spikeport/") for name in contents if ".dist-info/" not in name}
    expected = source_files(root)
    assert sorted(expected - shipped) == [], "in the tree, not in the wheel: list it in setup.cfg"
    assert sorted(shipped - expected) == [], "in the wheel, not in the tree"


def test_every_package_is_listed(root: Path) -> None:
    config = ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    listed = config["options"]["packages"].split()
    folders = {f.parent for room in ROOMS for f in (root / room).rglob("*.py")}
    found = {".".join(("spikeport", *folder.relative_to(root).parts)) for folder in folders} | {"spikeport"}
    assert sorted(listed) == sorted(found)
    bare = [str(folder.relative_to(root)) for folder in folders if not (folder / "__init__.py").is_file()]
    assert bare == [], "a folder with Python files and without __init__.py"


def test_no_other_python_file_at_the_root(root: Path) -> None:
    assert [f.name for f in root.glob("*.py")] == ["__init__.py"]


def test_tests_are_no_packages(root: Path) -> None:
    assert list((root / "tests").rglob("__init__.py")) == []


def test_metadata(wheel: Path, contents: set[str]) -> None:
    import spikeport

    dist_info = f"spikeport-{spikeport.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{dist_info}/METADATA").decode()
        entry_points = archive.read(f"{dist_info}/entry_points.txt").decode()
    assert f"Version: {spikeport.__version__}\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
    assert f"{dist_info}/licenses/LICENSE" in contents
    assert "spikeport = spikeport.runtime.cli.main:main" in entry_points


def test_entry_points_load_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import importlib.metadata as m, json, spikeport\n"
        "d = next(m.distributions(name='spikeport'))\n"
        "for e in d.entry_points: e.load()\n"
        "print(json.dumps([spikeport.__file__, sorted(e.name for e in d.entry_points)]))"
    )
    file, names = json.loads(python(code, cwd=tmp_path, path=tmp_path / "site"))
    assert Path(file).parent == tmp_path / "site" / "spikeport"
    assert names == ["brian2", "engine", "lava", "reference", "spikeport", "spikeport_hil", "spinnaker"]


def test_console_script_is_installed() -> None:
    script = Path(sys.executable).with_name("spikeport")
    assert script.is_file(), "run `make env`"
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "spikeport" in done.stdout


def test_import_is_light(tmp_path: Path) -> None:
    loaded = set(python("import sys, spikeport; print(*sys.modules, sep='\\n')", cwd=tmp_path).split())
    assert sorted(loaded & set(HEAVY)) == []
    assert sorted(m for m in loaded if m.startswith("spikeport.")) == []


@pytest.mark.parametrize("name", FACADE)
def test_facade_name_resolves(name: str) -> None:
    import spikeport

    assert name in spikeport.__all__
    assert name in dir(spikeport)
    assert getattr(spikeport, name) is not None


def test_facade_refuses_other_names() -> None:
    import spikeport

    with pytest.raises(AttributeError, match="module 'spikeport' has no attribute 'complie'"):
        _ = spikeport.complie


@pytest.mark.parametrize("room", ROOMS)
def test_no_bare_name_is_importable(room: str, tmp_path: Path) -> None:
    code = f"import importlib.util; print(importlib.util.find_spec({room!r}))"
    assert python(code, cwd=tmp_path).strip() == "None"
