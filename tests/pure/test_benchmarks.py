"""The table of `make bench`: its rows, its JSON, and its groups."""

import importlib
import json
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks.table import HEAD, Figure

FAST = Figure("a decision", 4.567, "µs", goal=10, beside="bare 3")
SLOW = Figure("an import", 1234.0, "ms", goal=60)
BUSY = Figure("busy share", 88.0, "%", goal=88, at_least=True)
ONLY = Figure("suggestion", 0.0123, "s")
ALL = (FAST, SLOW, BUSY, ONLY)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> str:
    """A group of the figures above, the only one there is."""
    module = ModuleType("tests.benchmarks.invented")

    def figures() -> Iterator[Figure]:
        yield from ALL

    vars(module)["figures"] = figures
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(bench, "GROUPS", ("invented",))
    return "invented"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["tests.benchmarks", *arguments])
    bench.main()


@pytest.mark.parametrize(
    ("figure", "reached"), [(FAST, True), (SLOW, False), (BUSY, True), (ONLY, None)]
)
def test_a_goal_is_reached_from_its_own_side(figure: Figure, reached: bool | None) -> None:
    assert figure.reached is reached


def test_a_row_shows_figure_goal_mark_and_what_is_beside_it() -> None:
    assert " ".join(FAST.row().split()) == "a decision 4.57 µs ≤ 10 ✓ bare 3"
    assert " ".join(SLOW.row().split()) == "an import 1,234 ms ≤ 60 ✗"
    assert " ".join(BUSY.row().split()) == "busy share 88 % ≥ 88 ✓"
    assert " ".join(ONLY.row().split()) == "suggestion 0.0123 s"


def test_a_table_is_a_head_and_a_row_for_each_figure(
    group: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch)
    assert capsys.readouterr().out.splitlines() == [HEAD, *(figure.row() for figure in ALL)]


def test_json_has_an_object_for_each_figure_with_goal_and_whether_it_is_reached(
    group: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, group, "--json")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["goal"], line["reached"]) for line in lines] == [
        (figure.goal, figure.reached) for figure in ALL
    ]
    for line in lines:
        del line["reached"]
    assert tuple(Figure(**line) for line in lines) == ALL  # as groups of several are read again


def test_an_unknown_group_is_refused_in_one_line_that_names_those_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, "decisions", "speed")
    assert ended.value.code == 2
    said = capsys.readouterr()
    [line] = [line for line in said.err.splitlines() if "error" in line]
    assert f"no group speed; there are {', '.join(bench.GROUPS)}" in line
    assert said.out == ""


@pytest.mark.parametrize("name", bench.GROUPS)
def test_every_group_has_figures_and_says_how_to_read_them(name: str) -> None:
    module = importlib.import_module(f"tests.benchmarks.{name}")
    assert callable(module.figures)
    assert module.__doc__
    assert "How to read" in module.__doc__
