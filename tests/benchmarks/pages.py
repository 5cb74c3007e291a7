"""What the pages of a very large experiment cost.

How to read it: an experiment of 10,000 trials that reported a million values is put into a real
Valkey server, and a real Flower is started on it. A client asks for its page, at once while Flower
still reads the journal (cold), then for everything that pages ask for, and again; "as sent" are
bytes after compression.

`make bench-pages` needs a Chromium, too. A page is opened in it as above: cold, and then again with
an empty cache (warm). "First picture" is the time from the beginning of the navigation to the first
picture of the search, which comes with the page; "drawn" that to the first figure which plotly.js
has drawn, which has to be read before; "payload" what was transferred for the whole page with
plotly.js and Flower's own scripts and styles, in bytes as sent.

Flower's event loop is watched from inside meanwhile: a callback due every 5 ms notes how late it is
at the worst. Beside it stands how late an event loop was that had nothing else to do, in a process
of its own at the same time: that much is the machine's doing.
"""

import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from asha_queue.figures import FIGURES
from asha_queue.store import connect
from tests.benchmarks.million import journal
from tests.benchmarks.table import HEAD, Figure
from tests.conftest import wait_until
from tests.processes.servers import Valkey
from tests.processes.test_flower import Running, flower

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: Seconds between two turns of the callback that watches the event loop.
EVERY = 0.005
#: Has an event loop note in a file how late it is at the worst; begins anew when asked to.
WATCH = f"""
import pathlib
def watch(loop, name):
    out, worst = pathlib.Path(name), 0.0
    reset = out.with_suffix('.reset')
    def note():
        new = out.with_suffix('.new')
        new.write_text(repr(worst))
        new.rename(out)
    def turn(due):
        nonlocal worst
        now = loop.time()
        if reset.exists():
            worst = 0.0
            note()
            reset.unlink()
        elif now - due > worst:
            worst = now - due
            note()
        now = loop.time()
        loop.call_at(now + {EVERY}, turn, now + {EVERY})
    loop.call_soon(turn, loop.time())
"""
#: Starts Celery's command line with a Flower that is watched.
FLOWER = f"""{WATCH}
import sys, flower.app
start, name = flower.app.Flower.start, sys.argv.pop()
def watched(self):
    watch(self.io_loop.asyncio_loop, name)
    start(self)
flower.app.Flower.start = watched
from celery.__main__ import main
sys.argv[0] = 'celery'
main()
"""
#: An event loop with nothing else to do.
IDLE = f"""{WATCH}
import asyncio, sys
loop = asyncio.new_event_loop()
watch(loop, sys.argv[1])
loop.run_forever()
"""
#: What the pages ask for: their HTML, all figures, a search, a trial with its curve, the list.
PATHS = [
    "/experiments/million",
    *(f"/api/experiments/million/figures/{kind}" for kind in FIGURES if kind != "scatter"),
    *(f"/api/experiments/million/figures/scatter?parameter={name}" for name in ("lr", "hidden")),
    "/experiments/million?search=lr%3C0.01+hidden%3D64&sort=lr",
    "/api/experiments/million/trials?limit=1000&sort=value",
    "/experiments/million/trials/17",
    "/api/experiments/million/trials/17/figure",
    "/experiments",
    "/metrics/experiments",
]
#: The time since the beginning of the navigation, once there is a picture, and once it is drawn.
SEEN = """() => document.querySelector('.asha-plot svg')
  && performance.getEntriesByName('first-contentful-paint').length && performance.now()"""
DRAWN = "() => document.querySelector('.asha-plot .main-svg') && performance.now()"


class Opened(NamedTuple):
    """Seconds to the first picture and to the first one drawn, and the bytes transferred."""

    seen: float
    drawn: float
    size: int

    def __str__(self) -> str:
        return f"first picture after {self.seen:.2f} s, drawn after {self.drawn:.2f} s"


def opened(browser: "Browser", address: str) -> Opened:
    """Opens a page with an empty cache, and closes it."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(address, wait_until="commit")
    seen, drawn = (
        page.wait_for_function(what, polling=10, timeout=60_000).json_value() / 1000
        for what in (SEEN, DRAWN)
    )
    page.wait_for_load_state("networkidle")
    page.context.close()
    return Opened(seen, drawn, int(sum(sizes)))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server with the experiment on it."""
    entries, points = journal()
    print(f"{len(entries):,} entries, {points:,} points of curves", file=sys.stderr, flush=True)
    valkey = Valkey(folder / "valkey")
    try:
        connect(valkey.url).restore(entries)
        yield valkey.url
    finally:
        valkey.kill()


def main() -> None:
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as url:
        pictures(url, Path(name))
        print(HEAD)
        for figure in answers(url, Path(name)):
            print(figure.row(), flush=True)


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as url:
        yield from answers(url, Path(name))


def pictures(url: str, folder: Path) -> None:
    """How soon the page shows something."""
    from tests.browser.chromium import chromium  # which not everybody has

    with chromium() as browser, flower(url, folder, "-m", "asha_queue", "flower") as running:
        address = f"{running.url}/experiments/million"
        cold = opened(browser, address)
        print(f"cold: {cold}, payload {cold.size:,} bytes", flush=True)
        warm = [opened(browser, address) for _ in range(5)]
        median = Opened(*map(statistics.median, zip(*warm, strict=True)))
        print(f"warm: {median}, medians of {len(warm)}", flush=True)


class Late:
    """How late an event loop was since the last call, in milliseconds at the worst."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self) -> float:
        worst = float(self.file.read_text())
        reset = self.file.with_suffix(".reset")
        reset.touch()
        wait_until(lambda: not reset.exists(), "the watch began anew")
        return worst * 1000


def answers(url: str, folder: Path) -> Iterator[Figure]:
    """How soon Flower answers, how much it sends, and how late its event loop is meanwhile."""
    late, idle = Late(folder / "late"), Late(folder / "idle")
    control = subprocess.Popen([sys.executable, "-c", IDLE, str(idle.file)])
    command = ("-c", FLOWER, "-A", "asha_queue", "flower")
    kinds = {
        "figures": [path for path in PATHS if "/figure" in path],
        "1,000 trials by the API": [path for path in PATHS if "limit=1000" in path],
    }
    try:
        with flower(url, folder, *command, str(late.file)) as running:
            for what, paths in (
                ("page of a million reports, cold", PATHS[:1]),
                ("everything that pages ask for", PATHS),
                ("… again", PATHS),
            ):
                began = time.monotonic()
                sizes = {path: sent(running, path) for path in paths}
                seconds = time.monotonic() - began
                yield Figure(what, seconds, "s", beside=f"{len(paths)} answers")
                yield Figure(
                    "… Flower's event loop late meanwhile, at most",
                    late(),
                    "ms",
                    100,
                    beside=f"an idle one by {idle():.0f}",
                )
            first = sizes[PATHS[0]] / 1000
            yield Figure("page of a million reports, as sent", first, "kB", 100)
            for what, paths in kinds.items():
                size = [sizes[path] / 1000 for path in paths]
                beside = f"{len(size)}, the largest {max(size):.0f}"
                yield Figure(f"… its {what}, as sent", sum(size), "kB", beside=beside)
    finally:
        control.kill()
        control.wait()


def sent(running: Running, path: str) -> int:
    """Bytes of an answer, compressed as for a browser."""
    request = urllib.request.Request(running.url + path, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.status == 200
        return len(response.read())


if __name__ == "__main__":
    main()
