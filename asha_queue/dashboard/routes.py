"""Where the pages are in Flower, and where their templates come from."""

from flower import urls
from tornado.web import url

from asha_queue.dashboard.board import Board
from asha_queue.dashboard.handlers import ExperimentPage, ExperimentsPage, TrialPage
from asha_queue.dashboard.templates import Templates
from asha_queue.store import connect

#: Seconds that a page waits for each answer of the store.
PATIENCE = 3.0


def add(broker: str) -> None:
    """Puts the pages before Flower's own, the last of which answers to anything."""
    board = {"board": Board(connect(broker, timeout=PATIENCE))}
    urls.settings["template_loader"] = Templates(urls.settings["template_path"])
    urls.handlers[:0] = [
        url(r"/experiments", ExperimentsPage, board, name="experiments"),
        url(r"/experiments/([^/]+)", ExperimentPage, board, name="experiment"),
        url(r"/experiments/([^/]+)/([0-9]{1,9})", TrialPage, board, name="trial"),
    ]
