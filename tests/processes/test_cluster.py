"""The whole fleet on one machine: launchers under several host names, coordinators, Flower."""

import signal
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from asha_queue.coordinator.slots import Want, divide
from asha_queue.search.rules import check
from asha_queue.views import journal
from tests.conftest import free_port, wait_until
from tests.processes.lab import Lab
from tests.processes.network import Network, network
from tests.processes.servers import Valkey

PROGRAM = """
import json, time
from asha_queue import Experiment, uniform

def train(trial):
    seen = json.loads((trial.checkpoint / "steps").read_text()) if trial.checkpoint else []
    assert len(seen) == trial.start
    for step in trial.steps():
        time.sleep(0.15)
        seen.append(step)
        trial.report(loss=trial.config["x"] + 1 / step)
        with trial.save() as folder:
            (folder / "steps").write_text(json.dumps(seen))

def experiment(name, weight):
    return Experiment(
        name=name, train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min", max_t=9,
        reduction_factor=3, num_samples=NUM_SAMPLES, seed=1, weight=weight, storage="runs",
    )
"""
TRIALS = 60
WEIGHTS = {"one": 1.0, "two": 1.0, "three": 2.0}


@pytest.fixture
def hosts() -> Iterator[Network | None]:
    with network() as made:
        yield made


@pytest.fixture
def valkey_aof(tmp_path: Path, hosts: Network | None) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey", hosts.address if hosts else "127.0.0.1")
    yield server
    server.kill()


@pytest.fixture
def cluster(valkey_aof: Valkey, tmp_path: Path) -> Iterator[Lab]:
    with Lab(valkey_aof.url, tmp_path) as lab:
        yield lab


def launch(
    cluster: Lab, hosts: Network | None, host: str, cpus: int = 2
) -> subprocess.Popen[bytes]:
    """Starts a launcher on a host of its own, or under a made-up host name."""
    arguments = ["asha_queue", "worker", "--cpus", str(cpus), "--gpus", "none"]
    arguments += ["--drain-timeout", "20"]
    if hosts:
        return cluster.start(*arguments, before=hosts.host(host))
    return cluster.start(*arguments, ASHA_QUEUE_HOST=host)


def submit(cluster: Lab, trials: int) -> dict[str, str]:
    """Submits one experiment for each weight; returns their uids by name."""
    lines = [PROGRAM.replace("NUM_SAMPLES", str(trials))]
    lines += [f"{name} = experiment({name!r}, {weight})" for name, weight in WEIGHTS.items()]
    (cluster.folder / "exp.py").write_text("\n".join(lines))
    for name in WEIGHTS:
        submitted = cluster.start("asha_queue", "submit", f"exp.py:{name}")
        assert submitted.wait(timeout=30) == 0, cluster.log.read_text()[-2000:]
    return cluster.store.names()


def finished(cluster: Lab, uids: dict[str, str]) -> bool:
    return all(cluster.store.describe(uid).state == "finished" for uid in uids.values())


def leader_pid(cluster: Lab, uid: str) -> int:
    """The process that leads an experiment, 0 if none does."""
    leader = cluster.store.describe(uid).leader
    return int(leader.split(":")[1]) if leader else 0


def running_over_time(journals: dict[str, list[dict]]) -> list[tuple[float, Counter[str]]]:
    """How many segments of each experiment ran after each start, and when."""
    changes = []
    for name, entries in journals.items():
        for entry in entries:
            if entry["type"] == "started":
                changes.append((entry["at"], name, 1))
            elif entry["type"] in ("completed", "suspended", "lost", "failed"):
                changes.append((entry["at"], name, -1))
    running: Counter[str] = Counter()
    seen = []
    for at, name, change in sorted(changes):
        running[name] += change
        if change > 0:
            seen.append((at, running.copy()))
    return seen


@pytest.mark.timeout(240)
def test_three_experiments_end_whatever_joins_leaves_or_dies(
    cluster: Lab, valkey_aof: Valkey, hosts: Network | None
) -> None:
    print("\nhosts:", "network namespaces" if hosts else "names only")
    launchers = {host: launch(cluster, hosts, host) for host in ("alpha", "beta")}
    coordinators = [cluster.start("asha_queue", "coordinator") for _ in range(2)]
    port = free_port()
    cluster.start("asha_queue", "flower", "--port", str(port))
    uids = submit(cluster, trials=TRIALS)
    store = cluster.store
    wait_until(lambda: len(store.workers()) == 4, "two launchers of two workers each")
    wait_until(
        lambda: all(
            any(e["type"] == "completed" for e in journal(store, u)) for u in uids.values()
        ),
        "each experiment has a result",
        60,
    )

    launchers["gamma"] = launch(cluster, hosts, "gamma")
    wait_until(lambda: len(store.workers()) == 6, "a third launcher joins")
    drained = cluster.start("asha_queue", "drain", "alpha")
    assert drained.wait(timeout=30) == 0
    wait_until(lambda: launchers["alpha"].poll() == 0, "the drained launcher ends by itself", 40)
    launchers["beta"].kill()
    leading = Counter(pid for uid in uids.values() if (pid := leader_pid(cluster, uid)))
    victim = next(c for c in coordinators if c.pid == leading.most_common(1)[0][0])
    orphans = [uid for uid in uids.values() if leader_pid(cluster, uid) == victim.pid]
    victim.kill()
    killed_at = time.monotonic()
    wait_until(
        lambda: all(leader_pid(cluster, uid) not in (0, victim.pid) for uid in orphans),
        "the other coordinator takes over",
        20,
    )
    takeover = time.monotonic() - killed_at
    valkey_aof.kill()
    valkey_aof.start()
    wait_until(lambda: finished(cluster, uids), "all three end", 150)

    journals = {name: list(journal(store, uid)) for name, uid in uids.items()}
    for name, entries in journals.items():
        assert check(entries) == [], name
        assert len({e["trial"] for e in entries if e["type"] == "completed"}) == TRIALS
    ends = Counter(e["type"] for entries in journals.values() for e in entries)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/experiments", timeout=20) as page:
        text = page.read().decode()
    assert all(name in text for name in WEIGHTS)
    print(f"\ntakeover after {takeover:.1f} s; entries {dict(ends)}")
    assert takeover <= 10
    for coordinator in coordinators:
        coordinator.send_signal(signal.SIGTERM)
    launchers["gamma"].send_signal(signal.SIGTERM)
    assert launchers["gamma"].wait(timeout=40) == 0
    survivor = next(c for c in coordinators if c is not victim)
    assert survivor.wait(timeout=20) == 0


@pytest.mark.timeout(200)
def test_shares_are_within_one_segment_of_their_weights_while_all_want_slots(
    cluster: Lab, hosts: Network | None
) -> None:
    uids = submit(cluster, trials=40)
    store = cluster.store
    coordinator = cluster.start("asha_queue", "coordinator")
    wait_until(lambda: all(store.describe(uid).leader for uid in uids.values()), "all are led")
    launch(cluster, hosts, "alpha", cpus=4)
    wait_until(lambda: len(store.workers()) == 4, "four workers")
    began = store.workers()[0].seen_at
    wait_until(
        lambda: any(store.describe(uid).state == "finished" for uid in uids.values()),
        "the first experiment ends",
        150,
    )
    journals = {name: list(journal(store, uid)) for name, uid in uids.items()}
    # all want slots until one has started its last trial
    last_trial = min(
        max(e["at"] for e in entries if e["type"] == "scheduled" and e["rung"] == 0)
        for entries in journals.values()
    )
    shares = divide(4, [Want(name, 4, weight) for name, weight in WEIGHTS.items()]).slots
    measured = [  # between two segments a worker is nobody's, on a busy machine for a while
        r for at, r in running_over_time(journals) if began + 4 < at < last_trial and r.total() == 4
    ]
    assert len(measured) > 20
    worst = max(abs(r[name] - share) for r in measured for name, share in shares.items())
    mean = {name: sum(r[name] for r in measured) / len(measured) for name in shares}
    print(f"\nshares {shares}, running on average {mean}, off by at most {worst}")
    assert worst <= 1
    coordinator.kill()
