"""A video's copy for televisions for a person: how far it is, as one sentence. This module writes it."""

from appliance.domain.television import CopyState, TelevisionCopy
from web.views import words


def line(copy: TelevisionCopy | None) -> str:
    """Return the sentence, empty where the video gets no copy."""
    if copy is None:
        return ""
    far = f"{int(copy.percent or 0)}\u00a0%"
    match copy.state:
        case CopyState.WAITING:
            return "No common television plays this; a copy for televisions waits for its turn."
        case CopyState.MAKING:
            return f"A copy for televisions is being made, {far}."
        case CopyState.RESTING:
            return f"A copy for televisions is being made, {far}; it rests while a screen plays or the machine is busy."
        case CopyState.READY:
            return f"There is a copy for televisions, {words.size(copy.size or 0)}."
        case CopyState.FAILED:
            trouble = copy.trouble
            said = "No copy for televisions could be made." if trouble is None else trouble.message
            return f"{said} {trouble.hint}".strip() if trouble is not None else said
