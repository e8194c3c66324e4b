"""One request, one answer, no redirect: this module speaks HTTP/1.1 and tells failures apart.

Connections are kept alive and used again, so that what a viewer waits for costs one round trip.
"""

import asyncio
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpcore
import httpx

from appliance.domain.units import Origin
from appliance.errors import BadAnswer, OriginError, Refused, Unreachable
from appliance.outbound.guard import GuardedBackend
from appliance.outbound.verdict import too_large

CONNECT_SECONDS = 10.0
STALL_SECONDS = 20.0
_POOL_SECONDS = 60.0
_MOST_CONNECTIONS = 100
_MOST_IDLE = 32
_IDLE_SECONDS = 50.0
_LONGEST_URL = 4096
_HOST = re.compile(rb"[A-Za-z0-9_.:\-]{1,253}\Z")
_PORTS = {"http": 80, "https": 443}
_TRY_AGAIN = "Nothing to do: Seedkeep tries again by itself."


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose body is still to come: ``chunks`` are as sent, not decoded. Header names are in lower case.

    ``address`` is the one that answers, as connected to; empty where the connection does not tell.
    """

    url: httpx.URL
    origin: Origin
    status: int
    headers: Mapping[str, str]
    head_size: int
    chunks: AsyncIterator[bytes]
    address: str = ""

    @property
    def length(self) -> int | None:
        """The announced length of the body in bytes."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def origin_of(url: httpx.URL) -> Origin:
    """Return the host of ``url``, with its port where it is not the scheme's own."""
    host = url.host.lower()
    host = f"[{host}]" if ":" in host else host
    own = url.port is None or url.port == _PORTS.get(url.scheme)
    return Origin(host if own else f"{host}:{url.port}")


def parsed_url(text: str, allow_http: bool) -> httpx.URL:
    """Return ``text`` as an address that we go to: http or https, a host, no password. Raises Refused."""
    if len(text) > _LONGEST_URL:
        raise Refused("The address is too long.", hint="Check the address.")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise Refused("The address is not one that can be asked.", hint="Check the address.") from error
    if url.scheme not in _PORTS or url.userinfo or not _HOST.match(url.raw_host):
        raise Refused("Only plain https addresses can be asked.", hint="Check the address.")
    if url.scheme == "http" and not allow_http:
        raise Refused(
            f"{origin_of(url)} would be asked without encryption, and Seedkeep only does that when told to.",
            hint="Use the https address; if the server is yours, switch on 'private origins' in the settings.",
        )
    return url.copy_with(fragment=None)


class Wire:
    """Connections to the world. Open before use, close after."""

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._backend = GuardedBackend(allow_private)
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def open(self) -> None:
        context = await asyncio.to_thread(httpx.create_ssl_context)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_MOST_CONNECTIONS,
            max_keepalive_connections=_MOST_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=self._backend,
        )

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    @asynccontextmanager
    async def exchange(self, url: httpx.URL, headers: Mapping[str, str]) -> AsyncIterator[Reply]:
        """Send a GET and give the answer. Raises Unreachable, Refused, BadAnswer."""
        origin = origin_of(url)
        with_failures = _Failures(str(origin))
        with with_failures:
            response = await self._send(url, headers)
        try:
            yield Reply(
                url,
                origin,
                response.status,
                _headers(response),
                sum(len(k) + len(v) + 4 for k, v in response.headers) + 17,
                _chunks(response, with_failures),
                _address(response),
            )
        finally:
            await response.aclose()

    async def _send(self, url: httpx.URL, headers: Mapping[str, str]) -> httpcore.Response:
        if self._pool is None:
            raise RuntimeError("the wire is not open")
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        lines = [("Host", url.netloc.decode("ascii")), *headers.items()]
        limits = {"connect": CONNECT_SECONDS, "read": STALL_SECONDS, "write": STALL_SECONDS, "pool": _POOL_SECONDS}
        request = httpcore.Request("GET", target, headers=lines, extensions={"timeout": limits})
        try:
            return await self._pool.handle_async_request(request)
        except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError):
            # The server may have closed a kept connection at the moment we used it; a new one tells.
            return await self._pool.handle_async_request(request)


class _Failures:
    """Turns httpcore's errors into ours, in a ``with`` block."""

    def __init__(self, host: str) -> None:
        self._host = host

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, OriginError):
            return
        ours = self._ours(error)
        if ours is not None:
            raise ours from error

    def _ours(self, error: BaseException) -> OriginError | None:
        host = self._host
        if isinstance(error, httpcore.TimeoutException):
            return Unreachable(f"{host} did not answer in time.", hint=_TRY_AGAIN)
        if _has_certificate_error(error):
            return Unreachable(
                f"{host} shows a certificate that is not valid, so it may be someone else.",
                hint="Its owner has to renew it; check this box's date too.",
            )
        if isinstance(error, httpcore.ConnectError):
            return Unreachable(f"{host} cannot be reached.", hint="Check that it is up; Seedkeep tries again.")
        if isinstance(error, httpcore.NetworkError | httpcore.RemoteProtocolError):
            return Unreachable(f"{host} broke off in the middle of its answer.", hint=_TRY_AGAIN)
        if isinstance(error, httpcore.ProtocolError | httpcore.UnsupportedProtocol):
            return BadAnswer(f"{host} does not speak HTTP as it should.", hint="Check the address.")
        return None


def _has_certificate_error(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {key.decode("latin-1").lower(): value.decode("latin-1").strip() for key, value in response.headers}


def _address(response: httpcore.Response) -> str:
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("server_addr") if isinstance(stream, httpcore.AsyncNetworkStream) else None
    return str(found[0]) if isinstance(found, tuple) else ""


async def _chunks(response: httpcore.Response, failures: _Failures) -> AsyncIterator[bytes]:
    with failures:
        async for chunk in response.aiter_stream():
            yield chunk


class Inflater:
    """Undoes ``Content-Encoding`` in steps of bounded size, so that a bomb cannot go off."""

    def __init__(self, encoding: str, host: str, limit: int) -> None:
        self._host, self._left, self._limit = host, limit, limit
        self._zlib = None if encoding in ("", "identity") else zlib.decompressobj(_window_bits(encoding, host))

    def add(self, chunk: bytes) -> bytes:
        """Return what ``chunk`` stands for. Raises BadAnswer past the limit."""
        if self._zlib is not None:
            try:
                chunk = self._zlib.decompress(chunk, self._left + 1)
            except zlib.error as error:
                raise BadAnswer(f"{self._host} sent an answer that cannot be unpacked.", hint=_TRY_AGAIN) from error
        self._left -= len(chunk)
        if self._left < 0:
            raise too_large(self._host, self._limit)
        return chunk


def _window_bits(encoding: str, host: str) -> int:
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.MAX_WBITS | 32
    raise BadAnswer(f"{host} packs its answers in a way we did not ask for.", hint="Tell its owner.")
