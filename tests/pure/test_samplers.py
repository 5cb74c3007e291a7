import json
import math
import statistics
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.errors import SpecificationError
from asha_queue.samplers import Suggestions, prepare, require, suggestions
from asha_queue.samplers.history import History, Observation
from asha_queue.samplers.sampler import Random, Sampler
from asha_queue.samplers.sobol import BLOCK
from asha_queue.samplers.started import Points, Soon, Started
from asha_queue.search.combinations import SMALL
from asha_queue.search.domains import Domain
from asha_queue.search.goal import Goal, Goals
from asha_queue.search.rules import check
from asha_queue.search.rung import Standing
from asha_queue.search.space import (
    Space,
    choice,
    grid_search,
    lograndint,
    loguniform,
    normal,
    qloguniform,
    quniform,
    randint,
    uniform,
)
from asha_queue.simulation import simulate
from asha_queue.specification import Specification

EVERY_DOMAIN = {
    "lr": loguniform(1e-4, 1.0),
    "u": uniform(-1, 3),
    "q": quniform(0, 0.5, 0.1),
    "ql": qloguniform(1, 64, 1),
    "i": randint(2, 6),
    "li": lograndint(1, 1001),
    "n": normal(5, 2),
    "c": choice(["a", None, 0.5]),
    "m": {"d": choice([16, 32]), "k": 3},
}
#: Six configurations.
SMALL_SPACE = {"a": choice(["x", "y"]), "m": {"b": randint(0, 3), "k": 1}}

BOTH = pytest.mark.parametrize("sampler", ["random", "sobol"])


def specification(space: dict[str, Any], **changes: Any) -> Specification:
    fields = {"name": "s", "train": "s.py:train", "metric": "loss", "mode": "min", "max_t": 9}
    numbers = {"reduction_factor": 3, "num_samples": 40, "seed": 7}
    return Specification(**{**fields, **numbers, "space": space, "sampler": "random", **changes})


def scheduled(trial: int, config: dict[str, Any]) -> dict[str, Any]:
    entry = {"type": "scheduled", "trial": trial, "bracket": 0, "rung": 0, "target": 1}
    return {**entry, "attempt": 1, "config": config}


def started(made: Suggestions, first: int, n: int) -> list[dict[str, Any]]:
    """Suggests the next n trials and starts them."""
    configs = made.suggest(first, n)
    for trial, config in enumerate(configs, first):
        made.apply(json.loads(json.dumps(scheduled(trial, config))))
    return configs


def drawn(space: dict[str, Any], n: int, **changes: Any) -> list[dict[str, Any]]:
    return started(Suggestions(specification(space, **changes)), 0, n)


# -- every sampler -------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("space", [EVERY_DOMAIN, SMALL_SPACE], ids=["large", "small"])
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.booleans()), max_size=15))
@settings(max_examples=40, deadline=None)
def test_suggestions_are_the_same_one_by_one_in_blocks_and_after_restarts(
    sampler: str, space: dict[str, Any], steps: list[tuple[int, int, bool]]
) -> None:
    made = specification(space, sampler=sampler, initial_configs=[{}, {}])
    current, alone = Suggestions(made), Suggestions(made)
    first = 0
    for suggested, journalled, restart in steps:
        kept = min(suggested, journalled)
        configs = current.suggest(first, suggested)[:kept]
        assert configs == [started(alone, trial, 1)[0] for trial in range(first, first + kept)]
        for trial, config in enumerate(configs, first):
            current.apply(scheduled(trial, config))
        first += kept
        if restart:
            state = json.loads(json.dumps(current.snapshot()))
            current = Suggestions(made)
            assert current.restore(state)
        assert current.snapshot() == alone.snapshot()


@BOTH
def test_another_seed_brings_other_configurations(sampler: str) -> None:
    first, second = (drawn(EVERY_DOMAIN, 5, sampler=sampler, seed=seed) for seed in (1, 2))
    assert all(one != other for one, other in zip(first, second, strict=True))


@BOTH
def test_configurations_are_plain_json_in_the_shape_of_the_space(sampler: str) -> None:
    space = Space(EVERY_DOMAIN)
    for config in drawn(EVERY_DOMAIN, 50, sampler=sampler):
        assert json.loads(json.dumps(config)) == config
        assert space.accepted(config, "config") == config
        assert list(config) == list(EVERY_DOMAIN)
        assert config["m"]["k"] == 3


@BOTH
def test_grids_are_gone_through_in_turn_and_repeated(sampler: str) -> None:
    space = {"a": grid_search([1, 2, 3]), "b": grid_search(["x", "y"]), "c": choice([0])}
    points = [(c["a"], c["b"]) for c in drawn(space, 12, sampler=sampler)]
    assert len(set(points[:6])) == 6
    assert points[6:] == points[:6]


@BOTH
def test_a_space_of_constants_has_one_configuration(sampler: str) -> None:
    assert drawn({"a": 1}, 3, sampler=sampler) == [{"a": 1}] * 3
    assert drawn({"a": grid_search([1, 2])}, 3, sampler=sampler) == [{"a": 1}, {"a": 2}, {"a": 1}]


@BOTH
def test_a_simulated_search_trains_what_the_sampler_suggests(sampler: str) -> None:
    made = specification(EVERY_DOMAIN, sampler=sampler, initial_configs=[{"lr": 0.5}, {"i": 2}])
    result = simulate(
        made, lambda config, t: {"loss": config["lr"] / t}, lambda config, start, target: 1.0
    )
    assert check(result.journal) == []
    assert result.state == "finished"
    assert [trial.config for trial in result.trials] == Suggestions(made).suggest(0, 40)
    assert result.trials[0].config["lr"] == 0.5
    assert result.trials[1].config["i"] == 2


# -- random --------------------------------------------------------------------------------------


def test_a_seed_draws_at_random_what_it_has_always_drawn() -> None:
    """Written down from the first version."""
    first, second, *_, last = drawn(EVERY_DOMAIN, 42)
    assert first == {
        "lr": 0.12669012393094375,
        "u": 2.284913673531065,
        "q": 0.4,
        "ql": 1.0,
        "i": 4,
        "li": 492,
        "n": 4.090658429656555,
        "c": 0.5,
        "m": {"d": 32, "k": 3},
    }
    assert second == {
        "lr": 0.0005706777406693395,
        "u": 0.22552497533184868,
        "q": 0.3,
        "ql": 62.0,
        "i": 5,
        "li": 2,
        "n": 6.325853244161033,
        "c": 0.5,
        "m": {"d": 16, "k": 3},
    }
    assert last == {
        "lr": 0.006961594625321561,
        "u": 0.05701049471683639,
        "q": 0.3,
        "ql": 38.0,
        "i": 3,
        "li": 227,
        "n": 4.788800736389724,
        "c": None,
        "m": {"d": 16, "k": 3},
    }


# -- sobol ---------------------------------------------------------------------------------------


def test_each_eighth_of_every_dimension_gets_an_eighth_of_the_first_points() -> None:
    names = [f"x{number}" for number in range(6)]
    configs = drawn({name: uniform(0, 8) for name in names}, 64, sampler="sobol")
    for name in names:
        assert Counter(int(config[name]) for config in configs) == dict.fromkeys(range(8), 8)


def test_pairs_of_dimensions_are_filled_more_evenly_than_at_random() -> None:
    def empty(sampler: str) -> int:
        configs = drawn({"x": uniform(0, 8), "y": uniform(0, 8)}, 128, sampler=sampler)
        return 64 - len({(int(config["x"]), int(config["y"])) for config in configs})

    assert empty("sobol") < empty("random")


@pytest.mark.parametrize("trial", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 5])
def test_a_point_is_the_same_wherever_one_begins(trial: int) -> None:
    made = specification(EVERY_DOMAIN, sampler="sobol")
    in_order, there_and_back = Suggestions(made), Suggestions(made)
    expected = in_order.suggest(0, 4 * BLOCK)[trial]
    assert Suggestions(made).suggest(trial, 1) == [expected]
    for other in (2 * BLOCK, trial, 0, 4 * BLOCK, trial):
        [config] = there_and_back.suggest(other, 1)
    assert config == expected


def test_a_trial_far_away_is_reached_without_making_all_before_it() -> None:
    [config] = Suggestions(specification(EVERY_DOMAIN, sampler="sobol")).suggest(10**7, 1)
    assert Space(EVERY_DOMAIN).accepted(config, "config") == config


def test_the_options_of_a_grid_get_the_same_points_one_after_the_other() -> None:
    space = {"a": grid_search([1, 2]), "x": uniform(0, 4)}
    configs = drawn(space, 16, sampler="sobol")
    assert [config["x"] for config in configs[::2]] == [config["x"] for config in configs[1::2]]
    assert Counter(int(config["x"]) for config in configs[::2]) == dict.fromkeys(range(4), 2)


def test_a_sampler_that_lacks_something_says_so_in_one_message_and_does_not_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Lacking(Random):
        @staticmethod
        def missing() -> str:
            return "sampler='sobol': needs what is not installed here"

        @staticmethod
        def load() -> None:
            raise ImportError("it is not installed")

    monkeypatch.setitem(suggestions.SAMPLERS, "sobol", Lacking)
    made = specification(EVERY_DOMAIN, sampler="sobol")
    prepare(made)
    require(specification(EVERY_DOMAIN))
    for call in (lambda: require(made), lambda: Suggestions(made).suggest(0, 1)):
        with pytest.raises(SpecificationError, match="needs what is not installed here"):
            call()


def test_scipy_is_imported_when_a_coordinator_prepares_and_not_by_those_who_only_look() -> None:
    made = specification(EVERY_DOMAIN, sampler="sobol").to_json()
    program = f"""
import sys
from asha_queue.samplers import Suggestions, prepare
from asha_queue.specification import Specification
made = Specification.from_json({made!r})
random = Specification.from_json(made.to_json() | {{"sampler": "random"}})
looking = Suggestions(made)
prepare(random)
assert "scipy" not in sys.modules
prepare(made)
assert "scipy.stats" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


# -- domains at shares of their distribution -----------------------------------------------------

SHARES = [(number + 0.5) / 4096 for number in range(4096)]


@pytest.mark.parametrize("name", [name for name in EVERY_DOMAIN if name != "m"])
def test_even_shares_bring_the_distribution_that_is_sampled(name: str) -> None:
    domain: Any = EVERY_DOMAIN[name]
    values = [domain.at(share) for share in SHARES]
    configs = [Space({name: domain}).draw(0, trial)[name] for trial in range(4096)]
    if name == "c":
        for option in ("a", None, 0.5):
            assert values.count(option) == pytest.approx(configs.count(option), abs=200)
        return
    assert values == sorted(values)
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        cut = sorted(configs)[int(share * 4096)]
        below = statistics.mean((value < cut) + (value <= cut) for value in values) / 2
        sampled = statistics.mean((value < cut) + (value <= cut) for value in configs) / 2
        assert below == pytest.approx(sampled, abs=0.03)


@pytest.mark.parametrize("share", [0.0, 2.0**-53, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize("name", [name for name in EVERY_DOMAIN if name != "m"])
def test_the_ends_of_a_distribution_are_values_of_its_domain(name: str, share: float) -> None:
    domain: Any = EVERY_DOMAIN[name]
    value = domain.at(share)
    assert domain.accepted(value) == value
    assert type(value) is type(domain.accepted(value))


def test_the_ends_of_whole_numbers_and_choices_are_reached() -> None:
    last = 1 - 2.0**-53
    assert (randint(2, 6).at(0), randint(2, 6).at(last)) == (2, 5)
    assert (lograndint(2, 6).at(0), lograndint(2, 6).at(last)) == (2, 5)
    assert (quniform(0, 0.5, 0.1).at(0), quniform(0, 0.5, 0.1).at(last)) == (0.0, 0.5)
    assert [choice(["a", "b", "c"]).at(share) for share in (0, 0.34, last)] == ["a", "b", "c"]
    assert -7 < normal(0, 1).at(0) == pytest.approx(-normal(0, 1).at(last))
    assert uniform(0, 1).at(0.25) == 0.25
    assert loguniform(1e-4, 1.0).at(0.5) == pytest.approx(1e-2)
    assert normal(5, 2).at(0.5) == pytest.approx(5)


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (randint(2, 5), [2, 3, 4]),
        (lograndint(1, 3), [1, 2]),
        (quniform(0, 0.3, 0.1), [0.0, 0.1, 0.2, 0.3]),
        (qloguniform(1, 2, 0.5), [1.0, 1.5, 2.0]),
        (choice([1, 1, True, 1.0, [1]]), [1, True, 1.0, [1]]),
        (uniform(0, 1), None),
        (loguniform(1, 2), None),
        (normal(0, 1), None),
        (randint(0, 5), None),
        (quniform(0, 4, 1), None),
        (choice([1, 2, 3, 4, 5]), None),
    ],
)
def test_a_discrete_domain_lists_its_different_values(
    domain: Domain, values: list[Any] | None
) -> None:
    listed = domain.listed(4)
    assert json.dumps(listed) == json.dumps(values)  # in which 1 and true differ


# -- what is tried first -------------------------------------------------------------------------


@BOTH
def test_initial_configurations_come_first_and_what_they_leave_open_is_the_sampler_s(
    sampler: str,
) -> None:
    given = [{"lr": 0.5, "m": {"d": 32}}, {}, {"c": None}]
    plain = drawn(EVERY_DOMAIN, 6, sampler=sampler)
    configs = drawn(EVERY_DOMAIN, 6, sampler=sampler, initial_configs=given)
    assert configs[0] == {**plain[0], "lr": 0.5, "m": {"d": 32, "k": 3}}
    assert configs[1] == plain[1]
    assert configs[2] == {**plain[2], "c": None}
    assert configs[3:] == plain[3:]


def test_an_option_that_is_a_dict_is_taken_as_a_whole() -> None:
    options = [{"a": 1, "b": 2}, {"a": 3}]
    [config] = drawn({"o": choice(options)}, 1, initial_configs=[{"o": {"a": 3}}])
    assert config == {"o": {"a": 3}}


def test_training_code_that_changes_a_configuration_does_not_change_what_is_tried_first() -> None:
    made = specification({"o": choice([[1], [2]])}, initial_configs=[{"o": [1]}])
    Suggestions(made).suggest(0, 1)[0]["o"].append(9)
    assert Suggestions(made).suggest(0, 1) == [{"o": [1]}]


# -- duplicates ----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("seed", range(5))
def test_a_small_space_is_tried_whole_before_anything_is_repeated(sampler: str, seed: int) -> None:
    texts = [json.dumps(config) for config in drawn(SMALL_SPACE, 18, sampler=sampler, seed=seed)]
    for begin in (0, 6, 12):
        assert len({*texts[begin : begin + 6]}) == 6


def test_what_is_tried_first_is_repeated_if_the_user_repeats_it_and_never_by_the_sampler() -> None:
    given = [{"a": "x", "m": {"b": 1}}] * 2
    configs = drawn(SMALL_SPACE, 7, initial_configs=given)
    assert configs[0] == configs[1]
    assert len({json.dumps(config) for config in configs[1:]}) == 6


def test_a_configuration_that_is_nearly_never_drawn_is_found_when_it_is_the_last() -> None:
    space = {"a": choice(["usual"] * 9999 + ["rare"]), "b": choice([1, 2])}
    assert len({json.dumps(config) for config in drawn(space, 4)}) == 4


def test_without_repeats_the_first_of_a_small_space_is_what_a_seed_has_always_drawn() -> None:
    assert drawn(SMALL_SPACE, 1) == [Space(SMALL_SPACE).draw(7, 0)]


def test_a_journal_with_repeats_goes_on_without_more_of_them() -> None:
    """As one of a version that did not avoid them."""
    made = Suggestions(specification(SMALL_SPACE))
    first = Space(SMALL_SPACE).draw(7, 0)
    for trial in range(3):
        made.apply(scheduled(trial, first))
    made.apply({**scheduled(0, {}), "rung": 1})
    made.apply({**scheduled(0, {}), "attempt": 2})
    assert first not in started(made, 3, 5)


def test_a_snapshot_that_lacks_what_is_needed_is_refused() -> None:
    assert not Suggestions(specification(SMALL_SPACE)).restore({})
    assert Suggestions(specification(EVERY_DOMAIN)).restore({})


@pytest.mark.parametrize(
    "space",
    [
        {"a": uniform(0, 1), "b": choice([1, 2])},
        {"a": grid_search([1, 2])},
        {"a": randint(0, SMALL + 1)},
        {"a": randint(0, 1000), "b": randint(0, 1000)},
    ],
)
def test_configurations_of_a_large_space_or_with_a_grid_are_not_remembered(
    space: dict[str, Any],
) -> None:
    made = Suggestions(specification(space))
    started(made, 0, 5)
    assert made.snapshot() == {}


def test_numbers_and_configurations_of_a_small_space_are_one_to_one() -> None:
    space = {**SMALL_SPACE, "q": quniform(0, 0.3, 0.1), "c": choice([1, True, 1.0, None])}
    points = Points.of(Space(space))
    assert points is not None
    configs = [points.config(number) for number in range(points.size)]
    assert points.size == 6 * 4 * 4 == len({json.dumps(config) for config in configs})
    assert [points.number(config) for config in configs] == [*range(points.size)]
    assert points.number({**configs[0], "q": 0.25}) is None


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=60))
@settings(deadline=None)
def test_the_set_of_started_configurations_is_a_set_that_is_emptied_when_full(
    size: int, steps: list[tuple[int, bool]]
) -> None:
    tested, model = Started(size), set[int]()

    def after(number: int) -> int:
        return next(n % size for n in range(number, number + size) if n % size not in model)

    for number, take_next in steps:
        number %= size
        ahead = Soon(tested)
        assert tested.outside(number) == ahead.outside(number) == after(number)
        added = after(number) if take_next else number
        model.add(added)
        if len(model) == size:
            model.clear()
        ahead.add(added)
        assert [n in ahead for n in range(size)] == [n in model for n in range(size)]
        assert ahead.outside(number) == after(number)
        tested.add(added)
        assert [*tested] == sorted(model)


# -- what samplers learn from --------------------------------------------------------------------


def entry(kind: str, trial: int, rung: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "trial": trial, "rung": rung, "attempt": 1, **fields}


def test_a_history_holds_every_result_with_its_resource_and_what_is_running() -> None:
    history = History(Goal("loss", "min"))
    for trial in range(3):
        history.apply(scheduled(trial, {"x": trial}))
    history.apply(entry("completed", 1, metrics={"loss": 0.5}))
    history.apply(entry("scheduled", 1, rung=1, target=3, config={"x": 1}))
    history.apply(entry("completed", 0, metrics={"other": 1}))
    history.apply(entry("lost", 1, rung=1))
    assert history.configs == [{"x": 0}, {"x": 1}, {"x": 2}]
    assert history.running == {2: 1, 1: 3}
    history.apply(entry("completed", 1, rung=1, metrics={"loss": 0.25}))
    history.apply(entry("failed", 2, final=False))
    assert history.running == {2: 1}
    history.apply(entry("failed", 2, final=True))
    first, missing, second, failed = history.results
    assert (first, second) == (Observation(1, 0, 1, 0.5), Observation(1, 1, 3, 0.25))
    assert math.isnan(missing.value)
    assert math.isnan(failed.value)
    again = History(Goal("loss", "min"))
    again.restore(json.loads(json.dumps(history.snapshot(), allow_nan=False)))
    assert again.snapshot() == history.snapshot()
    assert again.snapshot()["results"][0] == [1, 0, 1, 0.5]
    again.apply(entry("retried", 2))
    assert [result.trial for result in again.results] == [1, 0, 1]
    assert again.running == {2: 1}
    again.apply({"type": "cancelled"})
    assert again.running == {}


def test_a_history_of_several_metrics_and_constraints_holds_where_each_result_stands() -> None:
    goal = Goals.of(["loss", "size"], "min", {"cost": {"max": 2.0}})
    history, again = History(goal), History(goal)
    for trial in range(3):
        history.apply(scheduled(trial, {"x": trial}))
    history.apply(entry("completed", 0, metrics={"loss": 0.5, "size": 7, "cost": 3.0}))
    history.apply(entry("completed", 1, metrics={"loss": 0.25, "cost": 1.0}))
    history.apply(entry("failed", 2, final=True))
    assert history.results[0] == Observation(0, 0, 1, 0.5, Standing(0.5, (0.5, 7.0)))
    assert history.snapshot()["results"] == [
        [0, 0, 1, 0.5, [0.5, 7.0]],
        [1, 0, 1, 0.0, [0.25, "NaN"]],
        [2, 0, 1, "Infinity", ["NaN", "NaN"]],
    ]
    again.restore(json.loads(json.dumps(history.snapshot(), allow_nan=False)))
    assert again.results[0] == history.results[0]
    assert again.snapshot() == history.snapshot() == history.copy().snapshot()


@pytest.mark.parametrize("learns", [True, False])
def test_a_sampler_that_learns_is_given_the_history_also_after_a_restart(
    learns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Last(Sampler):
        """Suggests the number of results so far."""

        def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
            return [{"x": len(history.results), "y": len(history.running)} for _ in range(n)]

    Last.learns = learns
    monkeypatch.setitem(suggestions.SAMPLERS, "random", Last)
    made = specification({"x": uniform(0, 9), "y": uniform(0, 9)})
    current = Suggestions(made)
    started(current, 0, 3)
    current.apply(entry("completed", 1, metrics={"loss": 0.5}))
    restarted = Suggestions(made)
    assert restarted.restore(json.loads(json.dumps(current.snapshot())))
    expected = [{"x": 1, "y": 2} if learns else {"x": 0, "y": 0}]
    assert current.suggest(3, 1) == restarted.suggest(3, 1) == expected
    assert ("history" in current.snapshot()) == learns
    assert Suggestions(made).restore({}) != learns
