"""A plan on the terminal and as a page, and beside what came of it."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from asha_queue.cli import main
from asha_queue.figures import plan_and_actual
from asha_queue.planning import Measured, forecast
from asha_queue.report.plan import plan as page_of
from asha_queue.terminal.forecast import ForecastPicture
from tests.pure.pictured import played, result_of, specification
from tests.pure.test_planning import experiment
from tests.pure.test_report import EVIL, Page

Called = Callable[..., tuple[int, str, str]]
MEASURED = Measured(90.0, 5.0, 12.0, True, 3_000_000, ((0, 1, 107.0), (1, 4, 275.0)), {"x": 0.5})


def picture(width: int = 1000, **options: object) -> str:
    out = io.StringIO()
    plan = forecast(experiment(num_samples=10), **options)  # type: ignore[arg-type]
    Console(file=out, width=width, highlight=False).print(ForecastPicture(plan))
    return out.getvalue()


def test_the_terminal_shows_rungs_totals_fleets_and_warnings() -> None:
    shown = picture(workers=[1, 4], seconds_per_unit=60.0, price=3.0, checkpoint_bytes=2_000_000)
    assert "planned  10 trials  nothing is submitted" in shown
    assert "   0      1        10       10" in shown
    assert "640 steps train all 10 in full, as random search does" in shown
    assert "MB of disk" in shown
    assert "warning: no trial is expected to be trained up to max_t=64" in shown
    assert "note: median (range) of 10 plays" in shown
    header = next(line for line in shown.splitlines() if line.startswith("workers"))
    assert header.split() == ["workers", "time", "range", "busy", "cost", "ends"]


def test_what_was_measured_is_told_and_without_it_lengths_are_steps() -> None:
    shown = picture(measured=MEASURED)
    assert "0→1 in 1 min 47 s, 1→4 in 4 min 35 s: 1 min 30 s per step and 5 s more per" in shown
    assert "12 s once per worker" in shown
    assert "as long as steps" in picture()
    assert "--checkpoint-bytes N, or --measure, tells how much disk that is" in picture()


TRAIN = "def train(trial):\n    with trial.save() as folder: ...\n"
TOML = """
name = "p"
train = "p.py:train"
metric = "loss"
mode = "min"
max_t = 4
num_samples = 16
[space]
x = {uniform = [0, 1]}
"""


@pytest.fixture
def called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Called:
    """`asha-queue plan p.toml …` in a folder with that experiment: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    Path("p.py").write_text(TRAIN)
    Path("p.toml").write_text(TOML)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["plan", "p.toml", *arguments])
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


def test_json_has_every_figure(called: Called) -> None:
    code, out, _ = called("--json", "--seconds-per-unit", "2", "--workers", "3")
    found = json.loads(out)
    assert code == 0
    assert found["levels"] == [1, 4]
    assert found["rungs"][0]["segments"] == {"low": 16, "median": 16, "high": 16}
    assert [fleet["workers"] for fleet in found["fleets"]] == [3]


def test_a_page_is_written_and_what_is_no_page_stays(called: Called) -> None:
    for _ in range(2):  # a page that is there is replaced
        code, out, _ = called("--output", "plan.html")
        assert code == 0
        assert out.splitlines()[-1].startswith("wrote plan.html")
        assert "p  16 trials" in out
    page = Path("plan.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "Busy share" in page
    assert called("--output", "-")[1].startswith("<!DOCTYPE html>")
    assert called("--output", "p.py")[0] == 2
    assert Path("p.py").read_text() == TRAIN


def test_a_program_whose_text_names_no_checkpoint_is_told(called: Called) -> None:
    assert "saves no checkpoint" not in called()[1]
    Path("p.py").write_text("def train(trial):\n    trial.report(loss=1)\n")
    assert "warning: the program saves no checkpoint" in called()[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "4,x"], "--workers 4,x: must be one whole number or several"),
        (["--price", "2"], "price: needs to know how long a step takes"),
        (["--measure", "--seconds-per-unit", "1"], "--measure finds out what a step and a segment"),
        (["--seconds-per-unit", "-1"], "seconds_per_unit=-1: must be a number of seconds above 0"),
        (["--seconds-per-unit", "much"], "'much' is not a valid float"),
        (["--output", "p.py"], "p.py is there and is no report: it stays as it is"),
        (["--output", "no/such.html"], "no/such.html cannot be written"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_the_command(
    called: Called, arguments: list[str], said: str
) -> None:
    code, _, err = called(*arguments)
    assert code == 2
    assert said in err


def test_no_line_is_wider_than_the_terminal() -> None:
    shown = picture(width=80, measured=MEASURED, price=2.0)
    assert max(map(len, shown.splitlines())) <= 80


def test_the_page_needs_nothing_else_and_shows_what_users_wrote_as_text() -> None:
    made = experiment(metric=EVIL, brackets=2, num_samples=20)
    plan = forecast(made, [2], 60.0, price=1.0, curve=True, measured=MEASURED)
    page = Page(page_of(made, plan, made=0.0))
    figures = [json.loads(script) for script in page.scripts if script.startswith('{"data"')]
    titles = [figure["layout"]["meta"]["title"] for figure in figures]
    assert titles == ["Planned rungs", "Time over workers", "Busy share"]
    assert figures[1]["data"][0]["x"] == [1, 2, 4]
    assert page.loaded == []
    assert "img" not in page.tags
    assert "<img src=x onerror=alert(1)>" in page.text
    assert "Bracket" in page.text


def test_plan_and_actual_stand_beside_each_other_for_each_level() -> None:
    result = result_of(played())
    figure = plan_and_actual(result, forecast(specification(), [4]).by_level())
    planned, actual, _, steps = figure["data"]
    assert planned["y"] == actual["y"] == ["1", "3", "9"]
    assert planned["x"][0] == 30
    assert actual["x"] == [rung.results for rung in result.rungs]
    assert sum(steps["x"]) == result.resource_spent


def test_levels_that_an_extension_has_moved_are_compared_where_both_have_them() -> None:
    shorter = forecast(specification(max_t=5), [4]).by_level()  # of levels 1, 3 and 5
    figure = plan_and_actual(result_of(played()), shorter)
    assert figure["data"][0]["y"] == ["1", "3"]
    assert figure["data"][1]["y"] == ["1", "3", "9"]
