"""Reading what attempts have printed: bounded, inside the experiment's folder, never an error."""

import io
import os
from pathlib import Path

import pytest

from asha_queue.logs import TAIL, Logs
from asha_queue.training.output import redirected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an experiment, with the log `hello` of trial 3, rung 1, attempt 2."""
    path = Logs(tmp_path / "runs/digits").path(3, 1, 2)
    path.parent.mkdir(parents=True)
    path.write_text("hello\n")
    return tmp_path / "runs/digits"


def test_a_log_is_read_where_the_worker_writes_it(tmp_path: Path) -> None:
    logs = Logs(tmp_path / "digits")
    with redirected(logs.path(3, 1, 2)):
        os.write(1, "schön \xff".encode() + b"\xff\n")
    found = logs.tail(3, 1, 2)
    assert (found.text, found.why) == ("schön ÿ\ufffd\n", "")


def test_the_end_of_a_long_log_begins_with_a_whole_line_and_says_what_is_left_out(
    folder: Path,
) -> None:
    logs = Logs(folder)
    lines = "".join(f"line {number:06d}\n" for number in range(10_000))
    logs.path(3, 1, 2).write_text(lines)
    found = logs.tail(3, 1, 2)
    assert found.text
    assert TAIL - 12 < len(found.text) <= TAIL
    assert lines.endswith(found.text)
    assert found.text.startswith("line ")
    assert found.why == f"the first {120_000 - len(found.text):,} of 120,000 bytes are left out"
    assert logs.tail(3, 1, 2, most=24).text == "line 009999\n"


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_single_line_that_is_too_long_is_shown_from_its_middle_on(folder: Path, end: str) -> None:
    logs = Logs(folder)
    logs.path(3, 1, 2).write_text("x" * 200 + end)
    assert logs.tail(3, 1, 2, most=50).text == "x" * (50 - len(end))


def test_colours_are_left_out_and_of_a_progress_bar_its_last_state_is_shown(folder: Path) -> None:
    logs = Logs(folder)
    bar = b"".join(b"\r%3d%%" % part for part in range(101))
    logs.path(3, 1, 2).write_bytes(b"\x1b[1;31mred\x1b[0m\r\n" + bar + b"\nend\x1b[2K")
    assert logs.tail(3, 1, 2).text == "red\n100%\nend"


def test_a_storage_that_is_not_mounted_here_is_said_to_be_so(tmp_path: Path) -> None:
    found = Logs(tmp_path / "elsewhere").tail(0, 0, 1)
    assert found.text is None
    assert found.why == (
        f"the output is not on this machine: {tmp_path / 'elsewhere'} does not exist here"
    )


def test_an_attempt_without_a_log_is_told_with_its_path(folder: Path) -> None:
    found = Logs(folder).tail(3, 1, 3)
    assert found.text is None
    assert found.why == f"no output: {found.path}: No such file or directory"


@pytest.mark.parametrize("linked", ["file", "folder", "loop"])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder: Path, linked: str) -> None:
    secret = folder.parent / "secret"
    secret.mkdir()
    (secret / "rung1-attempt2.log").write_text("password")
    logs = Logs(folder)
    path = logs.path(3, 1, 2)
    path.unlink()
    if linked == "file":
        path.symlink_to(secret / "rung1-attempt2.log")
    elif linked == "loop":
        path.symlink_to(path)
    else:
        path.parent.rmdir()
        path.parent.symlink_to(secret, target_is_directory=True)
    found = logs.tail(3, 1, 2)
    assert found.text is None
    assert found.why.startswith(f"no output: {path}: ")
    with pytest.raises(OSError):  # noqa: PT011 - whichever the system says
        logs.copy(3, 1, 2, 0, io.BytesIO())


def test_a_storage_that_is_itself_reached_by_a_link_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mount").symlink_to(folder.parent, target_is_directory=True)
    assert Logs(tmp_path / "mount/digits").tail(3, 1, 2).text == "hello\n"


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(folder: Path) -> None:
    logs = Logs(folder)
    path = logs.path(3, 1, 2)
    path.unlink()
    os.mkfifo(path)
    found = logs.tail(3, 1, 2)
    assert found.why == f"no output: {path}: it is no file"


def test_following_copies_only_what_came_since(folder: Path) -> None:
    logs, out = Logs(folder), io.BytesIO()
    seen = logs.copy(3, 1, 2, 0, out)
    with logs.path(3, 1, 2).open("a") as file:
        file.write("again\n")
    assert logs.copy(3, 1, 2, seen, out) == len("hello\nagain\n")
    assert out.getvalue() == b"hello\nagain\n"
