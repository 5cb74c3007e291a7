"""The users of a server: each does what its role needs, and nothing else, on a real one."""

import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from asha_queue.cli import main
from asha_queue.errors import NotAllowed, StoreError, StoreUnavailable
from asha_queue.store import connect, keys, rights
from asha_queue.store.connection import script_text
from asha_queue.store.contract import (
    Eviction,
    Json,
    Outcome,
    ScheduledSegment,
    Snapshot,
    Store,
)
from asha_queue.store.users import Users
from tests.secured import Secured

POINT = {"loss": 0.5}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    server = Secured(tmp_path_factory.mktemp("secured") / "server")
    yield server
    server.end()


@pytest.fixture
def stores(secured: Secured) -> Iterator[dict[str, Store]]:
    """A store for each user, on an emptied server whose scripts a coordinator has loaded."""
    with secured.as_user("admin") as admin:
        admin.flushall()
    made = {user: connect(secured.url(user)) for user in ("admin", *rights.ROLES)}
    made["coordinator"].attend("me", {})
    secured.denied()
    yield made
    for store in made.values():
        store.close()


def submitted(store: Store) -> str:
    uid = secrets.token_hex(8)
    name = f"test-{uid}"
    specification = {"name": name, "retries": 1, "num_samples": 9, "max_t": 9}
    return store.submit(uid, name, specification)


def scheduled(store: Store, uid: str, trial: int) -> None:
    segment = ScheduledSegment(trial, 0, 0, 3, {"x": 1})
    last = store.describe(uid).last
    assert store.schedule(uid, last, secrets.token_hex(8), [segment]) == "ok"


def claimed(store: Store, uid: str, trial: int, attempt: int = 1) -> int:
    claim = store.claim(uid, trial, 0, attempt, secrets.token_hex(8), "w@here")
    assert claim.outcome == "run", claim.reason
    assert store.start(uid, trial, claim.token, claim.start) == "ok"
    return claim.token


def saved(resource: int) -> Json:
    path = f"/runs/{resource}"
    return {"path": path, "resource": resource, "metrics": POINT, "bytes": 7, "digest": "d"}


def outcome(reached: int, checkpoint: Json | None = None) -> Outcome:
    return Outcome(POINT, reached, checkpoint, 1.0, [[reached, POINT]])


def entries(store: Store, uid: str) -> list[Json]:
    return store.read(uid, "").entries


# -- what each role does -------------------------------------------------------------------------


def test_every_script_has_a_role_and_every_role_names_scripts_that_exist() -> None:
    used = {script for role in rights.ROLES.values() for script in role.scripts}
    assert used == {*rights.names()}, "give a new script to the roles that call it, in rights.py"


def test_the_commands_of_a_script_are_read_from_it_and_from_what_it_uses() -> None:
    assert rights.commands("resign") == {"time", "exists", "hget", "hset"}
    assert {"xadd", "lindex", "zrem", "zadd"} <= rights.commands("claim")
    assert "unlink" not in rights.commands("claim")
    for script in rights.names():
        unread = re.findall(r"redis\.p?call\((?!')", script_text(script))
        assert not unread, f"{script} gives a command that is not read: write its name out"


def test_a_life_of_experiments_needs_nothing_that_the_roles_lack(
    stores: dict[str, Store], secured: Secured
) -> None:
    coordinator, worker, client = stores["coordinator"], stores["worker"], stores["client"]
    uid = submitted(client)
    assert worker.beat("w@here", {"pid": 1}) is False
    term = coordinator.lead(uid, "me", 1).term
    for trial in range(5):
        scheduled(coordinator, uid, trial)
    coordinator.published(uid, [(s.trial, s.rung, s.attempt) for s in coordinator.due(uid)])
    token = claimed(worker, uid, 0)
    assert worker.renew(uid, 0, token) == "ok"
    assert worker.checkpoint(uid, 0, token, saved(1)) == "ok"
    worker.report(uid, [{"trial": 0, "step": 1, "metrics": POINT}])
    assert worker.complete(uid, 0, token, outcome(3, saved(3))) == "ok"
    assert worker.suspend(uid, 1, claimed(worker, uid, 1), outcome(2, saved(2))) == "ok"
    assert worker.fail(uid, 2, claimed(worker, uid, 2), "no", 0) == "retry"
    assert worker.release(uid, 3, claimed(worker, uid, 3), "asked", False) == "ok"
    claimed(worker, uid, 4)
    assert worker.release_worker("w@here", "dead") == [(uid, 4)]
    claim = worker.claim(uid, 1, 0, 2, "c", "w@here")
    assert worker.start(uid, 1, claim.token, 0, ["/runs/2"]) == "ok"
    worker.refuse(uid, 4, 0, 2, "w@here", "no GPU")
    worker.set_aside("w@here", "its disk is full")
    assert coordinator.evict(uid, term, [Eviction(0, 0, 1, ())]) == "ok"
    assert coordinator.removable(uid, 0.0, 9) == ["/runs/1"]
    coordinator.removed(uid, ["/runs/1"])
    coordinator.reap(uid)
    last = coordinator.describe(uid).last
    coordinator.keep_snapshot(uid, Snapshot(last, last, {}))
    coordinator.wait({uid: last}, 0.01)
    for looks in (coordinator, client, stores["flower"], stores["flower-orders"]):
        looks.snapshot(uid)
        assert looks.read(uid, "").entries
        assert looks.live(uid, "")[0]
        assert looks.refusals(uid) == {"w@here": "no GPU"}
        assert looks.running(uid)
        assert looks.workers()[0].aside
        assert looks.attendants()
        assert looks.claimants()
        assert looks.drained() == {}
        assert looks.uid(looks.describe(uid).name) == uid
    for orders in (client, stores["flower-orders"]):
        orders.drain(["w@here"], "me")
        orders.pause(uid, secrets.token_hex(8), "me", "", True)
        orders.resume(uid, secrets.token_hex(8), "me", "")
        orders.extend(uid, secrets.token_hex(8), "me", "", {"max_t": 10})
        assert orders.retry(uid, secrets.token_hex(8), "me", None) == []
    assert worker.beat("w@here", {"pid": 1}) is True
    worker.undrain("w@here")
    journal = client.read(uid, "").entries
    client.cancel(uid, secrets.token_hex(8), "me", "")
    client.delete(uid)
    with pytest.raises(StoreError, match="deleted"):
        worker.describe(uid)
    assert client.restore(journal) == uid
    coordinator.delete(uid)
    own = submitted(coordinator)
    last = coordinator.describe(own).last
    assert coordinator.finish(own, last, "r", "me", "done") == "ok"
    coordinator.resign(own, "me")
    worker.leave("w@here")
    coordinator.absent("me")
    assert secured.denied() == []


# -- what each role may not ----------------------------------------------------------------------

DENIED: dict[str, Callable[[Store, str], object]] = {
    "schedule": lambda store, uid: store.schedule(
        uid, store.describe(uid).last, "r", [ScheduledSegment(1, 0, 0, 3, {})]
    ),
    "finish": lambda store, uid: store.finish(uid, store.describe(uid).last, "r", "me", "done"),
    "lead": lambda store, uid: store.lead(uid, "me", 1),
    "reap": lambda store, uid: store.reap(uid),
    "evict": lambda store, uid: store.evict(uid, 1, []),
    "keep_snapshot": lambda store, uid: store.keep_snapshot(uid, Snapshot("1-0", "1-0", {})),
    "attend": lambda store, uid: store.attend("me", {}),
    "submit": lambda store, uid: store.submit("0" * 16, "other", {"retries": 1}),
    "delete": lambda store, uid: store.delete(uid),
    "restore": lambda store, uid: store.restore(
        [one | {"uid": "0" * 16, "experiment": {"name": "b"}} for one in entries(store, uid)[:1]]
    ),
    "pause": lambda store, uid: store.pause(uid, "r", "me", "", False),
    "resume": lambda store, uid: store.resume(uid, "r", "me", ""),
    "cancel": lambda store, uid: store.cancel(uid, "r", "me", ""),
    "extend": lambda store, uid: store.extend(uid, "r", "me", "", {"max_t": 99}),
    "retry": lambda store, uid: store.retry(uid, "r", "me", None),
    "drain": lambda store, uid: store.drain(["w@here"], "me"),
    "claim": lambda store, uid: store.claim(uid, 0, 0, 1, "c", "w@here"),
    "complete": lambda store, uid: store.complete(uid, 0, 1, outcome(3)),
    "fail": lambda store, uid: store.fail(uid, 0, 1, "no", 0),
    "release_worker": lambda store, uid: store.release_worker("w@here", "dead"),
    "beat": lambda store, uid: store.beat("w@here", {}),
    "set_aside": lambda store, uid: store.set_aside("w@here", "no"),
    "report": lambda store, uid: store.report(uid, [{"step": 1}]),
}
ORDERS = ("pause", "resume", "cancel", "extend", "retry", "drain")
MAKES = ("submit", "delete", "restore")
DECIDES = ("schedule", "finish", "lead", "reap", "evict", "keep_snapshot", "attend")
TRAINS = ("claim", "complete", "fail", "release_worker", "beat", "set_aside", "report")
NEVER = {
    "worker": (*DECIDES, *MAKES, *ORDERS),
    "client": (*DECIDES, *TRAINS),
    "flower": DENIED.keys(),
    "flower-orders": (*DECIDES, *MAKES, *TRAINS),
    "coordinator": ("restore", *ORDERS, *TRAINS),
}


@pytest.mark.parametrize("user", NEVER)
def test_a_role_is_refused_what_is_not_its_own_and_nothing_is_changed(
    user: str, stores: dict[str, Store], secured: Secured
) -> None:
    uid = submitted(stores["client"])
    scheduled(stores["coordinator"], uid, 0)
    with secured.as_user("admin") as admin:
        before = admin.execute_command("DEBUG", "DIGEST")
        for name in NEVER[user]:
            with pytest.raises(NotAllowed, match=f"the user {user} may not") as refused:
                DENIED[name](stores[user], uid)
            assert "asha-queue users DIR --keep" in str(refused.value)
            assert admin.execute_command("DEBUG", "DIGEST") == before, name


RAW = [
    *("FLUSHALL", "FLUSHDB", "CONFIG GET *", "CONFIG SET maxmemory 1", "KEYS *", "SCAN 0"),
    *("RANDOMKEY", "DEBUG JMAP", "SHUTDOWN NOSAVE", "MONITOR", "ACL LIST", "ACL WHOAMI"),
    *("CLIENT KILL ID 1", "SLOWLOG GET", "SAVE", "REPLICAOF NO ONE", "SELECT 1", "SWAPDB 0 1"),
    *("EVAL return 0", "SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION FLUSH", "MODULE LIST"),
    *("GET other:application", "SET other:application 1", "HGETALL other:application"),
    *("HSET other:application a b", "DEL other:application", "XADD other * a b"),
    *("SET asha:names 1", "RENAME asha:names asha:other", "EXPIRE asha:names 1", "COPY a b"),
    *("XTRIM asha:experiment:0123456789abcdef:journal MAXLEN 0", "DUMP asha:names"),
    *("XDEL asha:experiment:0123456789abcdef:journal 1-0", "PUBLISH other:channel hello"),
    *("PSUBSCRIBE *", "MIGRATE h 1 k 0 1", "RESTORE a 0 b", "WATCH other"),
    "HSET asha:call:claim a b",
]


@pytest.mark.parametrize("user", rights.ROLES)
def test_nobody_but_the_administrator_gives_commands_to_the_server_or_sees_other_keys(
    user: str, secured: Secured
) -> None:
    with secured.as_user(user) as client:
        for words in RAW:
            if words == "HSET asha:call:claim a b" and user in ("worker", "coordinator"):
                continue  # a key that means nothing
            call = [*words.split(" ", 1)[:1], *words.split()[1:]]
            with pytest.raises((redis.exceptions.NoPermissionError, redis.ResponseError)) as told:
                client.execute_command(*call)
            assert "permission" in str(told.value), f"{words}: {told.value}"


def test_only_a_coordinator_gives_scripts_to_the_server(secured: Secured) -> None:
    for user in rights.ROLES:
        with secured.as_user(user) as client:
            if user == "coordinator":
                client.script_load("return 1")
                continue
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.script_load("return 1")


WRITES = {
    "worker": (keys.NAMES, keys.DELETED, keys.COORDINATORS, "{e}:snapshot", "{e}:orders"),
    "client": (keys.WORKERS, keys.COORDINATORS, keys.TROUBLES),
    "flower": (keys.NAMES, keys.DRAINS, "{e}", "{e}:trial:0", "{e}:orders", keys.WORKERS),
    "flower-orders": (keys.NAMES, keys.DELETED, keys.WORKERS),
    "coordinator": (keys.WORKERS, keys.TROUBLES, keys.DRAINS),
}


@pytest.mark.parametrize("user", WRITES)
def test_a_role_cannot_write_past_the_scripts_what_they_do_not_write_for_it(
    user: str, secured: Secured
) -> None:
    with secured.as_user(user) as client:
        for key in WRITES[user]:
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.hset(key.format(e=keys.experiment("0123456789abcdef")), "a", "b")


@pytest.mark.parametrize("user", ["worker", "flower", "flower-orders"])
def test_only_those_who_delete_experiments_can_remove_a_key(user: str, secured: Secured) -> None:
    journal = keys.journal("0123456789abcdef")
    with secured.as_user(user) as client:
        for command in ("DEL", "UNLINK", "GETDEL"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(command, journal)


def test_flower_that_only_shows_tells_workers_nothing_and_puts_nothing_into_queues(
    secured: Secured,
) -> None:
    with secured.as_user("flower") as client:
        for call in (
            ("PUBLISH", "asha:celery:/0.celery.pidbox", "shutdown"),
            ("LPUSH", "asha:celery:asha", "message"),
            ("DEL", "asha:celery:asha"),
            ("SREM", "asha:celery:_kombu.binding.asha", "member"),
            ("ZADD", "asha:celery:unacked_index", "1", "a"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*call)


def test_whoever_gives_no_user_is_let_in_nowhere(secured: Secured) -> None:
    with pytest.raises(StoreUnavailable, match="wants a password.*USER:PASSWORD"):
        connect(secured.broker).names()
    for password in ("", "any"):
        with pytest.raises(StoreUnavailable, match="the user default or the password"):
            connect(secured.broker.replace("://", f"://default:{password}@")).names()


@pytest.mark.skipif(
    shutil.which("redis-server") is None,
    reason="redis-server is not installed: apt-get install redis-server",
)
def test_redis_too_reads_these_users_and_what_it_has_kept(tmp_path: Path) -> None:
    server = Secured(tmp_path / "server", program="redis-server")
    try:
        store = connect(server.url("coordinator"))
        store.attend("me", {})
        uid = submitted(store)
        server.kill()
        server.start()
        store.close()
        store.attend("me", {})
        assert [*store.names().values()] == [uid]
        assert server.denied() == []
        store.close()
    finally:
        server.end()


def test_a_wrong_password_and_an_unknown_user_are_named_without_the_password(
    secured: Secured,
) -> None:
    for user in ("worker", "nobody"):
        url = secured.broker.replace("://", f"://{user}:wrong-one@")
        with pytest.raises(StoreUnavailable, match=f"the user {user} or the password") as told:
            connect(url).names()
        assert "wrong-one" not in str(told.value)


def test_a_script_refuses_a_call_that_names_another_one(
    stores: dict[str, Store], secured: Secured
) -> None:
    from asha_queue.store.connection import script_hash

    uid = submitted(stores["client"])
    with (
        secured.as_user("worker") as worker,
        pytest.raises(redis.ResponseError, match="ILLEGAL a call of finish names asha:call:claim"),
    ):
        worker.execute_command(
            *("EVALSHA", script_hash("finish"), 1, keys.call("claim")),
            *(1, keys.experiment(uid), stores["client"].describe(uid).last, "r", ""),
        )


def test_after_a_restart_workers_wait_until_a_coordinator_has_brought_the_scripts(
    stores: dict[str, Store], secured: Secured
) -> None:
    with secured.as_user("admin") as admin:
        admin.script_flush()
    with pytest.raises(StoreUnavailable, match="does not know what this version calls beat"):
        stores["worker"].beat("w@here", {})
    starting = connect(secured.url("coordinator"))
    starting.attend("me", {})
    assert stores["worker"].beat("w@here", {}) is False
    starting.close()


# -- the files ----------------------------------------------------------------------------------


def called(*arguments: str, expect: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["users", *arguments])
    assert (ended.value.code or 0) == expect


def test_the_files_are_for_their_owner_and_the_servers_holds_no_password(tmp_path: Path) -> None:
    folder = tmp_path / "users"
    called(str(folder), "--broker", "rediss://head:6380/2?ssl_ca_certs=/etc/ca.crt")
    files = sorted(folder.iterdir())
    names = ["admin", "client", "coordinator", "flower-orders", "flower", "worker"]
    assert [path.name for path in files] == sorted([*(f"{n}.env" for n in names), "users.acl"])
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    users = Users.read(folder)
    acl = (folder / "users.acl").read_text()
    for user, password in users.passwords.items():
        line = (folder / f"{user}.env").read_text()
        at = f"rediss://{user}:{password}@head:6380/2?ssl_ca_certs=/etc/ca.crt"
        assert line == f"ASHA_QUEUE_BROKER={at}\n"
        assert password not in acl
    assert "+select|2" in acl
    assert "&asha:celery:/2.celeryev" in acl


def test_a_url_with_several_options_is_quoted_for_the_shell(tmp_path: Path) -> None:
    users = Users.drawn(tmp_path / "u", "rediss://h/0?ssl_ca_certs=/a&ssl_certfile=/b")
    users.write("asha:celery:")
    line = (tmp_path / "u" / "client.env").read_text()
    assert line == f"ASHA_QUEUE_BROKER='{users.url('client')}'\n"
    assert Users.read(tmp_path / "u").passwords == users.passwords


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give --broker URL"),
        (["--broker", "redis://me:secret1@head/0"], "without user and password"),
        (["--broker", "head:6379"], r"redis\[s\]://HOST:PORT/DB"),
        (["--broker", "redis://head/zero"], "the database"),
        (["--broker", "redis://head/0?ssl_ca_certs=/a b"], "write ' ' in the broker's URL as %20"),
        (["--keep"], "has no users yet"),
        (["--add", "--force"], "exclude each other"),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_written(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called(str(tmp_path / "users"), *arguments, expect=2)
    told = capsys.readouterr().err
    assert re.search(says, told), told
    assert "secret1" not in told
    assert not (tmp_path / "users").exists()


def test_users_that_are_there_are_not_replaced_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "users"
    called(str(folder), "--broker", "redis://head/0")
    before = {path: path.read_text() for path in folder.iterdir()}
    called(str(folder), "--broker", "redis://head/0", expect=2)
    assert "--add" in capsys.readouterr().err
    assert {path: path.read_text() for path in folder.iterdir()} == before
    called(str(folder), "--force")
    assert all(path.read_text() != text for path, text in before.items())


def test_the_servers_file_stays_readable_for_whom_it_was_made_so(tmp_path: Path) -> None:
    called(str(tmp_path), "--broker", "redis://head/0")
    for path in tmp_path.iterdir():
        path.chmod(0o640)
    called(str(tmp_path), "--add")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes.pop("users.acl") == 0o640
    assert set(modes.values()) == {0o600}


def test_a_file_that_was_changed_by_hand_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "users"
    called(str(folder), "--broker", "redis://head/0")
    (folder / "worker.env").write_text("ASHA_QUEUE_BROKER=redis://head/0\n")
    called(str(folder), "--keep", expect=2)
    assert "worker.env is not as" in capsys.readouterr().err


def test_passwords_are_changed_while_those_who_have_the_old_ones_go_on(tmp_path: Path) -> None:
    server = Secured(tmp_path / "server")
    try:
        folder = str(tmp_path / "server" / "users")
        old, going_on = connect(server.url("client")), server.url("client")
        coordinator = connect(server.url("coordinator"))
        coordinator.attend("me", {})
        old.names()
        called(folder, "--add")
        called(folder, "--load")
        new = connect(server.url("client"))
        assert server.url("client") != going_on
        assert new.names() == connect(going_on).names() == {}
        old.names()
        called(folder, "--keep", "--load")
        assert new.names() == {}
        with pytest.raises(StoreUnavailable, match="the user client or the password"):
            connect(going_on).names()
        with pytest.raises(StoreUnavailable):
            old.names()  # whose connection the server has ended
    finally:
        server.end()
