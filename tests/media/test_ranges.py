"""Every row of the table of conditional and range requests, asked over a socket."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from appliance.domain.units import ByteCount
from tests.media.shelf import VIDEO, Notes, StandInShelf, empty_shelf, noise, rendition, serving

DATA = noise(700_001, "ranges")
FILE = f"/media/{VIDEO}/file/360p.mp4"


@pytest.fixture
def shelf(tmp_path: Path) -> StandInShelf:
    shelf = empty_shelf(tmp_path)
    shelf.add(rendition("360p", 360, DATA), DATA)
    return shelf


@pytest_asyncio.fixture
async def client(shelf: StandInShelf) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(shelf, Notes()) as (host, port), httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        yield client


async def test_get_gives_the_whole_file_with_its_length_type_and_tag(client: httpx.AsyncClient) -> None:
    answer = await client.get(FILE)
    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["etag"].startswith('"')
    assert "last-modified" not in answer.headers


async def test_head_gives_the_same_head_and_no_body_and_ignores_range(client: httpx.AsyncClient) -> None:
    whole = await client.get(FILE)
    answer = await client.head(FILE, headers={"Range": "bytes=5-9"})
    assert answer.status_code == 200
    assert answer.content == b""
    for name in ("content-length", "etag", "content-type", "accept-ranges"):
        assert answer.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=262143-262145", 262143, 262145),
        ("bytes=100-", 100, len(DATA) - 1),
        ("bytes=-7", len(DATA) - 7, len(DATA) - 1),
        ("bytes=-99999999999", 0, len(DATA) - 1),
        ("bytes=5-99999999999", 5, len(DATA) - 1),
        ("BYTES=10-19", 10, 19),
    ],
)
async def test_one_range_gives_206(client: httpx.AsyncClient, asked: str, first: int, last: int) -> None:
    answer = await client.get(FILE, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(DATA)}"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.content == DATA[first : last + 1]


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=-0", "bytes=9999999999999-"])
async def test_a_range_of_which_nothing_exists_gives_416(client: httpx.AsyncClient, asked: str) -> None:
    answer = await client.get(FILE, headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=9-5", "items=0-5", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,5-6", "bytes=" + "9" * 5000 + "-", "=", ""],
)
async def test_a_range_that_means_nothing_to_us_is_ignored(client: httpx.AsyncClient, asked: str) -> None:
    answer = await client.get(FILE, headers={"Range": asked})
    assert answer.status_code == 200
    assert answer.content == DATA


async def test_if_range_with_our_tag_gives_the_range_and_with_anything_else_the_whole(
    client: httpx.AsyncClient,
) -> None:
    tag = (await client.head(FILE)).headers["etag"]
    fresh = await client.get(FILE, headers={"Range": "bytes=1-4", "If-Range": tag})
    assert (fresh.status_code, fresh.content) == (206, DATA[1:5])
    for stale in ('"other"', f"W/{tag}", "Sat, 21 Nov 2026 09:00:00 GMT"):
        answer = await client.get(FILE, headers={"Range": "bytes=1-4", "If-Range": stale})
        assert (answer.status_code, len(answer.content)) == (200, len(DATA))


@pytest.mark.parametrize("form", ["{tag}", "*", "W/{tag}", '"a", {tag}, "b"'])
async def test_if_none_match_with_our_tag_gives_304(client: httpx.AsyncClient, form: str) -> None:
    tag = (await client.head(FILE)).headers["etag"]
    for method in ("GET", "HEAD"):
        answer = await client.request(method, FILE, headers={"If-None-Match": form.format(tag=tag)})
        assert answer.status_code == 304
        assert answer.headers["etag"] == tag
        assert answer.content == b""
    other = await client.get(FILE, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


async def test_the_tag_outlives_a_touch_and_dies_with_the_identity(
    client: httpx.AsyncClient, shelf: StandInShelf
) -> None:
    before = (await client.head(FILE)).headers["etag"]
    (shelf.folder / "360p.mp4").touch()
    assert (await client.head(FILE)).headers["etag"] == before
    shelf.playing = empty_shelf(shelf.folder).playing
    other = rendition("360p", 360, DATA)
    shelf.add(replace(other, files=(replace(other.files[0], identity="another identity"),)))
    assert (await client.head(FILE)).headers["etag"] != before


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_get_405_that_names_the_right_ones(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, FILE)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_players_of_other_origins_may_ask_and_read(client: httpx.AsyncClient) -> None:
    asked = await client.options(FILE, headers={"Origin": "http://tv", "Access-Control-Request-Headers": "range"})
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "*"
    assert "range" in asked.headers["access-control-allow-headers"].lower()
    for address in (FILE, f"/media/{VIDEO}/master.m3u8", f"/media/{VIDEO}/none"):
        answer = await client.get(address, headers={"Origin": "http://tv", "Range": "bytes=0-1"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Content-Range" in answer.headers["access-control-expose-headers"]


async def test_an_empty_file_is_served(client: httpx.AsyncClient, shelf: StandInShelf) -> None:
    empty = rendition("empty", 1, noise(100))
    shelf.add(replace(empty, files=(replace(empty.files[0], size=ByteCount(0)),)))
    (shelf.folder / "empty.mp4").write_bytes(b"")
    answer = await client.get(f"/media/{VIDEO}/file/empty.mp4")
    assert (answer.status_code, answer.content) == (200, b"")
    asked = await client.get(f"/media/{VIDEO}/file/empty.mp4", headers={"Range": "bytes=0-"})
    assert asked.status_code == 416
