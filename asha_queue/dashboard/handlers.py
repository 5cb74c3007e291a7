"""The requests that the pages answer.

Rules

* All of them only read, and each is `authenticated`: whoever needs a login for Flower's own pages
  needs it for these.
* Nothing here waits on Flower's event loop: looks at the store are taken in threads of their own.
* What cannot be shown is a page that says why; Flower goes on.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from flower.views import BaseHandler
from tornado.routing import URLSpec
from tornado.web import authenticated, url

from asha_queue.choice import STATES
from asha_queue.dashboard.experiments import TRIALS, Experiments
from asha_queue.errors import AshaQueueError, StoreUnavailable, UnknownExperiment
from asha_queue.search.configuration import flatten, short
from asha_queue.views import duration, number

#: Looks at the store that are taken at the same time.
LOOKS = 4


class Page(NamedTuple):
    """An answer: its HTTP status, its template and what that shows."""

    status: int
    template: str
    values: dict[str, Any]


class PageHandler(BaseHandler):  # type: ignore[misc]  # Flower has no types
    """Base of the pages: looks in a thread, then renders."""

    def initialize(self, experiments: Experiments, executor: ThreadPoolExecutor) -> None:
        self.experiments = experiments
        self._executor = executor

    async def show(self, template: str, look: Callable[[], dict[str, Any]]) -> None:
        """Renders `template` with what `look` returns, or a page that says why not."""
        loop = asyncio.get_running_loop()
        page = await loop.run_in_executor(self._executor, self._page, template, look)
        self.set_status(page.status)
        self.render(
            page.template,
            **page.values,
            number=number,
            duration=duration,
            short=short,
            flat=flatten,
        )

    def _page(self, template: str, look: Callable[[], dict[str, Any]]) -> Page:
        try:
            try:
                return Page(200, template, look())
            except UnknownExperiment as error:
                return _trouble(404, error, self.experiments.names())
        except StoreUnavailable as error:
            return _trouble(503, error)
        except AshaQueueError as error:
            return _trouble(500, error)


def _trouble(status: int, error: AshaQueueError, names: list[str] | None = None) -> Page:
    return Page(status, "asha_trouble.html", {"message": str(error), "names": names})


class ListHandler(PageHandler):
    """All experiments."""

    @authenticated
    async def get(self) -> None:
        await self.show("asha_list.html", lambda: {"experiments": self.experiments.all()})


class ExperimentHandler(PageHandler):
    """One experiment: `?state=` and `?order=newest` choose among its trials."""

    @authenticated
    async def get(self, name: str) -> None:
        state = self.get_argument("state", "")
        state = state if state in STATES else ""
        newest = self.get_argument("order", "") == "newest"

        def look() -> dict[str, Any]:
            found = self.experiments.experiment(name, state, newest)
            return found | {"state": state, "newest": newest, "states": STATES, "most": TRIALS}

        await self.show("asha_experiment.html", look)


class TrialHandler(PageHandler):
    """One trial."""

    @authenticated
    async def get(self, name: str, trial: str) -> None:
        await self.show("asha_trial.html", lambda: self.experiments.trial(name, int(trial)))


def handlers(experiments: Experiments) -> list[URLSpec]:
    """The pages, by address; Flower puts its `--url_prefix` before each."""
    values = {
        "experiments": experiments,
        "executor": ThreadPoolExecutor(LOOKS, thread_name_prefix="experiments"),
    }
    return [
        url(r"/experiments", ListHandler, values, name="experiments"),
        url(r"/experiments/([^/]+)", ExperimentHandler, values, name="experiment"),
        url(r"/experiments/([^/]+)/trials/([0-9]{1,9})", TrialHandler, values, name="trial"),
    ]
