"""How a process died, in words."""

import os
import signal
import subprocess

import pytest

from asha_queue.training.deaths import MemoryKills, cause


@pytest.mark.parametrize(
    ("status", "out_of_memory", "said"),
    [
        (None, False, ""),
        (None, True, ""),
        (0, False, ": exit code 0"),
        (3, True, ": exit code 3"),
        (-signal.SIGSEGV, False, ": killed by SIGSEGV"),
        (-signal.SIGSEGV, True, ": killed by SIGSEGV"),
        (-signal.SIGKILL, False, ": killed by SIGKILL"),
        (-signal.SIGKILL, True, ": out of memory, the kernel killed it"),
        (-40, False, ": killed by signal 40"),
    ],
)
def test_a_death_has_a_cause_if_its_status_is_known(
    status: int | None, out_of_memory: bool, said: str
) -> None:
    assert cause(status, out_of_memory) == said


def test_the_kernel_is_asked_also_about_a_process_that_is_gone() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    for pid in (os.getpid(), child.pid):
        assert not MemoryKills(pid).rose()
