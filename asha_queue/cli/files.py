"""The experiment in a file that is named on the command line."""

from pathlib import Path

from asha_queue.errors import SpecificationError
from asha_queue.experiment import Experiment
from asha_queue.training import programs


def experiment_in(argument: str) -> Experiment:
    """The experiment of FILE.toml, FILE.py, or FILE.py:NAME where a file has several.

    Raises SpecificationError when there is no such file, or not exactly one experiment in it.
    """
    file, _, name = argument.partition(":")
    path = Path(file)
    if not path.is_file():
        raise SpecificationError(f"no such file: {file} (looked in {Path.cwd()})")
    if path.suffix == ".toml":
        return Experiment.from_toml(path)
    if path.suffix != ".py":
        raise SpecificationError(f"{file} is neither a .py nor a .toml file")
    module = programs.execute(path.resolve())
    found = {n: v for n, v in vars(module).items() if isinstance(v, Experiment)}
    if name:
        if name not in found:
            raise SpecificationError(f"{file} has no experiment {name!r}; it has: {_list(found)}")
        return found[name]
    if len(found) != 1:
        raise SpecificationError(
            f"{file} has {len(found)} experiments ({_list(found)}); "
            + (f"name one: {file}:NAME" if found else "define one: experiment = Experiment(…)")
        )
    return next(iter(found.values()))


def _list(found: dict[str, Experiment]) -> str:
    return ", ".join(sorted(found)) or "none"
