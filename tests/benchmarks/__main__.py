"""What the tuner costs: `make bench`, or `python -m tests.benchmarks [GROUP …] [--json]`.

Each group is a module beside this one and says how to read its figures. It runs in a process of
its own, one after the other: let the machine do nothing else. Machines differ and noise disturbs:
compare figures of one run, above all those of one row.
"""

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks.table import HEAD, Figure

#: Modules with a function `figures() -> Iterator[Figure]`, in the order of the table.
GROUPS = (
    *("decisions", "replay", "coordinator", "growth", "fleet"),
    *("segments", "startup", "reports", "pages"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the tuner costs, in one table.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    groups = arguments.groups or GROUPS
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    if not arguments.json:
        print(HEAD)
    for figure in _measured(groups):
        text = json.dumps(figure.to_json(), ensure_ascii=False) if arguments.json else figure.row()
        print(text, flush=True)


def _measured(groups: list[str] | tuple[str, ...]) -> Iterator[Figure]:
    if len(groups) == 1:
        yield from importlib.import_module(f"tests.benchmarks.{groups[0]}").figures()
        return
    for group in groups:
        command = [sys.executable, "-m", "tests.benchmarks", group, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                fields = json.loads(line)
                del fields["reached"]
                yield Figure(**fields)
        if process.returncode:
            sys.exit(f"{group} ended with {process.returncode}")


if __name__ == "__main__":
    main()
