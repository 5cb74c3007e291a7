"""`asha-queue run --flower`: Flower beside a run, as long as the run."""

import re
import signal
import socket
import urllib.request

import psutil

from tests.chaos import processes
from tests.conftest import wait_until
from tests.processes.directory import Directory


def address(line: str) -> str:
    found = re.fullmatch(r"flower   (http://127\.0\.0\.1:\d+)\n", line)
    assert found, line
    return found[1]


def shows(url: str, text: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/experiments", timeout=20) as response:
            return text in response.read().decode()
    except OSError:
        return False


def flowers(directory: Directory) -> list[psutil.Process]:
    everything = processes.of_run(directory.mark, directory.path).values()
    return [one for found in everything for one in found if "flower" in one.cmdline()]


def test_flower_is_there_first_on_a_port_that_is_free_and_is_gone_with_a_run_that_is_killed(
    directory: Directory,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = directory.start("run", "exp.py", "--flower", STEP="0.5", FLOWER_PORT=str(port))
        assert run.stdout
        url = address(run.stdout.readline())
        assert not url.endswith(f":{port}")
        wait_until(lambda: shows(url, "quick"), "Flower shows the run")
        [flower] = flowers(directory)
        flower.kill()
        wait_until(lambda: flower.pid not in psutil.pids(), "the killed Flower is gone")
        wait_until(lambda: shows(url, "quick"), "another Flower shows it at the same address")
        assert run.poll() is None
        run.kill()
        wait_until(directory.nothing_left, "every process of the run has ended")


def test_flower_beside_a_run_on_a_broker_ends_with_it(directory: Directory, broker: str) -> None:
    run = directory.start("run", "exp.py", "--flower", "--broker", broker)
    assert run.stdout
    url = address(run.stdout.readline())
    wait_until(lambda: shows(url, "quick"), "Flower shows the run")
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=30) == 130
    assert directory.nothing_left()


def test_a_flower_that_does_not_start_costs_one_line(directory: Directory) -> None:
    run = directory.start("run", "exp.py", "--flower", STEP="0.2", FLOWER_MAX_TASKS="many")
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, out + err
    [line] = re.findall("flower has ended.*", out)
    assert "the run goes on without it: " in line
    assert "many" in line
    wait_until(directory.nothing_left, "every process of the run has ended")
