"""The ways in and out: set-up, login, logout."""

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.response import Redirect

from appliance.errors import BadInput
from web.access import gate as gates
from web.access import origin
from web.context import local
from web.pages.show import Asked, bare, fields, gate, go, services, source, visit
from web.problems import Refusal


@get("/setup", include_in_schema=False)
async def setup(request: Asked) -> Response[str]:
    view = {"code": request.query_params.get("code", "")[:100], "error": "", "field": "", "near": True}
    return bare(request, "setup", view)


@post("/setup", include_in_schema=False)
async def begin(request: Asked) -> Response[str]:
    sent = await fields(request)
    near = "play_without_login" in sent
    code, password = sent.get("code", ""), sent.get("password", "")
    view = {"code": code[:100], "near": near}
    try:
        if password != sent.get("again", ""):
            raise BadInput("The two passwords are not the same.", field="again")
        cookie = await gate(request).begin(code, password, near, source(request), _label(request))
    except BadInput as error:
        return bare(request, "setup", {**view, "error": _said(error), "field": error.field}, status=422)
    except Refusal as refusal:
        return bare(request, "setup", {**view, **_refused(refusal)}, status=refusal.problem.status)
    return _admitted(request, cookie, "channels", "welcome")


@get("/login", include_in_schema=False)
async def login(request: Asked) -> Response[str]:
    return bare(request, "login", {"next": _onward(request.query_params.get("next", "")), "error": ""})


@post("/login", include_in_schema=False)
async def log_in(request: Asked) -> Response[str]:
    sent = await fields(request)
    onward = _onward(sent.get("next", ""))
    try:
        cookie = await gate(request).log_in(sent.get("password", ""), source(request), _label(request))
    except BadInput as error:
        return bare(request, "login", {"next": onward, "error": _said(error)}, status=422)
    except Refusal as refusal:
        view = {"next": onward, **_refused(refusal)}
        return bare(request, "login", view, status=refusal.problem.status)
    return _admitted(request, cookie, onward.removeprefix("/"))


@post("/logout", include_in_schema=False)
async def log_out(request: Asked) -> Response[str]:
    ours = visit(request).login
    if ours is not None:
        await gate(request).log_out(ours)
    answer = go(request, "login")
    answer.delete_cookie(gates.COOKIE, path="/")
    return answer


def _admitted(request: Asked, cookie: str, path: str, said: str = "") -> Redirect:
    """Send a browser on with the cookie of its new session."""
    house = services(request)
    headers = dict(request.scope["headers"])
    host = origin.host_of(headers.get(b"host"))
    secure = origin.is_secure(headers, request.scope["scheme"], host, house.settings.current.web.public_url)
    answer = go(request, path, said)
    answer.set_cookie(
        Cookie(
            key=gates.COOKIE,
            value=cookie,
            path="/",
            httponly=True,
            samesite="lax",
            secure=secure,
            max_age=int(gates.LASTS.total_seconds()),
        )
    )
    return answer


def _onward(target: str) -> str:
    """Return where to go after a login: the page that was asked for, never another way in."""
    return "/" if target.startswith(("/login", "/setup", "/logout")) else local(target)


def _said(error: BadInput) -> str:
    return f"{error.message} {error.hint}".strip()


def _refused(refusal: Refusal) -> dict[str, str]:
    problem = refusal.problem
    return {"error": f"{problem.detail} {problem.hint}".strip(), "field": ""}


def _label(request: Asked) -> str:
    """Return what a login is called in the list of them: the browser and its system, as far as they are told."""
    agent = request.headers.get("User-Agent", "")
    browsers = (("Firefox", "Firefox"), ("Edg", "Edge"), ("OPR", "Opera"), ("Chrom", "Chrome"), ("Safari", "Safari"))
    systems = (
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    )
    browser = next((name for mark, name in browsers if mark in agent), "A browser")
    system = next((name for mark, name in systems if mark in agent), "")
    return f"{browser} on {system}" if system else browser


routes = [setup, begin, login, log_in, log_out]
