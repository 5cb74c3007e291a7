"""The URL of a server that Sentinels watch, in one form for the store and for Celery.

    sentinel://[USER][:PASSWORD@]HOST[:26379],HOST,HOST/DB?master=NAME[&sentinel_password=…]

User and password are those of the servers that store; `sentinel_password` is that of the Sentinels,
if they want one. Which of the servers is the primary is asked anew for each connection.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from asha_queue.errors import StoreError

SCHEME: Final = "sentinel://"
#: Port of a Sentinel whose URL names none.
PORT: Final = 26379
#: Seconds that a Sentinel may take to answer before the next one is asked.
PATIENCE: Final = 1.0

_FORM: Final = "sentinel://:PASSWORD@HOST:26379,HOST:26379,HOST:26379/0?master=NAME"
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:/?#@,\s]+)(?::(\d{1,5}))?")


def is_sentinel(url: str) -> bool:
    return url.startswith(SCHEME)


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Where the Sentinels are, which primary they are asked for, and how to log in there."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    database: int
    username: str | None
    password: str | None = field(repr=False)
    #: Of the Sentinels themselves.
    own_password: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str) -> "Sentinels":
        """Raises StoreError, saying what is wrong; never with the password in it."""
        try:
            parts = urlsplit(url)  # refuses brackets without their other half
        except ValueError:  # whose text may hold the password
            raise _wrong("its hosts cannot be read") from None
        login, _, hosts = parts.netloc.rpartition("@")
        if "@" in parts.path + parts.query + parts.fragment or parts.fragment:
            raise _wrong("in a password, write % / ? # @ as %25 %2F %3F %23 %40")
        username, _, password = login.partition(":")
        database = parts.path.removeprefix("/")
        if database and not re.fullmatch("[0-9]{1,6}", database):
            raise _wrong(f"the database is a number, not {database[:40]!r}")
        options = parse_qs(parts.query, keep_blank_values=True)
        if unknown := sorted(options.keys() - {"master", "sentinel_password"}):
            raise _wrong(f"there is no option {unknown[0]!r}")
        master = options.get("master", [""])[-1]
        if not master:
            raise _wrong("?master=NAME is missing: the name under which Sentinels watch the server")
        return cls(
            hosts=tuple(_host(text) for text in hosts.split(",")),
            master=master,
            database=int(database or 0),
            username=unquote(username) or None,
            password=unquote(password) or None,
            own_password=options.get("sentinel_password", [""])[-1] or None,
        )

    def for_kombu(self) -> str:
        """One URL per Sentinel, as kombu wants them."""
        login = quote(self.username or "", safe="")
        if self.password:
            login += ":" + quote(self.password, safe="")
        at = f"{login}@" if login else ""
        return ";".join(
            f"{SCHEME}{at}{f'[{host}]' if ':' in host else host}:{port}/{self.database}"
            for host, port in self.hosts
        )

    def asking(self) -> dict[str, object]:
        """How the Sentinels are asked: options of redis-py's connections to them."""
        return {
            "socket_timeout": PATIENCE,
            "socket_connect_timeout": PATIENCE,
            "retry": None,  # the next one is asked instead
            "password": self.own_password,
        }


def _host(text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text.strip())
    port = int(found[2] or PORT) if found else 0
    if not found or not 0 < port < 65536:
        raise _wrong(f"{text!r} is no HOST:PORT of a Sentinel")
    return found[1].strip("[]"), port


def _wrong(why: str) -> StoreError:
    return StoreError(f"the URL of the Sentinels is not understood: {why}. Its form is {_FORM}")
