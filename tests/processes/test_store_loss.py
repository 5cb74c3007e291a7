"""A server that loses its data, or its newest part, under a running fleet."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from asha_queue.errors import LostExperiment, SpecificationError
from asha_queue.handle import Handle
from asha_queue.running import submit
from asha_queue.search.rules import check
from asha_queue.settings import LEASE
from asha_queue.specification import Specification
from asha_queue.store.journal import dump, load_file
from asha_queue.views import journal
from tests.chaos import processes
from tests.conftest import wait_until
from tests.processes.directory import Directory
from tests.processes.lab import Lab
from tests.processes.servers import Valkey

PROGRAM = """
import json, time
from asha_queue import Experiment, uniform

def train(trial):
    seen = json.loads((trial.checkpoint / "steps").read_text()) if trial.checkpoint else []
    assert len(seen) == trial.start
    for step in trial.steps():
        time.sleep(0.1)
        seen.append(step)
        trial.report(loss=trial.config["x"] + 1 / step)
    with trial.save() as folder:
        (folder / "steps").write_text(json.dumps(seen))

experiment = Experiment(
    name="fleet", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min", max_t=9,
    reduction_factor=3, num_samples=24, seed=1, storage="runs",
)
"""


@pytest.fixture
def valkey_aof(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey")
    yield server
    server.kill()


@pytest.fixture
def fleet(valkey_aof: Valkey, tmp_path: Path) -> Iterator[Lab]:
    """Two workers, a coordinator service and an experiment that is under way."""
    with Lab(valkey_aof.url, tmp_path) as lab:
        (tmp_path / "exp.py").write_text(PROGRAM)
        for name in ("one@lab", "two@lab"):
            lab.start("celery", "-A", "asha_queue", "worker", "-n", name, "-l", "INFO")
        lab.start("asha_queue", "coordinator")
        submitted = lab.start("asha_queue", "submit", "exp.py")
        assert submitted.wait(timeout=30) == 0, lab.log.read_text()[-2000:]
        yield lab


def uid_of(fleet: Lab) -> str:
    return fleet.store.names()["fleet"]


def results(fleet: Lab, uid: str) -> int:
    return len(fleet.entries(uid, "completed"))


def finished(fleet: Lab, uid: str) -> list[dict]:
    """The journal, once the experiment has finished."""
    wait_until(lambda: fleet.store.describe(uid).state == "finished", "it ends", 120)
    entries = list(journal(fleet.store, uid))
    assert check(entries) == []
    assert len({e["trial"] for e in entries if e["type"] == "completed"}) == 24
    return entries


def exported(fleet: Lab) -> Path:
    return fleet.storage / "fleet" / "journal.jsonl"


@pytest.mark.timeout(240)
def test_a_server_restarted_empty_is_noticed_and_a_restore_goes_on_with_the_same_processes(
    fleet: Lab, valkey_aof: Valkey
) -> None:
    uid = uid_of(fleet)
    handle = Handle(fleet.store, uid)
    wait_until(lambda: results(fleet, uid) >= 10, "ten results", 60)
    wait_until(
        lambda: len(load_file(exported(fleet))[0]) > 30, "the coordinator has exported them", 20
    )
    valkey_aof.kill()
    valkey_aof.forget()
    kept, _ = load_file(exported(fleet))
    valkey_aof.start()
    says = f"asha-queue restore {exported(fleet)}"
    wait_until(lambda: says in fleet.log.read_text(), "the coordinator says what to do", 30)
    assert load_file(exported(fleet))[0] == kept, "the journal is as it was"
    with pytest.raises(LostExperiment, match="nobody deleted it"):
        handle.result()
    for verb in ("status", "export"):
        refused = fleet.call("asha_queue", verb, "fleet", expect=2)
        assert says in refused
    assert says in fleet.call("asha_queue", "status")
    specification = Specification.from_json(load_file(exported(fleet))[0][0]["experiment"])
    with pytest.raises(SpecificationError, match="asha-queue restore"):
        submit(fleet.store, specification, fleet.storage / "fleet")

    printed = fleet.call("asha_queue", "restore", str(exported(fleet)))
    assert "restored fleet (open)" in printed
    print(f"\n{printed}")
    entries = finished(fleet, uid)
    assert entries[: len(kept)] == kept, "nothing that was exported is lost or run again"
    refused = fleet.call("asha_queue", "restore", str(exported(fleet)), expect=2)
    assert "exists on this server, it is finished: nothing was restored" in refused


@pytest.mark.timeout(120)
def test_a_segment_whose_store_was_lost_is_ended_by_its_worker_after_the_restore(
    valkey_aof: Valkey, tmp_path: Path
) -> None:
    with Lab(valkey_aof.url, tmp_path) as lab:
        lab.worker()
        uid = lab.submit(
            """
            import pathlib, time

            def train(trial):
                (pathlib.Path(trial.config["folder"]) / "running").write_text("yes")
                for step in trial.steps():
                    trial.report(score=step)
                    if step == 2:
                        while not pathlib.Path(trial.config["folder"], "go").exists():
                            time.sleep(0.01)
            """,
            space={"x": 1},
            num_samples=1,
            max_t=3,
            grace_period=3,
            reduction_factor=3,
        )
        lab.read("running")
        [started] = lab.entries(uid, "started")
        entries = list(journal(lab.store, uid))
        valkey_aof.kill()
        valkey_aof.forget()
        valkey_aof.start()
        # it ends its segment while nobody knows of it …
        (tmp_path / "go").write_text("")
        says = "nobody deleted it there"
        wait_until(lambda: says in lab.log.read_text(), "the worker hears that it is lost", LEASE)
        assert lab.store.restore(entries) == uid
        # … and tells it again
        [completed] = lab.wait_for(uid, "completed", seconds=LEASE)
        assert (completed["token"], completed["reached"]) == (started["token"], 3)
        assert lab.entries(uid, "lost") == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_tail_of_a_rolled_back_append_only_file_is_run_again(
    fleet: Lab, valkey_aof: Valkey, tmp_path: Path
) -> None:
    uid = uid_of(fleet)
    wait_until(lambda: results(fleet, uid) >= 8, "eight results", 60)
    shutil.copytree(valkey_aof.folder / "appendonlydir", tmp_path / "earlier")
    wait_until(lambda: results(fleet, uid) >= 16, "eight more", 60)
    wait_until(
        lambda: exported(fleet).read_text().count('"completed"') >= 12, "most are exported", 20
    )
    lost = list(journal(fleet.store, uid))
    valkey_aof.kill()
    valkey_aof.forget()
    (tmp_path / "earlier").rename(valkey_aof.folder / "appendonlydir")
    valkey_aof.start()
    left = list(journal(fleet.store, uid))
    gone = [e for e in lost if e["type"] == "completed" and e["id"] not in {e["id"] for e in left}]
    assert gone
    entries = finished(fleet, uid)
    again = {(e["trial"], e["rung"]) for e in entries if e["type"] == "completed"}
    print(
        f"\n{len(gone)} results lost, {len({(e['trial'], e['rung']) for e in gone} & again)} of "
        f"their segments run again"
    )
    wait_until(
        lambda: load_file(exported(fleet))[0] == entries, "the exported journal is the present one"
    )
    # what the store has lost is still to be read
    [aside] = exported(fleet).parent.glob("journal-until-*.jsonl")
    told = {e["id"] for e in load_file(aside)[0]}
    assert {e["id"] for e in gone} & told


@pytest.mark.slow  # what the run's workers held is queued again when its lease runs out
@pytest.mark.timeout(120)
def test_a_run_whose_server_lost_its_data_ends_and_goes_on_after_the_restore(
    tmp_path: Path,
) -> None:
    directory = Directory(tmp_path)
    try:
        run = directory.start("run", "exp.py", "--workers", "2", STEP="0.2")
        path = tmp_path / "asha-runs" / "quick" / "journal.jsonl"
        wait_until(
            lambda: path.exists() and path.read_text().count('"completed"') >= 3, "three results"
        )
        shutil.rmtree(tmp_path / "asha-runs" / ".valkey" / "appendonlydir")
        [server] = processes.of_run(directory.mark, tmp_path)["server"]
        server.kill()
        _, err = run.communicate(timeout=60)
        assert run.returncode == 2
        assert f"asha-queue restore {path}" in err
        assert "Traceback" not in err
        kept = directory.journal()
        again = directory.call("run", "exp.py", "--workers", "2", expect=2)
        assert f"asha-queue restore {path}" in again
        assert f"quick: unknown to this server. Its journal is {path}" in directory.call("status")
        restored = json.loads(directory.call("restore", str(path), "--json"))
        assert (restored["name"], restored["state"]) == ("quick", "open")
        assert restored["entries"] == len(kept)
        directory.call("run", "exp.py", "--workers", "2")
        assert directory.journal()[: len(kept)] == kept
        assert check(directory.journal()) == []
        # an archive of what had ended is nobody's loss
        shutil.rmtree(tmp_path / "asha-runs" / ".valkey")
        (tmp_path / "asha-runs" / ".valkey").mkdir()
        assert "unknown to this server" not in directory.call("status")
    finally:
        directory.end()


def test_restore_refuses_what_is_no_sound_journal_in_one_message(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    try:
        directory.call("run", "exp.py", "--workers", "2")
        path = tmp_path / "asha-runs" / "quick" / "journal.jsonl"
        whole = path.read_text()
        lines = whole.splitlines(keepends=True)
        bad = tmp_path / "bad.jsonl"

        assert "no such file: none.jsonl" in directory.call("restore", "none.jsonl", expect=2)
        bad.write_text(whole[:-20] + "\n")
        assert f"line {len(lines)}: not a line of a journal" in directory.call(
            "restore", "bad.jsonl", expect=2
        )
        doubled = next(line for line in lines if '"completed"' in line)
        bad.write_text("".join(lines[:-1]) + doubled)
        assert "completed twice" in directory.call("restore", "bad.jsonl", expect=2)
        assert "exists on this server" in directory.call("restore", str(path), expect=2)

        # all is lost but the journal, and of that the last line is cut
        shutil.rmtree(tmp_path / "asha-runs" / ".valkey")
        path.write_text(whole[:-20])
        refused = directory.call("run", "exp.py", "--workers", "2", expect=2)
        assert f"asha-queue restore {path}" in refused
        done = directory.start("restore", str(path))
        out, err = done.communicate(timeout=60)
        assert done.returncode == 0, err
        assert "its last line is cut off and left out" in err
        assert "restored quick (open): 12 trials" in out
        directory.call("run", "exp.py", "--workers", "2")
        assert check(directory.journal()) == []
        assert [dump(e) for e in directory.journal()[: len(lines) - 1]] == lines[:-1]
    finally:
        directory.end()
