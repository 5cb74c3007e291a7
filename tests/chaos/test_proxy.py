"""The proxy between real sockets."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import Proxy
from tests.conftest import wait_until


@pytest.fixture
def echo() -> Iterator[int]:
    """Port of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    threads.append(threading.Thread(target=accept))
    threads[0].start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join(10)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    proxy = Proxy(echo)
    yield proxy
    proxy.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        yield client


def received(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += client.recv(65536)
    return data


def test_it_passes_more_than_fits_into_any_buffer(client: socket.socket) -> None:
    sent = bytes(range(256)) * 40_000
    sender = threading.Thread(target=client.sendall, args=(sent,))
    sender.start()
    assert received(client, len(sent)) == sent
    sender.join()


def test_a_black_hole_keeps_connections_open_and_gives_everything_afterwards(
    proxy: Proxy, client: socket.socket
) -> None:
    client.sendall(b"before")
    assert received(client, 6) == b"before"
    proxy.stall()
    client.sendall(b"during")
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as second:
        second.sendall(b"second")
        for silent in (client, second):
            silent.settimeout(0.2)
            with pytest.raises(TimeoutError):
                silent.recv(1)
            silent.settimeout(10)
        proxy.go_on()
        assert received(client, 6) == b"during"
        assert received(second, 6) == b"second"


def test_a_cut_closes_every_connection_and_new_ones_work(
    proxy: Proxy, client: socket.socket
) -> None:
    client.sendall(b"x")
    assert received(client, 1) == b"x"
    proxy.cut()
    assert client.recv(1) == b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as again:
        again.sendall(b"y")
        assert received(again, 1) == b"y"


def test_a_server_that_is_down_is_refused_and_one_that_ends_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener.getsockname()[1])
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
        connection, _ = listener.accept()
        connection.close()
        assert client.recv(1) == b""
        client.close()
    refused = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    assert refused.recv(1) == b""
    refused.close()
    wait_until(lambda: proxy.connections == 0, "nothing is kept")
    proxy.close()
