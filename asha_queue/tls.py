"""TLS to the server, for the store and for Celery alike.

    rediss://USER:PASSWORD@HOST:PORT/DB?ssl_ca_certs=PATH

Rules

* The server's certificate is verified, and so is that it is for the HOST of the URL: by the CA in
  `ssl_ca_certs`, else by those that this machine trusts.
* `ssl_certfile` and `ssl_keyfile` are shown to a server that asks for a certificate of ours.
* `ssl_cert_reqs=none` and `ssl_check_hostname=false` give up what TLS is for; they are there for
  finding out what is wrong.
* A slip in an option is told: it must not be an option that was not given.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from asha_queue.errors import StoreError

SCHEME: Final = "rediss://"
FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
#: Options of a URL, and the values that they may have; a file's path may be any.
OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(FILES, ()),
    "ssl_cert_reqs": ("required", "none"),
    "ssl_check_hostname": ("true", "false"),
}


def is_tls(url: str) -> bool:
    return url.startswith(SCHEME)


def options(url: str) -> dict[str, Any]:
    """What redis-py is told of TLS, as its connections and Celery's `broker_use_ssl` take it; none
    of a URL without. Raises StoreError for what cannot be."""
    if not is_tls(url):
        return {}
    found: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        allowed = OPTIONS.get(name)
        if allowed is None or (allowed and value not in allowed):
            raise StoreError(
                f"{name}={value} in the broker's URL is not understood; its options are "
                f"{'=PATH, '.join(FILES)}=PATH, ssl_cert_reqs=none, ssl_check_hostname=false"
            )
        found[name] = value == "true" if name == "ssl_check_hostname" else value
    if ("ssl_certfile" in found) != ("ssl_keyfile" in found):
        raise StoreError("in the broker's URL, ssl_certfile and ssl_keyfile belong together")
    if found["ssl_cert_reqs"] == "none":
        found["ssl_check_hostname"] = False
    _try(found)
    return found


def _try(found: Mapping[str, Any]) -> None:
    """Reads the files as a connection will: what is wrong with them is no trouble of the server."""
    files = {name: found[name] for name in FILES if name in found}
    for name, path in files.items():
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise StoreError(f"{name}={path} in the broker's URL: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if "ssl_ca_certs" in files:
            context.load_verify_locations(files["ssl_ca_certs"])
        if "ssl_certfile" in files:
            context.load_cert_chain(files["ssl_certfile"], files["ssl_keyfile"])
    except ssl.SSLError as error:
        says = ", ".join(f"{name}={path}" for name, path in files.items())
        raise StoreError(
            f"{says} in the broker's URL: not a certificate, or not its key ({error.reason})"
        ) from None


def bare(url: str) -> str:
    """The URL without the options that `options` reads."""
    return urlunsplit(urlsplit(url)._replace(query="")) if is_tls(url) else url
