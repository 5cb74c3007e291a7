"""The connection to the server: scripts are called here, and its errors get one clear message."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from asha_queue import settings
from asha_queue.errors import (
    LostExperiment,
    ProtocolError,
    StoreError,
    StoreUnavailable,
    UnknownExperiment,
)
from asha_queue.sentinel import Sentinels, is_sentinel
from asha_queue.store import keys
from asha_queue.where import without_password

#: Seconds for which one `wait` blocks at most; waiting callers ask again. A server that is frozen
#: meanwhile is noticed so much later.
LONGEST_WAIT: Final = 2.0
#: Seconds for which a replica is waited for that confirms a result.
CONFIRM: Final = 1.0

#: Constants of the scripts that are seconds in settings and microseconds there.
_DURATIONS = (
    "LEASE",
    "CLOCK_STEP",
    "LEADER_LEASE",
    "LEADER_SILENT",
    "WORKER_TIMEOUT",
    "PUBLISH_AGAIN",
    "PUBLISH_AGAIN_MAX",
    "REFUSED_AGAIN",
    "AVOID",
    "ASIDE",
    "ASIDE_MAX",
)
_NUMBERS = (
    *("FORMAT", "IN_A_ROW", "POISON_LIMIT", "UNWITNESSED_LIMIT", "LIVE_POINTS", "DELETED_KEPT"),
)

#: Words in what the server answers (redis-py removes some of its error codes), and what to do.
_REMEDIES = {
    "maxmemory": "its memory is full: raise maxmemory, or delete experiments",
    "Link with MASTER": "it is a replica that has lost its primary: wait, or use another address",
    "instance state changed": "it has become a replica while we waited: another is the primary now",
    "read only replica": "it is a replica: use the address of the primary",
    "NOREPLICAS": "too few replicas are connected: see min-replicas-to-write",
    "MISCONF": "it cannot write to its disk: see its log",
    "no permissions": "its user may not run what this needs: see its ACL rules",
    "HELLO must be called": "it wants a password: put it into the URL, redis://:PASSWORD@host",
    "Authentication required": "it wants a password: put it into the URL, redis://:PASSWORD@host",
    "invalid username-password": "it refuses the user or password in the URL",
}


def script_text(name: str) -> str:
    """The constants, the prelude and the script, as one text."""
    folder = files(__package__) / "scripts"
    constants = {key: getattr(settings, key) for key in _NUMBERS}
    constants |= {key: round(getattr(settings, key) * 1e6) for key in _DURATIONS}
    header = "".join(f"local {key} = {value}\n" for key, value in constants.items())
    return header + "".join((folder / part).read_text() for part in ("common.lua", f"{name}.lua"))


class Connection:
    """Calls scripts and commands; safe for threads, and never retries behind the caller's back."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = without_password(url)
        self._replicated = is_sentinel(url)
        try:
            self._client = _client(url, timeout)
            self._waiter = _client(url, LONGEST_WAIT + timeout)
        except ValueError as error:
            raise StoreError(f"{self.url} is not the URL of a Redis server: {error}") from None
        self._scripts: dict[str, Script] = {}

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        self._client.close()
        self._waiter.close()

    def run(self, name: str, where: Sequence[str], *args: str | int) -> Any:
        """The answer of scripts/NAME.lua, strings in nested lists."""
        script = self._script(name)
        with self._errors():
            return script(keys=where, args=[_encodable(arg) for arg in args])

    def run_kept(self, name: str, where: Sequence[str], *args: str | int) -> Any:
        """As `run`, for what must outlive a failover: where Sentinels replace a lost primary, it
        is answered once a replica has it. Until one has, raises `StoreUnavailable`; the next call
        asks the Sentinels again, and whoever is the primary then has it or takes it."""
        if not self._replicated:
            return self.run(name, where, *args)
        with self._errors(), self._client.pipeline(transaction=False) as pipe:
            self._script(name)(where, [_encodable(arg) for arg in args], client=pipe)
            # WAIT covers what this connection wrote last, and a repeated call writes nothing
            pipe.publish(keys.KEPT, "")
            pipe.wait(1, round(CONFIRM * 1000))
            answer, heard, replicas = pipe.execute(raise_on_error=False)
            for one in (answer, heard, replicas):
                if isinstance(one, Exception):
                    raise one
        if replicas == 0:
            self.close()
            raise StoreUnavailable(
                f"no replica of the primary at {self.url} has confirmed a result: the primary was "
                f"replaced, or has no replica"
            )
        return answer

    def find(self, uid: str, name: str, where: Sequence[str], *args: str | int) -> Any:
        """As `run`, for scripts that return data; raises `UnknownExperiment`, or
        `LostExperiment` for what was never deleted."""
        answer = self.run(name, where, *args)
        if answer == "unknown":
            if self.command("ZSCORE", keys.DELETED, uid) is None:
                raise LostExperiment(
                    f"the server at {self.url} knows no experiment {uid}, and nobody deleted it "
                    f"there: it lost its data, or it is another server"
                )
            raise UnknownExperiment(f"no experiment has the uid {uid}: it was deleted")
        return answer

    def command(self, *words: str) -> Any:
        """The answer of one command, as redis-py reads it."""
        with self._errors():
            return self._client.execute_command(*words)  # type: ignore[no-untyped-call]

    def identity(self) -> str:
        """What the server calls the connection that this thread's commands go through."""
        return str(self.command("CLIENT", "ID"))

    def lives(self, identity: str) -> bool:
        """Whether a connection has not ended, as far as the server tells this user."""
        try:
            return bool(self.command("CLIENT", "LIST", "ID", identity))
        except StoreUnavailable:
            raise
        except StoreError:
            return True

    def hash(self, key: str) -> dict[str, str]:
        """All fields of a hash."""
        with self._errors():
            return self._client.hgetall(key)  # type: ignore[return-value]  # decoded: all str

    def field(self, key: str, name: str) -> str | None:
        """One field of a hash."""
        with self._errors():
            return self._client.hget(key, name)  # type: ignore[return-value]  # decoded: str

    def block(self, seen: Mapping[str, str], seconds: float) -> None:
        """Blocks until one of these streams has an entry after the id seen there, at most `seconds`
        or LONGEST_WAIT."""
        seconds = min(seconds, LONGEST_WAIT)
        if not seen:  # the server refuses to wait for nothing
            time.sleep(max(0.0, seconds))
            return
        milliseconds = max(1, round(seconds * 1000))  # 0 would be for ever
        streams: dict[Any, Any] = dict(seen)  # redis-py's type of it admits no Mapping of str
        with self._errors():
            self._waiter.xread(streams, count=1, block=milliseconds)

    def _script(self, name: str) -> Script:
        script = self._scripts.get(name)
        if script is None:  # two threads may both register it: the same text, the same hash
            script = self._scripts[name] = self._client.register_script(script_text(name))
        return script

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except redis.ResponseError as error:
            raise self._refused(str(error)) from None
        except redis.TimeoutError:
            raise self._unavailable("no answer in time: is it running, and reachable?") from None
        except redis.BusyLoadingError:
            raise self._unavailable("it is still loading its data: wait a moment") from None
        except MasterNotFoundError:
            raise self._unavailable(
                "its Sentinels name no primary that is up; is one being chosen, and is ?master= "
                "the name they know?"
            ) from None
        except redis.ConnectionError as error:
            raise self._unavailable(_remedy(str(error)) or str(error)) from None

    def _unavailable(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(f"the server at {self.url} does not answer: {why}")

    def _refused(self, message: str) -> StoreError:
        if message.startswith("ILLEGAL "):
            return ProtocolError(message.removeprefix("ILLEGAL "))
        if remedy := _remedy(message):
            return StoreUnavailable(f"the server at {self.url} refuses: {remedy} ({message})")
        return StoreError(f"the server at {self.url} answered: {message}")


class Part:
    """Base of the parts that make up the store on a server: they share one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection


def _encodable(arg: str | int) -> str | int | bytes:
    """The argument, readable where it holds what UTF-8 cannot: undecodable bytes of a reason."""
    return arg if isinstance(arg, int) or arg.isascii() else arg.encode(errors="backslashreplace")


def _remedy(message: str) -> str | None:
    return next((remedy for words, remedy in _REMEDIES.items() if words in message), None)


def _client(url: str, timeout: float) -> redis.Redis:
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 3.0),
        "socket_keepalive": True,
        # callers decide when to ask again; scripts may be repeated
        "retry": Retry(NoBackoff(), 0),
    }
    if not is_sentinel(url):
        return redis.Redis.from_url(url, **options)
    sentinels = Sentinels.of(url)
    login = {"username": sentinels.username, "password": sentinels.password}
    asked = Sentinel(  # type: ignore[no-untyped-call]
        sentinels.hosts, sentinel_kwargs=sentinels.asking(), **options
    )
    primary: redis.Redis = asked.master_for(  # type: ignore[no-untyped-call]
        sentinels.master, db=sentinels.database, **login
    )
    return primary
