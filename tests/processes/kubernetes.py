"""Reads what `deploy/kubernetes/` would create: its files as they are, or as kustomize builds them.

Without kustomize, the resources of base and cluster are read, and what their generators make is
made here. They consist of nothing else, so both ways give the same but for names.
"""

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import ruamel.yaml

from tests.processes.deployment import KUBERNETES, environment_file

BIN = Path(sys.executable).parent
COMPONENTS = sorted(path.name for path in (KUBERNETES / "components").iterdir())
#: Components that can be used together; `cpu`, `gpu-shared` and the base have other workers each.
TOGETHER = [
    [],
    ["cpu"],
    ["cpu", "keda", "tls"],
    ["gpu-shared", "queues", "keda"],
    ["queues", "tls", "bucket", "keda"],
]

Manifest = dict[str, Any]


def documents(text: str) -> list[Manifest]:
    """The manifests in a YAML file, read as `kubectl` does: 0440 is octal."""
    yaml = ruamel.yaml.YAML(typ="safe", pure=True)
    yaml.version = "1.1"
    return [found for found in yaml.load_all(text) if found]


@cache
def kustomize() -> tuple[str, ...]:
    """The command that builds a folder; empty where there is none that knows components."""
    where = os.pathsep.join([str(BIN), os.environ["PATH"]])
    if found := shutil.which("kustomize", path=where):
        return (found, "build")
    if kubectl := shutil.which("kubectl", path=where):
        said = subprocess.run(
            [kubectl, "version", "--client"], capture_output=True, text=True, timeout=60
        ).stdout
        version = re.search(r"Kustomize Version: v(\d+)\.", said)
        if version and int(version[1]) >= 4:
            return (kubectl, "kustomize")
    return ()


def copied(folder: Path, components: list[str]) -> Path:
    """A copy of all in `folder`, and the cluster in it as one would write it that wants these
    components; without secrets and programs."""
    shutil.copytree(KUBERNETES, folder, ignore=shutil.ignore_patterns("secrets", "programs"))
    cluster = folder / "cluster"
    (cluster / "programs").mkdir()
    (cluster / "secrets").mkdir(mode=0o700)
    path, lines = cluster / "kustomization.yaml", []
    for line in path.read_text().splitlines():
        component = re.match(r"  # - \.\./components/([\w-]+) ", line)
        marked = re.search(r" # (tls|bucket)$", line)
        wanted = component[1] if component else marked[1] if marked else ""
        lines.append(line.replace("  # ", "  ", 1) if wanted in components else line)
    path.write_text("\n".join(lines) + "\n")
    return cluster


def built(cluster: Path) -> list[Manifest]:
    """What kustomize makes of a folder."""
    done = subprocess.run([*kustomize(), str(cluster)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def read(cluster: Path) -> list[Manifest]:
    """What `built` makes of it without components, but for the names of what is generated."""
    found: list[Manifest] = []
    for folder in (cluster / "../base", cluster):
        [file] = documents((folder / "kustomization.yaml").read_text())
        for name in file.get("resources", []):
            if name.endswith(".yaml"):
                found += documents((folder / name).read_text())
        for kind, key in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
            found += [generated(kind, made, folder) for made in file.get(key, [])]
    for one in found:
        if one["kind"] != "Namespace":
            one["metadata"]["namespace"] = file["namespace"]
    return found


def generated(kind: str, made: Mapping[str, Any], folder: Path) -> Manifest:
    data: dict[str, str] = dict(text.split("=", 1) for text in made.get("literals", []))
    for name in made.get("files", []):
        data[Path(name).name] = (folder / name).read_text()
    for name in made.get("envs", []):
        data |= environment_file(folder / name)
    if kind == "Secret":
        data = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": made["name"]}, "data": data}


def own_resources() -> list[Path]:
    """The files that are whole resources, and no patches."""
    found = []
    for file in sorted(KUBERNETES.rglob("kustomization.yaml")):
        [read] = documents(file.read_text())
        found += [file.parent / name for name in read.get("resources", []) if ".yaml" in name]
    return found


class Cluster:
    """Manifests, asked for by what they are."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self.manifests = manifests

    def of(self, kind: str) -> list[Manifest]:
        return [found for found in self.manifests if found["kind"] == kind]

    def one(self, kind: str, name: str) -> Manifest:
        """By its name, or the one that a hash was added to."""
        [found] = [
            one
            for one in self.of(kind)
            if re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", one["metadata"]["name"])
        ]
        return found

    @property
    def workloads(self) -> list[Manifest]:
        return [*self.of("Deployment"), *self.of("StatefulSet")]

    def data(self, kind: str, name: str) -> dict[str, str]:
        """What is in the ConfigMap or Secret of exactly this name."""
        [found] = [one for one in self.of(kind) if one["metadata"]["name"] == name]
        data: dict[str, str] = found["data"]
        if kind == "Secret":
            data = {key: base64.b64decode(value).decode() for key, value in data.items()}
        return data

    def environment(self, container: Manifest, pod_name: str = "pod-1") -> dict[str, str]:
        """A container's variables, as the kubelet sets them."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if key in source:
                    found |= self.data(kind, source[key]["name"])
        for variable in container.get("env", []):
            name, source = variable["name"], variable.get("valueFrom", {})
            if reference := source.get("secretKeyRef"):
                found[name] = self.data("Secret", reference["name"])[reference["key"]]
            elif field := source.get("fieldRef"):
                assert field["fieldPath"] == "metadata.name"
                found[name] = pod_name
            else:
                found[name] = re.sub(
                    r"\$\((\w+)\)", lambda match: found[match[1]], str(variable["value"])
                )
        return found


def template(workload: Manifest) -> Manifest:
    found: Manifest = workload["spec"]["template"]
    return found


def container(workload: Manifest) -> Manifest:
    """Its only container."""
    [found] = template(workload)["spec"]["containers"]
    return dict(found)


def matches(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    for needed in selector.get("matchExpressions", []):
        assert needed["operator"] == "In"
        if labels.get(needed["key"]) not in needed["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def references(workload: Manifest) -> Iterator[tuple[str, str, str | None]]:
    """Kind, name and key, if it needs one, of each ConfigMap and Secret that a pod uses."""
    own = container(workload)
    for source in own.get("envFrom", []):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if key in source:
                yield kind, source[key]["name"], None
    for variable in own.get("env", []):
        if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
            yield "Secret", reference["name"], reference["key"]
    for volume in template(workload)["spec"]["volumes"]:
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], None
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], None
