"""The pictures in the README: `make screenshots`, which needs a Chromium.

A coordinator and two workers train `workers/digits.py` on a server of their own, and Flower shows
it, with more trials than it has, so that the pictures are taken before it has ended.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from asha_queue.handle import Handle
from tests.browser.chromium import chromium
from tests.conftest import wait_until
from tests.processes.directory import Directory
from tests.processes.servers import Valkey
from tests.processes.test_flower import Running, flower

ROOT = Path(__file__).parent.parent.parent
ASSETS = ROOT / ".assets"
LOGIN = "ada:secret"
#: Trials that have been started when the pictures are taken.
STARTED = 250
SCHEMES = ("light", "dark")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        valkey, directory = Valkey(folder / "valkey"), Directory(folder)
        directory.environment["ASHA_QUEUE_BROKER"] = valkey.url
        program = (ROOT / "workers" / "digits.py").read_text()
        assert "num_samples=256" in program
        directory.write("digits.py", program.replace("num_samples=256", "num_samples=1000"))
        try:
            directory.serve("coordinator")
            directory.serve("worker", "--cpus", "2")
            directory.call("submit", "digits.py")
            handle = Handle.of("digits", valkey.url)
            command = ("-m", "asha_queue", "flower", f"--basic_auth={LOGIN}")
            with flower(valkey.url, folder, *command) as running, chromium() as browser:
                wait_until(lambda: len(handle.result().trials) > STARTED, "trials started", 120)
                best = handle.best()
                assert best
                for scheme in SCHEMES:
                    take(browser, running, scheme, best.trial)
        finally:
            directory.end()
            valkey.kill()


def take(browser: Browser, running: Running, scheme: str, trial: int) -> None:
    """The list, the experiment, a trial and Flower's own tasks in one colour scheme."""
    user, _, password = LOGIN.partition(":")
    context = browser.new_context(
        viewport={"width": 1280, "height": 800},
        color_scheme=scheme,
        http_credentials={"username": user, "password": password},
    )
    page = context.new_page()
    for path, file in (
        ("/experiments", "list"),
        ("/experiments/digits", "experiment"),
        (f"/experiments/digits/trials/{trial}", "trial"),
        ("/tasks", "flower"),
    ):
        page.goto(running.url + path)
        page.wait_for_load_state("networkidle")
        draw(page)
        path_of = ASSETS / (f"{file}-{scheme}.png" if path != "/tasks" else "flower.png")
        if path != "/tasks" or scheme == "light":
            page.screenshot(path=path_of, full_page=path.endswith("digits"), clip=clip(file))
            print(path_of.relative_to(ROOT))
    context.close()


def draw(page: Page) -> None:
    """Has all figures drawn, then goes back to the top."""
    for figure in page.locator("[data-figure]").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_function(
            "figure => figure.querySelector('.main-svg')", arg=figure.element_handle()
        )
    page.wait_for_timeout(3000)  # the importance is computed
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1000)


def clip(file: str) -> dict[str, float]:
    height = {"list": 480, "experiment": 1960, "trial": 800, "flower": 480}[file]
    return {"x": 0, "y": 0, "width": 1280, "height": height}


if __name__ == "__main__":
    main()
