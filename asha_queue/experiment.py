"""`Experiment`: a specification that can be run.

Whoever trains it imports this module, too: what running it takes is in `running.py`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from asha_queue.errors import ProgramError, SpecificationError
from asha_queue.objectives.tracing import space_of
from asha_queue.specification import Specification
from asha_queue.specification.trackers import OWN
from asha_queue.training import programs, scripts

if TYPE_CHECKING:
    from asha_queue.handle import Handle
    from asha_queue.planning import Forecast
    from asha_queue.result import Result
    from asha_queue.terminal.view import View


class Experiment(Specification):
    """A search: a program, a space and the rules by which its trials are trained and promoted.

    The fields are those of `Specification`. At most one experiment of a name exists in a store:
    running it again goes on where it was.
    """

    def __init__(self, **fields: Any) -> None:
        if fields.get("dialect") == "optuna" and "space" not in fields and "train" in fields:
            fields = _suggested(fields)
        if programs.loading_to_train():  # the submitted one counts, which a newer version made
            known = type(self).model_fields
            fields = {name: value for name, value in fields.items() if name in known}
        super().__init__(**fields)  # says to type checkers that `train` may be a function

    def run(
        self,
        *,
        workers: int | None = None,
        broker: str | None = None,
        storage: str | None = None,
        fresh: bool = False,
        flower: bool = False,
        progress: "View | None" = None,
    ) -> "Result":
        """Runs the experiment to its end, coordinating it in this process, and returns its result.

        Without a broker (argument, ASHA_QUEUE_BROKER or CELERY_BROKER_URL) everything runs on this
        machine: an embedded Valkey server, `workers` CPU workers (default: one per GPU, or one)
        and this coordinator. With one, the workers that serve that broker do the training.

        Args:
            workers: CPU workers to start on this machine; only without a broker.
            broker: URL of the broker, which is the store as well.
            storage: root of checkpoints, logs and exports: a folder, or the URL of a bucket.
            fresh: deletes an experiment of the same name first, its checkpoints included.
            flower: shows the run in a browser, too, by a Flower that ends with it.
            progress: shows the run; default: a live picture, or lines where there is no terminal.

        Raises:
            SpecificationError: the name is taken by another specification or program.
            ProgramError: the program cannot be found, or no worker can run it.
            Interrupted: Ctrl-C or SIGTERM came; the same call goes on where it was.
        """
        programs.end_loading()
        from asha_queue.running import run  # what it takes is imported when it is needed

        specification, roots = self.resolved()
        return run(
            specification,
            roots,
            workers=workers,
            broker=broker,
            storage=storage,
            fresh=fresh,
            flower=flower,
            progress=progress,
        )

    def submit(
        self, *, broker: str | None = None, storage: str | None = None, fresh: bool = False
    ) -> "Handle":
        """Leaves the experiment to a standing coordinator (`asha-queue coordinator`); returns at
        once. Arguments and errors are those of `run`; a broker is needed.
        """
        programs.end_loading()
        from asha_queue.running import leave

        return leave(self.resolved()[0], broker=broker, storage=storage, fresh=fresh)

    def planned(self, **options: Any) -> "Forecast":
        """What the experiment will take, before anything is spent; nothing is submitted. Options
        are those of `outlook.outlook`: `workers=[4, 16]`, `seconds_per_unit`, `measure=True` …
        """
        programs.end_loading()
        from asha_queue.outlook import outlook

        return outlook(*self.resolved(), **options)

    def resolved(self) -> tuple[Specification, list[Path]]:
        """This experiment as it is submitted, its program found and digested, and the folders that
        workers load it from.

        Raises ProgramError when there is no such file or function.
        """
        if self.command is not None:
            folder, roots = scripts.resolve(self._home, Path.cwd())
            files = scripts.files(self.command, roots[0] / folder)
            fields = self.to_json() | {"folder": folder, "files": files}
        else:
            reference, roots = programs.resolve(str(self.train), Path.cwd())
            path = programs.locate(reference, roots)
            programs.require(path, reference.rpartition(":")[2])
            fields = self.to_json() | {"train": reference, "digest": programs.digest(path)}
        fields["trackers"] = [_found(tracker, roots) for tracker in self.trackers]
        return Specification.from_json(fields), roots


def _found(tracker: str, roots: list[Path]) -> str:
    """A tracker as coordinators find it: the file of a class of one's own is looked for, and its
    folder added to `roots`."""
    if not OWN.match(tracker):
        return tracker
    try:
        reference, folders = programs.resolve(tracker, Path.cwd())
        path = programs.locate(reference, folders)
        programs.require(path, reference.rpartition(":")[2])
    except ProgramError as error:
        raise SpecificationError(f"trackers={tracker!r}: {error}") from None
    roots += [folder for folder in folders if folder not in roots]
    return reference


def _suggested(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the space of their objective. It is found out where that is submitted; where
    it is trained the submitted one counts, and calling the objective would cost time for nothing.
    """
    objective = fields["train"]
    if programs.loading_to_train():
        return {**fields, "space": {"space": "the submitted one"}, "initial_configs": []}
    if isinstance(objective, str):
        objective = programs.named(objective, Path.cwd())
    return {**fields, "space": space_of(objective)}
