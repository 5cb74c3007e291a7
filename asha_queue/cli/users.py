"""`asha-queue users`."""

from pathlib import Path

import click

from asha_queue.cli.options import json_option, print_json
from asha_queue.errors import UsersError
from asha_queue.queue import KEYS
from asha_queue.store import users_loaded
from asha_queue.store.rights import ROLES
from asha_queue.store.users import ACL, ADMIN, Users


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--broker",
    metavar="URL",
    help="The server as all machines reach it, without a user: redis[s]://HOST:PORT/DB. Default: "
    "what the files in DIR say.",
)
@click.option(
    "--add", is_flag=True, help="Draw new passwords, but admin's; the present ones stay valid."
)
@click.option(
    "--keep", is_flag=True, help="Leave only the passwords in the files valid, and renew the rules."
)
@click.option("--force", is_flag=True, help="Draw new passwords; those until now are void.")
@click.option(
    "--load",
    is_flag=True,
    help="Then have the server read its file again, as the user admin. But after --add this ends "
    "the connections of all others: they come back at once if their password is valid.",
)
@json_option
def users(
    folder: Path, broker: str | None, add: bool, keep: bool, force: bool, load: bool, as_json: bool
) -> None:
    """Write the users of a server into DIR: users.acl for its directive `aclfile`, which holds
    no password, and ROLE.env for each user, which sets ASHA_QUEUE_BROKER to the URL with the
    password.

    To change passwords while all goes on: --add, bring the files to where they are used, restart
    one after the other, then --keep. After an update: --keep.
    """
    if add + keep + force > 1:
        raise click.UsageError("--add, --keep and --force exclude each other")
    written: list[Path] = []
    there = (folder / ACL).exists()
    # the server has this password, and not one that is drawn now
    admin = Users.read(folder).url(ADMIN) if load and there else None
    if add or keep:
        present = Users.read(folder)
        present = present.at(broker) if broker else present
        written = (present.added() if add else present).write(KEYS)
    elif force or not there:
        at = broker or Users.read(folder).broker
        written = Users.drawn(folder, at).write(KEYS)
    elif not load:
        raise UsersError(
            f"{folder} has users already: --add draws new passwords beside the present ones, "
            f"--keep leaves only those in the files and renews the rules, --force voids them"
        )
    if load:
        users_loaded(admin or Users.read(folder).url(ADMIN), () if add else ROLES)
    if as_json:
        print_json({"written": [str(path) for path in written], "loaded": load})
        return
    purposes = {ACL: "the server: aclfile", f"{ADMIN}.env": "who administers the server"}
    purposes |= {f"{name}.env": role.purpose for name, role in ROLES.items()}
    for path in written:
        click.echo(f"{path}  {purposes[path.name]}")
    if load:
        click.echo("the server has read its users")
