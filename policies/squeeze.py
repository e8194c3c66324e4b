"""Room that somebody else took lately may come back: this module makes a plan that counts on it fit what is there.

Who stays is decided as if that room were there still: what was downloaded is not thrown away for a copy that somebody
makes and deletes again, nor fed to a program that goes on writing as long as it finds room. What may be written is
decided by the room there is: the least worth first, what is not promised yet is left, and what is promised stays as it
is, with the bytes it has, and waits. What others took beyond the floor is given back once it was not taken lately.
"""

from collections.abc import Sequence

from policies.claims import Claims, Desk
from policies.room import Claimed, Room


def squeeze(desk: Desk, every: Sequence[Claims], room: Room, lack: int) -> None:
    """Take ``lack`` bytes from a filled room, and from those who have a place in it what cannot be written now."""
    room.left -= lack
    if room.left >= 0:
        return
    placed = [(every[by.rule].keys[by.place], at, by) for at, by in room.taken.items() if by is not None]
    for _, at, by in sorted(placed, key=lambda one: one[:2]):
        _stop(desk, every, room, at, by)
        if room.left >= 0:
            return


def _stop(desk: Desk, every: Sequence[Claims], room: Room, at: int, by: Claimed) -> None:
    """Have nothing more written for a video."""
    video, size = desk.videos[at], every[by.rule].sizes[by.place]
    if video.held is None:
        room.drop(at, video, size, by.rule)
        return
    if at not in room.as_held:
        if size <= video.held.done:
            return
        room.drop(at, video, size, by.rule)
        room.take(at, video, video.held.size, 0, by.rule, by)
        room.as_held.add(at)
        room.short.add(at)
    room.left += video.held.size - video.held.done  # its budget is for all of it, the disk has only so much
