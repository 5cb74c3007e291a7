"""What Optuna's samplers learn from trials that reached different resources.

Rules

* TPE is told every trial as pruned, with its values by resource. That is how Optuna itself ranks
  what a pruner stopped: who came further is better, then the value there counts. Trials at max_t
  are no exception, as complete trials would rank the same; so it stays right when max_t grows. One
  that diverged or failed is pruned without a value, which ranks last.
* GP and NSGA-II compare values, so they are told those at one resource: the highest at which enough
  results are (Falkner, Klein and Hutter, "BOHB", ICML 2018, section 4.1, ask the same of theirs).
  GP has enough at 2 (d + 1) for d hyperparameters, NSGA-II at a population.
* NSGA-II takes the best population of all these results as the parents of each new trial: a
  generation ends with each result (Durillo et al., "On the effect of the steady-state selection
  scheme in multi-objective genetic algorithms", EMO 2009), so none waits for stragglers.
* NSGA-II learns from all metrics and from the constraints, which come first: the parents are the
  best population in the order of `front.py`. A result that is not ranked is never a parent, and not
  told. What was known before has one value only; where more counts, NSGA-II is not told of it.
* The others learn from the leading metric alone.
* CMA-ES has a state that moves with each population. A population here is that many results of one
  rung, in the order in which they came: only results of one rung can be compared, and the results
  of higher rungs, which are those of better trials, move it once more. It moves through them in the
  order in which populations got full, which the history tells, so it is rebuilt by going through
  the history again. Each hyperparameter that it cannot take, a choice, is drawn at random.
* Else what was known before the first trial is told like results, one from beyond max_t as at
  max_t.
* TPE is told of LIMIT trials at most, GP of fewer: the better half of them by rank, and of the
  others those that came last. A suggestion costs the same from there on.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from optuna.samplers import CmaEsSampler, GPSampler, NSGAIISampler, TPESampler

from asha_queue.samplers.history import History, Observation
from asha_queue.samplers.optuna import known
from asha_queue.samplers.optuna.parameters import Parameters
from asha_queue.samplers.optuna.study import Told, ask, told
from asha_queue.search.goal import Goal
from asha_queue.search.rung import Standing
from asha_queue.specification import Specification

#: Results before which every sampler draws at random.
FIRST = 10
#: Trials that a sampler is told of at most.
LIMIT = 500
GP_LIMIT = 200
#: Parents of NSGA-II. Optuna's 50 would be most of a usual experiment.
POPULATION = 20
#: Tells the random numbers here from those of others.
STREAM = 3


def chosen(ranked: Sequence[int], limit: int) -> list[int]:
    """Of trials from the best to the worst the better half of the limit, and of the others those
    with the highest numbers; in the order of numbers."""
    best = ranked[: limit // 2]
    return sorted([*best, *sorted(ranked[limit // 2 :])[-(limit - len(best)) :]])


class Model:
    """A sampler of Optuna's, asked for one trial at a time."""

    #: Whether it keeps away from trials in training; one that does not is told of none.
    looks_aside = False
    #: Losses that it is told of each trial.
    objectives = 1

    def __init__(self, specification: Specification) -> None:
        self._seed, self._top = specification.drawn_seed, specification.max_t
        self._sign = -1.0 if specification.leading.mode == "max" else 1.0
        self._parameters = Parameters(specification.parameters)
        self._params: dict[int, dict[str, Any]] = {}
        self._prior: list[Observation] = []

    def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
        trials = self.trials(history)
        configs = []
        for trial in range(first, first + n):
            sampler = self.sampler(self._number(trial))
            params, _ = ask(sampler, trials, self._parameters.distributions, self.objectives)
            config = self._parameters.config(params, trial, self._seed)
            configs.append(config)
            if self.looks_aside:
                trials.append(self.trial(self._parameters.told(config)))
        return configs

    def sampler(self, seed: int) -> Any:
        """A new one: it remembers nothing."""
        raise NotImplementedError

    def trials(self, history: History) -> list[Told]:
        """What the sampler is told."""
        raise NotImplementedError

    def trial(self, params: dict[str, Any], **outcome: Any) -> Told:
        return told(params, self._parameters.distributions, **outcome)

    def results(self, history: History) -> list[Observation]:
        """Those of the experiment after those that were known before: of trials -1, -2, …"""
        if len(self._prior) != len(history.prior):
            self._prior = [
                Observation(~place, 0, min(one.resource, self._top), one.value)
                for place, one in enumerate(history.prior)
            ]
        return self._prior + history.results

    def params(self, history: History, trial: int) -> dict[str, Any]:
        if trial not in self._params:
            config = history.configs[trial] if trial >= 0 else history.prior[~trial].config
            self._params[trial] = self._parameters.told(config)
        return self._params[trial]

    def running(self, history: History, but: Iterable[int]) -> list[Told]:
        """The trials in training but these, for a sampler that keeps away from them."""
        if not self.looks_aside:
            return []
        trials = sorted(history.running.keys() - set(but))
        return [self.trial(self.params(history, trial)) for trial in trials]

    def _number(self, trial: int) -> int:
        return int(np.random.default_rng([self._seed, trial, STREAM]).integers(2**31))


class Tpe(Model):
    looks_aside = True

    def sampler(self, seed: int) -> Any:
        return TPESampler(seed=seed, n_startup_trials=FIRST, multivariate=True, constant_liar=True)

    def trials(self, history: History) -> list[Told]:
        values = known.latest(self.results(history))

        def rank(trial: int) -> tuple[float, float]:
            steps = values[trial]
            return (-max(steps), self._sign * steps[max(steps)]) if steps else (1, 0.0)

        results = [
            self.trial(
                self.params(history, trial),
                steps={step: self._sign * value for step, value in values[trial].items()},
            )
            for trial in chosen(sorted(values, key=rank), LIMIT)
        ]
        return results + self.running(history, values)


class AtOneResource(Model):
    """Is told of the values at one resource."""

    limit = LIMIT

    @property
    def enough(self) -> int:
        raise NotImplementedError

    def trials(self, history: History) -> list[Told]:
        results = known.level(known.by_resource(self.results(history)), self.enough)
        losses = dict(
            zip((r.trial for r in results), known.numbers(results, self._sign), strict=True)
        )
        trials = chosen(sorted(losses, key=lambda trial: losses[trial]), self.limit)
        complete = [
            self.trial(
                self.params(history, trial), losses=[losses[trial]], attributes=self.attributes()
            )
            for trial in trials
        ]
        return complete + self.running(history, losses)

    def attributes(self) -> dict[str, Any]:
        return {}


class Gp(AtOneResource):
    looks_aside = True
    limit = GP_LIMIT

    @property
    def enough(self) -> int:
        return max(FIRST, 2 * (len(self._parameters.distributions) + 1))

    def sampler(self, seed: int) -> Any:
        return GPSampler(seed=seed, n_startup_trials=FIRST, warn_independent_sampling=False)


class NsgaII(AtOneResource):
    enough = POPULATION

    def __init__(self, specification: Specification) -> None:
        super().__init__(specification)
        self._goal = specification.goal
        self._signs = [-1.0 if goal.mode == "max" else 1.0 for goal in self._goal.objectives]
        self.objectives = len(self._signs)

    def trials(self, history: History) -> list[Told]:
        if isinstance(self._goal, Goal):
            return super().trials(history)
        standings = known.standings(history.results, self.enough)
        rung = self._goal.rung(1)
        for trial, standing in standings.items():
            rung.add(trial, standing)
        ranked = rung.promotable(len(standings))  # of a reduction factor of 1, which are all
        return [
            self._standing(self.params(history, trial), standings[trial])
            for trial in chosen(ranked, self.limit)
        ]

    def _standing(self, params: dict[str, Any], standing: Standing) -> Told:
        losses = [sign * value for sign, value in zip(self._signs, standing.values, strict=True)]
        trial = self.trial(params, losses=losses, attributes=self.attributes())
        trial.set_constraint("violation", standing.violation)
        return trial

    def sampler(self, seed: int) -> Any:
        return NSGAIISampler(seed=seed, population_size=POPULATION)

    def attributes(self) -> dict[str, Any]:
        """All belong to one generation, and a new trial to the next."""
        return {NSGAIISampler._get_generation_key(): 0}


class CmaEs(Model):
    def __init__(self, specification: Specification) -> None:
        super().__init__(specification)
        self._names = self._parameters.numbers
        self._size = 4 + math.floor(3 * math.log(max(len(self._names), 1)))
        self._start()

    def _start(self) -> None:
        #: The results that were gone through, and those of no full population by their resource.
        self._seen: list[Observation] = []
        self._waiting: dict[int, list[Observation]] = {}
        #: What Optuna has left after the last full population.
        self._state: dict[str, Any] = {}
        self._generation = 0

    def sampler(self, seed: int) -> Any:
        return CmaEsSampler(
            seed=seed, popsize=self._size, n_startup_trials=1, warn_independent_sampling=False
        )

    def trials(self, history: History) -> list[Told]:
        if self._names:
            self._go_through(history)
        if not self._seen:
            return []
        params = self._numbers(history, self._seen[0])
        return [self.trial(params, losses=[0.0], attributes=self._state)]

    def _go_through(self, history: History) -> None:
        results = self.results(history)
        if results[: len(self._seen)] != self._seen:
            self._start()  # a failure was taken back
        for result in results[len(self._seen) :]:
            waiting = self._waiting.setdefault(result.resource, [])
            waiting.append(result)
            if len(waiting) == self._size:
                self._move(history, self._waiting.pop(result.resource))
            self._seen.append(result)

    def _move(self, history: History, population: Sequence[Observation]) -> None:
        """Tells Optuna a population: it moves its state on and leaves it with the next trial."""
        sampler = self.sampler(self._number(self._generation))
        member = {sampler._attr_key_generation: self._generation}
        trials = [
            self.trial(
                self._numbers(history, result), losses=[loss], attributes=member | self._state
            )
            for result, loss in zip(population, known.numbers(population, self._sign), strict=True)
        ]
        space = {name: self._parameters.distributions[name] for name in self._names}
        _, left = ask(sampler, trials, space)
        prefix = sampler._attr_key_optimizer
        self._state = {key: value for key, value in left.items() if key.startswith(prefix)}
        self._generation += 1

    def _numbers(self, history: History, result: Observation) -> dict[str, Any]:
        params = self.params(history, result.trial)
        return {name: params[name] for name in self._names}


MODELS = {
    "optuna-tpe": Tpe,
    "optuna-gp": Gp,
    "optuna-cmaes": CmaEs,
    "optuna-nsgaii": NsgaII,
}
