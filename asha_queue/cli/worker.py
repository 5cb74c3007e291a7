"""`asha-queue worker`."""

import re
from pathlib import Path

import click

from asha_queue import where
from asha_queue.cli.options import alive_option, broker_option
from asha_queue.errors import ServerError
from asha_queue.node.launcher import DRAIN, Options, launch
from asha_queue.queue import QUEUE
from asha_queue.settings import NAME

Folder = click.Path(path_type=Path, file_okay=False)


def _queues(context: click.Context, parameter: click.Parameter, text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if not re.fullmatch(NAME, name):
            raise click.BadParameter(f"{name!r} is no name of a queue: letters, digits, '_', '-'")
    return names


@click.command()
@broker_option
@click.option(
    "--gpus",
    metavar="all|none|LIST",
    help="GPUs to use: numbers, or UUIDs of GPUs or slices (MIG-…), with commas between. Default: "
    "all of this machine, or of the allocation of Slurm, Kubernetes or CUDA_VISIBLE_DEVICES.",
)
@click.option(
    "--workers-per-gpu", metavar="K", type=click.IntRange(min=1), default=1, help="Share each GPU."
)
@click.option(
    "--gpus-per-worker",
    metavar="K",
    type=click.IntRange(min=1),
    default=1,
    help="Give each worker several GPUs, for programs that use them all.",
)
@click.option(
    "--cpus",
    metavar="N",
    type=click.IntRange(min=0),
    help="CPU workers; beside GPUs only if --gpus is given too. Default: one where there is no "
    "GPU, which 0 forbids.",
)
@click.option(
    "--queue",
    "queues",
    metavar="NAME[,NAME]",
    default=QUEUE,
    show_default=True,
    callback=_queues,
    help="Queues to serve: those that experiments name.",
)
@click.option(
    "--programs",
    metavar="DIR",
    type=Folder,
    multiple=True,
    help="Folder that programs are loaded from, and only from there; may be given several times. "
    "Default: ASHA_QUEUE_PROGRAMS, or the working directory.",
)
@click.option(
    "--commands",
    is_flag=True,
    help="Run experiments that are a command, too: whoever may write to the broker can then have "
    "this machine run anything. As ASHA_QUEUE_COMMANDS=1 does.",
)
@click.option(
    "--storage",
    metavar="DIR|URL",
    help="Root of checkpoints and logs, the same folder or bucket on all nodes. Default: "
    "ASHA_QUEUE_STORAGE, or what each experiment says.",
)
@click.option(
    "--drain-timeout",
    metavar="S",
    type=click.FloatRange(min=0),
    default=DRAIN,
    show_default=True,
    help="Seconds that workers get to save and hand back when they are to end.",
)
@click.option(
    "--log",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append the output of the workers to a file.",
)
@alive_option
def worker(
    broker: str | None,
    gpus: str | None,
    workers_per_gpu: int,
    gpus_per_worker: int,
    cpus: int | None,
    queues: list[str],
    programs: tuple[Path, ...],
    commands: bool,
    storage: str | None,
    drain_timeout: float,
    log: Path | None,
    alive: Path | None,
) -> None:
    """Start the workers of this machine: one per GPU, or one on the CPU.

    They train what is submitted to the broker until SIGTERM or Ctrl-C; then they save, hand back
    what they train, and end. A second signal ends them at once. Workers that die are started again.

    They are named after their devices: gpu0@HOST, gpu0.1@HOST (the second worker of that GPU),
    gpu0-1@HOST (a worker with both), cpu0@HOST. ASHA_QUEUE_HOST gives HOST another name.
    """
    place = where.broker(broker)
    if place is None:
        raise ServerError("no broker given: give --broker URL or set ASHA_QUEUE_BROKER")
    options = Options(
        broker=place.url,
        gpus=gpus,
        cpus=cpus,
        workers_per_gpu=workers_per_gpu,
        gpus_per_worker=gpus_per_worker,
        queues=queues,
        programs=programs,
        commands=commands,
        storage=storage,
        log=log,
        alive=alive,
        drain_timeout=drain_timeout,
    )
    if code := launch(options):
        raise click.exceptions.Exit(code)
