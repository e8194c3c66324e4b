"""A made video as something to play, and a server of it that runs on a host of its own: this module has both.

``python -m tests.media.made_shelf ADDRESS LAYOUT SECONDS KBITS HEIGHT…`` serves it as ``/media/…`` with a page at ``/``
that plays it by hls.js with the player's own options; it prints the port.
"""

import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from appliance.domain.shelf import ByteMap, Playable, PlayableFile, PlayableRendition
from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.video import RenditionKind
from appliance.library.bytemap import read_playlist
from appliance.serve.exchange import ASGIApp, Receive, Scope, Send
from appliance.serve.media import create_media_app
from tests.media.shelf import VIDEO, Notes, StandInShelf, empty_shelf, served
from tests.world.media import Layout, Made, MadeFile, make

STATIC = Path(__file__).parents[2] / "web" / "static" / "dist"

_PAGE = """<!doctype html><title>A player</title><video id=v muted></video><script src=/hls.js></script><script>
const v = document.getElementById("v");
window.seen = {stalls: 0, levels: [], errors: []};
const hls = new Hls({maxBufferLength: 30, backBufferLength: 60});
let begun = false;
v.addEventListener("playing", () => { begun = true; });
v.addEventListener("waiting", () => { if (begun && !v.seeking) seen.stalls += 1; });
hls.on(Hls.Events.LEVEL_SWITCHED, (_, d) => seen.levels.push(hls.levels[d.level].height));
hls.on(Hls.Events.ERROR, (_, d) => seen.errors.push(d.details + (d.fatal ? " fatal" : "")));
hls.loadSource("/media/VIDEO/master.m3u8"); hls.attachMedia(v); v.play();
</script>""".replace("VIDEO", VIDEO)


def playable_of(made: Made) -> Playable:
    """Return a made video with all its renditions, as the house opens it."""
    renditions = tuple(_rendition(made, f) for f in made.files)
    return Playable(VIDEO, "A video", made.recipe.seconds, renditions)


def shelf_of(made: Made, folder: Path) -> StandInShelf:
    """Return a shelf that has it whole; ``folder`` gets links to its files."""
    shelf = empty_shelf(folder)
    for file in made.files:
        for part in file.parts:
            (folder / part).hardlink_to(made.path(part))
    shelf.playing = replace(playable_of(made), video=VIDEO)
    return shelf


def _rendition(made: Made, file: MadeFile) -> PlayableRendition:
    sizes = {name: ByteCount(size) for name, size in zip(file.parts, file.sizes, strict=True)}
    return PlayableRendition(
        name=RenditionName(f"{file.height}p" if file.has_video else "audio"),
        kind=RenditionKind.WEB if made.recipe.layout is Layout.WEB else RenditionKind.HLS,
        width=file.width if file.has_video else 0,
        height=file.height,
        fps=float(file.fps),
        has_video=file.has_video,
        has_audio=file.has_audio,
        size=ByteCount(file.size),
        files=tuple(PlayableFile(name, size, f"{made.uuid} {name}") for name, size in sizes.items()),
        bytemap=_bytemap(file, sizes),
        codecs=file.codecs,
    )


def _bytemap(file: MadeFile, sizes: dict[str, ByteCount]) -> ByteMap | None:
    return read_playlist(file.playlist.encode(), "", sizes) if file.playlist else None


def paged(media: ASGIApp) -> ASGIApp:
    """Put a page, and the player's script that is bundled, before the media."""
    script = next(STATIC.glob("hls.min-*.js")).read_bytes()
    pages = {"/": (b"text/html", _PAGE.encode()), "/hls.js": (b"text/javascript", script)}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        page = pages.get(scope["path"])
        if page is None:
            await media(scope, receive, send)
            return
        head = [(b"content-type", page[0]), (b"content-length", str(len(page[1])).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": page[1]})

    return app


async def _serve(address: str, made: Made) -> None:
    with tempfile.TemporaryDirectory(dir=made.folder.parent) as folder:
        notes, shelf = Notes(), shelf_of(made, Path(folder))
        media = create_media_app(shelf, notes, notes.count, notes.throttle)
        async with served(paged(media), host=address) as (_, port):
            print(port, flush=True)
            await asyncio.Event().wait()


def main() -> None:
    address, layout, seconds, kbits, *heights = sys.argv[1:]
    made = make(layout, [int(h) for h in heights], int(seconds), kbits=int(kbits))
    asyncio.run(_serve(address, made))


if __name__ == "__main__":
    main()
