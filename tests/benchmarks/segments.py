"""Segments from end to end: real workers that do nothing, or sleep, under all guarantees.

How to read it: two workers each, on servers that write every command to their disk. Bare Celery has
tasks that do the same work, in the same pool, one worker a process, with events; they are in its
queue before, nobody looks at what comes out, and a task that is lost is lost. Bare lists are two
processes that pop a list, and one that answers each task by the next: what a server and two cores
allow. A gap is the time from the end of one segment's user code to the begin of the next one's in
the same worker; with nothing to do in between it is the cores that are waited for. Busy is the part
of the workers' time in which user code ran.
"""

from collections.abc import Iterator

from tests.benchmarks.site import BareCelery, BareLists, Tool, Worked, place
from tests.benchmarks.table import Figure

#: Segments that do nothing, and seconds of work in the others with how many there are.
NOTHING = 1500
WORK = ((0.05, 400, 88.0), (0.2, 120, 96.0), (1.0, 30, 99.0))


def _at(gaps: list[float], part: float) -> float:
    """A quantile, in ms."""
    return gaps[int(part * (len(gaps) - 1))] * 1e3


def figures() -> Iterator[Figure]:
    worked: dict[str, dict[float, Worked]] = {}
    for kind in (BareLists, BareCelery, Tool):
        with place(kind) as there:
            there.run(60, 0)  # programs are loaded, connections made
            done = {0.0: there.run(NOTHING, 0)}
            for seconds, segments, _ in WORK:
                done[seconds] = there.run(segments, seconds)
            worked[kind.__name__] = done
    tool, celery, lists = worked["Tool"], worked["BareCelery"], worked["BareLists"]
    rate, bare = tool[0.0].rate, celery[0.0].rate
    yield Figure(
        "segments that do nothing, end to end, two workers",
        rate,
        "segments/s",
        beside=f"bare Celery {bare:.0f} tasks/s, bare lists {lists[0.0].rate:.0f}",
    )
    yield Figure("… of bare Celery's rate", 100 * rate / bare, "%", 60, at_least=True)
    shortest = WORK[0][0]
    for name, part, goal in (("median", 0.5, 6), ("99 %", 0.99, 25)):
        yield Figure(
            f"gap between segments of {shortest * 1e3:g} ms, {name}",
            _at(tool[shortest].gaps, part),
            "ms",
            goal,
            beside=f"with nothing to do {_at(tool[0.0].gaps, part):.1f}; "
            f"bare Celery {_at(celery[shortest].gaps, part):.1f}, "
            f"bare lists {_at(lists[shortest].gaps, part):.1f}",
        )
    for seconds, _, share in WORK:
        yield Figure(
            f"busy share, segments of {seconds:g} s",
            100 * tool[seconds].busy,
            "%",
            share,
            at_least=True,
            beside=f"bare Celery {100 * celery[seconds].busy:.1f}, "
            f"bare lists {100 * lists[seconds].busy:.1f}",
        )
