"""What recorded PeerTube answers become, and what hostile ones cannot."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind
from appliance.domain.units import Origin, video_id
from appliance.domain.video import RenditionKind, Upstream, VideoDetail
from appliance.errors import BadAnswer
from appliance.follow.sources import fediverse, peertube, peertube_side
from appliance.follow.sources.peertube import listing_page, video_detail

RECORDED = Path(__file__).parents[1] / "recorded"
BASE = "http://127.0.0.1:9001"
ORIGIN = Origin("127.0.0.1:9001")
CHANNEL = ChannelAddress(BASE, ORIGIN, ChannelKind.CHANNEL, "harbour_films")


def recorded(path: str) -> bytes:
    return (RECORDED / path).read_bytes()


def detail(path: str) -> VideoDetail:
    return video_detail(recorded(path), BASE)


def edited(path: str, **changes: object) -> bytes:
    return json.dumps(json.loads(recorded(path)) | changes).encode()


# What the recordings say


def test_a_channel_says_who_it_is() -> None:
    info = peertube.channel_info(recorded("api/channel/channel.json"), CHANNEL)
    assert (info.address, info.title) == (CHANNEL, "Harbour films")
    assert info.url == f"{BASE}/video-channels/harbour_films"
    assert info.description.startswith("Short films from the harbour, one a tide.\n\n**Licence**")
    assert info.avatar_url == f"{BASE}/lazy-static/avatars/b89c70ef-2401-4c9e-8ca9-ea8d9889d134.png"


def test_an_account_and_an_instance_say_who_they_are() -> None:
    account = ChannelAddress(BASE, ORIGIN, ChannelKind.ACCOUNT, "harbour")
    assert peertube.channel_info(recorded("api/account/account.json"), account).title == "Harbour trust"
    instance = ChannelAddress(BASE, ORIGIN, ChannelKind.INSTANCE, "")
    assert peertube.instance_info(recorded("api/instance/config.json"), instance).title == "PeerTube"
    with pytest.raises(BadAnswer):
        peertube.instance_info(b'{"instance":{"name":"Mastodon"}}', instance)


def test_a_listing_has_all_videos_newest_first() -> None:
    page = listing_page(recorded("api/channel/videos-all.json"), BASE)
    assert (page.total, len(page.videos), page.refused) == (13, 13, 0)
    assert [v.published_at for v in page.videos] == sorted((v.published_at for v in page.videos), reverse=True)
    first = page.videos[0]
    assert first.id == video_id(ORIGIN, "12ce84b3-2493-4370-922f-098d8c19a0c5")
    assert (first.title, first.duration, first.language, first.category) == (
        "Lighthouse, sound apart",
        12,
        "en",
        "People",
    )
    assert first.published_at == datetime(2026, 11, 20, 21, 40, 57, 712000, UTC)
    assert (first.channel_name, first.channel_title) == ("harbour_films", "Harbour films")


def test_pages_hold_the_same_as_the_whole() -> None:
    whole = listing_page(recorded("api/channel/videos-all.json"), BASE)
    parts = [listing_page(recorded(f"api/channel/videos-page{n}.json"), BASE) for n in (1, 2, 3, 4)]
    assert [v.id for p in parts for v in p.videos] == [v.id for v in whole.videos]
    assert parts[3].videos == ()
    assert listing_page(recorded("api/channel/videos-skipcount.json"), BASE).total is None


def test_a_muxed_video_has_its_renditions_torrents_and_mirror() -> None:
    video = detail("api/videos/muxed.json")
    assert video.upstream is Upstream.PUBLISHED
    assert [r.name for r in video.renditions] == ["360p", "240p"]
    tall = video.renditions[0]
    assert (tall.kind, tall.height, tall.width, tall.fps, tall.size) == (RenditionKind.HLS, 360, 640, 25, 610793)
    assert (tall.has_audio, tall.has_video) == (True, True)
    assert tall.file_url.endswith("/1fe629a7-1d18-4d63-8b92-22aedbbd6f9a-360-fragmented.mp4")
    assert tall.playlist_url is not None
    assert tall.playlist_url.endswith("-360.m3u8")
    assert tall.torrent is not None
    assert tall.torrent.info_hash == "bb95d5816a70783e7683b77f121a1361f44db3cb"
    assert tall.torrent.torrent_url.endswith("-360-hls.torrent")
    assert video.mirrors == ("http://127.0.0.1:9002/static/redundancy/hls/43b50545-458f-4457-b12f-e39a24620947",)
    assert video.trackers == (f"{BASE}/tracker/announce",)
    assert video.master_url is not None
    assert video.sha256_url is not None
    assert video.sha256_url.endswith("-segments-sha256.json")
    assert video.summary.tags == ("harbour", "tide")


def test_sound_apart_is_told_by_the_files() -> None:
    named = {str(r.name): r for r in detail("api/videos/split.json").renditions}
    assert list(named) == ["360p", "240p", "audio", "360p-web", "240p-web"]
    assert [named[n].has_audio for n in named] == [False, False, True, True, True]
    assert [named[n].has_video for n in named] == [True, True, False, True, True]
    assert named["audio"].height == 0
    assert named["360p-web"].kind is RenditionKind.WEB
    assert named["360p-web"].playlist_url is None


def test_an_upright_video_is_named_by_its_shorter_side() -> None:
    video = detail("api/videos/portrait.json")
    assert [(r.name, r.height) for r in video.renditions] == [("240p", 240)]


def test_markup_stays_text_and_control_characters_go() -> None:
    assert detail("api/videos/markup.json").summary.title.startswith('<b>Fog</b> & "mist"? ../../up\\down')
    described = detail("api/videos/unicode.json").summary.description
    assert "\u202e" not in described
    assert "مرفأ" in detail("api/videos/unicode.json").summary.title


@pytest.mark.parametrize(
    ("path", "upstream"),
    [
        ("steps/step-1-uploading/talk-e.json", Upstream.PROCESSING),
        ("steps/step-2-first-rendition/talk-e.json", Upstream.PROCESSING),
        ("steps/step-3-published/talk-e.json", Upstream.PUBLISHED),
        ("steps/step-6-replacing/talk-c.json", Upstream.PROCESSING),
        ("steps/step-7-replaced/talk-c.json", Upstream.PUBLISHED),
        ("api/not-public/live-not-started.json", Upstream.LIVE),
        ("api/not-public/unlisted.json", Upstream.PUBLISHED),
    ],
)
def test_each_moment_in_a_videos_life_is_told_apart(path: str, upstream: Upstream) -> None:
    assert detail(path).upstream is upstream


def test_a_video_being_transcoded_is_no_error() -> None:
    video = detail("steps/step-1-uploading/talk-e.json")
    assert [(r.name, r.torrent) for r in video.renditions] == [("360p-web", None)]
    assert (video.master_url, video.sha256_url) == (None, None)


def test_a_rename_changes_the_torrent_and_not_the_file() -> None:
    before, after = detail("api/videos/talk-a.json"), detail("steps/step-4-renamed/talk-a.json")
    assert before.summary.id == after.summary.id
    assert before.summary.title != after.summary.title
    old, new = before.renditions[0], after.renditions[0]
    assert (old.name, old.file_url, old.size) == (new.name, new.file_url, new.size)
    assert old.torrent != new.torrent


def test_a_replaced_file_has_another_address() -> None:
    before, after = detail("api/videos/talk-c.json"), detail("steps/step-7-replaced/talk-c.json")
    assert before.summary.id == after.summary.id
    assert before.renditions[0].file_url != after.renditions[0].file_url
    assert before.replaced_at is None
    assert after.replaced_at is not None


def test_another_instance_leads_to_the_videos_home() -> None:
    there = video_detail(recorded("mirror/muxed.json"), "http://127.0.0.1:9002")
    assert (there.summary.origin, there.summary.base_url) == (ORIGIN, BASE)
    assert there.summary.id == detail("api/videos/muxed.json").summary.id


def test_what_stands_beside_a_video_is_read() -> None:
    found = peertube_side.captions(recorded("api/videos/muxed-captions.json"), BASE)
    assert [(c.language, c.label, c.automatic) for c in found] == [("en", "English", False), ("fr", "French", False)]
    assert found[0].url.endswith("8354006f-aad0-434d-87ac-62477a05c8d8-en.vtt")
    board = peertube_side.storyboards(recorded("api/videos/muxed-storyboards.json"), BASE)
    assert board is not None
    assert (board.total_width, board.total_height, board.tile_width, board.tile_height) == (1152, 216, 192, 108)
    assert board.interval == 1
    assert peertube_side.captions(recorded("api/empty-list.json"), BASE) == ()
    assert peertube_side.storyboards(b'{"storyboards":[]}', BASE) is None


def test_who_is_behind_a_handle_is_read() -> None:
    assert fediverse.actor_link(recorded("well-known/webfinger-channel.json")) == f"{BASE}/video-channels/harbour_films"
    channel = fediverse.actor(recorded("activitypub/channel.json"))
    assert (channel.type, channel.name) == ("Group", "harbour_films")
    assert fediverse.actor(recorded("activitypub/video-muxed.json")).type == "Video"
    assert fediverse.actor_link(b"{}") is None


@pytest.mark.parametrize(
    ("path", "kind", "code", "detail"),
    [
        ("api/errors/video-404.json", "application/problem+json; charset=utf-8", "", "Video not found"),
        ("api/not-public/password.json", "application/problem+json", "video_requires_password", None),
        ("api/errors/limited-429.txt", "text/html", "", ""),
        ("api/errors/limited-429.txt", "application/json", "", ""),
    ],
)
def test_error_bodies_never_raise(path: str, kind: str, code: str, detail: str | None) -> None:
    problem = peertube.problem(recorded(path), kind)
    assert problem.code == code
    assert detail is None or problem.detail == detail
    assert peertube.problem(b"", kind) == peertube.Problem()


def test_addresses_are_built_as_recorded() -> None:
    assert peertube.listing_url(CHANNEL, 0) == (
        f"{BASE}/api/v1/video-channels/harbour_films/videos?start=0&count=100&sort=-publishedAt&nsfw=both"
    )
    instance = ChannelAddress(BASE, ORIGIN, ChannelKind.INSTANCE, "")
    assert peertube.listing_url(instance, 100).startswith(f"{BASE}/api/v1/videos?start=100&count=100")
    assert peertube.listing_url(instance, 0).endswith("&isLocal=true")
    assert peertube.video_url(BASE, "../../x") == f"{BASE}/api/v1/videos/..%2F..%2Fx"
    assert fediverse.webfinger_url(BASE, "harbour", "127.0.0.1:9001") == (
        f"{BASE}/.well-known/webfinger?resource=acct:harbour@127.0.0.1:9001"
    )


# What hostile answers cannot


def test_a_title_of_ten_thousand_characters_is_cut_and_clean() -> None:
    title = "\u202e<script>alert(1)</script>\x00\x1b[31m\n\ud800" + "A" * 10_000
    body = json.dumps(json.loads(recorded("api/videos/muxed.json")) | {"name": title}).encode()
    found = video_detail(body, BASE).summary.title
    assert len(found) == 300
    assert found.startswith("<script>alert(1)</script>[31m A")
    assert found.endswith("A…")
    found.encode()


@pytest.mark.parametrize("title", [None, 7, "", "\x00\x01", [], {"a": 1}])
def test_a_video_without_a_usable_title_is_still_one(title: object) -> None:
    assert video_detail(edited("api/videos/muxed.json", name=title), BASE).summary.title == "(untitled)"


@pytest.mark.parametrize(
    ("views", "read"),
    [(-5, 0), (10**30, 10**12), ("many", 0), (True, 0), (None, 0), (1e300, 10**12), (2.6, 3)],
)
def test_absurd_counts_become_sane_ones(views: object, read: int) -> None:
    assert video_detail(edited("api/videos/muxed.json", views=views), BASE).summary.views == read


@pytest.mark.parametrize(
    "when",
    ["yesterday", "0000-00-00", "99999-01-01T00:00:00Z", "2026-11-20T25:00:00Z", 5, None, "1" * 500, "0001-01-01"],
)
def test_a_video_without_a_date_is_refused(when: object) -> None:
    with pytest.raises(BadAnswer):
        video_detail(edited("api/videos/muxed.json", publishedAt=when, createdAt=when), BASE)


@pytest.mark.parametrize(
    "uuid", [None, "", "43b50545", "../../../etc/passwd", 5, "43b50545-458f-4457-b12f-e39a24620947\n"]
)
def test_a_video_without_a_uuid_is_refused(uuid: object) -> None:
    with pytest.raises(BadAnswer):
        video_detail(edited("api/videos/muxed.json", uuid=uuid), BASE)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "//x.example/a.mp4",
        "https://user:pw@x.example/a.mp4",
        "https:///a.mp4",
        "http://x.example:99999/a.mp4",
        "https://x.example/a b.mp4",
        "https://x.example/..",
        "https://x.example/%2e%2e",
        "https://x.example/a%2Fb.mp4",
        "https://x.example/a%00.mp4",
        "https://x.example/" + "a" * 3000,
        "https://[broken/a.mp4",
        7,
        None,
    ],
)
def test_a_file_at_an_unusable_address_is_left_out(url: object) -> None:
    doc = json.loads(recorded("api/videos/muxed.json"))
    doc["streamingPlaylists"][0]["files"][0]["fileUrl"] = url
    assert [r.name for r in video_detail(json.dumps(doc).encode(), BASE).renditions] == ["240p"]


@pytest.mark.parametrize("size", [0, -1, None, "610793", 1 << 60, True, 1e400])
def test_a_file_without_a_true_size_is_left_out(size: object) -> None:
    doc = json.loads(recorded("api/videos/muxed.json"))
    doc["streamingPlaylists"][0]["files"][1]["size"] = size
    body = json.dumps(doc).encode()
    if size == float("inf"):
        with pytest.raises(BadAnswer):
            video_detail(body, BASE)
    else:
        assert [r.name for r in video_detail(body, BASE).renditions] == ["360p"]


def test_names_are_unique_and_tell_the_frame_rate() -> None:
    doc = json.loads(recorded("api/videos/muxed.json"))
    file = doc["streamingPlaylists"][0]["files"][0]
    doc["streamingPlaylists"][0]["files"] = [file, file, file | {"fps": 60}, file | {"fps": 31}, file | {"fps": 29.97}]
    names = [r.name for r in video_detail(json.dumps(doc).encode(), BASE).renditions]
    assert names == ["360p", "360p-2", "360p60", "360p-3", "360p-4"]


def test_a_folder_of_segments_is_a_rendition_too() -> None:
    doc = json.loads(recorded("api/videos/muxed.json"))
    doc["streamingPlaylists"][0]["files"][0]["fileUrl"] = f"{BASE}/static/streaming-playlists/hls/x/720/"
    assert video_detail(json.dumps(doc).encode(), BASE).renditions[0].file_url.endswith("/720/")


def test_one_bad_element_does_not_spoil_the_page() -> None:
    doc = json.loads(recorded("api/channel/videos-all.json"))
    doc["data"][3] = {"uuid": "nonsense"}
    doc["data"][4] = None
    doc["data"][5] = doc["data"][0]
    page = listing_page(json.dumps(doc).encode(), BASE)
    assert (len(page.videos), page.refused) == (10, 3)


@pytest.mark.parametrize("total", [-1, "13", 10**40, 1.5e308, None, []])
def test_an_absurd_total_is_no_total(total: object) -> None:
    assert listing_page(json.dumps({"total": total, "data": []}).encode(), BASE).total is None


@pytest.mark.parametrize("privacy", [3, 4, 5, 99])
def test_what_its_owner_hid_is_hidden_whatever_its_state(privacy: int) -> None:
    body = edited("api/videos/muxed.json", privacy={"id": privacy})
    assert video_detail(body, BASE).upstream is Upstream.HIDDEN
    assert video_detail(edited("api/videos/muxed.json", blacklisted=True), BASE).upstream is Upstream.HIDDEN


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"<html>",
        b"{",
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"data":NaN,"\\ud800":1}',
        b'{"data":' + b"9" * 100_000 + b"}",
    ],
)
@pytest.mark.parametrize("parse", [listing_page, video_detail, peertube_side.captions, peertube_side.storyboards])
def test_what_is_no_answer_is_a_bad_answer(parse: Callable[[bytes, str], object], body: bytes) -> None:
    try:
        found = parse(body, BASE)
    except BadAnswer as error:
        assert error.hint  # noqa: PT017 - either outcome is right, nothing else is
    else:
        assert found in ((), None)


# Fuzzing: recorded answers, mutated

SEEDS: dict[str, tuple[Callable[[bytes], object], list[str]]] = {
    "detail": (
        lambda b: video_detail(b, BASE),
        ["api/videos/muxed.json", "api/videos/split.json", "mirror/muxed.json"],
    ),
    "listing": (lambda b: listing_page(b, BASE), ["api/channel/videos-page1.json", "api/talks/videos.json"]),
    "channel": (lambda b: peertube.channel_info(b, CHANNEL), ["api/channel/channel.json", "api/account/account.json"]),
    "captions": (lambda b: peertube_side.captions(b, BASE), ["api/videos/muxed-captions.json"]),
    "storyboards": (lambda b: peertube_side.storyboards(b, BASE), ["api/videos/muxed-storyboards.json"]),
    "webfinger": (fediverse.actor_link, ["well-known/webfinger-channel.json"]),
    "actor": (fediverse.actor, ["activitypub/channel.json", "activitypub/video-muxed.json"]),
    "problem": (lambda b: peertube.problem(b, "application/json"), ["api/errors/video-404.json"]),
}

nasty = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=50),
    st.sampled_from(
        ["../../x", "\u202e", "\ud800", "A" * 10_000, "http://", "https://[", "https://a@b/c", "//h/p", "data:,x", "é"]
    ),
    st.sampled_from([[], {}, [[]], [None], {"id": None}, {"": {}}]),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _places(inner, (*path, key))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            found += _places(inner, (*path, n))
    return found


@st.composite
def mutated(draw: st.DrawFn, path: str) -> bytes:
    doc = json.loads(recorded(path))
    places = _places(doc)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(places))
        target = doc
        try:
            for key in place[:-1]:
                target = target[key]
            if draw(st.booleans()):
                target[place[-1]] = deepcopy(draw(nasty))
            else:
                del target[place[-1]]
        except (KeyError, IndexError, TypeError):
            continue
    body = json.dumps(doc, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(body)))
        body = body[:cut] + draw(st.binary(max_size=4)) + body[cut + draw(st.integers(0, 4)) :]
    return body


def assert_sane(value: object) -> None:
    """Text is clean and short, addresses are http(s), numbers fit in 63 bits, times are aware."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            inner = getattr(value, field.name)
            if field.name.endswith("url") and inner:
                assert urlsplit(inner).scheme in ("http", "https")
                assert urlsplit(inner).hostname
            assert_sane(inner)
    elif isinstance(value, tuple):
        for inner in value:
            assert_sane(inner)
    elif isinstance(value, Enum) or value is None:
        return
    elif isinstance(value, str):
        value.encode()
        assert len(value) <= 20_000
        assert not any(c in value for c in "\x00\x1b\u202e\u2066")
    elif isinstance(value, datetime):
        assert value.tzinfo is UTC
    elif isinstance(value, int | float):
        assert abs(value) < 2**63


def _cases() -> list[tuple[str, str]]:
    return [(kind, path) for kind, (_, paths) in SEEDS.items() for path in paths]


@pytest.mark.parametrize(("kind", "path"), _cases())
def test_no_answer_however_broken_gets_past_the_parsers(kind: str, path: str) -> None:
    parse = SEEDS[kind][0]

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(body=mutated(path))
    def check(body: bytes) -> None:
        try:
            found = parse(body)
        except BadAnswer as error:
            assert error.hint  # noqa: PT017 - either outcome is right, nothing else is
            return
        assert_sane(found)
        if isinstance(found, VideoDetail):
            names = [r.name for r in found.renditions]
            assert len(names) == len(set(names))
        if isinstance(found, ChannelInfo):
            assert found.title

    check()
