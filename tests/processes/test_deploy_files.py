"""What `deploy/` holds is valid, to the tools that judge such files."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import ruamel.yaml

from asha_queue.cli import root
from asha_queue.store.rights import ROLES
from tests.processes.deployment import (
    COMPOSE,
    KUBERNETES,
    SLURM,
    SYSTEMD,
    Compose,
    in_systemd,
    unit_lines,
)

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
READMES = [folder / "README.md" for folder in (COMPOSE, KUBERNETES, SLURM, SYSTEMD)]
SCRIPTS = sorted(
    path
    for folder in ("workers", ".ci", "deploy")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.read_bytes().startswith(b"#!") and path.suffix != ".py"
)
#: A call of `asha-queue`, in a container or not.
CALL = re.compile(
    r"(?:docker compose run --rm client|docker run .* asha-queue|(?:/opt/\S+/)?asha-queue"
    r"|kubectl exec deploy/client -- asha-queue) (.*)"
)
UNITS = sorted(SYSTEMD.glob("*.service"))


def judged(*command: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


def blocks(readme: Path) -> list[str]:
    """The `bash` blocks of a README, without the indentation of the list that they stand in."""
    found = re.findall(r"^( *)```bash\n(.*?)```", readme.read_text(), flags=re.M | re.S)
    return [re.sub(f"^{indent}", "", text, flags=re.M) for indent, text in found]


# -- compose -------------------------------------------------------------------------------------


def valid_compose(path: Path) -> subprocess.CompletedProcess[str]:
    return judged(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)


def test_the_compose_file_follows_the_official_schema(tmp_path: Path) -> None:
    done = valid_compose(COMPOSE / "compose.yaml")
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "compose.yaml"
    broken.write_text((COMPOSE / "compose.yaml").read_text().replace("restart:", "restarts:"))
    assert "'restarts' was unexpected" in valid_compose(broken).stdout


def test_every_variable_of_the_compose_file_is_in_the_example_and_the_other_way_round() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", (COMPOSE / "compose.yaml").read_text()))
    listed = set(re.findall(r"^#?([A-Z_]+)=", (COMPOSE / ".env.example").read_text(), re.M))
    assert listed == used | {"COMPOSE_PROFILES"}


def test_without_a_login_and_the_servers_users_compose_refuses_to_start_anything() -> None:
    assert "${FLOWER_BASIC_AUTH:?" in (COMPOSE / "compose.yaml").read_text()
    compose = Compose({})
    files = {name: compose.environment_file(name) for name in compose.services}
    assert files == {
        "valkey": "",
        "coordinator": "users/coordinator.env",
        "worker-cpu": "users/worker.env",
        "worker-gpu": "users/worker.env",
        "flower": "users/flower.env",
        "client": "users/client.env",
    }
    assert compose.secret("users.acl") == "users/users.acl"


def test_with_tls_every_client_has_the_ca_and_only_the_server_its_key() -> None:
    assert valid_compose(COMPOSE / "compose.tls.yaml").returncode == 0
    read = ruamel.yaml.YAML(typ="safe").load(COMPOSE / "compose.tls.yaml")
    secrets = {name: set(service["secrets"]) for name, service in read["services"].items()}
    assert secrets.pop("valkey") == {"users.acl", "ca.crt", "server.crt", "server.key"}
    assert set(secrets) == set(Compose({}).services) - {"valkey"}
    assert all(held == {"ca.crt"} for held in secrets.values())


@pytest.mark.parametrize("role", ["coordinator", "worker", "flower"])
def test_each_unit_has_the_file_of_its_own_user(role: str) -> None:
    unit = SYSTEMD / f"asha-queue-{role}.service"
    files = [value for name, value in unit_lines(unit) if name == "EnvironmentFile"]
    users = [Path(file).name for file in files if file.endswith(".env")]
    assert users == [f"{role}.env"]
    assert role in ROLES


def test_the_dockerfile_copies_what_exists_and_its_ignore_file_lets_through() -> None:
    dockerfile = (COMPOSE / "Dockerfile").read_text()
    sources = [
        word for line in re.findall(r"^COPY (.*)$", dockerfile, re.M) for word in line.split()[:-1]
    ]
    assert sources
    assert all((ROOT / source).exists() for source in sources)
    ignored = (COMPOSE / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == set(sources)
    assert "*" in ignored


# -- systemd -------------------------------------------------------------------------------------


def verified(unit: Path, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What systemd says of a unit whose programs are at hand."""
    for name in ("asha-queue", "valkey-server"):
        shutil.copy("/bin/true", folder / name)
    (folder / unit.name).write_text(text.replace("/opt/asha-queue/bin/", f"{folder}/"))
    return judged("systemd-analyze", "verify", "--man=no", folder / unit.name)


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed: apt-get install systemd",
)
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    done = verified(unit, tmp_path, unit.read_text())
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    broken = verified(unit, tmp_path, unit.read_text().replace("KillSignal=", "KilSignal="))
    assert "KilSignal" in broken.stderr


def test_there_is_a_unit_for_each_part() -> None:
    assert [unit.stem for unit in UNITS] == [
        f"asha-queue-{part}" for part in ("coordinator", "flower", "valkey", "worker")
    ]


# -- both ----------------------------------------------------------------------------------------


def test_workers_have_more_time_to_end_than_to_drain() -> None:
    unit = dict(unit_lines(SYSTEMD / "asha-queue-worker.service"))
    drain = int(re.findall(r"--drain-timeout (\d+)", unit["ExecStart"])[0])
    assert int(unit["TimeoutStopSec"]) > drain
    compose = Compose({})
    for name in ("worker-cpu", "worker-gpu"):
        command = compose.command(name)
        drain = int(command[command.index("--drain-timeout") + 1])
        assert compose.stop(name)[1] > drain


def test_no_command_line_holds_a_password() -> None:
    compose = Compose({"FLOWER_BASIC_AUTH": "me:secret2"})
    lines = [shlex.join(compose.command(name)) for name in compose.services]
    lines += [dict(unit_lines(unit))["ExecStart"] for unit in UNITS]
    lines += compose.healthcheck("valkey")
    assert all("secret" not in line and "PASSWORD" not in line for line in lines)
    for readme in READMES:
        for block in blocks(readme):
            # the shell writes files by itself: what stands there is on no command line
            outside = re.sub(r"<<(\w+)\n.*?\n\1\n", "\n", block, flags=re.S)
            assert "$password" not in outside


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing_wrong_with_a_script(script: Path) -> None:
    done = judged(BIN / "shellcheck", script)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_shellcheck_finds_nothing_wrong_with_the_commands_of_a_readme(readme: Path) -> None:
    assert blocks(readme)
    # one shell runs them all: the sourced file is made by the first ones, and nobody wants their
    # terminal closed by `cd … || exit`
    text = "".join(blocks(readme))
    done = judged(BIN / "shellcheck", "--shell=bash", "--exclude=SC1091,SC2164", "-", text=text)
    assert done.returncode == 0, done.stdout
    assert judged(BIN / "shellcheck", "--shell=bash", "-", text="echo $*\n").returncode == 1


def parsed(words: list[str]) -> str:
    """The verb of an `asha-queue` command that the command line takes; fails for another."""
    with root.make_context("asha-queue", list(words)) as context:
        verb = words[0]
        command = root.get_command(context, verb)
        assert command, f"no verb {verb}"
        command.make_context(verb, list(words[1:]), parent=context)
    return verb


def test_every_command_is_one_that_the_command_line_takes() -> None:
    compose = Compose({"CPU_WORKERS": "2"})
    commands = [compose.command(name) for name in compose.services if name != "valkey"]
    commands += [
        in_systemd(unit, {"WORKER_OPTIONS": "--gpus all"})[1:]
        for unit in UNITS
        if "valkey" not in unit.name
    ]
    for readme in READMES:
        for line in "".join(blocks(readme)).splitlines():
            if called := CALL.match(line):
                commands.append(shlex.split(called[1]))
    verbs = {parsed(command) for command in commands}
    assert verbs == {
        *("coordinator", "worker", "flower", "submit", "status", "logs", "doctor", "users")
    }
    with pytest.raises(click.UsageError):
        parsed(["worker", "--no-such-option"])
