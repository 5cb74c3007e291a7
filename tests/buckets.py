"""An S3 server of its own (moto's), behind a proxy that counts, delays, refuses and cuts."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from asha_queue.storage.remote import file_system
from tests.conftest import free_port, wait_until

#: What must not be found in anything that is written.
CREDENTIALS = "key-of-the-tests", "secret-of-the-tests"
#: What a fault may do to a request: answer 503, cut its upload in the middle, never answer.
Fault = Callable[[str, str], str]
HOP = {"connection", "transfer-encoding", "keep-alive"}


class Bucket:
    """A server with a bucket called `runs`; `fault(method, path)` says what befalls a request."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        with (folder / "moto.log").open("wb") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log)
        self.calls: list[tuple[str, str]] = []
        self.fault: Fault | None = None
        self.delay = 0.0
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._proxy.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._proxy.server_address[1]}"
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        wait_until(self._answers, "the S3 server answers", 60)
        assert self.ask("PUT", "/runs") == 200

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": CREDENTIALS[0],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS[1],
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def reset(self) -> None:
        self.calls.clear()
        self.fault, self.delay = None, 0.0

    def times(self, method: str, part: str = "") -> int:
        """How often it was called so."""
        return sum(method == called and part in path for called, path in self.calls)

    def ask(self, method: str, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path)
            return connection.getresponse().status

    def close(self) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._server.kill()
        self._server.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("GET", "/") == 200
        return False

    def _handler(bucket: "Bucket") -> type[BaseHTTPRequestHandler]:  # noqa: N805 - two selves
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                bucket.calls.append((self.command, self.path))
                time.sleep(bucket.delay)
                said = bucket.fault(self.command, self.path) if bucket.fault else ""
                length = int(self.headers.get("Content-Length", 0))
                if said == "cut":
                    self.rfile.read(length // 2)
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                body = self._chunks() if "Transfer-Encoding" in self.headers else None
                body = self.rfile.read(length) if body is None else body
                if said == "503":
                    self._reply(503, [("Content-Length", "0")], b"")
                    return
                if said == "silent":
                    self.connection.recv(1)  # until the caller has had enough
                    self.close_connection = True
                    return
                connection = http.client.HTTPConnection("127.0.0.1", bucket.port, timeout=60)
                with contextlib.closing(connection):
                    headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    data = answer.read()
                    kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP]
                if said == "half":
                    data = data[: len(data) // 2]
                    self.close_connection = True
                self._reply(answer.status, kept, data)

            def _chunks(self) -> bytes:
                data = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                return data

            def _reply(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
                with contextlib.suppress(OSError):
                    self.send_response_only(status)
                    for name, value in headers:
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[Bucket]:
    """A bucket, reached from this process and those that it starts."""
    made = Bucket(folder)
    before = dict(os.environ)
    os.environ.update(made.environment)
    file_system.cache_clear()  # connections to the server before
    try:
        yield made
    finally:
        os.environ.clear()
        os.environ.update(before)
        made.close()
