"""Whatever is read from others is taken or refused in one message: no other error, no hang, nothing
written outside, nothing half changed.

Each parser gets valid inputs with a few changes (`mutations.py`); a few hundred in each test run,
many more in the slow test. `python -m tests.pure.test_fuzz 20000` plays as many as wanted.
"""

import contextlib
import copy
import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asha_queue import prior, study
from asha_queue.checkpoints import Checkpoints
from asha_queue.checkpoints.manifest import NAME as MANIFEST
from asha_queue.cli.restore import _checked
from asha_queue.coordinator.fold import Fold
from asha_queue.dashboard import api, orders
from asha_queue.doctor import fleet as doctor_fleet
from asha_queue.doctor.storage import storage as doctor_storage
from asha_queue.errors import AshaQueueError, JournalError, NewerFormat
from asha_queue.queue import make_app
from asha_queue.result import Result
from asha_queue.search.asha import Asha
from asha_queue.search.rules import check
from asha_queue.search.space import Space
from asha_queue.selection import choose, row
from asha_queue.specification import Specification, command
from asha_queue.store import connect
from asha_queue.store.contract import Snapshot, Worker
from asha_queue.store.journal import load_file
from asha_queue.store.memory import MemoryStore
from asha_queue.store.restoration import rebuilt
from asha_queue.training.command import _Run
from asha_queue.training.messages import read_message
from asha_queue.training.progress import Progress
from asha_queue.training.trial import Trial
from asha_queue.views import best_file, fleet, overview, trial_view
from asha_queue.where import broker, storage_root, without_password
from tests.pure.mutations import garbled, mutated, text_of
from tests.pure.test_rules import CORRECT, EXPERIMENT

#: Inputs for each parser in every test run, and in the slow one.
FEW = 30
MANY = 120
#: Seconds that one input may take, on a busy machine.
LONGEST = 20.0

SEGMENT = {"uid": "1f2e3d", "trial": 17, "rung": 2, "attempt": 1, "v": 1}
TOML = """
name = "digits"
train = "digits.py:train"
metric = ["loss", "seconds"]
mode = "min"
max_t = 81
grace_period = 1
reduction_factor = 3
num_samples = 64
seed = 7
weight = 1.5
trackers = ["tensorboard", "mlflow:http://host:5000"]
warm_start = ["before.jsonl", "optuna:sqlite:///study.db/one"]
constraints = {seconds = {max = 60.0}}
initial_configs = [{lr = 0.1, net = {hidden = 32, act = "relu"}}]
storage = "asha-runs"
[space]
lr = {loguniform = [1e-4, 1.0]}
momentum = {quniform = [0.0, 0.99, 0.01]}
steps = {lograndint = [1, 1000]}
[space.net]
hidden = {choice = [16, 32, 64]}
act = {choice = ["relu", {kind = "leaky", slope = {uniform = [0.0, 0.5]}}]}
"""
SPACE = {
    "lr": {"loguniform": [1e-4, 1.0]},
    "q": {"quniform": [0.0, 1.0, 0.25]},
    "n": {"randint": [1, 10]},
    "z": {"normal": [0.0, 1.0]},
    "net": {"choice": [None, {"kind": "a", "depth": {"choice": [1, 2]}}, {"uniform": [0, 1]}]},
    "fixed": [1, "two", None],
    "deep": {"er": {"lograndint": [1, 100]}},
}
FLOWER_BODIES: dict[str, Any] = {
    "pause": {"now": True, "reason": "a"},
    "resume": {"reason": "b"},
    "extend": {"num_samples": 20, "max_t": 27, "reason": "c"},
    "retry": {"trials": [1, 2]},
    "cancel": {"reason": "d"},
}
WORKER = {
    "host": "n1",
    "pid": 7,
    "device": "0",
    "version": "0.1.0",
    "queues": ["asha"],
    "programs": ["/p"],
    "gpus": ["A100"],
    "storage": {"root": "/s", "id": "ab", "seen": ["cd"], "error": ""},
}
URLS = [
    "redis://u:p%2F@host:6379/0",
    "rediss://:p@[::1]/1?ssl_ca_certs=/a&ssl_cert_reqs=required",
    "sentinel://u:p@a:1,b,[::1]:2/3?master=lab&sentinel_password=q",
    "s3://bucket/a/b",
    "file:///tmp/x",
    "~/runs",
    "/tmp/x",
]
SOURCES = [
    "optuna:sqlite:///there/study.db/one",
    "optuna:journal.log/one",
    "optuna:postgresql://u:$PASSWORD@host/db/one",
    "other",
    "journal.jsonl",
]
COMMANDS = [
    '{python} train.py --lr {lr} [--resume {checkpoint}] && echo ${HOME} {{lr}} "{config}"',
    "A={n} sh -c 'x' \"{net.kind}\" {config.n}",
]
LINES = ['{"step": 3, "score": 0.5, "loss": 1}', '{"score": 1e-3}', "step=4 score=0.25"]


def one_message(error: AshaQueueError) -> None:
    """What people are told: not nothing, and not pages."""
    said = str(error)
    assert said.strip()
    assert "Traceback" not in said


@contextlib.contextmanager
def refusing() -> Any:
    """Takes a refusal, and nothing else."""
    try:
        yield
    except AshaQueueError as error:
        one_message(error)


def messages(random: Random) -> None:
    said = mutated(SEGMENT, random)
    with refusing():
        message = read_message(said if isinstance(said, dict) else {}, "task")
        assert (type(message.uid), type(message.trial)) == (str, int)


def journals(random: Random) -> None:
    entries = mutated(CORRECT, random) if random.random() < 0.8 else CORRECT
    lines = [text_of(e) for e in entries] if isinstance(entries, list) else [text_of(entries)]
    if random.random() < 0.3:
        place = random.randint(0, len(lines) - 1) if lines else 0
        lines[place : place + 1] = [garbled("".join(lines[place : place + 1]), random)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "journal.jsonl"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogatepass")
        with refusing():
            read, _ = load_file(file)
            for use in (_checked_and_restored, _checked_alone, _reported, _learnt_from):
                with refusing():
                    use(copy.deepcopy(read))


def _checked_alone(read: list[dict[str, Any]]) -> None:
    assert all(isinstance(one, str) for one in check(read))


def _checked_and_restored(read: list[dict[str, Any]]) -> None:
    store = MemoryStore(lambda: 1e9)
    try:
        _checked(read, "file")
        uid = store.restore(read)
    except AshaQueueError:
        assert not store.names()
        with contextlib.suppress(AshaQueueError):
            rebuilt(read)
        raise
    store.describe(uid)
    fold = Fold(store, uid)
    fold.catch_up()


def _reported(read: list[dict[str, Any]]) -> None:
    result = Result.from_journal(read)
    json.dumps(overview(result, [], {}))
    best_file(result)
    for trial in result.trials[:5]:
        row(trial)
    search = Asha(result.specification.plan)
    for entry in read:
        search.apply(entry)
    for trial in result.trials[:5]:
        trial_view(trial, search)


def _learnt_from(read: list[dict[str, Any]]) -> None:
    prior._history("file", iter(read), EXPERIMENT)


def searches(random: Random) -> None:
    """An entry that is refused has changed nothing."""
    journal = CORRECT[: random.randint(1, 40)]
    search = Asha(EXPERIMENT.plan)
    for entry in journal:
        search.apply(entry)
    for _ in range(5):
        entry = mutated(random.choice(CORRECT), random)
        before = json.dumps(search.snapshot())
        try:
            search.apply(entry)
        except (JournalError, NewerFormat) as error:
            one_message(error)
            assert json.dumps(search.snapshot()) == before


def snapshots(random: Random) -> None:
    """A snapshot that is none costs the time of folding all, and changes nothing."""
    store = MemoryStore(lambda: 1e9)
    uid = store.restore(copy.deepcopy(CORRECT))
    whole = Fold(store, uid)
    whole.catch_up()
    state = whole.search.snapshot() | {"sampler": whole.suggestions.snapshot()}
    state = mutated(state, random)
    state = state if isinstance(state, dict) else {}
    store.keep_snapshot(uid, Snapshot(whole.seen, whole.last, state))
    Fold(store, uid)


def manifests(random: Random) -> None:
    """Nothing outside the checkpoint's folder is read, and nothing outside the cache written."""
    with tempfile.TemporaryDirectory() as text:
        root = Path(text) / "storage"
        checkpoints = Checkpoints(root, "test", "u1")
        with checkpoints.writer(0, 1, "claim", 3, {"loss": 1.0}) as draft:
            (draft.folder / "model").write_bytes(b"abc")
            (draft.folder / "sub").mkdir()
            (draft.folder / "sub" / "more").write_bytes(b"")
        record = draft.record
        file = root / record["path"] / MANIFEST
        said = mutated(json.loads(file.read_text()), random)
        if random.random() < 0.3 and isinstance(said, dict):
            odd = random.choice(
                ["../../../../outside", "/tmp/outside", "", ".", "a/../../x", "a\0"]
            )
            said["files"] = {odd: {"size": 0, "sha256": hashlib.sha256().hexdigest()}}
        whole = text_of(said)
        whole = garbled(whole, random) if random.random() < 0.2 else whole
        data = whole.encode(errors="surrogatepass")
        file.write_bytes(data)
        good = record | {"digest": hashlib.sha256(data).hexdigest()}
        outside = set(Path(text).iterdir())
        with refusing():
            checkpoints.restore([good])
        with refusing():
            checkpoints.restore([mutated(record, random)])
        assert set(Path(text).iterdir()) == outside


def tomls(random: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "exp.toml"
        file.write_text(garbled(TOML, random), encoding="utf-8", errors="surrogatepass")
        with refusing():
            made = Specification.from_toml(file)
            assert Specification.from_json(json.loads(json.dumps(made.to_json()))) == made


def specifications(random: Random) -> None:
    said = mutated(EXPERIMENT.to_json(), random)
    with refusing():
        made = Specification.from_json(said if isinstance(said, dict) else {})
        json.dumps(made.to_json())


def spaces(random: Random) -> None:
    with refusing():
        space = Space(mutated(SPACE, random))
        config = space.draw(1, 2)
        space.accepted(mutated(config, random), "config")
    with refusing():
        Space(SPACE).whole(mutated(Space(SPACE).draw(1, 2), random), "config")


def commands(random: Random) -> None:
    line = garbled(random.choice(COMMANDS), random)
    with refusing():
        command.check(line, Space(SPACE).names)
        values = dict.fromkeys(command.GIVEN, "x") | {"config": Space(SPACE).draw(1, 2)}
        shell, parameters = command.rendered(line, values)
        assert isinstance(shell, str)
        assert all(isinstance(one, str) for one in parameters)
    with refusing():
        command.check_pattern(garbled("score=(?P<score>[0-9.]+)", random), ["score"])


def lines(random: Random) -> None:
    """What a command prints is a report, or no report."""
    segment: Any = SimpleNamespace(
        progress=Progress(2, 9, "score"),
        draining=lambda: False,
        go_on=lambda: None,
        live=lambda step, metrics: json.dumps([step, metrics]),
    )
    trial = Trial(
        segment,
        number=1,
        config={},
        experiment="e",
        rung=0,
        attempt=1,
        device="cpu",
        checkpoint=None,
    )
    run = _Run(trial, ["score"], None)
    with refusing():
        for line in LINES[:2]:
            said = text_of(mutated(json.loads(line), random))
            said = garbled(said, random) if random.random() < 0.4 else said
            run._line(said.encode(errors="surrogatepass"))


def workers(random: Random) -> None:
    """What one worker says of itself breaks no look at the others."""
    store = MemoryStore(lambda: 1e9)
    said = mutated(WORKER, random)
    store.beat("w@n1", said)
    store.beat("v@n2", copy.deepcopy(WORKER))
    everyone = store.workers()
    assert [type(worker) for worker in everyone] == [Worker, Worker]
    fleet(everyone, {}, [])
    list(doctor_fleet.workers(everyone, {}))
    list(doctor_storage(everyone, None))
    assert sum("asha" in worker.info.get("queues", ()) for worker in everyone) >= 1


def api_orders(random: Random) -> None:
    store = MemoryStore(lambda: 1e9)
    uid = store.restore(copy.deepcopy(CORRECT[:30]))
    before = store.read(uid, "").entries
    verb = random.choice([*FLOWER_BODIES])
    text = text_of(mutated(FLOWER_BODIES[verb], random))
    text = garbled(text, random) if random.random() < 0.3 else text
    name = "sim" if random.random() < 0.9 else garbled("sim", random)
    try:
        orders._obey(store, name, verb, text.encode(errors="surrogatepass"), "me@flower")
    except AshaQueueError as error:
        one_message(error)
        assert store.read(uid, "").entries == before


def api_wishes(random: Random) -> None:
    wish = {"state": "done", "search": "x>0.5 loss<=1", "sort": "loss", "order": "desc"}
    wish |= {"offset": "2", "limit": "10"}
    given = {garbled(k, random) if random.random() < 0.1 else k: v for k, v in wish.items()}
    given = {k: garbled(v, random) if random.random() < 0.4 else v for k, v in given.items()}
    with refusing():
        choose(RESULT, **api._wish(given))


def sources(random: Random) -> None:
    source = garbled(random.choice(SOURCES), random)
    with refusing():
        Specification.from_json(EXPERIMENT.to_json() | {"warm_start": [source]})
    if source.startswith("optuna:") and not {"postgresql", "redis"} & {*source.split(":")}:
        with refusing():
            study.results(source, EXPERIMENT)


def urls(random: Random) -> None:
    url = garbled(random.choice(URLS), random)
    without_password(url)
    with refusing():
        storage_root(url)
    with refusing():
        if place := broker(url):
            str(place)
            store = connect(place.url)
            store.close()
            make_app(place.url).connection().as_uri()


RESULT = Result.from_journal(CORRECT)
PARSERS = [
    *(messages, journals, searches, snapshots, manifests, tomls, specifications, spaces),
    *(commands, lines, workers, api_orders, api_wishes, sources, urls),
]


def play(parser: Callable[[Random], None], examples: int) -> None:
    def one(random: Random) -> None:
        begun = time.monotonic()
        parser(random)
        assert time.monotonic() - begun < LONGEST

    fuzzing = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    fuzzing(given(st.randoms(use_true_random=False))(one))()


@pytest.mark.parametrize("parser", PARSERS)
def test_what_is_read_is_taken_or_refused(parser: Callable[[Random], None]) -> None:
    play(parser, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("parser", PARSERS)
def test_much_that_is_read_is_taken_or_refused(parser: Callable[[Random], None]) -> None:
    play(parser, MANY)
