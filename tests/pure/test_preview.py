"""The SVG that is seen before plotly.js has been read."""

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from asha_queue.figures import draw, preview
from asha_queue.figures.preview import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from tests.pure.pictured import drawn_points, played, result_of, specification


def figure(**axes: Any) -> dict[str, Any]:
    dots = {
        "mode": "markers",
        "x": [0.0, 1.0, 2.0, None],
        "y": [1.0, 10.0, 100.0, 5.0],
        "marker": {"color": "#2f66d8", "size": 6},
    }
    line = {"mode": "lines", "x": [0.0, 1.0], "y": [100.0, 1.0], "line": {"width": 2}}
    return {"data": [dots, line], "layout": {"xaxis": {}, "yaxis": {}, **axes}}


def paths(svg: str) -> list[str]:
    """The paths of the traces, behind that of the grid."""
    root = ElementTree.fromstring(svg)
    return [path.attrib["d"] for path in root.iter("path")][1:]


def dots(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", path)]


def test_every_finite_point_is_a_dot_at_its_place() -> None:
    [dotted, lined] = paths(preview(figure()))
    places = dots(dotted)
    assert len(places) == 3
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in places)
    first = f"M{places[0][0]:g} {places[2][1]:g}"
    assert lined == f"{first}H{places[1][0]:g}V{places[0][1]:g}"


def test_on_a_logarithmic_axis_equal_factors_are_equal_distances() -> None:
    places = dots(paths(preview(figure(yaxis={"type": "log"})))[0])
    low, middle, high = (y for _, y in places)
    assert low - middle == pytest.approx(middle - high, abs=0.2)


def test_what_lies_outside_of_the_first_view_is_left_out() -> None:
    assert len(dots(paths(preview(figure(yaxis={"range": [0, 20]})))[0])) == 2


def test_a_figure_without_points_has_no_picture() -> None:
    assert preview(draw("best_over_time", result_of(played()[:1]))) == ""


@pytest.mark.parametrize("mode", ["min", "max"])
def test_an_experiment_is_seen_with_all_its_results_and_a_name(mode: str) -> None:
    best = draw("best_over_time", result_of(played(specification(mode=mode))))
    svg = preview(best)
    assert 'aria-label="Best value over time"' in svg
    seen = sum(len(dots(path)) for path in paths(svg))
    assert 0.8 * len(drawn_points(best)) <= seen <= len(drawn_points(best))


def test_texts_of_others_do_no_harm() -> None:
    evil = figure(xaxis={"title": {"text": "&lt;b&gt;"}}, meta={"title": '"><script>'})
    assert "<script>" not in preview(evil)
    assert ElementTree.fromstring(preview(evil)).attrib["aria-label"] == '"><script>'


@pytest.mark.parametrize("values", [[1e17], [1e308], [0.0], [5e-324, 0.0], [1.0, 1.0 + 2.3e-16]])
def test_values_of_any_size_are_seen(values: list[float]) -> None:
    one = figure()
    one["data"] = [{**one["data"][0], "x": [0.0] * len(values), "y": values}]
    assert len(dots(paths(preview(one))[0])) == len(values)


@pytest.mark.parametrize("values", [[-1e308, 1e308], [1.79e308, 0.0]])
def test_values_that_no_axis_can_hold_break_no_page(values: list[float]) -> None:
    one = figure()
    one["data"] = [{**one["data"][0], "x": [0.0] * len(values), "y": values}]
    assert preview(one) == ""
