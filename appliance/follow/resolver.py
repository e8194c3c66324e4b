"""From what a person pastes to a channel or a video: this module asks the servers named, and follows them home.

https first; plain http only where the settings allow it.
"""

from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind
from appliance.domain.units import Origin
from appliance.domain.video import Upstream, VideoDetail
from appliance.errors import BadAnswer, BadInput, Forbidden, NotFound, OriginError, Unreachable
from appliance.follow.address import Target, TargetKind, pasted
from appliance.follow.sources import fediverse, peertube
from appliance.outbound.fetch import Answer, Fetcher
from appliance.outbound.manners import Ask

MOST_SMALL = 1024 * 1024
_KINDS = {
    TargetKind.CHANNEL: ChannelKind.CHANNEL,
    TargetKind.ACCOUNT: ChannelKind.ACCOUNT,
    TargetKind.INSTANCE: ChannelKind.INSTANCE,
}
_WORDS = {ChannelKind.CHANNEL: "channel", ChannelKind.ACCOUNT: "account", ChannelKind.INSTANCE: "server"}


class Resolver:
    """Asks on behalf of a person who waits, so its requests go first."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def resolve(self, text: str) -> ChannelInfo | VideoDetail:
        """Return the channel or the video that ``text`` names, as its home describes it.

        Raises BadInput, OriginError.
        """
        target = pasted(text)
        match target.kind:
            case TargetKind.HANDLE:
                target = await self._by_handle(target)
            case TargetKind.PAGE:
                target = await self._by_page(target)
        if target.kind is TargetKind.VIDEO:
            return await self._video(target)
        return await self._channel(target, _KINDS[target.kind])

    # The kinds

    async def _channel(self, target: Target, kind: ChannelKind) -> ChannelInfo:
        last: OriginError | None = None
        for base in self._bases(target):
            try:
                return await self._channel_at(base, kind, target.name)
            except Unreachable as error:
                last = last or error
        raise last or _nowhere(target)

    async def _channel_at(self, base: str, kind: ChannelKind, name: str) -> ChannelInfo:
        info = await self._described(base, kind, name)
        home = info.address
        if kind is ChannelKind.INSTANCE or home.base_url == base:
            return info
        again = await self._described(home.base_url, kind, home.name)
        if again.address.origin != home.origin:
            raise BadAnswer(
                f"{home.origin} says that this {_WORDS[kind]} lives on {again.address.origin}.",
                hint="Paste the address that a browser shows on its home server.",
            )
        return again

    async def _described(self, base: str, kind: ChannelKind, name: str) -> ChannelInfo:
        asked = ChannelAddress(base, peertube.home_of(base)[1], kind, name)
        answer = await self._ask(peertube.channel_url(asked), base, f"{_WORDS[kind]} called {name}")
        try:
            if kind is ChannelKind.INSTANCE:
                return peertube.instance_info(answer.body, asked)
            info = peertube.channel_info(answer.body, asked)
        except BadAnswer:
            await self._require_peertube(base)
            raise
        return info

    async def _video(self, target: Target) -> VideoDetail:
        last: OriginError | None = None
        for base in self._bases(target):
            try:
                detail = await self._video_at(base, target.name)
                break
            except Unreachable as error:
                last = last or error
        else:
            raise last or _nowhere(target)
        home = detail.summary
        if home.origin != peertube.home_of(base)[1]:
            detail = await self._video_at(home.base_url, home.uuid)
            if detail.summary.id != home.id:
                raise BadAnswer(f"{home.origin} shows another video there.", hint="Paste the address at its home.")
        if detail.upstream is Upstream.LIVE:
            raise BadInput(
                "Live videos cannot be pinned.", hint="Follow the channel: its recordings come by themselves."
            )
        return detail

    async def _video_at(self, base: str, ident: str) -> VideoDetail:
        answer = await self._ask(peertube.video_url(base, ident), base, "video at this address")
        try:
            return peertube.video_detail(answer.body, base)
        except BadAnswer:
            await self._require_peertube(base)
            raise

    # Names and pages

    async def _by_handle(self, target: Target) -> Target:
        last: OriginError | None = None
        for base in self._bases(target):
            url = fediverse.webfinger_url(base, target.name, target.host)
            try:
                answer = await self._fetcher.get(
                    url, ask=Ask.SIDE, accept="application/jrd+json", max_bytes=MOST_SMALL, priority=True
                )
                link = fediverse.actor_link(answer.body)
            except Unreachable as error:
                last = last or error
                continue
            except (NotFound, BadAnswer, Forbidden) as error:
                await self._require_peertube(base)
                raise _not_there(target.host, f"channel called {target.name}") from error
            return await self._from_link(link, target)
        raise last or _nowhere(target)

    async def _from_link(self, link: str | None, target: Target) -> Target:
        if link is None:
            raise _not_there(target.host, f"channel called {target.name}")
        found = pasted(link)
        return await self._by_page(found) if found.kind is TargetKind.PAGE else found

    async def _by_page(self, target: Target) -> Target:
        base = peertube.home_of(target.url)[0]
        try:
            answer = await self._fetcher.get(
                target.url, ask=Ask.SIDE, accept=fediverse.ACTIVITY_JSON, max_bytes=MOST_SMALL, priority=True
            )
            actor = fediverse.actor(answer.body)
        except (NotFound, BadAnswer, Forbidden) as error:
            await self._require_peertube(base)
            raise BadInput(
                f"That page of {target.host} is neither a channel nor a video.",
                hint="Open the channel in a browser and paste its address.",
                field="url",
            ) from error
        return _named_by(actor)

    # Asking

    def _bases(self, target: Target) -> tuple[str, ...]:
        secure, plain = f"https://{target.host}", f"http://{target.host}"
        if not self._fetcher.allow_private:
            return (secure,)
        match target.scheme:
            case "https":
                return (secure,)
            case "http":
                return (plain,)
        return (secure, plain)

    async def _ask(self, url: str, base: str, what: str) -> Answer:
        host = str(peertube.home_of(base)[1])
        try:
            return await self._fetcher.get(url, max_bytes=MOST_SMALL, priority=True)
        except NotFound as error:
            await self._require_peertube(base)
            raise _not_there(host, what) from error
        except Forbidden as error:
            await self._require_peertube(base)
            raise Forbidden(
                f"{host} does not show this to everyone.",
                hint="It is private, for members, or behind a password; only its owner can change that.",
            ) from error
        except BadAnswer:
            await self._require_peertube(base)
            raise

    async def _require_peertube(self, base: str) -> None:
        """Raise the error that says so where ``base`` is no PeerTube server."""
        try:
            answer = await self._fetcher.get(f"{base}/api/v1/config", max_bytes=MOST_SMALL, priority=True)
            if peertube.is_peertube(answer.body):
                return
        except (NotFound, BadAnswer, Forbidden):
            pass
        raise _not_peertube(peertube.home_of(base)[1])


def _named_by(actor: fediverse.Actor) -> Target:
    """Return what an actor's own address stands for; where that is unknown, its type and name at its host."""
    found = pasted(actor.id)
    if found.kind is not TargetKind.PAGE:
        return found
    kind = {"Group": TargetKind.CHANNEL, "Person": TargetKind.ACCOUNT, "Application": TargetKind.INSTANCE}.get(
        actor.type
    )
    if kind is None or (kind is not TargetKind.INSTANCE and not actor.name):
        raise BadInput(
            f"That page of {found.host} is neither a channel nor a video.",
            hint="Open the channel in a browser and paste its address.",
            field="url",
        )
    return Target(kind, found.host, "" if kind is TargetKind.INSTANCE else actor.name, found.scheme)


def _not_there(host: str, what: str) -> NotFound:
    return NotFound(f"{host} has no {what}.", hint="Check the spelling, or paste the address from a browser.")


def _not_peertube(origin: Origin) -> BadAnswer:
    return BadAnswer(
        f"{origin} is not a PeerTube server.", hint="Paste the address of a channel on PeerTube.", code="not_peertube"
    )


def _nowhere(target: Target) -> Unreachable:
    return Unreachable(f"{target.host} cannot be reached.", hint="Check the address.")
