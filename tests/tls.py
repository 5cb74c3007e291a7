"""A server's TLS port: what comes there encrypted goes on to the server in the clear.

The server that the tests have was built without TLS. This one stands before it, as `stunnel` would,
with certificates of `deploy/valkey/make-certificates`: handshake, certificates and encryption are
those that clients would meet.
"""

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "deploy" / "valkey" / "make-certificates"


def certificates(folder: Path, *hosts: str, **environment: str) -> Path:
    """Certificates for these hosts, in `folder`."""
    command = [str(SCRIPT), str(folder), *hosts]
    subprocess.run(
        command, check=True, capture_output=True, timeout=60, env=os.environ | environment
    )
    return folder


class TlsPort:
    """Listens on a port, 0 for a free one, and forwards to the port `target` of 127.0.0.1, in a
    process of its own."""

    def __init__(
        self,
        folder: Path,
        target: int,
        ask_for_theirs: bool = False,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        command = [sys.executable, __file__, str(folder), str(target), "ask" * ask_for_theirs]
        command += [address, str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def close(self) -> None:
        with self._process:
            self._process.kill()


async def _serve(folder: Path, target: int, ask_for_theirs: bool, address: str, port: int) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    if ask_for_theirs:
        context.load_verify_locations(folder / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, ours = await asyncio.open_connection("127.0.0.1", target)
        except OSError:  # the server is down
            writer.close()
            return
        await asyncio.gather(_pass(reader, ours), _pass(theirs, writer))

    # handshakes that are refused are what tests want
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    server = await asyncio.start_server(met, address, port, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.close()


if __name__ == "__main__":
    at = sys.argv[4], int(sys.argv[5])
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), bool(sys.argv[3]), *at))
