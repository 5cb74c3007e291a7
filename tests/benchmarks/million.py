"""An experiment of 10,000 trials that reported a million values, as its journal has it."""

import random
from typing import Any

from asha_queue.search.space import choice, loguniform, uniform
from asha_queue.settings import CURVE_POINTS
from asha_queue.simulation import simulate
from asha_queue.specification import Specification

#: Points of each segment's curve, of which the journal keeps CURVE_POINTS at most.
POINTS = 50
assert POINTS <= CURVE_POINTS


def experiment(trials: int = 10_000) -> Specification:
    return Specification(
        name="million",
        train="million.py:train",
        space={
            "lr": loguniform(1e-4, 1.0),
            "dropout": uniform(0, 0.5),
            "hidden": choice([16, 32, 64, 128]),
            "optimizer": choice(["sgd", "adam"]),
        },
        metric="loss",
        mode="min",
        max_t=3200,
        grace_period=50,
        reduction_factor=2,
        num_samples=trials,
        seed=0,
        sampler="random",
    )


def loss(config: dict[str, Any], step: int) -> float:
    return float(abs(config["lr"] - 0.01) ** 0.5 + 0.1 * config["dropout"] + 3 / step**0.5)


def journal(trials: int = 10_000) -> tuple[list[dict[str, Any]], int]:
    """The entries, each with a curve, and how many points these have in all."""
    entries = simulate(
        experiment(trials),
        lambda config, t: {"loss": loss(config, t)},
        lambda config, start, target: (target - start) * (1 + config["hidden"] / 64),
        workers=100,
    ).journal
    rng = random.Random(0)
    configs: dict[int, dict[str, Any]] = {}
    starts: dict[int, int] = {}
    count = 0
    for entry in entries:
        if entry["type"] == "scheduled" and entry["config"]:
            configs[entry["trial"]] = entry["config"]
        elif entry["type"] == "started":
            starts[entry["trial"]] = entry["start"]
        elif entry["type"] == "completed":
            start, end = starts[entry["trial"]], entry["reached"]
            steps = [start + (end - start) * i // POINTS for i in range(1, POINTS + 1)]
            entry["curve"] = [
                [step, {"loss": loss(configs[entry["trial"]], step) + rng.gauss(0, 0.01)}]
                for step in steps[:-1]
            ]
            entry["curve"].append([end, entry["metrics"]])
            count += POINTS
    return entries, count
