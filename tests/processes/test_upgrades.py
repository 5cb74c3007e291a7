"""The last version and this one side by side: on one store, in one queue, with one storage."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from kombu.entity import Queue

from asha_queue.formats import version
from asha_queue.queue import QUEUE, TASK, make_app
from asha_queue.search.rules import check
from asha_queue.search.space import uniform
from asha_queue.settings import FORMAT
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.store import keys
from asha_queue.store.journal import load_file
from asha_queue.views import journal
from tests.conftest import wait_until
from tests.processes.lab import Lab
from tests.processes.versions import FIRST, LAST, Version, installed, source

PROGRAM = """
import json, pathlib, time
from asha_queue import Experiment, uniform

def train(trial):
    seen = json.loads((trial.checkpoint / "steps").read_text()) if trial.checkpoint else []
    assert len(seen) == trial.start
    for step in trial.steps():
        time.sleep(0.05)
        while pathlib.Path(__file__).with_name("hold").exists() and not trial.draining:
            time.sleep(0.02)
        seen.append(step)
        trial.report(loss=trial.config["x"] + 1 / step)
        with trial.save() as folder:
            (folder / "steps").write_text(json.dumps(seen))

experiment = Experiment(
    name="sums", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min", max_t=9,
    reduction_factor=3, num_samples=TRIALS, seed=1, storage="runs",
)
"""
TRIALS = 48
#: The same with a field that 0.1.0 does not know.
ASKING = """
name = "sums"
train = "exp.py:train"
metric = "loss"
mode = "min"
max_t = 9
reduction_factor = 3
num_samples = 12
seed = 1
storage = "runs"
queues = { 1 = "small", 3 = "big" }
space.x = { uniform = [0, 1] }
"""


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    """The last version and this one."""
    last = installed(LAST, tmp_path_factory.mktemp("last"))
    return {
        "last": Version("0.1.0", {"PYTHONPATH": str(last)}),
        "this": Version(version(), {}),
    }


@pytest.fixture
def fleet(lab: Lab) -> Lab:
    """A lab with the program."""
    (lab.folder / "exp.py").write_text(PROGRAM.replace("TRIALS", str(TRIALS)))
    return lab


@contextlib.contextmanager
def held(lab: Lab) -> Iterator[None]:
    """Lets trials train no further meanwhile, however long processes take to start; those of a
    worker that is drained go on."""
    (lab.folder / "hold").touch()
    yield
    (lab.folder / "hold").unlink()


def call(lab: Lab, of: Version, *command: str) -> str:
    return lab.call("asha_queue", *command, expect=0, **of.environment)


def launch(lab: Lab, of: Version, host: str, queue: str = QUEUE) -> subprocess.Popen[bytes]:
    """Starts a worker on a host, and waits until it is there."""
    command = ["asha_queue", "worker", "--cpus", "1", "--gpus", "none", "--drain-timeout", "20"]
    command += ["--queue", queue]
    process = lab.start(*command, ASHA_QUEUE_HOST=host, **of.environment)
    wait_until(lambda: f"cpu0@{host}" in lab.workers(), f"a worker on {host}; {lab.log}", 60)
    [info] = [worker.info for worker in lab.store.workers() if worker.name == f"cpu0@{host}"]
    assert info["version"] == of.number
    return process


def led_by(lab: Lab, uid: str) -> int:
    """The process that leads an experiment, 0 if none does."""
    leader = lab.store.describe(uid).leader
    return int(leader.split(":")[1]) if leader else 0


def completed(lab: Lab, uid: str, host: str, after: float = 0.0) -> list[dict[str, Any]]:
    """What the worker on a host has completed since."""
    entries = lab.entries(uid, "completed")
    return [e for e in entries if e["worker"] == f"cpu0@{host}" and e["at"] > after]


def now(lab: Lab, uid: str) -> float:
    """The time of the last entry."""
    return float([*journal(lab.store, uid)][-1]["at"])


def restored_from(lab: Lab, uid: str, writer: str, reader: str) -> list[int]:
    """Trials that the worker on one host went on with from what that on another has saved."""
    saved: dict[int, str] = {}
    found = []
    for entry in journal(lab.store, uid):
        if entry["type"] == "started" and entry["start"] > 0:
            if (saved.get(entry["trial"]), entry["worker"]) == (f"cpu0@{writer}", f"cpu0@{reader}"):
                found.append(entry["trial"])
        elif entry["type"] in ("completed", "suspended"):
            saved[entry["trial"]] = entry["worker"]
    return found


def finished(lab: Lab, uid: str) -> Callable[[], bool]:
    return lambda: lab.store.describe(uid).state == "finished"


def shown(lab: Lab, of: Version) -> dict[str, Any]:
    """What a version's `status` shows of the experiment, as far as it does not depend on time."""
    facts: dict[str, Any] = json.loads(call(lab, of, "status", "sums", "--json"))
    return {name: facts[name] for name in ("name", "state", "trials", "rungs", "best", "resource")}


@pytest.mark.slow
@pytest.mark.timeout(290)
@pytest.mark.parametrize(("before", "after"), [("last", "this"), ("this", "last")])
def test_a_fleet_changes_its_version_piece_by_piece_while_an_experiment_goes_on(
    fleet: Lab, versions: dict[str, Version], before: str, after: str
) -> None:
    lab, old, new = fleet, versions[before], versions[after]
    coordinator = lab.start("asha_queue", "coordinator", **old.environment)
    launcher = launch(lab, old, "alpha")
    wait_until(lab.store.attendants, "the coordinator is there")
    call(lab, new, "submit", "exp.py")  # by a client of the other version
    uid = lab.store.names()["sums"]
    wait_until(lambda: len(completed(lab, uid, "alpha")) >= 4, "the first results", 60)

    # workers of both under the coordinator before, then under the one after
    with held(lab):
        launch(lab, new, "beta")
    wait_until(lambda: completed(lab, uid, "beta"), "a worker of each version trains", 60)
    with held(lab):
        assert led_by(lab, uid) == coordinator.pid
        findings = json.loads(call(lab, versions["this"], "doctor", "--json"))["findings"]
        [mixed] = [one for one in findings if one["what"] == "versions"]
        behind = "coordinator " if before == "last" else "cpu0@beta"
        assert f"asha-queue {version()} beside 0.1.0 on" in mixed["says"]
        assert behind in mixed["says"]
        assert mixed["state"] == "warning"
        successor = lab.start("asha_queue", "coordinator", **new.environment)
        wait_until(lambda: len(lab.store.attendants()) == 2, "the other coordinator is there", 60)
        wait_until(lambda: lab.log.read_text().count("sums: taken up") == 2, "it stands by", 60)
        coordinator.kill()
        wait_until(lambda: led_by(lab, uid) == successor.pid, "it takes over", 20)
        taken_over = now(lab, uid)
    wait_until(
        lambda: all(completed(lab, uid, host, taken_over) for host in ("alpha", "beta")),
        "both train for it",
        60,
    )
    with held(lab):
        call(lab, new, "drain", "alpha")
        wait_until(lambda: launcher.poll() == 0, "the drained launcher ends", 60)
        upgraded = now(lab, uid)
        launch(lab, new, "alpha")
    wait_until(lambda: completed(lab, uid, "alpha", upgraded), "alpha trains again", 60)
    wait_until(finished(lab, uid), "the experiment ends", 90)
    entries = list(journal(lab.store, uid))
    assert check(entries) == []
    assert len({e["trial"] for e in entries if e["type"] == "completed"}) == TRIALS
    assert [e for e in entries if e["type"] in ("failed", "lost", "warning")] == []
    assert restored_from(lab, uid, "alpha", "beta")
    exported = lab.folder / "runs" / "sums" / "journal.jsonl"
    wait_until(lambda: load_file(exported)[0] == entries, "the whole journal is exported")
    assert shown(lab, old) == shown(lab, new)

    # what one has exported is restored by the other, and goes on
    (lab.folder / "kept.jsonl").write_text(call(lab, old, "export", "sums"))
    lab.store.delete(uid)
    assert f"restored sums (finished): {TRIALS} trials" in call(lab, new, "restore", "kept.jsonl")
    assert list(journal(lab.store, uid)) == entries
    call(lab, old, "extend", "sums", "--num-samples", str(TRIALS + 2))
    wait_until(finished(lab, uid), "the two more trials end", 60)
    assert check(journal(lab.store, uid)) == []
    successor.send_signal(signal.SIGTERM)
    assert successor.wait(timeout=20) == 0


@pytest.mark.slow
def test_each_version_leaves_alone_what_a_later_one_wrote_and_drives_the_rest(
    fleet: Lab, versions: dict[str, Version]
) -> None:
    lab = fleet
    for name, of in versions.items():
        lab.start("asha_queue", "coordinator", **of.environment)
        launch(lab, of, name)
    wait_until(lambda: len(lab.store.attendants()) == 2, "two coordinators")
    call(lab, versions["this"], "submit", "exp.py")
    uid = lab.store.names()["sums"]
    fields = lab.store.describe(uid).specification | {"name": "later", "colour": "red"}
    later = lab.store.submit("later", "later", fields)
    wait_until(finished(lab, uid), "the one that all know ends", 90)
    assert check(journal(lab.store, uid)) == []
    assert [entry["type"] for entry in journal(lab.store, later)] == ["submitted"]
    log = lab.log.read_text()
    assert "later: experiment later was written by a newer version of asha-queue" in log
    assert "later: colour='red': there is no such field" in log
    for of in versions.values():
        told = json.loads(call(lab, of, "status", "--json"))["experiments"]
        assert {one["name"]: "error" in one for one in told} == {"later": True, "sums": False}


@pytest.mark.slow
def test_a_new_field_waits_for_a_coordinator_that_knows_it_and_earlier_workers_train_for_it(
    fleet: Lab, versions: dict[str, Version]
) -> None:
    lab, last, this = fleet, versions["last"], versions["this"]
    (lab.folder / "exp.toml").write_text(ASKING)
    lab.start("asha_queue", "coordinator", **last.environment)
    launch(lab, last, "alpha", "small")
    launch(lab, last, "beta", "big")
    wait_until(lab.store.attendants, "the earlier coordinator is there")
    told = call(lab, this, "submit", "exp.toml")
    assert "sums has queues, which the coordinators alive, of earlier versions" in told
    left = "sums: queues="
    wait_until(lambda: left in lab.log.read_text(), "the earlier coordinator leaves it alone")
    told = lab.call("asha_queue", "doctor", "--json", expect=1)
    says = {one["says"] for one in json.loads(told)["findings"] if one["what"] == "experiments"}
    assert says == {
        "sums: no coordinator leads it, so nothing new is decided; it has queues, which those of "
        "earlier versions may not know"
    }

    lab.start("asha_queue", "coordinator")
    uid = lab.store.names()["sums"]
    wait_until(finished(lab, uid), "this version's coordinator ends it", 90)
    entries = list(journal(lab.store, uid))
    assert check(entries) == []
    ends = {(e["rung"], e["worker"]) for e in entries if e["type"] == "completed"}
    assert ends == {(0, "cpu0@alpha"), (1, "cpu0@beta"), (2, "cpu0@beta")}


def send(lab: Lab, uid: str, **others: Any) -> None:
    """Puts a message for the first segment of an experiment into the queue, as any version may."""
    with make_app(lab.broker) as app:
        segment = {"uid": uid, "trial": 0, "rung": 0, "attempt": 1}
        app.send_task(TASK, kwargs=segment | others, queue=Queue(QUEUE))


def test_a_worker_leaves_newer_messages_and_experiments_to_others_and_trains_the_rest(
    lab: Lab,
) -> None:
    lab.worker()
    program = "def train(trial):\n    return 1.0\n"
    uid = lab.submit(program, copies=0)
    newer = "was written by a newer version of asha-queue"
    send(lab, uid, v=FORMAT + 1, colour="red")
    wait_until(lambda: lab.store.refusals(uid), f"a refusal; {lab.log}")
    assert f"the message of trial 0 {newer}" in lab.store.refusals(uid)["w@lab"]
    wait_until(lambda: lab.store.due(uid), "the segment waits for others, and not for long")

    send(lab, uid, v=FORMAT, colour="red")  # what it need not know
    lab.wait_for(uid, "completed")
    assert [entry["type"] for entry in journal(lab.store, uid)] == [
        *("submitted", "scheduled", "started", "completed")
    ]

    later = lab.submit(program, copies=0)
    with redis.Redis.from_url(lab.broker) as client:
        client.hset(keys.experiment(later), "v", FORMAT + 1)
    send(lab, later, v=FORMAT)
    wait_until(lambda: lab.store.refusals(later), f"a refusal; {lab.log}")
    assert f"experiment test-{later} {newer}" in lab.store.refusals(later)["w@lab"]


@pytest.mark.slow
def test_what_the_first_version_has_begun_goes_on_under_this_one(
    fleet: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lab = fleet
    first = {"PYTHONPATH": str(source(FIRST, tmp_path_factory.mktemp("first") / "source"))}
    lab.worker("cpu0@alpha")
    command = ("asha_queue", "run", "exp.py", "--broker", lab.broker, "--storage", "runs")
    begun = lab.start(*command, **first)
    wait_until(lambda: lab.store.names(), f"the first version has submitted; {lab.log}")
    uid = lab.store.names()["sums"]
    wait_until(lambda: len(completed(lab, uid, "alpha")) >= 4, "the first results", 60)
    with held(lab):
        begun.kill()
        lab.start("asha_queue", "coordinator")
        wait_until(lab.store.attendants, "this version's coordinator is there", 60)
    wait_until(finished(lab, uid), "this version ends it", 90)
    entries = list(journal(lab.store, uid))
    assert check(entries) == []
    assert len({e["trial"] for e in entries if e["type"] == "completed"}) == TRIALS


#: Keeps a snapshot of an experiment, or tells how far one goes that was found, and what it holds.
KEEPING = """
import json, sys
from asha_queue.coordinator import fold
from asha_queue.store import connect

broker, uid, verb = sys.argv[1:]
fold.SNAPSHOT_AFTER = 0
fold.SNAPSHOT_GROWTH = 0
found = fold.Fold(connect(broker), uid)
seen = found.seen
found.catch_up()
if verb == "keep":
    found.keep()
print(json.dumps([seen, found.search.snapshot()]))
"""


@pytest.mark.parametrize(("writer", "reader"), [("last", "this"), ("this", "last")])
def test_a_snapshot_that_one_version_has_kept_is_the_fold_of_the_other(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory, writer: str, reader: str
) -> None:
    last = str(source(LAST, tmp_path_factory.mktemp("last") / "source"))
    (lab.folder / "keeping.py").write_text(KEEPING)
    specification = Specification(
        name="sums",
        train="exp.py:train",
        space={"x": uniform(0.0, 1.0)},
        metric="loss",
        mode="min",
        max_t=9,
        reduction_factor=3,
        num_samples=40,
        seed=1,
    )
    played = simulate(
        specification,
        evaluate=lambda config, t: {"loss": config["x"] + 1 / t},
        seconds=lambda config, start, target: float(target - start),
        workers=4,
    )
    half = [
        entry | {"checkpoint": None} if "checkpoint" in entry else entry
        for entry in played.journal[: len(played.journal) // 2]
    ]
    uid = lab.store.restore(half)

    def fold(of: str, verb: str) -> tuple[str, dict[str, Any]]:
        environment = {"PYTHONPATH": last} if of == "last" else {}
        told = lab.call("keeping", lab.broker, uid, verb, expect=0, **environment)
        seen, state = json.loads(told.splitlines()[-1])
        return seen, state

    nothing, state = fold(writer, "keep")
    assert nothing == "0-0"
    seen, found = fold(reader, "read")
    assert seen == half[-1]["id"]
    assert {name: found[name] for name in found.keys() & state.keys()} == {
        name: state[name] for name in found.keys() & state.keys()
    }
    assert found["rungs"]
