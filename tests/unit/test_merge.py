"""Two records of one folder made one: whatever happens, no file of ours goes unlisted."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.units import Origin as Host
from appliance.domain.units import RenditionName, video_id
from appliance.domain.video import RenditionKind
from appliance.library.manifest import Manifest, MediaFile, RenditionRecord, SideFile, listed_names
from appliance.pin.merge import merged, not_whole, served, whole

HOST = Host("tube.example.org")
NAMES = ["720p", "360p", "audio"]


def record(name: str, file: int, *, is_whole: bool = False, torrent: int = 0, info_hash: str = "") -> RenditionRecord:
    return RenditionRecord(
        name=name,
        kind=RenditionKind.HLS,
        size=100 + file,
        files=(MediaFile(name=f"{name}-{file}.mp4", size=100 + file),),
        torrent=f"{name}-{torrent}.torrent",
        playlist=f"{name}-{file}.m3u8",
        info_hashes=(info_hash,) if info_hash else (),
        whole=is_whole,
    )


def manifest(*renditions: RenditionRecord, **fields: object) -> Manifest:
    return Manifest(
        id=video_id(HOST, "u"),
        origin=HOST,
        uuid="u",
        renditions=renditions,
        **fields,  # type: ignore[arg-type]
    )


records = st.builds(
    record,
    st.sampled_from(NAMES),
    st.integers(0, 3),
    is_whole=st.booleans(),
    torrent=st.integers(0, 3),
    info_hash=st.sampled_from(["", "a" * 40, "b" * 40]),
)
several = st.lists(records, max_size=3, unique_by=lambda r: r.name)
manifests = st.builds(
    lambda now, old, others, hashes: manifest(
        *now,
        superseded=tuple(old),
        others=tuple(f"other-{n}" for n in sorted(others)),
        hashes=None if hashes is None else SideFile(file=f"hashes-{hashes}.json"),
    ),
    several,
    several,
    st.sets(st.integers(0, 4)),
    st.none() | st.integers(0, 2),
)


@given(old=manifests, new=manifests)
def test_no_file_ever_goes_unlisted(old: Manifest, new: Manifest) -> None:
    assert listed_names(merged(old, new)) == listed_names(old) | listed_names(new)


@given(old=manifests, names=st.sets(st.sampled_from(NAMES)))
def test_marking_whole_unlists_nothing(old: Manifest, names: set[str]) -> None:
    done = whole(old, frozenset(names))
    assert listed_names(done) == listed_names(old)
    assert all(r.whole for r in done.renditions if r.name in names)
    assert not {r.name for r in done.superseded} & names
    assert listed_names(not_whole(done, frozenset(names))) == listed_names(old)


@given(old=manifests, new=manifests)
def test_what_was_whole_is_still_served(old: Manifest, new: Manifest) -> None:
    before = {r.name: r for r in old.renditions if r.whole}
    now = {r.name: r for r in served(merged(old, new)).renditions}
    for name in before:
        assert now[name].whole


def test_without_an_earlier_record_the_new_one_stands() -> None:
    new = manifest(record("720p", 1))
    assert merged(None, new) == new


def test_a_replaced_file_stands_aside_until_the_new_one_is_whole() -> None:
    old, new = manifest(record("720p", 1, is_whole=True)), manifest(record("720p", 2))
    both = merged(old, new)
    assert [f.name for r in served(both).renditions for f in r.files] == ["720p-1.mp4"]
    done = whole(both, frozenset({"720p"}))
    assert [f.name for r in served(done).renditions for f in r.files] == ["720p-2.mp4"]
    assert {"720p-1.mp4", "720p-1.m3u8"} <= set(done.others)


def test_the_same_files_keep_their_earlier_info_hashes_and_stay_whole() -> None:
    old = manifest(record("720p", 1, is_whole=True, torrent=1, info_hash="a" * 40))
    both = merged(old, manifest(record("720p", 1, torrent=2, info_hash="b" * 40)))
    now = both.rendition(RenditionName("720p"))
    assert now is not None
    assert now.info_hashes == ("b" * 40, "a" * 40)
    assert now.whole
    assert both.others == ("720p-1.torrent",)
