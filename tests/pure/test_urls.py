"""What is no URL of a server is refused, and no password of one is ever shown."""

import subprocess
import sys
from urllib.parse import quote

import pytest

from asha_queue import where
from asha_queue.cli.argv import covered
from asha_queue.errors import SpecificationError, StoreError
from asha_queue.node.launcher import Options
from asha_queue.queue import make_app
from asha_queue.sentinel import Sentinels
from asha_queue.specification.trackers import named
from asha_queue.store import connect
from asha_queue.urls import holds_secret, server_url
from asha_queue.where import without_password

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h:6379/0",
        "redis://u:s3cr3t%2Fx@h:6379/15",
        "redis://:s3cr3t@[::1]:6379/0",
        "rediss://u:s3cr3t@h/0?ssl_ca_certs=/etc/ca.pem&ssl_cert_reqs=required",
        "sentinel://:s3cr3t@a,b:26379/0?master=lab&sentinel_password=s3cr3t",
    ],
)
def test_the_url_of_a_server_is_taken_as_it_is_and_shown_without_its_password(url: str) -> None:
    assert server_url(url) == url
    place = where.broker(url)
    assert place
    assert place.url == url
    assert SECRET not in str(place)


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:s3cr3t/x@h/0",
        "redis://u:s3cr3t#x@h/0",
        "redis://u:s3cr3t?x@h/0",
        "redis://u:x/s3cr3t@h/0",
        "u:s3cr3t@h:6379",
        "redis://[s3cr3t@h",
        "redis://:s3cr3t@ho℀st/0",
        "sentinel://:s3cr3t@ho℀st/0?master=lab",
        "sentinel://:s3cr3t@[a/0?master=lab",
        "redis://h:99999/0",
        "redis://h:0/0",
        "redis://h/s3cr3t",
        f"redis://h/{'9' * 10_000}",
        f"sentinel://h/{'9' * 10_000}?master=lab",
        "redis://h/0?password=s3cr3t",
        "redis://h/0?socket_timeout=5",
        "rediss://h/0?ssl_cert_reqs=s3cr3t",
        "amqp://u:s3cr3t@h/0",
        "redis://h\n/0",
        "redis:///0",
    ],
)
def test_what_is_no_url_of_a_server_is_refused_without_its_password(url: str) -> None:
    for use in (where.broker, server_url):
        with pytest.raises(StoreError) as raised:
            use(url)
        assert SECRET not in str(raised.value)
    assert SECRET not in without_password(url) or "@" not in url


def test_no_object_shows_a_password_in_a_log_or_a_debugger() -> None:
    url = "sentinel://u:s3cr3t@a,b/0?master=lab&sentinel_password=s3cr3t"
    shown = [where.broker(url), Sentinels.of(url), Options(url), make_app(url), connect(url)]
    shown += [make_app("redis://u:s3cr3t@h/0").connection()]
    assert SECRET not in " ".join(map(repr, shown))


def test_no_setting_that_a_worker_tells_holds_a_password() -> None:
    for url in (
        "redis://u:s3cr3t@h/0",
        "sentinel://u:s3cr3t@a,b/0?master=lab&sentinel_password=s3cr3t",
    ):
        told = make_app(url).conf.table(with_defaults=True)
        assert "broker_read_url" in told
        assert SECRET not in str(told)


def test_an_error_of_the_client_does_not_show_a_part_of_the_password() -> None:
    with pytest.raises(StoreError, match=r"redis://\*\*\*@h/0 is not the URL") as raised:
        connect("redis://u:s3cr3t/x@h/0")
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("http://host:5000", False),
        ("http://user:s3cr3t@host", True),
        ("http://s3cr3t@host", True),
        ("postgresql://user@host/db", False),
        ("postgresql://user:$PASSWORD@host/db", False),
        ("postgresql://user:s3/cr3t@host/db", True),
        ("postgresql://host/db?password=s3cr3t", True),
        ("postgresql://host/db?sslpassword=$PASSWORD&x=1", False),
        ("http://host?api_key=s3cr3t", True),
        ("http://[host:s3cr3t@", True),
        ("sqlite:///a@b.db", True),
        ("a@b.db", False),
    ],
)
def test_a_url_that_is_written_down_holds_no_secret(url: str, secret: bool) -> None:
    assert holds_secret(url) == secret
    if secret:
        with pytest.raises(SpecificationError, match="password") as raised:
            named([f"mlflow:{url}"])
        assert SECRET not in str(raised.value)
    else:
        assert named([f"mlflow:{url}"]) == [f"mlflow:{url}"]


def test_passwords_are_covered_in_a_command_line() -> None:
    line = [
        *("asha-queue", "flower", "--broker", "redis://u:s3cr3t@h/0"),
        *("--broker=sentinel://:s3cr3t/@@h/0?sentinel_password=s3cr3t&master=m", "a@b.py"),
        *("--basic_auth=ada:s3cr3t", "--cookie_secret", "s3cr3t", "https://h/@x"),
    ]
    shown = covered("\0".join(line).encode())
    assert SECRET.encode() not in shown
    assert len(shown) == len("\0".join(line))
    assert b"@h/0\0" in shown
    assert b"a@b.py" in shown


def test_no_other_user_sees_the_password_of_a_running_command() -> None:
    program = (
        "import sys, pathlib, click, asha_queue.cli as cli\n"
        "cli.root.main = lambda **_: print(pathlib.Path('/proc/self/cmdline').read_bytes())\n"
        "cli.main()"
    )
    url = f"redis://user:{quote('s3cr3t/')}@127.0.0.1:1/0"
    command = [sys.executable, "-c", program, "status", "--broker", url, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert SECRET not in done.stdout + done.stderr
    assert "@127.0.0.1:1/0" in done.stdout
    assert "set ASHA_QUEUE_BROKER" in done.stderr
