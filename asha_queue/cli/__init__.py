"""The command line: one file per verb, which parses and prints; the rest is elsewhere."""

import importlib
import sys
from collections.abc import Sequence

import click

from asha_queue.cli.argv import hide_passwords
from asha_queue.errors import AshaQueueError

#: Each verb is the function of the same name in the module of the same name.
VERBS = {
    "plan": "tell what an experiment will take, before anything is spent",
    "run": "run an experiment here, or go on with it",
    "submit": "leave an experiment to a standing coordinator",
    "worker": "start the workers of this machine",
    "coordinator": "drive the experiments that were submitted",
    "flower": "watch queue and experiments in a browser",
    "status": "show experiments, one of them, or one trial and why it was promoted",
    "logs": "print the output of a trial's attempts",
    "users": "make the users of a server, each with the rights that it needs",
    "doctor": "find what is wrong with server, workers and storage, and what to do",
    "pause": "start no segment of an experiment any more",
    "resume": "go on with a paused experiment",
    "cancel": "end an experiment for good",
    "extend": "give an experiment more trials or a higher top",
    "retry": "try failed trials again",
    "drain": "have a worker or a host hand back its work and end",
    "best": "take an experiment's best model out, into a folder",
    "export": "print an experiment's journal",
    "restore": "rebuild an experiment that its server has lost, from its journal",
    "report": "write an HTML file with all figures of an experiment",
    "check": "verify a journal against the rules of the search",
    "delete": "remove an experiment, its checkpoints included",
    "version": "print the version",
}


class Verbs(click.Group):
    """Imports a verb when it is called, so that help costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"asha_queue.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def root() -> None:
    """Hyperparameter tuning by asynchronous successive halving, on a Celery queue.

    \b
    asha-queue run experiment.py          everything on this machine
    asha-queue status NAME TRIAL          why a trial was promoted, or not
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: exit code 0, 1 (a check failed), 2 (an error, told in one message) or 130."""
    if hide_passwords():
        click.echo(
            "asha-queue: a password on the command line is in the shell's history, and others "
            "could see it for a moment: set ASHA_QUEUE_BROKER or FLOWER_BASIC_AUTH",
            err=True,
        )
    try:
        sys.exit(root.main(args=arguments, standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except AshaQueueError as error:
        click.echo(f"asha-queue: {error}", err=True)
        sys.exit(2)
    except click.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # a reader such as `head` has enough
        sys.exit(0)
