"""Who may do what on the server: one table, from which `asha-queue users` writes its users.

Rules

* Each role has a user of its own. The user `default`, which is whoever gives no name, is off; only
  `admin` may configure the server, list its keys, empty it, or see other databases and other
  applications.
* What a role does to an experiment it does by a script. A call names, as its one key,
  `asha:call:SCRIPT`, which is never written: the server refuses a user whose rules do not have it
  before anything runs, and a script refuses a call that names another one.
* Only a coordinator gives scripts to the server, all of them, and looks every second whether it
  still knows them. The others run what is there: a stolen password of theirs brings no Lua of its
  own to the server. Until a coordinator of their version has come, they wait.
* The server checks each command within a script by the rules of whoever called it. So a user has
  these commands on these keys, and whoever has stolen its password may give them without a script,
  in an order of their own: a worker's can so spoil what it may train. This is why keys are cut as
  finely as scripts allow, and why only those who delete experiments may remove a key.
* Kombu's keys begin with `asha:celery:`. Its commands hold for them alone (a selector).
* The commands of a role are read from the texts of its scripts: they need no second list.

Rules that Valkey 8 and Redis 7 have suffice for all of it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from asha_queue.store import keys

#: Scripts that change nothing.
LOOK: Final = ("alive", "claimants", "describe", "due", "read", "running")
#: Orders.
STEER: Final = ("cancel", "drain", "extend", "pause", "resume", "retry")
#: What makes and removes experiments as a whole.
KEEP: Final = (
    *("delete", "submit"),
    *("restore_begin", "restore_end", "restore_journal", "restore_trials"),
)
#: What a coordinator decides, and what it tidies up.
DECIDE: Final = (
    *("beat", "evict", "finish", "keep_snapshot", "lead", "leave", "published"),
    *("reap", "removable", "removed", "resign", "schedule"),
)
#: What workers, their keepers and launchers do.
TRAIN: Final = (
    *("beat", "checkpoint", "claim", "complete", "fail", "leave", "refuse", "release"),
    *("release_worker", "renew", "report", "set_aside", "start", "suspend", "undrain"),
)

#: An experiment's hash, without the keys below it: its uid has 16 characters.
EXPERIMENT: Final = keys.experiment("?" * 16)
#: Everything of all experiments.
EXPERIMENTS: Final = keys.experiment("*")
#: Workers, what they say, their troubles.
WORKERS: Final = keys.WORKERS + "*"
COORDINATORS: Final = keys.COORDINATORS + "*"
#: Keys that everybody may read who reads experiments.
READ: Final = (*(EXPERIMENTS, keys.NAMES, keys.DELETED, keys.DRAINS, WORKERS, COORDINATORS),)

#: What belongs to any connection; by its category, as some of it is younger than Redis 7.0.
CONNECTION: Final = ("-@all", "+@connection", "-@admin", "-@dangerous", "-select")
#: Commands that everybody has, as they say nothing of keys.
EVERYBODY: Final = ("evalsha", "script|exists")


def below(name: str) -> str:
    """The key `name` of all experiments."""
    return keys.experiment("*:" + name)


#: What is open in an experiment, and its trials.
RECORDS: Final = (EXPERIMENT, below("queued"), below("running"), below("trial:*"))


@dataclass(frozen=True, slots=True)
class Role:
    """What a user may do with our keys, and with kombu's."""

    #: For whom it is, in the words of `asha-queue users`.
    purpose: str
    scripts: tuple[str, ...]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    #: Patterns that it both reads and writes.
    both: tuple[str, ...] = ()
    #: Commands that are given without a script.
    commands: tuple[str, ...] = ()
    #: Channels of our own.
    channels: tuple[str, ...] = ()
    #: Commands on kombu's keys, which of them are written and which only read, and its channels;
    #: {db} is the database.
    queue: tuple[str, ...] = ()
    queue_both: tuple[str, ...] = ()
    queue_reads: tuple[str, ...] = ()
    queue_channels: tuple[str, ...] = ()


#: Commands by which messages are put into queues …
_SEND: Final = ("exec", "llen", "lpush", "multi", "publish", "sadd", "smembers")
#: … by which they are taken out and acknowledged …
_TAKE: Final = (
    *("brpop", "discard", "get", "hdel", "hget", "hset", "rpop", "rpush", "set", "unwatch"),
    *("watch", "zrange"),
)
#: … and by which events and answers are listened for, and such queues removed when nobody does.
_LISTEN: Final = (
    *("psubscribe", "punsubscribe", "subscribe", "unsubscribe"),
    *("del", "evalsha", "exec", "exists", "llen", "multi", "pexpire", "sadd", "smembers"),
    *("srem", "time", "zadd", "zrangebyscore", "zrem"),
)
#: Which queues events and answers go to; those of segments have other names.
_LISTENERS: Final = (
    *("_kombu.binding.*celery*", "_kombu.binding_permanent.*celery*", "_kombu.binding_deadlines"),
)
#: Channels of events, and of what workers are told. A pattern that is subscribed to must be one of
#: these to the letter.
_EVENTS: Final = ("/{db}.celeryev", "/{db}.celeryev/*", "/{db}.celeryev/worker.*")
_CONTROL: Final = ("/{db}.celery.pidbox",)

_LOOKING: Final = ("hget", "hgetall", "info", "xread", "zscore")

ROLES: Final[Mapping[str, Role]] = {
    "coordinator": Role(
        purpose="coordinators, and `run`",
        scripts=(*DECIDE, *LOOK, "submit", "delete"),
        both=(EXPERIMENTS, keys.NAMES, keys.DELETED, COORDINATORS),
        reads=(keys.DRAINS, WORKERS),
        commands=(*_LOOKING, "client|id", "client|list", "script|load"),
        queue=_SEND,
        queue_both=("*",),
        queue_channels=_EVENTS,
    ),
    "worker": Role(
        purpose="the workers of all nodes",
        scripts=(*TRAIN, "alive", "describe"),
        both=(*RECORDS, below("checkpoints:*"), WORKERS, keys.DRAINS),
        writes=(below("journal"), below("live"), below("refusals")),
        reads=(keys.NAMES, keys.DELETED),
        commands=("hget", "hgetall", "zscore", "wait"),
        channels=(keys.KEPT,),
        queue=(*_SEND, *_TAKE, *_LISTEN),
        queue_both=("*",),
        queue_channels=(*_EVENTS, *_CONTROL),
    ),
    "client": Role(
        purpose="people: submit, status, orders, restore, doctor",
        scripts=(*LOOK, *STEER, *KEEP),
        both=(EXPERIMENTS, keys.NAMES, keys.DELETED, keys.DRAINS),
        reads=(WORKERS, COORDINATORS),
        commands=_LOOKING,
        queue=("llen",),
        queue_reads=("*",),
    ),
    "flower": Role(
        purpose="Flower that only shows",
        scripts=LOOK,
        reads=READ,
        commands=_LOOKING,
        queue=_LISTEN,
        queue_both=(*_LISTENERS, "celeryev.*"),
        queue_reads=("*",),
        queue_channels=_EVENTS,
    ),
    "flower-orders": Role(
        purpose="Flower that takes orders, from those who log in",
        scripts=(*LOOK, *STEER),
        both=(*RECORDS, below("orders"), keys.DRAINS),
        writes=(below("journal"),),
        reads=READ,
        commands=_LOOKING,
        queue=(*_SEND, *_TAKE, *_LISTEN),
        queue_both=("*",),
        queue_channels=(*_EVENTS, *_CONTROL),
    ),
}


def who_may(script: str) -> list[str]:
    """The roles that may call a script."""
    return [name for name, role in ROLES.items() if script in role.scripts]


def rules(name: str, database: int, prefix: str) -> str:
    """The rules of a role as an ACL has them; kombu's keys begin with `prefix`."""
    role = ROLES[name]
    words = ["resetkeys", "resetchannels", *CONNECTION]
    used = {command for script in role.scripts for command in commands(script)}
    words += [f"+{command}" for command in sorted(used.union(role.commands, EVERYBODY))]
    if database:
        words.append(f"+select|{database}")
    words += [f"~{pattern}" for pattern in role.both]
    words += [f"%W~{pattern}" for pattern in role.writes]
    words += [f"%R~{pattern}" for pattern in role.reads if pattern not in role.both]
    words += [f"~{keys.call(script)}" for script in sorted(role.scripts)]
    words += [f"&{channel}" for channel in role.channels]
    queue = [
        "resetkeys",
        "resetchannels",
        "-@all",
        *(f"+{command}" for command in sorted({*role.queue})),
    ]
    queue += [f"~{prefix}{pattern}" for pattern in role.queue_both]
    queue += [f"%R~{prefix}{pattern}" for pattern in role.queue_reads]
    queue += [f"&{prefix}{channel.format(db=database)}" for channel in role.queue_channels]
    return f"{' '.join(words)} ({' '.join(queue)})"


@cache
def names() -> tuple[str, ...]:
    """All scripts there are."""
    folder = files(__package__) / "scripts"
    found = (path.name.removesuffix(".lua") for path in folder.iterdir())
    return tuple(sorted(name for name in found if name != "common"))


@cache
def commands(script: str) -> frozenset[str]:
    """The commands that a script gives, in what it uses of `common.lua` too."""
    folder = files(__package__) / "scripts"
    always, functions = _parted((folder / "common.lua").read_text())
    text, left = always + _code((folder / f"{script}.lua").read_text()), dict(functions)
    while used := [name for name in left if re.search(rf"\b{name}\(", text)]:
        text += "".join(left.pop(name) for name in used)
    return frozenset(command.lower() for command in re.findall(r"redis\.call\('(\w+)'", text))


def _parted(text: str) -> tuple[str, dict[str, str]]:
    """What always runs, and the bodies of the functions by name."""
    functions: dict[str, str] = {}
    always, inside = "", ""
    for line in _lines(text):
        if begun := re.match(r"local function (\w+)\(", line):
            inside = begun[1]
            functions[inside] = ""
        if inside:
            functions[inside] += line.removeprefix(f"local function {inside}(")
        else:
            always += line
        if line.rstrip() == "end" or (begun and line.rstrip().endswith(" end")):
            inside = ""
    return always, functions


def _lines(text: str) -> Iterator[str]:
    """The lines of a script without its comments."""
    for line in text.splitlines(keepends=True):
        if not line.lstrip().startswith("--"):
            yield line


def _code(text: str) -> str:
    return "".join(_lines(text))
