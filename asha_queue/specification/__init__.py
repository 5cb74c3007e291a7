"""The validated fields of an experiment, in Python, JSON and TOML."""

import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import (
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from asha_queue.errors import SpecificationError
from asha_queue.formats import newer
from asha_queue.search.goal import Goal, Goals, bounds, modes_of, named
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan, conflict
from asha_queue.search.rooms import queue_of, queues_of
from asha_queue.search.space import Space
from asha_queue.settings import NAME
from asha_queue.specification import budgets, classes, command, trackers
from asha_queue.specification.fields import STUDY, Fields
from asha_queue.specification.problems import FILLED, line, no_grid, told
from asha_queue.specification.program import reference
from asha_queue.specification.stored import stored
from asha_queue.where import storage_root

#: Trials that are usual: so many, or what it takes until one is trained in full, up to the second.
USUAL_TRIALS = 64
MOST_USUAL = 1024
#: Trials up to which a model suggests them unless told otherwise: its history is part of what a
#: coordinator that takes over has to read.
MODELLED = 10_000


class Specification(Fields):
    """What an experiment is: its program, its space, and how its trials are compared.

    Construction raises SpecificationError with one line per bad field, never pydantic's own error.
    """

    _parameters: Space = PrivateAttr()
    #: Of the file that it was read from.
    _home: Path = PrivateAttr(default_factory=Path)

    def __init__(self, /, **given: Any) -> None:
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

    @field_validator("trackers", mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        return told(lambda: trackers.named(given))

    @field_validator("queues", mode="before")
    @classmethod
    def _class(cls, queues: Any) -> Any:
        return told(lambda: classes.named(queues))

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

    @field_validator("time_budget", mode="before")
    @classmethod
    def _count_seconds(cls, given: Any) -> Any:
        return budgets.seconds(given)

    @field_validator("stop_at", mode="before")
    @classmethod
    def _aim(cls, given: Any, info: ValidationInfo) -> Any:
        if "metric" not in info.data:
            return None  # which has a line of its own
        return told(lambda: budgets.aims(given, info.data["metric"]))

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
            if source.startswith(STUDY) and "/" in source:
                continue
            if not re.fullmatch(NAME, source) and not source.endswith(".jsonl"):
                raise ValueError(
                    f"warm_start={source!r}: must be the name of an experiment in the same store, "
                    f"the path of its journal, which ends with .jsonl, or {STUDY}STORAGE/STUDY"
                )
        if sources and "space" in info.data and Space(info.data["space"]).grid_size > 1:
            raise ValueError(
                "warm_start: cannot go with a grid, whose points are tried in turn; use choice in "
                "the place of grid_search, or leave out warm_start"
            )
        return sources

    @field_validator("storage")
    @classmethod
    def _hold_no_secret(cls, storage: str) -> str:
        told(lambda: storage_root(storage))
        return storage

    @model_validator(mode="after")
    def _run(self) -> Self:
        if (self.train is None) == (self.command is None):
            raise ValueError("train, command: one of both is needed, and only one")
        if self.pattern is not None:
            if self.command is None:
                raise ValueError(f"pattern={self.pattern!r}: goes with command only")
            command.check_pattern(self.pattern, self.metrics)
        if self.command is not None:
            command.check(self.command, Space(self.space).names)
        return self

    @model_validator(mode="after")
    def _climb(self) -> Self:
        if self.grace_period > self.max_t:
            raise ValueError(
                f"grace_period={self.grace_period}: must be at most max_t, which is {self.max_t}"
            )
        if wrong := conflict(self.plan):
            raise ValueError(wrong)
        if wrong := classes.misfit(self.queues, self.queue, self.ladder.levels):
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _keep(self) -> Self:
        kept = self.keep_checkpoints
        if isinstance(kept, int) and kept < 1:
            allowed = type(self).model_fields["keep_checkpoints"].description
            raise ValueError(f"keep_checkpoints={kept}: must be {allowed}")
        if kept == "all" and self.keep_bytes is not None:
            raise ValueError("keep_bytes: cannot go with keep_checkpoints='all'; leave out one")
        return self

    @model_validator(mode="after")
    def _suit(self) -> Self:
        """What is usual for such an experiment, where nothing was asked for."""
        if "num_samples" not in self.model_fields_set:
            grid_size, rungs = self._parameters.grid_size, self.ladder.rungs()
            trials = min(max(USUAL_TRIALS, self.reduction_factor ** (rungs - 1)), MOST_USUAL)
            object.__setattr__(self, "num_samples", -(-trials // grid_size))
        if "sampler" not in self.model_fields_set:
            learns = self.num_trials <= MODELLED
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
    def every_queue(self) -> list[str]:
        """The queues that its segments go to, that of the first level first."""
        return queues_of({"queue": self.queue, "queues": self.queues})

    def queue_of(self, target: int) -> str:
        """The queue of segments that train up to `target`."""
        return queue_of({"queue": self.queue, "queues": self.queues}, target)

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

    def extended(self, changed: Mapping[str, Any]) -> Self:
        """This specification with the values of an `extended` entry: num_samples, max_t, budgets.

        Its trials are counted rightly; its ladder is not `ladder` any more, but that one extended.
        """
        return self.model_copy(update=dict(changed))

    def to_json(self) -> dict[str, Any]:
        """The fields with their values, as the journal's `submitted` entry holds them: without
        those that ask for nothing and that earlier versions do not know."""
        return stored(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The specification of which `to_json` has these fields, of an earlier version too.

        What such an experiment has decided was decided without hedging and without a model,
        whatever is usual now, and its checkpoints were all kept. Raises NewerFormat for one of a
        later version, which has fields that this one does not know.
        """
        cls.require_known(fields)
        earlier = {"hedge": False, "sampler": "random", "keep_checkpoints": "all"}
        return cls(**{**earlier, **fields})

    @classmethod
    def require_known(cls, fields: Mapping[str, Any]) -> None:
        """Raises NewerFormat if these have one that this version does not know."""
        if others := sorted(fields.keys() - cls.model_fields.keys()):
            raise newer(f"experiment {fields.get('name')}", f"it has {', '.join(others)}")

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Reads a `.toml` file that holds the fields; domains are inline tables, and paths of the
        program and of journals are relative to the file, in whose folder a command runs.

        Each line of an error begins with the file's path.
        """
        try:
            with Path(path).open("rb") as file:
                fields = tomllib.load(file)
        except OSError as error:
            raise SpecificationError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:  # of numbers and depths that Python refuses
            raise SpecificationError(f"{path}: not valid TOML: {error!s:.200}") from None
        if isinstance(fields.get("train"), str):
            fields["train"] = str(Path(path).parent / fields["train"])
        if isinstance(given := fields.get("trackers"), list):
            fields["trackers"] = [
                str(Path(path).parent / one) if trackers.OWN.match(str(one)) else one
                for one in given
            ]
        if isinstance(sources := fields.get("warm_start"), list):
            fields["warm_start"] = [
                str(Path(path).parent / one)
                if str(one).endswith(".jsonl") and not str(one).startswith(STUDY)
                else one
                for one in sources
            ]
        try:
            made = cls(**fields)
        except SpecificationError as error:
            lines = [f"{path}: {line}" for line in str(error).splitlines()]
            raise SpecificationError("\n".join(lines)) from None
        made._home = Path(path).parent
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Specification) and self.to_json() == other.to_json()

    def differences(self, other: "Specification") -> list[str]:
        """What `other`, the one newly given, changes; empty when it is the same experiment.

        A seed of None asks for no particular one, nor does a sampler that is left out, or hedging:
        an earlier version had other defaults. An empty digest is not known yet, and `prior` was
        looked up once.
        """
        mine, theirs = self.model_dump(), other.model_dump()
        if other.seed is None:
            theirs["seed"] = mine["seed"]
        for field in {"hedge", "sampler", "keep_checkpoints"} - other.model_fields_set:
            theirs[field] = mine[field]
        sentences = []
        if self.digest and other.digest and self.digest != other.digest:
            sentences.append(f"the program {str(other.train).partition(':')[0]} has changed")
        if self.files and other.files:
            changed = (
                n for n in self.files | other.files if self.files.get(n) != other.files.get(n)
            )
            sentences += [f"the program {name} has changed" for name in changed]
        for fields in (mine, theirs):
            for filled in FILLED:
                del fields[filled]
            fields.update({f"space.{key}": value for key, value in fields.pop("space").items()})
        changes = ((f, mine.get(f, "absent"), theirs.get(f, "absent")) for f in {**mine, **theirs})
        return sentences + [f"{f}: {old} -> {new}" for f, old, new in changes if old != new]
