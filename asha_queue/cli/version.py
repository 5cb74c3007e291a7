"""`asha-queue version`."""

from importlib.metadata import version as installed

import click

from asha_queue.cli.options import json_option, print_json

PACKAGES = ("asha-queue", "celery", "redis", "flower", "numpy")


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version, and those of what it stands on."""
    versions = {package: installed(package) for package in PACKAGES}
    if as_json:
        print_json(versions)
    else:
        click.echo("  ".join(f"{package} {number}" for package, number in versions.items()))
