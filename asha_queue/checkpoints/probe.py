"""Whether nodes share their storage: each leaves a file there and reads those of the others.

Rules

* A node reads what is in `<storage>/.nodes/`, writes its own file with a new random id, and reads
  again. What it has read (the ids) travels with what its workers say of themselves.
* Of two nodes with the same storage, the one that read last has seen the present id of the other,
  whatever their clocks say. So storage is shared among all nodes that this relation connects, and
  nodes that it does not connect have folders of the same name on different disks.
* A file copied along with a disk's image has an old id and connects nobody.
"""

import contextlib
import json
import os
import secrets
import time
from typing import Any

from asha_queue.errors import StorageError
from asha_queue.storage import AnyStorage, opened, required
from asha_queue.storage.patience import QUICK
from asha_queue.where import storage_root

#: Folder of the probes below the storage root; no experiment's name begins with a dot.
FOLDER = ".nodes"
#: Ids reported at most, newest first: what a worker says of itself is sent every few seconds.
SEEN = 64


def look(place: AnyStorage, host: str) -> dict[str, Any]:
    """Leaves this node's probe and says what was found: `root`, `id` of the probe, the ids `seen`
    of others, and `error`, empty if the folder can be written and all in it read."""
    root = storage_root(str(place))
    ages: dict[str, float] = {}
    mine = ""
    try:
        storage = required(place, QUICK)
        # before, too: a second launcher of this host overwrites the probe of the first
        ages |= {probe["id"]: probe["at"] for probe in read_probes(storage).values()}
        mine = write_probe(storage, host)
        ages |= {probe["id"]: probe["at"] for probe in read_probes(storage).values()}
    except OSError as error:
        reason = f"{error.filename or root}: {error.strerror}"
        return {"root": root, "id": mine, "seen": [], "error": reason}
    except StorageError as error:
        return {"root": root, "id": mine, "seen": [], "error": str(error)}
    ages.pop(mine, None)
    seen = sorted(ages, key=ages.__getitem__, reverse=True)[:SEEN]
    return {"root": root, "id": mine, "seen": seen, "error": ""}


def write_probe(place: AnyStorage, name: str) -> str:
    """Writes the probe of the node called `name`, and returns its new id."""
    probe = {"id": secrets.token_hex(4), "host": name, "pid": os.getpid(), "at": time.time()}
    opened(place, QUICK).write(f"{FOLDER}/{name}", json.dumps(probe).encode())
    return str(probe["id"])


def read_probes(place: AnyStorage) -> dict[str, dict[str, Any]]:
    """The probes there are, by name: {"id", "host", "pid", "at"}. Raises OSError for one that this
    node may not read, and when the folder cannot be read; without a folder there are none."""
    folder = opened(place, QUICK).below(FOLDER)
    probes = {}
    for name in folder.names():
        if name.startswith("."):
            continue
        with contextlib.suppress(FileNotFoundError, ValueError):  # just removed, or not one of ours
            probe = json.loads(folder.read(name))
            if isinstance(probe, dict) and {"id", "at"} <= probe.keys():
                probes[name] = probe
    return probes
