"""What goes wrong, as a page in plain words. This module makes it without asking the house anything."""

from web.pages import theatre
from web.pages.show import STAGE
from web.problems import Problem

_TITLES = {
    401: "Please log in",
    403: "Not allowed",
    404: "Nothing here",
    405: "Not like this",
    409: "Not twice",
    413: "Too much at once",
    429: "A little slower",
    500: "Our fault",
    503: "Not right now",
    507: "No room left",
}


def error_page(path: str, problem: Problem) -> str:
    """Return the page of a problem; ``path`` is the request's, below the mount."""
    ours = problem.status == 500
    view = {
        "frame": None,
        "here": "",
        "said": "",
        "root": theatre.root_of(path),
        "csrf": "",
        "status": problem.status,
        "title": _TITLES.get(problem.status, "That did not work"),
        "text": "Something went wrong inside Seedkeep. It is written down in the log." if ours else problem.detail,
        "hint": "" if ours else problem.hint,
    }
    return theatre.render(STAGE, "error", view)
