"""The importances of many experiments, computed beside their reader.

Rules

* `of` never waits: it answers with what is known, and starts a computation where that is worth it:
  the first time, and when the results have grown by a tenth since.
* One computation at a time, in a process of its own that is ended after `LIMIT` seconds.
* What went wrong is a sentence, and is tried again only when there are more results.
"""

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asha_queue.importance.forest import LEAST, Columns

#: Seconds that a computation may take.
LIMIT = 60.0
#: Experiments that are remembered.
KEPT = 200
#: Growth of the results by which a computation is repeated.
GROWTH = 0.1


@dataclass(frozen=True, slots=True)
class Known:
    """Each parameter's share, the largest first; of which rung, and from how many results."""

    shares: list[tuple[str, float]]
    rung: int
    results: int


class Importances:
    """Computes and remembers importances, for readers in several threads."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._known: dict[str, Known | str] = {}
        #: Results that the last computation, which may be running, has begun with.
        self._begun: dict[str, int] = {}

    def of(self, uid: str, results: int, columns: Callable[[], Columns]) -> Known | str:
        """What is known of experiment `uid`, whose rung with the most results has `results` of
        them, or in a sentence why nothing is; `columns` is called if a computation starts."""
        if results < LEAST:
            return f"needs {LEAST} results in one rung, there are {results}"
        with self._lock:
            known = self._known.get(uid, "computing …")
            begun = self._begun.get(uid, 0)
            if results < math.ceil(begun * (1 + GROWTH)) or not self._turn.acquire(blocking=False):
                return known
            self._begun[uid] = results
            self._forget()
        try:
            work = columns()
            threading.Thread(target=self._compute, args=(uid, work), daemon=True).start()
        except BaseException:
            with self._lock:
                self._begun.pop(uid, None)
            self._turn.release()
            raise
        return known

    def _forget(self) -> None:
        for uid in list(self._begun)[:-KEPT]:
            self._begun.pop(uid)
            self._known.pop(uid, None)

    def _compute(self, uid: str, columns: Columns) -> None:
        try:
            answer = self._ask(columns)
            with self._lock:
                # what was known stays if more results bring no answer
                if isinstance(answer, Known) or not isinstance(self._known.get(uid), Known):
                    self._known[uid] = answer
        finally:
            self._turn.release()

    def _ask(self, columns: Columns) -> Known | str:
        # -P: a file in the working directory may have the name of a library
        command = [sys.executable, "-P", "-m", "asha_queue.importance"]
        here = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
        # one thread for its arithmetic: it runs beside a server, or beside training
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        environment = {**os.environ, **threads, "PYTHONPATH": path}
        try:
            done = subprocess.run(
                command,
                input=json.dumps(columns.to_json()),
                capture_output=True,
                text=True,
                timeout=self._limit,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            return f"took more than {self._limit:g} s"
        except OSError as error:
            return f"could not be computed: {error}"
        if done.returncode:
            last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            return f"could not be computed: {last}"
        answer = json.loads(done.stdout)
        if "why" in answer:
            return str(answer["why"])
        shares = [(name, share) for name, share in answer["shares"]]
        return Known(shares, columns.rung, columns.results)
