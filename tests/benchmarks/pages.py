"""What the page of a very large experiment costs: `make bench-pages`, which needs a Chromium.

How to read it: an experiment of 10,000 trials that reported a million values is put into a real
Valkey server, a real Flower is started on it, and its page is opened in a real browser: once at
once, while Flower still reads the journal (cold), and then again with an empty cache (warm). "First
picture" is the time from the beginning of the navigation to the first figure drawn. "Payload" is
what was transferred for the whole page with Flower's own scripts and styles, in bytes as sent. The
event loop is watched from inside: a callback due every 5 ms notes how late it is at the worst,
while the page is read cold, warm, and while experiments are listed, all figures are drawn and
trials are searched. Beside it stands how late an event loop was that had nothing else to do, in a
process of its own at the same time: that much is the machine's doing.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page

from asha_queue.store import connect
from tests.benchmarks.million import journal
from tests.browser.chromium import chromium
from tests.conftest import wait_until
from tests.processes.servers import Valkey
from tests.processes.test_flower import flower

#: Seconds between two turns of the callback that watches the event loop.
EVERY = 0.005
#: Has an event loop note in a file how late it is at the worst; begins anew when asked to.
WATCH = f"""
import pathlib
def watch(loop, name):
    out, worst = pathlib.Path(name), 0.0
    reset = out.with_suffix('.reset')
    def turn(due):
        nonlocal worst
        now = loop.time()
        if reset.exists():
            worst = 0.0
            out.write_text('0.0')
            reset.unlink()
        elif now - due > worst:
            worst = now - due
            out.write_text(repr(worst))
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
PICTURE = "() => document.querySelector('.asha-plot .main-svg') && performance.now()"


def opened(browser: Browser, address: str) -> tuple[Page, float, int]:
    """A page with its first figure drawn, the seconds to that, and the bytes transferred."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(address, wait_until="commit")
    milliseconds = page.wait_for_function(PICTURE, polling=10, timeout=60_000).json_value()
    page.wait_for_load_state("networkidle")
    return page, milliseconds / 1000, int(sum(sizes))


def main() -> None:
    entries, points = journal()
    print(f"{len(entries):,} entries, {points:,} points of curves", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        valkey = Valkey(folder / "valkey")
        try:
            store = connect(valkey.url)
            store.restore(entries)
            with chromium() as browser:
                measure(browser, valkey.url, folder)
        finally:
            valkey.kill()


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


def measure(browser: Browser, url: str, folder: Path) -> None:
    late, idle = Late(folder / "late"), Late(folder / "idle")
    control = subprocess.Popen([sys.executable, "-c", IDLE, str(idle.file)])
    command = ("-c", FLOWER, "-A", "asha_queue", "flower")

    def told(what: str) -> None:
        time.sleep(0.1)
        lateness, others = late(), idle()
        print(f"{what}: Flower's loop late by {lateness:.0f} ms, an idle one by {others:.0f} ms")

    try:
        with flower(url, folder, *command, str(late.file)) as running:
            address = f"{running.url}/experiments/million"
            _, seconds, size = opened(browser, address)
            print(f"cold: first picture after {seconds:.2f} s, payload {size:,} bytes", flush=True)
            told("cold")
            warm = [opened(browser, address) for _ in range(5)]
            seconds = statistics.median(seconds for _, seconds, _ in warm)
            print(f"warm: first picture after {seconds:.2f} s, median of {len(warm)}", flush=True)
            for page, _, _ in warm:
                page.context.close()
            told("warm")
            everything(browser, address, running.url)
            told("everything")
    finally:
        control.kill()
        control.wait()


def everything(browser: Browser, address: str, root: str) -> None:
    """All figures, the list, a search, a trial."""
    page, _, _ = opened(browser, address)
    for figure in page.locator("[data-figure]").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_function(
            "figure => figure.querySelector('.main-svg') || figure.innerText.trim() !== 'Loading…'",
            arg=figure.element_handle(),
        )
    page.fill("#asha-search", "lr<0.01 hidden=64")
    page.wait_for_timeout(1500)
    page.goto(f"{root}/experiments/million/trials/17")
    page.wait_for_function(PICTURE)
    page.goto(f"{root}/experiments")
    page.wait_for_selector("text=million")
    page.context.close()


if __name__ == "__main__":
    main()
