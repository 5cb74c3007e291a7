"""`python -m tests.chaos`: a run of the chaos driver; exit code 1 when an invariant was broken."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence

from tests.chaos.driver import Driver, Load
from tests.chaos.faults import BOUNDARIES, KINDS, impossible
from tests.chaos.plan import mixed, repeated
from tests.chaos.report import facts, table


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    kinds = options.only or default_kinds()
    if options.times:
        plan = repeated(options.seed, options.times, kinds, (options.gap / 2, options.gap * 1.5))
        seconds = plan[-1].at
    else:
        seconds = options.minutes * 60
        plan = mixed(options.seed, seconds, kinds)
    print(f"seed {options.seed}: {len(plan)} faults in {seconds:.0f} s", file=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Driver(plan, seconds, Load(), _say, hole=options.hole, keep=options.keep) as driver:
            numbers = facts(driver.run())
    except KeyboardInterrupt:
        _say("ended; nothing is left")
        return 130
    print(json.dumps(numbers, indent=2) if options.json else table(numbers))
    return 1 if numbers["violations"] else 0


def default_kinds() -> list[str]:
    """What a mixed run does on this machine."""
    missing = impossible()
    if missing:
        _say(f"not possible on this machine: {', '.join(sorted(missing))}")
    return [kind for kind in KINDS if kind not in missing]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--only", type=_kinds, metavar="KIND,KIND", help=", ".join(KINDS))
    parser.add_argument("--times", type=int, help="so many faults, instead of minutes")
    parser.add_argument("--gap", type=float, default=4.0, help="seconds between them, about")
    parser.add_argument("--hole", type=float, default=12.0, help="seconds that a black hole lasts")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the folder of the run")
    return parser.parse_args(arguments)


def _kinds(text: str) -> list[str]:
    kinds = text.split(",")
    for kind in kinds:
        if kind not in KINDS and kind not in BOUNDARIES:
            known = ", ".join([*KINDS, *BOUNDARIES])
            raise argparse.ArgumentTypeError(f"{kind!r} is none of {known}")
    return kinds


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
