"""The report in a real browser, which has no network."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from asha_queue.figures import FIGURES
from asha_queue.planning import forecast
from asha_queue.report import report
from asha_queue.report.plan import plan as page_of
from tests.pure.pictured import played, result_of
from tests.pure.test_planning import experiment

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "pictured.html"
    path.write_text(report(result_of(played()), made=0.0))
    return path


def opened(browser: Browser, file: Path, width: int, scheme: str) -> Page:
    """The report with all figures drawn; what it asks the network for, or says is wrong, fails."""
    context = browser.new_context(
        offline=True,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def hear(said: ConsoleMessage) -> None:
        if said.type == "error":
            wrong.append(said.text)

    def ask(asked: Request) -> None:
        if asked.url != file.as_uri():
            wrong.append(asked.url)

    page.on("console", hear)
    page.on("request", ask)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-drawn=yes]", timeout=120_000)
    assert wrong == []
    return page


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_figures_are_drawn_without_a_network_and_nothing_overflows(
    browser: Browser, file: Path, width: int, scheme: str
) -> None:
    page = opened(browser, file, width, scheme)
    plots = page.locator(".plot")
    # all but the one of several metrics, and the plan behind the rungs
    shown = [figure.title for kind, figure in FIGURES.items() if kind != "pareto"]
    shown.insert(1 + shown.index(FIGURES["ladder"].title), "Plan and actual")
    assert plots.count() == len(shown)
    for i, title in enumerate(shown):
        plot = plots.nth(i)
        assert plot.locator(".main-svg").count() >= 1
        label = plot.get_attribute("aria-label") or ""
        assert label.startswith(title)
        box = plot.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") == width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(18, 23, 16)" if scheme == "dark" else "rgb(244, 246, 242)")
    text = page.evaluate("document.querySelector('.plot .xtick text').style.fill")
    assert text == ("rgb(170, 181, 165)" if scheme == "dark" else "rgb(102, 112, 97)")
    page.context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_plan_is_drawn_likewise(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    made = experiment(num_samples=10, brackets=2)
    plan = forecast(made, [1, 40], 90.0, price=2.5, checkpoint_bytes=10**9, curve=True)
    path = tmp_path / "plan.html"
    path.write_text(page_of(made, plan, made=0.0), encoding="utf-8")
    page = opened(browser, path, width, scheme)
    plots = page.locator(".plot")
    labels = [plots.nth(i).get_attribute("aria-label") or "" for i in range(plots.count())]
    titles = ["Planned rungs", "Time over workers", "Busy share"]
    assert [label.partition(".")[0] for label in labels] == titles
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert "Think twice" in page.inner_text("main")
    page.context.close()


def test_another_hyperparameter_can_be_chosen_by_keyboard(browser: Browser, file: Path) -> None:
    page = opened(browser, file, 1280, "light")
    figure = page.locator("figure", has_text="Parameter against metric")
    assert figure.locator(".xtitle").text_content() == "lr"
    figure.locator("select").focus()
    page.keyboard.press("ArrowDown")
    figure.locator(".xtitle", has_text="net.layers").wait_for()
    page.context.close()


def test_it_prints_on_light_paper_and_comes_back(browser: Browser, file: Path) -> None:
    page = opened(browser, file, 1280, "dark")
    fill = "document.querySelector('.plot .xtick text').style.fill"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(f"{fill} === 'rgb(102, 112, 97)'")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"{fill} === 'rgb(170, 181, 165)'")
    page.context.close()


def test_a_hover_text_shows_what_a_user_wrote_and_runs_nothing(
    browser: Browser, file: Path
) -> None:
    page = opened(browser, file, 1280, "light")
    found = page.evaluate(
        """() => {
          const plot = document.querySelectorAll(".plot")[0];
          for (const [curve, trace] of plot.data.entries()) {
            const point = (trace.text || []).findIndex((text) => text.includes("large"));
            if (point >= 0) {
              Plotly.Fx.hover(plot, [{curveNumber: curve, pointNumber: point}]);
              return true;
            }
          }
        }"""
    )
    assert found
    hover = page.locator(".hoverlayer text").first
    assert "kind=<b>large</b>" in (hover.text_content() or "")
    assert hover.locator("b").count() == 0
    page.context.close()
