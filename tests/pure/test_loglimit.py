"""A log that is kept short: its beginning, a line at the cut, and its end."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asha_queue.training.loglimit import FIRST, LAST, LIMIT, LINE, MARK, LogLimit, cut_at
from tests.conftest import wait_until


@pytest.fixture
def log(tmp_path: Path) -> Iterator[int]:
    """Descriptor of a file `log`, open as a program's output is."""
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield descriptor
    os.close(descriptor)


def lines(begin: int, count: int) -> bytes:
    return b"".join(b"line %010d\n" % number for number in range(begin, begin + count))


def cut(text: bytes) -> tuple[bytes, int, bytes]:
    """What is before the line of the cut, the bytes that it says were cut, and what is after."""
    before, said, rest = text.partition(MARK.encode())
    assert said
    line, _, after = rest.partition(b"\n")
    return before, int(line.split()[0].replace(b",", b"")), after


def test_a_long_log_keeps_its_first_lines_its_last_ones_and_what_comes_after(
    tmp_path: Path, log: int
) -> None:
    path = tmp_path / "log"
    limit = LogLimit()
    limit.begin(path)
    total = LIMIT // 16 + 1000
    written = lines(0, total)
    os.write(log, written)
    wait_until(lambda: is_cut(path), "it is cut")
    wait_until(lambda: MARK.encode() in path.read_bytes(), "the line is written")
    os.write(log, b"and then\n")
    before, count, after = cut(path.read_bytes())
    assert written.startswith(before)
    assert FIRST - LINE < len(before) <= FIRST
    assert (written + b"and then\n").endswith(after)
    assert LAST - 16 <= len(after) - len("and then\n") <= LAST
    assert count == len(written) + len("and then\n") - len(before) - len(after)
    assert cut_at(path) == len(before)


def is_cut(path: Path) -> bool:
    """Whether it is short, and the line that says so is written."""
    return path.stat().st_size < LIMIT and MARK.encode() in path.read_bytes()


def test_a_log_is_cut_again_and_the_line_counts_all_that_is_gone(tmp_path: Path, log: int) -> None:
    path = tmp_path / "log"
    limit = LogLimit()
    limit.begin(path)
    written = 0
    for turn in range(3):
        room = LIMIT - path.stat().st_size
        text = lines(10**7 * turn, LIMIT // 16 + 1000)[: room + 1000]
        written += os.write(log, text[:room])
        written += os.write(log, text[room:])  # small: it is cut afterwards, and not meanwhile
        wait_until(lambda: is_cut(path), "it is cut")
    limit.end(path)
    wait_until(lambda: path.read_bytes().count(MARK.encode()) == 1, "the line is written")
    before, count, after = cut(path.read_bytes())
    assert count == written - len(before) - len(after)
    assert text.endswith(after[-LAST // 2 :])


def test_the_last_look_comes_when_the_segment_has_ended(tmp_path: Path, log: int) -> None:
    path = tmp_path / "log"
    limit = LogLimit()
    limit.begin(path)
    os.write(log, b"x" * (LIMIT + 1))  # no line at all
    limit.end(path)
    wait_until(lambda: is_cut(path), "it is cut")
    assert cut(path.read_bytes())[1] == LIMIT + 1 - FIRST - LAST


def test_a_short_log_and_one_that_is_not_there_are_left_alone(tmp_path: Path, log: int) -> None:
    limit = LogLimit()
    limit.begin(tmp_path / "none")
    limit.begin(tmp_path / "log")
    os.write(log, lines(0, 10))
    for name in ("none", "log"):
        limit.end(tmp_path / name)
    wait_until(lambda: not limit._logs, "both were looked at")
    assert (tmp_path / "log").read_bytes() == lines(0, 10)
    assert not (tmp_path / "none").exists()
    assert cut_at(tmp_path / "log") == len(lines(0, 10))
