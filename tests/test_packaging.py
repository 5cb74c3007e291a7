"""What is installed: the wheel holds all of the package and nothing else, and it works."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PARTS = ["pyproject.toml", "README.md", "LICENSE", "asha_queue", "workers", "tests"]


def output(*command: str | Path, cwd: Path, **more: str) -> str:
    """Standard output of a command that succeeds; `more` is added to its environment."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | more
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the project, built without a network."""
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist", "."]
    output(sys.executable, "-m", "pip", *build, cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment with the wheel; its dependencies are those of this one."""
    home = tmp_path_factory.mktemp("installed")
    output(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    python = home / "bin" / "python"
    install = ["install", "--no-deps", "--no-index", str(wheel)]
    output(sys.executable, "-m", "pip", "--python", python, *install, cwd=home)
    # a folder named in a .pth file is searched for modules; .pth files in it are not followed,
    # so the editable install of this environment stays out
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "asha_queue"
    expected = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        assert expected - set(archive.namelist()) == set()
    assert "asha_queue/py.typed" in expected
    assert any(name.endswith(".lua") for name in expected)


def test_the_wheel_holds_nothing_but_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert tops == {"asha_queue", f"asha_queue-{version}.dist-info"}


def test_an_installed_wheel_is_what_is_imported_and_brings_no_workers(python: Path) -> None:
    code = (
        "import asha_queue, importlib.util as u; print(asha_queue.__file__, u.find_spec('workers'))"
    )
    file, workers = output(python, "-c", code, cwd=python.parent).split()
    assert Path(file).is_relative_to(python.parent.parent)
    assert workers == "None"


def test_every_module_of_an_installed_wheel_can_be_imported(python: Path) -> None:
    code = (
        "import asha_queue, importlib, pkgutil\n"
        "for m in pkgutil.walk_packages(asha_queue.__path__, 'asha_queue.'):\n"
        "    if m.name != 'asha_queue.__main__':\n"
        "        print(importlib.import_module(m.name).__name__)\n"
    )
    broker = "redis://127.0.0.1:1/0"  # named, and not connected to
    imported = output(
        *(python, "-W", "error", "-c", code), cwd=python.parent, ASHA_QUEUE_BROKER=broker
    ).split()
    assert {"asha_queue.celery", "asha_queue.cli", "asha_queue.store"} <= set(imported)


def test_the_command_and_the_module_print_the_version_that_is_installed(python: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    home = python.parent
    script = output(home / "asha-queue", "version", cwd=home)
    assert version in script
    assert output(python, "-m", "asha_queue", "version", cwd=home) == script
    assert output(sys.executable, "-m", "asha_queue", "version", cwd=home) == script


def test_importing_asha_queue_loads_none_of_its_dependencies() -> None:
    code = "import sys, asha_queue; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = output(sys.executable, "-c", code, cwd=ROOT).split()
    assert "asha_queue" in loaded
    assert {"celery", "flower", "kombu", "numpy", "pydantic", "redis"} & set(loaded) == set()


def test_every_public_name_is_there() -> None:
    import asha_queue

    assert {"Experiment", "Trial", "Result", "choice", "loguniform"} <= set(asha_queue.__all__)
    for name in asha_queue.__all__:
        assert getattr(asha_queue, name) is not None
        assert name in dir(asha_queue)


def test_everything_that_is_imported_is_declared() -> None:
    """A fresh environment has the declared requirements and theirs, and nothing else."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "import importlib, pkgutil, asha_queue, kombu.transport.redis, celery.bin.worker\n"
        "for found in pkgutil.walk_packages(asha_queue.__path__, 'asha_queue.'):\n"
        "    if not found.name.endswith(('__main__', 'asha_queue.celery')):\n"
        "        importlib.import_module(found.name)\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    owners = importlib.metadata.packages_distributions()
    # which of its packages owns a name that they share is not told
    mine = [name for name in loaded if name in owners and name != "opentelemetry"]
    needed = {canonical(owners[name][0]) for name in mine}
    assert {"celery", "redis", "packaging"} <= needed
    # what is used where it is installed, and nowhere needed
    optional = {"greenlet", "cryptography", "cffi", "xxhash"}
    assert needed - declared("asha-queue", frozenset({"optuna"})) - optional == set()


def declared(distribution: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """The distribution and all that it requires, however deep, by their canonical names."""
    found: set[str] = set()
    waiting = [(canonical(distribution), extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            texts = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        found.add(name)
        for text in texts:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in {"", *wanted}):
                waiting.append((canonical(requirement.name), frozenset(requirement.extras)))
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
