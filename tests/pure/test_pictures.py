"""The pictures on a terminal of 80 columns and 24 lines, with the longest names and many trials."""

import io
import re
from dataclasses import asdict
from typing import Any

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from asha_queue.cli import doctor
from asha_queue.coordinator.standing import standing
from asha_queue.doctor import Finding
from asha_queue.result import Attempt, Attempts, Result
from asha_queue.search.asha import Asha
from asha_queue.store.contract import Claimant, Worker
from asha_queue.terminal.fleet import FleetPicture
from asha_queue.terminal.layout import Flow, cut
from asha_queue.terminal.picture import Picture
from asha_queue.terminal.trial import TrialPicture
from asha_queue.views import fleet, overview, trial_view
from tests.pure.test_specification import specification

NAME = "resnet152-imagenet-learning-rate-and-augmentation-sweep-2026-n-7"
METRIC = "validation/top5_accuracy"
CONFIG = {
    "optimizer": {"learning_rate": 0.00013123, "weight_decay": 0.000123, "name": "adamw"},
    "augmentation": "[bold]randaugment",
    "hidden": [512, 256, 128],
    "dropout": 0.25,
}
REASON = (
    "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB; "
    "/very/long/path/without/any/space/in/it/which/cannot/be/broken/anywhere/at/all/checkpoint.pt"
)


def worker(number: int) -> str:
    return f"gpu{number}@node-with-a-long-name-{number}.cluster.example.org"


class Big:
    """An experiment with everything that makes lines long: many trials, promotions, failures and
    segments in training, long names."""

    def __init__(self, trials: int = 3000, running: int = 40, name: str = NAME) -> None:
        asked = specification(name=name, metric=METRIC, num_samples=100_000, max_t=4**8)
        self.result = Result(asked)
        self.search = Asha(asked.plan)
        self.running = running
        for trial in range(trials):
            self.segment(trial, 0, ends=trial < trials - running)
        for decision in self.search.decide(3) if trials > 100 else ():
            self.segment(decision.trial, decision.rung, ends=True)

    def apply(self, **entry: Any) -> None:
        self.result.apply(entry)
        self.search.apply(entry)

    def segment(self, trial: int, rung: int, ends: bool, attempt: int = 1) -> None:
        place: dict[str, Any] = {"trial": trial, "bracket": 0, "rung": rung, "attempt": attempt}
        place |= {"worker": worker(trial % self.running), "token": trial + 1, "at": float(trial)}
        self.apply(type="scheduled", target=4**rung, config=CONFIG, **place)
        self.apply(type="started", start=0, **place)
        if not ends:
            return
        done = {"reached": 4**rung, "checkpoint": None, "seconds": 1e5, "curve": []}
        if trial % 5 == 4:
            error = f"{REASON} {trial % 60}\nTraceback"
            self.apply(type="failed", error=error, final=True, **done, **place)
        else:
            self.apply(type="completed", metrics={METRIC: trial / 1e4}, **done, **place)

    def overview(self) -> dict[str, Any]:
        return overview(self.result, workers(self.running), {})

    def trial(self, number: int) -> dict[str, Any]:
        return trial_view(self.result.trials[number], self.search)


def workers(count: int) -> list[Worker]:
    queues = ["asha-with-a-long-name", "big"]
    info = {"device": "MIG-c7384736-a75d-5afc-978f-d2f1294409fd", "queues": queues}
    return [Worker(worker(number), info, 0.0) for number in range(count)]


def drawn(picture: RenderableType, width: int = 80, height: int = 24) -> list[str]:
    """The lines that it takes on a terminal; none is longer than that is wide."""
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True)
    with console.capture() as captured:
        console.print(picture)
    lines = [Text.from_ansi(line).plain.rstrip() for line in captured.get().splitlines()]
    assert [line for line in lines if len(line) > width] == []
    return lines


def facts(experiments: list[dict[str, Any]], count: int) -> dict[str, Any]:
    sound = [one for one in experiments if "error" not in one]
    alive = fleet(workers(count), {worker(1): "ada"}, sound)
    alive[0]["aside"] = REASON
    return {
        "experiments": experiments,
        "workers": alive,
        "slots": [],
        "coordinators": ["head:1", "head:2"],
        "versions": {"0.2.0": ["head:1"], "0.1.0": ["head:2"]},
        "warnings": ["asha-queue 0.2.0 beside 0.1.0 on coordinator head:2"],
    }


@pytest.fixture(scope="module")
def big() -> Big:
    return Big()


def rows(lines: list[str], head: str) -> list[str]:
    """The rows of the table whose head begins so."""
    first = next(number for number, line in enumerate(lines) if line.lstrip().startswith(head))
    below = lines[first + 1 :]
    ends = (number for number, line in enumerate(below) if not line or line.startswith("…"))
    return below[: next(ends, None)]


def test_an_experiment_with_long_names_is_drawn_in_eighty_columns(big: Big) -> None:
    lines = drawn(Picture(big.overview()))
    assert f"{NAME}  running" in lines
    assert "trials 3000/100000  workers 40/40 busy" in lines[1]
    assert "best validation/top5_accuracy=0.2958 at 4  trial 2958" in lines
    assert "optimizer.name=adamw  augmentation=[bold]randaugment" in " ".join(lines)
    running = rows(lines, "trial  rung")
    assert [line.split()[0] for line in running] == [str(n) for n in range(2960, 2972)]
    assert all(f"gpu{n}@node" in line for n, line in enumerate(running))
    assert all(line.endswith("…") for line in running)
    assert lines[-1] == "… and 28 more"


def test_a_short_experiment_is_not_cut() -> None:
    small = Big(trials=3, running=2, name="digits")
    [line] = rows(drawn(Picture(small.overview()), width=400), "trial  rung")[:1]
    assert worker(1) in line
    assert line.endswith("dropout=0.25")


def test_a_live_picture_is_no_higher_than_the_terminal_and_keeps_what_is_best(big: Big) -> None:
    lines = drawn(Picture(big.overview(), fit=True))
    assert len(lines) <= 24
    assert "best validation/top5_accuracy=0.2958 at 4  trial 2958" in lines
    assert len(rows(lines, "rung  level")) >= 5
    assert "… and 10 more reasons" in lines
    shown = len(rows(lines, "trial  rung"))
    assert shown >= 3
    assert lines[-1] == f"… and {40 - shown} more"


@pytest.mark.parametrize("metric", ["trial", "worker", "steps", ""])
def test_a_metric_may_be_called_as_a_column_is(metric: str) -> None:
    view = Big(trials=3, running=2, name="digits").overview() | {"metric": metric}
    view["running"][0]["value"] = 0.125
    assert "0.125" in rows(drawn(Picture(view)), "trial  rung")[0]


def test_all_experiments_and_workers_are_drawn_in_eighty_columns(big: Big) -> None:
    view = big.overview() | {"age": 2956.0}
    shown = facts([view, view | {"name": "digits", "state": "finished"}], 3)
    lines = drawn(FleetPicture(shown, []))
    first, second = rows(lines, "experiment")
    assert first.startswith(NAME[:12])
    assert "…  running   3000/100000  2,972    40/40  49 min 16 s  0.2958" in first
    assert second.startswith("digits ")
    table = rows(lines, "worker")
    assert [line[:5] for line in table] == ["gpu0@", "gpu1@", "gpu2@"]
    states = [re.split(r"\s{2,}", line)[3:6] for line in table]
    assert states == [
        ["aside", "2960", "0/1"],
        ["draining", "2961", "0/1"],
        ["busy", "2962", "0/1"],
    ]
    assert f"{worker(0)} is set aside for a while:" in lines
    assert lines[-1] == "coordinators  head:1, head:2"


def slots(experiments: int) -> list[dict]:
    claimants = [
        Claimant(
            uid=f"u{i:03}",
            wants=9,
            submitted_at=float(i),
            weight=1.0 + i % 2,
            queue="asha",
            claims={"asha": {"wants": 9, "holds": 0 if i else 3, "open": 1, "first": i % 3}},
        )
        for i in range(experiments)
    ]
    alive = [Worker(f"cpu{i}@node", {"queues": ["asha"]}, 1.0) for i in range(3)]
    return standing(claimants, alive, {one.uid: f"e{one.uid}" for one in claimants})


def test_slots_are_drawn_with_a_sentence_on_who_gets_the_next_one(big: Big) -> None:
    shown = facts([big.overview() | {"age": 1.0}], 1) | {"slots": slots(2)}
    lines = drawn(FleetPicture(shown, []))
    table = [line.split() for line in rows(lines, "queue")]
    assert table == [
        ["asha", "eu000", "1", "1", "1", "3", "0", "9", "2", "lent"],
        ["asha", "eu001", "2", "2", "2", "0", "1", "9", "2", "due"],
    ]
    assert (
        "the next slot of asha goes to eu001: it holds 0 of its 2 and has 1 segment queued; eu000 "
        "holds 2 too many, lent until what they train has ended"
    ) in " ".join(lines)


def test_many_claims_are_fitted_into_the_terminal(big: Big) -> None:
    shown = facts([big.overview() | {"age": 1.0}], 40) | {"slots": slots(50)}
    lines = drawn(FleetPicture(shown, [], fit=True))
    assert len(lines) <= 24
    assert f"… and {50 - len(rows(lines, 'queue'))} more" in lines


def test_hundreds_of_workers_and_experiments_are_fitted_into_the_terminal(big: Big) -> None:
    view = big.overview() | {"age": 2956.0}
    ended = [view | {"name": f"a{number}", "state": "finished"} for number in range(300)]
    many = facts([*ended, view | {"name": "open"}, {"name": "odd", "error": "broken"}], 300)
    lines = drawn(FleetPicture(many, [], fit=True))
    assert len(lines) <= 24
    experiments = rows(lines, "experiment")
    assert experiments[0].startswith("open ")
    assert f"… and {301 - len(experiments)} more" in lines
    workers = rows(lines, "worker")
    assert all("busy" in line or "aside" in line or "draining" in line for line in workers)
    assert f"… and {300 - len(workers)} more" in lines
    assert "odd: broken" in lines


def test_a_trial_is_drawn_in_eighty_columns_with_its_sentences_whole(big: Big) -> None:
    lines = drawn(TrialPicture(big.trial(1), METRIC, 4, None))
    assert lines[0].startswith("trial 1  waiting  optimizer.learning_rate=")
    assert (
        "rung 0 validatio…=0.0001 rank 2367 of 2960 at 1; the best ⌊2960/4⌋ = 740 go on: "
        "not promoted, it would have had to beat 0.2035 attempts"
    ) in " ".join(" ".join(lines).split())
    assert re.fullmatch(r"  rung 0 attempt 1  gpu1@.*…  0 → 1  completed at 1", lines[-1])
    failed = drawn(TrialPicture(big.trial(4), METRIC, 4, None))
    assert "      RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB;" in failed
    assert failed[-1] == "  Traceback"


def test_a_trial_is_drawn_with_what_was_evicted_of_it(big: Big) -> None:
    trial = big.trial(1)
    gone = {"type": "evicted", "trial": 1, "checkpoints": ["p"], "reached": 1, "left": 0}
    attempts = Attempts(1, [Attempt(**one) for one in trial["history"]])
    attempts.apply(gone)
    trial["history"] = [asdict(one) for one in attempts.all]
    said = " ".join(drawn(TrialPicture(trial, METRIC, 4, None))[-2:])
    assert "its checkpoint at 1 was evicted: it is not needed; training" in said
    assert said.split()[-3:] == ["would", "begin", "anew"]
    fitted = drawn(TrialPicture(trial, METRIC, 4, None, fit=True))
    assert fitted[-1].startswith("      its checkpoint at 1 was evicted")


def test_a_live_picture_of_a_trial_shows_its_last_attempts_and_what_runs(big: Big) -> None:
    trial = big.trial(2960)
    trial["history"] = [
        trial["history"][0] | {"attempt": attempt, "state": "lost", "why": REASON}
        for attempt in range(1, 100)
    ]
    running = big.overview()["running"][0]
    lines = drawn(TrialPicture(trial, METRIC, 4, running | {"value": 0.5}, fit=True))
    assert len(lines) <= 24
    assert f"  rung 0  step 0 of 1  {METRIC}=0.5" in lines
    assert f"  in training on {worker(0)}" in lines
    before = next(int(line.split()[1]) for line in lines if line.endswith(" before"))
    assert len([line for line in lines if "  lost" in line]) == 99 - before
    assert lines[-2].startswith("  rung 0 attempt 99  gpu0@node")


def test_what_doctor_finds_is_printed_in_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    named = ", ".join(worker(number) for number in range(100))
    doctor.print_findings(
        [
            Finding("coordinators", "ok", named),
            Finding("programs", "error", f"experiment {NAME}: {worker(1)}: {REASON}", "copy it"),
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert "→ copy it" in lines[-2]
    assert all(worker(number) in "".join(lines).replace(" ", "") for number in range(100))


def test_a_text_is_cut_by_the_columns_it_takes() -> None:
    assert cut("学習率の設定", 7) == "学習率…"
    assert cut("digits", 6) == "digits"


def test_a_piece_longer_than_the_line_is_cut_and_those_after_it_begin_anew() -> None:
    assert drawn(Flow("a", "b" * 30, "c", indent=2), width=20) == ["  a", f"  {'b' * 17}…", "  c"]
