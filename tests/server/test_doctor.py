"""The doctor: each thing that may be wrong is found, and nothing where all is well."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from asha_queue.checkpoints import probe
from asha_queue.cli import root
from asha_queue.doctor import Finding, examine
from asha_queue.doctor.server import server
from asha_queue.formats import version as installed
from asha_queue.queue import Publisher, lists
from asha_queue.store import connect
from asha_queue.store.contract import QueuedSegment, Store
from asha_queue.store.server_facts import ServerFacts, facts, lengths
from tests.conftest import free_port

VERSION = "1.2.3"
UID = "1f2e3d"
SPECIFICATION = {"name": "digits", "retries": 1, "queue": "asha", "storage": "/elsewhere"}


@pytest.fixture
def client(broker: str, tmp_path: Path) -> Iterator[redis.Redis]:
    """The server, set up as it should be."""
    client = redis.Redis.from_url(broker, decode_responses=True)
    before = client.config_get("append*") | client.config_get("maxmemory*")
    client.config_set("appendonly", "yes")
    client.config_set("appendfsync", "always")
    yield client
    for name in ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy"):
        client.config_set(name, str(before[name]))
    client.close()


@pytest.fixture
def store(broker: str, client: redis.Redis) -> Iterator[Store]:
    store = connect(broker)
    yield store
    store.close()


@pytest.fixture
def healthy(broker: str) -> ServerFacts:
    return dataclasses.replace(
        facts(broker), append_only=True, append_sync="always", round_trip=0.001, ahead=0.0
    )


def beat(store: Store, name: str, **info: Any) -> None:
    host = name.partition("@")[2]
    store.beat(name, {"host": host, "version": VERSION, "queues": ["asha"]} | info)


def found(findings: list[Finding], what: str, state: str = "") -> list[str]:
    """What findings of a kind say, with what to do."""
    return [
        f"{f.says} → {f.do}" for f in findings if f.what == what and f.state in (state or f.state)
    ]


def bad(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state != "ok"]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["doctor", *arguments])


# -- the whole -----------------------------------------------------------------------------------


def test_where_all_is_well_nothing_is_found(store: Store, broker: str, tmp_path: Path) -> None:
    for host in ("node-a", "node-b"):
        beat(store, f"cpu0@{host}", storage=probe.look(tmp_path, host))
    store.attend("head:1", {"version": VERSION})
    store.submit(UID, "digits", SPECIFICATION)
    store.lead(UID, "head:1", 1)
    findings = examine(broker, VERSION, None)
    assert bad(findings) == []
    assert {f.what for f in findings} == {
        *("server", "clock", "persistence", "eviction", "memory"),
        *("workers", "versions", "storage", "coordinators", "experiments"),
    }
    assert found(findings, "experiments") == ["1 open, all led and served → "]


def test_a_server_that_is_not_there_is_an_error_without_its_password() -> None:
    done = call("--broker", f"redis://:secret@127.0.0.1:{free_port()}/0")
    assert done.exit_code == 1
    assert "ERROR" in done.output
    assert "--broker" in done.output
    assert "secret" not in done.output


def test_warnings_leave_the_exit_code_alone_and_json_has_every_finding(
    store: Store, broker: str
) -> None:
    done = call("--broker", broker, "--json")
    assert done.exit_code == 0
    report = json.loads(done.output)
    assert report["ok"]
    assert {"what", "state", "says", "do"} == set(report["findings"][0])
    assert [f["what"] for f in report["findings"] if f["state"] != "ok"] == ["workers"]
    store.submit(UID, "digits", SPECIFICATION)
    assert call("--broker", broker, "--json").exit_code == 1


def test_the_table_fits_80_columns_and_tells_the_next_step(store: Store, broker: str) -> None:
    for number in range(8):
        look = {"root": "/mnt/" + "x" * 90, "id": str(number), "seen": [], "error": ""}
        beat(store, f"gpu{number}@node-{number}." + "long" * 12, storage=look)
    store.submit(UID, "digits", SPECIFICATION)
    done = call("--broker", broker)
    assert max(len(line) for line in done.output.splitlines()) <= 80
    assert "→ start one: asha-queue coordinator" in done.output
    assert done.output.splitlines()[-1].startswith("2 errors")


# -- the server ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "what", "state", "said"),
    [
        ({"replica": True}, "server", "error", "address of the primary"),
        ({"round_trip": 0.2}, "server", "warning", "200.0 ms"),
        ({"ahead": 60.0}, "clock", "warning", "60.0 s ahead of"),
        ({"ahead": -60.0}, "clock", "warning", "60.0 s behind"),
        ({"append_only": False}, "persistence", "warning", "appendonly yes"),
        ({"append_sync": "everysec"}, "persistence", "warning", "appendfsync always"),
        ({"append_only": None}, "persistence", "warning", "does not tell"),
        ({"write_errors": ("aof_last_write_status err",)}, "persistence", "error", "its disk"),
        ({"eviction_policy": "allkeys-lru"}, "eviction", "warning", "noeviction"),
        (
            {"eviction_policy": "allkeys-lru", "memory_limit": 2**40},
            "eviction",
            "error",
            "forgets experiments",
        ),
        (
            {"eviction_policy": "volatile-lru", "memory_limit": 2**40},
            "eviction",
            "warning",
            "noeviction",
        ),
        ({"eviction_policy": None}, "eviction", "warning", "does not tell"),
        ({"used_memory": 90, "memory_limit": 100}, "memory", "warning", "raise maxmemory"),
    ],
)
def test_what_is_wrong_with_a_server_is_said_with_what_to_do(
    healthy: ServerFacts, changed: dict, what: str, state: str, said: str
) -> None:
    assert bad(list(server(healthy, "redis://head/0"))) == []
    [finding] = bad(list(server(dataclasses.replace(healthy, **changed), "redis://head/0")))
    assert (finding.what, finding.state) == (what, state)
    assert said in f"{finding.says} → {finding.do}"


def test_the_settings_are_read_from_the_server(client: redis.Redis, broker: str) -> None:
    client.config_set("maxmemory", 2**30)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendfsync", "no")
    read = facts(broker)
    assert (read.kind, read.append_only, read.append_sync) == ("Valkey", True, "no")
    assert (read.memory_limit, read.eviction_policy) == (2**30, "allkeys-lru")
    assert read.used_memory
    assert read.round_trip > 0
    assert abs(read.ahead) < 1
    assert not read.replica


def test_a_user_who_may_ask_little_gets_warnings_and_no_error(
    client: redis.Redis, store: Store, broker: str
) -> None:
    client.acl_setuser(
        "limited",
        enabled=True,
        passwords=["+secret"],
        keys=["*"],
        categories=["+@all"],
        commands=["-config", "-info"],
    )
    try:
        findings = examine(broker.replace("redis://", "redis://limited:secret@"), VERSION, None)
    finally:
        client.acl_deluser("limited")
    assert [f.what for f in bad(findings)] == ["persistence", "eviction", "workers"]
    assert all(finding.state != "error" for finding in findings)


# -- workers and experiments -------------------------------------------------------------------


def test_workers_are_listed_by_host_and_queue_with_their_gpus(store: Store, broker: str) -> None:
    beat(store, "gpu0@node-a", gpus=["NVIDIA A100"], queues=["big"])
    beat(store, "gpu1@node-a", gpus=["NVIDIA A100"], queues=["big"])
    beat(store, "cpu0@node-b")
    store.drain(["cpu0@node-b"], "ann@head")
    assert found(examine(broker, VERSION, None), "workers") == [
        "node-a: gpu0 gpu1, queue big; NVIDIA A100 → ",
        "node-b: cpu0, queue asha; 1 of them drained by ann@head → ",
    ]


def test_a_worker_and_a_coordinator_of_earlier_versions_are_named(
    store: Store, broker: str
) -> None:
    beat(store, "cpu0@node-a")
    beat(store, "cpu0@node-b", version="1.0.0")
    store.attend("head:1", {})
    [says] = found(examine(broker, VERSION, None), "versions", "warning")
    assert says.startswith(
        f"asha-queue {VERSION} beside 1.0.0 on cpu0@node-b; an earlier version on coordinator "
        f"head:1 →"
    )
    assert "upgrade the workers with asha-queue drain HOST" in says


def test_whoever_looks_is_told_to_upgrade_if_the_fleet_is_newer(store: Store, broker: str) -> None:
    beat(store, "cpu0@node-a")
    [says] = found(examine(broker, "0.9", None), "versions", "warning")
    assert says == f"asha-queue {VERSION} is at work, and 0.9 is here → upgrade asha-queue here"


def test_what_a_newer_version_wrote_hides_nothing_else(
    store: Store, broker: str, client: redis.Redis
) -> None:
    beat(store, "cpu0@node-a")
    store.attend("head:1", {"version": "1.0.0", "leaves": {"later": "it has colour"}})
    store.submit("later", "later", SPECIFICATION | {"name": "later", "colour": "red"})
    store.submit("v2", "v2", SPECIFICATION)
    client.hset("asha:experiment:v2", "v", 2)
    store.submit(UID, "digits", SPECIFICATION)
    findings = examine(broker, VERSION, None)
    newer = "was written by a newer version of asha-queue"
    assert found(findings, "experiments") == [
        f"experiment later {newer} (it has colour): upgrade asha-queue here → ",
        f"experiment v2 {newer} (its format is 2, asha-queue {installed()} reads up to 1): "
        f"upgrade asha-queue here → ",
        "digits: no coordinator leads it, so nothing new is decided → start one: asha-queue "
        "coordinator",
    ]
    assert found(findings, "coordinators", "warning") == [
        "coordinator head:1 (1.0.0) leaves later alone: it has colour → "
    ]


def test_a_worker_that_is_set_aside_is_named_with_the_reason(store: Store, broker: str) -> None:
    beat(store, "gpu0@node-a")
    beat(store, "gpu1@node-a")
    store.set_aside("gpu1@node-a", "its storage is full")
    [warning] = found(examine(broker, VERSION, None), "workers", "warning")
    assert "gpu1@node-a is set aside" in warning
    assert "its storage is full" in warning


def test_an_experiment_without_a_leader_is_an_error_until_it_has_one(
    store: Store, broker: str
) -> None:
    beat(store, "cpu0@node-a")
    store.submit(UID, "digits", SPECIFICATION)
    [says] = found(examine(broker, VERSION, None), "experiments", "error")
    assert "digits: no coordinator leads it" in says
    store.lead(UID, "head:1", 1)
    assert found(examine(broker, VERSION, None), "experiments", "error") == []


def test_a_queue_that_nobody_serves_is_an_error_with_its_messages(
    store: Store, broker: str
) -> None:
    beat(store, "cpu0@node-a")
    store.submit(UID, "digits", SPECIFICATION | {"queue": "big"})
    store.lead(UID, "head:1", 1)
    segments = [QueuedSegment(trial, 0, trial, 1, 1, {}) for trial in range(3)]
    Publisher(broker).publish(UID, segments)
    assert lengths(broker, lists("asha")) == 3
    assert lengths(broker, lists("big")) == 0
    [says] = found(examine(broker, VERSION, None), "queues", "error")
    assert "digits: no live worker serves its queue big; 0 messages wait" in says
    assert "--queue big" in says
    beat(store, "gpu0@node-b", queues=["asha", "big"])
    assert found(examine(broker, VERSION, None), "queues") == []


def test_a_program_that_workers_refuse_is_an_error_once_all_of_them_do(
    store: Store, broker: str
) -> None:
    store.submit(UID, "digits", SPECIFICATION)
    store.lead(UID, "head:1", 1)
    for host in ("node-a", "node-b"):
        beat(store, f"cpu0@{host}")
    store.refuse(UID, 0, 0, 1, "cpu0@node-a", "program digits.py not found")
    store.refuse(UID, 0, 0, 1, "cpu0@gone", "program digits.py not found")
    [says] = found(examine(broker, VERSION, None), "programs", "warning")
    assert "digits is refused by cpu0@node-a: program digits.py not found" in says
    store.refuse(UID, 0, 0, 1, "cpu0@node-b", "program digits.py not found")
    [says] = found(examine(broker, VERSION, None), "programs", "error")
    assert "cpu0@node-a, cpu0@node-b" in says


# -- the storage ---------------------------------------------------------------------------------


@pytest.fixture
def storage_of(store: Store, broker: str) -> Callable[..., list[Finding]]:
    """The findings about the storage when these nodes have looked at theirs."""

    def examined(looks: dict[str, dict], folder: Path | None = None) -> list[Finding]:
        for host, look in looks.items():
            beat(store, f"cpu0@{host}", storage=look)
        findings = examine(broker, VERSION, str(folder) if folder else None)
        return [finding for finding in findings if finding.what == "storage"]

    return examined


def test_nodes_that_read_each_other_s_files_share_their_storage(
    storage_of: Callable[..., list[Finding]], tmp_path: Path
) -> None:
    # the first has seen nobody, and is seen by the second alone
    looks = {host: probe.look(tmp_path / "one", host) for host in ("a", "b", "c")}
    looks["c"]["seen"] = [looks["b"]["id"]]
    shared, here = storage_of(looks)
    assert (shared.state, here.state) == ("ok", "ok")
    assert "shared by all 3 nodes" in shared.says


def test_nodes_with_folders_of_their_own_are_an_error_that_names_them(
    storage_of: Callable[..., list[Finding]], tmp_path: Path
) -> None:
    looks = {"a": probe.look(tmp_path / "one", "a"), "b": probe.look(tmp_path / "one", "b")}
    # an image of that disk, probes included, is no shared storage
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    looks["c"] = probe.look(tmp_path / "two", "c")
    looks |= {host: probe.look(tmp_path / "one", host) for host in ("a", "b")}
    apart, here = storage_of(looks, tmp_path / "one")
    assert apart.state == "error"
    assert "do not see each other's files: a, b | c" in apart.says
    assert here.state == "ok"


def test_two_launchers_of_one_host_are_one_node(
    storage_of: Callable[..., list[Finding]], store: Store, tmp_path: Path
) -> None:
    beat(store, "gpu0@a", storage=probe.look(tmp_path, "a"))
    beat(store, "gpu1@a", storage=probe.look(tmp_path, "a"))
    findings = storage_of({})
    assert bad(findings) == []
    assert "one node" in findings[0].says


def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(
    storage_of: Callable[..., list[Finding]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    broken, *_ = storage_of({"a": probe.look(tmp_path / "file", "a")})
    assert broken.state == "error"
    assert f"a: {tmp_path / 'file'}" in broken.says
    assert "Not a directory" in broken.says


def test_a_storage_that_this_machine_does_not_see_is_a_warning(
    storage_of: Callable[..., list[Finding]], tmp_path: Path
) -> None:
    looks = {"a": probe.look(tmp_path / "one", "a")}
    _, here = storage_of(looks, tmp_path / "two")
    assert here.state == "warning"
    assert f"not seen from this machine: {tmp_path / 'two'}" in here.says


def test_several_nodes_that_tell_nothing_are_a_warning_and_one_is_not(
    storage_of: Callable[..., list[Finding]], tmp_path: Path
) -> None:
    assert storage_of({"a": {}}) == []
    [warning] = storage_of({"b": {}})
    assert warning.state == "warning"
    assert "not told by a, b" in warning.says


def test_what_is_no_probe_in_the_folder_is_passed_over(tmp_path: Path) -> None:
    mine = probe.write_probe(tmp_path, "a")
    (tmp_path / probe.FOLDER / "notes.txt").write_text("mine")
    (tmp_path / probe.FOLDER / "list").write_text("[]")
    assert [found["id"] for found in probe.read_probes(tmp_path).values()] == [mine]
    assert probe.read_probes(tmp_path / "nowhere") == {}


def test_a_node_tells_of_so_many_others_at_most(tmp_path: Path) -> None:
    ids = [probe.write_probe(tmp_path, f"node-{number}") for number in range(probe.SEEN + 5)]
    look = probe.look(tmp_path, "last")
    assert look["seen"] == ids[: -probe.SEEN - 1 : -1]
    assert json.dumps(look)
