"""How the table of peers is made of what they left; the peers themselves are not installed."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.benchmarks.peers.__main__ import play
from tests.benchmarks.peers.rows import (
    OURS,
    RAY,
    REDIS,
    SYNE,
    Failed,
    Measured,
    Memory,
    busy,
    lines_of,
    rate,
    rows,
)
from tests.benchmarks.peers.runs import run
from tests.benchmarks.peers.work import Phase, segment

#: Two workers, the second of which comes a second later; the last trial is begun at 3.
LINES = """\
1 1 0 1
1 1 1 1.5
2 1 1 2
1 4 2 3
2 1 3 4
1 16 3.5 9
"""


def test_rate_and_busy_share_are_of_the_time_in_which_there_was_work_for_both() -> None:
    lines = lines_of(LINES)
    assert rate(lines) == 3 / 2  # begun at 1, 1 and 2, until 3
    assert busy(lines) == (0.5 + 1 + 1) / (2 * 2)


def test_a_run_that_was_over_before_the_second_worker_was_there_has_no_rate() -> None:
    with pytest.raises(Failed, match="before the second worker"):
        rate(lines_of("1 1 0 1\n1 1 1 2\n2 4 2 3\n"))


def test_lines_are_in_the_order_in_which_their_segments_began(tmp_path: Path) -> None:
    assert [line.began for line in lines_of("1 1 5 6\n2 1 4 9\n")] == [4, 5]
    path = tmp_path / "lines"
    assert [segment(0.5, level, 0, str(path)) for level in (1, 4)] == [1.5, 0.75]
    assert [line.level for line in lines_of(path.read_text())] == [1, 4]


def test_ratios_bear_the_goals_and_the_figures_they_are_of() -> None:
    measured = {
        REDIS: Measured(first=0.5, rate=200, segments=1_000),
        OURS: Measured(first=2, rate=300, segments=4_000),
        RAY: Measured(first=8, rate=50, segments=400),
    }
    found = {figure.measure: figure for figure in rows(measured)}
    ray, optuna = (found[f"{OURS} ÷ {name}, no-op segments"] for name in (RAY, REDIS))
    assert (ray.value, ray.goal, ray.reached) == (6, 5, True)
    assert ray.beside == "300/s of 4,000 : 50/s of 400"
    assert (optuna.value, optuna.goal, optuna.reached) == (1.5, 2, False)
    assert found[f"from the command to the first trial: {RAY}"].beside == f"4 × {OURS}'s"
    assert [figure.measure.split(": ")[-1] for figure in rows(measured)][:3] == [OURS, RAY, REDIS]


def test_rows_are_of_what_each_was_measured_at() -> None:
    measured = {
        OURS: Measured(1, 1, 1, {0.05: 0.9}, Memory(2**20, 2**21, 3), {1_000: 2**-10}),
        SYNE: Measured(1, 1, 1, {0.05: 0.5, 1.0: 0.75}, Memory(), {100_000: 2e-3}),
    }
    found = {figure.measure: (figure.value, figure.unit) for figure in rows(measured)}
    assert found[f"busy share, segments of 50 ms: {OURS}"] == (90, "%")
    assert found[f"busy share, segments of 1,000 ms: {SYNE}"] == (75, "%")
    assert found[f"memory at rest (PSS): {OURS}"] == (1, "MiB")
    assert found[f"decision at 1,000 results: {OURS}"] == (2**-10 * 1e6, "µs")
    assert found[f"decision at 100,000 results: {SYNE}"] == (2_000, "µs")
    assert f"memory at rest (PSS): {SYNE}" not in found
    assert f"decision at 1,000 results: {SYNE}" not in found


@pytest.mark.parametrize("missing", [RAY, REDIS])
def test_a_peer_that_is_missing_has_no_rows_and_takes_none_from_others(missing: str) -> None:
    measured = {name: Measured(1, 10, 100) for name in (OURS, RAY, REDIS, SYNE)}
    full = [figure.measure for figure in rows(measured)]
    del measured[missing]
    left = [figure.measure for figure in rows(measured)]
    assert left == [measure for measure in full if missing not in measure]
    assert left


def test_peers_are_shown_without_this_project_but_without_ratios() -> None:
    found = list(rows({RAY: Measured(1, 10, 100)}))
    assert found
    assert not any(OURS in figure.measure + figure.beside for figure in found)


def test_a_peer_that_is_not_installed_is_named_in_a_line_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = Measured(1, 10, 100)
    monkeypatch.setattr("tests.benchmarks.peers.ours.measured", lambda *_: ours)
    assert dict(play(tmp_path)) == {OURS: ours}
    said = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in said if "`make bench-peers` installs it" in line] == [
        "Ray Tune",
        "Ray Tune, logging",
        "Optuna, Redis",
        "Optuna, Redis, fsync",
        "Optuna, SQLite",
        "Syne Tune",
    ]


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    nested = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    command = [sys.executable, "-c", f"{nested}; time.sleep(60)"]
    with pytest.raises(Failed, match="not done after"):
        run(command, tmp_path, time.monotonic() + 2)
    assert not psutil.pid_exists(int((tmp_path / "output").read_text()))


def test_what_fails_is_told_by_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such storage')"]
    with pytest.raises(Failed, match="ended with 1: no such storage"):
        run(command, tmp_path, time.monotonic() + 60)


def test_a_program_is_asked_for_experiments_and_decisions(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "from tests.benchmarks.peers.work import main\n"
        "main(lambda results: results / 8, play=lambda place, phases: print(place, phases))\n"
    )
    phase = Phase(3, 0.05, str(tmp_path / "a:b"))
    play_command = ["play", "redis://127.0.0.1:1/0", str(phase)]
    said = [
        subprocess.run(
            [sys.executable, str(tmp_path / "program.py"), *words],
            env={"PYTHONPATH": str(Path.cwd())},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for words in (play_command, ["decide", "8", "16"])
    ]
    assert said[0] == f"redis://127.0.0.1:1/0 {[phase]}\n"
    assert said[1] == '{"results": 8, "seconds": 1.0}\n{"results": 16, "seconds": 2.0}\n'
