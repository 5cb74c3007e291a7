"""Hosts of one's own on this machine: a network namespace and a host name each, on a bridge.

Needs root and iproute2; where they are missing, tests use one network and made-up host names.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class Network:
    """A bridge, and the hosts on it; `address` is this machine's, as they see it."""

    def __init__(self) -> None:
        self._tag = secrets.token_hex(3)
        self._subnet = f"10.213.{secrets.randbelow(256)}"
        self._bridge = f"aq{self._tag}"
        self._hosts: list[str] = []
        self.address = f"{self._subnet}.1"

    def start(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")

    def end(self) -> None:
        for number, host in enumerate(self._hosts):
            # both ends of the cable: dying connections can keep the namespace for minutes
            _ip("link", "del", self._cable(number))
            _ip("netns", "del", f"{self._tag}-{host}")
        _ip("link", "del", self._bridge)

    def host(self, name: str) -> list[str]:
        """Makes a host; returns the words to put before a command that is to run there."""
        namespace, cable = f"{self._tag}-{name}", self._cable(len(self._hosts))
        _ip("netns", "add", namespace)
        self._hosts.append(name)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("link", "set", cable, "master", self._bridge, "up")
        address = f"{self._subnet}.{len(self._hosts) + 1}/24"
        _ip("-n", namespace, "addr", "add", address, "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", namespace, "link", "set", device, "up")
        named = f'hostname {name} && exec "$@"'
        return ["ip", "netns", "exec", namespace, "unshare", "--uts", "sh", "-c", named, "sh"]

    def unplug(self, name: str) -> None:
        """Takes a host's cable down: nothing that it sends arrives any more."""
        _ip("link", "set", self._cable(self._hosts.index(name)), "down")

    def processes(self, name: str) -> list[int]:
        """The ids of all that runs on a host."""
        return [int(pid) for pid in _ip("netns", "pids", f"{self._tag}-{name}").split()]

    def _cable(self, number: int) -> str:
        return f"{self._bridge}{number}"


@contextmanager
def network() -> Iterator[Network | None]:
    """A network, or None where none can be made."""
    made = Network()
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare"))):
        yield None
        return
    try:
        made.start()
        made.host("probe")
    except subprocess.CalledProcessError:
        yield None
        return
    try:
        yield made
    finally:
        made.end()


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    return done.stdout
