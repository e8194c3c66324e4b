"""The command line's way to the running service: this module finds it by its data folder and asks its API."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.errors import BadInput, SeedkeepError

_SECONDS = 60.0


class NotRunning(SeedkeepError):
    code = "not_running"


class Service:
    """The running service, found by its data folder. Raises NotRunning, BadInput, SeedkeepError."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def ask(self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Return the decoded answer; a problem document becomes an error with its own sentence."""
        return _opened(*self._answer(method, path, body, query))

    def text(self, path: str) -> str:
        """Return an answer that is a text; errors as ``ask``."""
        status, content = self._answer("GET", path, None, None)
        if status >= 400:
            _opened(status, content)
        return content.decode("utf-8", errors="replace")

    def change_password(self, new: str) -> None:
        """Set the dashboard's password. Who can read the local token need not know the old one."""
        _, token = self._found()
        self.ask("PUT", "/api/v1/password", {"present": token, "new": new})

    def _found(self) -> tuple[str, str]:
        """Return the service's address and its local token."""
        if not is_running(self._data):
            raise NotRunning(
                f"No service is running with the data folder {self._data}.",
                hint="Start it with `seedkeep run`, or name its folder with --data.",
            )
        try:
            url = str(json.loads((self._data / "service.json").read_text(encoding="utf-8"))["url"])
            return url, (self._data / "cli.token").read_text(encoding="utf-8").strip()
        except PermissionError as error:
            raise BadInput(
                f"Only the user that runs the service may read its token in {self._data}.",
                hint="Run this as that user, for example with sudo -u seedkeep.",
            ) from error
        except (OSError, ValueError, KeyError) as error:
            raise NotRunning("The service is still starting.", hint="Try again in a moment.") from error

    def _answer(self, method: str, path: str, body: Any, query: Mapping[str, Any] | None) -> tuple[int, bytes]:
        import httpx

        url, token = self._found()
        try:
            answer = httpx.request(
                method,
                url + path,
                json=body,
                params={k: v for k, v in (query or {}).items() if v is not None},
                headers={"Authorization": f"Bearer {token}"},
                timeout=_SECONDS,
                trust_env=False,
            )
        except httpx.TransportError as error:
            raise NotRunning("The service does not answer.", hint="Its log may say why.") from error
        return answer.status_code, answer.content


def is_running(data: Path) -> bool:
    """Tell whether a service holds the data folder. Raises BadInput where only another user may look."""
    import fcntl

    try:
        with open(data / "lock", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except PermissionError as error:
        raise BadInput(
            f"Only the user that runs the service may look into {data}.",
            hint="Run this as that user, for example with sudo -u seedkeep.",
        ) from error
    except OSError:
        return False
    return False


def _opened(status: int, content: bytes) -> Any:
    try:
        body = json.loads(content) if content else None
    except ValueError:
        body = None
    if status < 400:
        return body
    problem = body if isinstance(body, dict) else {}
    message = problem.get("detail") or problem.get("title") or f"The service answered {status}."
    kind = BadInput if status in (400, 404, 409) else SeedkeepError
    field = str(problem.get("field") or "")
    if kind is BadInput and problem.get("code") == "bad_rule" and field and field not in str(message):
        message = f"{field}: {message}"
    raise kind(str(message), hint=str(problem.get("hint") or ""))
