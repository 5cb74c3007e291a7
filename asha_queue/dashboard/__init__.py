"""Experiments inside Flower: pages, and addresses for programs.

They show; programs get the same as JSON, and give orders. `install` puts them into a Flower that
is about to start, and never keeps it from starting.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

#: Seconds that a page waits for each answer of the store.
PATIENCE = 3.0
#: Requests of programs that are answered at the same time; pages have threads of their own.
ANSWERS = 4

log = logging.getLogger(__name__)


def install(broker: str) -> None:
    """Adds the pages of the experiments on `broker`, and the tab that leads to them.

    Call it before Flower makes its application. What goes wrong here is logged in one line.
    """
    try:
        _install(broker)
    except Exception as error:  # Flower without these pages is better than no Flower
        log.warning("Flower starts without the pages of experiments: %r", error)


def _install(broker: str) -> None:
    # here, because a Flower that is not what it was may fail to be imported, too
    from flower import urls

    from asha_queue.dashboard import api, metrics, receiver
    from asha_queue.dashboard import broker as queues
    from asha_queue.dashboard.experiments import Experiments
    from asha_queue.dashboard.handlers import handlers
    from asha_queue.dashboard.templates import Templates
    from asha_queue.sentinel import is_sentinel
    from asha_queue.store import connect

    if is_sentinel(broker):
        queues.install(broker)
    receiver.install()
    templates = Templates(urls.settings["template_path"])
    templates.load("navbar.html")  # our tab in it, too, is what Tornado can compile
    experiments = Experiments(connect(broker, PATIENCE))
    executor = ThreadPoolExecutor(ANSWERS, thread_name_prefix="experiments-api")
    pages = handlers(experiments)
    pages += api.handlers(experiments, executor) + metrics.handlers(experiments, executor)
    urls.handlers[:0] = pages  # before the last one, which answers to everything
    urls.settings["template_loader"] = templates
    urls.settings["compress_response"] = True  # Flower's scripts and styles, too
    threading.Thread(target=experiments.follow, name="experiments", daemon=True).start()
