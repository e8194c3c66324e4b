"""What a rendition needs of a link (RFC 8216 4.3.4.2): this module measures it in its byte map. Pure."""

from appliance.domain.shelf import ByteMap, PlayableRendition

_RUN = 64
"""Segments of one run at most, so that a playlist of 50,000 empty segments costs no more than an honest one."""


def peak_bandwidth(bytemap: ByteMap) -> int | None:
    """Return the peak in bits/s: of all runs of segments that last 0.5 to 1.5 target durations, the fastest.

    (RFC 8216 4.3.4.2.) None where sizes are not known. A playlist too short for such a run counts as a whole.
    """
    if not _measured(bytemap):
        return None
    sums = [(0.0, 0)]
    for segment in bytemap.segments:
        sums.append((sums[-1][0] + segment.duration, sums[-1][1] + segment.length))
    low, high = 0.5 * bytemap.target_duration, 1.5 * bytemap.target_duration
    peak = 0.0
    for start, (start_time, start_bytes) in enumerate(sums):
        for end_time, end_bytes in sums[start + 1 : start + 1 + _RUN]:
            seconds = end_time - start_time
            if seconds > high + 1e-6:
                break
            if seconds >= low:
                peak = max(peak, (end_bytes - start_bytes) / seconds)
    return _bits(peak) if peak else average_bandwidth(bytemap)


def average_bandwidth(bytemap: ByteMap) -> int | None:
    """Return all segments' bits over all their seconds, None where sizes are not known."""
    if not _measured(bytemap) or bytemap.duration <= 0:
        return None
    return _bits(sum(s.length for s in bytemap.segments) / bytemap.duration)


def _measured(bytemap: ByteMap) -> bool:
    return all(s.length > 0 for s in bytemap.segments)


def _bits(bytes_a_second: float) -> int:
    return int(bytes_a_second * 8) + 1


def rates(rendition: PlayableRendition) -> tuple[int, int]:
    """Return (peak, average) in bits/s; where the segments' sizes are not known, from the whole and a margin."""
    if rendition.bytemap is None:
        return 1, 1
    peak, average = peak_bandwidth(rendition.bytemap), average_bandwidth(rendition.bytemap)
    if peak is None or average is None:
        average = _bits(rendition.size / max(rendition.bytemap.duration, 1.0))
        peak = average * 2
    return peak, average
