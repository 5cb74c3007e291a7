"""The coordinator service, with a real store."""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from asha_queue.coordinator import drive, service
from asha_queue.coordinator.drive import Drive
from asha_queue.coordinator.service import Service
from asha_queue.dashboard.experiments import Experiments
from asha_queue.doctor import examine
from asha_queue.samplers import suggestions
from asha_queue.samplers.sampler import Random
from asha_queue.search.space import uniform
from asha_queue.specification import Specification
from asha_queue.store import connect
from asha_queue.store.contract import QueuedSegment, Store
from asha_queue.store.journal import load
from asha_queue.views import journal
from tests.conftest import wait_until
from tests.server.test_coordinator import drive as played


class NoQueue:
    """Takes no message: nothing is trained here."""

    def publish(self, uid: str, segments: Sequence[QueuedSegment], queue: str) -> None:
        raise AssertionError("nothing was to be published")


@pytest.fixture
def store(broker: str) -> Iterator[Store]:
    store = connect(broker)
    yield store
    store.close()


def cancelled_behind_its_leader(store: Store, folder: Path) -> str:
    """An experiment that was exported until just before its end, when its leader died."""
    specification = Specification(
        name="sums",
        train="sums.py:train",
        space={"x": uniform(0.0, 1.0)},
        metric="loss",
        mode="min",
        max_t=9,
        seed=1,
    )
    uid = store.submit(uuid.uuid4().hex, "sums", specification.to_json())
    leader = Drive(store, NoQueue(), uid, folder)

    def exported() -> bool:
        leader.turn()
        return (folder / "journal.jsonl").exists()

    wait_until(exported, "its leader has exported it")
    store.cancel(uid, "request", "me", "")
    leader.close()  # with its lease, so that the test need not wait until that has run out
    return uid


def test_files_that_lack_their_end_are_completed_by_the_next_coordinator(
    store: Store, tmp_path: Path
) -> None:
    uid = cancelled_behind_its_leader(store, tmp_path / "sums")
    exported = tmp_path / "sums" / "journal.jsonl"
    assert len(exported.read_text().splitlines()) == 1

    running = Service(store, NoQueue(), lambda description: tmp_path / description.name)
    deadline = time.monotonic() + 20
    while len(exported.read_text().splitlines()) == 1 and time.monotonic() < deadline:
        running.step()
    assert [load(line) for line in exported.read_text().splitlines()] == [*journal(store, uid)]
    assert json.loads((tmp_path / "sums" / "best.json").read_text()) is None
    running.close()


def test_files_that_were_removed_are_not_written_again(store: Store, tmp_path: Path) -> None:
    cancelled_behind_its_leader(store, tmp_path / "sums")
    (tmp_path / "sums" / "journal.jsonl").unlink()
    running = Service(store, NoQueue(), lambda description: tmp_path / description.name)
    for _ in range(3):
        running.step()
    assert not (tmp_path / "sums" / "journal.jsonl").exists()
    wait_until(lambda: store.attendants(), "the coordinator was there")
    running.close()


class Lacking(Random):
    """A sampler whose package is not installed."""

    @staticmethod
    def missing() -> str:
        return "sampler='sobol': needs what is not installed here"


def test_a_coordinator_without_what_a_sampler_needs_says_so_once_and_schedules_nothing(
    store: Store,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(suggestions.SAMPLERS, "sobol", Lacking)
    monkeypatch.setattr(service, "SET_ASIDE", 0.0)
    fields = {"space": {"x": uniform(0.0, 1.0)}, "metric": "loss", "mode": "min", "max_t": 9}
    specification = Specification(
        name="sums", train="sums.py:train", sampler="sobol", seed=1, **fields
    )
    uid = store.submit(uuid.uuid4().hex, "sums", specification.to_json())
    store.beat("cpu0@test", {"queues": ["asha"]})
    running = Service(store, NoQueue(), lambda description: tmp_path / description.name)
    said = "sums: sampler='sobol': needs what is not installed"

    def taken_up_again() -> bool:
        running.step()
        return caplog.text.count("sums: taken up") > 2

    with caplog.at_level("INFO"):
        wait_until(taken_up_again, "the experiment is tried for the third time")
        assert caplog.text.count(said) == 1
    assert [entry["type"] for entry in journal(store, uid)] == ["submitted"]
    running.close()


LATE = """
from pathlib import Path

class Late:
    def __init__(self, experiment): pass
    def start(self, trial, config):
        if not Path("mended").exists():
            raise ConnectionError("its server is away")
        Path("told").open("a").write(f"{trial} ")
    def report(self, trial, step, metrics): pass
    def end(self, trial, state): pass
"""


def test_an_ended_experiment_is_returned_to_until_its_trackers_have_all_of_it(
    store: Store, broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RETURN", 0.2)
    monkeypatch.setattr(drive, "SETTLED_WITHIN", 1.5)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(LATE)
    specification = Specification(
        name="sums",
        train="sums.py:train",
        space={"x": uniform(0.0, 1.0)},
        metric="loss",
        mode="min",
        max_t=1,
        num_samples=1,
        sampler="random",
        seed=1,
        trackers=["mine.py:Late"],
    )
    uid = store.submit(uuid.uuid4().hex[:16], "sums", specification.to_json())
    played(store, uid, workers=1)
    (tmp_path / "sums").mkdir()
    with contextlib.closing(
        Service(store, NoQueue(), lambda description: tmp_path / description.name, broker)
    ) as running:
        leader = Drive(store, NoQueue(), uid, tmp_path / "sums", broker, [tmp_path])

        def in_trouble() -> bool:
            leader.turn()
            return bool(leader.troubles)

        wait_until(in_trouble, "the tracker cannot be used", 60)
        leader.close()
        said = "sums: tracker mine.py:Late cannot be used (ConnectionError: its server is away)"

        def shown() -> bool:
            running.step()
            return any(said in one for one in Experiments(store).all()["warnings"])

        wait_until(shown, "status says so", 60)
        findings = examine(broker, "", None)
        assert any(f.what == "trackers" and said in f.says for f in findings)
        (tmp_path / "mended").touch()

        def told() -> bool:
            running.step()
            shown = Experiments(store).all()["warnings"]
            return (tmp_path / "told").exists() and not any(said in one for one in shown)

        wait_until(told, "it is told, and nothing is wrong any more", 90)
        assert (tmp_path / "told").read_text() == "0 "
