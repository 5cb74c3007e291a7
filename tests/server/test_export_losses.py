"""The exported files, when the store has less than they hold."""

from pathlib import Path

from asha_queue.coordinator.exports import JOURNAL_FILE, Exports
from asha_queue.coordinator.loss import unknown_journals
from asha_queue.store.contract import Json, ScheduledSegment, Store
from asha_queue.store.journal import load_file
from tests.server.sides import Side
from tests.server.test_coordinator import SPECIFICATION


def submit(store: Store, uid: str) -> None:
    assert store.submit(uid, "sums", SPECIFICATION.seeded().to_json()) == uid


def exports_of(store: Store, uid: str, folder: Path) -> Exports:
    return Exports(store, uid, SPECIFICATION, folder)


def start_trials(store: Store, uid: str, *trials: int) -> None:
    last = store.describe(uid).last
    segments = [ScheduledSegment(trial, 0, 0, 1, {"x": 0.5}) for trial in trials]
    assert store.schedule(uid, last, f"after {last}", segments) == "ok"


def exported(folder: Path) -> list[Json]:
    return load_file(folder / JOURNAL_FILE)[0]


def update(exports: Exports, term: int = 1) -> None:
    while exports.follow(term):
        pass


def test_the_journal_of_another_experiment_of_the_name_is_put_aside(
    side: Side, tmp_path: Path
) -> None:
    submit(side.store, "first")
    exports = exports_of(side.store, "first", tmp_path)
    update(exports)
    exports.close()
    lost = exported(tmp_path)
    side.wipe()
    submit(side.store, "second")
    exports = exports_of(side.store, "second", tmp_path)
    update(exports)
    exports.close()
    assert exported(tmp_path)[0]["uid"] == "second"
    [aside] = tmp_path.glob("journal-until-*.jsonl")
    assert load_file(aside)[0] == lost


def test_a_tail_that_was_rolled_back_is_put_aside_and_the_file_goes_on_with_the_store(
    side: Side, tmp_path: Path
) -> None:
    submit(side.store, "sums1")
    exports = exports_of(side.store, "sums1", tmp_path)
    start_trials(side.store, "sums1", 0)
    update(exports)
    copy = side.save()
    start_trials(side.store, "sums1", 1)
    update(exports)
    longer = exported(tmp_path)
    side.roll_back(copy)
    start_trials(side.store, "sums1", 1, 2)
    update(exports)
    start_trials(side.store, "sums1", 3)
    update(exports)
    exports.close()
    assert exported(tmp_path) == side.store.read("sums1", "").entries
    [aside] = tmp_path.glob("journal-until-*.jsonl")
    assert load_file(aside)[0] == longer


def test_a_new_term_of_the_same_store_puts_nothing_aside(side: Side, tmp_path: Path) -> None:
    submit(side.store, "sums1")
    for term in (1, 2):
        exports = exports_of(side.store, "sums1", tmp_path)
        update(exports, term)
        exports.close()
    assert not list(tmp_path.glob("journal-*"))


def test_a_run_is_unknown_to_a_store_that_lost_it_until_it_is_restored(
    side: Side, tmp_path: Path
) -> None:
    folder = tmp_path / "sums"
    submit(side.store, "sums1")
    exports = exports_of(side.store, "sums1", folder)
    update(exports)
    exports.close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / JOURNAL_FILE).write_text("not a journal\n")
    assert list(unknown_journals(side.store, tmp_path)) == []
    side.wipe()
    assert list(unknown_journals(side.store, tmp_path)) == [("sums", str(folder / JOURNAL_FILE))]
    assert side.store.restore(exported(folder)) == "sums1"
    assert list(unknown_journals(side.store, tmp_path)) == []
