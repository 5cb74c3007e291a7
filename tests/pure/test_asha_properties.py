"""Random experiments, compared after every event with the rules written down naively."""

import json
import math
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.search.asha import Asha, Decision
from asha_queue.search.goal import Goal
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan
from tests.pure.entries import Entry, completed, extended, failed, retried, scheduled

#: Few different values, so that ties are common, and all the bad ones.
VALUES = [0.0, 1, 2, 2.5, 3, -1, "NaN", "Infinity", "-Infinity", None]


class Reference:
    """The rules by sorting everything anew for each decision."""

    def __init__(self, ladder: Ladder, mode: str, num_trials: int) -> None:
        self.ladder, self.mode, self.num_trials = ladder, mode, num_trials
        self.results: list[dict[int, float]] = [{} for _ in ladder.levels]
        self.promoted: list[set[int]] = [set() for _ in ladder.levels]
        self.failed: list[tuple[int, int]] = []
        self.started = 0
        self.paused = False

    def fail(self, trial: int, rung: int) -> None:
        self.result(trial, rung, None)
        self.failed.append((trial, rung))

    def retry(self, which: int) -> tuple[int, int]:
        trial, rung = self.failed.pop(which % len(self.failed))
        del self.results[rung][trial]
        return trial, rung

    def extend(self, levels: int, trials: int) -> int:
        """Adds trials, and so many levels by doubling the top; the new top."""
        for _ in range(levels):
            top = self.ladder.levels[-1] * 2  # at most one factor: one level each
            self.ladder = self.ladder.with_levels((*self.ladder.levels, top))
            self.results.append({})
            self.promoted.append(set())
        self.num_trials += trials
        return self.ladder.levels[-1]

    def result(self, trial: int, rung: int, value: object) -> None:
        read = math.nan if value is None else float(str(value))
        loss = read if self.mode == "min" else -read
        self.results[rung][trial] = math.inf if math.isnan(loss) else loss

    def decide(self, slots: int) -> list[Decision]:
        decisions: list[Decision] = []
        if self.paused:
            return decisions
        for rung in reversed(range(len(self.ladder.levels) - 1)):
            results = self.results[rung]
            ranked = sorted(results, key=lambda trial: (results[trial], trial))
            for trial in ranked[: len(ranked) // self.ladder.reduction_factor]:
                if trial not in self.promoted[rung] and results[trial] < math.inf:
                    level = self.ladder.levels[rung + 1]
                    decisions.append(Decision(trial, 0, rung + 1, level))
        for trial in range(self.started, self.num_trials):
            decisions.append(Decision(trial, 0, 0, self.ladder.levels[0]))
        return decisions[:slots]

    def schedule(self, decision: Decision) -> None:
        if decision.rung == 0:
            self.started += 1
        else:
            self.promoted[decision.rung - 1].add(decision.trial)


@st.composite
def experiments(draw: st.DrawFn) -> tuple[Ladder, str, int]:
    ladder = Ladder(1, draw(st.sampled_from([1, 4, 9, 10])), draw(st.integers(2, 4)))
    return ladder, draw(st.sampled_from(["min", "max"])), draw(st.integers(1, 25))


#: What is ordered, and how a segment ends.
ORDERS = ["pause", "resume", "extend", "retry", "finish"]
ENDS = [*VALUES, *VALUES, "failed", "failed", "failed again", "lost"]
#: What happens next: how many slots are free, whom it concerns, and what it is.
EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 100), st.sampled_from(ENDS + ORDERS)),
    max_size=60,
)


@given(experiment=experiments(), events=EVENTS)
@settings(max_examples=120, deadline=None)
def test_every_decision_is_the_reference_s_and_every_state_survives_its_snapshot(
    experiment: tuple[Ladder, str, int], events: list[tuple[int, int, Any]]
) -> None:
    ladder, mode, num_trials = experiment
    plan = Plan(ladder, Goal("loss", mode), num_trials)
    search = Asha(plan)
    reference = Reference(ladder, mode, num_trials)
    running: list[Decision] = []
    attempts: Counter[tuple[int, int]] = Counter()

    def again(trial: int, rung: int) -> None:
        attempts[trial, rung] += 1
        level = reference.ladder.levels[rung]
        apply(scheduled(trial, rung, level, attempt=1 + attempts[trial, rung]))

    def apply(entry: Entry) -> None:
        nonlocal search
        search.apply(entry)
        text = json.dumps(search.snapshot(), allow_nan=False)
        restored = Asha.restore(plan, json.loads(text))
        assert json.dumps(restored.snapshot(), allow_nan=False) == text
        search = restored  # the rest of the run holds the restored one to the reference

    for slots, which, outcome in events:
        decisions = search.decide(slots)
        assert decisions == reference.decide(slots)
        for decision in decisions:
            apply(scheduled(decision.trial, decision.rung, decision.target))
            reference.schedule(decision)
            running.append(decision)
        assert search.outstanding == len(running)
        assert search.started == reference.started
        everything_ended = not reference.paused and not running and not reference.decide(1)
        assert search.finished == everything_ended
        if outcome == "finish":
            if search.finished:  # what follows is only accepted if it opens the search again
                apply({"type": "finished"})
                apply(extended(num_samples=reference.num_trials))
            continue
        if outcome == "pause" or (outcome == "resume" and reference.paused):
            apply({"type": f"{outcome}d"})
            reference.paused = outcome == "pause"
            continue
        if outcome == "extend":
            top = reference.extend(levels=which % 2, trials=which % 3)
            apply(extended(max_t=top, num_samples=reference.num_trials))
            continue
        if outcome == "retry" and reference.failed:
            trial, rung = reference.retry(which)
            apply(retried(trial, rung))
            again(trial, rung)
            running.append(Decision(trial, 0, rung, reference.ladder.levels[rung]))
            continue
        if not running or outcome in ORDERS:
            continue
        segment = running[which % len(running)]
        if outcome in ("failed again", "lost"):
            ends = {"failed again": failed(segment.trial, segment.rung, final=False)}
            apply(ends.get(outcome, {"type": "lost", "trial": segment.trial}))
            again(segment.trial, segment.rung)
            continue
        running.remove(segment)
        if outcome == "failed":
            apply(failed(segment.trial, segment.rung))
            reference.fail(segment.trial, segment.rung)
        else:
            apply(completed(segment.trial, segment.rung, outcome))
            reference.result(segment.trial, segment.rung, outcome)


@given(experiment=experiments(), values=st.lists(st.floats(), min_size=25, max_size=25))
@settings(max_examples=60, deadline=None)
def test_a_search_that_was_restored_at_every_event_decides_like_one_that_never_was(
    experiment: tuple[Ladder, str, int], values: list[float]
) -> None:
    ladder, mode, num_trials = experiment
    plan = Plan(ladder, Goal("loss", mode), num_trials)
    search, twin = Asha(plan), Asha(plan)
    while decisions := search.decide(2):
        for trial, rung, target in ((d.trial, d.rung, d.target) for d in decisions):
            for entry in (scheduled(trial, rung, target), completed(trial, rung, values[trial])):
                search.apply(entry)
                twin = Asha.restore(plan, twin.snapshot())
                twin.apply(entry)
        assert twin.decide(3) == search.decide(3)
    assert search.finished
    assert twin.finished
