"""The connection to the server: scripts are called here, and its errors get one clear message."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import NoPermissionError, NoScriptError
from redis.lock import Lock
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from asha_queue import settings, tls
from asha_queue.errors import (
    LostExperiment,
    NotAllowed,
    ProtocolError,
    StoreError,
    StoreUnavailable,
    UnknownExperiment,
)
from asha_queue.sentinel import Sentinels, is_sentinel
from asha_queue.store import keys, rights
from asha_queue.where import user_of, without_password

#: Seconds for which one `wait` blocks at most; waiting callers ask again. A server that is frozen
#: meanwhile is noticed so much later.
LONGEST_WAIT: Final = 2.0
#: Seconds for which a replica is waited for that confirms a result.
CONFIRM: Final = 1.0
#: Seconds between two looks of a coordinator whether the server knows all scripts.
PROVIDE_EVERY: Final = 1.0

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
    "HELLO must be called": "it wants a password: put it into the URL, redis://USER:PASSWORD@host",
    "certificate has expired": "its certificate has expired: make a new one, and start it again",
    "certificate is not valid for": "its certificate is for another host: write the host as its "
    "certificate does, or make one for this host, too",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is of no CA that is trusted here: give the file "
    "of its CA, rediss://…?ssl_ca_certs=PATH",
    "WRONG_VERSION_NUMBER": "it speaks no TLS at this port: write redis://, or another port",
    "RECORD_LAYER_FAILURE": "it speaks no TLS at this port: write redis://, or another port",
    "CERTIFICATE_REQUIRED": "it wants a certificate of ours: rediss://…?ssl_certfile=PATH&"
    "ssl_keyfile=PATH",
    "Authentication required": "it wants a password: put it into the URL, "
    "redis://USER:PASSWORD@host",
}


#: What commands are made of.
Word = str | int | bytes
#: How a script begins its complaint that its caller may not do something in it.
_DENIED: Final = "ACL failure in script"


def script_text(name: str) -> str:
    """The constants, the prelude and the script, as one text."""
    folder = files(__package__) / "scripts"
    constants = {key: getattr(settings, key) for key in _NUMBERS}
    constants |= {key: round(getattr(settings, key) * 1e6) for key in _DURATIONS}
    header = "".join(f"local {key} = {value}\n" for key, value in constants.items())
    header += f"local SCRIPT = '{name}'\n"
    return header + "".join((folder / part).read_text() for part in ("common.lua", f"{name}.lua"))


@cache
def script_hash(name: str) -> str:
    """By which the server knows a script."""
    return hashlib.sha1(script_text(name).encode()).hexdigest()


class Connection:
    """Calls scripts and commands; safe for threads, and never retries behind the caller's back."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = without_password(url)
        self._user = user_of(url)
        self._replicated = is_sentinel(url)
        try:
            self._client = _client(url, timeout)
            self._waiter = _client(url, LONGEST_WAIT + timeout)
        except ValueError:  # whose text may hold a part of the password
            raise StoreError(f"{self.url} is not the URL of a Redis server") from None
        self._provided = 0.0

    @property
    def database(self) -> int:
        """The number of the server's database."""
        return int(self._client.connection_pool.connection_kwargs.get("db") or 0)

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        self._client.close()
        self._waiter.close()

    def run(self, name: str, where: Sequence[str], *args: str | int) -> Any:
        """The answer of scripts/NAME.lua, strings in nested lists."""
        call = words(name, where, args)
        with self._errors(name):
            try:
                return self._client.execute_command(*call)  # type: ignore[no-untyped-call]
            except NoScriptError:
                self._load(name)
                return self._client.execute_command(*call)  # type: ignore[no-untyped-call]

    def run_kept(self, name: str, where: Sequence[str], *args: str | int) -> Any:
        """As `run`, for what must outlive a failover: where Sentinels replace a lost primary, it
        is answered once a replica has it. Until one has, raises `StoreUnavailable`; the next call
        asks the Sentinels again, and whoever is the primary then has it or takes it."""
        if not self._replicated:
            return self.run(name, where, *args)
        with self._errors(name), self._client.pipeline(transaction=False) as pipe:
            answer, replicas = self._kept(pipe, name, where, args)
            if isinstance(answer, NoScriptError):  # a new primary knows none
                self._load(name)
                answer, replicas = self._kept(pipe, name, where, args)
            for one in (answer, replicas):
                if isinstance(one, Exception):
                    raise one
        if replicas == 0:
            self.close()
            raise StoreUnavailable(
                f"no replica of the primary at {self.url} has confirmed a result: the primary was "
                f"replaced, or has no replica"
            )
        return answer

    def _kept(
        self, pipe: Pipeline, name: str, where: Sequence[str], args: Sequence[str | int]
    ) -> tuple[Any, Any]:
        pipe.execute_command(*words(name, where, args))  # type: ignore[no-untyped-call]
        # WAIT covers what this connection wrote last, and a repeated call writes nothing
        pipe.publish(keys.KEPT, "")
        pipe.wait(1, round(CONFIRM * 1000))
        answer, heard, replicas = pipe.execute(raise_on_error=False)
        return answer, heard if isinstance(heard, Exception) else replicas

    def provide(self) -> None:
        """Has the server know all scripts, for those who may not load any (see `rights.py`): it
        forgets them when it is started again, or replaced. Where we may not, others have to."""
        if time.monotonic() < self._provided + PROVIDE_EVERY:
            return
        with suppress(NotAllowed), self._errors():
            known = self._client.script_exists(*(script_hash(name) for name in rights.names()))
            for name, there in zip(rights.names(), known, strict=True):
                if not there:
                    self._client.script_load(script_text(name))
            if not all(self._client.script_exists(*_foreign())):
                for text in _foreign().values():
                    self._client.script_load(text)
        self._provided = time.monotonic()

    def find(self, uid: str, name: str, where: Sequence[str], *args: str | int) -> Any:
        """As `run`, for scripts that return data; raises `UnknownExperiment`, or
        `LostExperiment` for what was never deleted."""
        return self.found(uid, self.run(name, where, *args))

    def found(self, uid: str, answer: Any) -> Any:
        """The answer, unless it is that there is no such experiment."""
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

    def pipeline(self, calls: Sequence[Sequence[Word]], blocks: bool = False) -> list[Any]:
        """The answers of commands that are given in one round trip; raises for the first that was
        refused, when all were answered. `blocks`: one of them does."""
        client = self._waiter if blocks else self._client
        with self._errors(), client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command(*call)  # type: ignore[no-untyped-call]
            answers = pipe.execute(raise_on_error=False)
        for place, (call, answer) in enumerate(zip(calls, answers, strict=True)):
            if isinstance(answer, Exception):
                with self._errors(called(call)):
                    if not isinstance(answer, NoScriptError):
                        raise answer
                    self._load(called(call))
                    answers[place] = client.execute_command(*call)  # type: ignore[no-untyped-call]
        return answers

    def identity(self) -> str:
        """What the server calls the connection that this thread's commands go through."""
        return str(self.command("CLIENT", "ID"))

    def lives(self, identity: str) -> bool:
        """Whether a connection has not ended, as far as the server tells this user."""
        try:
            return bool(self.command("CLIENT", "LIST", "ID", identity))
        except NotAllowed:
            return True
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
        if not seen:  # the server refuses to wait for nothing
            time.sleep(max(0.0, min(seconds, LONGEST_WAIT)))
            return
        self.pipeline([awaiting(seen, seconds)], blocks=True)

    def _load(self, name: str) -> None:
        try:
            self._client.script_load(script_text(name))
        except NoPermissionError:
            raise StoreUnavailable(
                f"the server at {self.url} does not know what this version calls {name}, and its "
                f"user {self._user} may not teach it: a coordinator of this version does, within a "
                f"second. Start one, or wait for it"
            ) from None

    @contextmanager
    def _errors(self, script: str = "") -> Iterator[None]:
        try:
            yield
        except NoPermissionError as error:
            raise self._not_allowed(str(error), script) from None
        except redis.ResponseError as error:
            if str(error).startswith(_DENIED):
                raise self._not_allowed(str(error), script) from None
            raise self._refused(str(error)) from None
        except redis.TimeoutError:
            also = " Does it speak TLS at this port?" if tls.is_tls(self.url) else ""
            raise self._unavailable(
                f"no answer in time: is it running, and reachable?{also}"
            ) from None
        except redis.BusyLoadingError:
            raise self._unavailable("it is still loading its data: wait a moment") from None
        except MasterNotFoundError:
            raise self._unavailable(
                "its Sentinels name no primary that is up; is one being chosen, and is ?master= "
                "the name they know?"
            ) from None
        except redis.AuthenticationError as error:
            raise self._unavailable(
                _remedy(str(error))
                or f"it refuses the user {self._user} or the password in the URL: take those that "
                f"are valid now, from the file that `asha-queue users` wrote last"
            ) from None
        except redis.ConnectionError as error:
            raise self._unavailable(
                _remedy(str(error)) or f"{error}{self._closed(str(error))}"
            ) from None

    def _closed(self, message: str) -> str:
        """What a server that ends a connection unsaid may want."""
        if "closed by server" not in message and "reset by peer" not in message:
            return ""
        if tls.is_tls(self.url):
            return " Does it want a certificate of ours, ?ssl_certfile=PATH&ssl_keyfile=PATH?"
        return " Does it speak TLS at this port, rediss://?"

    def _unavailable(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(f"the server at {self.url} does not answer: {why}")

    def _not_allowed(self, message: str, script: str) -> NotAllowed:
        """Names the user, what it may not do, and who may."""
        what = f"call {script}" if script else "give this command"
        who = f", as that of {', '.join(rights.who_may(script))}" if script else ""
        return NotAllowed(
            f"the user {self._user} may not {what} at the server at {self.url} ({message}): take "
            f"the URL of one who may{who}, or renew the rules by `asha-queue users DIR --keep`"
        )

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


def called(call: Sequence[Word]) -> str:
    """The script that `words` calls; of another command none."""
    return str(call[3]).removeprefix(keys.call("")) if call[0] == "EVALSHA" else ""


def awaiting(seen: Mapping[str, str], seconds: float) -> list[Word]:
    """The command that `block` gives."""
    milliseconds = max(1, round(min(seconds, LONGEST_WAIT) * 1000))  # 0 would be for ever
    return ["XREAD", "COUNT", 1, "BLOCK", milliseconds, "STREAMS", *seen, *seen.values()]


def words(name: str, where: Sequence[str], args: Sequence[str | int]) -> list[Word]:
    """A call of a script as `scripts/common.lua` takes it."""
    call = ("EVALSHA", script_hash(name), 1, keys.call(name))
    return [*call, len(where), *where, *(_encodable(arg) for arg in args)]


@cache
def _foreign() -> dict[str, str]:
    """Scripts of kombu and of redis-py's lock, which it uses, by hash: the users of workers and
    Flower may not load them either."""
    from kombu.transport import redis as kombu  # nobody but coordinators needs it here

    texts = (Lock.LUA_RELEASE_SCRIPT, kombu.REFRESH_BINDING, kombu.SWEEP_BINDINGS)
    return {hashlib.sha1(text.encode()).hexdigest(): text for text in texts}


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
        return redis.Redis.from_url(tls.bare(url), **options | tls.options(url))
    sentinels = Sentinels.of(url)
    login = {"username": sentinels.username, "password": sentinels.password}
    asked = Sentinel(  # type: ignore[no-untyped-call]
        sentinels.hosts, sentinel_kwargs=sentinels.asking(), **options
    )
    primary: redis.Redis = asked.master_for(  # type: ignore[no-untyped-call]
        sentinels.master, db=sentinels.database, **login
    )
    return primary
