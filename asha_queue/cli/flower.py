"""`asha-queue flower`."""

import os
import socket
import sys
from collections.abc import Sequence

import click
from flower.command import apply_env_options, apply_options
from flower.options import options as flowers  # Tornado's options, with Flower's among them
from tornado.options import Error as OptionError

from asha_queue import where
from asha_queue.cli.options import broker_option
from asha_queue.errors import ServerError

#: What Flower would decide otherwise, as it reads it; its command line and its file count more.
DEFAULTS = {
    "FLOWER_ADDRESS": "127.0.0.1",
    "FLOWER_PORT": "5555",
    # our workers send theirs unasked, and a user who only looks may not ask for them
    "FLOWER_ENABLE_EVENTS": "False",
    # the columns that say something about segments
    "FLOWER_TASKS_COLUMNS": "state,kwargs,result,runtime,worker,received",
}
#: Options of Flower's that are passwords: it takes them by its environment as well.
SECRET = ("basic_auth=", "cookie_secret=", "oauth2_secret=", "broker_api=")


def _known(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> list[str]:
    """Flower drops what it does not know; a login with a slip in its name must not be dropped."""
    for option in given:
        name, equals, _ = option.removeprefix("--").partition("=")
        if not option.startswith("--") or name not in flowers:
            raise click.UsageError(f"neither this command nor Flower has an option {name!r}")
        if not equals and not isinstance(flowers[name], bool):
            raise click.UsageError(f"{option} needs a value, as in {option}=VALUE")
    return list(given)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    help="Port to listen on, 5555 by default.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Address to listen on, 127.0.0.1 by default: set a login before others can reach it.",
)
@broker_option
@click.argument(
    "others",
    metavar="[--FLOWER_OPTION=VALUE]...",
    nargs=-1,
    type=click.UNPROCESSED,
    callback=_known,
)
def flower(port: int | None, address: str | None, broker: str | None, others: list[str]) -> None:
    """Watch tasks, workers and experiments in a browser.

    Flower's own options are given on to it: --url_prefix=flower, --persistent, and all others. For
    a login set FLOWER_BASIC_AUTH=USER:PASSWORD, or use its --auth and --oauth2_… options; every
    page needs it then.
    """
    place = where.broker(broker)
    if place is None:
        raise ServerError(
            "no broker given, and no run is going on in this directory: give --broker URL, set "
            "ASHA_QUEUE_BROKER, or start this beside `asha-queue run`"
        )
    if port is not None:
        others.append(f"--port={port}")
    if address is not None:
        others.append(f"--address={address}")
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    _check(others)
    # passwords have no place in a list of processes
    environment = os.environ | {"ASHA_QUEUE_BROKER": place.url}
    for option in [one for one in others if one.removeprefix("--").startswith(SECRET)]:
        name, _, value = option.removeprefix("--").partition("=")
        environment[f"FLOWER_{name.upper()}"] = value
        others.remove(option)
    command = [sys.executable, "-m", "celery", "-A", "asha_queue", "flower", *others]
    os.execve(sys.executable, command, environment)


def _check(others: Sequence[str]) -> None:
    """Reads environment, file and options as Flower will, and tells in one message what it would
    end over with a traceback: a value that is none, a port that is taken."""
    try:
        apply_env_options()
        apply_options("flower", others)
    except (OptionError, ValueError, OSError) as error:
        raise click.UsageError(f"Flower does not take its options: {error}") from None
    if flowers.unix_socket:
        return
    family = socket.AF_INET6 if ":" in flowers.address else socket.AF_INET
    try:
        socket.create_server((flowers.address, flowers.port), family=family).close()
    except (OSError, OverflowError) as error:
        raise ServerError(
            f"cannot listen on port {flowers.port} of {flowers.address or 'all addresses'}: "
            f"{error}. Is another Flower running? Give another --port or --address."
        ) from None
