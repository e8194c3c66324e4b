"""Host, Origin and forwarding headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.access import origin
from web.context import local

OURS = frozenset({"192.168.7.7", "fe80::1", "Seedkeep.local"})
PUBLIC = "https://videos.example.org/seedkeep"


@pytest.mark.parametrize(
    ("header", "host"),
    [
        (b"seedkeep.local:7333", "seedkeep.local"),
        (b"SEEDKEEP.local.", "seedkeep.local"),
        (b"[fe80::1%eth0]:7333", "fe80::1"),
        (b"[::1]", "::1"),
        (b"192.168.7.7", "192.168.7.7"),
        (b"a:b", ""),
        (b"a:1:2", ""),
        (b"user@host", ""),
        (b"host/path", ""),
        (b"\xff", ""),
        (b"", ""),
        (b"x" * 400, ""),
        (None, ""),
    ],
)
def test_a_host_header_is_read_or_is_no_host(header: bytes | None, host: str) -> None:
    assert origin.host_of(header) == host


@pytest.mark.parametrize("host", ["192.168.7.7", "fe80::1", "seedkeep.local", "localhost", "127.0.0.1", "::1"])
def test_our_names_and_addresses_are_home(host: str) -> None:
    assert origin.is_home(host, OURS)
    assert origin.is_ours(host, OURS, "")


@pytest.mark.parametrize("host", ["evil.example", "192.168.7.7.evil.example", "localhost.evil.example", "", "local"])
def test_a_name_that_is_not_ours_is_not_ours(host: str) -> None:
    assert not origin.is_ours(host, OURS, PUBLIC)
    assert not origin.is_home(host, OURS)


def test_another_address_cannot_be_rebound_but_is_not_home() -> None:
    assert origin.is_ours("203.0.113.9", OURS, "")
    assert not origin.is_home("203.0.113.9", OURS)


def test_the_public_name_is_ours_and_not_home() -> None:
    assert origin.is_ours("videos.example.org", OURS, PUBLIC)
    assert not origin.is_home("videos.example.org", OURS)


@given(st.binary(max_size=100))
def test_no_host_header_breaks_the_reader(header: bytes) -> None:
    host = origin.host_of(header)
    origin.is_ours(host, OURS, PUBLIC)
    origin.is_cross_site({b"host": header, b"origin": header}, host, PUBLIC)


@pytest.mark.parametrize(
    ("headers", "cross"),
    [
        ({}, False),
        ({b"sec-fetch-site": b"same-origin"}, False),
        ({b"sec-fetch-site": b"none"}, False),
        ({b"sec-fetch-site": b"same-site"}, True),
        ({b"sec-fetch-site": b"cross-site", b"origin": b"http://seedkeep.local:7333"}, True),
        ({b"origin": b"http://seedkeep.local:7333"}, False),
        ({b"origin": b"http://seedkeep.local:8080"}, True),
        ({b"origin": b"http://seedkeep.local"}, True),
        ({b"origin": b"http://evil.example:7333"}, True),
        ({b"origin": b"null"}, True),
        ({b"origin": b"http://[bad"}, True),
        ({b"origin": b"https://videos.example.org"}, False),
    ],
)
def test_another_site_is_known_by_what_browsers_say(headers: dict[bytes, bytes], cross: bool) -> None:
    sent = {b"host": b"seedkeep.local:7333", **headers}
    assert origin.is_cross_site(sent, "seedkeep.local", PUBLIC) is cross


@pytest.mark.parametrize(
    "name", [b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-real-ip", b"x-forwarded-server"]
)
def test_a_proxy_is_known_by_any_of_its_headers(name: bytes) -> None:
    assert origin.is_forwarded({name: b""})
    assert not origin.is_forwarded({b"accept": b"*/*"})


def test_the_word_of_a_proxy_on_https_counts_under_our_public_name_only() -> None:
    said = {b"x-forwarded-proto": b"https"}
    assert origin.is_secure(said, "http", "videos.example.org", PUBLIC)
    assert not origin.is_secure(said, "http", "192.168.7.7", PUBLIC)
    assert not origin.is_secure({}, "http", "videos.example.org", PUBLIC)
    assert origin.is_secure({}, "https", "192.168.7.7", "")


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "", "x", "/a\nb"])
def test_a_form_never_leads_elsewhere(target: str) -> None:
    assert local(target) == "/"


def test_a_form_leads_back_to_where_it_was_wanted() -> None:
    assert local("/videos?q=a&sort=title") == "/videos?q=a&sort=title"
