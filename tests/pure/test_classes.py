"""Classes of machines: `queues`, and what is decided where only some of them have room."""

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.errors import SpecificationError
from asha_queue.search.asha import Asha, Decision
from asha_queue.search.rooms import Rooms, queue_of, queues_of
from asha_queue.search.rules import check
from asha_queue.search.space import uniform
from asha_queue.specification import Specification

CLASSES = {1: "cpu", 4: "gpu", 16: "gpu4"}


def specification(**fields: Any) -> Specification:
    given = {
        "name": "classes",
        "train": "classes.py:train",
        "space": {"x": uniform(0.0, 1.0)},
        "metric": "loss",
        "mode": "min",
        "max_t": 64,
        "num_samples": 200,
        "seed": 1,
        "sampler": "random",
        "hedge": False,
        "queues": CLASSES,
    }
    return Specification(**(given | fields))


def test_a_segment_goes_to_the_queue_of_the_largest_level_not_above_its_target() -> None:
    made = specification()
    assert made.ladder.levels == (1, 4, 16, 64)
    assert [made.queue_of(level) for level in made.ladder.levels] == ["cpu", "gpu", "gpu4", "gpu4"]
    assert made.every_queue == ["cpu", "gpu", "gpu4"]
    assert made.queue_of(256) == "gpu4", "what extend adds goes to the last class"


def test_without_classes_every_segment_goes_to_the_queue() -> None:
    made = specification(queues={}, queue="big")
    assert made.every_queue == ["big"]
    assert {made.queue_of(level) for level in made.ladder.levels} == {"big"}
    assert queues_of({}) == ["asha"], "of what the first version submitted"
    assert queue_of({}, 5) == "asha"


def test_levels_are_texts_as_in_json_and_toml_and_make_the_same_experiment(tmp_path: Path) -> None:
    made = specification()
    assert made.queues == {"1": "cpu", "4": "gpu", "16": "gpu4"}
    again = Specification.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert made.differences(specification(queues={"16": "gpu4", "1": "cpu", "4": "gpu"})) == []
    assert made.differences(specification(queues={1: "cpu"})) == [
        "queues: {'1': 'cpu', '4': 'gpu', '16': 'gpu4'} -> {'1': 'cpu'}"
    ]
    path = tmp_path / "exp.toml"
    path.write_text(
        'name = "classes"\ntrain = "classes.py:train"\nmetric = "loss"\nmode = "min"\n'
        'max_t = 64\nseed = 1\n[space]\nx = {uniform = [0, 1]}\n[queues]\n1 = "cpu"\n4 = "gpu"\n'
    )
    assert Specification.from_toml(path).queues == {"1": "cpu", "4": "gpu"}


def test_an_experiment_of_an_earlier_version_has_no_classes_and_is_no_other_one() -> None:
    fields = specification(queues={}).to_json()
    assert "queues" not in fields
    assert Specification.from_json(fields).differences(specification(queues={})) == []


def test_a_key_between_two_levels_counts_from_the_next_one_on() -> None:
    made = specification(queues={1: "cpu", 10: "gpu"})
    assert [made.queue_of(level) for level in made.ladder.levels] == ["cpu", "cpu", "gpu", "gpu"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"queues": {4: "gpu"}}, "must say where the first level goes, which is 1; the levels are"),
        (
            {"queues": {1: "cpu", 100: "gpu"}},
            "nothing would go to 'gpu', as there is no level from 100 on",
        ),
        (
            {"queues": {1: "a", 5: "b", 7: "c"}},
            "nothing would go to 'b', as there is no level from 5 to 6; the levels are 1, 4",
        ),
        ({"queue": "big"}, "queue='big': cannot go with queues, which names them all"),
        ({"queues": {0: "cpu"}}, "queues: 0 is no level; keys are whole numbers of at least 1"),
        ({"queues": {True: "cpu"}}, "queues: True is no level"),
        ({"queues": {1.0: "cpu"}}, "queues: 1.0 is no level"),
        ({"queues": {"1": "cpu", 1: "gpu"}}, "queues: level 1 is given twice"),
        ({"queues": {1: "a b"}}, r"queues\[1\]='a b': must be the name of a queue"),
        ({"queues": {1: 7}}, r"queues\[1\]=7: must be the name of a queue"),
        ({"queues": ["cpu"]}, r"queues=\['cpu'\]: must be a dict from levels to the queues"),
    ],
)
def test_wrong_classes_are_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError, match=message) as refused:
        specification(**fields)
    assert len(str(refused.value).splitlines()) == 1


class Play:
    """A search and the journal that it is the fold of; results come in as the test says."""

    def __init__(self, made: Specification) -> None:
        self.made = made
        self.search = Asha(made.plan)
        self.journal: list[dict[str, Any]] = []
        self.running: list[Decision] = []
        self.write({"type": "submitted", "experiment": made.to_json()})

    def write(self, entry: dict[str, Any]) -> None:
        self.journal.append({"v": 1, "id": f"1-{len(self.journal)}", "at": 0.0, **entry})
        self.search.apply(self.journal[-1])

    def decide(self, **room: int) -> list[Decision]:
        return self.search.decide(Rooms(sum(room.values()), room, self.made.queue_of))

    def start(self, decisions: list[Decision]) -> None:
        for one in decisions:
            self.write(
                {
                    "type": "scheduled",
                    "trial": one.trial,
                    "bracket": one.bracket,
                    "rung": one.rung,
                    "target": one.target,
                    "attempt": 1,
                    "config": {"x": 0.5},
                }
            )
            self.running.append(one)

    def complete(self, one: Decision, loss: float) -> None:
        self.running.remove(one)
        own = {"trial": one.trial, "rung": one.rung, "attempt": 1, "token": len(self.journal)}
        self.write({"type": "started", **own, "worker": "w", "start": 0})
        self.write(
            {
                "type": "completed",
                **own,
                "worker": "w",
                "metrics": {"loss": loss},
                "reached": one.target,
                "checkpoint": None,
                "seconds": 1.0,
                "curve": [],
            }
        )


def test_a_promotion_into_a_class_without_room_waits_and_new_trials_go_on() -> None:
    play = Play(specification(reduction_factor=4))
    play.start(play.decide(cpu=8))
    for one in list(play.running):
        play.complete(one, float(one.trial))
    assert play.decide(cpu=2, gpu=0) == [Decision(8, 0, 0, 1), Decision(9, 0, 0, 1)]
    assert play.decide(cpu=1, gpu=1) == [Decision(0, 0, 1, 4), Decision(8, 0, 0, 1)]
    assert play.decide(cpu=0, gpu=5) == [Decision(0, 0, 1, 4), Decision(1, 0, 1, 4)]
    assert play.decide(cpu=0, gpu=0) == []


def test_what_has_waited_is_judged_again_when_there_is_room() -> None:
    play = Play(specification())
    play.start(play.decide(cpu=4))
    for one, loss in zip(list(play.running), (0.1, 0.2, 0.3, 0.4), strict=True):
        play.complete(one, loss)
    assert play.decide(gpu=1) == [Decision(0, 0, 1, 4)]
    play.start(play.decide(cpu=1))
    play.complete(play.running[0], 0.05)  # of five the best one may go on, and it is another
    assert play.decide(gpu=9) == [Decision(4, 0, 1, 4)]


def test_open_segments_are_counted_by_level() -> None:
    play = Play(specification())
    play.start(play.decide(cpu=5))
    for one in list(play.running)[:4]:
        play.complete(one, float(one.trial))
    play.start(play.decide(gpu=1))
    assert play.search.open_by_level == {1: 1, 4: 1}


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    variant=st.sampled_from(["promotion", "delayed", "stopping", "pasha", "hedge", "brackets"]),
)
def test_every_variant_keeps_its_rules_whatever_room_there_is(seed: int, variant: str) -> None:
    fields: dict[str, Any] = {"num_samples": 40, "max_t": 16, "queues": CLASSES}
    if variant == "brackets":
        fields["brackets"] = 2
    elif variant == "hedge":
        fields["hedge"] = True
    else:
        fields["variant"] = variant
    play = Play(specification(**fields))
    rng = random.Random(seed)
    size = {"cpu": rng.randint(1, 4), "gpu": rng.randint(1, 2), "gpu4": 1}
    while not play.search.finished:
        held = [play.made.queue_of(one.target) for one in play.running]
        room = {queue: n - held.count(queue) for queue, n in size.items()}
        if rng.random() < 0.3:  # a class whose workers are away for a while
            room[rng.choice([*room])] = 0
        decisions = play.decide(**room)
        assert decisions == play.decide(**room), "same room, same decisions"
        used = [play.made.queue_of(one.target) for one in decisions]
        assert all(used.count(queue) <= n for queue, n in room.items())
        play.start(decisions)
        if play.running:
            play.complete(rng.choice(play.running), rng.random())
    play.write({"type": "finished", "by": "me", "reason": "done"})
    assert check(play.journal) == []


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), slots=st.integers(0, 9))
def test_with_room_enough_classes_change_nothing(seed: int, slots: int) -> None:
    play = Play(specification(num_samples=60))
    rng = random.Random(seed)
    everywhere = dict.fromkeys(CLASSES.values(), 99)
    for _ in range(80):
        rooms = Rooms(slots, everywhere, partial(queue_of, play.made.to_json()))
        assert play.search.decide(rooms) == play.search.decide(slots)
        play.start(play.search.decide(2))
        if play.running:
            play.complete(rng.choice(play.running), rng.random())


def test_a_new_trial_that_overtakes_one_going_on_in_its_own_class_is_a_violation() -> None:
    """In the stopping variant, where it may overtake in another class only."""
    for queues, violations in (({1: "cpu", 4: "gpu"}, 0), ({1: "cpu", 16: "gpu"}, 1)):
        play = Play(specification(variant="stopping", queues=queues))
        play.start(play.decide(cpu=1))
        play.complete(play.running[0], 0.5)
        play.start([Decision(1, 0, 0, 1)])
        found = check(play.journal)
        assert len(found) == violations, found
        assert all("started, while trial 0, rung 0, goes on" in one for one in found)
