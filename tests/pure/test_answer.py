"""How an answer is packed: compressed for a client that takes that, and named by its content."""

import gzip

import pytest

from asha_queue.dashboard.answer import COMPRESSED, Asked, pack, takes_gzip

LARGE = b'{"x": 1}' * COMPRESSED


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip, deflate, br", True),
        ("GZIP", True),
        ("br;q=1.0, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("deflate, br", False),
        ("", False),
    ],
)
def test_a_client_says_whether_it_takes_gzip(accepted: str, taken: bool) -> None:
    assert takes_gzip(accepted) == taken


def test_what_is_large_is_compressed_for_a_client_that_takes_it() -> None:
    packed = pack(LARGE, "application/json", Asked("gzip"))
    assert packed.compressed
    assert packed.body is not None
    assert len(packed.body) < len(LARGE) / 10
    assert gzip.decompress(packed.body) == LARGE


@pytest.mark.parametrize(("body", "accepted"), [(LARGE, "br"), (LARGE, ""), (b"{}", "gzip")])
def test_what_is_small_or_not_taken_compressed_is_sent_as_it_is(body: bytes, accepted: str) -> None:
    packed = pack(body, "application/json", Asked(accepted))
    assert (packed.body, packed.compressed) == (body, False)


def test_the_same_content_has_the_same_name_however_it_is_sent() -> None:
    assert pack(LARGE, "a/b", Asked("gzip")).etag == pack(LARGE, "a/b").etag
    assert pack(LARGE, "a/b").etag != pack(LARGE + b" ", "a/b").etag


def test_a_client_that_has_it_already_is_sent_nothing() -> None:
    etag = pack(LARGE, "a/b").etag
    assert pack(LARGE, "a/b", Asked("gzip", f'"other", {etag}')).body is None
    assert pack(LARGE + b" ", "a/b", Asked("", etag)).body is not None
