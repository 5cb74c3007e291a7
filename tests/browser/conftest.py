"""One browser for all tests of pages, and pages that tell what went wrong in them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium

#: Opens a page: `opened(url, width=1280, dark=False, login="ada:secret")`.
Opened = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Opens addresses, each with a cache and cookies of its own. The test fails if a script failed,
    if an answer was an error, or if anything was asked of another host."""
    wrong: list[str] = []
    contexts = []

    def open_page(
        url: str, width: int = 1280, dark: bool = False, login: str = "", **options: Any
    ) -> Page:
        user, _, password = login.partition(":")
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            http_credentials={"username": user, "password": password} if login else None,
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        host = url.split("/")[2]
        page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        page.on(
            "response",
            lambda answer: (
                wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
            ),
        )
        page.on(
            "request",
            lambda asked: (
                wrong.append(f"another host: {asked.url}")
                if not asked.url.startswith((f"http://{host}/", "data:", "blob:"))
                else None
            ),
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
