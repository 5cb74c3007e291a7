"""The README's walk-through of a fleet: every command, word by word, on hosts of their own.

Only host names, ports and folders are replaced, and the experiments are made small. `scp` copies
into the other host's folder; `valkey-server` is Valkey behind a TLS port. Where there is no network
of one's own, hosts are names alone, and a pulled plug is SIGKILL of everything under one.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
import redis

from asha_queue.search.rules import check
from asha_queue.store import connect, keys
from asha_queue.store.contract import Store
from asha_queue.store.users import ADMIN, Users
from asha_queue.views import journal
from tests.chaos import processes
from tests.conftest import free_port, wait_until
from tests.processes.network import Network, network
from tests.processes.test_readme import BIN, README, ROOT

SECTION = README.partition("\n## A fleet for a team\n")[2].partition("\n## ")[0]
#: What is typed into a terminal, one after the other.
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", SECTION, flags=re.M)]
EXPERIMENTS = ("digits", "wide")
TRIALS = 24
#: Variables of whoever runs the tests that would have a say.
UNSET = ("ASHA_QUEUE_BROKER", "CELERY_BROKER_URL", "ASHA_QUEUE_STORAGE", "ASHA_QUEUE_PROGRAMS")


class Segment(NamedTuple):
    """A segment in training."""

    experiment: str
    trial: int
    worker: str
    steps: int
    #: Of the entry that says so.
    at: float


class Fleet:
    """The machines: a folder for each, which is its home, and what runs in their terminals."""

    def __init__(self, folder: Path, made: Network | None) -> None:
        self.folder = folder
        self.network = made
        self.address = made.address if made else "127.0.0.1"
        self.port = free_port()
        self.shared = folder / "shared"
        self.mark = os.urandom(8).hex()
        self._before: dict[str, list[str]] = {"head": []}
        self._started: list[subprocess.Popen[bytes]] = []
        for name in ("head", "node-a", "node-b"):
            (folder / name).mkdir()
            if made and name != "head":
                self._before[name] = made.host(name)
        (folder / "bin").mkdir()
        self._tool("scp", f'cp "$1" "{folder}/${{2%:}}/"')
        self._tool(
            "valkey-server",
            f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m tests.processes.tls_server "$@"',
        )
        (self.shared / "programs").mkdir(parents=True)
        self.pace(0.1)
        self._write_programs()

    def _tool(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _write_programs(self) -> None:
        """The experiments of the README, smaller; long segments take as long as the test likes."""
        [wide] = re.findall(r"```toml\n(.*?)```", SECTION, flags=re.S)
        smaller = wide.replace("num_samples = 256", f"num_samples = {TRIALS}")
        (self.shared / "programs/wide.toml").write_text(smaller.replace("= 64\n", "= 16\n"))
        source = (ROOT / "workers/digits.py").read_text()
        wait = f"        time.sleep(trial.rung and float(open({str(self._pace)!r}).read()))\n"
        for old, new in (
            ("num_samples=256", f"num_samples={TRIALS}"),
            ("max_t=64", "max_t=16"),
            ("import json\n", "import json\nimport time\n"),
            ("        model.fit_one_epoch()\n", f"        model.fit_one_epoch()\n{wait}"),
        ):
            assert source.count(old) == 1, old
            source = source.replace(old, new)
        (self.shared / "programs/digits.py").write_text(source)

    @property
    def _pace(self) -> Path:
        return self.shared / "pace"

    def pace(self, seconds: float) -> None:
        """How long a step takes at least, but in the first rung."""
        draft = self._pace.with_suffix(".new")
        draft.write_text(str(seconds))
        draft.rename(self._pace)

    def here(self, block: str) -> str:
        """The commands with the names, ports and folders that there are here."""
        for old, new in (
            ("head:6379", f"{self.address}:{self.port}"),
            ("--tls-port 6379", f"--tls-port {self.port}"),
            ("~/fleet head\n", f"~/fleet {self.address}\n"),
            ("/shared", str(self.shared)),
        ):
            block = block.replace(old, new)
        return block

    def environment(self, host: str) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name not in UNSET} | {
            "HOME": str(self.folder / host),
            "PATH": f"{self.folder / 'bin'}:{BIN}:{os.environ['PATH']}",
            "CUDA_VISIBLE_DEVICES": "",
            "ASHA_QUEUE_TEST_ADDRESS": self.address,
            processes.MARK: self.mark,
            **({} if self.network or host == "head" else {"ASHA_QUEUE_HOST": host}),
        }

    def type(self, block: str, host: str = "head", folder: Path | None = None) -> str:
        """What the commands print, which all end well."""
        done = subprocess.run(
            ["bash", "-euc", self.here(block)],
            cwd=folder or self.folder / host,
            env=self.environment(host),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, block: str, host: str = "head") -> subprocess.Popen[bytes]:
        """Opens a terminal, in which the last command goes on; the terminal becomes it."""
        script, found = re.subn(
            r"^(?=valkey-server|asha-queue)", "exec ", self.here(block), flags=re.M
        )
        assert found == 1, block
        with (self.folder / f"{host}-{len(self._started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*self._before.get(host, []), "bash", "-euc", script],
                cwd=self.folder / host,
                env=self.environment(host),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def pull_the_plug(self, host: str) -> None:
        """Nothing that runs there does another thing, and nothing says farewell."""
        if self.network:
            self.network.unplug(host)
            found = [psutil.Process(pid) for pid in self.network.processes(host)]
        else:
            found = [
                one for one in self.running() if _environment(one).get("ASHA_QUEUE_HOST") == host
            ]
        assert len(found) >= 3, "launcher, worker and keeper"
        for act in (psutil.Process.suspend, psutil.Process.kill):  # all at once
            for process in found:
                try:
                    act(process)
                except psutil.NoSuchProcess:
                    continue

    def running(self) -> list[psutil.Process]:
        """All that was started here and has not ended."""
        return [
            process
            for process in psutil.process_iter()
            if _environment(process).get(processes.MARK) == self.mark
        ]

    def admin(self) -> redis.Redis:
        url = Users.read(self.folder / "head/fleet").url(ADMIN)
        return redis.Redis.from_url(url, decode_responses=True, socket_timeout=5)

    def answers(self) -> bool:
        try:
            with self.admin() as admin:
                return bool(admin.ping())
        except redis.RedisError:
            return False

    def coordinated(self) -> bool:
        with self.admin() as admin:
            return bool(admin.keys(f"{keys.COORDINATORS}*"))

    def end(self) -> None:
        for started in self._started:
            if started.returncode is None:  # else the number may be another's by now
                # with what has no mark: a server's title overwrites its environment
                os.killpg(started.pid, signal.SIGKILL)
        for process in self.running():
            process.kill()
        for started in self._started:
            started.wait()


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except psutil.Error:
        return {}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with network() as made:
        fleet = Fleet(tmp_path, made)
        yield fleet
        fleet.end()


def soon(condition: Callable[[], object], description: str) -> None:
    wait_until(condition, description, 90)


def entries(store: Store) -> dict[str, list[dict[str, Any]]]:
    return {name: list(journal(store, uid)) for name, uid in store.names().items()}


def in_training(store: Store, host: str) -> list[Segment]:
    """The segments that the workers of a host have begun, the last one last."""
    found: list[Segment] = []
    for name, read in entries(store).items():
        targets: dict[int, int] = {}
        for entry in read:
            if entry["type"] == "scheduled":
                targets[entry["trial"]] = entry["target"]
            elif entry["type"] == "started":
                steps = targets[entry["trial"]] - entry["start"]
                about = entry["worker"], steps, entry["at"]
                found.append(Segment(name, entry["trial"], *about))
            elif entry["type"] in ("completed", "suspended", "failed", "lost"):
                found = [one for one in found if one[:2] != (name, entry["trial"])]
    return [one for one in found if one.worker.endswith(f"@{host}")]


def long_segment_begins(store: Store, fleet: Fleet, host: str) -> None:
    """From here on steps take a second; waits for a segment of several that has just begun."""
    fleet.pace(1.0)
    with fleet.admin() as admin:
        whole, micro = admin.time()
    now = whole + micro / 1e6  # what began earlier in this second had fast steps
    soon(
        lambda: any(one.steps >= 3 and one.at > now for one in in_training(store, host)),
        f"{host} has begun a segment of several steps",
    )


def goes_on(read: Sequence[dict[str, Any]], suspended: dict[str, Any]) -> bool:
    """Whether node-b goes on where the segment was handed back."""
    place = read.index(suspended)
    begun = [
        one
        for one in read[place:]
        if one["type"] == "started" and one["trial"] == suspended["trial"]
    ]
    return bool(begun) and (begun[0]["start"], begun[0]["worker"].partition("@")[2]) == (
        suspended["reached"],
        "node-b",
    )


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_the_walk_through_of_a_fleet_works_word_for_word(fleet: Fleet) -> None:
    prepare, serve, coordinate, work, ask, *later = BLOCKS
    opened = "".join(ask.splitlines(keepends=True)[:2])  # the others are typed into its terminal
    drain, watch, take, leave = (opened + block for block in later)
    print("\nhosts:", "network namespaces" if fleet.network else "names only")
    began = time.monotonic()
    fleet.type(prepare, folder=ROOT)
    home = fleet.folder / "head/fleet"
    assert home.stat().st_mode & 0o077 == 0
    server = fleet.start(serve)
    soon(fleet.answers, "the server answers by TLS")
    coordinator = fleet.start(coordinate)
    soon(fleet.coordinated, "the coordinator is there")
    store = connect(Users.read(home).url("client"))
    node_a, node_b = fleet.start(work, "node-a"), fleet.start(work, "node-b")
    soon(lambda: len(store.workers()) == 2, "both nodes have a worker")

    said = fleet.type(ask)
    assert "0 errors, 0 warnings" in said
    assert all(f"submitted {name}" in said for name in EXPERIMENTS)
    soon(
        lambda: all(
            any(one["type"] == "completed" and one["rung"] for one in read)
            for read in entries(store).values()
        ),
        "both experiments have promoted",
    )
    print(f"{time.monotonic() - began:.0f} s: both experiments have promoted")

    long_segment_begins(store, fleet, "node-a")
    fleet.type(drain)
    assert node_a.wait(90) == 0
    fleet.pace(0.1)
    handed_back = [
        (name, entry)
        for name, read in entries(store).items()
        for entry in read
        if entry["type"] == "suspended" and entry["worker"] == "cpu0@node-a"
    ]
    assert handed_back
    for name, suspended in handed_back:
        soon(lambda: goes_on(entries(store)[name], suspended), "it goes on where it was")  # noqa: B023
    print(f"{time.monotonic() - began:.0f} s: node-a is drained")

    long_segment_begins(store, fleet, "node-b")
    [torn] = in_training(store, "node-b")
    done = {name: finished(read) for name, read in entries(store).items()}
    fleet.pull_the_plug("node-b")
    pulled = time.monotonic()
    assert node_b.wait(10) != 0
    fleet.pace(0.02)
    node_a = fleet.start(work, "node-a")
    soon(
        lambda: any(
            one["type"] == "lost" and one["trial"] == torn.trial
            for one in entries(store)[torn.experiment]
        ),
        "what node-b had is given back",
    )
    print(f"{time.monotonic() - pulled:.0f} s after the plug: what node-b had is given back")
    fleet.type(watch)
    print(f"{time.monotonic() - began:.0f} s: both experiments have ended")

    said = fleet.type(take)
    assert said.count("all rules hold") == 2
    for name, read in entries(store).items():
        assert check(read) == [], name
        assert done[name] <= finished(read)
        not_again(read)
        taken_out(fleet, name, read[0]["uid"])
    with fleet.admin() as admin, redis.Redis.from_url(Users.read(home).url("worker")) as worker:
        assert admin.acl_log() == []
        with pytest.raises(redis.exceptions.NoPermissionError):
            worker.flushall()
        assert [one["username"] for one in admin.acl_log()] == ["worker"]
    fleet.type(leave)
    assert node_a.wait(90) == 0
    store.close()
    for process in (coordinator, server):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    soon(lambda: not fleet.running(), "nothing is left running")
    assert list(fleet.shared.rglob("*.partial")) == []
    print(f"{time.monotonic() - began:.0f} s: all has ended")


def finished(read: Sequence[dict[str, Any]]) -> set[tuple[int, int]]:
    """The segments that are completed."""
    return {(one["trial"], one["rung"]) for one in read if one["type"] == "completed"}


def not_again(read: Sequence[dict[str, Any]]) -> None:
    """No segment began after it was completed, and each began where the one before had ended."""
    completed: set[tuple[int, int]] = set()
    reached: dict[int, int] = {}
    evicted = {one["trial"] for one in read if one["type"] == "evicted"}
    for entry in read:
        if entry["type"] == "started":
            assert (entry["trial"], entry["rung"]) not in completed
            if entry["trial"] not in evicted:
                assert entry["start"] >= reached.get(entry["trial"], 0)
        elif entry["type"] == "completed":
            completed.add((entry["trial"], entry["rung"]))
            reached[entry["trial"]] = entry["reached"]
    assert len({trial for trial, _ in completed}) == TRIALS


def taken_out(fleet: Fleet, name: str, uid: str) -> None:
    """The model in the folder is the best one, and as good as was said."""
    folder = fleet.folder / "head/models" / name
    about = json.loads((folder / "trial.json").read_text())
    best = json.loads((fleet.shared / "runs" / name / "best.json").read_text())
    assert {field: best[field] for field in about if field != "experiment"} == {
        field: value for field, value in about.items() if field != "experiment"
    }
    assert best["checkpoint"]["path"].startswith(f"{name}/checkpoints/{uid}/{about['trial']}/")
    spec = importlib.util.spec_from_file_location("digits_program", ROOT / "workers/digits.py")
    assert spec
    assert spec.loader
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    model = program.Net(seed=0, **about["config"])
    model.load(folder / "checkpoint/model.npz")
    *_, images, labels = program.digits()
    _, logits = model.forward(images)
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    assert accuracy == pytest.approx(about["metrics"]["accuracy"], abs=1e-6)
    assert accuracy > 0.8


@pytest.mark.parametrize("program", ["valkey-server", "redis-server"])
def test_a_server_that_was_built_with_tls_takes_the_same_words(fleet: Fleet, program: str) -> None:
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not installed")
    prepare, serve, *_ = BLOCKS
    fleet.type(prepare, folder=ROOT)
    tool = fleet.folder / "bin/valkey-server"
    tool.write_text(f'#!/bin/sh\nexec "{found}" "$@" --bind {fleet.address}\n')
    server = fleet.start(serve)
    wait_until(lambda: fleet.answers() or server.poll() is not None, "it answers by TLS, or ends")
    if server.poll() is not None and program == "valkey-server":
        pytest.skip("valkey-server was built without TLS")
    with fleet.admin() as admin:
        assert admin.config_get("appendfsync") == {"appendfsync": "always"}
        assert admin.acl_whoami() == ADMIN
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == 0
