"""Methods by name: `asha`, `asha/eta=3`, `sha/from=4`, `asha/brackets=3/sampler=random`.

`asha` is the project's own search as in the paper, `asha-hedged` the one that tests its rungs, with
the defaults that an experiment has. `eta` is the reduction factor and `from` the level of the first
rung, of methods that have them; `brackets`, at most as many as there are levels, and `variant` are
those of `asha`; `sampler` chooses rows. Whatever is added to METHODS, RULES or SAMPLERS can be
asked for by its name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from asha_queue.samplers.optuna import OPTUNA
from asha_queue.search.asha import Asha, Decision
from asha_queue.search.goal import Goal
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan
from asha_queue.search.variants import VARIANTS
from asha_queue.specification import Specification
from tests.benchmarks.quality import baselines, rules
from tests.benchmarks.quality.peers.curves import RULE_OF
from tests.benchmarks.quality.play import Method, Run, Segment, World, play
from tests.benchmarks.quality.suggested import SAMPLERS
from tests.benchmarks.quality.tables import Floats, Task

#: Name under which the search gets values.
METRIC = "loss"


class MethodError(Exception):
    """Raised for a name that no method has, or an option that it does not take."""


class Searched:
    """The project's search as it runs in a coordinator: entries in, decisions out."""

    def __init__(self, search: Asha) -> None:
        self._search = search
        self._curve: list[list[object]] = []

    def decide(self) -> Segment | None:
        decisions: list[Decision] = self._search.decide(1)
        if not decisions:
            return None
        [decision] = decisions
        self._search.apply(
            {
                "type": "scheduled",
                "trial": decision.trial,
                "bracket": decision.bracket,
                "rung": decision.rung,
                "target": decision.target,
                "attempt": 1,
            }
        )
        return Segment(decision.trial, decision.rung, decision.target)

    def watch(self, segment: Segment, values: Floats) -> None:
        steps = range(segment.target - len(values) + 1, segment.target + 1)
        self._curve = [
            [step, {METRIC: value}] for step, value in zip(steps, values.tolist(), strict=True)
        ]

    def complete(self, segment: Segment, value: float) -> None:
        entry = {"type": "completed", "trial": segment.trial, "rung": segment.rung}
        self._search.apply({**entry, "metrics": {METRIC: value}, "curve": self._curve})
        self._curve = []

    def fail(self, segment: Segment) -> None:
        entry = {"type": "failed", "trial": segment.trial, "rung": segment.rung}
        self._search.apply({**entry, "final": True, "metrics": {}})


def _asha(ladder: Ladder, trials: int, brackets: int = 1, variant: str = "promotion") -> Method:
    brackets = min(brackets, len(ladder.levels))
    plan = Plan(ladder, Goal(METRIC, "min"), trials, brackets=brackets, variant=variant)
    return Searched(Asha(plan))


def _stopping(goes_on: rules.GoesOn, shares: Callable[[Ladder], list[Fraction]]) -> "Make":
    return lambda ladder, trials: rules.Stopping(goes_on, shares(ladder), ladder, trials)


def _syne_promotion(ladder: Ladder, trials: int) -> Method:
    return rules.Promotion(rules.syne_cut, rules.by_level(ladder), ladder, trials)


def _hedged(ladder: Ladder, trials: int) -> Method:
    return Searched(Asha(Plan(ladder, Goal(METRIC, "min"), trials, hedge=True)))


def _brackets(rule: Callable[[Ladder], Iterator[baselines.Rungs]]) -> "Make":
    return lambda ladder, trials: baselines.Synchronous(rule(ladder), trials)


#: From a ladder and a number of trials to a method.
Make = Callable[[Ladder, int], Method]

METHODS: dict[str, Make] = {
    "asha": _asha,
    "asha-hedged": _hedged,
    "sha": _brackets(baselines.halving),
    "hyperband": _brackets(baselines.hyperband),
    "one-epoch": _brackets(baselines.one_epoch),
    "random": _brackets(baselines.random_search),
}
#: Rules of peers, played here (see `rules.py`), by what is played of the peers themselves.
RULES: dict[str, Make] = {
    f"{RULE_OF}{name}": make
    for name, make in {
        "ray-tune-asha": _stopping(rules.ray_goes_on, rules.alike),
        "syne-tune-promotion": _syne_promotion,
        "syne-tune-stopping": _stopping(rules.syne_goes_on, rules.by_level),
        "optuna-sh": _stopping(rules.optuna_goes_on, rules.alike),
    }.items()
}
#: Methods without rungs of their own to choose.
WITHOUT_LADDER = ("one-epoch", "random")
#: What is played when no methods are named.
USUAL = "asha,asha/eta=3,sha,sha/eta=3,hyperband/eta=3,one-epoch,random"


@dataclass(frozen=True, slots=True)
class Player:
    """A method and its options, ready to be played on any task."""

    name: str
    make: Make
    sampler: str
    eta: int
    first: int
    brackets: int
    variant: str

    def play(self, task: Task, seed: int, world: World) -> Run:
        first = min(self.first, task.steps)
        ladder = Ladder(first, task.steps, self.eta)
        make = self.make
        if make is _asha:
            make = partial(_asha, brackets=self.brackets, variant=self.variant)
        method = make(ladder, task.rows)
        return play(task, seed, method, SAMPLERS[self.sampler](task, seed), world)


def player(text: str) -> Player:
    """The method of this name; MethodError says what there is."""
    name, *options = text.split("/")
    if name not in METHODS | RULES:
        raise MethodError(f"{text}: no method is named {name!r}; there are {', '.join(METHODS)}")
    fields = Specification.model_fields
    numbers = {
        "eta": int(fields["reduction_factor"].default),
        "from": int(fields["grace_period"].default),
        "brackets": int(fields["brackets"].default),
    }
    sampler, variant = "random", str(fields["variant"].default)
    for option in options:
        key, _, value = option.partition("=")
        if key == "sampler" and value in SAMPLERS:
            sampler = value
            if value in OPTUNA and (missing := OPTUNA[value].missing()):
                raise MethodError(f"{text}: {missing}")
        elif key == "sampler":
            known = ", ".join(SAMPLERS)
            raise MethodError(f"{text}: no sampler is named {value!r}; there are {known}")
        elif key == "variant" and key in _options(name):
            if value not in VARIANTS:
                known = ", ".join(VARIANTS)
                raise MethodError(f"{text}: no variant is named {value!r}; there are {known}")
            variant = value
        elif key not in _options(name):
            known = ", ".join(_options(name))
            raise MethodError(f"{text}: {name} has no option {key!r}; it takes {known}")
        elif not value.isdecimal() or int(value) < (2 if key == "eta" else 1):
            least = 2 if key == "eta" else 1
            raise MethodError(f"{text}: {key} must be a whole number of at least {least}")
        else:
            numbers[key] = int(value)
    eta, first, brackets = (numbers[key] for key in ("eta", "from", "brackets"))
    return Player(text, (METHODS | RULES)[name], sampler, eta, first, brackets, variant)


def _options(name: str) -> list[str]:
    """What a method takes."""
    own = ["brackets", "variant"] if METHODS.get(name) is _asha else []
    return ["sampler"] if name in WITHOUT_LADDER else ["eta", "from", *own, "sampler"]
