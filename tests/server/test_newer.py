"""What a newer version has left in a store: it is left alone and told, and hides nothing else."""

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from asha_queue.cli import root
from asha_queue.coordinator.fold import Fold
from asha_queue.coordinator.service import Service
from asha_queue.formats import version
from asha_queue.search.space import uniform
from asha_queue.settings import FORMAT
from asha_queue.specification import Specification
from asha_queue.store import keys
from asha_queue.store.contract import QueuedSegment, Snapshot, Store
from asha_queue.views import journal
from tests.conftest import wait_until
from tests.server.sides import ServerSide

SPECIFICATION = Specification(
    name="plain",
    train="sums.py:train",
    space={"x": uniform(0.0, 1.0)},
    metric="loss",
    mode="min",
    max_t=9,
    seed=1,
)
NEWER = "was written by a newer version of asha-queue"


class Queue:
    """Takes messages that nobody asks for."""

    def publish(self, uid: str, segments: Sequence[QueuedSegment], queue: str) -> None:
        pass


@pytest.fixture
def side(broker: str) -> Iterator[ServerSide]:
    side = ServerSide(broker)
    yield side
    side.close()


def submit(store: Store, name: str, **later: Any) -> str:
    fields = SPECIFICATION.to_json() | {"name": name, **later}
    return store.submit(uuid.uuid4().hex, name, fields)


@pytest.fixture
def newer(side: ServerSide) -> dict[str, str]:
    """Experiments of a newer version: each has one thing that this one does not know."""
    uids = {name: submit(side.store, name) for name in ("record", "entry", "kind")}
    uids["field"] = submit(side.store, "field", colour="red")
    side.age_format(uids["record"])
    side.append(uids["entry"], FORMAT + 1, "warning")
    side.append(uids["kind"], FORMAT, "forked")
    return uids


def call(broker: str, *arguments: str) -> Result:
    return CliRunner().invoke(root, [*arguments, "--broker", broker])


def test_a_coordinator_leaves_it_alone_says_so_and_drives_the_rest(
    side: ServerSide,
    newer: dict[str, str],
    broker: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = side.store
    plain = submit(store, "plain")
    store.beat("w@a", {"queues": ["asha"], "version": version()})
    running = Service(store, Queue(), lambda description: tmp_path / description.name)

    def scheduled() -> bool:
        running.step()
        left = [one.info["leaves"] for one in store.attendants()]
        return len(left) == 1 and len(left[0]) == 4 and len([*journal(store, plain)]) > 1

    wait_until(scheduled, "the plain one is driven, and the others are left alone")
    [attendant] = store.attendants()
    assert attendant.info["leaves"].keys() == newer.keys()
    assert all(NEWER in reason for reason in attendant.info["leaves"].values())
    assert all(caplog.text.count(f"{name}: ") == 1 for name in ("record", "field"))
    names = keys.experiment
    client = redis.Redis.from_url(broker, decode_responses=True)
    assert [client.hget(names(uid), "leader") for uid in newer.values()].count(None) >= 2
    assert [client.hget(names(uid), "trials") for uid in newer.values()] == ["0"] * 4
    client.close()

    told = json.loads(call(broker, "status", "--json").output)
    errors = {one["name"]: one["error"] for one in told["experiments"] if "error" in one}
    assert errors.keys() == newer.keys()
    assert all(NEWER in error for error in errors.values())
    assert [one["name"] for one in told["experiments"] if "error" not in one] == ["plain"]
    assert told["versions"] == {version(): ["w@a", f"coordinator {running.who}"]}
    assert len(told["warnings"]) == 4
    assert "leaves field alone: experiment field was written by" in " ".join(told["warnings"])
    assert f"asha-queue    {version()}" in call(broker, "status").output
    for name in newer:
        done = call(broker, "status", name)
        assert NEWER in str(done.exception)
    for uid in newer.values():
        store.delete(uid)

    def gone() -> bool:
        running.step()
        return not store.attendants()[0].info["leaves"]

    wait_until(gone, "what was deleted is not left alone any more")
    running.close()


@pytest.mark.parametrize("strange", ["a newer format", "other keys"])
def test_a_snapshot_of_a_newer_version_costs_nothing_but_time(
    side: ServerSide, broker: str, strange: str
) -> None:
    uid = submit(side.store, "plain")
    fold = Fold(side.store, uid)
    fold.catch_up()
    state = fold.search.snapshot() | {"sampler": fold.suggestions.snapshot()}
    if strange == "other keys":
        del state["levels"]
    side.store.keep_snapshot(uid, Snapshot(fold.seen, fold.last, state))
    if strange == "a newer format":
        with redis.Redis.from_url(broker) as client:
            client.hset(keys.snapshot(uid), "v", FORMAT + 1)
    again = Fold(side.store, uid)
    assert again.seen == "0-0"
    again.catch_up()
    assert again.search.snapshot() == fold.search.snapshot()
