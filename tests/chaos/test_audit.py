"""The audit finds what is wrong: a clean run is doctored in each way that it is meant to notice."""

import copy
from collections.abc import Callable

import pytest

from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from tests.chaos.audit import (
    Findings,
    Line,
    audit_decisions,
    audit_journal,
    audit_ledger,
    audit_witness,
)
from tests.chaos.ledger_program import fields, replayed
from tests.chaos.witness import Entry

Doctor = Callable[[list[Entry], list[Line]], None]


def run() -> tuple[list[Entry], list[Line]]:
    """The journal and the ledger of a run without faults."""
    specification = Specification(**fields(name="clean", train="p.py:train", num_samples=9))
    journal = simulate(
        specification,
        lambda config, t: {"score": config["x"] * t, "number": replayed(t, config["x"])},
        lambda config, start, target: float(target - start),
        workers=3,
    ).journal
    ledger = []
    for entry in journal:
        if entry["type"] == "started":
            start = entry["start"]
        elif entry["type"] == "completed":
            start = next(
                e["start"]
                for e in journal
                if e["type"] == "started" and e["token"] == entry["token"]
            )
            for step in range(start + 1, entry["reached"] + 1):
                ledger.append(
                    {
                        "what": "step",
                        "experiment": "clean",
                        "pid": entry["token"],
                        "step": step,
                        **{name: entry[name] for name in ("trial", "rung", "attempt")},
                    }
                )
    return journal, ledger


def audited(journal: list[Entry], ledger: list[Line]) -> Findings:
    found = Findings()
    audit_journal("clean", "u", journal, found)
    audit_ledger({"clean": "u"}, {"u": journal}, ledger, found)
    return found


def completed(journal: list[Entry], rung: int = 0) -> Entry:
    return next(e for e in journal if e["type"] == "completed" and e["rung"] == rung)


def test_a_clean_run_has_no_findings() -> None:
    journal, ledger = run()
    found = audited(journal, ledger)
    assert found.violations == []
    assert found.repeated == 0
    assert found.steps == len(ledger) > 9


def _an_end_is_missing(journal: list[Entry], ledger: list[Line]) -> None:
    journal.pop()


def _a_step_of_a_completed_rung_is_trained_again(journal: list[Entry], ledger: list[Line]) -> None:
    line = next(line for line in ledger if line["rung"] == 1)
    ledger.append({**line, "step": 1})


def _two_processes_train_one_attempt(journal: list[Entry], ledger: list[Line]) -> None:
    ledger.append({**ledger[0], "pid": -1})


def _a_result_is_there_twice(journal: list[Entry], ledger: list[Line]) -> None:
    journal.insert(-1, completed(journal))


def _a_result_is_not_of_its_steps(journal: list[Entry], ledger: list[Line]) -> None:
    completed(journal)["metrics"]["number"] += 1


def _a_result_has_no_steps_in_the_ledger(journal: list[Entry], ledger: list[Line]) -> None:
    del ledger[0]


def _a_trial_failed(journal: list[Entry], ledger: list[Line]) -> None:
    entry = completed(journal)
    entry |= {"type": "failed", "error": "AssertionError: the checkpoint …", "final": True}


def _a_kept_checkpoint_is_passed_over(journal: list[Entry], ledger: list[Line]) -> None:
    promoted = next(e for e in journal if e["type"] == "started" and e["rung"] == 1)
    first = next(e for e in journal if e["type"] == "completed" and e["trial"] == promoted["trial"])
    first["checkpoint"] = {"resource": first["reached"]}
    promoted["start"] = 0


@pytest.mark.parametrize(
    ("doctor", "kind", "words"),
    [
        (_an_end_is_missing, "lost", "has not finished"),
        (_a_step_of_a_completed_rung_is_trained_again, "lost", "trains step 1"),
        (_a_kept_checkpoint_is_passed_over, "lost", "starts at 0, 1 had been kept"),
        (_two_processes_train_one_attempt, "doubled", "by 2 processes"),
        (_a_result_is_there_twice, "doubled", "has 2 results"),
        (_a_result_is_not_of_its_steps, "broken", "wrong number"),
        (_a_result_has_no_steps_in_the_ledger, "broken", "never trained"),
        (_a_trial_failed, "broken", "failed: AssertionError"),
    ],
)
def test_what_is_wrong_is_found(doctor: Doctor, kind: str, words: str) -> None:
    journal, ledger = copy.deepcopy(run())
    doctor(journal, ledger)
    assert words in "\n".join(getattr(audited(journal, ledger), kind))


def test_what_was_evicted_may_be_trained_again_and_nothing_else() -> None:
    journal, ledger = copy.deepcopy(run())
    promoted = next(e for e in journal if e["type"] == "scheduled" and e["rung"] == 1)
    line = next(line for line in ledger if line["rung"] == 1)
    _a_kept_checkpoint_is_passed_over(journal, ledger)
    _a_step_of_a_completed_rung_is_trained_again(journal, ledger)
    assert len(audited(journal, ledger).lost) == 2
    evicted = {"type": "evicted", "trial": line["trial"], "rung": 0, "left": 0}
    journal.insert(journal.index(promoted), evicted)
    assert audited(journal, ledger).lost == []


def test_a_step_that_a_killed_attempt_had_trained_is_repeated_and_no_violation() -> None:
    journal, ledger = run()
    found = audited(journal, [ledger[0], *ledger])
    assert found.repeated == 1
    assert found.violations == []


def test_an_entry_that_was_read_and_is_gone_is_lost() -> None:
    journal, _ = run()
    for present in (journal[:-1], [*journal[:3], *journal[4:]]):
        found = Findings()
        audit_witness("clean", journal, present, found)
        assert len(found.lost) == 1
    found = Findings()
    audit_witness("clean", journal[:-1], journal, found)
    assert found.lost == []


def call(script: str, pid: int, answer: str, begun: float, at: float) -> Line:
    return {"script": script, "uid": "u", "pid": pid, "answer": answer, "begun": begun, "at": at}


def test_a_decision_after_another_has_taken_the_lead_is_found() -> None:
    calls = [
        call("lead", 1, "host:1:a", 0.0, 0.1),
        call("schedule", 1, "ok", 1.0, 1.1),
        call("schedule", 1, "ok", 1.2, 9.0),  # frozen while it read the answer
        call("lead", 2, "host:2:b", 5.0, 5.1),
        call("schedule", 1, "stale", 9.1, 9.2),
        call("schedule", 2, "ok", 9.3, 9.4),
    ]
    found = Findings()
    audit_decisions(calls, found)
    assert found.broken == []
    audit_decisions([*calls, call("schedule", 1, "ok", 9.5, 9.6)], found)
    assert found.broken == ["u: schedule by 1, led by host:2:b"]
