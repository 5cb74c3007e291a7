"""Trackers: what they are told of a journal, by whom it is refused, and what they write."""

import struct
from pathlib import Path
from typing import Any

import pytest

from asha_queue import trackers
from asha_queue.errors import SpecificationError
from asha_queue.search.space import uniform
from asha_queue.specification import Specification
from asha_queue.trackers.delivery import TRIES, Delivery, read
from asha_queue.trackers.news import Fold, News
from asha_queue.trackers.tensorboard import TensorBoard
from asha_queue.trackers.tracker import About, Own

OWN = """
class Mine:
    def __init__(self, experiment):
        self.file = open("told.txt", "a", buffering=1)
    def start(self, trial, config): print("start", trial, sorted(config), file=self.file)
    def report(self, trial, step, metrics): print("report", trial, step, metrics, file=self.file)
    def end(self, trial, state): print("end", trial, state, file=self.file)
"""


def specification(**more: Any) -> Specification:
    fields = {
        "name": "sums",
        "train": "sums.py:train",
        "space": {"net": {"x": uniform(0.0, 1.0)}},
        "metric": "loss",
        "mode": "min",
        "max_t": 3,
        "reduction_factor": 3,
        "num_samples": 2,
        "seed": 0,
    }
    return Specification(**{**fields, **more})


def segment(number: int, kind: str, trial: int, rung: int, **more: Any) -> dict[str, Any]:
    entry = {"v": 1, "id": f"{number}-0", "type": kind, "at": float(number), "trial": trial}
    return entry | {"rung": rung, "attempt": 1, **more}


def ended(number: int, trial: int, rung: int, steps: range, kind: str = "completed") -> dict:
    curve = [[step, {"loss": 1.0 / step + trial}] for step in steps]
    more = {"metrics": curve[-1][1], "reached": steps[-1], "checkpoint": None, "seconds": 2.0}
    return segment(number, kind, trial, rung, curve=curve, worker="w@lab", **more)


def journal() -> list[dict[str, Any]]:
    """Two trials, one of which is suspended, promoted, trained from step 0 again, and done."""
    config = {"net": {"x": 0.5}}
    return [
        segment(1, "scheduled", 0, 0, bracket=0, target=1, config=config),
        segment(2, "scheduled", 1, 0, bracket=0, target=1, config=config),
        segment(3, "started", 0, 0, worker="w@lab", start=0, token=1),
        ended(4, 0, 0, range(1, 2)),
        ended(5, 1, 0, range(1, 2)),
        segment(6, "scheduled", 0, 1, bracket=0, target=3, config=config),
        ended(7, 0, 1, range(1, 3), "suspended"),
        ended(8, 0, 1, range(1, 4)),
        {"v": 1, "id": "9-0", "type": "finished", "at": 9.0, "by": "", "reason": ""},
    ]


class Recorder:
    """Takes down what it is told; fails as long as `fails` has errors."""

    def __init__(self, fails: list[Exception] | None = None) -> None:
        self.fails = fails or []
        self.told: list[News] = []

    def tell(self, news: News) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.told.append(news)


def deliver(recorder: Any, path: Path, entries: list[dict[str, Any]]) -> Delivery:
    fold = Fold(specification())
    delivery = Delivery(lambda: recorder, path, lambda _: False)
    for entry in entries:
        delivery.deliver(entry["id"], fold.apply(entry))
    return delivery


def test_what_is_wrong_with_a_tracker_is_told_without_the_passwords_of_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cr3t-token")

    class Failing:
        def tell(self, news: News) -> None:
            raise RuntimeError("no s3cr3t-token at http://ada:s3cr3t@host/api?key=s3cr3t")

    deliver(Failing(), tmp_path / "kept.json", journal())
    kept = (tmp_path / "kept.json").read_text()
    assert "s3cr3t" not in kept
    assert "RuntimeError: no *** at http://***@host/api?***" in kept


def test_a_trial_is_one_run_whose_points_are_told_once_each(tmp_path: Path) -> None:
    recorder = Recorder()
    deliver(recorder, tmp_path / "kept.json", journal())
    first = [news for news in recorder.told if news.trial == 0]
    assert [news.new for news in first] == [True, *[False] * (len(first) - 1)]
    assert [point.step for news in first for point in news.points] == [1, 2, 3]
    assert first[0].config == {"net.x": 0.5}
    assert [news.state for news in recorder.told if news.ended] == ["done", "stopped"]


def test_times_of_points_are_spread_over_their_segment(tmp_path: Path) -> None:
    recorder = Recorder()
    deliver(recorder, tmp_path / "kept.json", journal())
    [point] = [p for news in recorder.told if news.entry == "8-0" for p in news.points]
    assert (point.step, point.at) == (3, 8.0)
    [point] = [p for news in recorder.told if news.entry == "7-0" for p in news.points]
    assert (point.step, point.at) == (2, 7.0)


@pytest.mark.parametrize("cut", range(10))
def test_a_delivery_cut_anywhere_goes_on_where_it_was(tmp_path: Path, cut: int) -> None:
    whole, parts = Recorder(), Recorder()
    deliver(whole, tmp_path / "whole.json", journal())
    deliver(parts, tmp_path / "parts.json", journal()[:cut])
    deliver(parts, tmp_path / "parts.json", journal())
    assert parts.told == whole.told


def test_what_cannot_be_reached_is_tried_until_it_can_be(tmp_path: Path) -> None:
    whole, late = Recorder(), Recorder([ConnectionError("refused")] * 20)
    deliver(whole, tmp_path / "whole.json", journal())
    delivery = deliver(late, tmp_path / "late.json", journal())
    assert late.told == whole.told
    assert (delivery.kept.left_out, delivery.kept.trouble) == (0, "")


def test_news_that_a_tracker_refuses_are_left_out_and_the_next_are_told(tmp_path: Path) -> None:
    recorder = Recorder([ValueError("no such thing")] * TRIES)
    deliver(recorder, tmp_path / "kept.json", journal())
    assert recorder.told[0].entry == "2-0"
    kept = read(tmp_path / "kept.json")
    assert kept.left_out == 1
    assert kept.trouble.startswith("takes not everything (ValueError: no such thing)")


def test_a_class_of_ones_own_is_called_for_start_points_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(OWN)
    own = Own("mine.py:Mine", About("u", "sums", tmp_path, [tmp_path]))
    deliver(own, tmp_path / "kept.json", journal()[:1] + journal()[3:4] + journal()[8:])
    own._tracker.file.close()
    assert (tmp_path / "told.txt").read_text().splitlines() == [
        "start 0 ['net.x']",
        "report 0 1 {'loss': 1.0}",
        "end 0 stopped",
    ]


def scalars(folder: Path) -> list[tuple[int, str, float]]:
    """The scalars in the files of a folder, read as the format says: length, sum, data, sum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = event_pb2.Event.FromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            for value in event.summary.value:
                if value.WhichOneof("value") == "simple_value":
                    found.append((event.step, value.tag, value.simple_value))
    return found


def test_tensorboard_has_each_point_once_though_told_twice(tmp_path: Path) -> None:
    tracker = TensorBoard("", About("u1", "sums", tmp_path, []))
    for part in ("a", "b"):
        deliver(tracker, tmp_path / f"{part}.json", journal())
    found = scalars(tmp_path / "tensorboard" / "sums-u1" / "00000")
    assert found == [(1, "loss", 1.0), (2, "loss", 0.5), (3, "loss", pytest.approx(1 / 3))]


def test_tensorboards_own_reader_has_the_same_points(tmp_path: Path) -> None:
    module = "tensorboard.backend.event_processing.event_accumulator"
    reader = pytest.importorskip(module, exc_type=ImportError)
    deliver(TensorBoard("", About("u1", "sums", tmp_path, [])), tmp_path / "a.json", journal())
    found = reader.EventAccumulator(str(tmp_path / "tensorboard" / "sums-u1" / "00000"))
    found.Reload()
    assert [(e.step, e.wall_time) for e in found.Scalars("loss")] == [(1, 4.0), (2, 7.0), (3, 8.0)]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_mlflow_has_one_run_per_trial_and_each_point_once_though_told_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    from asha_queue.trackers.mlflow import Mlflow

    monkeypatch.chdir(tmp_path)
    where = f"sqlite:///{tmp_path}/mlflow.db"
    for part in ("a", "b"):
        tracker = Mlflow(where, About("u1", "sums", tmp_path, []))
        deliver(tracker, tmp_path / f"{part}.json", journal())
    from mlflow.tracking import MlflowClient

    client = MlflowClient(where)
    experiment = client.get_experiment_by_name("sums")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["sums/0", "sums/1"]
    run = runs["sums/0"]
    points = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((p.step, p.value) for p in points) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert (run.data.params, run.info.status) == ({"net.x": "0.5"}, "FINISHED")
    assert run.data.tags["asha_queue.state"] == "done"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mlfow", r"trackers\[0\]='mlfow': tracker unknown; .*did you mean 'mlflow'\?"),
        ("comet", r"one of mlflow, tensorboard, wandb, or a class of your own"),
        ("mlflow:http://me:secret@host:5000", r"MLFLOW_TRACKING_PASSWORD"),
    ],
)
def test_a_tracker_that_cannot_be_is_refused_at_once(given: str, said: str) -> None:
    with pytest.raises(SpecificationError, match=said) as raised:
        specification(trackers=[given])
    assert "secret" not in str(raised.value)


def test_a_class_is_named_by_its_file() -> None:
    [named] = specification(trackers=[Recorder]).trackers
    assert named.endswith("test_trackers.py:Recorder")


def test_a_package_that_is_not_installed_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(trackers.NEEDS, "wandb", ("surely_not_installed",))
    with pytest.raises(SpecificationError, match=r"pip install 'asha-queue\[wandb\]'"):
        trackers.require(["tensorboard", "wandb:project"])


def test_an_experiment_of_before_is_the_same_without_trackers() -> None:
    old = specification().to_json()
    del old["trackers"]
    assert Specification.from_json(old).differences(specification()) == []


def wandb_records(path: Path) -> list[Any]:
    """The records of a .wandb file: after 7 bytes, blocks of 32 KiB with parts of records, each
    after its sum, length and kind (1 whole, 2 first, 3 middle, 4 last)."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            found.append(Record.FromString(whole))
            whole = b""
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_wandb_has_each_point_once_offline_under_one_run_id_per_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    from asha_queue.trackers.wandb import Wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    delivery = deliver(Wandb("", About("u1", "sums", tmp_path, [])), tmp_path / "a", journal())
    assert (delivery.kept.left_out, delivery.kept.trouble) == (0, "")
    steps: dict[str, list[int]] = {}
    for path in sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb")):
        records = wandb_records(path)
        [run] = {record.run.run_id for record in records if record.HasField("run")}
        of = [record.history.step.num for record in records if record.HasField("history")]
        steps.setdefault(run, []).extend(of)
    assert {run: sorted(found) for run, found in steps.items()} == {"u1-0": [1, 2, 3], "u1-1": [1]}
