"""The pages of experiments in a real browser: real Flower, real workers, a real run."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from asha_queue.handle import Handle
from asha_queue.result import Result
from asha_queue.store import connect
from asha_queue.store.contract import Store
from asha_queue.views import journal
from tests.browser.conftest import Opened
from tests.conftest import wait_until
from tests.processes.directory import Directory
from tests.processes.servers import Valkey
from tests.processes.test_flower import CHANGED, flower, get

pytestmark = pytest.mark.browser

LOGIN = "ada:secret"
#: Has the pages look for the place of their tab in vain.
NOWHERE = "import re; templates._LAST_TAB = re.compile('nowhere')"
#: Reports slowly enough to be watched; its first trial never gets far within a test.
PROGRAM = """
import math, time
from asha_queue import Experiment, Trial, choice, loguniform

def train(trial: Trial) -> None:
    print("<b>hello</b> from trial", trial.number)
    if trial.number == 3 and trial.attempt == 1:
        raise RuntimeError("no luck <img src=x>")
    for step in trial.steps():
        time.sleep(PAUSE)
        score = 1 - abs(math.log10(trial.config["lr"]) + 2) / 4 - 1 / (2 + step)
        trial.report(score=score * trial.config["net"]["width"] / 64, loss=1 - score)
        with trial.save() as folder:
            (folder / "step").write_text(str(step))

experiment = Experiment(
    name="NAME", train=train, metric="score", mode="max", seed=3, retries=1,
    space={"lr": loguniform(1e-4, 1.0), "net": {"width": choice([16, 32, 64])}},
    max_t=MAX, grace_period=1, reduction_factor=3, num_samples=SAMPLES,
)
"""


#: The same with three metrics and a constraint on one of them.
FRONT = PROGRAM.replace(
    "loss=1 - score", "cost=trial.config['net']['width'] ** 0.5 - score, lr=trial.config['lr']"
).replace(
    'metric="score", mode="max",',
    'metric=["score", "cost", "lr"], mode=["max", "min", "min"], constraints={"lr": {"max": 0.1}},',
)


class Site(NamedTuple):
    """A Flower beside a run, and the store that both use."""

    url: str
    store: Store
    directory: Directory
    broker: str

    def result(self, name: str) -> Result:
        uid = self.store.uid(name)
        assert uid
        return Result.from_journal(journal(self.store, uid))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server, a coordinator, two workers, and Flower with a login; `ended` and `front` are over,
    `live` is in training."""
    path = tmp_path_factory.mktemp("site")
    valkey, directory = Valkey(path / "valkey"), Directory(path)
    directory.environment["ASHA_QUEUE_BROKER"] = valkey.url
    for name, text, pause, most, samples in (
        ("ended", PROGRAM, 0.001, 9, 40),
        ("front", FRONT, 0.001, 9, 40),
        ("live", PROGRAM, 0.2, 2000, 500),
    ):
        program = text.replace("NAME", name).replace("PAUSE", str(pause))
        directory.write(
            f"{name}.py", program.replace("MAX", str(most)).replace("SAMPLES", str(samples))
        )
    store = connect(valkey.url)
    try:
        directory.serve("coordinator")
        directory.serve("worker", "--cpus", "2")
        directory.call("submit", "ended.py")
        Handle.of("ended", valkey.url).wait(60)
        directory.call("submit", "front.py")
        Handle.of("front", valkey.url).wait(60)
        directory.call("submit", "live.py")
        command = ("-m", "asha_queue", "flower", f"--basic_auth={LOGIN}")
        with flower(valkey.url, path, *command) as running:
            yield Site(running.url, store, directory, valkey.url)
    finally:
        store.close()
        directory.end()
        valkey.kill()


def drawn(page: Page, figure: str) -> list[dict[str, Any]]:
    """The traces of a figure, as plotly has them once it is drawn."""
    place = page.locator(f"#figure-{figure}")
    place.scroll_into_view_if_needed()
    expect(place.locator(".main-svg").first).to_be_visible(timeout=20_000)
    read = "figure => JSON.stringify(figure.querySelector('.asha-plot').data)"
    return list(json.loads(place.evaluate(read)))


def points(traces: list[dict[str, Any]]) -> set[tuple[int, float, float]]:
    """Trial, x and y of all points of traces."""
    return {
        (trial, x, y)
        for trace in traces
        for trial, x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
        if y is not None
    }


def test_the_plotted_points_are_those_of_the_journal(site: Site, opened: Opened) -> None:
    result = site.result("ended")
    page = opened(f"{site.url}/experiments/ended", login=LOGIN)
    assert points(drawn(page, "curves")) == {
        (trial.number, step, metrics["score"])
        for trial in result.trials
        for step, metrics in trial.curve
    }
    best = next(trace for trace in drawn(page, "best") if trace["name"] == "best so far")
    assert list(dict.fromkeys(best["y"])) == [one.value for one in result.improvements]
    dots = [trace for trace in drawn(page, "scatter") if "customdata" in trace]
    assert {(x, y) for _, x, y in points(dots)} == {
        (trial.config["lr"], trial.results[-1].value) for trial in result.trials if trial.results
    }
    rows = page.locator("#asha-rungs tbody tr").all()
    assert [row.locator("td").nth(2).inner_text() for row in rows] == [
        str(rung.results) for rung in reversed(result.rungs)
    ]


def test_a_plan_stands_beside_what_came_of_it(site: Site, opened: Opened) -> None:
    result = site.result("ended")
    page = opened(f"{site.url}/experiments/ended", login=LOGIN)
    drawn(page, "ladder")
    page.get_by_label("Of the rungs").select_option(label="plan and actual")
    shown = page.locator("#figure-ladder .asha-plot")
    expect(shown.locator(".xtitle")).to_have_text("results")
    expect(shown).to_have_attribute("aria-label", re.compile("^Plan and actual"))
    planned, actual, *_ = drawn(page, "ladder")
    assert actual["x"] == [rung.results for rung in result.rungs]
    assert planned["x"][0] == result.specification.num_trials


def test_the_front_is_a_figure_of_any_two_metrics_and_a_table(site: Site, opened: Opened) -> None:
    result = site.result("front")
    front = result.pareto_front
    page = opened(f"{site.url}/experiments/front", login=LOGIN)
    expect(page.locator(".page-description").first).to_contain_text(
        "Largest score, smallest cost, smallest lr, with lr <= 0.1"
    )
    of = {trace["name"]: points([trace]) for trace in drawn(page, "pareto")}
    assert of["Pareto front"] == {
        (one.trial, one.metrics["score"], one.metrics["cost"]) for one in front
    }
    page.get_by_label("Metrics", exact=True).select_option(label="cost, lr")
    shown = page.locator("#figure-pareto .asha-plot")
    expect(shown.locator(".xtitle")).to_have_text("cost")
    outside = next(t for t in drawn(page, "pareto") if t["name"] == "violates a constraint")
    assert all(lr > 0.1 for lr in outside["y"])
    rows = page.locator("#asha-front tbody tr")
    expect(rows).to_have_count(len(front))
    assert [int(row.locator("td").first.inner_text()) for row in rows.all()] == [
        one.trial for one in front
    ]
    page.goto(f"{site.url}/experiments/front/trials/{front[0].trial}")
    expect(page.locator("#asha-rungs")).to_contain_text("front 1")


def test_without_scripts_there_is_a_picture_all_the_same(site: Site, opened: Opened) -> None:
    page = opened(f"{site.url}/experiments/ended", login=LOGIN, java_script_enabled=False)
    expect(page.get_by_role("img", name="Best value over time")).to_be_visible()
    expect(page.locator("#asha-trials tbody tr")).to_have_count(40)
    page.get_by_role("link", name="State", exact=True).click()
    expect(page.locator("#asha-trials th[aria-sort]")).to_contain_text("State")


def test_a_point_tells_its_trial_and_configuration(site: Site, opened: Opened) -> None:
    page = opened(f"{site.url}/experiments/ended", login=LOGIN)
    drawn(page, "scatter")
    page.locator("#figure-scatter .point").first.hover(force=True)
    hover = page.locator("#figure-scatter .hoverlayer")
    expect(hover).to_contain_text("trial")
    text = hover.text_content()
    number = re.search(r"trial (\d+)", text)
    assert number, text
    config = site.result("ended").trials[int(number.group(1))].config
    assert f"net.width={config['net']['width']}" in text
    assert f"lr={config['lr']:.4g}"[:8] in text


def test_a_new_report_appears_without_a_reload(site: Site, opened: Opened) -> None:
    page = opened(f"{site.url}/experiments/live", login=LOGIN)
    page.evaluate("window.stayed = true")
    before = points(drawn(page, "curves"))
    steps = page.locator("#asha-workers").inner_text()

    def grown() -> bool:
        page.wait_for_timeout(200)
        return points(drawn(page, "curves")) > before

    wait_until(grown, "the curves have a new point")
    expect(page.locator("#asha-workers")).not_to_have_text(steps)
    assert page.evaluate("window.stayed")


def test_pause_extend_resume_and_cancel_work_and_the_journal_says_who(
    site: Site, opened: Opened
) -> None:
    page = opened(f"{site.url}/experiments/live", login=LOGIN)
    badge = page.locator("#asha-head .badge")
    page.get_by_role("button", name="Pause").click()
    expect(badge).to_have_text("paused")
    page.get_by_role("button", name="Extend…").click()
    page.get_by_label("num_samples").fill("600")
    page.locator("#asha-extend").get_by_role("button", name="Extend").click()
    expect(page.locator("#asha-glance")).to_contain_text("of 600")
    page.get_by_role("button", name="Resume").click()
    expect(badge).to_have_text("running")
    page.get_by_role("button", name=re.compile("Drain cpu1@")).click()
    page.get_by_role("button", name="Do it").click()
    wait_until(lambda: any(w.startswith("cpu1@") for w in site.store.drained()), "one is drained")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Leave it").click()
    page.get_by_role("button", name="Cancel…").click()
    page.keyboard.press("Escape")
    expect(badge).to_have_text("running")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Do it").click()
    expect(badge).to_have_text("cancelled")
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    uid = site.store.uid("live")
    assert uid
    orders = [entry for entry in journal(site.store, uid) if "by" in entry]
    assert [(entry["type"], entry["by"]) for entry in orders] == [
        (kind, "ada@flower") for kind in ("paused", "extended", "resumed", "cancelled")
    ]


def test_trials_are_searched_sorted_and_turned_over_in_place(site: Site, opened: Opened) -> None:
    page = opened(f"{site.url}/experiments/ended", login=LOGIN)
    page.evaluate("window.stayed = true")
    table = page.locator("#asha-trials tbody")
    page.get_by_role("searchbox").fill("net.width=64")
    wide = sum(t.config["net"]["width"] == 64 for t in site.result("ended").trials)
    expect(table.locator("tr")).to_have_count(wide)
    assert "search=net.width%3D64" in page.url
    page.get_by_role("link", name="Trial", exact=True).click()
    expect(page.locator("#asha-trials th[aria-sort=ascending]")).to_contain_text("Trial")
    numbers = [int(text) for text in table.locator("td:first-child").all_inner_texts()]
    assert numbers == sorted(numbers)
    page.get_by_role("searchbox").fill("speed>1")
    expect(page.get_by_role("alert")).to_contain_text("there is no 'speed'")
    assert page.evaluate("window.stayed")


def test_a_trial_shows_why_its_attempts_and_what_it_printed(site: Site, opened: Opened) -> None:
    page = opened(f"{site.url}/experiments/ended/trials/3", login=LOGIN)
    expect(page.locator("#asha-why")).to_contain_text(re.compile(r"rank \d+ of 40"))
    attempts = page.locator("#asha-attempts")
    expect(attempts).to_contain_text("failed")
    expect(attempts).to_contain_text("RuntimeError: no luck <img src=x>")
    page.get_by_role("link", name="log").first.click()
    expect(page.locator("#asha-output-text")).to_contain_text("<b>hello</b> from trial 3")
    trial = site.result("ended").trials[3]
    expect(page.locator("#asha-checkpoints")).to_contain_text(f"step {trial.resource}")
    reports, results = drawn(page, "curve")
    steps, values = trial.curve.column("score")
    assert (reports["x"], reports["y"]) == (list(steps), list(values))
    assert results["y"] == [one.value for one in trial.results]


def test_the_pages_are_used_by_keyboard(site: Site, opened: Opened) -> None:
    page = opened(f"{site.url}/experiments/ended", login=LOGIN)
    page.get_by_role("button", name="Extend…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("num_samples")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_label("num_samples")).to_be_hidden()
    state = page.get_by_role("link", name="State", exact=True)
    state.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#asha-trials th[aria-sort]")).to_contain_text("State")
    expect(page.get_by_role("link", name="State ↑")).to_be_focused()
    select = page.get_by_label("Best value over", exact=True)
    select.focus()
    page.keyboard.press("ArrowDown")
    wait_until(
        lambda: "seconds" not in page.locator("#figure-best .xtitle").text_content(),
        "the figure has another axis",
    )


@pytest.mark.parametrize("path", ["", "/ended", "/ended/trials/0"])
@pytest.mark.parametrize("dark", [False, True])
def test_the_pages_fit_a_phone_in_both_themes(
    site: Site, opened: Opened, path: str, dark: bool
) -> None:
    page = opened(f"{site.url}/experiments{path}", 390, dark, LOGIN, has_touch=True, is_mobile=True)
    for figure in page.locator("[data-figure]").all():
        figure.scroll_into_view_if_needed()
        expect(figure.locator(".main-svg").first).to_be_visible(timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_figures_change_with_flowers_theme(site: Site, opened: Opened) -> None:
    page = opened(f"{site.url}/experiments/ended", login=LOGIN)
    drawn(page, "best")
    colour = "getComputedStyle(document.querySelector('#figure-best .xtick text')).fill"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Select theme").click()
    page.get_by_role("button", name="Dark").click()
    wait_until(lambda: page.evaluate(colour) != light, "the figure is drawn in the dark theme")


def test_flowers_own_pages_are_unharmed(site: Site, opened: Opened) -> None:
    page = opened(f"{site.url}/", login=LOGIN)
    for tab in ("Workers", "Tasks", "Broker", "Experiments"):
        page.get_by_role("link", name=tab, exact=True).first.click()
        expect(page.locator(".nav-link.active")).to_have_text(tab)
    page.goto(f"{site.url}/tasks")
    expect(page.locator("#tasks-table tbody tr").first).to_contain_text("trial=")


@pytest.mark.parametrize("options", [(), ("--read_only", f"--basic_auth={LOGIN}")])
def test_without_a_login_or_under_read_only_there_are_no_buttons_and_no_orders(
    site: Site, opened: Opened, options: tuple[str, ...], tmp_path: Path
) -> None:
    with flower(site.broker, tmp_path, "-m", "asha_queue", "flower", *options) as running:
        login = LOGIN if options else ""
        page = opened(f"{running.url}/experiments/ended", login=login)
        drawn(page, "best")
        expect(
            page.locator("button[data-order], button[data-dialog], button[data-drain]")
        ).to_have_count(0)
        refused = page.request.post(
            f"{running.url}/api/experiments/ended/extend", data={"max_t": 30}
        )
        assert refused.status == (403 if options else 401)
        assert site.result("ended").specification.max_t == 9


@pytest.mark.parametrize(
    "path",
    [
        *("experiments", "experiments/ended", "experiments/ended/trials/0", "api/experiments"),
        *("api/experiments/ended", "api/experiments/ended/figures/curves"),
        *("api/experiments/ended/trials/0/log/0/1", "experiments-assets/asha.js"),
        "metrics/experiments",
    ],
)
def test_nothing_of_ours_opens_without_the_login(site: Site, path: str) -> None:
    assert get(f"{site.url}/{path}", LOGIN).status == 200
    assert get(f"{site.url}/{path}").status == 401
    assert get(f"{site.url}/{path}", "ada:wrong").status == 401


def test_orders_from_other_sites_are_refused(site: Site, opened: Opened) -> None:
    request = urllib.request.Request(
        f"{site.url}/api/experiments/ended/extend", data=b'{"max_t": 30}', method="POST"
    )
    request.add_header("Authorization", "Basic YWRhOnNlY3JldA==")
    request.add_header("Sec-Fetch-Site", "cross-site")
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(request, timeout=20)
    refused.value.close()
    assert site.result("ended").specification.max_t == 9


def test_under_a_prefix_everything_works(site: Site, opened: Opened) -> None:
    command = ("-m", "asha_queue", "flower", "--url_prefix=/lab", f"--basic_auth={LOGIN}")
    with flower(site.broker, site.directory.path, *command) as running:
        page = opened(f"{running.url}/lab/experiments", login=LOGIN)
        page.get_by_role("link", name="ended").click()
        assert drawn(page, "curves")
        page.locator("#asha-trials tbody a").first.click()
        assert drawn(page, "curve")
        page.get_by_role("link", name="log").first.click()
        expect(page.locator("#asha-output-text")).to_contain_text("from trial")
        page.get_by_role("link", name="ended").click()
        page.get_by_role("button", name="Extend…").click()
        page.get_by_label("num_samples").fill("41")
        page.locator("#asha-extend").get_by_role("button", name="Extend").click()
        expect(page.locator("#asha-glance")).to_contain_text("of 41")


def test_without_its_place_in_the_bar_the_pages_are_reached_by_address(
    site: Site, opened: Opened, tmp_path: Path
) -> None:
    code = CHANGED.format("from asha_queue.dashboard import templates; " + NOWHERE)
    with flower(site.broker, tmp_path, "-c", code, "-A", "asha_queue", "flower") as running:
        page = opened(f"{running.url}/tasks")
        expect(page.get_by_role("link", name="Experiments")).to_have_count(0)
        page.goto(f"{running.url}/experiments/ended")
        assert drawn(page, "curves")
