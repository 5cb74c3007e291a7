"""The Celery application: `celery -A asha_queue worker`, `celery -A asha_queue flower`."""

import os
import sys

from asha_queue import dashboard, where
from asha_queue.errors import StoreError
from asha_queue.queue import QUEUE, make_app
from asha_queue.training import task
from asha_queue.training.processes import QUEUES

try:
    _broker = where.broker()
except StoreError as error:
    sys.exit(f"asha-queue: {error}")
if _broker is None:
    sys.exit(
        "asha-queue: no broker; set ASHA_QUEUE_BROKER to its URL, as in redis://localhost:6379/0, "
        "or start in the directory of a running embedded server"
    )

try:
    app = make_app(_broker.url, (os.environ.get(QUEUES) or QUEUE).split(","))
except StoreError as error:
    sys.exit(f"asha-queue: {error}")
task.install(app, _broker.url)
if "flower" in sys.argv:  # Celery imports the commands of all plugins, whichever is called
    dashboard.install(_broker.url)
