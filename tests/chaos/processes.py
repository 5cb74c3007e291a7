"""Finds the processes of a run by a mark in their environment, and tells their kinds apart."""

from collections import defaultdict
from pathlib import Path

import psutil

#: The environment variable that every process of one run inherits.
MARK = "ASHA_QUEUE_TEST_RUN"
#: Kinds of processes of a run.
KINDS = ("run", "server", "launcher", "worker", "keeper", "training process")


def of_run(mark: str, directory: Path) -> dict[str, list[psutil.Process]]:
    """Living processes of the run in `directory` whose environment bears `mark`, by kind."""
    kinds: dict[str, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and _belongs(process, mark, directory):
                kinds[kind_of(process)].append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return kinds


def _belongs(process: psutil.Process, mark: str, directory: Path) -> bool:
    if process.name() == "valkey-server":  # its title overwrites its environment
        return Path(process.cwd()) == directory / "asha-runs" / ".valkey"
    return process.environ().get(MARK) == mark


def kind_of(process: psutil.Process) -> str:
    if process.name() == "valkey-server":
        return "server"
    command = " ".join(process.cmdline())
    if "asha_queue.node.launcher" in command:
        return "launcher"
    if "asha_queue.training.keeper" in command:
        return "keeper"
    if "asha_queue run" in command:
        return "run"
    parent = process.parent()
    if parent and "asha_queue.node.launcher" in " ".join(parent.cmdline()):
        return "worker"
    return "training process"
