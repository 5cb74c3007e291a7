"""Random experiments, compared after every event with the rules written down naively."""

import json
import math
from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.search.asha import Asha, Decision
from asha_queue.search.goal import Goal
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan
from asha_queue.search.variants import VARIANTS
from tests.pure.entries import Entry, completed, extended, failed, retried, scheduled

#: Few different values, so that ties are common, and all the bad ones.
VALUES = [0.0, 1, 2, 2.5, 3, -1, "NaN", "Infinity", "-Infinity", None]


def entry_of(decision: Decision) -> Entry:
    """The entry by which a decision takes effect."""
    where = {"bracket": decision.bracket}
    return scheduled(decision.trial, decision.rung, decision.target, **where)


class Reference:
    """The rules by sorting everything anew for each decision."""

    def __init__(
        self, ladder: Ladder, mode: str, num_trials: int, brackets: int, variant: str
    ) -> None:
        self.ladder, self.mode, self.num_trials = ladder, mode, num_trials
        self.brackets, self.variant = brackets, variant
        #: What goes on out of a (bracket, rung) in the stopping variant, as it came.
        self.going: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        self.top = 1  # of PASHA
        #: By (bracket, rung).
        self.results: defaultdict[tuple[int, int], dict[int, float]] = defaultdict(dict)
        self.promoted: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        self.failed: list[tuple[int, int]] = []
        self.bracket_of: list[int] = []
        self.paused = False

    def fail(self, trial: int, rung: int) -> None:
        self.result(trial, rung, None)
        self.failed.append((trial, rung))

    def retry(self, which: int) -> tuple[int, int]:
        trial, rung = self.failed.pop(which % len(self.failed))
        del self.results[self.bracket_of[trial], rung][trial]
        return trial, rung

    def extend(self, levels: int, trials: int) -> int:
        """Adds trials, and so many levels by doubling the top; the new top."""
        for _ in range(levels):
            top = self.ladder.levels[-1] * 2  # at most one factor: one level each
            self.ladder = self.ladder.with_levels((*self.ladder.levels, top))
        self.num_trials += trials
        return self.ladder.levels[-1]

    def result(self, trial: int, rung: int, value: object) -> None:
        read = math.nan if value is None else float(str(value))
        loss = read if self.mode == "min" else -read
        self.results[self.bracket_of[trial], rung][trial] = math.inf if math.isnan(loss) else loss
        results, eta = self.results[self.bracket_of[trial], rung], self.ladder.reduction_factor
        ranked = sorted(results, key=lambda trial: (results[trial], trial))
        best = ranked if len(ranked) < eta else ranked[: len(ranked) // eta]
        if trial in best and results[trial] < math.inf:
            self.going[self.bracket_of[trial], rung].append(trial)
        if self.variant == "pasha" and rung == self.top and math.isfinite(results[trial]):
            self.look_at_ranks(ranked)

    def look_at_ranks(self, ranked: list[int]) -> None:
        """Lets the top of PASHA rise, when it has no curves: epsilon is 0."""
        here, below = self.results[0, self.top], self.results[0, self.top - 1]
        both = [t for t in ranked if math.isfinite(here[t]) and math.isfinite(below[t])]
        if [below[t] for t in both] != sorted(below[t] for t in both):
            self.top += 1

    def decide(self, slots: int) -> list[Decision]:
        decisions: list[Decision] = []
        if self.paused:
            return decisions
        levels = self.ladder.levels
        top = len(levels) - 1
        top = min(top, self.top) if self.variant == "pasha" else top
        for level in reversed(range(top)):
            for bracket in range(min(self.brackets, level + 1)):
                rung = level - bracket
                results = self.results[bracket, rung]
                ranked = sorted(results, key=lambda trial: (results[trial], trial))
                cut = len(ranked) // self.ladder.reduction_factor
                best = self.going[bracket, rung] if self.variant == "stopping" else ranked[:cut]
                left = cut if self.variant == "delayed" else len(ranked) + 1
                left -= len(self.promoted[bracket, rung])
                for trial in best:
                    if left <= 0:
                        break
                    if trial not in self.promoted[bracket, rung] and results[trial] < math.inf:
                        decisions.append(Decision(trial, bracket, rung + 1, levels[level + 1]))
                        left -= 1
        started = Counter(self.bracket_of)
        for trial in range(len(self.bracket_of), self.num_trials):
            planned = [(started[s] + 1) * self.cost(s) for s in range(self.brackets)]
            bracket = planned.index(min(planned))
            started[bracket] += 1
            decisions.append(Decision(trial, bracket, 0, levels[bracket]))
        return decisions[:slots]

    def cost(self, bracket: int) -> Fraction:
        """What a trial of a bracket costs in the mean, if each rung promotes 1 in eta."""
        total, below = Fraction(0), 0
        for rung, level in enumerate(self.ladder.levels[bracket:]):
            total += Fraction(level - below, self.ladder.reduction_factor**rung)
            below = level
        return total

    def schedule(self, decision: Decision) -> None:
        if decision.rung == 0:
            self.bracket_of.append(decision.bracket)
        else:
            self.promoted[decision.bracket, decision.rung - 1].add(decision.trial)


@st.composite
def experiments(draw: st.DrawFn) -> tuple[Ladder, str, int, int, str]:
    ladder = Ladder(1, draw(st.sampled_from([1, 4, 9, 10])), draw(st.integers(2, 4)))
    variant = draw(st.sampled_from(VARIANTS))
    brackets = 1 if variant == "pasha" else draw(st.integers(1, len(ladder.levels)))
    mode, trials = draw(st.sampled_from(["min", "max"])), draw(st.integers(1, 25))
    return ladder, mode, trials, brackets, variant


#: What is ordered, and how a segment ends.
ORDERS = ["pause", "resume", "extend", "retry", "finish"]
ENDS = [*VALUES, *VALUES, "failed", "failed", "failed again", "lost"]
#: What happens next: how many slots are free, whom it concerns, and what it is.
EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 100), st.sampled_from(ENDS + ORDERS)),
    max_size=60,
)


@given(experiment=experiments(), events=EVENTS)
@settings(max_examples=300, deadline=None)
def test_every_decision_is_the_reference_s_and_every_state_survives_its_snapshot(
    experiment: tuple[Ladder, str, int, int, str], events: list[tuple[int, int, Any]]
) -> None:
    ladder, mode, num_trials, brackets, variant = experiment
    plan = Plan(ladder, Goal("loss", mode), num_trials, brackets=brackets, variant=variant)
    search = Asha(plan)
    reference = Reference(ladder, mode, num_trials, brackets, variant)
    running: list[Decision] = []
    attempts: Counter[tuple[int, int]] = Counter()

    def again(trial: int, rung: int) -> None:
        attempts[trial, rung] += 1
        bracket = reference.bracket_of[trial]
        level = reference.ladder.target(bracket, rung)
        attempt = 1 + attempts[trial, rung]
        apply(scheduled(trial, rung, level, bracket=bracket, attempt=attempt))

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
            apply(entry_of(decision))
            reference.schedule(decision)
            running.append(decision)
        assert search.outstanding == len(running)
        assert search.started == len(reference.bracket_of)
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
            bracket = reference.bracket_of[trial]
            level = reference.ladder.target(bracket, rung)
            running.append(Decision(trial, bracket, rung, level))
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
    experiment: tuple[Ladder, str, int, int, str], values: list[float]
) -> None:
    ladder, mode, num_trials, brackets, variant = experiment
    plan = Plan(ladder, Goal("loss", mode), num_trials, brackets=brackets, variant=variant)
    search, twin = Asha(plan), Asha(plan)
    while decisions := search.decide(2):
        for decision in decisions:
            value = values[decision.trial]
            result = completed(decision.trial, decision.rung, value)
            for entry in (entry_of(decision), result):
                search.apply(entry)
                twin = Asha.restore(plan, twin.snapshot())
                twin.apply(entry)
        assert twin.decide(3) == search.decide(3)
    assert search.finished
    assert twin.finished
