"""What `deploy/kubernetes/` holds is valid, fits together, and asks for no more than it needs."""

import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pydantic
import pytest

from asha_queue.node.slot import LEFT_BEHIND, SWEEP
from tests.processes.deployment import KUBERNETES, bare_environment
from tests.processes.kubernetes import (
    COMPONENTS,
    TOGETHER,
    Cluster,
    Manifest,
    built,
    container,
    copied,
    documents,
    kustomize,
    matches,
    own_resources,
    read,
    references,
    template,
)
from tests.processes.test_deploy_files import ROOT, parsed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the models of KEDA's schema are older than pydantic
    from cloudcoil.models.keda import v1alpha1 as keda

#: The oldest version of Kubernetes that it is for; the newest is the newest whose schema is there.
OLDEST = "1.29"
VERSIONS = [OLDEST, kubernetes_validate.latest_version()]


def secrets(cluster: Path, tls: bool = False) -> None:
    """Files as `asha-queue users` and the README's commands write them."""
    end = "valkey:6379/0" + ("?ssl_ca_certs=/etc/valkey-ca/ca.crt" if tls else "")
    for user in ("coordinator", "worker", "flower", "client"):
        url = f"{'rediss' if tls else 'redis'}://{user}:secret-{user}@{end}"
        (cluster / "secrets" / f"{user}.env").write_text(f"ASHA_QUEUE_BROKER={url}\n")
    (cluster / "secrets" / "users.acl").write_text("user default off\n")
    (cluster / "secrets" / "flower-login.env").write_text("username=ada\npassword=secret-page\n")
    (cluster / "secrets" / "bucket.env").write_text("AWS_ACCESS_KEY_ID=secret-bucket\n")
    for name in ("ca.crt", "server.crt", "server.key"):
        (cluster / "secrets" / name).write_text(f"secret {name}")
    shutil.copy(ROOT / "workers" / "digits.py", cluster / "programs")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(None, id="files"),
        *(
            pytest.param(names, id="+".join(["base", *names]), marks=pytest.mark.slow)
            for names in TOGETHER
        ),
    ],
)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The files as they are; and what kustomize makes of them, with components."""
    place = tmp_path_factory.mktemp("deploy")
    if request.param is None:
        folder = copied(place / "kubernetes", [])
        secrets(folder)
        return Cluster(read(folder))
    if not kustomize():
        pytest.skip("neither kustomize nor kubectl is there: make .venv/.for-kubernetes")
    folder = copied(place / "kubernetes", request.param)
    secrets(folder, tls="tls" in request.param)
    return Cluster(built(folder))


# -- schemas -------------------------------------------------------------------------------------


def wrong_with(manifest: Manifest, version: str = OLDEST) -> str:
    """What its schema finds, unknown fields included; empty if nothing."""
    try:
        if manifest["apiVersion"].startswith("keda.sh/"):
            getattr(keda, manifest["kind"]).model_validate(manifest, extra="forbid")
        else:
            kubernetes_validate.validate(manifest, version, strict=True)
    except (kubernetes_validate.ValidationError, pydantic.ValidationError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "path", own_resources(), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_file_follows_the_schemas_to_the_letter(path: Path, version: str) -> None:
    found = documents(path.read_text())
    assert found
    assert [wrong for one in found if (wrong := wrong_with(one, version))] == []


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("base/worker.yaml", "terminationGracePeriodSeconds", "terminationGracePeriod"),
        ("base/valkey.yaml", "replicas: 1", "replicas: one"),
        ("base/network.yaml", "policyTypes", "policies"),
        ("components/keda/scaling.yaml", "cooldownPeriod:", "coolDownPeriod:"),
        ("components/keda/scaling.yaml", 'targetValue: "1"', "targetValue: 1"),
        ("components/keda/scaling.yaml", "secretTargetRef:", "secretTarget:"),
    ],
)
def test_a_slip_in_a_file_is_seen(file: str, before: str, after: str) -> None:
    text = (KUBERNETES / file).read_text()
    assert before in text
    found = documents(text.replace(before, after))
    assert any(wrong_with(one) for one in found)


def test_what_kustomize_makes_follows_the_schemas_too(cluster: Cluster) -> None:
    assert [wrong for one in cluster.manifests if (wrong := wrong_with(one, VERSIONS[-1]))] == []


def test_there_is_a_line_for_each_component_in_the_cluster_and_each_is_tested() -> None:
    text = (KUBERNETES / "cluster" / "kustomization.yaml").read_text()
    assert sorted(re.findall(r"# - \.\./components/([\w-]+)", text)) == COMPONENTS
    assert {name for names in TOGETHER for name in names} == {*COMPONENTS}


def test_the_image_is_tagged_with_the_version_that_it_is_of() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = (KUBERNETES / "cluster" / "kustomization.yaml").read_text()
    assert f'newTag: "{version}"' in text
    tags = re.findall(r"/asha-queue:([\d.]+\d)", (KUBERNETES / "README.md").read_text())
    assert {*tags} == {version}


def test_the_variable_that_a_service_called_flower_would_set_keeps_flower_from_starting() -> None:
    environment = bare_environment() | {"FLOWER_PORT": "tcp://10.96.0.7:5555"}
    done = subprocess.run(
        [sys.executable, "-m", "asha_queue", "flower", "--broker", "redis://127.0.0.1:1/0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Flower does not take its options" in done.stderr


# -- what refers to something else -----------------------------------------------------------------


def test_every_selector_takes_the_pods_of_one_workload_and_no_others(cluster: Cluster) -> None:
    for workload in cluster.workloads:
        selector = workload["spec"]["selector"]
        taken = [
            other["metadata"]["name"]
            for other in cluster.workloads
            if matches(selector, template(other)["metadata"]["labels"])
        ]
        assert taken == [workload["metadata"]["name"]]
    selectors = {
        (one["kind"], one["metadata"]["name"]): (
            {"matchLabels": one["spec"]["selector"]}
            if one["kind"] == "Service"
            else one["spec"]["selector"]
        )
        for one in [*cluster.of("Service"), *cluster.of("PodDisruptionBudget")]
    }
    assert {kind for kind, _ in selectors} == {"Service", "PodDisruptionBudget"}
    for (_, name), selector in selectors.items():
        taken = [
            workload["metadata"]["name"]
            for workload in cluster.workloads
            if matches(selector, template(workload)["metadata"]["labels"])
        ]
        assert taken == [name]


def test_every_secret_and_configmap_that_is_used_is_made_with_the_key_that_is_used(
    cluster: Cluster,
) -> None:
    used = [found for workload in cluster.workloads for found in references(workload)]
    assert len(used) > 10
    for kind, name, key in used:
        data = cluster.data(kind, name)
        assert data
        assert key is None or key in data
    for authentication in cluster.of("TriggerAuthentication"):
        for reference in authentication["spec"]["secretTargetRef"]:
            assert reference["key"] in cluster.data("Secret", reference["name"])
    made = {
        (kind, one["metadata"]["name"])
        for kind in ("Secret", "ConfigMap")
        for one in cluster.of(kind)
    }
    assert made == {(kind, name) for kind, name, _ in used}, "what nobody uses"


def test_every_volume_is_there_and_every_mount_has_one(cluster: Cluster) -> None:
    claims = {one["metadata"]["name"] for one in cluster.of("PersistentVolumeClaim")}
    for workload in cluster.workloads:
        volumes = template(workload)["spec"]["volumes"]
        names = {volume["name"] for volume in volumes}
        names |= {
            one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", [])
        }
        mounts = container(workload)["volumeMounts"]
        assert sorted(mount["name"] for mount in mounts) == sorted(names)
        assert len({mount["mountPath"] for mount in mounts}) == len(mounts)
        used = {
            v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v
        }
        assert used <= claims
    if not claims:
        environment = cluster.environment(container(cluster.one("Deployment", "worker")))
        assert environment["ASHA_QUEUE_STORAGE"] == "s3://BUCKET/asha-queue"
        assert environment["AWS_ACCESS_KEY_ID"] == "secret-bucket"


def test_every_port_that_is_named_is_one_that_a_container_has(cluster: Cluster) -> None:
    for service in cluster.of("Service"):
        [workload] = [
            w for w in cluster.workloads if w["metadata"]["name"] == service["metadata"]["name"]
        ]
        named = {port["name"]: port["containerPort"] for port in container(workload)["ports"]}
        for port in service["spec"]["ports"]:
            assert named[port["targetPort"]] == port["port"]
        for probe in ("readinessProbe", "livenessProbe"):
            if asked := container(workload)[probe].get("httpGet"):
                assert asked["port"] in named
    assert f"--port={5555}" in container(cluster.one("Deployment", "flower"))["args"]
    configuration = cluster.one("ConfigMap", "valkey")["data"]
    told = [line for text in configuration.values() for line in text.splitlines()]
    tls = "with-tls.conf" in configuration
    assert ("tls-port 6379" if tls else "port 6379") in told
    assert ("port 0" in told) == tls


def test_the_servers_configuration_names_files_that_are_mounted(cluster: Cluster) -> None:
    workload = cluster.one("StatefulSet", "valkey")
    volumes = {volume["name"]: volume for volume in template(workload)["spec"]["volumes"]}
    files: dict[str, str] = {}
    for mount in container(workload)["volumeMounts"]:
        volume = volumes.get(mount["name"], {})
        if "configMap" in volume:
            data = cluster.data("ConfigMap", volume["configMap"]["name"])
        elif "secret" in volume:
            data = cluster.data("Secret", volume["secret"]["secretName"])
        else:
            continue
        files |= {f"{mount['mountPath']}/{name}": text for name, text in data.items()}
    text = "".join(text for name, text in files.items() if name.endswith(".conf"))
    named = re.findall(r"^(?:aclfile|tls-\S+-file) (\S+)$", text, re.M)
    assert "/etc/valkey-users/users.acl" in named
    assert {*named, container(workload)["command"][1]} <= files.keys()
    assert ("/etc/valkey-tls/server.key" in named) == ("tls-port" in text)


# -- who reaches whom ------------------------------------------------------------------------------


def flows(cluster: Cluster) -> set[tuple[str, str, int]]:
    """From whom to whom connections are allowed, by component, and to which port; `dns` is the
    cluster's, `keda` and `elsewhere` are not ours."""
    pods = {w["metadata"]["name"]: template(w)["metadata"]["labels"] for w in cluster.workloads}
    policies = [one["spec"] for one in cluster.of("NetworkPolicy")]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies, "default deny"
    found = set()

    def allowed(name: str, direction: str, ends: str) -> set[tuple[str, int]]:
        others = set()
        for policy in policies:
            if not matches(policy["podSelector"], pods[name]):
                continue
            for rule in policy.get(direction, []):
                for end in rule.get(ends, [{}]):
                    namespace = end.get("namespaceSelector", {}).get("matchLabels", {})
                    outside = {
                        "kube-system": "dns",
                        "keda": "keda",
                    }.get(namespace.get("kubernetes.io/metadata.name", ""))
                    if not end:
                        outside = "elsewhere"
                    names = (
                        [outside]
                        if outside
                        else [n for n in pods if matches(end["podSelector"], pods[n])]
                    )
                    assert rule["ports"], "to all ports"
                    others |= {(other, port["port"]) for other in names for port in rule["ports"]}
        return others

    into = {name: allowed(name, "ingress", "from") for name in pods}
    for name in pods:
        for other, port in allowed(name, "egress", "to"):
            if other in pods:
                assert (name, port) in into[other], f"{name} may go, and {other} does not let it in"
                into[other].discard((name, port))
            found.add((name, other, port))
    for name, left in into.items():
        found |= {(other, name, port) for other, port in left}
    return found


def test_connections_are_allowed_where_they_are_needed_and_nowhere_else(cluster: Cluster) -> None:
    needed = set()
    for workload in cluster.workloads:
        name = workload["metadata"]["name"]
        if url := cluster.environment(container(workload)).get("ASHA_QUEUE_BROKER"):
            host, port = urlsplit(url).hostname, urlsplit(url).port
            assert host
            assert port
            needed |= {(name, host, port), (name, "dns", 53)}
            if not cluster.of("PersistentVolumeClaim"):
                needed.add((name, "elsewhere", 443))
    for scaled in cluster.of("ScaledObject"):
        [trigger] = scaled["spec"]["triggers"]
        url = urlsplit(trigger["metadata"]["url"])
        service, namespace, _ = (url.hostname or "").split(".")
        [found] = [one for one in cluster.of("Service") if one["metadata"]["name"] == service]
        assert found["metadata"]["namespace"] == namespace
        assert found["spec"]["ports"][0]["port"] == url.port
        needed.add(("keda", service, int(url.port or 0)))
    assert flows(cluster) == needed
    assert {(b, port) for _, b, port in needed} >= {("valkey", 6379), ("dns", 53)}


# -- how pods run ----------------------------------------------------------------------------------


def test_pods_have_no_rights_that_they_do_not_need(cluster: Cluster) -> None:
    [namespace] = cluster.of("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in cluster.workloads:
        pod = template(workload)["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
        user = pod["securityContext"]
        assert user["runAsNonRoot"] is True
        assert user["runAsUser"] == user["runAsGroup"] == user["fsGroup"] > 0
        assert user["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(workload)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        kinds = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
        assert all(kinds & volume.keys() for volume in pod["volumes"])


def test_every_container_says_what_it_needs_and_has_a_limit_to_its_memory(cluster: Cluster) -> None:
    for workload in cluster.workloads:
        resources = container(workload)["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys()
        assert "memory" in resources["limits"]
    for name in ("worker", "worker-large"):
        for workload in cluster.of("Deployment"):
            if workload["metadata"]["name"] == name:
                args, limits = (
                    container(workload)["args"],
                    container(workload)["resources"]["limits"],
                )
                assert ("nvidia.com/gpu" in limits) == ("--gpus" in args)
                if "--gpus-per-worker" in args:
                    each = int(args[args.index("--gpus-per-worker") + 1])
                    assert limits["nvidia.com/gpu"] % each == 0


def test_the_server_keeps_its_memory_below_its_limit(cluster: Cluster) -> None:
    text = cluster.one("ConfigMap", "valkey")["data"]["valkey.conf"]
    [megabytes] = re.findall(r"^maxmemory (\d+)mb$", text, re.M)
    limit = container(cluster.one("StatefulSet", "valkey"))["resources"]["limits"]["memory"]
    assert limit == "2Gi"
    assert int(megabytes) < 0.75 * 2048
    for line in ("appendonly yes", "appendfsync always", 'save ""', "maxmemory-policy noeviction"):
        assert line in text.splitlines()


def test_workers_have_the_time_to_drain_and_to_clean_up(cluster: Cluster) -> None:
    workers = [w for w in cluster.of("Deployment") if w["metadata"]["name"].startswith("worker")]
    assert workers
    for workload in workers:
        args = container(workload)["args"]
        drain = int(args[args.index("--drain-timeout") + 1])
        grace = template(workload)["spec"]["terminationGracePeriodSeconds"]
        assert grace >= drain + LEFT_BEHIND + SWEEP


def test_commands_are_taken_and_no_file_they_write_is_anywhere_but_in_a_volume(
    cluster: Cluster,
) -> None:
    verbs = []
    for workload in cluster.of("Deployment"):
        own = container(workload)
        assert own["image"].partition(":")[0] in ("asha-queue", "registry.example/asha-queue")
        if "args" in own:
            verbs.append(parsed(own["args"]))
            if "--alive" in own["args"]:
                path = own["args"][own["args"].index("--alive") + 1]
                assert any(
                    path.startswith(f"{mount['mountPath']}/") for mount in own["volumeMounts"]
                )
                assert f"find {path} " in own["readinessProbe"]["exec"]["command"][2]
        assert cluster.environment(own)["HOME"] == "/tmp"
    assert {*verbs} == {"coordinator", "worker", "flower"}


def test_nothing_secret_stands_outside_of_a_secret(cluster: Cluster) -> None:
    for manifest in cluster.manifests:
        if manifest["kind"] != "Secret":
            text = str(manifest).replace("secret ca.crt", "")
            assert not re.search(r"secret-\w+@|secret-page|secret server|secret-bucket", text)
    login = cluster.environment(container(cluster.one("Deployment", "flower")))
    assert login["FLOWER_BASIC_AUTH"] == "ada:secret-page"


def test_the_server_and_a_coordinator_are_kept_when_nodes_are_emptied(cluster: Cluster) -> None:
    kept = {
        one["metadata"]["name"]: one["spec"]["minAvailable"]
        for one in cluster.of("PodDisruptionBudget")
    }
    replicas = {w["metadata"]["name"]: w["spec"].get("replicas") for w in cluster.workloads}
    assert kept == {"valkey": 1, "coordinator": 1}
    assert replicas["valkey"] == 1
    assert replicas["coordinator"] == 2
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in cluster.of("ScaledObject")}
    assert {name for name, count in replicas.items() if count is None} == scaled
    [term] = template(cluster.one("Deployment", "coordinator"))["spec"]["affinity"][
        "podAntiAffinity"
    ]["preferredDuringSchedulingIgnoredDuringExecution"]
    labels = template(cluster.one("Deployment", "coordinator"))["metadata"]["labels"]
    assert matches(term["podAffinityTerm"]["labelSelector"], labels)
