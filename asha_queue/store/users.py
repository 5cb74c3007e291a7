"""The server's users: their passwords, the file of rules that the server reads, and their URLs.

Rules

* A folder holds `users.acl` for the server (passwords as SHA-256 alone) and one file ROLE.env for
  each user, whose one line gives the URL with the password. All are for their owner's eyes.
* To rotate: `added` has a new password for everybody but `admin`, who has the server read its file,
  beside the one before, so that who still has that one goes on; read again and written, only what
  the files say is left. Both write the rules of this version.
* Nobody can log in as `default`, which is off and has no password. Its rights are those by which
  Redis 7.0 reads its append-only file when it starts: without them it forgets, and says so in its
  log alone, all that a script has written.
* `users.acl` keeps mode, owner and group that it was given: a server that runs as another user is
  to read it.
* `users.acl` is written first, and each file is replaced as a whole: when `added` is killed on its
  way, what the files of the users say is still valid, and it can be done again.
"""

import contextlib
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from asha_queue.errors import UsersError
from asha_queue.store import rights

#: The file that the server reads, by its directive `aclfile`.
ACL: Final = "users.acl"
#: The user who may everything.
ADMIN: Final = "admin"
#: A user without a password, for those who only look whether the server has started.
HEALTH: Final = "health"
#: Variable that the files of the users set.
VARIABLE: Final = "ASHA_QUEUE_BROKER"
SCHEMES: Final = ("redis", "rediss", "sentinel")


@dataclass(frozen=True, slots=True)
class Users:
    """The users of the server at `broker`, a URL without user and password."""

    folder: Path
    broker: str
    #: User to password.
    passwords: dict[str, str]
    #: User to a hash that is valid, too.
    before: dict[str, str]

    @classmethod
    def drawn(cls, folder: Path, broker: str) -> "Users":
        """New users with new passwords."""
        return cls(folder, _checked(broker), _drawn(), {})

    @classmethod
    def read(cls, folder: Path) -> "Users":
        """Those of a folder, with the passwords in their files. Users that a new version has, and
        the folder has not, get one drawn."""
        passwords, brokers = _drawn(), set()
        for user in passwords:
            try:
                line = (folder / f"{user}.env").read_text()
            except FileNotFoundError:
                continue
            found = re.fullmatch(rf"{VARIABLE}='?([^'\n]*)'?\n?", line)
            parts = urlsplit(found[1]) if found else None
            login, _, hosts = parts.netloc.rpartition("@") if parts else ("", "", "")
            if not parts or not login.startswith(f"{user}:"):
                raise UsersError(
                    f"{folder / user}.env is not as `asha-queue users` writes it: one line "
                    f"{VARIABLE}=redis://{user}:PASSWORD@HOST:PORT/DB. Draw new ones by --force"
                )
            passwords[user] = unquote(login.removeprefix(f"{user}:"))
            brokers.add(urlunsplit(parts._replace(netloc=hosts)))
        if len(brokers) != 1:
            raise UsersError(
                f"the files in {folder} name different servers: {', '.join(sorted(brokers))}"
                if brokers
                else f"{folder} has no users yet: give --broker URL of their server"
            )
        return cls(folder, brokers.pop(), passwords, {})

    def at(self, broker: str) -> "Users":
        """The same users with the server's URL written otherwise."""
        return Users(self.folder, _checked(broker), self.passwords, self.before)

    def added(self) -> "Users":
        """New passwords, beside which those until now are valid."""
        kept = {ADMIN: self.passwords[ADMIN]}
        before = {user: _hash(self.passwords[user]) for user in rights.ROLES}
        return Users(self.folder, self.broker, _drawn() | kept, before)

    def url(self, user: str) -> str:
        """The broker's URL for a user, with the password."""
        parts = urlsplit(self.broker)
        login = f"{user}:{quote(self.passwords[user], safe='')}"
        return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))

    def acl(self, prefix: str) -> str:
        """The server's file; kombu's keys begin with `prefix`."""
        database = int(urlsplit(self.broker).path.strip("/") or 0)
        lines = [
            "user default reset off ~* &* +@all",
            f"user {HEALTH} reset on nopass +ping",
            f"user {ADMIN} reset on {self._hashes(ADMIN)} ~* &* +@all",
        ]
        for role in rights.ROLES:
            rules = rights.rules(role, database, prefix)
            lines.append(f"user {role} reset on {self._hashes(role)} {rules}")
        return "\n".join(lines) + "\n"

    def write(self, prefix: str) -> list[Path]:
        """Writes all files, for their owner alone; returns them, the server's first."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        texts = {ACL: self.acl(prefix)}
        texts |= {f"{user}.env": _line(self.url(user)) for user in self.passwords}
        for name, text in texts.items():
            _write_private(self.folder / name, text)
        return [self.folder / name for name in (ACL, *sorted(texts.keys() - {ACL}))]

    def _hashes(self, user: str) -> str:
        valid = [_hash(self.passwords[user]), self.before.get(user)]
        return " ".join(f"#{one}" for one in valid if one)


def _drawn() -> dict[str, str]:
    return {user: secrets.token_urlsafe(24) for user in (ADMIN, *rights.ROLES)}


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _line(url: str) -> str:
    """Sets the variable, for a shell, systemd, Compose and kustomize alike. The last takes quotes
    as they are: they are there only where a shell needs them, with several options in the URL."""
    return f"{VARIABLE}='{url}'\n" if "&" in url else f"{VARIABLE}={url}\n"


def _checked(broker: str) -> str:
    """The URL, if user and password can be put into it."""
    try:
        parts = urlsplit(broker)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise UsersError(
            "the broker is the URL of a server, redis[s]://HOST:PORT/DB or "
            "sentinel://HOST,HOST,HOST/DB?master=NAME"
        )
    if "@" in parts.netloc:
        raise UsersError("give the broker's URL without user and password: they are drawn here")
    if not re.fullmatch(r"/?|/\d+", parts.path):
        raise UsersError(f"the database in the broker's URL is a number, not {parts.path!r}")
    if found := re.search(r"[^\w@%+=:,./?&~\[\]-]", broker):
        raise UsersError(f"write {found[0]!r} in the broker's URL as %{ord(found[0]):02X}")
    return broker


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        if path.name == ACL and path.exists():
            before = path.stat()
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), before.st_mode & 0o777)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
