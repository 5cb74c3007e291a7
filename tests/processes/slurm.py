"""A folder from which `deploy/slurm` is used, and a real Slurm on the loopback."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil

from asha_queue.search.rules import check
from asha_queue.store import connect
from asha_queue.training.processes import living, marked
from asha_queue.views import journal
from tests.chaos.processes import MARK
from tests.conftest import free_port, wait_until
from tests.processes.deployment import bare_environment

BIN = Path(sys.executable).parent
_ATTEMPT = ("trial", "rung", "attempt")
#: Programs of Slurm that the tests need.
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel")
#: Trains as slowly as the file `pause` says, and saves when it is wanted back.
PROGRAM = """
import time
from pathlib import Path
from asha_queue import Experiment, Trial, uniform

def train(trial: Trial) -> None:
    done = int((trial.checkpoint / "done").read_text()) if trial.checkpoint else 0
    assert done == trial.start
    for step in trial.steps():
        time.sleep(float(Path("pause").read_text()))
        trial.report(loss=trial.config["x"] / step)
    with trial.save() as folder:
        (folder / "done").write_text(str(step))

experiment = Experiment(
    name="slow", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min",
    max_t=64, grace_period=16, reduction_factor=2, num_samples=6, seed=1,
)
"""


class Site:
    """A folder that all nodes see: users, programs, storage."""

    def __init__(self, folder: Path, pause: float) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        self._started: list[subprocess.Popen[bytes]] = []
        ours = {MARK: self._mark, "CUDA_VISIBLE_DEVICES": "", "ASHA_QUEUE_LOOK": "4"}
        path = os.pathsep.join([str(folder / "bin"), str(BIN), os.environ["PATH"]])
        self.environment = bare_environment() | ours | {"PATH": path, "ASHA_QUEUE_IDLE": "4"}
        (folder / "slow.py").write_text(PROGRAM)
        self.hurry(pause)
        address = f"{os.uname().nodename}:{free_port()}/0"
        self.asha_queue("users", "users", "--broker", f"redis://{address}")

    def hurry(self, pause: float) -> None:
        """Seconds that a step takes from now on."""
        new = self.folder / "pause.new"
        new.write_text(str(pause))
        new.replace(self.folder / "pause")

    def asha_queue(self, *arguments: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            [BIN / "asha-queue", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def as_client(self, command: str, wanted: int = 0) -> str:
        """What a line of the README prints, called as the user `client`."""
        line = f"set -a; . users/client.env; set +a; {command}"
        done = subprocess.run(
            ["bash", "-euc", line],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == wanted, done.stdout + done.stderr
        return done.stdout

    def bash(
        self, script: Path, log: str, *arguments: str, **environment: str
    ) -> "subprocess.Popen[bytes]":
        """Starts a script of `deploy/slurm` by hand."""
        with (self.folder / log).open("ab") as output:
            process = subprocess.Popen(
                ["bash", str(script), *arguments],
                cwd=self.folder,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    # -- what the store knows --------------------------------------------------------------------

    @property
    def broker(self) -> str:
        text = (self.folder / "users" / "coordinator.env").read_text()
        return text.strip().partition("=")[2].strip("'\"")

    @property
    def password(self) -> str:
        return str(urlsplit(self.broker).password)

    def workers(self) -> list[str]:
        with closing(connect(self.broker)) as store:
            return sorted(worker.name for worker in store.workers())

    def journal(self, kind: str = "") -> list[dict]:
        """The journal of the experiment, or its entries of a kind."""
        with closing(connect(self.broker)) as store:
            entries = list(journal(store, store.names()["slow"]))
        return [entry for entry in entries if kind in ("", entry["type"])]

    def training(self) -> list[str]:
        """Workers that train a segment."""
        overview = json.loads(self.as_client("asha-queue status --json"))
        return [one["worker"] for one in overview["workers"] if one["trains"]]

    def nothing_lost(self) -> None:
        """Fails unless the experiment has finished, and each segment that was given back has gone
        on from where it was."""
        entries = self.journal()
        assert check(entries) == []
        assert entries[-1]["type"] == "finished"
        assert [e for e in entries if e["type"] in ("lost", "failed", "warning")] == []
        starts = {
            (e["trial"], e["rung"], e["attempt"]): e["start"] for e in self.journal("started")
        }
        for given_back in self.journal("suspended"):
            trial, rung, attempt = (given_back[name] for name in ("trial", "rung", "attempt"))
            assert starts[trial, rung, attempt + 1] == given_back["reached"]

    # -- its end ---------------------------------------------------------------------------------

    def left(self) -> list[psutil.Process]:
        return living(marked(MARK, self._mark), self._serves)

    def _serves(self, process: psutil.Process) -> bool:
        """Whether it is the server, whose title overwrites its environment."""
        return process.name() == "valkey-server" and process.cwd() == str(self.folder / "valkey")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.left():
            process.kill()
        for started in self._started:
            started.wait()
        for log in sorted(self.folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')}")  # shown when a test fails


class Slurm:
    """A Slurm of this user's with two nodes, both of them this machine."""

    def __init__(self) -> None:
        # the path of a socket is short
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.configuration = self.folder / "slurm.conf"
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        # what slurmd has started for a job that has not ended
        for process in living(marked("SLURM_CONF", str(self.configuration))):
            process.kill()
        shutil.rmtree(self.folder)

    def call(self, *command: str, site: Site | None = None) -> str:
        """What a command of Slurm prints."""
        ours = site.environment if site else bare_environment()
        done = subprocess.run(
            command,
            cwd=site.folder if site else self.folder,
            env=ours | {"SLURM_CONF": str(self.configuration)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def submit(self, site: Site, script: Path, *arguments: str, options: Sequence[str] = ()) -> str:
        """Submits a script, called with `arguments`; returns the number of its job."""
        return self.call(
            "sbatch", "--parsable", *options, str(script), *arguments, site=site
        ).strip()

    def state(self, job: str) -> dict[str, str]:
        """What `scontrol show job` says of a job or a task of an array."""
        return dict(re.findall(r"(\w+)=(\S+)", self.call("scontrol", "show", "job", job)))

    def worker(self, job: str) -> str:
        """What the CPU worker of a job that runs is called."""
        state = self.state(job)
        return f"cpu0@{state['BatchHost']}-{state['JobId']}"

    def wait_for(self, jobs: Sequence[str], seconds: float = 60.0, **wanted: str) -> None:
        """Until `scontrol show job` says so of each."""

        def so() -> bool:
            return all(wanted.items() <= self.state(job).items() for job in jobs)

        wait_until(so, f"{jobs}: {wanted}", seconds)

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))

    def _start(self) -> None:
        folder, user, host = self.folder, psutil.Process().username(), os.uname().nodename
        (folder / "munge").mkdir(mode=0o711)
        key = folder / "munge" / "key"
        key.write_bytes(os.urandom(64))
        key.chmod(0o600)
        ports = [free_port() for _ in range(3)]
        nodes = "\n".join(
            f"NodeName=node{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 "
            f"RealMemory=8000"
            for number, port in enumerate(ports[1:])
        )
        self.configuration.write_text(
            f"""ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
# as many processors as are said, whatever there are
SlurmdParameters=config_overrides
ReturnToService=2
MailProg=/bin/true
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
        )
        socket = folder / "munge" / "socket"
        files = [f"--{n}-file={folder}/munge/{n}" for n in ("log", "pid", "seed", "key")]
        self._daemon("munged", "--foreground", "--force", f"--socket={socket}", *files)
        wait_until(socket.is_socket, "munged listens")
        self._daemon("slurmctld", "-D", "-f", str(self.configuration))
        for number in range(2):
            node = f"node{number}"
            self._daemon("slurmd", "-D", "-f", str(self.configuration), "-N", node)
        wait_until(self._idle, "both nodes are idle", 60)

    def _daemon(self, *command: str) -> None:
        log = (self.folder / f"{command[0]}-says.log").open("ab")
        with log:
            self._daemons.append(subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log))

    def _idle(self) -> bool:
        time.sleep(0.2)  # slurmctld is asked by a process each time
        ours = os.environ | {"SLURM_CONF": str(self.configuration)}
        asked = ("sinfo", "--noheader", "--Node", "--format=%T")
        done = subprocess.run(asked, env=ours, capture_output=True, text=True)
        return done.stdout.split() == ["idle", "idle"]
