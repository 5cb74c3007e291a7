"""The URL of Sentinels: one form for the store and for Celery, and no password shown."""

import pytest
from kombu import Connection

from asha_queue.errors import StoreError
from asha_queue.queue import make_app
from asha_queue.sentinel import Sentinels
from asha_queue.store import connect
from asha_queue.where import without_password

WHOLE = "sentinel://me:p%40ss%2F@a:26380,b,[::1]:1/3?master=lab&sentinel_password=gu%26rds"


def test_a_url_names_hosts_master_database_and_passwords() -> None:
    assert Sentinels.of(WHOLE) == Sentinels(
        hosts=(("a", 26380), ("b", 26379), ("::1", 1)),
        master="lab",
        database=3,
        username="me",
        password="p@ss/",
        own_password="gu&rds",
    )
    plain = Sentinels.of("sentinel://a/?master=lab")
    assert plain == Sentinels((("a", 26379),), "lab", 0, None, None, None)


def test_kombu_finds_every_sentinel_with_login_and_database() -> None:
    urls = Sentinels.of(WHOLE).for_kombu()
    connection = Connection(urls, transport_options={"master_name": "lab"})
    assert len(connection.alt) == 3
    for url in connection.alt:
        connection.switch(url)
        assert (connection.userid, connection.password) == ("me", "p@ss/")
        assert (connection.virtual_host, connection.transport.default_port) == ("3", 26379)
    options = make_app(WHOLE).conf.broker_transport_options
    assert options["master_name"] == "lab"
    assert options["sentinel_kwargs"]["password"] == "gu&rds"
    assert options["global_keyprefix"] == "asha:celery:"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sentinel://a,b,c/0", r"\?master=NAME is missing"),
        ("sentinel://a/0?master=", r"\?master=NAME is missing"),
        ("sentinel:///0?master=lab", "'' is no HOST:PORT"),
        ("sentinel://a,,b/0?master=lab", "'' is no HOST:PORT"),
        ("sentinel://a:0/0?master=lab", "'a:0' is no HOST:PORT"),
        ("sentinel://a:70000/0?master=lab", "'a:70000' is no HOST:PORT"),
        ("sentinel://a:x/0?master=lab", "'a:x' is no HOST:PORT"),
        ("sentinel://a;b/zero?master=lab", "the database is a number, not 'zero'"),
        ("sentinel://a/0?master=lab&timeout=3", "there is no option 'timeout'"),
        ("sentinel://:secr/et@a/0?master=lab", "write % / . # @ as %25"),
        ("sentinel://:secr#et@a/0?master=lab", "write % / . # @ as %25"),
        ("sentinel://[a/0?master=lab", "its hosts cannot be read"),
    ],
)
def test_a_mistake_in_the_url_is_told_without_the_password(url: str, says: str) -> None:
    for use in (connect, make_app):
        with pytest.raises(StoreError, match=says) as raised:
            use(url)
        assert "secr" not in str(raised.value)
        assert "sentinel://:PASSWORD@HOST:26379" in str(raised.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (WHOLE, "sentinel://***@a:26380,b,[::1]:1/3?master=lab&sentinel_password=***"),
        ("sentinel://a,b/0?master=lab", "sentinel://a,b/0?master=lab"),
        ("redis://:secret@a/0", "redis://***@a/0"),
        ("redis://a/0?password=secret&db=1", "redis://a/0?password=***&db=1"),
    ],
)
def test_no_password_of_a_url_is_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
