"""The validated fields of an experiment, in Python, JSON and TOML."""

import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from asha_queue.errors import SpecificationError
from asha_queue.search.goal import Goal, Goals, bounds, modes_of, named
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan, conflict
from asha_queue.search.space import Space
from asha_queue.settings import NAME
from asha_queue.specification.problems import line, no_grid, told
from asha_queue.specification.program import reference

#: Trials that are usual: so many, or what it takes until one is trained in full, up to the second.
USUAL_TRIALS = 64
MOST_USUAL = 1024
#: Trials up to which a model suggests them unless told otherwise: its history is part of what a
#: coordinator that takes over has to read.
MODELLED = 10_000

Mode = Literal["min", "max"]

_Optuna = Literal["optuna-tpe", "optuna-gp", "optuna-cmaes", "optuna-nsgaii"]
_TRAIN = re.compile(r"^[^:]+\.py:[A-Za-z_]\w*$")


class Specification(BaseModel):
    """What an experiment is: its program, its space, and how its trials are compared.

    A field's description is what its error message says is allowed. Construction raises
    SpecificationError with one line per bad field, never pydantic's own error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(
        pattern=NAME,
        description="1 to 64 letters, digits, '_' or '-', beginning with a letter or a digit",
    )
    train: str = Field(
        pattern=_TRAIN.pattern,
        description="a function at the top of a file, or a text such as 'file.py:function'",
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
        "left out, 'trees' for one metric and up to 10,000 trials",
    )
    initial_configs: list[dict[str, Any]] = Field(
        default=[],
        description="a list of configurations, or parts of them, that are tried first",
    )
    warm_start: list[str] = Field(
        default=[],
        description="a list of names of experiments in the same store, or of paths of "
        "journal.jsonl files, whose results it learns from",
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
    storage: str = Field(
        default="asha-runs", min_length=1, description="a text: the folder of checkpoints and logs"
    )
    digest: str = Field(
        default="", description="the SHA-256 of the program's file, filled at submission"
    )
    prior: list[dict[str, Any]] = Field(
        default=[], description="the results that `warm_start` has found, filled at submission"
    )

    _parameters: Space = PrivateAttr()

    def __init__(self, **given: Any) -> None:
        if "variant" in given or given.get("brackets", 1) != 1:
            given.setdefault("hedge", False)
        try:
            super().__init__(**given)
        except ValidationError as error:
            lines = [line(type(self), given, detail) for detail in error.errors()]
            # a field of either of two types is wrong twice
            raise SpecificationError("\n".join(dict.fromkeys(lines))) from None

    @field_validator("train", mode="before")
    @classmethod
    def _refer(cls, train: Any) -> Any:
        return told(lambda: reference(train) if callable(train) else train)

    @field_validator("metric")
    @classmethod
    def _name_metrics(cls, metric: Any) -> Any:
        return told(lambda: named(metric))

    @field_validator("mode")
    @classmethod
    def _mode_of_each(cls, mode: Any, info: ValidationInfo) -> Any:
        if "metric" not in info.data:
            return mode  # which has a line of its own
        return told(lambda: modes_of(info.data["metric"], mode))

    @field_validator("constraints", mode="before")
    @classmethod
    def _bound(cls, constraints: Any) -> Any:
        return told(lambda: bounds(constraints) if isinstance(constraints, dict) else constraints)

    @field_validator("space", mode="before")
    @classmethod
    def _write_domains(cls, space: Any) -> Any:
        return told(lambda: Space(space).to_json())

    @field_validator("initial_configs", mode="before")
    @classmethod
    def _fit(cls, configs: Any, info: ValidationInfo) -> Any:
        if not isinstance(configs, list) or "space" not in info.data:
            return configs  # one of both is wrong, and has a line of its own
        space = Space(info.data["space"])
        if configs and space.grid_size > 1:
            raise ValueError(
                "initial_configs: cannot go with a grid, whose points are tried in turn; use "
                "choice in the place of grid_search, or leave out initial_configs"
            )
        num_samples = info.data.get("num_samples", len(configs))
        if len(configs) > num_samples:
            raise ValueError(
                f"initial_configs: {len(configs)} configurations are more than num_samples allows, "
                f"which counts them and is {num_samples}"
            )
        return told(
            lambda: [space.accepted(c, f"initial_configs[{i}]") for i, c in enumerate(configs)]
        )

    @field_validator("warm_start")
    @classmethod
    def _name(cls, sources: list[str], info: ValidationInfo) -> list[str]:
        for source in sources:
            if not re.fullmatch(NAME, source) and not source.endswith(".jsonl"):
                raise ValueError(
                    f"warm_start={source!r}: must be the name of an experiment in the same store, "
                    f"or the path of its journal, which ends with .jsonl"
                )
        if sources and "space" in info.data and Space(info.data["space"]).grid_size > 1:
            raise ValueError(
                "warm_start: cannot go with a grid, whose points are tried in turn; use choice in "
                "the place of grid_search, or leave out warm_start"
            )
        return sources

    @model_validator(mode="after")
    def _climb(self) -> Self:
        if self.grace_period > self.max_t:
            raise ValueError(
                f"grace_period={self.grace_period}: must be at most max_t, which is {self.max_t}"
            )
        if wrong := conflict(self.plan):
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _suit(self) -> Self:
        """What is usual for such an experiment, where nothing was asked for."""
        if "num_samples" not in self.model_fields_set:
            grid_size, rungs = self._parameters.grid_size, self.ladder.rungs()
            trials = min(max(USUAL_TRIALS, self.reduction_factor ** (rungs - 1)), MOST_USUAL)
            object.__setattr__(self, "num_samples", -(-trials // grid_size))
        if "sampler" not in self.model_fields_set:
            learns = isinstance(self.metric, str) and self.num_trials <= MODELLED
            object.__setattr__(self, "sampler", "trees" if learns else "random")
        return self

    @model_validator(mode="after")
    def _combine(self) -> Self:
        if self.sampler != "grid":
            return self
        space = Space(self.space)
        if space.combinations is None:
            raise ValueError(no_grid(space))
        # Each once, however many more are allowed.
        most = max(space.combinations.size, len(self.initial_configs))
        object.__setattr__(self, "num_samples", min(self.num_samples, most))
        return self

    def model_post_init(self, context: Any, /) -> None:
        self._parameters = Space(self.space)

    @property
    def parameters(self) -> Space:
        """The space, ready to draw from."""
        return self._parameters

    @property
    def ladder(self) -> Ladder:
        return Ladder(self.grace_period, self.max_t, self.reduction_factor)

    @property
    def plan(self) -> Plan:
        """What its search is told."""
        return Plan.of(self.to_json())

    @property
    def goal(self) -> Goal | Goals:
        """What its trials are compared by."""
        return Goals.of(self.metric, self.mode, self.constraints)

    @property
    def leading(self) -> Goal:
        """The first metric: the one that is shown where there is room for one."""
        return self.goal.objectives[0]

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics that trials are ranked by."""
        return [self.metric] if isinstance(self.metric, str) else self.metric

    @property
    def num_trials(self) -> int:
        """New trials in all: `num_samples` for each point of the grid."""
        return self.num_samples * self._parameters.grid_size

    @property
    def drawn_seed(self) -> int:
        """The seed of an experiment that has one, as every submitted one does."""
        if self.seed is None:
            raise SpecificationError("seed=None: no seed has been drawn yet; use `seeded()` first")
        return self.seed

    def seeded(self) -> Self:
        """This specification, with a random seed if it has none."""
        if self.seed is not None:
            return self
        return self.model_copy(update={"seed": secrets.randbits(32)})

    def extended(self, changed: Mapping[str, int]) -> Self:
        """This specification with the values of an `extended` entry: num_samples, max_t or both.

        Its trials are counted rightly; its ladder is not `ladder` any more, but that one extended.
        """
        return self.model_copy(update=dict(changed))

    def to_json(self) -> dict[str, Any]:
        """Every field with its value, as the journal's `submitted` entry holds them."""
        return self.model_dump()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The specification of which `to_json` has these fields, of an earlier version too.

        What such an experiment has decided was decided without hedging and without a model,
        whatever is usual now.
        """
        return cls(**{"hedge": False, "sampler": "random", **fields})

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Reads a `.toml` file that holds the fields; domains are inline tables, and paths of the
        program and of journals are relative to the file.

        Each line of an error begins with the file's path.
        """
        try:
            with Path(path).open("rb") as file:
                fields = tomllib.load(file)
        except OSError as error:
            raise SpecificationError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SpecificationError(f"{path}: not valid TOML: {error}") from None
        if isinstance(fields.get("train"), str):
            fields["train"] = str(Path(path).parent / fields["train"])
        if isinstance(sources := fields.get("warm_start"), list):
            fields["warm_start"] = [
                str(Path(path).parent / one) if str(one).endswith(".jsonl") else one
                for one in sources
            ]
        try:
            return cls(**fields)
        except SpecificationError as error:
            lines = [f"{path}: {line}" for line in str(error).splitlines()]
            raise SpecificationError("\n".join(lines)) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Specification) and self.to_json() == other.to_json()

    def differences(self, other: "Specification") -> list[str]:
        """What `other`, the one newly given, changes; empty when it is the same experiment.

        A seed of None asks for no particular one, nor does a sampler that is left out, or hedging:
        an earlier version had other defaults. An empty digest is not known yet, and `prior` was
        looked up once.
        """
        mine, theirs = self.to_json(), other.to_json()
        if other.seed is None:
            theirs["seed"] = mine["seed"]
        for field in {"hedge", "sampler"} - other.model_fields_set:
            theirs[field] = mine[field]
        sentences = []
        if self.digest and other.digest and self.digest != other.digest:
            sentences.append(f"the program {other.train.partition(':')[0]} has changed")
        for fields in (mine, theirs):
            del fields["digest"], fields["prior"]
            fields.update({f"space.{key}": value for key, value in fields.pop("space").items()})
        changes = ((f, mine.get(f, "absent"), theirs.get(f, "absent")) for f in {**mine, **theirs})
        return sentences + [f"{f}: {old} -> {new}" for f, old, new in changes if old != new]
