"""What wakes a keeper, and when."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asha_queue.training.hearing import REST, Hearing

#: Seconds in which a wait that has news ends, on any machine.
SOON = 10.0


@pytest.fixture
def hearing(tmp_path: Path) -> Iterator[Hearing]:
    made = Hearing(str(tmp_path / "keeper" / "socket"))
    yield made
    signal.set_wakeup_fd(-1)
    # a keeper has it for life
    for selector in (made._lines, made._selector):
        keys = [
            key for key in selector.get_map().values() if isinstance(key.fileobj, socket.socket)
        ]
        for key in keys:
            key.fileobj.close()  # type: ignore[union-attr]
        selector.close()
    made._wake.close()


def connected(hearing: Hearing) -> tuple[socket.socket, socket.socket]:
    """Both ends of a new line."""
    there = socket.socket(socket.AF_UNIX)
    there.connect(hearing._listener.getsockname())
    [here] = hearing.wait(SOON)
    return there, here


def seconds(hearing: Hearing, at_most: float) -> float:
    """How long it waits."""
    began = time.monotonic()
    assert not hearing.wait(at_most)
    return time.monotonic() - began


def test_what_is_said_after_something_was_heard_wakes_nobody_for_a_while(hearing: Hearing) -> None:
    there, here = connected(hearing)
    there.sendall(b"claiming\n")
    assert seconds(hearing, SOON) < SOON
    assert here.recv(100) == b"claiming\n"
    there.sendall(b"claimed\n")
    assert seconds(hearing, REST / 4) >= REST / 4
    assert REST / 2 <= seconds(hearing, SOON) + REST / 2 < SOON
    assert here.recv(100) == b"claimed\n"
    there.close()


def test_the_end_of_a_process_is_heard_at_once_while_lines_are_not(hearing: Hearing) -> None:
    there, _ = connected(hearing)
    process = subprocess.Popen(["sleep", "100"])
    descriptor = os.pidfd_open(process.pid)
    hearing.add(descriptor)
    there.sendall(b"claiming\n")
    hearing.wait(SOON)
    there.sendall(b"claimed\n")
    process.kill()
    process.wait()
    assert seconds(hearing, SOON) < SOON
    hearing.drop(descriptor)
    os.close(descriptor)
    there.close()


def test_a_line_that_is_closed_wakes_nobody(hearing: Hearing) -> None:
    there, here = connected(hearing)
    there.close()
    hearing.wait(SOON)
    hearing.close(here)
    here.close()
    assert seconds(hearing, 2 * REST) >= 2 * REST
