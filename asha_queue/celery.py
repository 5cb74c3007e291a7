"""The Celery application: `celery -A asha_queue worker`, `celery -A asha_queue flower`."""

import sys

from asha_queue import where
from asha_queue.queue import make_app
from asha_queue.training import task

_broker = where.broker()
if _broker is None:
    sys.exit(
        "asha-queue: no broker; set ASHA_QUEUE_BROKER to its URL, as in redis://localhost:6379/0, "
        "or start in the directory of a running embedded server"
    )

app = make_app(_broker.url)
task.install(app, _broker.url)
