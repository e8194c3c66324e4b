"""The value that a video was ranked by, in words of its rule's kind: this module finds them.

Values are worth per byte (``worth``), which is for comparing; what people ask is what was counted.
"""

from appliance.domain.plan import RuleKind
from policies.wording import counted, human_span, plain

_DAY = 86_400


def ranked_by(kind: str, value: float) -> str:
    """Return what ``value`` says of a video to a rule of this kind: ``about 12 views a day``; empty: all are alike."""
    match kind:
        case RuleKind.EVERYTHING:
            return ""
        case RuleKind.RECENT | RuleKind.LAST_N:
            return f"{human_span(max(1.0, (1 / value - 1) * _DAY))} old" if 0 < value <= 1 else "not yet out"
        case RuleKind.TRENDING:
            return f"about {counted(plain(value), 'view', 'views')} a day"
        case RuleKind.MOST_VIEWED:
            return counted(f"{value:,.0f}", "view", "views")
        case RuleKind.RARE_FIRST:
            copies = plain(round(max(0.0, 1 / value - 1), 2)) if value > 0 else "very many"
            return f"as rare as with {counted(copies, 'checked copy', 'checked copies')} elsewhere"
        case _:
            return f"worth {plain(value)}"
