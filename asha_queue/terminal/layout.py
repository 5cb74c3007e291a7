"""How things are laid out in lines.

Rules

* On a terminal no line is longer than it is wide, and no row of a table takes two lines: first the
  columns that were named for that give way, with an ellipsis; numbers and states stay.
* Sentences are wrapped, names and configurations are not: a line ends between them.
* On a pipe nothing is cut and nothing wrapped, unless COLUMNS says how wide its end is.
* What comes from users is a text, never rich's markup: `choice=[bold]` is a value.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

#: Columns of a pipe: more than anything takes.
ENDLESS = 100_000
#: Columns between two cells, or pieces.
GAP = 2
#: Characters of a metric's name at the head of a column.
HEAD = 10


def console() -> Console:
    """Standard output."""
    endless = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=ENDLESS if endless else None)


def cut(text: str, width: int) -> str:
    """A text of at most so many columns, with an ellipsis where something is missing."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"


class Column(NamedTuple):
    """A column of a table; numbers stand to the right. It is cut down to `least` columns of the
    terminal where there is no room; None: it is not."""

    head: str
    right: bool = False
    least: int | None = None


class Rows:
    """A table without lines, in which each row is one. Where it is too wide its columns give way
    one after the other, from the last to the first."""

    def __init__(self, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> None:
        self._columns = columns
        self._rows = [[_line(cell) for cell in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        for column, width in zip(self._columns, self._widths(options.max_width), strict=True):
            justify: JustifyMethod = "right" if column.right else "left"
            made.add_column(_line(column.head), justify=justify, no_wrap=True, width=width)
        for row in self._rows:
            made.add_row(*row)
        yield made

    def _widths(self, room: int) -> list[int]:
        widths = [cell_len(column.head) for column in self._columns]
        for row in self._rows:
            widths = [max(width, cell.cell_len) for width, cell in zip(widths, row, strict=True)]
        excess = sum(widths) + GAP * (len(widths) - 1) - room
        for number, column in reversed([*enumerate(self._columns)]):
            if column.least is not None:
                less = max(0, min(excess, widths[number] - column.least))
                widths[number] -= less
                excess -= less
        return widths


def _line(cell: str | Text) -> Text:
    text = Text(cell) if isinstance(cell, str) else cell
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


class Flow:
    """Pieces one after the other, two spaces between them; lines end between pieces only."""

    def __init__(self, *pieces: str | Text, indent: int = 0) -> None:
        self._pieces = [_line(piece) for piece in pieces if piece]
        self._indent = " " * indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        line = _line(self._indent)
        for piece in self._pieces:
            begun = line.cell_len > len(self._indent)
            if begun and line.cell_len + GAP + piece.cell_len > options.max_width:
                yield line
                line, begun = _line(self._indent), False
            line.append(" " * GAP if begun else "").append_text(piece)
        yield line


def height(parts: Iterable[RenderableType], console: Console, options: ConsoleOptions) -> int:
    """Lines that these take."""
    return sum(len(console.render_lines(part, options, pad=False)) for part in parts)
