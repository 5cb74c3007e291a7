"""`python -m asha_queue` is `asha-queue`."""

from asha_queue.cli import main

main()
