"""Experiments as JSON: the addresses, and what reads them.

An answer is what the command line's `--json` prints. It may be asked for again and again: a client
that has it already is told so (304), and nothing is folded twice.
"""

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, Final

from tornado.routing import URLSpec
from tornado.web import url

from asha_queue.dashboard.experiments import Experiments
from asha_queue.dashboard.orders import ORDERS, DrainHandler, ExperimentOrderHandler
from asha_queue.dashboard.replies import ApiHandler, Refused
from asha_queue.errors import ChoiceError
from asha_queue.selection import choose, row
from asha_queue.views import trial_view

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
        await self.answer(lambda: self.experiments.overview(name))


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
                return trial_view(look.trial(int(trial)), look.fold.search)

        await self.answer(look)


class FigureHandler(ApiHandler):
    """A figure as plotly has it, by its kind; `?parameter=` for the one of a parameter."""

    async def get(self, name: str, kind: str) -> None:
        options = {
            key: str(self.get_argument(key, escape=False)) for key in self.request.query_arguments
        }
        await self.answer(lambda: self.experiments.figure(name, kind, options))


class TrialFigureHandler(ApiHandler):
    """The learning curve of a trial as plotly has it."""

    async def get(self, name: str, trial: str) -> None:
        await self.answer(lambda: self.experiments.trial_figure(name, int(trial)))


class LogHandler(ApiHandler):
    """The end of what an attempt has printed: `path`, `text`, and `why` if that is not all."""

    async def get(self, name: str, trial: str, rung: str, attempt: str) -> None:
        def look() -> dict[str, Any]:
            tail = self.experiments.log(name, int(trial), int(rung), int(attempt))
            return {"path": str(tail.path), "text": tail.text, "why": tail.why}

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
    trial = one + r"/trials/([0-9]{1,9})"
    return [
        url(r"/api/experiments", ListHandler, values),
        url(one, ExperimentHandler, values, name="api-experiment"),
        url(one + r"/figures/([a-z_]+)", FigureHandler, values, name="figure"),
        url(one + r"/trials", TrialsHandler, values),
        url(trial, TrialHandler, values),
        url(trial + r"/figure", TrialFigureHandler, values, name="trial-figure"),
        url(trial + r"/log/([0-9]{1,4})/([0-9]{1,6})", LogHandler, values, name="trial-log"),
        url(one + rf"/({'|'.join(ORDERS)})", ExperimentOrderHandler, values),
        url(r"/api/workers/drain", DrainHandler, values, name="api-drain"),
        url(r"/api/experiments/.*", NothingHandler, values),
    ]
