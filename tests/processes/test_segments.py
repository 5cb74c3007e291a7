"""What a worker does with a segment when nobody is killed."""

import json

import pytest

from tests.conftest import wait_until
from tests.processes.lab import Lab

COUNTING = """
    def train(trial):
        done = int((trial.checkpoint / "done").read_text()) if trial.checkpoint else 0
        assert done == trial.start
        print("training from", done)
        for step in trial.steps():
            trial.report(score=step)
        with trial.save() as folder:
            (folder / "done").write_text(str(step))
"""


def test_a_segment_is_trained_saved_and_completed(worker: Lab) -> None:
    uid = worker.submit(COUNTING, target=3)
    [completed] = worker.wait_for(uid, "completed")
    assert completed["metrics"] == {"score": 3}
    assert completed["reached"] == 3
    assert completed["curve"] == [[1, {"score": 1}], [2, {"score": 2}], [3, {"score": 3}]]
    folder = worker.storage / completed["checkpoint"]["path"]
    assert (folder / "done").read_text() == "3"
    assert json.loads((folder / "manifest.json").read_text())["resource"] == 3


def test_what_the_program_prints_is_in_the_log_of_its_attempt(worker: Lab) -> None:
    uid = worker.submit(COUNTING)
    worker.wait_for(uid, "completed")
    log = worker.storage / f"test-{uid}" / "logs" / "trial-00000" / "rung0-attempt1.log"
    assert log.read_text() == "training from 0\n"


def test_reports_are_seen_while_the_segment_runs(worker: Lab) -> None:
    uid = worker.submit(
        """
        import pathlib, time

        def train(trial):
            trial.report(score=0.5)
            while not pathlib.Path(trial.config["folder"], "seen").exists():
                time.sleep(0.01)
            return 1.0
        """
    )
    wait_until(lambda: worker.store.live(uid, "")[0], "a live report")
    points, _ = worker.store.live(uid, "")
    assert points == [{"trial": 0, "rung": 0, "attempt": 1, "step": 1, "metrics": {"score": 0.5}}]
    (worker.folder / "seen").touch()
    worker.wait_for(uid, "completed")


def test_a_message_that_comes_twice_trains_once(worker: Lab) -> None:
    uid = worker.submit(
        """
        import pathlib

        def train(trial):
            with pathlib.Path(trial.config["folder"], "trained").open("a") as file:
                file.write("x")
            return 1.0
        """,
        configs=[{}, {}],
        copies=3,
    )
    worker.wait_for(uid, "completed", count=2)
    other = worker.submit("def train(trial): return 1.0")  # comes after all that is queued
    worker.wait_for(other, "completed")
    assert (worker.folder / "trained").read_text() == "xx"


def test_an_exception_is_journalled_and_the_retry_runs_in_a_new_process(worker: Lab) -> None:
    uid = worker.submit(
        """
        import os, pathlib

        def train(trial):
            pathlib.Path(trial.config["folder"], f"pid{trial.attempt}").write_text(str(os.getpid()))
            if trial.attempt == 1:
                raise ValueError("a bad start")
            return 1.0
        """
    )
    worker.wait_for(uid, "completed")
    [failed] = worker.entries(uid, "failed")
    assert failed["error"].startswith("ValueError: a bad start\n")
    assert 'raise ValueError("a bad start")' in failed["error"]
    assert "asha_queue" not in failed["error"]
    assert not failed["final"]
    assert worker.pid("pid1") != worker.pid("pid2")
    assert "Traceback" not in worker.log.read_text()


@pytest.mark.parametrize("ending", ["raise SystemExit(3)", "raise KeyboardInterrupt"])
def test_a_program_that_ends_its_process_politely_has_failed(worker: Lab, ending: str) -> None:
    uid = worker.submit(f"def train(trial): {ending}", retries=0)
    [failed] = worker.wait_for(uid, "failed")
    assert failed["final"]
    after = worker.submit("def train(trial): return 1.0")
    worker.wait_for(after, "completed")


def test_training_code_may_start_processes(worker: Lab) -> None:
    uid = worker.submit(
        """
        import multiprocessing

        def square(queue, number):
            queue.put(number ** 2)

        def train(trial):
            context = multiprocessing.get_context("fork")
            queue = context.Queue()
            process = context.Process(target=square, args=(queue, 7))
            process.start()
            score = queue.get()
            process.join()
            with context.Pool(2) as pool:
                return score + sum(pool.map(abs, [-1, -2]))
        """
    )
    [completed] = worker.wait_for(uid, "completed")
    assert completed["metrics"] == {"score": 52}


@pytest.mark.slow
def test_data_loaders_with_workers_load(worker: Lab) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    uid = worker.submit(
        """
        from torch.utils.data import DataLoader

        def train(trial):
            loader = DataLoader(list(range(8)), batch_size=4, num_workers=2)
            return float(sum(batch.sum() for batch in loader))
        """
    )
    [completed] = worker.wait_for(uid, "completed")
    assert completed["metrics"] == {"score": 28}


def test_a_program_that_differs_is_refused_and_not_claimed(worker: Lab) -> None:
    uid = worker.submit("def train(trial): return 1.0", digest="0" * 64)
    assert "differs" in worker.wait_for_refusal(uid)
    assert worker.entries(uid, "started") == []


def test_a_corrupt_checkpoint_falls_back_to_the_one_before(worker: Lab) -> None:
    uid = worker.submit(
        """
        def train(trial):
            if trial.attempt == 2:
                return trial.start
            for step in (1, 2, 3):
                trial.report(step, score=step)
                with trial.save() as folder:
                    (folder / "done").write_text(str(step))
            newest, = folder.parent.glob(f"*-{step}")
            (newest / "done").write_text("damaged")
            raise ValueError("after the damage")
        """,
        target=4,
    )
    [completed] = worker.wait_for(uid, "completed")
    assert completed["metrics"] == {"score": 2}
    assert [entry["start"] for entry in worker.entries(uid, "started")] == [0, 2]
    [warning] = worker.entries(uid, "warning")
    assert warning["trial"] == 0
    assert "trial 0 goes on from an older checkpoint, at 2: " in worker.log.read_text()


def test_a_checkpoint_out_of_reach_is_refused_with_node_and_path(worker: Lab) -> None:
    uid = worker.submit(
        """
        import os, pathlib

        def train(trial):
            trial.report(score=1)
            with trial.save() as folder:
                pass
            storage = pathlib.Path(trial.config["folder"], "runs")
            storage.rename(storage.with_name("unmounted"))
            raise ValueError
        """
    )
    worker.wait_for(uid, "failed")
    reason = worker.wait_for_refusal(uid)
    (worker.folder / "unmounted").rename(worker.storage)
    assert "not reachable from w@lab" in reason
    assert str(worker.storage) in reason
    assert "Give this worker the --storage of the others" in reason
    assert len(worker.entries(uid, "started")) == 1
