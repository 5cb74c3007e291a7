"""The fields of an experiment, each with its type, its default and what it allows."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from asha_queue.settings import LARGEST, NAME

Mode = Literal["min", "max"]

#: What a study of Optuna begins with in `warm_start`.
STUDY = "optuna:"

_Optuna = Literal["optuna-tpe", "optuna-gp", "optuna-cmaes", "optuna-nsgaii"]
_TRAIN = re.compile(r"^[^:]+\.py:[A-Za-z_]\w*$")


class Fields(BaseModel):
    """What a specification holds, in the order in which it is checked.

    A field's description is what its error message says is allowed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(
        pattern=NAME,
        description="1 to 64 letters, digits, '_' or '-', beginning with a letter or a digit",
    )
    train: str | None = Field(
        default=None,
        pattern=_TRAIN.pattern,
        description="a function at the top of a file, or a text such as 'file.py:function'",
    )
    dialect: Literal["trial", "ray", "optuna"] = Field(
        default="trial",
        description="what the program is called with: 'trial' for a Trial, 'ray' for a config, as "
        "functions for Ray Tune are, or 'optuna' for a trial with suggest_float and its like, as "
        "objectives for Optuna are; then `space` may be left out",
    )
    space: dict[str, Any] = Field(description="a dict of domains, constants and nested dicts")
    metric: str | list[str] = Field(
        description="the name of the reported number to rank trials by, or a list of such names"
    )
    mode: Mode | list[Mode] = Field(
        description="'min' if a smaller metric is better, 'max' if a larger one is; for several "
        "metrics a list of these"
    )
    constraints: dict[str, dict[str, float]] = Field(
        default={},
        description="a dict from names of reported numbers to what they must be at least or at "
        "most, such as {'latency': {'max': 20.0}}",
    )
    max_t: int = Field(
        ge=1, description="a whole number of at least 1: the resource of a full training"
    )
    grace_period: int = Field(
        default=1, ge=1, description="a whole number from 1 to max_t: the resource of a first rung"
    )
    reduction_factor: int = Field(
        default=4,
        ge=2,
        description="a whole number of at least 2: one in so many trials is promoted",
    )
    variant: Literal["promotion", "delayed", "stopping", "pasha"] = Field(
        default="promotion",
        description="'promotion', 'delayed' for no more promotions than one in reduction_factor, "
        "'stopping' for a verdict on each trial as its result arrives, or 'pasha' for a top that "
        "rises while ranks change",
    )
    brackets: int = Field(
        default=1,
        ge=1,
        description="a whole number from 1 to the number of levels: ladders that begin one level "
        "above each other",
    )
    hedge: bool = Field(
        default=True,
        description="True to test rungs before their ranks are relied on, False for plain ASHA; "
        "if it is left out, True with one bracket and if no variant is named",
    )
    num_samples: int = Field(
        default=64,
        ge=1,
        description="a whole number of at least 1: trials per point of the grid; if it is left "
        "out, at least 64 and so many, up to 1,024, that one gets to max_t",
    )
    seed: int | None = Field(
        default=None, ge=0, description="a whole number of at least 0, or None for any"
    )
    sampler: Literal["random", "sobol", "grid", "trees", _Optuna] = Field(
        default="trees",
        description="'trees' for a model that learns from the results, 'random', 'sobol' for "
        "points that fill the space evenly, 'grid' for every combination of a discrete space, or "
        "one of Optuna's: 'optuna-tpe', 'optuna-gp', 'optuna-cmaes' or 'optuna-nsgaii'; if it is "
        "left out, 'trees' for up to 10,000 trials",
    )
    initial_configs: list[dict[str, Any]] = Field(
        default=[],
        description="a list of configurations, or parts of them, that are tried first",
    )
    warm_start: list[str] = Field(
        default=[],
        description="a list of names of experiments in the same store, of paths of "
        "journal.jsonl files, or of Optuna studies as 'optuna:STORAGE/STUDY', whose results it "
        "learns from",
    )
    time_budget: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="a number of seconds above 0, a text such as '90min' or '1h30min', or None for "
        "no limit: the time from its submission, less pauses, after which it saves and ends",
    )
    resource_budget: int | None = Field(
        default=None,
        ge=1,
        le=LARGEST,
        description="a whole number of at least 1, or None for no limit: units of resource that "
        "all trials together may train",
    )
    stop_at: dict[str, float] | None = Field(
        default=None,
        description="a number, for several metrics a dict such as {'accuracy': 0.95}, or None: how "
        "good a result ends it",
    )
    retries: int = Field(
        default=1, ge=0, description="a whole number of at least 0: failures that are tried again"
    )
    segment_timeout: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="a number of seconds above 0, or None for no limit: the longest that a segment "
        "may train",
    )
    report_timeout: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="a number of seconds above 0, or None for 30 minutes and more where steps take "
        "long: the longest that a program may report nothing",
    )
    weight: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="a number above 0: its share of the workers beside other experiments",
    )
    max_concurrent: int | None = Field(
        default=None,
        ge=1,
        description="a whole number of at least 1, or None: segments that may be open at a time",
    )
    queue: str = Field(
        default="asha",
        pattern=NAME,
        description="1 to 64 letters, digits, '_' or '-', beginning with a letter or a digit: the "
        "queue whose workers train it",
    )
    queues: dict[str, str] = Field(
        default={},
        description="a dict from levels to the queues whose workers train from there on, such as "
        "{1: 'cpu', 16: 'gpu'}, in the place of queue",
    )
    storage: str = Field(
        default="asha-runs",
        min_length=1,
        description="a text: the folder of checkpoints and logs, or s3://BUCKET/PREFIX, gs://… or "
        "az://…",
    )
    trackers: list[str] = Field(
        default=[],
        description="a list of trackers: 'mlflow', 'tensorboard' or 'wandb', each with or without "
        "':WHERE', or a class of your own as 'file.py:Class'",
    )
    keep_checkpoints: int | Literal["needed", "all"] = Field(
        default="needed",
        description="'needed' for the best and those of trials that may still go on, 'all', or a "
        "whole number of at least 1: no more than so many of the needed ones",
    )
    keep_bytes: int | None = Field(
        default=None,
        ge=1,
        description="a whole number of at least 1, or None for no limit: the bytes that "
        "checkpoints may take",
    )
    command: str | None = Field(
        default=None,
        min_length=1,
        description="a line for a shell with placeholders, such as 'python train.py --lr {lr} "
        "--epochs {target} [--resume {checkpoint}] --out {save}', in the place of train",
    )
    pattern: str | None = Field(
        default=None,
        description="a regular expression with a group for each metric, such as "
        "'(?P<step>[0-9]+): (?P<loss>[0-9.]+)', or None for lines of JSON",
    )
    files: dict[str, str] = Field(
        default={}, description="the SHA-256 of each file of the command, filled at submission"
    )
    folder: str = Field(
        default=".",
        description="the folder that the command runs in, below those that workers load programs "
        "from, filled at submission",
    )
    digest: str = Field(
        default="", description="the SHA-256 of the program's file, filled at submission"
    )
    prior: list[dict[str, Any]] = Field(
        default=[], description="the results that `warm_start` has found, filled at submission"
    )
