"""Optuna with two processes that share a study, in a Redis journal or in SQLite."""

import multiprocessing
import random
from multiprocessing.sharedctypes import Synchronized

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalRedisBackend

from tests.benchmarks.peers.work import LEVELS, Phase, main, segment, timed

PRUNER = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)
SPACE: dict[str, optuna.distributions.BaseDistribution] = {
    "x": optuna.distributions.FloatDistribution(0, 1)
}


def _storage(place: str, number: int) -> BaseStorage:
    if place.startswith("sqlite:"):
        return RDBStorage(place)
    return JournalStorage(JournalRedisBackend(place, prefix=str(number)))


def _work(place: str, number: int, phase: Phase, left: "Synchronized[int]") -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        for level in LEVELS:
            loss = segment(x, level, phase.seconds, phase.lines)
            trial.report(loss, level)
            if level < LEVELS[-1] and trial.should_prune():
                raise optuna.TrialPruned
        return loss

    def count(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        with left:  # what Optuna itself has for this reads all trials of the study each time
            left.value -= 1
            if left.value <= 0:
                study.stop()

    study = optuna.load_study(
        study_name=str(number),
        storage=_storage(place, number),
        sampler=optuna.samplers.RandomSampler(),
        pruner=PRUNER,
    )
    study.optimize(objective, callbacks=[count])


def play(place: str, phases: list[Phase]) -> None:
    fork = multiprocessing.get_context("fork")
    for number, phase in enumerate(phases):
        optuna.create_study(study_name=str(number), storage=_storage(place, number))
        left = fork.Value("i", phase.trials - 1)  # when it is reached, another trial is under way
        workers = [fork.Process(target=_work, args=(place, number, phase, left)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            if worker.exitcode:
                raise SystemExit(f"a worker ended with {worker.exitcode}")


def decide(results: int) -> float:
    """From a result to what becomes of its trial; the study is in memory."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(), pruner=PRUNER)
    rng = random.Random(0)
    for _ in range(results):
        loss = rng.random()
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.PRUNED,
                value=loss,
                params={"x": loss},
                distributions=SPACE,
                intermediate_values={1: loss},
                system_attrs={"completed_rung_0": loss},  # where the pruner keeps it
            )
        )
    trials = iter([study.ask(SPACE) for _ in range(100)])

    def decision(loss: float) -> None:
        trial = next(trials)
        trial.report(loss, 1)
        trial.should_prune()

    return timed(decision)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    main(decide, play=play)
