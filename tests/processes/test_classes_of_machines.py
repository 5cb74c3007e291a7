"""Classes of machines for real: a coordinator, a broker and workers of three queues.

CPU workers stand for the GPUs: what matters is which queue a worker serves.
"""

import json

import pytest

from asha_queue.search.rules import check
from asha_queue.views import journal
from tests.conftest import wait_until
from tests.processes.lab import Lab

PROGRAM = """
from asha_queue import Experiment, uniform

def train(trial):
    for step in trial.steps():
        trial.report(loss=trial.config["x"] + 1 / step)
        with trial.save() as folder:
            (folder / "step").write_text(str(step))

experiment = Experiment(
    name="classes", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min", max_t=16,
    reduction_factor=4, num_samples=32, seed=1, sampler="random", storage="runs",
    queues={1: "cpu", 4: "gpu", 16: "gpu4"},
)
"""


@pytest.mark.slow
def test_each_level_is_trained_by_the_workers_of_its_class(lab: Lab) -> None:
    (lab.folder / "exp.py").write_text(PROGRAM)
    said = lab.call("asha_queue", "submit", "exp.py")
    assert "no live worker serves queue gpu4, where segments from level 16 on are trained" in said
    lab.start("asha_queue", "coordinator")
    for queue in ("cpu", "gpu"):
        lab.worker(f"{queue}@lab", ASHA_QUEUE_QUEUES=queue)
    uid = lab.store.uid("classes")
    assert uid

    def waits() -> bool:
        status = json.loads(lab.call("asha_queue", "status", "classes", "--json"))
        beyond = {"queue": "gpu4", "level": 16, "queued": 0, "running": 0, "workers": 0}
        return bool(status["classes"][-1] == beyond and status["rungs"][1]["results"] >= 4)

    wait_until(waits, "the classes that are served have done what they can", 60)
    told = lab.call("asha_queue", "status", "classes")
    assert "no live worker serves queue gpu4" in told
    found = lab.call("asha_queue", "doctor", expect=1)
    assert "classes: no live worker serves its queue gpu4" in " ".join(found.split())
    lab.worker("gpu4@lab", ASHA_QUEUE_QUEUES="gpu4")
    wait_until(lambda: lab.store.describe(uid).state == "finished", "it ends", 60)

    entries = list(journal(lab.store, uid))
    assert check(entries) == []
    trained = {(e["reached"], e["worker"]) for e in entries if e["type"] == "completed"}
    assert trained == {(1, "cpu@lab"), (4, "gpu@lab"), (16, "gpu4@lab")}
