"""`python -m asha_queue.importance`: columns as JSON in, shares or the reason for none as JSON out.

A program of its own rather than a forked or spawned worker: it imports nothing of the process that
started it, whose main module may be Celery's.
"""

import json
import sys

from asha_queue.errors import AshaQueueError
from asha_queue.importance.forest import Columns, compute


def main() -> None:
    columns = Columns(**json.load(sys.stdin))
    try:
        answer = {"shares": compute(columns)}
    except AshaQueueError as error:
        answer = {"why": str(error)}  # type: ignore[dict-item]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
