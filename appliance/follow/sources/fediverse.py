"""Who is behind a handle or an address: this module reads WebFinger (RFC 7033) and ActivityPub answers."""

from dataclasses import dataclass
from urllib.parse import quote

from appliance.follow.sources.hostile import items, line, member, not_understood, parsed, web_url

ACTIVITY_JSON = "application/activity+json"
_LONGEST_NAME = 120


def webfinger_url(base_url: str, name: str, host: str) -> str:
    """Return where a server says who ``name@host`` is (RFC 7033)."""
    return f"{base_url}/.well-known/webfinger?resource=acct:{quote(name, safe='')}@{quote(host, safe=':[]')}"


def actor_link(body: bytes) -> str | None:
    """Return the address of the actor that a WebFinger answer names (RFC 7033), None without one. Raises BadAnswer."""
    for link in items(parsed(body, "answer to who this is").get("links"), 50):
        if member(link, "rel") == "self" and "json" in line(member(link, "type"), 100):
            url = web_url(member(link, "href"))
            if url is not None:
                return url
    return None


@dataclass(frozen=True, slots=True)
class Actor:
    """What an address stands for in ActivityPub: its ``type`` (Group, Person, Video, Application, …) and its id."""

    type: str
    id: str
    name: str


def actor(body: bytes) -> Actor:
    """Return what an ActivityPub document describes. Raises BadAnswer."""
    doc = parsed(body, "page")
    url = web_url(doc.get("id"))
    if url is None:
        raise not_understood("page")
    return Actor(line(doc.get("type"), 40), url, line(doc.get("preferredUsername"), _LONGEST_NAME))
