"""Importances computed in a process of their own."""

from pathlib import Path

import pytest

from asha_queue.importance import Columns, Importances, Known
from tests.conftest import wait_until


def columns(results: int = 40) -> Columns:
    x = [float(i) for i in range(results)]
    return Columns(0, results, {"x": x, "y": [0.0] * results}, [], x)


def answer(known: Importances, uid: str, results: int = 40) -> Known | str:
    """What is told once nothing is computed any more."""
    found: list[Known | str] = []

    def settled() -> bool:
        found.append(known.of(uid, results, lambda: columns(results)))
        return found[-1] != "computing …"

    wait_until(settled, "the importances are computed", seconds=120)
    return found[-1]


def test_the_first_answer_is_that_it_is_computing_and_a_later_one_the_shares() -> None:
    known = Importances()
    assert known.of("a", 40, columns) == "computing …"
    assert answer(known, "a") == Known([("x", 1.0), ("y", 0.0)], 0, 40)


def test_files_of_the_working_directory_are_not_taken_for_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    assert isinstance(answer(Importances(), "a"), Known)


def test_it_is_computed_again_only_when_results_have_grown_by_a_tenth() -> None:
    known = Importances()
    answer(known, "a")
    asked: list[int] = []

    def grown(results: int) -> Columns:
        asked.append(results)
        return columns(results)

    shares = [("x", 1.0), ("y", 0.0)]
    assert known.of("a", 40, lambda: grown(40)) == Known(shares, 0, 40)
    assert known.of("a", 43, lambda: grown(43)) == Known(shares, 0, 40)
    assert asked == []
    first = known.of("a", 44, lambda: grown(44))
    assert isinstance(first, Known)  # what was known, while the new one is computed
    assert asked == [44]

    def renewed() -> bool:
        found = known.of("a", 44, lambda: grown(44))
        return isinstance(found, Known) and found.results == 44

    wait_until(renewed, "the new shares are there", seconds=120)
    assert asked == [44]


def test_one_that_takes_too_long_is_ended_and_told() -> None:
    known = Importances(limit=0.01)
    assert answer(known, "a") == "took more than 0.01 s"


def test_few_results_start_nothing() -> None:
    known = Importances()

    def refused() -> Columns:
        raise AssertionError("nothing is to be computed")

    assert known.of("a", 19, refused) == "needs 20 results in one rung, there are 19"


def test_one_that_dies_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Importances()
    broken = Columns(0, 40, {"x": ["no number"] * 40}, [], [0.0] * 40)  # type: ignore[list-item]
    known.of("a", 40, lambda: broken)
    assert "could not be computed: ValueError" in str(answer(known, "a"))
