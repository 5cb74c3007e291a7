"""The JSON API in a real Flower, over HTTP: what it tells, and what its orders change."""

import base64
import gzip
import json
import os
import re
import signal
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from tornado.web import create_signed_value

from asha_queue.cli import main
from asha_queue.result import Result
from asha_queue.search.rules import check
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.store import connect
from asha_queue.store.contract import Outcome, ScheduledSegment, Store
from asha_queue.views import journal
from asha_queue.where import ADDRESS_FILE
from tests.conftest import wait_until
from tests.processes.directory import Directory
from tests.processes.servers import Valkey
from tests.processes.test_flower import LOGIN, Running, flower, get, submit
from tests.server.test_coordinator import SPECIFICATION, drive, loss

TRIALS = 1200


def strict(text: bytes | str) -> Any:
    """Reads JSON, but not what Python takes for it: NaN and infinities."""

    def never(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=never)


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return strict(self.body)

    @property
    def error(self) -> str:
        assert self.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert list(self.json) == ["error"]
        return str(self.json["error"])


def ask(url: str, body: object = None, login: str = LOGIN, **headers: str) -> Answer:
    """A GET; or, with a body (bytes, or what becomes JSON), a POST."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data)
    if login:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def experiment_with_a_failure(store: Store) -> str:
    """An experiment `poor` whose trial 0 diverged, and whose trial 1 has failed for good."""
    uid = submit(store, name="poor", retries=0)
    segments = [ScheduledSegment(trial, 0, 0, 1, {"x": 0.5}) for trial in (0, 1)]
    assert store.schedule(uid, store.describe(uid).last, "r", segments) == "ok"
    for trial in (0, 1):
        token = store.claim(uid, trial, 0, 1, f"c{trial}", "cpu0@test").token
        store.start(uid, trial, token, 0)
        if trial == 0:
            store.complete(uid, 0, token, Outcome({"loss": "NaN"}, 1, None, 0.1, []))
        else:
            assert store.fail(uid, 1, token, "boom", 0) == "final"
    return uid


def simulated(**changed: object) -> list[dict]:
    """The journal of an experiment that nobody has trained."""
    specification = Specification.from_json(SPECIFICATION.to_json() | changed)
    return simulate(specification, loss, lambda config, start, target: 1.0).journal


@pytest.fixture(scope="module")
def store(valkey: str) -> Iterator[Store]:
    """`sums`, which has ended; `wide`, with many trials; `poor`, with one that failed."""
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
        store = connect(valkey)
        drive(store, submit(store), workers=3)
        store.restore(simulated(name="wide", max_t=1, num_samples=TRIALS))
        experiment_with_a_failure(store)
        yield store
        store.close()
        client.flushall()


@pytest.fixture(scope="module")
def api(valkey: str, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the API in a Flower with a login and a prefix."""
    folder = tmp_path_factory.mktemp("flower")
    options = (f"--basic_auth={LOGIN}", "--url_prefix=lab")
    with flower(valkey, folder, "-m", "asha_queue", "flower", *options) as running:
        yield f"{running.url}/lab/api"


def uid_of(store: Store, name: str) -> str:
    uid = store.uid(name)
    assert uid
    return uid


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What the command line prints with --json."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--json"])
    assert not ended.value.code
    return strict(capsys.readouterr().out)


def without_clocks(view: Any) -> Any:
    """A view without what may differ between two looks a moment apart."""
    if isinstance(view, dict):
        return {k: without_clocks(v) for k, v in view.items() if k not in ("utilisation", "age")}
    return [without_clocks(one) for one in view] if isinstance(view, list) else view


@pytest.mark.parametrize(
    "path", [(), ("sums",), ("poor",), ("sums", "0"), ("sums", "29"), ("poor", "0"), ("poor", "1")]
)
def test_it_tells_what_the_command_line_prints(
    api: str, valkey: str, path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    address = "/".join(
        [f"{api}/experiments", *path[:1], *(("trials", *path[1:]) if path[1:] else ())]
    )
    answer = ask(address)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    told = printed(capsys, "status", *path, "--broker", valkey)
    assert without_clocks(answer.json) == without_clocks(told)


def test_the_trials_are_chosen_sorted_and_cut_as_asked(api: str, store: Store) -> None:
    result = Result.from_journal(journal(store, uid_of(store, "sums")))
    told = ask(f"{api}/experiments/sums/trials?search=x%3C0.5+rung%3D0&sort=x&order=desc").json
    expected = sorted(
        (t for t in result.trials if t.config["x"] < 0.5 and t.rung == 0),
        key=lambda trial: -trial.config["x"],
    )
    assert told["matching"] == len(expected) > 1
    assert [row["trial"] for row in told["trials"]] == [trial.number for trial in expected]
    first = expected[0]
    assert told["trials"][0] == {
        "trial": first.number,
        "value": first.results[-1].value,
        "rung": 0,
        "resource": 1,
        "state": first.state,
        "config": first.config,
    }
    best = ask(f"{api}/experiments/sums/trials?state=done&offset=1&limit=1").json
    assert best["matching"] == sum(trial.state == "done" for trial in result.trials) > 1
    assert len(best["trials"]) == 1
    assert len(ask(f"{api}/experiments/wide/trials").json["trials"]) == 100
    assert len(ask(f"{api}/experiments/wide/trials?limit=1000").json["trials"]) == 1000


def test_a_value_that_is_no_number_is_a_text(api: str) -> None:
    [diverged] = ask(f"{api}/experiments/poor/trials?state=diverged").json["trials"]
    assert diverged["value"] == "NaN"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("nobody", 404, "no experiment is called 'nobody'"),
        ("sums/trials/30", 404, "30 were started"),
        ("sums/trials/x", 404, "no such address; orders are pause, resume"),
        ("sums/stop", 404, "no such address"),
        ("sums/trials?search=depth%3E3", 400, "there is no 'depth'; there are trial"),
        ("sums/trials?state=runing", 400, "the states are running"),
        ("sums/trials?sort=%3Cb%3E", 400, "there is no '<b>'"),
        ("sums/trials?limit=1001", 400, "limit='1001': must be a whole number from 0 to 1000"),
        ("sums/trials?offset=-1", 400, "offset='-1'"),
        ("sums/trials?order=down", 400, "order='down': must be asc or desc"),
        ("sums/trials?page=2", 400, "'page' is not asked for here"),
        ("sums/pause", 405, "GET is not for this address"),
    ],
)
def test_what_cannot_be_told_is_one_sentence(
    api: str, path: str, status: int, message: str
) -> None:
    answer = ask(f"{api}/experiments/{path}")
    assert answer.status == status
    assert message in answer.error


def test_a_client_that_has_it_already_gets_nothing_and_large_answers_are_compressed(
    api: str,
) -> None:
    address = f"{api}/experiments/wide/trials?limit=1000"
    plain = ask(address)
    assert plain.headers["Content-Encoding"] is None
    zipped = ask(address, Accept_Encoding="gzip")
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body) / 2
    again = ask(address, If_None_Match=plain.headers["Etag"])
    assert (again.status, again.body) == (304, b"")
    other = ask(f"{api}/experiments/wide/trials?limit=999", If_None_Match=plain.headers["Etag"])
    assert other.status == 200
    missing = ask(f"{api}/experiments/nobody")
    assert ask(f"{api}/experiments/nobody", If_None_Match=missing.headers["Etag"]).status == 404


@pytest.mark.parametrize("path", ["", "/sums", "/sums/trials", "/sums/trials/0", "/sums/nothing"])
def test_nothing_is_told_without_the_login(api: str, path: str) -> None:
    for login in ("", "ada:wrong"):
        answer = ask(f"{api}/experiments{path}", login=login)
        assert answer.status == 401
        assert "log in" in answer.error
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="flower"'


def entries(store: Store, name: str) -> list[dict]:
    return list(journal(store, uid_of(store, name)))


@pytest.mark.parametrize(
    ("verb", "body", "message"),
    [
        ("pause", {"noww": True}, "unknown field `noww`; pause takes now, reason"),
        ("pause", {"now": "yes"}, "Expected `bool`, got `str` - at `$.now`; pause takes"),
        ("pause", b"{", "the body is no JSON object"),
        ("pause", [], "Expected `object`, got `array`; pause takes now, reason"),
        ("pause", b"\xff", "the body is no JSON object"),
        ("pause", b'{"now":' + b"[" * 100_000, "pause takes now, reason"),
        ("resume", {"reason": "x" * 1001}, "length <= 1000 - at `$.reason`"),
        ("cancel", {"trials": [1]}, "unknown field `trials`; cancel takes reason"),
        ("extend", {}, "nothing to extend: give one or several of num_samples, max_t, "),
        ("extend", {"num_samples": 29}, "num_samples=29: experiment sums has 30"),
        ("extend", {"max_t": 0}, "`int` >= 1 - at `$.max_t`"),
        ("extend", {"max_t": 27.5}, "Expected `int | null`, got `float` - at `$.max_t`"),
        ("extend", {"max_t": True}, "at `$.max_t`"),
        ("extend", {"num_samples": 2**53 + 1}, "<= 9007199254740992 - at `$.num_samples`"),
        (
            "extend",
            b'{"num_samples": 1' + b"0" * 400 + b"}",
            "<= 9007199254740992 - at `$.num_samples`",
        ),
        ("retry", {"trials": [-1]}, "`int` >= 0 - at `$.trials[0]`"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused_by_name_and_changes_nothing(
    api: str, store: Store, verb: str, body: object, message: str
) -> None:
    before = entries(store, "sums")
    answer = ask(f"{api}/experiments/sums/{verb}", body)
    assert answer.status == 400
    assert message in answer.error
    assert entries(store, "sums") == before


def test_an_order_that_comes_too_late_or_to_nobody_says_so(api: str) -> None:
    late = ask(f"{api}/experiments/sums/pause", {})
    assert (late.status, late.error) == (
        409,
        "cannot pause experiment sums: it is finished; extend it to go on",
    )
    unknown = ask(f"{api}/experiments/nobody/pause", {})
    assert unknown.status == 404
    assert "there are: poor, sums, wide" in unknown.error
    drained = ask(f"{api}/workers/drain", {"workers": ["gpu7@nowhere"]})
    assert drained.status == 404
    assert "no worker and no host is called 'gpu7@nowhere'" in drained.error
    wrongs: list[dict] = [{}, {"workers": []}, {"workers": "cpu0@test"}]
    for wrong in wrongs:
        assert ask(f"{api}/workers/drain", wrong).status == 400


def test_orders_take_effect_and_the_journal_says_who_gave_them(api: str, store: Store) -> None:
    budgets = {"time_budget": 3600.0, "resource_budget": 500, "stop_at": {"loss": 0.1}}
    uid = submit(store, name=f"steered-{uuid.uuid4().hex[:6]}", **budgets)
    name = store.describe(uid).name
    one = f"{api}/experiments/{name}"
    state = {"name": name, "num_samples": 30, "max_t": 9} | budgets
    page = get(f"{api.removesuffix('/api')}/experiments/{name}", LOGIN).text
    for field, value in (("time_budget", "3600.0"), ("resource_budget", "500"), ("stop_at", "0.1")):
        assert re.search(f'name="{field}"[^>]* value="{value}"', page)
    assert ask(f"{one}/pause", {"now": True, "reason": "lunch"}).json == state | {"state": "paused"}
    assert ask(f"{one}/pause", b"").status == 200  # as it is already
    assert ask(f"{one}/resume", b"").json == state | {"state": "running"}
    extended = state | {"num_samples": 40, "max_t": 27}
    assert ask(f"{one}/extend", {"num_samples": 40, "max_t": 27}).json["max_t"] == 27
    more = {"time_budget": "2h", "resource_budget": 900, "stop_at": 0.05}
    meant = {"time_budget": 7200.0, "resource_budget": 900, "stop_at": {"loss": 0.05}}
    assert ask(f"{one}/extend", more).json == (extended := extended | meant) | {"state": "running"}
    cancelled = ask(f"{one}/cancel", {"reason": "wrong idea"})
    assert cancelled.json == extended | {"state": "cancelled"}
    assert ask(f"{one}/resume", {}).status == 409
    assert ask(f"{one}/retry", {}).status == 409
    orders = [e for e in journal(store, uid) if "by" in e]
    assert [e["type"] for e in orders] == ["paused", "resumed", *["extended"] * 2, "cancelled"]
    assert {e["by"] for e in orders} == {"ada@flower"}
    assert (orders[0]["now"], orders[0]["reason"]) == (True, "lunch")
    assert orders[-1]["reason"] == "wrong idea"


def test_failed_trials_are_tried_again(api: str, store: Store) -> None:
    assert ask(f"{api}/experiments/poor/retry", {"trials": [0, 7]}).json["trials"] == []
    assert ask(f"{api}/experiments/poor/retry", {"trials": [1]}).json["trials"] == [1]
    kinds = [(e["type"], e.get("by")) for e in entries(store, "poor")][-2:]
    assert kinds == [("retried", "ada@flower"), ("scheduled", None)]


def test_workers_are_drained_by_name_or_host_all_of_them_or_none(api: str, store: Store) -> None:
    for worker in ("gpu0@a", "gpu1@a", "gpu0@b"):
        store.beat(worker, {"queues": ["asha"]})
    refused = ask(f"{api}/workers/drain", {"workers": ["gpu0@a", "c"]})
    assert refused.status == 404
    assert store.drained() == {}
    drained = ask(f"{api}/workers/drain", {"workers": ["a", "gpu0@a"]})
    assert drained.json == {"workers": ["gpu0@a", "gpu1@a"]}
    assert store.drained() == {"gpu0@a": "ada@flower", "gpu1@a": "ada@flower"}
    for worker in ("gpu0@a", "gpu1@a", "gpu0@b"):
        store.leave(worker)
        store.undrain(worker)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_requests_from_other_sites_are_refused(
    api: str, store: Store, headers: dict[str, str]
) -> None:
    before = entries(store, "poor")
    for address in ("experiments/poor/cancel", "workers/drain"):
        answer = ask(f"{api}/{address}", {}, **headers)
        assert answer.status == 403
        assert "request forbidden" in answer.error
    assert entries(store, "poor") == before


def test_a_page_of_this_flower_may_give_orders(api: str) -> None:
    for headers in ({"Sec_Fetch_Site": "same-origin"}, {"Origin": api.partition("/lab")[0]}):
        late = ask(f"{api}/experiments/sums/pause", {}, **headers)
        assert (late.status, "it is finished" in late.error) == (409, True)


ORDERS = ("experiments/sums/extend", "experiments/poor/pause", "workers/drain")


def all_refused(running: Running, status: int, message: str, login: str = LOGIN) -> None:
    for order in ORDERS:
        answer = ask(f"{running.url}/api/{order}", {"max_t": 27}, login=login)
        assert answer.status == status
        assert message in answer.error


def test_without_a_login_there_is_much_to_read_and_nothing_to_order(
    valkey: str, store: Store, tmp_path: Path
) -> None:
    command = ("-m", "asha_queue", "flower")
    before = entries(store, "sums") + entries(store, "poor")
    with flower(valkey, tmp_path, *command, FLOWER_UNAUTHENTICATED_API="true") as running:
        assert ask(f"{running.url}/api/experiments/sums", login="").status == 200
        all_refused(running, 401, "start it with FLOWER_BASIC_AUTH=user:password", login="")
        all_refused(running, 401, "start it with FLOWER_BASIC_AUTH=user:password")
    assert entries(store, "sums") + entries(store, "poor") == before


def test_read_only_takes_no_orders_and_a_wrong_password_none_either(
    valkey: str, store: Store, tmp_path: Path
) -> None:
    command = ("-m", "asha_queue", "flower", "--read_only")
    before = entries(store, "sums") + entries(store, "poor")
    with flower(valkey, tmp_path, *command, FLOWER_BASIC_AUTH=LOGIN) as running:
        assert ask(f"{running.url}/api/experiments/sums").status == 200
        all_refused(running, 403, "--read_only: it takes no orders")
        all_refused(running, 401, "log in", login="ada:wrong")
        all_refused(running, 401, "log in", login="")
    assert entries(store, "sums") + entries(store, "poor") == before


def test_who_is_logged_in_by_e_mail_orders_by_it_and_with_the_token_of_the_page_only(
    valkey: str, store: Store, tmp_path: Path
) -> None:
    """Logged in with a cookie as Flower sets it after an OAuth provider has said who it is."""
    uid = submit(store, name=f"steered-{uuid.uuid4().hex[:6]}")
    secret, email = "a secret of this test", "ada@lab.example"
    user = create_signed_value(secret, "user", email).decode()
    other = create_signed_value(secret, "user", "eve@elsewhere.example").decode()
    options = (f"--auth={email}", f"--cookie_secret={secret}")
    with flower(valkey, tmp_path, "-m", "asha_queue", "flower", *options) as running:
        one = f"{running.url}/api/experiments/{store.describe(uid).name}"
        for cookie in ("", f"user={other}", "user=ada@lab.example"):
            told = ask(one, login="", Cookie=cookie)
            assert (told.status, told.error) == (401, "log in first: this Flower has a login")
            assert told.headers["WWW-Authenticate"] is None
        assert ask(one, login="", Cookie=f"user={user}").json["state"] == "running"
        cookie = f"user={user}; _xsrf=token"
        assert "_xsrf" in ask(f"{one}/pause", {}, login="", Cookie=cookie).error
        assert ask(f"{one}/pause", {}, login="", Cookie=cookie, X_Xsrftoken="other").status == 403
        assert ask(f"{one}/pause", {}, login="", Cookie="_xsrf=t", X_Xsrftoken="t").status == 401
        done = ask(f"{one}/pause", {}, login="", Cookie=cookie, X_Xsrftoken="token")
        assert done.json["state"] == "paused"
    [paused] = [e for e in journal(store, uid) if "by" in e]
    assert paused["by"] == email


def test_while_the_store_is_away_everything_says_so_and_flower_goes_on(
    server: Valkey, tmp_path: Path
) -> None:
    store = connect(server.url)
    submit(store)
    store.close()
    command = ("-m", "asha_queue", "flower")
    with flower(server.url, tmp_path, *command, FLOWER_BASIC_AUTH=LOGIN) as running:
        one, reads = "api/experiments/sums", ("api/experiments", "metrics/experiments")
        assert ask(f"{running.url}/{one}").status == 200
        os.kill(server.process.pid, signal.SIGSTOP)
        found: list[Answer] = []
        asking = [
            threading.Thread(target=lambda: found.append(ask(f"{running.url}/{one}"))),
            threading.Thread(target=lambda: found.append(ask(f"{running.url}/{one}/pause", {}))),
        ]
        for thread in asking:
            thread.start()
        assert ask(f"{running.url}/healthcheck").status == 200
        assert not found, "Flower was kept waiting for the store"
        for thread in asking:
            thread.join()
        assert [answer.status for answer in found] == [503, 503]
        os.kill(server.process.pid, signal.SIGCONT)
        server.kill()
        answers = [ask(f"{running.url}/{address}") for address in (one, *reads)]
        answers.append(ask(f"{running.url}/{one}/pause", {}))
        answers.append(ask(f"{running.url}/api/workers/drain", {"workers": ["gpu0@a"]}))
        for answer in answers:
            assert answer.status == 503
            assert "does not answer" in answer.error
        server.start()
        assert ask(f"{running.url}/{one}/pause", {}).json["state"] == "paused"
    assert "asha_queue/dashboard" not in running.log.read_text()  # no traceback of ours


def test_a_run_is_steered_through_the_api(directory: Directory) -> None:
    program = (directory.path / "exp.py").read_text()
    directory.write(
        "exp.py", program.replace("max_t=9, grace_period=1", "max_t=400, grace_period=400")
    )
    run = directory.start("run", "exp.py", "--workers", "2", STEP="0.1")
    address = directory.path / ADDRESS_FILE
    wait_until(address.exists, "the embedded server is there", 60)
    broker = address.read_text().strip()
    command = ("-m", "asha_queue", "flower")
    with flower(broker, directory.path, *command, FLOWER_BASIC_AUTH=LOGIN) as running:
        one = f"{running.url}/api/experiments/quick"
        store = connect(broker)

        def count(kind: str) -> int:
            return sum(e["type"] == kind for e in journal(store, uid_of(store, "quick")))

        def trains() -> bool:
            answer = ask(one)
            return answer.status == 200 and any(r["step"] > 1 for r in answer.json["running"])

        wait_until(trains, "a segment is in training", 60)
        assert ask(f"{one}/pause", {"now": True}).json["state"] == "paused"
        wait_until(lambda: count("suspended") == count("started"), "all is handed back", 60)
        assert ask(one).json["running"] == []
        before = count("started")
        assert ask(f"{one}/extend", {"num_samples": 500}).json["num_samples"] == 500
        assert ask(f"{one}/resume", {}).json["state"] == "running"
        wait_until(lambda: count("started") == before + 2, "both workers go on", 60)
        worker = ask(f"{running.url}/api/experiments").json["workers"][0]["worker"]
        assert ask(f"{running.url}/api/workers/drain", {"workers": [worker]}).status == 200
        wait_until(lambda: len(store.workers()) == 1, "the drained worker has ended", 60)
        assert ask(f"{one}/cancel", {"reason": "enough"}).json["state"] == "cancelled"
        _, err = run.communicate(timeout=60)
        assert "experiment quick was cancelled" in err
        store.close()
    entries = directory.journal()
    assert check(entries) == []
    orders = [e["by"] for e in entries if e["type"] in ("paused", "extended", "cancelled")]
    assert orders == ["ada@flower"] * 3
