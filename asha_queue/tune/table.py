"""The table of trials, as Ray Tune prints it."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from asha_queue.tune.analysis import Trial

#: Trials that are shown, at most.
ROWS = 20
#: Columns of text where there is no terminal.
WIDE = 160
_ORDER = ("RUNNING", "PAUSED", "PENDING", "ERROR", "TERMINATED")
_OURS = ("training_iteration", "time_total_s", "trial_id")


def print_trials(trials: Sequence[Trial], console: Console | None = None) -> None:
    """Prints how many trials there are of each status, and the first of them by status."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    counts = Counter(trial.status for trial in trials)
    found = ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status])
    console.print(f"Number of trials: {len(trials)} ({found or 'none'})", highlight=False)
    shown = sorted(trials, key=lambda trial: _ORDER.index(trial.status))[:ROWS]
    parameters = list(dict.fromkeys(name for trial in shown for name in trial.config))
    metrics = list(
        dict.fromkeys(name for trial in shown for name in trial.metrics if name not in _OURS)
    )
    columns = ["trial", "status", "loc", *parameters, "iter", "total time (s)", *metrics]
    table = Table(box=box.ASCII2)
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    for trial in shown:
        cells = [
            *(trial.trial_id, trial.status, trial.worker or ""),
            *(_cell(trial.config.get(name)) for name in parameters),
            _cell(trial.metrics.get("training_iteration")),
            f"{trial.seconds:.3g}",
            *(_cell(trial.metrics.get(name)) for name in metrics),
        ]
        table.add_row(*map(escape, cells))
    if shown:
        console.print(table)
    if len(trials) > ROWS:
        console.print(f"… {len(trials) - ROWS} more trials not shown", highlight=False)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
