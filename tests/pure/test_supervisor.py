"""Which folders of killed keepers are removed: theirs, and nobody else's."""

import os
import socket
from pathlib import Path

import pytest

from asha_queue.training.supervisor import PREFIX, remove_stale


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files; sockets are named relative to it, as their paths are short."""
    monkeypatch.chdir(tmp_path)
    return Path(".")


def keeper_folder(parent: Path, name: str, age: float = 3600.0) -> tuple[Path, socket.socket]:
    folder = parent / f"{PREFIX}{name}"
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "keeper"))
    listener.listen()
    then = folder.stat().st_mtime - age
    os.utime(folder, (then, then))
    return folder, listener


def new_folder(parent: Path) -> Path:
    """The folder of the keeper that is about to start."""
    folder = parent / f"{PREFIX}mine"
    folder.mkdir()
    return folder


def test_the_folder_of_a_killed_keeper_is_removed(parent: Path) -> None:
    folder, listener = keeper_folder(parent, "dead")
    listener.close()
    remove_stale(new_folder(parent))
    assert not folder.exists()


def test_the_folder_of_a_living_keeper_stays(parent: Path) -> None:
    folder, listener = keeper_folder(parent, "alive")
    with listener:
        remove_stale(new_folder(parent))
        assert (folder / "keeper").is_socket()


def test_a_folder_that_was_just_made_stays(parent: Path) -> None:
    folder, listener = keeper_folder(parent, "new", age=0.0)
    listener.close()
    remove_stale(new_folder(parent))
    assert folder.exists()


def test_a_folder_that_was_just_made_stays_whatever_the_clock_says(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 2e10)
    folder, listener = keeper_folder(parent, "new", age=0.0)
    listener.close()
    remove_stale(new_folder(parent))
    assert folder.exists()


def test_what_a_dead_keeper_s_worker_left_in_the_folder_goes_with_it(parent: Path) -> None:
    folder, listener = keeper_folder(parent, "other")
    listener.close()
    (folder / "heap").touch()
    then = folder.stat().st_mtime - 3600
    os.utime(folder, (then, then))
    remove_stale(new_folder(parent))
    assert not folder.exists()
