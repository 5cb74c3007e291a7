"""Versions side by side: what may change between two of them, and what an older one does about it.

Workers, coordinators and clients of this version and of the one before share a store, a queue and
a storage, so that a fleet is upgraded piece by piece while its experiments go on.

What is versioned

* `v`, the format, is a number in each thing that one process writes and another reads: messages of
  the queue, the hash of an experiment, entries of its journal, snapshots, and the manifests of
  checkpoints. Only FORMAT and lower ones are read. What has a higher one is refused by a sentence
  that says so (`NewerFormat`), and left as it is.
* The fields of a specification are known by their names, journal entries by their type.
* Lua scripts travel with whoever calls them, each text under a hash of its own: two versions of a
  script stand side by side on a server, and must keep the same rules about the same keys.
* Workers and coordinators say their version with each beat, for people.
* A keeper, its worker's main process and its training process are of one installation, and what
  they tell each other (the line, the pulse) has no format. So is a launcher with the workers that
  it starts. An installation is changed while none of them runs, or a new one is made beside it.

What may change within a format

* A message, a hash, an entry, a manifest, a beat may get fields that a reader may ignore. Readers
  ignore what they do not know, and find what they need by name. Nothing that is there changes its
  type or its meaning, and what the version before needs is written still.
* A specification may get fields. Those that an earlier version lacks are stored only if they ask
  for something (`specification/stored.py`), so that an experiment that does without is everybody's.
  Whoever decides or shows (coordinators, clients, pages) refuses an experiment with a field that it
  does not know. Workers ignore it, in the file of a program too: they are told what to do by fields
  that they know. So it is a format of its own if a worker, or a script, must heed the field. (Those
  of 0.1.0 refuse a program whose file makes an `Experiment` with it; with a TOML they train it.)
* A snapshot's state may get keys beside its own. One that cannot be read is no loss: the journal is
  folded from its start.

When FORMAT rises, and what is written with the higher number then: only the things that an older
version would misread. That is a new type of journal entry, a new domain (which is taken for a
nested dict), a new meaning of something that is there, a field that workers must heed. An
experiment that needs none of it keeps the lower number, and stays everybody's.

What an older version does about it

* A worker refuses the segment, which is published again for others, and rests for a while; nothing
  is counted as a failure. What names a segment in a message (uid, trial, rung, attempt), and how it
  is refused, stays as it is in all formats.
* A coordinator leaves the experiment alone, gives its lead to others, says why in its log, in
  `status` and in `doctor`, and drives all the others.
* Commands and pages say it of the experiment, and show all the others.

In which order to upgrade: any. Coordinators first lets new fields be used at once; and it must be
so where the server's users do not let workers load scripts, as these run what a coordinator of
their version has brought. With two coordinators one is upgraded while the other leads; a leader
that is killed is replaced in seconds. Workers are drained node by node: `asha-queue drain HOST`,
upgrade, start. Clients come at any time; only what they submit with new fields waits for a
coordinator that knows them.
"""

import re
from collections.abc import Mapping
from importlib.metadata import version as installed
from typing import Any

from asha_queue.errors import NewerFormat
from asha_queue.settings import FORMAT

#: What is shown of one that does not say its version.
EARLIER = "an earlier version"


def version() -> str:
    """The version that runs here; `pyproject.toml` has it."""
    return installed("asha-queue")


def age(version: str) -> tuple[int, ...]:
    """What versions are ordered by: the numbers in them; none for one that is not told."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def newer(what: str, why: str) -> NewerFormat:
    """The error about something that this version does not understand, for this reason."""
    return NewerFormat(
        f"{what} was written by a newer version of asha-queue ({why}): upgrade asha-queue here"
    )


def unknown(entry: Mapping[str, Any]) -> NewerFormat:
    """The error about an entry of the journal whose type this version does not know."""
    return newer(f"journal entry {entry.get('id', 'without id')}", f"its type is {entry['type']!r}")


def require(v: int, what: str) -> None:
    """Raises NewerFormat unless this version reads things of format `v`."""
    if v > FORMAT:
        raise newer(what, f"its format is {v}, asha-queue {version()} reads up to {FORMAT}")
