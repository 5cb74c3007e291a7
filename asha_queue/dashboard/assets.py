"""What pages load beside their HTML: scripts and styles, from this package and plotly's wheel.

Rules

* Nothing comes from elsewhere. Like the pages they need the login where there is one.
* An address carries a digest of its content, so browsers keep it for good.
* They are read and compressed once, in a thread: plotly.js takes half a second.
"""

import asyncio
import gzip
import hashlib
import mimetypes
from concurrent.futures import Executor
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

from flower.views import BaseHandler
from tornado.web import HTTPError, authenticated

#: Seconds that a browser keeps what has a digest in its address: a year.
FOREVER = 31_536_000


class Asset:
    """One file."""

    def __init__(self, path: Traversable) -> None:
        self._path = path
        self.type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"

    @cached_property
    def plain(self) -> bytes:
        return self._path.read_bytes()

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.plain, 9, mtime=0)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.plain).hexdigest()[:12]


#: By the name that pages call them.
ASSETS = {
    path.name: Asset(path)
    for path in (
        files("asha_queue.dashboard") / "static" / "asha.css",
        files("asha_queue.dashboard") / "static" / "asha.js",
        files("asha_queue.figures") / "static" / "theme_figures.js",
        files("plotly") / "package_data" / "plotly.min.js",
    )
}


class AssetHandler(BaseHandler):  # type: ignore[misc]  # Flower has no types
    """Sends an asset, compressed if that is welcome."""

    def initialize(self, executor: Executor) -> None:
        self._executor = executor

    @authenticated
    async def get(self, name: str) -> None:
        asset = ASSETS.get(name)
        if asset is None:
            raise HTTPError(404)
        zipped = "gzip" in self.request.headers.get("Accept-Encoding", "")
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(
            self._executor, lambda: asset.compressed if zipped else asset.plain
        )
        self.set_header("Content-Type", asset.type)
        self.set_header("Cache-Control", f"private, max-age={FOREVER}, immutable")
        self.set_header("Vary", "Accept-Encoding")
        if zipped:
            self.set_header("Content-Encoding", "gzip")
        await self.finish(content)

    def compute_etag(self) -> None:
        """None: what is kept for good is never asked for again."""
