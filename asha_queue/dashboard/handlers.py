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
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flower.views import BaseHandler
from tornado.routing import URLSpec
from tornado.web import authenticated, url

from asha_queue.dashboard.assets import ASSETS, AssetHandler
from asha_queue.dashboard.experiments import Experiments
from asha_queue.dashboard.query import Query
from asha_queue.errors import AshaQueueError, StoreUnavailable, UnknownExperiment
from asha_queue.figures import rung_colour
from asha_queue.search.configuration import flatten, short
from asha_queue.selection import STATES
from asha_queue.troubles import Trouble
from asha_queue.views import duration, number

#: Looks at the store that are taken at the same time.
LOOKS = 4
#: Header of a request by a page that is shown already.
LIVE = "X-Live"


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

    @property
    def steered(self) -> bool:
        """Whether experiments may be steered from here: there is a login, and no --read_only."""
        options = self.application.options
        return bool(options.basic_auth or options.auth) and not options.read_only

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
            asset=self._asset,
            steered=self.steered,
            moment=moment,
            rung_colour=rung_colour,
            trouble_text=lambda trouble: str(Trouble(**trouble)),
        )

    def _asset(self, name: str) -> str:
        address: str = self.reverse_url("experiments-asset", name)
        return f"{address}?v={ASSETS[name].digest}"

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


def moment(seconds: float) -> str:
    """A time of the journal as ISO 8601 has it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


class ListHandler(PageHandler):
    """All experiments, and the fleet."""

    @authenticated
    async def get(self) -> None:
        await self.show("asha_list.html", self.experiments.all)


class ExperimentHandler(PageHandler):
    """One experiment: `?state=`, `search=`, `sort=`, `order=desc` and `page=` choose among its
    trials."""

    @authenticated
    async def get(self, name: str) -> None:
        query = Query(
            state=self._argument("state"),
            search=self._argument("search"),
            sort=self._argument("sort"),
            descending=self._argument("order") == "desc",
            page=self._page_number(),
        )

        def look() -> dict[str, Any]:
            found = self.experiments.experiment(name, query)
            # the page that is shown asks again for what lives in it
            found["preview"] = (
                "" if LIVE in self.request.headers else self.experiments.preview(name)
            )
            return found | {"query": query, "states": STATES}

        await self.show("asha_experiment.html", look)

    def _argument(self, name: str) -> str:
        return str(self.get_argument(name, "", escape=False))  # the templates escape

    def _page_number(self) -> int:
        text = self._argument("page")
        return max(1, int(text)) if text.isdecimal() and len(text) < 9 else 1


class TrialHandler(PageHandler):
    """One trial."""

    @authenticated
    async def get(self, name: str, trial: str) -> None:
        await self.show("asha_trial.html", lambda: self.experiments.trial(name, int(trial)))


def handlers(experiments: Experiments) -> list[URLSpec]:
    """The pages, by address; Flower puts its `--url_prefix` before each."""
    executor = ThreadPoolExecutor(LOOKS, thread_name_prefix="experiments")
    values = {"experiments": experiments, "executor": executor}
    page, trial = r"/experiments/([^/]+)", r"/experiments/([^/]+)/trials/([0-9]{1,9})"
    return [
        url(r"/experiments", ListHandler, values, name="experiments"),
        url(page, ExperimentHandler, values, name="experiment"),
        url(trial, TrialHandler, values, name="trial"),
        url(
            r"/experiments-assets/([a-z_.]+)",
            AssetHandler,
            {"executor": executor},
            name="experiments-asset",
        ),
    ]
