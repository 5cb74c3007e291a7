"""Reads what `deploy/` would start: commands, environment, stop signals and time-outs."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ruamel.yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose"
SLURM = DEPLOY / "slurm"
SYSTEMD = DEPLOY / "systemd"
KUBERNETES = DEPLOY / "kubernetes"

#: Seconds that Docker gives a container whose service names no others.
STOP_DEFAULT = 10.0


class Compose:
    """compose.yaml with its variables put in, as Compose itself does it."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        read = ruamel.yaml.YAML(typ="safe").load(COMPOSE / "compose.yaml")
        self._file: dict[str, Any] = self._filled(read)
        self.services: dict[str, dict[str, Any]] = self._file["services"]

    def command(self, service: str) -> list[str]:
        """What runs in the container, without the image's entrypoint."""
        return [str(word) for word in self.services[service]["command"]]

    def environment(self, service: str) -> dict[str, str]:
        """Without what is in a file."""
        return {k: str(v) for k, v in self.services[service].get("environment", {}).items()}

    def environment_file(self, service: str) -> str:
        """Its file of variables, by its path from the folder; '' if it has none."""
        return str(self.services[service].get("env_file", ""))

    def secret(self, name: str) -> str:
        """The file that services see as /run/secrets/NAME."""
        return str(self._file["secrets"][name]["file"])

    def stop(self, service: str) -> tuple[str, float]:
        """The signal that asks it to end, and the seconds until it is killed."""
        facts = self.services[service]
        seconds = facts.get("stop_grace_period", f"{STOP_DEFAULT}s").removesuffix("s")
        return facts["stop_signal"], float(seconds)

    def healthcheck(self, service: str) -> list[str]:
        return [str(word) for word in self.services[service]["healthcheck"]["test"]]

    def configuration(self, name: str) -> str:
        return str(self._file["configs"][name]["content"])

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        return self._interpolated(value) if isinstance(value, str) else value

    def _interpolated(self, text: str) -> str:
        """${NAME}, ${NAME:-default} and ${NAME:?message}, from the innermost outwards."""
        pattern = re.compile(r"\$\{([A-Z_]+)(?::[-?]([^${}]*))?\}")
        while found := pattern.search(text):
            name, default = found.groups(default="")
            text = (
                text[: found.start()] + (self._variables.get(name) or default) + text[found.end() :]
            )
        return text


def unit_lines(unit: Path) -> Iterator[tuple[str, str]]:
    """The settings of a unit, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", unit.read_text())
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name, value


def in_systemd(unit: Path, environment: Mapping[str, str]) -> list[str]:
    """The command of a unit; a variable without braces is split into words."""
    words: list[str] = []
    for word in shlex.split(dict(unit_lines(unit))["ExecStart"]):
        words += environment[word[1:]].split() if word.startswith("$") else [word]
    return words


def environment_file(path: Path) -> dict[str, str]:
    """The variables in a file as systemd's EnvironmentFile and a shell read it."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    pairs = (line.partition("=") for line in lines)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def bare_environment() -> dict[str, str]:
    """Ours, without what would tell where the broker or the storage is."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ASHA_QUEUE_", "CELERY_", "FLOWER_"))
    }
