"""The playlists that players get, held against a checker written apart from them."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.domain.shelf import ByteMap, Playable, PlayableCaption, PlayableFile, PlayableRendition, Segment
from appliance.domain.units import ByteCount, RenditionName, VideoId
from appliance.domain.video import RenditionKind
from appliance.library.bytemap import read_master, read_playlist
from appliance.serve.bandwidth import average_bandwidth, peak_bandwidth
from appliance.serve.m3u import LibraryEntry, library_m3u
from appliance.serve.playlist import (
    Findings,
    caption_playlist,
    master_playlist,
    rendition_playlist,
    stills_playlist,
    wound_through,
)
from tests.media.rules import check_media, parse_master, parse_media, peak
from tests.media.shelf import VIDEO, noise, rendition

RECORDED = Path(__file__).parents[1] / "recorded" / "media"


def playable(*renditions: PlayableRendition, captions: tuple[PlayableCaption, ...] = ()) -> Playable:
    return Playable(VIDEO, "A video", 12, renditions, captions)


def hls(height: int, size: int = 30_000, *, audio: bool = True, video: bool = True) -> PlayableRendition:
    return rendition(f"{height}p" if video else "audio", height, noise(size), audio=audio, video=video)


def master_of(*renditions: PlayableRendition, captions: tuple[PlayableCaption, ...] = ()) -> str:
    text = master_playlist(playable(*renditions, captions=captions))
    assert text is not None
    return text


def cut(lengths: list[int], durations: list[float], target: int = 4) -> ByteMap:
    segments, offset = [], 100
    for length, duration in zip(lengths, durations, strict=True):
        segments.append(Segment(duration, "a.mp4", ByteCount(offset), ByteCount(length)))
        offset += length
    return ByteMap(Segment(0.0, "a.mp4", ByteCount(0), ByteCount(100)), tuple(segments), target)


def order(*heights: int) -> list[str]:
    return [uri for _, uri in parse_master(master_of(*(hls(h) for h in heights))).variants]


def test_a_modest_rendition_comes_first_then_all_others_from_low_to_high() -> None:
    assert order(1080, 240, 720, 480, 360) == ["480p.m3u8", "240p.m3u8", "360p.m3u8", "720p.m3u8", "1080p.m3u8"]
    assert order(1080, 720) == ["720p.m3u8", "1080p.m3u8"]
    assert order(240, 144) == ["240p.m3u8", "144p.m3u8"]


def test_what_televisions_play_comes_before_what_nobody_knows_and_that_before_what_they_do_not() -> None:
    vp9 = [replace(hls(h), codecs="vp09.00.10.08,Opus") for h in (144, 480)]
    unknown, fast = replace(hls(360), codecs=""), replace(hls(1080), fps=60.0)
    master = parse_master(master_of(*vp9, unknown, fast, hls(720), hls(1440)))
    assert [uri for _, uri in master.variants] == [f"{h}p.m3u8" for h in (720, 360, 144, 480, 1080, 1440)]


def test_a_portrait_video_is_judged_by_its_shorter_side() -> None:
    portrait = replace(hls(360), width=360, height=640)
    master = parse_master(master_of(hls(720), portrait))
    assert master.variants[0][1] == "360p.m3u8"
    assert master.variants[0][0]["RESOLUTION"] == "360x640"


def test_sound_apart_becomes_a_group_and_its_rate_and_codec_count() -> None:
    sound, picture = hls(0, 9000, video=False), hls(360, audio=False)
    master = parse_master(master_of(picture, sound))
    assert [m["URI"] for m in master.media] == ["audio.m3u8"]
    [(attributes, uri)] = master.variants
    assert uri == "360p.m3u8"
    assert attributes["AUDIO"] == "audio"
    assert attributes["CODECS"] == "avc1.64001f,mp4a.40.2"
    assert picture.bytemap is not None
    assert sound.bytemap is not None
    together = (peak_bandwidth(picture.bytemap) or 0) + (peak_bandwidth(sound.bytemap) or 0)
    assert int(attributes["BANDWIDTH"]) == together


def test_sound_in_the_picture_needs_no_group() -> None:
    master = parse_master(master_of(hls(360), hls(0, video=False)))
    assert master.media == []
    assert all("AUDIO" not in a for a, _ in master.variants)
    assert len(master.variants) == 1


def test_sound_alone_plays() -> None:
    [(attributes, uri)] = parse_master(master_of(hls(0, video=False))).variants
    assert uri == "audio.m3u8"
    assert attributes["CODECS"] == "mp4a.40.2"
    assert "RESOLUTION" not in attributes
    assert "AUDIO" not in attributes


def test_nothing_that_is_not_known_is_claimed() -> None:
    [(attributes, _)] = parse_master(master_of(replace(hls(360), codecs="", fps=0.0, width=0))).variants
    assert set(attributes) == {"BANDWIDTH", "AVERAGE-BANDWIDTH"}


def test_all_playlists_of_a_video_but_lists_of_pictures_have_one_target_duration() -> None:
    short, long = hls(360), hls(720)
    assert long.bytemap is not None
    long = replace(long, bytemap=replace(long.bytemap, target_duration=9))
    video = playable(short, long, replace(hls(240), kind=RenditionKind.WEB))
    texts = [rendition_playlist(video, r) for r in (short, long)]
    assert [parse_media(text).target for text in texts if text is not None] == [9, 9]
    assert short.bytemap is not None
    stills = stills_playlist(short, Findings(short.bytemap, independent=True))
    assert stills is not None
    assert parse_media(stills).target == 4
    assert stills_playlist(short, Findings()) is None


def test_a_television_begins_with_h264_of_480_lines_at_most_where_there_is_some() -> None:
    avc, hevc, av1, high10 = "avc1.64001f", "hvc1.1.6.L93.B0", "av01.0.05M.08", "avc1.6e001f"
    made = {
        (height, codec): replace(hls(height), codecs=f"{codec},mp4a.40.2", name=RenditionName(f"{height} {codec}"))
        for height in (240, 360, 480, 720, 1080)
        for codec in (avc, hevc, av1, high10)
    }
    for there in itertools.combinations(made, 3):
        modest = [(height, codec) for height, codec in there if codec == avc and height <= 480]
        if not modest:
            continue
        first = parse_master(master_of(*(made[key] for key in there))).variants[0][0]
        assert first["CODECS"].startswith(avc)
        assert int(first["RESOLUTION"].partition("x")[2]) == max(modest)[0]


def test_the_sound_says_its_language_and_channels_where_they_are_known() -> None:
    picture, sound = hls(360, audio=False), hls(0, video=False)
    for language, channels, expected in (
        ("pt_BR", 6, ("pt-BR", "6")),
        ("", 0, (None, None)),
        ('e"n', 2, (None, "2")),
    ):
        video = replace(playable(picture, replace(sound, channels=channels)), language=language)
        text = master_playlist(video)
        assert text is not None
        [told] = parse_master(text).media
        assert (told.get("LANGUAGE"), told.get("CHANNELS")) == expected


def test_segments_are_called_independent_only_where_that_is_known_of_all() -> None:
    low, high, sound = hls(240, audio=False), hls(480, audio=False), hls(0, video=False)
    known = {low.name: Findings(independent=True), high.name: Findings(independent=True)}
    half = {low.name: Findings(independent=True), high.name: Findings(independent=False)}
    for found, renditions, expected in (
        (known, (low, high, sound), True),
        ({low.name: known[low.name]}, (low, high, sound), False),
        (half, (low, high, sound), False),
        (known, (low, high, replace(sound, codecs="mp4a.40.42")), False),
        (known, (low, high, replace(sound, codecs="")), False),
        ({}, (sound,), True),
    ):
        text = master_playlist(playable(*renditions), found)
        assert text is not None
        assert parse_master(text).independent == expected
        for picture in (low, high):
            own = rendition_playlist(playable(*renditions), picture, found)
            assert own is not None
            assert parse_media(own).independent == (picture.name in found and found[picture.name].independent)


def test_pictures_are_listed_of_the_two_smallest_renditions_of_fragments_that_have_them() -> None:
    stream = replace(hls(144), bytemap=cut([100], [4.0]))
    assert stream.bytemap is not None
    stream = replace(stream, bytemap=replace(stream.bytemap, init=None))
    video = playable(hls(1080), hls(720), hls(480), stream, hls(0, video=False))
    assert [r.name for r in wound_through(video)] == ["480p", "720p"]
    text = master_playlist(video, {r.name: Findings(r.bytemap) for r in video.renditions if r.name != "720p"})
    assert text is not None
    [listed] = parse_master(text).stills
    assert listed["URI"] == "480p.iframes.m3u8"
    assert listed["CODECS"] == "avc1.64001f"
    assert set(listed) == {"BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS", "RESOLUTION", "URI"}


def test_a_version_is_the_lowest_that_has_what_is_said() -> None:
    segments = (Segment(4.0, "a.ts", ByteCount(0), ByteCount(1000)),)
    stream = replace(hls(360), bytemap=ByteMap(None, segments, 4))
    caption = PlayableCaption("en", "English", "a.vtt")
    assert "#EXT-X-VERSION:3" in master_of(stream).splitlines()
    assert "#EXT-X-VERSION:4" in master_of(stream, captions=(caption,)).splitlines()
    assert "#EXT-X-VERSION:7" in master_of(stream, hls(720)).splitlines()


def test_a_language_that_is_none_is_not_told() -> None:
    captions = tuple(PlayableCaption(tag, f"Label {n}", "a.vtt") for n, tag in enumerate(("pt_BR", "pt-br", "x!", "e")))
    told = parse_master(master_of(hls(360), captions=captions)).media
    assert [m.get("LANGUAGE") for m in told] == ["pt-BR", None, None, None]
    assert [m["AUTOSELECT"] for m in told] == ["YES", "NO", "NO", "NO"]


def test_a_video_without_hls_has_no_master_playlist() -> None:
    plain = replace(hls(360), kind=RenditionKind.WEB, bytemap=None)
    assert master_playlist(playable(plain)) is None
    assert rendition_playlist(playable(plain), plain) is None
    assert master_playlist(playable()) is None


def test_captions_are_one_a_language_a_persons_first_and_cannot_break_a_line() -> None:
    captions = (
        PlayableCaption("en", "English (auto)", "a.vtt", automatic=True),
        PlayableCaption("en", 'Eng"lish\n#EXT-X-EVIL', "b.vtt"),
        PlayableCaption("fr", "Eng'lish#EXT-X-EVIL", "c.vtt"),
        PlayableCaption("de", "", "d.vtt"),
    )
    text = master_of(hls(360), captions=captions)
    master = parse_master(text)
    assert [(m["LANGUAGE"], m["URI"]) for m in master.media] == [
        ("en", "captions/en.m3u8"),
        ("fr", "captions/fr.m3u8"),
        ("de", "captions/de.m3u8"),
    ]
    assert master.variants[0][0]["SUBTITLES"] == "subtitles"
    assert not any(line.startswith("#EXT-X-EVIL") for line in text.splitlines())


def test_a_rendition_playlist_addresses_our_own_files() -> None:
    held = hls(360)
    text = rendition_playlist(playable(held), held)
    assert text is not None
    playlist = parse_media(text)
    check_media(playlist, {"file/360p.mp4": held.size})
    assert playlist.map == ("file/360p.mp4", 0, 100)


def test_names_that_need_it_are_encoded_in_addresses() -> None:
    name = 'a #?%2f".mp4'
    odd = replace(
        hls(360),
        files=(PlayableFile(name, ByteCount(1000), "x"),),
        bytemap=ByteMap(None, (Segment(4.0, name, ByteCount(0), ByteCount(1000)),), 4),
    )
    text = rendition_playlist(playable(odd), odd)
    assert text is not None
    assert "file/a%20%23%3F%252f%22.mp4" in text.splitlines()


def test_whole_files_get_no_byte_range() -> None:
    files = tuple(PlayableFile(f"s{n}.ts", ByteCount(1000 + n), str(n)) for n in range(3))
    segments = tuple(Segment(4.0, f.name, ByteCount(0), f.size) for f in files)
    held = replace(hls(360), files=files, bytemap=ByteMap(None, segments, 4))
    text = rendition_playlist(playable(held), held)
    assert text is not None
    playlist = parse_media(text)
    check_media(playlist, {f"file/{f.name}": f.size for f in files})
    assert "BYTERANGE" not in text
    assert playlist.map is None


def test_the_peak_is_of_runs_about_one_target_long_not_of_a_crumb_at_the_end() -> None:
    even = cut([4000, 4000, 4000, 400], [4.0, 4.0, 4.0, 0.04])
    peaked = peak_bandwidth(even)
    assert peaked is not None
    assert 8000 <= peaked <= 8801
    uneven = cut([4000, 40_000, 4000], [4.0, 4.0, 4.0])
    assert peak_bandwidth(uneven) == 80_001
    assert average_bandwidth(uneven) == 32_001
    assert peak_bandwidth(cut([500], [0.5])) == 8001


def test_unknown_sizes_still_give_a_rate() -> None:
    segments = tuple(Segment(4.0, f"s{n}.ts", ByteCount(0), ByteCount(0)) for n in range(3))
    guessed = replace(hls(360), size=ByteCount(12_000), bytemap=ByteMap(None, segments, 4))
    [(attributes, _)] = parse_master(master_of(guessed)).variants
    assert int(attributes["BANDWIDTH"]) > int(attributes["AVERAGE-BANDWIDTH"]) >= 8000


@pytest.mark.parametrize("slug", ["muxed", "split"])
def test_recorded_renditions_get_playlists_that_obey_the_rules(slug: str) -> None:
    folder = RECORDED / slug
    sizes = {p.name: ByteCount(p.stat().st_size) for p in folder.glob("*-fragmented.mp4")}
    theirs = read_master(next(folder.glob("*-master.m3u8")).read_bytes(), "http://o/x/master.m3u8")
    renditions = []
    for name in [*theirs.variants, *theirs.audio]:
        bytemap = read_playlist((folder / name).read_bytes(), f"http://o/x/{name}", sizes)
        file = bytemap.segments[0].file
        variant = theirs.variants.get(name)
        renditions.append(
            PlayableRendition(
                name=RenditionName(f"{variant.height}p" if variant else "audio"),
                kind=RenditionKind.HLS,
                width=variant.width if variant else 0,
                height=variant.height if variant else 0,
                fps=variant.fps if variant else 0.0,
                has_video=variant is not None,
                has_audio=variant is None or not variant.audio,
                size=sizes[file],
                files=(PlayableFile(file, sizes[file], file),),
                bytemap=bytemap,
                codecs=variant.codecs if variant else "mp4a.40.2",
            )
        )
    ours = parse_master(master_of(*renditions))
    by_address = {f"{r.name}.m3u8": r for r in renditions}
    peaks = {}
    for address, one in by_address.items():
        text = rendition_playlist(playable(*renditions), one)
        assert text is not None
        playlist = parse_media(text)
        addresses: dict[str, int] = {f"file/{f.name}": f.size for f in one.files}
        check_media(playlist, addresses)
        assert playlist.map is not None
        peaks[address] = peak(playlist, addresses)
    for attributes, address in ours.variants:
        apart = peaks["audio.m3u8"] if "AUDIO" in attributes else 0
        assert int(attributes["BANDWIDTH"]) >= peaks[address] + apart


def test_a_caption_playlist_covers_the_whole_duration() -> None:
    playlist = parse_media(caption_playlist("en", 12))
    check_media(playlist, {"en.vtt": 100})
    assert playlist.parts[0].duration == 12
    assert parse_media(caption_playlist("en", 0)).target == 1


def test_the_library_list_has_absolute_addresses_and_one_line_a_title() -> None:
    entries = [
        LibraryEntry(VideoId("abcdefghijklmnop"), "A\nb\r\n#EXTINF:evil\x00", 61, 'Ch"an\nnel', thumbnail=True),
        LibraryEntry(VideoId("bbcdefghijklmnop"), "\x00", 0, address="360p-web.mp4"),
    ]
    assert library_m3u(entries, "http://10.0.0.2:7333/t/abc/").splitlines() == [
        "#EXTM3U",
        '#EXTINF:61 tvg-id="abcdefghijklmnop" '
        'tvg-logo="http://10.0.0.2:7333/t/abc/media/abcdefghijklmnop/thumbnail.jpg" '
        'group-title="Ch\'an nel",A b #EXTINF:evil',
        "http://10.0.0.2:7333/t/abc/media/abcdefghijklmnop/master.m3u8",
        '#EXTINF:-1 tvg-id="bbcdefghijklmnop",bbcdefghijklmnop',
        "http://10.0.0.2:7333/t/abc/media/bbcdefghijklmnop/360p-web.mp4",
    ]
