"""The report: one HTML file."""

import json
import re
from html.parser import HTMLParser

import pytest

from asha_queue.figures import FIGURES, draw, plan_and_actual
from asha_queue.report import report
from asha_queue.result import Result
from asha_queue.views.plans import Expected, rungs_planned
from tests.pure.entries import completed, failed, scheduled
from tests.pure.pictured import played, result_of, specification

#: What opens an element, closes one, or ends a script, if it is not escaped.
EVIL = (
    "</script><script>alert('x')</script><img src=x onerror=alert(1)>&amp;\"' {{ 1 }} {% raw x %}"
)


class Page(HTMLParser):
    """The texts, elements and scripts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"] and self.cdata_elem == "script":
            self.scripts.append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def test_it_holds_every_figure_as_it_is_drawn_elsewhere_and_plotly_once() -> None:
    result = result_of(played())
    page = Page(report(result, made=0.0))
    figures = [json.loads(script) for script in page.scripts if script.startswith('{"data"')]
    names = ["lr", "net.layers", "net.kind", "dropout"]
    expected = []
    for kind in FIGURES:
        if kind == "pareto":  # of several metrics
            continue
        options = [{"parameter": name} for name in names] if kind == "scatter" else [{}]
        expected += [draw(kind, result, **one) for one in options]
        if kind == "ladder":
            expected.append(plan_and_actual(result, rungs_planned(Expected.of(result))))
    assert figures == json.loads(json.dumps(expected))
    assert sum("plotly.js v" in script for script in page.scripts) == 1
    assert page.loaded == []  # nothing comes from elsewhere


def test_it_tells_the_headline_the_best_trials_the_rungs_and_what_went_wrong() -> None:
    journal = [*played(), failed(29)]
    result = result_of(journal)
    assert result.best is not None
    text = Page(report(result, made=86400.0)).text
    assert "Made 1970-01-02 00:00 UTC" in text
    for part in (
        f"trial {result.best.trial} at step 9",
        f"{result.best.metrics['loss']:.4g}",
        "p.py:train",
        "of 30",
        f"{1 - result.resource_spent / 270:.1%} of 270 saved",
        "loguniform(0.0001, 1.0)",
        "choice(['small', '<b>large</b>', None])",
        "boom",
        "loss is nan",
    ):
        assert part in text, part
    for rung in result.rungs:
        assert f"{rung.level} {rung.results}" in text


def test_of_many_trials_the_best_fifty_are_listed() -> None:
    result = result_of(played(specification(num_samples=80)))
    text = Page(report(result, made=0.0)).text
    assert "The best 50 of 80 trials" in text


def test_an_experiment_that_has_just_begun_has_a_report_too() -> None:
    text = Page(report(Result(specification()), made=0.0)).text
    assert "No result yet" in text
    assert "None has been started" in text


def test_texts_of_users_are_nothing_but_texts() -> None:
    space = {"a": {"choice": [EVIL, 1]}, EVIL: {"choice": [1, 2]}, "c": EVIL}
    result = Result(specification(metric=EVIL, space=space))
    for trial in range(3):
        config = {"a": EVIL, EVIL: 1, "c": EVIL}
        result.apply(scheduled(trial, config=config))
        result.apply({**completed(trial, reached=1), "metrics": {EVIL: trial}})
    result.apply(scheduled(3, config=config))
    result.apply({**failed(3), "error": EVIL})
    page, plain = Page(report(result, made=0.0)), Page(report(result_of(played()), made=0.0))
    assert set(page.tags) == set(plain.tags)
    assert page.tags.count("script") == len(page.scripts)
    assert page.text.count(EVIL.split("{{")[0].strip()) >= 4
    for script in page.scripts:
        assert "alert" not in script or script.startswith('{"data"')


@pytest.mark.parametrize("state", ["finished", "cancelled", "running"])
def test_its_state_is_told(state: str) -> None:
    journal = played()[:-1] + ([] if state == "running" else [{"type": state, "at": 1e4}])
    assert f"pictured {state}" in Page(report(result_of(journal), made=0.0)).text
