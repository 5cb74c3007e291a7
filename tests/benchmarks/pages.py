"""What the pages of a very large experiment cost: `make bench-pages`, which needs a Chromium.

How to read it: an experiment of 10,000 trials that reported a million values is put into a real
Valkey server, and a real Flower is started on it, twice.

First its page is opened in a real browser: at once, while Flower still reads the journal (cold),
and then again with an empty cache (warm). "First picture" is the time from the beginning of the
navigation to the first picture of the search, which comes with the page; "drawn" that to the first
figure which plotly.js has drawn, which has to be read before; "payload" what was transferred for
the whole page with plotly.js and Flower's own scripts and styles, in bytes as sent.

Then the event loop of the other Flower is watched from inside, while a client asks for everything
that pages ask for: a callback due every 5 ms notes how late it is at the worst. Beside it stands
how late an event loop was that had nothing else to do, in a process of its own at the same time:
that much is the machine's doing.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser

from asha_queue.figures import FIGURES
from asha_queue.store import connect
from tests.benchmarks.million import journal
from tests.browser.chromium import chromium
from tests.conftest import wait_until
from tests.processes.servers import Valkey
from tests.processes.test_flower import flower, get

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


def opened(browser: Browser, address: str) -> Opened:
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


def main() -> None:
    entries, points = journal()
    print(f"{len(entries):,} entries, {points:,} points of curves", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        valkey = Valkey(folder / "valkey")
        try:
            connect(valkey.url).restore(entries)
            pictures(valkey.url, folder)
            lateness(valkey.url, folder)
        finally:
            valkey.kill()


def pictures(url: str, folder: Path) -> None:
    """How soon the page shows something."""
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


def lateness(url: str, folder: Path) -> None:
    """How late Flower's event loop is while it is asked for everything."""
    late, idle = Late(folder / "late"), Late(folder / "idle")
    control = subprocess.Popen([sys.executable, "-c", IDLE, str(idle.file)])
    command = ("-c", FLOWER, "-A", "asha_queue", "flower")
    try:
        with flower(url, folder, *command, str(late.file)) as running:
            for what, paths in (("cold", PATHS[:1]), ("everything", PATHS), ("again", PATHS)):
                began = time.monotonic()
                for path in paths:
                    assert get(f"{running.url}{path}").status == 200
                seconds = time.monotonic() - began
                print(
                    f"{what}: {len(paths)} answers in {seconds:.2f} s, Flower's event loop late by "
                    f"{late():.0f} ms at most, an idle one by {idle():.0f} ms",
                    flush=True,
                )
    finally:
        control.kill()
        control.wait()


if __name__ == "__main__":
    main()
