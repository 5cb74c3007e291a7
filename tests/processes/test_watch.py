"""`asha-queue status --watch` as a user calls it, on a pipe and on a terminal."""

import io
import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from itertools import islice, pairwise

import pytest

from asha_queue.cli import watching
from asha_queue.coordinator.loop import Coordinator
from asha_queue.store import connect
from asha_queue.store.contract import Outcome, ScheduledSegment
from tests.conftest import free_port, wait_until
from tests.processes.directory import Directory
from tests.processes.servers import Valkey
from tests.server.test_coordinator import drive, submitted


class Watch:
    """A watch whose output is read as it comes, from a pipe or a terminal of 80 by 24."""

    def __init__(self, *arguments: str, terminal: bool, directory: Directory | None) -> None:
        self._source, out = pty.openpty() if terminal else os.pipe()
        if terminal:
            termios.tcsetwinsize(out, (24, 80))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "asha_queue", "status", "--watch", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=directory.path if directory else None,
            env=(directory.environment if directory else os.environ) | {"TERM": "xterm"},
        )
        os.close(out)
        self._read = b""
        self._reader = threading.Thread(target=self._follow)
        self._reader.start()

    def _follow(self) -> None:
        with suppress(OSError):  # a terminal says so that nobody writes to it any more
            while more := os.read(self._source, 65536):
                self._read += more

    @property
    def text(self) -> str:
        """All that it has printed, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._read.decode(errors="replace"))

    @property
    def cursor(self) -> bool:
        """Whether the terminal shows its cursor."""
        return self._read.rfind(b"\x1b[?25h") >= self._read.rfind(b"\x1b[?25l")

    def ends(self) -> int:
        """Its exit code, when it has ended and all is read."""
        code = self.process.wait(timeout=30)
        self._reader.join(timeout=30)
        return code

    def close(self) -> None:
        self.process.kill()
        self.ends()
        os.close(self._source)


@contextmanager
def watch(
    *arguments: str, terminal: bool = False, directory: Directory | None = None
) -> Iterator[Watch]:
    watch = Watch(*arguments, terminal=terminal, directory=directory)
    try:
        yield watch
    finally:
        watch.close()


def once(after: int, look: Callable[[], None]) -> Callable[[Coordinator], Coordinator]:
    """Has a look taken in the middle of an experiment that is driven."""
    steps = iter(range(after + 1))

    def between(coordinator: Coordinator) -> Coordinator:
        if next(steps, None) == after:
            look()
        return coordinator

    return between


def wait_for(seen: Watch, pattern: str) -> None:
    wait_until(lambda: re.search(pattern, seen.text), f"{pattern} is shown")


#: That trials were started, but not all.
BEGUN = r"trials [12]?\d/30"


def test_a_pipe_gets_a_line_when_something_has_changed_and_the_picture_at_the_end(
    broker: str,
) -> None:
    store = connect(broker)
    uid = submitted(store)
    with watch("sums", "--broker", broker) as seen:
        wait_for(seen, r"sums running \| trials 0/30")
        drive(store, uid, 2, once(15, lambda: wait_for(seen, BEGUN.replace("?", "*"))))
        assert seen.ends() == 0
        lines = seen.text.splitlines()
        assert [line for line in lines if line.startswith("sums finished | trials 30/30")]
        assert lines[-4].startswith("rung  level")
    store.close()


def test_json_is_an_object_per_line_when_something_has_changed(broker: str) -> None:
    store = connect(broker)
    uid = submitted(store)
    with watch("sums", "--json", "--broker", broker) as seen:
        wait_for(seen, "\n")
        drive(store, uid, 2, once(15, lambda: wait_for(seen, "\n.*\n")))
        assert seen.ends() == 0
        lines = seen.text.splitlines()
        views = [json.loads(line) for line in lines]
        assert views[0]["trials"]["started"] == 0
        assert 0 < views[1]["trials"]["started"] < 30
        assert views[-1]["state"] == "finished"
        assert all(one != two for one, two in pairwise(lines))
    store.close()


def test_a_value_that_is_no_number_is_a_text_in_json_too(broker: str) -> None:
    store = connect(broker)
    uid = submitted(store)
    segment = ScheduledSegment(0, 0, 0, 1, {"x": 0.5})
    assert store.schedule(uid, store.describe(uid).last, uuid.uuid4().hex, [segment]) == "ok"
    claim = store.claim(uid, 0, 0, 1, uuid.uuid4().hex, "w@test")
    store.start(uid, 0, claim.token, 0)
    outcome = Outcome({"loss": math.nan}, 1, None, 0.1, [[1, {"loss": math.nan}]])
    assert store.complete(uid, 0, claim.token, outcome) == "ok"
    store.cancel(uid, uuid.uuid4().hex, "me", "")
    with watch("sums", "0", "--json", "--broker", broker) as seen:
        assert seen.ends() == 0
        [line] = seen.text.splitlines()
        assert "NaN" in json.loads(line, parse_constant=pytest.fail)["rungs"][0].values()
    store.close()


def test_time_that_goes_by_is_no_news(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = connect(broker)
    uid = submitted(store)
    drive(store, uid, 2)
    monkeypatch.setattr(watching, "EVERY", 0.0)
    shown: list[dict] = []
    looks = watching._looks(broker, None, None, watching._Objects())
    out = io.StringIO()
    with redirect_stdout(out):
        objects = watching._Objects()
        for look, facts in islice(looks, 5):
            shown.append(facts)
            objects.show(look, facts)
    looks.close()
    ages = [facts["experiments"][0]["age"] for facts in shown]
    assert ages == sorted({*ages})
    [line] = out.getvalue().splitlines()
    assert json.loads(line)["experiments"][0]["age"] == ages[0]
    store.close()


def test_everything_is_watched_until_ctrl_c(broker: str) -> None:
    store = connect(broker)
    with watch("--broker", broker) as seen:
        wait_for(seen, "no experiments; start one")
        drive(store, submitted(store), 2)
        wait_for(seen, "sums finished")
        wait_for(seen, "worker cpu1@test is there\n")
        seen.process.send_signal(signal.SIGINT)
        assert seen.ends() == 130
        assert "Traceback" not in seen.text
        assert seen.text.count("sums finished") == seen.text.count("worker cpu1@test") == 1
    store.close()


def test_a_trial_is_watched_until_nothing_more_can_happen_to_it(broker: str) -> None:
    store = connect(broker)
    uid = submitted(store)
    with ExitStack() as stack:
        watches: list[Watch] = []

        def begin() -> None:
            seen = stack.enter_context(watch("sums", "0", "--broker", broker))
            watches.append(seen)
            wait_for(seen, "trial 0  ")

        drive(store, uid, 2, once(10, begin))
        [seen] = watches
        assert seen.ends() == 0
        first, last = re.findall(r"(?s)trial 0  (.*?)(?=trial 0  |$)", seen.text)
        assert first.startswith(("running", "waiting", "queued"))
        assert last.startswith(("stopped", "done"))
        assert "completed at" in last
    store.close()


def test_a_terminal_is_redrawn_and_keeps_the_last_picture(broker: str) -> None:
    store = connect(broker)
    uid = submitted(store)
    with watch("sums", "--broker", broker, terminal=True) as seen:
        wait_for(seen, "sums  running  trials 0/30")
        drive(store, uid, 2, once(15, lambda: wait_for(seen, f"running  {BEGUN}")))
        assert seen.ends() == 0
        last = seen.text[seen.text.rindex("sums  finished  trials 30/30") :]
        assert "best loss=" in last
        assert "rung  level  results" in last
        assert seen.cursor
    store.close()


def test_ctrl_c_on_a_terminal_leaves_it_as_it_was(broker: str) -> None:
    with watch("--broker", broker, terminal=True) as seen:
        wait_for(seen, "no experiments")
        assert not seen.cursor
        seen.process.send_signal(signal.SIGINT)
        assert seen.ends() == 130
        assert seen.cursor
        assert "Traceback" not in seen.text


def test_a_server_that_goes_away_is_told_once_and_the_watch_goes_on(server: Valkey) -> None:
    store = connect(server.url)
    uid = submitted(store)
    with watch("sums", "--broker", server.url) as seen:
        wait_for(seen, "sums running")
        server.kill()
        wait_for(seen, "does not answer: .*; trying again")
        server.start()
        drive(store, uid, 2)
        assert seen.ends() == 0
        assert "sums finished" in seen.text
        assert seen.text.count("trying again") == 1
    store.close()


def test_a_server_that_is_not_there_at_the_beginning_is_an_error() -> None:
    with watch("--broker", f"redis://127.0.0.1:{free_port()}/0") as seen:
        assert seen.ends() == 2
        assert "does not answer" in seen.text


def test_a_watch_outlives_a_run_of_its_directory_and_does_not_keep_the_next_one_from_workers(
    directory: Directory,
) -> None:
    directory.call("run", "exp.py", "--workers", "2")
    with watch(directory=directory) as all_of_it:
        wait_for(all_of_it, "quick finished")
        wait_for(all_of_it, "no run is going on in this directory; trying again")
        run = directory.start("run", "exp.py", "--workers", "2", "--fresh", STEP="0.5")
        wait_for(all_of_it, "quick running")
        with watch("quick", directory=directory) as one:
            wait_for(one, "quick running")
            out, err = run.communicate(timeout=60)
            assert run.returncode == 0, out + err
            assert one.ends() == 0
            assert "quick finished" in one.text
