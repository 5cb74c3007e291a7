"""URLs of servers, checked before anything is done with them, and the secrets that URLs can hold.

Rules

* A message about a URL that is none shows no part of it that may have been meant as a password:
  neither what libraries say of it nor the text between `://` and the last `@`.
* What is accepted is understood alike by redis-py and by kombu, which read the same URL.
"""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from asha_queue import tls
from asha_queue.errors import StoreError
from asha_queue.sentinel import Sentinels, is_sentinel

#: The highest number of a server's database that is believed.
DATABASES: Final = 10**6

_PASSWORD: Final = "in a password, write % / ? # @ as %25 %2F %3F %23 %40"
_FORM: Final = "redis[s]://[USER][:PASSWORD@]HOST[:6379][/DB]"
#: Names of a URL's options that hold what nobody else may know.
_SECRET: Final = re.compile(r"pass|secret|token|key|credential|pwd", re.IGNORECASE)


def server_url(text: str) -> str:
    """The URL of a Redis server, or of Sentinels, as it was given.

    Raises StoreError, saying what is wrong and never showing a password, if it is none.
    """
    if is_sentinel(text):
        Sentinels.of(text)
        return text
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong(f"its host or its port is none; {_PASSWORD}") from None
    if parts.scheme not in ("redis", "rediss") or not text.isprintable():
        begins = f" and not with {parts.scheme}://" if parts.scheme and "://" in text else ""
        raise _wrong(f"it must begin with redis://, rediss:// or sentinel://{begins}")
    if "@" in parts.path + parts.query + parts.fragment or parts.fragment:
        raise _wrong(_PASSWORD)
    if not host or port == 0:
        raise _wrong("its host or its port is none")
    database = parts.path.removeprefix("/")
    if database and not (re.fullmatch("[0-9]{1,7}", database) and int(database) < DATABASES):
        raise _wrong("the database, after the host and a slash, is a number such as 0")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ("username", "password"):
            raise _wrong("write user and password before the host")
        if parts.scheme != "rediss" or name not in tls.OPTIONS:
            raise _wrong(f"of options rediss:// alone has some, {', '.join(tls.OPTIONS)}")
        allowed = tls.OPTIONS[name]
        if allowed and value not in allowed:
            raise _wrong(f"{name} must be {' or '.join(allowed)}")
    return text


def holds_secret(url: str) -> bool:
    """Whether a URL that is kept and shown has a password in it, or an option that is one. What
    begins with `$` is the name of a variable; what is no URL has none."""
    _, separator, rest = url.partition("://")
    if not separator:
        return False
    try:
        parts = urlsplit(url)
        password, user = parts.password or "", parts.username or ""
    except ValueError:
        return "@" in rest
    if "@" in parts.path + parts.query + parts.fragment:
        return True  # a password with a slash or so that was not written as %2F
    if parts.scheme in ("http", "https") and user and not user.startswith("$"):
        return True  # there a user alone is a token
    options = parse_qsl(parts.query, keep_blank_values=True)
    secrets = [password, *(value for name, value in options if _SECRET.search(name))]
    return any(secret and not secret.startswith("$") for secret in secrets)


def _wrong(why: str) -> StoreError:
    return StoreError(
        f"what was given as broker is not the URL of a Redis server: {why}. Its form is {_FORM}"
    )
