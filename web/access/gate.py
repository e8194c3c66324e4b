"""The password, the sessions and the tokens that are in force. This module keeps them, over the store.

What was looked up is remembered for a moment, and forgotten as soon as the store says that it changed: a player asks
for a segment every few seconds, and none of them should cost a query.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from appliance.endpoints import SHORTEST_PASSWORD
from appliance.errors import BadInput
from appliance.store import logins, saved
from appliance.store.engine import Touched
from appliance.store.logins import Login, Token
from web.access import keys
from web.access.attempts import Attempts
from web.access.decide import Scope
from web.problems import Problem, Refusal
from web.services import Services

COOKIE = "seedkeep_session"
LASTS = timedelta(days=30)
ADMIN_PASSWORD = "admin_password"
CLI_TOKEN = "cli_token_digest"
_REMEMBER = 10.0
_MOST_REMEMBERED = 1000
_MOST_TOKENS = 100


@dataclass(frozen=True, slots=True)
class Key:
    """A valid bearer token: its scope, and the name it was given."""

    scope: Scope
    name: str


class Gate:
    """Who is known. One for each process; ``open`` it before the first request, ``close`` it last."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._password: str | None = None
        self._cli = ""
        self._loaded = False
        self._lock = asyncio.Lock()
        self._hashing = asyncio.Lock()
        self._turn = 0
        self._logins: dict[str, tuple[Login | None, float]] = {}
        self._keys: dict[str, tuple[Key | None, float]] = {}
        self._end = services.store.listen(self._forget)
        self.attempts = Attempts()

    def close(self) -> None:
        self._end()

    @property
    def set_up(self) -> bool:
        """Whether there is a password. True only after ``open``."""
        return self._password is not None

    async def open(self) -> None:
        """Read what is saved; at the very first start set the password that the settings give. Idempotent."""
        if self._loaded:
            return
        async with self._lock:
            if self._loaded:
                return
            store = self._services.store
            self._password = _text(await store.read(saved.get, ADMIN_PASSWORD))
            self._cli = _text(await store.read(saved.get, CLI_TOKEN)) or ""
            given = self._services.settings.current.setup.admin_password
            if self._password is None and given:
                await self._save_password(given)
            self._loaded = True

    def _forget(self, touched: Touched) -> None:
        kinds = {kind for kind, _ in touched}
        self._turn += 1
        if "login" in kinds:
            self._logins.clear()
        if "token" in kinds or "saved" in kinds:
            self._keys.clear()
        if ("saved", CLI_TOKEN) in touched or ("saved", ADMIN_PASSWORD) in touched or ("saved", "") in touched:
            self._loaded = False

    async def _save_password(self, password: str) -> None:
        made = await keys.hash_password(password)
        await self._services.store.promise(saved.put, ADMIN_PASSWORD, msgspec.json.encode(made).decode())
        self._password = made

    # sessions

    async def login_of(self, cookie: str) -> Login | None:
        """Return the session of a cookie, prolonged, or None where it is unknown or has run out."""
        services, ident = self._services, keys.digest(cookie)
        now = services.clock.monotonic()
        known = self._logins.get(ident)
        if known is not None and now - known[1] < _REMEMBER:
            return known[0]
        present, turn = services.clock.now(), self._turn
        login = await services.store.read(logins.login, ident, present)
        if login is not None and present - login.last_seen >= timedelta(minutes=5):
            await services.store.write(logins.renew_login, ident, present, present + LASTS)
        if turn == self._turn:
            _remember(self._logins, ident, login, now)
        return login

    async def log_in(self, password: str, source: str, label: str) -> str:
        """Return the cookie of a new session. Raises BadInput (wrong password), Refusal (not now)."""
        await self.open()
        self._wait(source)
        stored = self._password
        if stored is None or not await self._is_password(stored, password, source):
            raise BadInput("That is not the password.", code="wrong_password", field="password")
        return await self._open_session(label)

    async def _is_password(self, stored: str, password: str, source: str) -> bool:
        """Check a password; what fails counts from the moment it was asked, so that many at once count too."""
        self.attempts.failed(source, self._services.clock.monotonic())
        async with self._hashing:
            right = len(password) <= keys.LONGEST_PASSWORD and await keys.is_password(stored, password)
        if right:
            self.attempts.succeeded(source)
        return right

    async def _open_session(self, label: str) -> str:
        cookie, now = keys.new_secret(), self._services.clock.now()
        login = Login(keys.digest(cookie), keys.new_secret(), now, now, now + LASTS, label[:200])
        await self._services.store.promise(logins.open_login, login)
        await self._services.store.write(logins.sweep, now)
        return cookie

    async def log_out(self, login: Login) -> None:
        await self._services.store.promise(logins.close_login, login.digest)
        self._logins.pop(login.digest, None)

    def _wait(self, source: str) -> None:
        left = self.attempts.wait(source, self._services.clock.monotonic())
        if left > 0:
            raise Refusal(
                Problem(
                    429,
                    "too_many_attempts",
                    "There were too many wrong attempts.",
                    f"Wait {_span(left)}, then try again.",
                    after=left,
                )
            )

    # the password

    async def begin(self, code: str, password: str, play_without_login: bool, source: str, label: str) -> str:
        """First-run set-up: set the password, and return the cookie of a session.

        Raises BadInput (with the field named), Refusal (done before, or not now).
        """
        await self.open()
        if self.set_up:
            raise Refusal(Problem(409, "set_up_already", "Seedkeep is set up already.", "Log in instead."))
        self._wait(source)
        expected = self._services.setup_code()
        if expected is None or not keys.same(_bare(expected), _bare(code)):
            self.attempts.failed(source, self._services.clock.monotonic())
            raise BadInput(
                "That is not the set-up code.",
                code="wrong_code",
                field="code",
                hint="It was printed when Seedkeep started, and stands in its log.",
            )
        check_password(password)
        if self._services.settings.current.web.play_without_login is not play_without_login:
            await self._services.settings.save({"web.play_without_login": play_without_login})
        async with self._lock:
            if self.set_up:
                raise Refusal(Problem(409, "set_up_already", "Seedkeep is set up already.", "Log in instead."))
            await self._save_password(password)
        self.attempts.succeeded(source)
        return await self._open_session(label)

    async def change_password(self, present: str, new: str, login: Login | None, source: str) -> None:
        """Change the password and close every other session. Raises BadInput, Refusal.

        ``present`` may be the command line's token instead: who reads that owns this machine, and may have forgotten
        the password.
        """
        await self.open()
        self._wait(source)
        if self._password is None:
            raise BadInput("There is no password yet.", hint="Open the dashboard, and choose one with the set-up code.")
        owned = bool(self._cli) and keys.same(self._cli, keys.digest(present))
        if not (owned or await self._is_password(self._password, present, source)):
            raise BadInput("That is not the present password.", code="wrong_password", field="present")
        check_password(new, "new")
        await self._save_password(new)
        await self._services.store.promise(logins.close_all_logins, but="" if login is None else login.digest)

    # tokens

    async def key_of(self, token: str) -> Key | None:
        """Return what a bearer token may do, or None where it is not valid."""
        await self.open()
        services, ident = self._services, keys.digest(token)
        if self._cli and keys.same(self._cli, ident):
            return Key(Scope.ADMIN, "command line")
        now = services.clock.monotonic()
        known = self._keys.get(ident)
        if known is not None and now - known[1] < _REMEMBER:
            return known[0]
        turn = self._turn
        row = await services.store.read(logins.token, ident)
        key = None if row is None or row.scope not in list(Scope) else Key(Scope(row.scope), row.name)
        present = services.clock.now()
        if row is not None and (row.last_used is None or present - row.last_used >= timedelta(minutes=5)):
            await services.store.write(logins.use_token, row.id, present)
        if turn == self._turn:
            _remember(self._keys, ident, key, now)
        return key

    async def make_token(self, name: str, scope: Scope) -> tuple[Token, str]:
        """Return a new token and its secret, which is shown once. Raises BadInput."""
        name = " ".join(name.split())
        if not 0 < len(name) <= 100:
            raise BadInput("A token needs a name of 1 to 100 characters.", field="name")
        there = await self._services.store.read(logins.tokens)
        if any(token.name == name for token in there):
            raise BadInput("There is a token of that name already.", field="name", hint="Choose another name.")
        if len(there) >= _MOST_TOKENS:
            raise BadInput(f"There are {_MOST_TOKENS} tokens already.", hint="Remove one that is no longer used.")
        secret = keys.new_token()
        token = Token(keys.digest(secret)[:16], name, scope.value, self._services.clock.now(), None)
        await self._services.store.promise(logins.add_token, token, keys.digest(secret))
        return token, secret


def check_password(password: str, field: str = "password") -> None:
    """Raise BadInput where a new password is too short or too long."""
    if len(password) < SHORTEST_PASSWORD:
        words = f"A password needs {SHORTEST_PASSWORD} characters or more."
        raise BadInput(words, code="short_password", field=field, hint="Three or four words are good.")
    if len(password) > keys.LONGEST_PASSWORD:
        raise BadInput("That password is too long.", code="long_password", field=field)


def _bare(code: str) -> str:
    """Return a set-up code as it counts: however a person parted it, or did not."""
    return "".join(letter for letter in code.lower() if letter.isalnum())


def _text(body: str | None) -> str | None:
    """Return a saved text; one that was saved without JSON's quotes as it is."""
    if body is None:
        return None
    try:
        return str(msgspec.json.decode(body)) if body.startswith('"') else body
    except msgspec.DecodeError:
        return body


def _remember(where: dict[str, tuple[Any, float]], ident: str, what: object, now: float) -> None:
    if len(where) >= _MOST_REMEMBERED:
        where.clear()
    where[ident] = (what, now)


def _span(seconds: float) -> str:
    if seconds <= 90:
        whole = max(1, round(seconds))
        return "a second" if whole == 1 else f"{whole} seconds"
    return f"{round(seconds / 60)} minutes"
