"""`asha-queue report` as a user calls it."""

from pathlib import Path

from asha_queue.store.journal import dump
from tests.processes.directory import Directory
from tests.pure.pictured import played


def journal_file(directory: Directory) -> Path:
    path = directory.path / "journal.jsonl"
    lines = [{"v": 1, "id": f"{i + 1}-0", "at": 0.0, **e} for i, e in enumerate(played())]
    path.write_text("".join(map(dump, lines)))
    return path


def test_a_journal_is_enough_and_a_report_is_replaced(directory: Directory) -> None:
    journal_file(directory)
    for _ in range(2):
        assert "wrote pictured.html" in directory.call("report", "journal.jsonl")
    page = (directory.path / "pictured.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert directory.call("report", "journal.jsonl", "--output", "-").startswith("<!DOCTYPE html>")
    there = {path.name for path in directory.path.iterdir()}
    assert there == {"exp.py", "journal.jsonl", "pictured.html"}


def test_a_file_that_is_no_report_stays_as_it_is(directory: Directory) -> None:
    path = journal_file(directory)
    before = path.read_text()
    said = directory.call("report", "journal.jsonl", "--output", "journal.jsonl", expect=2)
    assert "journal.jsonl is there and is no report" in said
    assert path.read_text() == before
    said = directory.call("report", "journal.jsonl", "--output", "no/such/x.html", expect=2)
    assert said == "asha-queue: no/such/x.html cannot be written: No such file or directory\n"


def test_what_is_no_journal_and_no_experiment_is_told(directory: Directory) -> None:
    directory.write("empty.jsonl", "")
    assert "empty.jsonl: no journal of an experiment" in directory.call(
        "report", "empty.jsonl", expect=2
    )
    assert "no such file: x.jsonl" in directory.call("report", "x.jsonl", expect=2)


def test_an_experiment_on_a_server_is_reported_by_its_name(directory: Directory) -> None:
    directory.call("run", "exp.py", "--workers", "2")
    assert "wrote quick.html" in directory.call("report", "quick")
    page = (directory.path / "quick.html").read_text()
    assert "12" in page
    assert '"name":"rung 2"' in page
    assert "no experiment is called 'other'" in directory.call("report", "other", expect=2)
