"""Whole experiments with several metrics, and with constraints: journals, checks and results."""

import copy
import csv
import json
from typing import Any

import pytest

from asha_queue.coordinator.exports import trials_csv
from asha_queue.errors import AshaQueueError, ReportError, SpecificationError
from asha_queue.figures import axes, draw
from asha_queue.report import report
from asha_queue.result import Result
from asha_queue.search.asha import Asha
from asha_queue.search.rules import check
from asha_queue.search.space import uniform
from asha_queue.selection import choose
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.terminal.picture import Picture
from asha_queue.terminal.trial import TrialPicture
from asha_queue.training.progress import Progress
from asha_queue.views import best_file, notes, overview, trial_view
from asha_queue.views.verdict import verdict
from tests.pure.entries import completed, scheduled
from tests.pure.pictured import validated
from tests.pure.test_pictures import drawn

BOTH: dict[str, Any] = {"metric": ["accuracy", "latency"], "mode": ["max", "min"]}
BOUND: dict[str, Any] = {"constraints": {"latency": {"max": 0.5}}}
FIELDS = {
    "two metrics": BOTH,
    "two and a constraint": BOTH | BOUND,
    "one and a constraint": BOUND,
    "three": {"metric": ["accuracy", "latency", "size"], "mode": ["max", "min", "min"]},
    "one and two that nobody meets": {
        "constraints": {"latency": {"max": -1.0}, "size": {"min": 5.0}}
    },
    "two that hedge": BOTH | {"hedge": True},
    "one and a constraint that hedge": BOUND | {"hedge": True},
    "two and a constraint in brackets": BOTH | BOUND | {"brackets": 2},
    "two that stop": BOTH | {"variant": "stopping"},
    "one and a constraint that stop": BOUND | {"variant": "stopping"},
    "two and a constraint, delayed": BOTH | BOUND | {"variant": "delayed"},
}


def specification(**fields: Any) -> Specification:
    given: dict[str, Any] = {
        "name": "goals",
        "train": "p.py:train",
        "space": {"x": uniform(0, 1), "y": uniform(0, 1)},
        "metric": "accuracy",
        "mode": "max",
        "max_t": 9,
        "reduction_factor": 3,
        "num_samples": 60,
        "seed": 0,
    }
    return Specification(**(given | fields))


def measured(config: dict[str, Any], t: int) -> dict[str, float]:
    """What is accurate is slow; a quarter of the trials is worse in both, and some diverge."""
    x, y = config["x"], config["y"]
    worse = 0.3 * (y < 0.25)
    return {
        "accuracy": float("nan") if x > 0.97 else x - worse - 0.1 / t,
        "latency": x * x + worse,
        "size": y,
    }


def played(**fields: Any) -> Result:
    return simulate(
        specification(**fields),
        measured,
        lambda config, start, target: target - start + config["x"],
        workers=5,
        straggler=0.3,
        drop=0.02,
    )


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_the_rules_accept_every_journal_and_every_state_survives_its_snapshot(
    fields: dict[str, Any],
) -> None:
    result = played(**fields)
    assert result.state == "finished"
    assert check(result.journal) == []
    search = Asha(result.specification.plan)
    for entry in result.journal:
        search.apply(entry)
        text = json.dumps(search.snapshot(), allow_nan=False)
        search = Asha.restore(result.specification.plan, json.loads(text))
        assert json.dumps(search.snapshot(), allow_nan=False) == text
    assert search.state == "finished"


#: Where one rung holds all, and rank alone says who goes on.
PROMOTED = {
    name: fields for name, fields in FIELDS.items() if not {"brackets", "variant"} & fields.keys()
}


@pytest.mark.parametrize("fields", PROMOTED.values(), ids=PROMOTED)
def test_a_promotion_by_another_order_breaks_the_rules(fields: dict[str, Any]) -> None:
    result = played(**fields | {"hedge": False})
    journal = copy.deepcopy(result.journal)
    at, promotion = next(
        (i, entry)
        for i, entry in enumerate(journal)
        if entry["type"] == "scheduled" and entry["rung"] == 1
    )
    done = [e["trial"] for e in journal[:at] if e["type"] == "completed" and e["rung"] == 0]
    wrong = 0
    for other in done:
        if other != promotion["trial"]:
            changed = [*journal[:at], promotion | {"trial": other}]
            wrong += any(
                "may be" in violation or "diverged" in violation or "stopped" in violation
                for violation in check(changed)
            )
    assert wrong >= len(done) - 1 - len(done) // 3  # all but the other candidates
    assert wrong > 0


def test_the_result_is_the_front_of_the_highest_rung_the_best_in_the_first_metric_first() -> None:
    result = played(**BOTH)
    top = [trial for trial in result.trials if trial.state == "done"]
    points = {t.number: (t.metrics["accuracy"], t.metrics["latency"]) for t in top}
    expected = [
        number
        for number, (accuracy, latency) in points.items()
        if not any(
            better[0] >= accuracy and better[1] <= latency and better != (accuracy, latency)
            for better in points.values()
        )
    ]
    front = result.pareto_front
    assert len(front) > 1
    assert {one.trial for one in front} == set(expected)
    accuracies = [one.metrics["accuracy"] for one in front]
    assert accuracies == sorted(accuracies, reverse=True)
    assert result.best == front[0]
    assert all(one.resource == 9 for one in front)
    fastest = min(front, key=lambda one: one.metrics["latency"])
    assert result.get_best_config(metric="latency") == fastest.config
    assert result.get_best_config() == result.get_best_config("accuracy") == front[0].config


def test_what_violates_a_constraint_is_never_the_best() -> None:
    free, bound = played(), played(**BOUND)
    assert free.best is not None
    assert bound.best is not None
    assert free.best.metrics["latency"] > 0.5 >= bound.best.metrics["latency"]
    assert bound.pareto_front == [bound.best]
    assert bound.best_seen is not None
    assert bound.best_seen.metrics["latency"] <= 0.5
    assert bound.get_best_config("accuracy") == bound.best.config
    assert bound.nearest is not None
    assert bound.nearest[0] == 0.0


def test_where_nothing_meets_the_constraints_there_is_no_best_but_the_nearest() -> None:
    result = played(constraints={"latency": {"max": -1.0}})
    assert result.best is None
    assert result.pareto_front == []
    assert result.get_best_config() is None
    assert result.get_best_config("latency") is None
    violations = [rung.violation for trial in result.trials for rung in trial.results]
    assert result.nearest is not None
    assert result.nearest[0] == min(violations)


def test_a_result_without_one_of_the_metrics_has_diverged_and_the_reason_names_it() -> None:
    result = Result(specification(**BOTH | {"constraints": {"size": {"max": 1.0}}}))
    for trial, metrics in enumerate(({"accuracy": 0.5}, {"accuracy": 0.5, "latency": 1.0})):
        result.apply(scheduled(trial, config={"x": 0.5}))
        result.apply(completed(trial) | {"metrics": metrics})
    assert [trial.state for trial in result.trials] == ["diverged", "diverged"]
    reasons = [trouble.reason for trouble in result.troubles.all]
    assert reasons == ["latency was never reported", "size was never reported"]
    assert result.best is None


def test_pasha_is_refused_where_there_is_no_one_order_that_could_settle() -> None:
    for fields in (BOTH, BOUND):
        with pytest.raises(
            SpecificationError, match="^variant='pasha': goes with one metric and no"
        ):
            specification(**fields, variant="pasha")


def test_equal_points_share_the_front() -> None:
    result = Result(specification(**BOTH))
    points = [(0.5, 1.0), (0.4, 1.0), (0.5, 1.0), (0.6, 2.0), (0.4, 0.5)]
    for trial, (accuracy, latency) in enumerate(points):
        result.apply(scheduled(trial, config={"x": 0.5}))
        result.apply(completed(trial) | {"metrics": {"accuracy": accuracy, "latency": latency}})
    assert [one.trial for one in result.pareto_front] == [3, 0, 2, 4]


def searched(result: Result) -> Asha:
    search = Asha(result.specification.plan)
    for entry in result.journal:
        search.apply(entry)
    return search


def why(result: Result, number: int) -> list[str]:
    view = trial_view(result.trials[number], searched(result))
    return [verdict(rung, 3) for rung in view["rungs"]]


def test_a_trial_is_told_its_front_and_how_crowded_it_is_there() -> None:
    result = played(**BOTH)
    said = [line for trial in result.trials for line in why(result, trial.number)]
    assert any("(front 1, at an end of it); the best" in line for line in said)
    assert any("(front 2, crowding " in line for line in said)
    ended = result.pareto_front[0].trial
    assert "at 9 (front 1, at an end of it), the top" in why(result, ended)[-1]


def test_a_trial_is_told_by_how_much_it_violates_the_constraints() -> None:
    result = played(**BOUND)
    trial = next(t for t in result.trials if t.results and t.results[0].violation > 0)
    violation = trial.results[0].violation
    assert (
        f"(violates the constraints by {violation:.4g}); the best" in why(result, trial.number)[0]
    )
    missing = Result(specification(**BOUND))
    missing.journal = [scheduled(0), completed(0) | {"metrics": {"accuracy": 1.0}}]
    for entry in missing.journal:
        missing.apply(entry)
    assert "(without a value that is constrained)" in why(missing, 0)[0]


def test_a_terminal_shows_the_front_and_all_metrics_of_a_trial() -> None:
    result = played(**BOTH)
    view = overview(result, [], {})
    assert view["aim"] == "largest accuracy, smallest latency"
    lines = drawn(Picture(view))
    head = next(line for line in lines if "front" in line)
    assert "accuracy" in head
    assert "latency" in head
    assert [one["trial"] for one in view["front"]] == [one.trial for one in result.pareto_front]
    for one in result.pareto_front[:20]:
        assert any(line.split()[:1] == [str(one.trial)] for line in lines)
    fitting = drawn(Picture(view, fit=True))
    assert any(line.endswith("more on the front") for line in fitting)
    trial = result.pareto_front[0].trial
    text = " ".join(
        drawn(TrialPicture(trial_view(result.trials[trial], searched(result)), "", 3, None))
    )
    assert "accuracy=" in text
    assert "latency=" in text


def test_one_metric_alone_has_no_front_to_show() -> None:
    view = overview(played(), [], {})
    assert view["front"] == []
    assert not any("front" in line for line in drawn(Picture(view)))


def test_where_nothing_meets_the_constraints_a_note_names_what_is_nearest() -> None:
    result = played(constraints={"latency": {"max": -1.0}})
    assert result.nearest is not None
    violation, trial = result.nearest
    assert notes(result)[0].startswith(
        f"no result meets the constraints yet; the nearest, of trial {trial}, violates them by "
        f"{violation:.4g}"
    )
    assert overview(result, [], {})["aim"] == "largest accuracy, with latency <= -1"


def test_files_mark_the_front_and_what_meets_the_constraints() -> None:
    result = played(**BOTH | BOUND)
    rows = list(csv.DictReader(trials_csv(result).splitlines()))
    front = {str(one.trial) for one in result.pareto_front}
    assert {row["trial"] for row in rows if row["front"] == "True"} == front
    for row, trial in zip(rows, result.trials, strict=True):
        assert row["feasible"] == str(trial.results[-1].violation == 0.0)
    best = best_file(result)
    assert best is not None
    assert [one["trial"] for one in best["front"]] == [one.trial for one in result.pareto_front]
    assert "front" not in trials_csv(played()).splitlines()[0]
    assert "front" not in (best_file(played()) or {})


def test_the_best_trials_come_first_in_tables_and_those_that_violate_a_constraint_later() -> None:
    result = played(**BOUND)
    trials, _ = choose(result)
    assert result.best is not None
    assert trials[0].number == result.best.trial
    in_rung = [trial.results[-1].violation for trial in trials if trial.rung == 0 and trial.results]
    assert in_rung == sorted(in_rung)
    by_latency, _ = choose(played(**BOTH), sort="latency")
    seen = [trial.metrics["latency"] for trial in by_latency if trial.metrics]
    assert seen == sorted(seen)


def test_the_figure_of_a_front_has_its_trials_what_is_behind_and_what_is_not_allowed() -> None:
    result = played(**BOTH | BOUND)
    traces = {trace["name"]: trace for trace in validated("pareto", result)["data"]}
    assert list(traces) == ["violates a constraint", "dominated", "Pareto front"]
    front = traces["Pareto front"]
    assert sorted(front["customdata"]) == sorted(one.trial for one in result.pareto_front)
    assert front["x"] == sorted(front["x"])
    assert (front["mode"], front["line"]["shape"]) == ("lines+markers", "vh")
    assert traces["violates a constraint"]["marker"]["symbol"] == "circle-open"
    assert all(latency > 0.5 for latency in traces["violates a constraint"]["y"])
    shown = sum(len(trace["x"]) for trace in traces.values())
    assert shown == sum(trial.state != "diverged" for trial in result.trials)


def test_of_three_metrics_any_two_are_shown_without_a_line() -> None:
    result = played(**FIELDS["three"])
    assert axes(result) == ["accuracy", "latency", "size"]
    figure = validated("pareto", result, x="size", y="accuracy")
    assert figure["layout"]["xaxis"]["title"]["text"] == "size"
    assert {trace["mode"] for trace in figure["data"]} == {"markers"}
    with pytest.raises(AshaQueueError, match="x='speed': the metrics are accuracy, latency, size"):
        draw("pareto", result, x="speed")


def test_one_metric_and_a_constraint_are_a_figure_and_one_metric_alone_says_why_it_is_none() -> (
    None
):
    result = played(**BOUND)
    names = [trace["name"] for trace in validated("pareto", result)["data"]]
    assert names == ["violates a constraint", "dominated", "best"]
    assert validated("pareto", played())["data"] == []


def test_a_report_has_the_front_as_a_figure_and_as_a_table() -> None:
    page = report(played(**BOTH | BOUND), 0.0)
    assert "Largest accuracy, smallest latency, with latency &lt;= 0.5 of p.py:train" in page
    assert 'aria-label="Table of the Pareto front"' in page
    assert "Trade-off" in page
    assert "Trade-off" not in report(played(), 0.0)


def test_a_program_that_returns_a_number_is_told_that_there_are_several_metrics() -> None:
    progress = Progress(0, 3, ["accuracy", "latency"])
    with pytest.raises(ReportError, match=r"returned 0.5; return nothing or a dict of metrics$"):
        progress.finish(0.5)
    with pytest.raises(ReportError, match=r"call trial.report\(accuracy=…, latency=…\) after each"):
        progress.finish(None)
    progress.finish({"accuracy": 0.5, "latency": 3.0})
    assert progress.metrics == {"accuracy": 0.5, "latency": 3.0}
