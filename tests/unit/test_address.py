"""What people paste, and what it is taken for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import BadInput
from appliance.follow.address import Target, TargetKind, pasted

UUID = "43b50545-458f-4457-b12f-e39a24620947"
SHORT = "9mVB9MB2Pzb4H3ZJniJNFZ"


@pytest.mark.parametrize(
    ("text", "kind", "host", "name"),
    [
        ("https://tube.example/c/films", TargetKind.CHANNEL, "tube.example", "films"),
        ("https://tube.example/c/films/videos?s=1#top", TargetKind.CHANNEL, "tube.example", "films"),
        ("  <https://tube.example/c/films>\n", TargetKind.CHANNEL, "tube.example", "films"),
        ("tube.example/c/films", TargetKind.CHANNEL, "tube.example", "films"),
        ("HTTPS://Tube.Example/c/films", TargetKind.CHANNEL, "tube.example", "films"),
        ("https://tube.example/video-channels/films", TargetKind.CHANNEL, "tube.example", "films"),
        ("https://tube.example/video-channels/films/videos", TargetKind.CHANNEL, "tube.example", "films"),
        ("https://tube.example/c/films@home.example", TargetKind.CHANNEL, "home.example", "films"),
        ("https://tube.example/c/films@home.example:8080", TargetKind.CHANNEL, "home.example:8080", "films"),
        ("https://tube.example/a/harbour", TargetKind.ACCOUNT, "tube.example", "harbour"),
        ("https://tube.example/a/harbour/video-channels", TargetKind.ACCOUNT, "tube.example", "harbour"),
        ("https://tube.example/accounts/harbour", TargetKind.ACCOUNT, "tube.example", "harbour"),
        ("https://tube.example/accounts/peertube", TargetKind.INSTANCE, "tube.example", ""),
        ("https://tube.example/@harbour", TargetKind.HANDLE, "tube.example", "harbour"),
        ("@films@tube.example", TargetKind.HANDLE, "tube.example", "films"),
        ("films@tube.example", TargetKind.HANDLE, "tube.example", "films"),
        ("acct:films@tube.example", TargetKind.HANDLE, "tube.example", "films"),
        ("harbour_films@127.0.0.1:9001", TargetKind.HANDLE, "127.0.0.1:9001", "harbour_films"),
        ("tube.example", TargetKind.INSTANCE, "tube.example", ""),
        ("https://tube.example/", TargetKind.INSTANCE, "tube.example", ""),
        ("https://tube.example/videos/trending", TargetKind.INSTANCE, "tube.example", ""),
        ("localhost:9000", TargetKind.INSTANCE, "localhost:9000", ""),
        ("http://[::1]:9000/c/films", TargetKind.CHANNEL, "[::1]:9000", "films"),
        ("http://origin/c/films", TargetKind.CHANNEL, "origin", "films"),
        ("https://bücher.example/c/films", TargetKind.CHANNEL, "xn--bcher-kva.example", "films"),
        (f"https://tube.example/w/{SHORT}", TargetKind.VIDEO, "tube.example", SHORT),
        (f"https://tube.example/w/{SHORT}?start=1m2s", TargetKind.VIDEO, "tube.example", SHORT),
        (f"https://tube.example/w/{SHORT};threadId=3", TargetKind.VIDEO, "tube.example", SHORT),
        (f"https://tube.example/videos/watch/{UUID.upper()}", TargetKind.VIDEO, "tube.example", UUID),
        (f"https://tube.example/videos/embed/{SHORT}", TargetKind.VIDEO, "tube.example", SHORT),
        (f"https://tube.example/api/v1/videos/{UUID}", TargetKind.VIDEO, "tube.example", UUID),
        ("https://tube.example/feeds/videos.xml?videoChannelName=films", TargetKind.CHANNEL, "tube.example", "films"),
        ("https://tube.example/blog/hello", TargetKind.PAGE, "tube.example", ""),
    ],
)
def test_every_form_is_understood(text: str, kind: TargetKind, host: str, name: str) -> None:
    found = pasted(text)
    assert (found.kind, found.host, found.name) == (kind, host, name)


def test_what_was_said_of_the_scheme_is_kept() -> None:
    assert pasted("http://127.0.0.1:9001/c/films").scheme == "http"
    assert pasted("tube.example/c/films").scheme is None
    assert pasted("https://tube.example/c/films@home.example").scheme is None
    assert pasted("https://tube.example/blog/1?x=2") == Target(
        TargetKind.PAGE, "tube.example", scheme="https", url="https://tube.example/blog/1?x=2"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Nothing was pasted"),
        ("  \n ", "Nothing was pasted"),
        ("harbour", "not a whole address"),
        ("harbour films", "not the name of a server"),
        ("https://www.youtube.com/watch?v=x", "YouTube"),
        ("youtu.be/x", "YouTube"),
        ("https://m.facebook.com/x", "Facebook"),
        ("https://vimeo.com/1", "Vimeo"),
        ("bob@gmail.com", "e-mail"),
        ("bob+tube@x.example", "e-mail"),
        ("mailto:bob@x.example", "e-mail"),
        ("magnet:?xt=urn:btih:00", "Torrents"),
        ("https://x.example/film.torrent", "Torrents"),
        ("ftp://x.example/c/films", "Only web addresses"),
        ("javascript:alert(1)", "not a web address"),
        ("https://bob:secret@tube.example/c/films", "password"),
        ("https://tube.example:99999/c/films", "broken"),
        ("https://tube.example:0/c/films", "port"),
        ("https://tube.example/w/short", "part of it is missing"),
        (f"https://tube.example/w/p/{SHORT}", "Playlists"),
        (f"https://tube.example/videos/watch/playlist/{UUID}", "Playlists"),
        ("https://tube.example/c/..%2F..%2Fetc", "cannot be the name"),
        ("https://-x-.example/c/films", "not the name of a server"),
        ("https://" + "a." * 400 + "example/c/films", "not the name of a server"),
        ("https://tube.example/c/" + "x" * 3000, "not an address"),
        ("https://tube.example/\x00c/films", "not an address"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_a_remedy(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        pasted(text)
    assert caught.value.hint
    assert caught.value.field == "url"
    assert "secret" not in caught.value.message


@given(st.text(max_size=200) | st.from_regex(r"(https?://)?[a-z@.:/%\[\]?;=\-]{1,40}", fullmatch=True))
def test_nothing_pasted_is_worse_than_bad_input(text: str) -> None:
    try:
        found = pasted(text)
    except BadInput as error:
        assert error.hint  # noqa: PT017 - either outcome is right, nothing else is
        return
    assert found.host == found.host.lower()
    assert found.host.isascii()
    assert "@" not in found.host + found.name
    assert "/" not in found.host + found.name
