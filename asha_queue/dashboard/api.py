"""Experiments as JSON: the addresses, and what reads them.

An answer is what the command line's `--json` prints. It may be asked for again and again: a client
that has it already is told so (304), and nothing is folded twice.
"""

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, Final

from tornado.routing import URLSpec
from tornado.web import url

from asha_queue.choice import choose, row
from asha_queue.dashboard.experiments import Experiments
from asha_queue.dashboard.orders import ORDERS, DrainHandler, ExperimentOrderHandler
from asha_queue.dashboard.replies import ApiHandler, Refused
from asha_queue.errors import ChoiceError, UnknownExperiment
from asha_queue.views import overview, trial_view

#: Trials in one answer, by default and at most.
ROWS: Final = 100
MOST_ROWS: Final = 1000


class ListHandler(ApiHandler):
    """All experiments, workers and coordinators: `asha-queue status --json`."""

    async def get(self) -> None:
        await self.answer(self.experiments.all)


class ExperimentHandler(ApiHandler):
    """One experiment: `asha-queue status NAME --json`."""

    async def get(self, name: str) -> None:
        def look() -> dict[str, Any]:
            with self.experiments.look(name) as look:
                workers = self.experiments.store.workers()
                return overview(look.fold.result, workers, look.live.last)

        await self.answer(look)


class TrialsHandler(ApiHandler):
    """Trials of an experiment: ?state=, search=, sort=, order=asc|desc, offset=, limit=."""

    async def get(self, name: str) -> None:
        given = {
            key: str(self.get_argument(key, "", escape=False))
            for key in self.request.query_arguments
        }

        def look() -> dict[str, Any]:
            wish = _wish(given)
            with self.experiments.look(name) as look:
                trials, matching = choose(look.fold.result, **wish)
                return {"matching": matching, "trials": [row(trial) for trial in trials]}

        await self.answer(look)


def _wish(given: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of `choose`."""
    taken = ("state", "search", "sort", "order", "offset", "limit")
    for name in given:
        if name not in taken:
            raise ChoiceError(f"{name!r} is not asked for here; {', '.join(taken)} are")
    if (order := given.get("order", "asc")) not in ("asc", "desc"):
        raise ChoiceError(f"order={order!r}: must be asc or desc")
    return {
        "state": given.get("state", ""),
        "search": given.get("search", ""),
        "sort": given.get("sort", ""),
        "descending": order == "desc",
        "offset": _number(given, "offset", 0, 10**9),
        "limit": _number(given, "limit", ROWS, MOST_ROWS),
    }


def _number(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 11 and int(text) <= most):
        raise ChoiceError(f"{name}={text!r}: must be a whole number from 0 to {most}")
    return int(text)


class TrialHandler(ApiHandler):
    """One trial: `asha-queue status NAME TRIAL --json`."""

    async def get(self, name: str, trial: str) -> None:
        def look() -> dict[str, Any]:
            with self.experiments.look(name) as look:
                trials = look.fold.result.trials
                if int(trial) >= len(trials):
                    raise UnknownExperiment(
                        f"experiment {name} has no trial {trial}; "
                        f"{len(trials)} were started, numbered from 0"
                    )
                return trial_view(trials[int(trial)], look.fold.search)

        await self.answer(look)


class NothingHandler(ApiHandler):
    """What is below our addresses and is none of them."""

    def prepare(self) -> None:
        super().prepare()
        raise Refused(404, f"no such address; orders are {', '.join(ORDERS)}")


def handlers(experiments: Experiments, executor: Executor) -> list[URLSpec]:
    """What is asked for, by address; Flower puts its `--url_prefix` before each."""
    values = {"experiments": experiments, "executor": executor}
    one = r"/api/experiments/([^/]+)"
    return [
        url(r"/api/experiments", ListHandler, values),
        url(one, ExperimentHandler, values),
        url(one + r"/trials", TrialsHandler, values),
        url(one + r"/trials/([0-9]{1,9})", TrialHandler, values),
        url(one + rf"/({'|'.join(ORDERS)})", ExperimentOrderHandler, values),
        url(r"/api/workers/drain", DrainHandler, values),
        url(r"/api/experiments/.*", NothingHandler, values),
    ]
