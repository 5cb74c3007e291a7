"""Flower beside a run, with its pages of experiments.

Rules

* It is a child of the run: ended with it, even when that is killed, and started again when it is
  killed alone. A look at a run is worth less than the run: a Flower that does not start, or ends by
  itself, costs one line and no more.
* The environment's FLOWER_… are Flower's own, a login first of all. Address and port are chosen
  here, as they are told before it listens: 5555 unless that is taken.
"""

import os
import signal
import subprocess
import sys
import tempfile

from asha_queue.local.children import end, start
from asha_queue.local.ports import free_port, is_free

#: Where Flower listens unless its environment says otherwise.
ADDRESS = "127.0.0.1"
PORT = 5555
#: Seconds for Flower to end when it is told to; while its broker is away it does not.
STOP = 2.0


class Flower:
    """A Flower that shows the experiments on a broker."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._address = os.environ.get("FLOWER_ADDRESS") or ADDRESS
        wanted = os.environ.get("FLOWER_PORT", "")
        port = int(wanted) if wanted.isdecimal() else PORT
        self._port = port if is_free(port, self._address) else free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as Flower is there
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its pages are."""
        host = f"[{self._address}]" if ":" in self._address else self._address
        scheme = "https" if os.environ.get("FLOWER_CERTFILE") else "http"
        prefix = os.environ.get("FLOWER_URL_PREFIX", "").strip("/")
        return f"{scheme}://{host}:{self._port}" + (f"/{prefix}" if prefix else "")

    def start(self) -> None:
        """Starts it; it listens a little later."""
        self._log.seek(0)
        self._log.truncate()
        command = [sys.executable, "-m", "asha_queue", "flower", "--logging=warning"]
        command += [f"--address={self._address}", f"--port={self._port}"]
        environment = os.environ | {"ASHA_QUEUE_BROKER": self._broker}
        environment.pop("FLOWER_UNIX_SOCKET", None)
        # not SIGTERM: with the run its server may die, and without that Flower does not end on it
        self._process = start(command, self._log, environment, signal.SIGKILL)

    def tend(self) -> str:
        """Starts it again if it was killed. Returns a line that says why if it is given up."""
        code = self._process.poll() if self._process else None
        if code is None:
            return ""
        if code < 0:
            self.start()
            return ""
        self._process = None
        self._log.seek(0)
        last = self._log.read().decode(errors="replace").strip().splitlines()[-1:]
        said = "".join(last) or f"its exit code is {code}"
        return f"flower has ended, and the run goes on without it: {said}"

    def stop(self) -> None:
        """Ends it."""
        if self._process:
            end(self._process, STOP)
        self._log.close()
