"""A curve in columns against a plain list of points."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asha_queue.result import Curve

NUMBERS = st.one_of(st.integers(-9, 9), st.floats(allow_nan=False), st.just("Infinity"))
METRICS = st.dictionaries(st.sampled_from("abc"), NUMBERS, min_size=1)
PIECES = st.lists(
    st.lists(st.tuples(st.integers(1, 30), METRICS), unique_by=lambda point: point[0]).map(
        lambda points: sorted(points, key=lambda point: point[0])
    ),
    max_size=4,
)


@given(PIECES)
def test_it_holds_what_a_list_would_in_which_new_points_replace_those_from_their_step_on(
    pieces: list[list[tuple[int, dict[str, Any]]]],
) -> None:
    curve = Curve()
    plain: list[tuple[int, dict[str, Any]]] = []
    for piece in pieces:
        curve.extend(piece)
        if piece:
            plain = [point for point in plain if point[0] < piece[0][0]]
        plain += [(s, {n: float(v) for n, v in metrics.items()}) for s, metrics in piece]
    assert curve == plain
    assert len(curve) == len(plain)
    assert curve[:2] == plain[:2]
    for name in "abc":
        steps, values = curve.column(name)
        assert list(zip(steps, values, strict=True)) == [
            (step, metrics[name]) for step, metrics in plain if name in metrics
        ]


def test_what_is_no_number_becomes_nan_and_the_rest_stays() -> None:
    curve = Curve()
    curve.extend([[1, {"loss": "NaN", "n": 10**400}], [2, {"loss": 0.5, "n": 1}]])
    assert math.isnan(curve[0][1]["loss"])
    assert math.isnan(curve[0][1]["n"])
    assert curve[1] == (2, {"loss": 0.5, "n": 1.0})


def test_two_curves_are_equal_when_their_points_are() -> None:
    one, two = Curve(), Curve()
    one.extend([[1, {"loss": 1.0}], [2, {"loss": 2.0}]])
    two.extend([[1, {"loss": 1.0}]])
    assert one != two
    two.extend([[2, {"loss": 2.0}]])
    assert one == two
    assert one != "a curve"
