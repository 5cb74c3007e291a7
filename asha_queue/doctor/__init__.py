"""The doctor: looks at server, workers, storage and experiments, and says what to do next.

It asks the server and reads the storage from here; workers are not asked, they say of themselves
all that is needed with each beat. Nothing is changed.
"""

from asha_queue.doctor.experiments import coordinators, experiments
from asha_queue.doctor.finding import Finding
from asha_queue.doctor.fleet import versions, workers
from asha_queue.doctor.server import server
from asha_queue.doctor.storage import storage
from asha_queue.errors import NotAllowed, StoreError
from asha_queue.store import connect
from asha_queue.store.server_facts import facts

__all__ = ["Finding", "examine"]


def examine(url: str, version: str, folder: str | None) -> list[Finding]:
    """All findings about the server at `url` and who works on it, compared with our `version`;
    `folder` is the storage root here, None for where the workers have theirs."""
    store = connect(url)
    findings: list[Finding] = []
    try:
        findings += server(facts(url), url)
        alive, attendants = store.workers(), store.attendants()
        findings += workers(alive, store.drained())
        findings.append(versions(alive, attendants, version))
        findings += storage(alive, folder)
        findings += coordinators(attendants)
        findings += experiments(store, alive, url)
    except StoreError as error:
        do = "start it, or give the right one with --broker or ASHA_QUEUE_BROKER"
        if isinstance(error, NotAllowed):  # which says itself what to do
            do = ""
        findings.append(Finding("server", "error", str(error), do))
    finally:
        store.close()
    return findings
