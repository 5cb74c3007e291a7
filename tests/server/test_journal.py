"""Entries as text: a public format that loses nothing."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asha_queue.errors import JournalError, NewerFormat
from asha_queue.storage import Folder
from asha_queue.store import journal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def spelled(value: Any) -> Any:
    """The value with infinities as the journal spells them."""
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: spelled(item) for key, item in value.items()}
    return [spelled(item) for item in value] if isinstance(value, list) else value


@given(VALUES)
def test_every_value_comes_back_with_every_digit(value: Any) -> None:
    text = journal.encode(value)
    assert text.isascii()
    assert "\n" not in text
    assert journal.decode(text) == spelled(value)


def test_what_json_cannot_hold_is_written_as_a_string() -> None:
    odd = {"a": math.nan, "b": [math.inf, (-math.inf, 1.5)], "c": {"d": math.nan}}
    assert json.loads(journal.encode(odd)) == {
        "a": "NaN",
        "b": ["Infinity", ["-Infinity", 1.5]],
        "c": {"d": "NaN"},
    }


def test_members_are_the_object_without_its_braces() -> None:
    assert journal.members({"by": "me", "at": 1}) == '"by":"me","at":1'


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"type": "scheduled", "attempt": 2}, True),
        ({"type": "completed"}, True),
        ({"type": "cancelled"}, True),
        ({"type": "failed", "final": True}, True),
        ({"type": "failed", "final": False}, False),
        ({"type": "lost"}, False),
        ({"type": "started"}, False),
        ({"type": "suspended"}, False),
        ({"type": "warning"}, False),
    ],
)
def test_an_entry_decides_if_a_decision_could_depend_on_it(
    entry: dict[str, Any], expected: bool
) -> None:
    assert journal.decides(entry) is expected


def test_a_line_is_read_as_it_was_written() -> None:
    entry = {"v": 1, "id": "5-0", "type": "started", "at": 1.5, "trial": 0}
    line = journal.dump(entry)
    assert line.endswith("\n")
    assert journal.load(line) == entry


@pytest.mark.parametrize("line", ['{"v": 1, "id"', "[]", '{"v": 1, "id": "5-0", "at": 1}'])
def test_a_broken_line_is_quoted_in_the_error(line: str) -> None:
    with pytest.raises(JournalError, match="journal") as raised:
        journal.load(line)
    assert line in str(raised.value)


def test_an_entry_of_a_newer_version_is_refused() -> None:
    with pytest.raises(NewerFormat, match="5-0"):
        journal.load('{"v": 99, "id": "5-0", "type": "started", "at": 1}')


def test_the_ends_of_a_file_are_found_without_reading_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PIECE", 8)
    entries = [{"v": 1, "id": f"{n}-0", "type": "started", "at": 0.5, "x": "é" * n} for n in (1, 9)]
    path = tmp_path / "journal.jsonl"
    path.write_text("".join(map(journal.dump, entries)))
    assert journal.ends(Folder(path.parent), path.name) == (entries[0], entries[1])
    with path.open("a") as file:
        file.write('{"v":1,"id":"10-0","ty')  # cut off by a kill
    assert journal.ends(Folder(path.parent), path.name) == (entries[0], entries[1])
    path.write_text(journal.dump(entries[0]))
    assert journal.ends(Folder(path.parent), path.name) == (entries[0], entries[0])
    for nothing in ("", "no journal\n", '{"v":1'):
        path.write_text(nothing)
        assert journal.ends(Folder(path.parent), path.name) is None
    assert journal.ends(Folder(tmp_path), "absent") is None
