"""What a large fleet costs: one coordinator and one Valkey, with up to 10,000 simulated workers.

How to read it: all workers train segments of a minute, in real time for some seconds, so a sixtieth
of them ends one each second, ten times a second a few at once. The share of a core is that of the
coordinator's turns, with its ticks and files. Valkey's is of those turns, of what workers take,
claim and complete, and of a beat and a renewal of each worker every RENEW_EVERY; these come in
pipelines here, one by one they cost it about half as much again. What saturates first, and at how
many segments a second, follows from a turn in which a tenth of the workers have ended one.
"""

import time
from collections.abc import Iterator

from asha_queue.settings import RENEW_EVERY
from tests.benchmarks.alone import Alone, Spent, alone
from tests.benchmarks.table import Figure

WORKERS = (100, 1_000, 3_000, 10_000)
#: Seconds that a segment takes.
SEGMENT = 60.0
#: Seconds that are measured, and of one step within them.
SECONDS, STEP = 8.0, 0.1


def used(made: Alone) -> float:
    cpu = made.workers.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def fill(made: Alone) -> None:
    """Until all workers train."""
    held = 0
    while held < made.workers.count:
        made.workers.beat()
        made.decide()
        held += made.workers.take(made.workers.count - held)


def lived(made: Alone) -> tuple[int, Spent, float]:
    """Segments that ended, what the coordinator's turns took, and Valkey in all, in SECONDS."""
    each, owed, done, spent = made.workers.count / SEGMENT * STEP, 0.0, 0, Spent()
    began, next_step, server = time.monotonic(), 0.0, used(made)
    while next_step < SECONDS:
        owed += each
        done += made.workers.end(int(owed))
        owed -= int(owed)
        spent = spent.plus(made.decide())
        made.workers.take(made.workers.count)
        next_step += STEP
        time.sleep(max(0.0, began + next_step - time.monotonic()))
    return done, spent, used(made) - server


def alive(made: Alone) -> float:
    """Seconds of Valkey's CPU for a beat and a renewal of each worker."""
    before = used(made)
    made.workers.beat(now=True)
    made.workers.renew()
    return used(made) - before


def figures() -> Iterator[Figure]:
    for workers in WORKERS:
        with alone(workers) as made:
            fill(made)
            made.decide()
            beats = alive(made)
            idle = time.process_time()
            until = time.monotonic() + SECONDS / 2
            while time.monotonic() < until:
                made.drive.turn()
                time.sleep(STEP)
            idle = (time.process_time() - idle) / (SECONDS / 2)
            made.workers.beat(now=True)
            done, spent, server = lived(made)
            busy = used(made)
            batch = made.workers.end(max(10, workers // 10))  # as many as come while it decides
            full = made.decide()
            made.workers.take(workers)
            busy = used(made) - busy
            seconds = done / workers * SEGMENT  # of the fleet's time; more if this was too slow
            share = spent.own / seconds
            valkey = server / seconds + beats / RENEW_EVERY
            beside = (
                f"{idle * 100:.1f} % of it if none ends; "
                f"Valkey {valkey * 100:.1f} %, {beats / RENEW_EVERY * 100:.1f} % of it beats"
            )
            what = f"coordinator of {workers:,} workers, 1-minute segments"
            yield Figure(what, share * 100, "% of a core", beside=beside)
            each = share * 100 / workers * 1_000
            yield Figure("… per 1,000 workers", each, "% of a core")
            limits = {
                "the coordinator": (1 - idle) * batch / full.own,
                "Valkey": (1 - beats / RENEW_EVERY) * batch / busy,
            }
            first = min(limits, key=limits.__getitem__)
            beside = "; ".join(f"{who} at {rate:,.0f}/s" for who, rate in limits.items())
            yield Figure(f"… {first} saturates", limits[first], "segments/s", beside=beside)
