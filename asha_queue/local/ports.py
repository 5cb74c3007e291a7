"""Ports to listen on."""

import random
import socket

#: Ports below those that the system gives to clients: one of those, tried again and again while a
#: server is down, could be connected to itself and so be taken.
PORTS = range(10_240, 32_768)


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether one can listen there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, port), family=family).close()
    except (OSError, OverflowError):
        return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while not is_free(port := random.choice(PORTS)):
        pass
    return port
