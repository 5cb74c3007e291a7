"""`asha-queue run` and its companions as a user calls them, with real processes."""

import json
import signal
from collections import Counter

import pytest

from asha_queue.search.rules import check
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.store.journal import load
from tests.conftest import wait_until
from tests.processes.directory import PROGRAM, Directory


def in_order(journal: list[dict]) -> list[tuple[int, int]]:
    return [(e["trial"], e["rung"]) for e in journal if e["type"] == "started"]


def test_a_run_ends_with_the_best_configuration_and_leaves_its_files_and_no_process(
    directory: Directory,
) -> None:
    out = directory.call("run", "exp.py", "--workers", "2")
    journal = directory.journal()
    assert check(journal) == []
    assert journal[-1]["type"] == "finished"
    best = json.loads((directory.path / "asha-runs/quick/best.json").read_text())
    assert f"x={best['config']['x']:.4g}" in out
    assert best["resource"] == 9
    assert (directory.path / "asha-runs" / best["checkpoint"]["path"]).is_dir()
    lines = (directory.path / "asha-runs/quick/trials.csv").read_text().splitlines()
    assert lines[0] == "trial,state,rung,resource,loss,x"
    assert len(lines) == 1 + 12
    assert any(e["type"] == "started" and e["start"] > 0 for e in journal)
    wait_until(directory.nothing_left, "every process of the run has ended")


def test_one_worker_follows_the_simulator_and_a_second_run_the_first(
    directory: Directory,
) -> None:
    directory.call("run", "exp.py", "--workers", "1")
    first = directory.journal()
    specification = Specification.from_json(first[0]["experiment"])

    def evaluate(config: dict, step: int) -> dict[str, float]:
        return {"loss": config["x"] + 1 / step}

    simulated = simulate(specification, evaluate, lambda config, start, target: 1.0, workers=1)
    assert in_order(first) == in_order(simulated.journal)
    completed = [
        Counter(e["rung"] for e in j if e["type"] == "completed")
        for j in (first, simulated.journal)
    ]
    assert completed[0] == completed[1]
    directory.call("run", "exp.py", "--workers", "1", "--fresh")
    second = directory.journal()
    assert second[0]["uid"] != first[0]["uid"]
    assert in_order(second) == in_order(first)
    configs = [[e["config"] for e in j if e["type"] == "scheduled"] for j in (first, second)]
    assert configs[0] == configs[1]


@pytest.mark.parametrize("source", ["quick", "asha-runs/quick/journal.jsonl"])
def test_another_experiment_learns_from_the_first_and_has_what_depends_on_an_option(
    directory: Directory, source: str
) -> None:
    directory.call("run", "exp.py", "--workers", "1")
    first = directory.journal()
    space = '{"x": choice([{"kind": "low", "at": uniform(0, 0.5)}, uniform(0, 1)])}'
    program = (
        PROGRAM.replace("Trial, uniform", "Trial, choice, uniform")
        .replace('"quick"', '"next"')
        .replace('{"x": uniform(0, 1)}', space)
        .replace("seed=1", f"seed=1, sampler='random', warm_start=[{source!r}]")
        .replace('trial.config["x"] +', "value(trial.config['x']) +")
    )
    value = 'def value(x):\n    return x["at"] if isinstance(x, dict) else x\n'
    directory.write("next.py", value + program)
    out = directory.call("run", "next.py", "--workers", "1")
    assert f"warm start: knows 12 results of {source}" in out
    lines = (directory.path / "asha-runs/next/journal.jsonl").read_text().splitlines()
    journal = [load(line) for line in lines]
    assert check(journal) == []
    prior = journal[0]["experiment"]["prior"]
    assert len(prior) == 12
    drawn = [entry["config"] for entry in first if entry["type"] == "scheduled"]
    assert all(one["config"] in drawn for one in prior)
    configs = [e["config"] for e in journal if e["type"] == "scheduled" and e["rung"] == 0]
    assert configs[:4] == [one["config"] for one in prior[:4]]
    assert {type(config["x"]) for config in configs} == {dict, float}
    assert "x.kind" in (directory.path / "asha-runs/next/trials.csv").read_text()
    low = next(trial for trial, config in enumerate(configs) if isinstance(config["x"], dict))
    assert "x.at" in directory.call("status", "next", str(low))


def test_status_export_check_and_delete_work_after_the_run_has_ended(directory: Directory) -> None:
    directory.call("run", "exp.py", "--workers", "2")
    assert "quick" in directory.call("status")
    assert "promoted" in directory.call("status", "quick")
    overview = json.loads(directory.call("status", "quick", "--json"))
    assert overview["rungs"][0]["results"] == 12
    best = overview["best"]["trial"]
    why = directory.call("status", "quick", str(best))
    assert "rank 1 of" in why
    assert "promoted" in why
    trial = json.loads(directory.call("status", "quick", str(best), "--json"))
    assert [rung["level"] for rung in trial["rungs"]] == [1, 3, 9]
    exported = directory.call("export", "quick")
    directory.write("copy.jsonl", exported)
    assert [load(line) for line in exported.splitlines()] == directory.journal()
    assert "all rules hold" in directory.call("check", "copy.jsonl")
    assert "all rules hold" in directory.call("check", "quick")
    lines = exported.splitlines()
    twice = [*lines, next(line for line in lines if '"completed"' in line)]
    directory.write("copy.jsonl", "\n".join(twice) + "\n")
    directory.call("check", "copy.jsonl", expect=1)
    directory.call("delete", "quick", "--yes")
    assert not (directory.path / "asha-runs/quick").exists()
    assert "no experiments" in directory.call("status")
    assert "no experiment is called 'quick'" in directory.call("status", "quick", expect=2)


def test_the_same_file_again_shows_the_result_and_a_changed_one_is_refused(
    directory: Directory,
) -> None:
    directory.call("run", "exp.py", "--workers", "2")
    before = directory.journal()
    assert "goes on (finished)" in directory.call("run", "exp.py")
    assert directory.journal() == before
    directory.write("exp.py", PROGRAM.replace("num_samples=12", "num_samples=13"))
    refused = directory.call("run", "exp.py", expect=2)
    assert "num_samples: 12 -> 13" in refused
    assert "the program exp.py has changed" in refused
    assert "--fresh" in refused
    assert directory.journal() == before
    directory.call("run", "exp.py", "--workers", "2", "--fresh")
    assert len({e["trial"] for e in directory.journal() if e["type"] == "completed"}) == 13


def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(directory: Directory) -> None:
    run = directory.start("run", "exp.py", "--workers", "2", STEP="0.2")
    live = directory.path / "asha-runs/quick/checkpoints"
    # of step 4 on the way from 3 to 9
    wait_until(lambda: any(live.glob("*/*/*-4/manifest.json")), "a checkpoint", 60)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, out + err
    assert "nothing finished is lost. Go on with: asha-queue run exp.py --workers 2" in err
    wait_until(directory.nothing_left, "every process of the run has ended")
    out = directory.call("run", "exp.py", "--workers", "2")
    assert "goes on" in out
    journal = directory.journal()
    assert check(journal) == []
    assert {e["type"] for e in journal} >= {"suspended", "finished"}


def test_two_runs_in_one_directory_share_server_and_workers(directory: Directory) -> None:
    directory.write("other.py", PROGRAM.replace('"quick"', '"other"'))
    first = directory.start("run", "exp.py", "--workers", "2", STEP="0.1")
    wait_until(
        lambda: (
            directory.nothing_left() is False
            and (directory.path / "asha-runs/.valkey/address").exists()
        ),
        "the first run's server",
    )
    second = directory.start("run", "other.py", STEP="0.1")
    for run in (first, second):
        out, err = run.communicate(timeout=120)
        assert run.returncode == 0, out + err
    assert check(directory.journal("quick")) == []
    assert check(directory.journal("other")) == []
    wait_until(directory.nothing_left, "every process of both runs has ended")


def test_json_is_the_only_thing_on_standard_output(directory: Directory) -> None:
    overview = json.loads(directory.call("run", "exp.py", "--workers", "2", "--json"))
    assert overview["state"] == "finished"
    assert overview["best"]["resource"] == 9


def test_a_program_that_fails_is_tried_again_and_the_others_go_on(directory: Directory) -> None:
    directory.write(
        "exp.py",
        PROGRAM.replace(
            "    for step in trial.steps():",
            "    if trial.number == 3:\n        raise ValueError('no such layer')\n"
            "    for step in trial.steps():",
        ),
    )
    directory.call("run", "exp.py", "--workers", "2")
    journal = directory.journal()
    assert check(journal) == []
    failed = [e for e in journal if e["type"] == "failed"]
    assert [(e["trial"], e["final"]) for e in failed] == [(3, False), (3, True)]
    assert "ValueError: no such layer" in directory.call("status", "quick", "3")


@pytest.mark.parametrize(
    ("arguments", "file", "said"),
    [
        (["run", "none.py"], None, "no such file: none.py"),
        (["run", "exp.txt"], ("exp.txt", ""), "neither a .py nor a .toml file"),
        (["run", "empty.py"], ("empty.py", ""), "empty.py has 0 experiments"),
        (
            ["run", "broken.py"],
            ("broken.py", "import nothing_of_this_name"),
            "nothing_of_this_name",
        ),
        (["run", "exp.py:other"], None, "no experiment 'other'; it has: experiment"),
        (["run", "exp.py", "--workers", "0"], None, "0 is not in the range"),
        (["run", "exp.py", "--workrs", "1"], None, "No such option"),
        (
            ["run", "eta.py"],
            ("eta.py", PROGRAM.replace("reduction_factor=3", "reduction_factor=1")),
            "reduction_factor",
        ),
        (
            ["run", "a.toml"],
            (
                "a.toml",
                'name="a"\ntrain="exp.py:trein"\nmetric="m"\nmode="min"\nmax_t=3\n'
                "[space]\nx={uniform=[0.0,1.0]}\n",
            ),
            "has no function trein",
        ),
        (
            ["run", "b.toml"],
            (
                "b.toml",
                'name="a"\ntrain="gone.py:train"\nmetric="m"\nmode="min"\nmax_t=3\n'
                "[space]\nx={uniform=[0.0,1.0]}\n",
            ),
            "gone.py",
        ),
        (["run", "exp.py", "--workers", "2", "--broker", "redis://127.0.0.1:1/0"], None, "workers"),
        (["run", "exp.py", "--broker", "http://127.0.0.1/"], None, "not with http://"),
        (["run", "exp.py", "--broker", "redis://127.0.0.1:1/0"], None, "127.0.0.1:1"),
        (["status"], None, "no broker given"),
        (["check", "nothing.jsonl"], None, "no such file: nothing.jsonl"),
        (["check", "bad.jsonl"], ("bad.jsonl", "{}\n"), "bad.jsonl, line 1"),
        (["nonsense"], None, "No such command 'nonsense'"),
    ],
)
def test_a_mistake_gets_one_clear_message(
    directory: Directory, arguments: list[str], file: tuple[str, str] | None, said: str
) -> None:
    if file:
        directory.write(*file)
    assert said in directory.call(*arguments, expect=2)


def test_a_toml_file_runs_the_program_it_names(directory: Directory) -> None:
    directory.write(
        "quick.toml",
        'name = "toml"\ntrain = "exp.py:train"\nmetric = "loss"\nmode = "min"\nmax_t = 9\n'
        "reduction_factor = 3\nnum_samples = 6\nseed = 0\n[space]\nx = {uniform = [0.0, 1.0]}\n",
    )
    directory.call("run", "quick.toml", "--workers", "2")
    assert check(directory.journal("toml")) == []


def test_workers_that_cannot_start_end_the_run_with_their_reason(directory: Directory) -> None:
    broken = "import sys\nif 'celery' in sys.orig_argv: sys.exit('a broken installation')\n"
    directory.write("sitecustomize.py", broken)
    run = directory.start("run", "exp.py", "--workers", "2", PYTHONPATH=str(directory.path))
    _, err = run.communicate(timeout=90)
    assert run.returncode == 2
    assert "the workers do not start" in err
    assert "cpu0@" in err
    wait_until(directory.nothing_left, "every process of the run has ended")
