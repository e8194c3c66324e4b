"""Bad input, end to end: what each ends in is one plain sentence with a remedy, and the rest goes on.

One appliance follows a street of origins, each bad in its own way; every case then looks at what came of its own.
"""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.street import (
    CHANNEL,
    HEIGHT,
    LISTING,
    TRACES,
    Spoil,
    Spot,
    Street,
    detail,
    fault,
    page,
    shows,
    status,
    text,
    torrent,
    unlisted,
)
from tests.world.box import Box
from tests.world.liar import Liar
from tests.world.media import make
from tests.world.origin import Origin

pytestmark = pytest.mark.trial

HLS = "streamingPlaylists"
LATER = ("waiting", None)
PARTS = ("detail", "torrent", "playlist", "hashes", "media", "master")
LONG = 'Ti\u0007tle <script>alert("x")</script> & <b>\u202e\u0000' + "é" * 10_000


def _two_files(info: dict[bytes, Any]) -> None:
    size = info.pop(b"length")
    info[b"files"] = [{b"length": size - 10, b"path": [b"a.mp4"]}, {b"length": 10, b"path": [b"b.mp4"]}]


def _climbing_path(info: dict[bytes, Any]) -> None:
    info[b"files"] = [{b"length": info.pop(b"length"), b"path": [b"..", b"..", b"x.mp4"]}]


def _files_of(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = told[HLS][0]["files"][0]
    return found


def _elsewhere(playlist: str) -> str:
    return re.sub(r"(?m)^([^#\n]+)$", r"http://127.0.0.1:1/\1", playlist).replace('URI="', 'URI="http://127.0.0.1:1/')


def _climbing(playlist: str) -> str:
    return re.sub(r"(?m)^([^#\n]+)$", r"../../\1", playlist).replace('URI="', 'URI="../../')


def _climbing_name(told: dict[str, Any]) -> None:
    file = _files_of(told)
    file["fileUrl"] = file["fileUrl"].rpartition("/")[0] + "/..%2f..%2fx.mp4"


NO_SEE, GONE, NOT_TUBE = "does not let us see this", "does not have this", "no longer answers as a PeerTube server does"
NO_SOURCE, TOO_MUCH, BROKEN = (
    "sends usable bytes of this video",
    "sent more than the",
    "The torrent cannot be used",
)

# case: (how it is spoilt, code, words of the sentence, requests for the spoilt part at most)
VIDEOS: dict[str, tuple[Spoil, str, str, int]] = {
    **{f"detail {n}": (status("detail", n), "bad_answer", NOT_TUBE, 1) for n in (401, 403, 404, 410)},
    **{
        f"{p} {n}": (status(p, n), "forbidden", NO_SEE, 1)
        for p in ("torrent", "playlist", "master")
        for n in (401, 403)
    },
    # An address may be stale after a rename upstream: it is asked for once more, and then again by the new detail.
    **{f"{p} {n}": (status(p, n), "not_found", GONE, 2) for p in ("torrent", "playlist", "master") for n in (404, 410)},
    **{f"media {n}": (status("media", n), "no_source", NO_SEE, 2) for n in (401, 403)},
    **{f"media {n}": (status("media", n), "no_source", GONE, 2) for n in (404, 410)},
    "hash list 403": (status("hashes", 403), "forbidden", NO_SEE, 1),
    "torrent of two files": (torrent(_two_files), "bad_answer", f"{BROKEN}: it holds 2 files", 1),
    "torrent named ../": (torrent(lambda i: i.update({b"name": b"../../../etc/x"})), "bad_answer", "lead elsewhere", 1),
    "torrent with a path of ..": (torrent(_climbing_path), "bad_answer", "leads elsewhere", 1),
    "torrent with a piece too many": (
        torrent(lambda i: i.update({b"pieces": i[b"pieces"] + bytes(20)})),
        "bad_answer",
        "number of pieces does not fit",
        1,
    ),
    "torrent of another size": (
        torrent(lambda i: i.update({b"length": i[b"length"] + 1})),
        "bad_answer",
        "bytes where",
        1,
    ),
    "torrent of garbage": (fault("torrent", "replaced", body=b"\x00\xff"), "bad_answer", BROKEN, 1),
    "torrent of 10 GB": (fault("torrent", "huge"), "bad_answer", TOO_MUCH, 1),
    "torrent in a redirect loop": (fault("torrent", "redirect"), "refused", "without end", 1),
    "torrent redirected to nowhere": (
        fault("torrent", "redirect", to="http://0.0.0.0/"),
        "refused",
        "private network",
        1,
    ),
    "torrent with wrong hashes": (
        torrent(lambda i: i.update({b"pieces": bytes(b ^ 255 for b in i[b"pieces"])})),
        "no_source",
        NO_SOURCE,
        1,
    ),
    "detail of 10 GB": (fault("detail", "huge"), "bad_answer", TOO_MUCH, 1),
    "detail without end": (fault("detail", "endless"), "bad_answer", TOO_MUCH, 1),
    "detail of HTML": (fault("detail", "replaced", body="<html>"), "bad_answer", "could not be understood", 1),
    "detail of another video": (
        detail(lambda d: d.update(uuid="11111111-1111-4111-8111-111111111111")),
        "bad_answer",
        "another video",
        1,
    ),
    "detail with another size": (detail(lambda d: _files_of(d).update(size=5)), "bad_answer", "past the end", 1),
    "detail with a climbing name": (detail(_climbing_name), "bad_answer", "no file of this video", 1),
    "detail without files": (detail(lambda d: d[HLS].clear()), "bad_answer", "no file of this video", 1),
    "playlist that points elsewhere": (text("playlist", _elsewhere), "bad_answer", "points to another place", 1),
    "playlist that climbs": (text("playlist", _climbing), "bad_answer", "points to another place", 1),
    "playlist past the end": (
        text("playlist", lambda t: re.sub(r"BYTERANGE:\d+@", "BYTERANGE:999999999@", t)),
        "bad_answer",
        "past the end",
        1,
    ),
    "playlist of garbage": (fault("playlist", "replaced", body=b"\xff\xfe"), "bad_answer", "not text", 1),
    "playlist of 10 GB": (fault("playlist", "huge"), "bad_answer", TOO_MUCH, 1),
    "media that is corrupt": (fault("media", "corrupt", after=-1), "no_source", NO_SOURCE, 2),
    "media that is too short": (fault("media", "truncated", after=1000), "no_source", NO_SOURCE, 3),
    "media of 10 GB": (fault("media", "huge"), "no_source", NO_SOURCE, 3),
    "media in a redirect loop": (fault("media", "redirect"), "no_source", "without end", 30),
}
BUSY, TROUBLE = "asks us to slow down", "has trouble of its own"
RUDE: dict[str, tuple[Spoil, str, str, int]] = {
    "detail 429": (status("detail", 429, Retry_After="3600"), "throttled", BUSY, 1),
    "detail 503": (status("detail", 503), "server_trouble", TROUBLE, 1),
    "torrent 429": (status("torrent", 429, Retry_After="3600"), "throttled", BUSY, 1),
    "torrent 500": (status("torrent", 500), "server_trouble", TROUBLE, 1),
    "playlist 503": (status("playlist", 503), "server_trouble", TROUBLE, 1),
    "media 500": (status("media", 500), "no_source", TROUBLE, 2),
    "media 429": (status("media", 429), "no_source", BUSY, 2),
    "detail that hangs up": (fault("detail", "deaf"), "unreachable", "broke off", 2),
    "torrent that breaks off": (fault("torrent", "cut", after=10), "unreachable", "broke off", 1),
}
"""What makes its whole origin be left alone for a while: each has an origin of its own."""

EVERY = VIDEOS | RUDE
PART = {"hash": "hashes"}


def _part(case: str) -> str:
    word = case.split()[0]
    return PART.get(word, word)


def _listing(kind: str, **details: Any) -> Callable[[Origin], None]:
    def spoil(origin: Origin) -> None:
        origin.fault(LISTING, kind, **details)

    return spoil


def _lying_total(origin: Origin) -> None:
    url = f"{origin.base_url}{LISTING}?start=0&count=100&sort=-publishedAt&nsfw=both"
    told = httpx.get(url, trust_env=False).json() | {"total": 1_000_000_000}
    origin.fault(LISTING, "replaced", body=json.dumps(told))


# case: (how, code, words, is it asked again within the hour, requests at most)
LISTINGS: dict[str, tuple[Callable[[Origin], None], str, str, bool, int]] = {
    **{f"{n}": (_listing("status", status=n), "forbidden", NO_SEE, False, 1) for n in (401, 403)},
    **{f"{n}": (_listing("status", status=n), "not_found", GONE, False, 1) for n in (404, 410)},
    "429": (_listing("status", status=429, headers={"Retry-After": "1800"}), "throttled", BUSY, True, 1),
    "500": (_listing("status", status=500), "server_trouble", TROUBLE, True, 1),
    "503": (_listing("status", status=503), "server_trouble", TROUBLE, True, 1),
    "HTML": (_listing("replaced", body="<html>"), "bad_answer", "could not be understood", False, 1),
    "10 GB": (_listing("huge"), "bad_answer", TOO_MUCH, False, 1),
    "no end": (_listing("endless"), "bad_answer", TOO_MUCH, False, 1),
    "a redirect loop": (_listing("redirect"), "refused", "without end", False, 1),
    "a redirect to nowhere": (_listing("redirect", to="http://0.0.0.0/"), "refused", "private network", False, 1),
    "a redirect to a file": (_listing("redirect", to="file:///etc/passwd"), "refused", "Only plain", False, 1),
    "a lying total": (_lying_total, "bad_answer", "lists videos without end", False, 3),
    "a hung-up line": (_listing("deaf"), "unreachable", "broke off", True, 2),
    "a broken-off answer": (_listing("cut", after=10), "unreachable", "broke off", True, 1),
    "silence": (_listing("stall", after=10), "unreachable", "did not answer in time", True, 1),
}


def _wait(done: Callable[[], object], seconds: float, what: Callable[[], object]) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, what()
        time.sleep(0.25)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("street")
    box = Box(folder / "data", pin__patience="5", pin__at_once="8")
    with ExitStack() as stack:
        stack.callback(box.stop)
        street = Street(box.start(), stack)
        street.settle(
            {case: spoil for case, (spoil, *_) in VIDEOS.items()},
            {case: spoil for case, (spoil, *_) in RUDE.items()},
            {case: spoil for case, (spoil, *_) in LISTINGS.items()},
        )
        _wait(lambda: not _unsettled(street), 180, lambda: _unsettled(street))
        street.settled = time.monotonic()
        yield street


def _unsettled(street: Street) -> list[str]:
    videos = street.box.ask("GET", "/api/v1/videos", limit=500)["items"]
    troubled = {v["title"] for v in videos if v["trouble"]}
    channels = street.box.ask("GET", "/api/v1/channels", limit=500)["items"]
    bad = {c["origin"] for c in channels if c["trouble"]}
    return [c for c in EVERY if f"Spoilt by {c}" not in troubled] + [
        c for c, origin in street.houses.items() if origin.host not in bad
    ]


@pytest.fixture(scope="module")
def browser(street: Street) -> httpx.Client:
    return street.browser()


@pytest.mark.parametrize("case", EVERY)
def test_a_video_that_cannot_be_had_says_so_in_one_sentence_with_a_remedy(
    street: Street, browser: httpx.Client, case: str
) -> None:
    _, code, words, most = EVERY[case]
    video = street.video(f"Spoilt by {case}")
    trouble = (video["pin"] or {}).get("trouble") or video["trouble"]
    assert trouble["code"] == code
    assert words in trouble["message"]
    assert trouble["message"].endswith(".")
    assert trouble["hint"]
    html = page(browser, f"/videos/{video['id']}")
    assert shows(html, trouble["message"])
    assert shows(html, trouble["hint"])
    assert video["state"] != "pinned"
    again = (video["pin"] or {}).get("next_try")
    if video["pin"]:
        assert (again is not None) is (code in ("no_source", "throttled", "server_trouble", "unreachable"))
    # Without a source: there was time for a second try.
    asked = [visit for visit in street.asked(case, _part(case)) if visit.at <= street.settled]
    assert 1 <= len(asked) <= most * (2 if code == "no_source" else 1)


@pytest.mark.parametrize("case", LISTINGS)
def test_a_channel_that_cannot_be_read_says_so_in_one_sentence_with_a_remedy(
    street: Street, browser: httpx.Client, case: str
) -> None:
    _, code, words, soon, most = LISTINGS[case]
    origin = street.houses[case]
    channel = street.box.ask("GET", f"/api/v1/channels/{street.channels[origin.host]}")
    trouble = channel["trouble"]
    assert trouble["code"] == code
    assert words in trouble["message"]
    assert trouble["hint"]
    html = page(browser, f"/channels/{channel['id']}")
    assert shows(html, trouble["message"])
    assert shows(html, trouble["hint"])
    when = time.mktime(time.strptime(channel["next_check"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert (when - time.time() < 3600) is soon
    assert len(origin.asked(LISTING)) <= most + (1 if case == "a lying total" else 0) + 1


def test_the_other_videos_of_those_channels_are_pinned(street: Street) -> None:
    calm = {t for t, origin in street.good.items() if origin not in {street.spots[c].origin for c in RUDE}}
    street.box.wait_pinned(*calm)
    # What an origin that asked to be left alone has else to offer comes when it may be asked again.
    pinned = {t for t, p in street.box.pins().items() if p["state"] == "pinned"}
    assert len(pinned) > len(calm)


def test_what_a_lying_listing_did_list_is_kept(street: Street) -> None:
    street.box.wait_pinned("Listed by a lying total")


def test_nothing_half_written_is_left_and_nothing_tripped(street: Street) -> None:
    assert unlisted(street.box.data / "library") == []
    log = street.box.log.read_text()
    assert [t for t in TRACES if t in log] == []
    health = street.box.get("/health")
    assert health.status_code == 200
    assert health.json()["troubles"] == []


# What a person pastes


def _refused(street: Street, url: str) -> dict[str, Any]:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        street.follow(url)
    answer = refused.value.response
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["detail"].endswith(".")
    assert problem["hint"]
    return problem


@pytest.mark.parametrize(
    ("path", "kind", "details", "code", "words"),
    [
        ("/api/*", "replaced", {"body": "<html>not a tube</html>"}, "not_peertube", "is not a PeerTube server"),
        ("/api/*", "status", {"status": 404}, "not_peertube", "is not a PeerTube server"),
        ("/api/*", "status", {"status": 429, "headers": {"Retry-After": "99"}}, "throttled", BUSY),
        ("/api/*", "status", {"status": 502}, "server_trouble", TROUBLE),
        ("/api/*", "redirect", {}, "refused", "without end"),
        ("/api/*", "redirect", {"to": "http://0.0.0.0/"}, "refused", "private network"),
        ("/api/*", "deaf", {}, "unreachable", "broke off"),
        ("/api/v1/video-channels/*", "huge", {}, "bad_answer", TOO_MUCH),
        ("/api/v1/video-channels/*", "status", {"status": 401}, "forbidden", "does not show this to everyone"),
        ("/api/v1/video-channels/*", "status", {"status": 410}, "not_found", "has no channel called harbour"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_sentence(
    street: Street, browser: httpx.Client, path: str, kind: str, details: dict[str, Any], code: str, words: str
) -> None:
    origin = street.open()
    origin.fault(path, kind, **details)
    problem = _refused(street, origin.channel_url(CHANNEL))
    assert problem["code"] == code
    assert words in problem["detail"]
    csrf = re.search(r'name="csrf" value="([^"]+)"', page(browser, "/channels"))
    assert csrf
    answer = browser.post("/channels", data={"csrf": csrf.group(1), "url": origin.channel_url(CHANNEL)})
    assert answer.status_code == 422
    assert words in answer.text or "left alone for now" in answer.text
    assert not [c for c in street.box.ask("GET", "/api/v1/channels", limit=500)["items"] if c["origin"] == origin.host]


def test_nobody_by_that_name_and_no_such_server_are_said_plainly(street: Street) -> None:
    origin = street.open()
    assert "has no channel called nobody" in _refused(street, origin.channel_url("nobody"))["detail"]
    assert _refused(street, origin.url("@nobody"))["code"] == "not_found"
    assert _refused(street, "http://no-such-server.invalid/c/x")["code"] == "unreachable"
    for url in ("", " ", "::::", "javascript:alert(1)", "file:///etc/passwd", "http://u:p@127.0.0.1/c/x", "x" * 1999):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            street.follow(url)
        assert refused.value.response.status_code in (400, 422)


def test_a_private_address_is_refused_unless_allowed(tmp_path: Path, origin: Origin) -> None:
    box = Box(tmp_path / "data", follow__allow_private_origins="false").start()
    try:
        for url in (origin.channel_url(), "https://127.0.0.1/c/x", "https://[::1]/c/x", "https://169.254.169.254/c/x"):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                box.ask("POST", "/api/v1/channels", {"url": url})
            problem = refused.value.response.json()
            assert problem["code"] == "refused"
            assert "private origins" in problem["hint"]
        assert origin.log == []
        assert "Traceback" not in box.log.read_text()
    finally:
        box.stop()


def test_titles_of_ten_thousand_characters_with_markup_are_shown_as_text(street: Street, browser: httpx.Client) -> None:
    origin = street.open()
    origin.add_channel("shouting", title=LONG)
    film = make(heights=(HEIGHT,), seconds=8, segment=4)
    origin.add_video(film, "shouting", title=LONG, description=LONG, torrents=False)
    channel = street.follow(origin.channel_url("shouting"))["id"]
    found: list[dict[str, Any]] = []

    def pinned() -> bool:
        found[:] = street.box.ask("GET", "/api/v1/videos", channel=channel, limit=10)["items"]
        return bool(found and found[0]["state"] == "pinned")

    _wait(pinned, 30, lambda: found)
    title = found[0]["title"]
    assert len(title) <= 500
    assert title.startswith('Title <script>alert("x")</script> & <b>é')
    for path in (f"/videos/{found[0]['id']}", f"/channels/{channel}", "/videos", "/channels", "/"):
        html = page(browser, path)
        assert '<script>alert("x")' not in html
        assert "\u202e" not in html
        assert "\x07" not in html
    playlist = street.box.get("/library.m3u").text
    assert len([line for line in playlist.splitlines() if "Title <script>" in line]) == 1


# Wrong hashes, over other ways


def _loading(origin: Origin) -> list[int]:
    """Return the ports of peers that told the tracker they lack something."""
    return [a.port for a in origin.tracker.log if a.left]


def test_what_a_lying_peer_sends_is_not_kept(street: Street) -> None:
    origin = street.open()
    film = make(heights=(HEIGHT,), seconds=8, segment=4, variant=2)
    video = origin.add_video(film, CHANNEL, title="With a liar")
    origin.fault(Spot(origin, video).media, "status", status=404)
    # All torrents have one port: the liar is at the door before this one is there, for its patience is short.
    address = ("127.0.0.1", next(port for other in street.good.values() for port in _loading(other)))
    with Liar(bytes.fromhex(video.info_hash(HEIGHT)), -(-film.size // film.recipe.piece), address) as liar:
        street.follow(origin.channel_url(CHANNEL))
        _wait(lambda: liar.told, 60, lambda: "the liar was not asked")
        _wait(lambda: street.video("With a liar")["pin"]["trouble"], 90, lambda: street.video("With a liar"))
    told = street.video("With a liar")["pin"]
    assert told["trouble"]["code"] == "no_source"
    assert told["done"] == 0


def test_segments_over_http_that_do_not_fit_their_hash_are_not_kept(street: Street, browser: httpx.Client) -> None:
    origin = street.open()
    film = make(heights=(HEIGHT,), seconds=8, segment=4, variant=3)
    video = origin.add_video(film, CHANNEL, title="Rotten over HTTP", torrents=False)
    spot = Spot(origin, video)
    origin.fault(spot.media, "corrupt", after=film.size - 100)
    street.follow(origin.channel_url(CHANNEL))
    _wait(
        lambda: street.video("Rotten over HTTP").get("state") == "failed", 30, lambda: street.video("Rotten over HTTP")
    )
    trouble = street.video("Rotten over HTTP")["pin"]["trouble"]
    assert "do not fit their SHA-256" in trouble["message"]
    assert trouble["hint"]
    asked = len(origin.asked(spot.media))
    assert asked <= 10
    assert shows(page(browser, f"/videos/{street.video('Rotten over HTTP')['id']}"), trouble["message"])


def test_the_same_torrent_at_two_origins_is_two_videos(street: Street) -> None:
    film = make(heights=(HEIGHT,), seconds=8, segment=4, variant=4)
    twins = [street.open(), street.open()]
    for origin in twins:
        origin.add_video(film, CHANNEL, title="Twin")
        street.follow(origin.channel_url(CHANNEL))

    def both() -> bool:
        pins = street.box.ask("GET", "/api/v1/pins", limit=500)["items"]
        return [p["state"] for p in pins if p["title"] == "Twin"] == ["pinned", "pinned"]

    _wait(
        both, 40, lambda: [p for p in street.box.ask("GET", "/api/v1/pins", limit=500)["items"] if p["title"] == "Twin"]
    )
    (name,) = film.files[0].parts
    here = list((street.box.data / "library").glob(f"*/*/{name}"))
    assert [p.read_bytes() == film.path(name).read_bytes() for p in here] == [True, True]


# A hostile client


def _raw(street: Street, *chunks: bytes, seconds: float = 5.0) -> bytes:
    """Send bytes as they are and return what comes back until the other side is done."""
    host, port = street.box.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as wire:
        got = b""
        try:
            for chunk in chunks:
                wire.sendall(chunk)
            while part := wire.recv(65536):
                got += part
        except OSError:
            pass
        return got


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def test_a_hostile_client_gets_no_further_than_a_refusal(street: Street, browser: httpx.Client) -> None:
    host = street.box.url.removeprefix("http://").encode()
    line = b"\r\nHost: " + host + b"\r\nConnection: close\r\n"
    sent = {
        "garbage": b"\x00\xff\x16\x03\x01 garbage\r\n\r\n",
        "no version": b"GET /\r\n\r\n",
        "no host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "two hosts": b"GET / HTTP/1.1" + line + b"Host: evil.example\r\n\r\n",
        "big header": b"GET / HTTP/1.1" + line + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n",
        "many headers": b"GET / HTTP/1.1" + line + b"X: y\r\n" * 50_000 + b"\r\n",
        "long query": b"GET /videos?q=" + b"a" * 10_000 + b" HTTP/1.1" + line + b"\r\n",
        "long path": b"GET /" + b"a/" * 20_000 + b" HTTP/1.1" + line + b"\r\n",
        "rebinding": b"GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "media rebinding": b"GET /library.m3u HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "absolute form": b"GET http://evil.example/ HTTP/1.1" + line + b"\r\n",
        "odd method": b"BREW / HTTP/1.1" + line + b"\r\n",
        "bad length": b"POST /login HTTP/1.1" + line + b"Content-Length: -5\r\n\r\n",
        "two lengths": b"POST /login HTTP/1.1" + line + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "bad chunks": b"POST /login HTTP/1.1" + line + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        "bad percent": b"GET /%ff%00%zz?q=%ff%zz HTTP/1.1" + line + b"\r\n",
        **{
            f"climb {n}": b"GET " + path + b" HTTP/1.1" + line + b"\r\n"
            for n, path in enumerate(
                (
                    b"/media/../../../etc/passwd",
                    b"/media/%2e%2e/%2e%2e/etc/passwd",
                    b"/media/aaaaaaaaaaaaaaaa/..%2f..%2f..%2fetc%2fpasswd",
                    b"/media/aaaaaaaaaaaaaaaa//etc/passwd",
                    b"/static/../../web/app.py",
                    b"/static/..%2f..%2fweb/app.py",
                    b"/static//etc/passwd",
                    b"/t/../api/v1/status",
                )
            )
        },
    }
    seen = {case: _raw(street, data) for case, data in sent.items()}
    assert {case: _status(a) for case, a in seen.items() if _status(a) >= 500 or b"root:" in a} == {}
    assert {case for case in seen if 200 <= _status(seen[case]) < 300} <= {"absolute form"}
    assert _status(seen["rebinding"]) in (400, 403, 421)
    assert _status(seen["media rebinding"]) in (400, 403, 421)
    assert browser.get("/").status_code == 200


def test_changes_without_a_token_oversize_bodies_and_absurd_queries_are_refused(
    street: Street, browser: httpx.Client
) -> None:
    token = {"Authorization": f"Bearer {(street.box.data / 'cli.token').read_text().strip()}"}
    before = street.box.ask("GET", "/api/v1/channels", limit=1)["total"]
    assert browser.post("/channels", data={"url": "https://x.example/c/y"}).status_code == 403
    assert browser.post("/api/v1/channels", json={"url": "https://x.example/c/y"}).status_code == 403
    assert browser.delete(f"/api/v1/channels/{next(iter(street.channels.values()))}").status_code == 403
    for headers in ({}, token):
        big = httpx.post(
            f"{street.box.url}/api/v1/channels",
            content=b'{"url": "' + b"a" * (20 << 20) + b'"}',
            headers=headers | {"content-type": "application/json"},
            trust_env=False,
        )
        assert big.status_code in (401, 413)
    for query in ("q=" + "a" * 10_000, "limit=-1", "limit=99999999999999999999", "offset=1e400", "sort=%00", "state=x"):
        found = httpx.get(f"{street.box.url}/api/v1/videos?{query}", headers=token, trust_env=False)
        assert found.status_code < 500, query
    for query in ("q=" + "a" * 10_000, "page=-1", "page=99999999999999999999", "sort=%00", "state=x", "q=%00%ff"):
        assert browser.get(f"/videos?{query}").status_code < 500, query
    assert street.box.ask("GET", "/api/v1/channels", limit=1)["total"] == before


def test_hundreds_of_connections_that_say_nothing_stop_nobody(street: Street) -> None:
    host, port = street.box.url.removeprefix("http://").split(":")
    idle = [socket.create_connection((host, int(port)), timeout=5) for _ in range(300)]
    try:
        for wire in idle:
            wire.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        begun = time.monotonic()
        assert street.box.get("/health").status_code == 200
        assert time.monotonic() - begun < 2.0
    finally:
        for wire in idle:
            wire.close()


def test_after_all_that_nothing_tripped(street: Street) -> None:
    log = street.box.log.read_text()
    assert [t for t in TRACES if t in log] == []
    assert unlisted(street.box.data / "library") == []
