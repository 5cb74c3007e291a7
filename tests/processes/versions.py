"""Earlier versions, as wheels of commits of this repository, beside the present one.

Each is installed into a folder of its own and runs from there (PYTHONPATH), on the dependencies
of this environment.
"""

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The last commit of version 0.1.0.
LAST = "dd18b48"
#: The first commit with experiments in a store.
FIRST = "20b27ca"


@dataclass(frozen=True, slots=True)
class Version:
    """A version that can be run: its number, and the environment that makes a process be of it."""

    number: str
    environment: dict[str, str]


def source(commit: str, folder: Path) -> Path:
    """The files of a commit, in `folder`."""
    known = ["git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{commit}}"]
    if subprocess.run(known, capture_output=True, check=False).returncode:
        pytest.skip(f"this clone does not have commit {commit}: git fetch --unshallow")
    folder.mkdir(parents=True)
    archive = folder.with_suffix(".tar")
    git = ["git", "-C", str(ROOT), "archive", f"--output={archive}", commit]
    subprocess.run([*git, "pyproject.toml", "README.md", "LICENSE", "asha_queue"], check=True)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def installed(commit: str, folder: Path) -> Path:
    """A folder with the wheel of a commit, built and installed without a network."""
    code, wheels, target = (
        source(commit, folder / "source"),
        folder / "wheels",
        folder / "installed",
    )
    offline = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    build = ["wheel", *offline, "--no-build-isolation", "--wheel-dir", str(wheels), str(code)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    [wheel] = wheels.glob("*.whl")
    install = ["install", *offline, "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    return target
