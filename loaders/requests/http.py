"""The shared HTTP side of the loaders: client, time and rate limits, retries, request log.

Nothing here knows the answers of a source. A source's client turns a Response into its own shapes
and raises RetryableAnswer where another try may succeed. httpx takes long to import, so only what
makes a client or a request imports it. An answer beyond its limit, or that httpx cannot read, is an
UpstreamError too, whatever was raised.
"""

import asyncio
import logging
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import stamina
from aiolimiter import AsyncLimiter

from loaders.requests.counts import count
from quotemill.errors import SettingsError, UpstreamError, walk_causes
from quotemill.foreign import HTTP_ANSWER, check_packing, check_size, reading

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
log = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0
PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


class RetryableAnswer(UpstreamError):
    """The source gave no usable answer this time; another try may get one."""


class NoAnswerInTime(RetryableAnswer):
    """No complete answer within the time limit."""


class Unreachable(UpstreamError):
    """Nothing listens at the address. Quick retries are useless."""


class Response(NamedTuple):
    """A whole answer, unpacked. `headers` by name in any case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`retries` after the first try; `backoff` seconds before the first retry, then doubled.

    Each pause gets a random addition of up to `backoff`, so that requests that failed together are
    not repeated together.
    """

    retries: int
    backoff: float


def internet_client(timeout: float) -> "httpx.Client":
    """A client for an address on the internet, through the proxies that the environment names.

    Raises SettingsError for a proxy that cannot be used: httpx speaks SOCKS only with `socksio`.
    """
    import httpx

    try:
        return httpx.Client(timeout=timeout, follow_redirects=True)
    except (ImportError, ValueError):  # their texts may have the password of the proxy
        named = [name for name in PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
        raise SettingsError(
            f"cannot use the proxy in {' or '.join(named)}: only http:// and https:// "
            "work without an extra package",
            hint="Run `pip install 'httpx[socks]'` for socks5://, or unset the variable.",
        ) from None


def http_client(
    base_url: str,
    *,
    connections: int,
    transport: "httpx.AsyncBaseTransport | None" = None,
    is_public: bool = False,
) -> "httpx.AsyncClient":
    """A client for one source. Only for a public one the environment's proxies are used.

    Time limits belong to the request (`send`): a queue for a free connection has none.
    Raises SettingsError for an address without a host or with an impossible port.
    """
    import httpx

    try:
        parts = urlsplit(base_url)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65535, an open bracket
        valid = False
    if not valid:
        raise SettingsError(
            "the address of the service is not valid",
            hint="Set base_url of the source to an address like http://host:8080. "
            "`quotemill doctor` shows more.",
        )
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=None,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        trust_env=is_public,
        follow_redirects=is_public,
        headers={
            "User-Agent": "quotemill",
            "Accept": "*/*" if is_public else "application/json",
            "Accept-Encoding": "gzip, deflate",
        },
        transport=transport,
    )


def rate_limit(per_second: float | None) -> AbstractAsyncContextManager[None]:
    """The limit that every request of a source enters: even spacing, no bursts. None: no limit."""
    return AsyncLimiter(1, 1 / per_second) if per_second else nullcontext()


async def send(
    client: "httpx.AsyncClient",
    method: str,
    route: str,
    payload: Mapping[str, Any],
    *,
    limit: float,
    subject: str | None = None,
) -> Response:
    """GET `route` with `payload` as its query, or POST it as JSON.

    The whole answer must come within `limit` seconds. Messages name the request by `subject`, or by
    the values of the query. Raises NoAnswerInTime, Unreachable, RetryableAnswer for a broken
    connection or an answer that is not HTTP, UpstreamError for a failed TLS handshake or an answer
    that is too large.
    """
    import httpx

    form: Any = {"params": payload} if method == "GET" else {"json": payload}
    request = client.build_request(method, route, **form)
    what = " ".join([route, *(payload.values() if subject is None else [subject])])
    started = time.monotonic()
    outcome = "cancelled"
    try:
        async with asyncio.timeout(limit):
            response = await _receive(client, request, what)
        outcome = str(response.status_code)
        count("bytes", len(response.content))
        return response
    except (TimeoutError, httpx.TimeoutException):
        outcome = "no response in time"
        raise NoAnswerInTime(f"{what}: no complete response within {limit:g} s") from None
    except httpx.ConnectError as error:
        outcome = f"unreachable: {error}"
        if _caused_by(error, socket.gaierror):
            raise RetryableAnswer(
                f"{what}: unknown host {client.base_url.host}",
                hint="Check the service's address in the settings.",
            ) from None
        if _caused_by(error, ssl.SSLError):
            raise UpstreamError(
                f"{what}: no TLS with {client.base_url.host}:{_port(client.base_url)} ({error})",
                hint="Try http:// instead of https://.",
            ) from None
        raise Unreachable(
            f"{what}: no response at {client.base_url.host}:{_port(client.base_url)}"
        ) from None
    except (httpx.TransportError, httpx.DecodingError) as error:
        outcome = f"{type(error).__name__}: {error}"
        raise RetryableAnswer(
            f"{what}: the connection broke ({str(error) or type(error).__name__})"
        ) from None
    except UpstreamError as error:
        outcome = str(error)
        raise
    finally:
        count("requests")
        log.debug("request %s: %s in %.3f s", what, outcome, time.monotonic() - started)


async def _receive(client: "httpx.AsyncClient", request: "httpx.Request", what: str) -> Response:
    import httpx

    content = bytearray()
    with reading(what, RetryableAnswer, but=(httpx.HTTPError, TimeoutError)):
        answer = await client.send(request, stream=True)
        try:
            check_packing(what, answer.headers, UpstreamError)
            async for part in answer.aiter_bytes():
                content += part
                check_size(what, len(content), HTTP_ANSWER, UpstreamError)
        finally:
            await answer.aclose()
        return Response(answer.status_code, answer.headers, bytes(content))


async def retrying(
    policy: RetryPolicy,
    attempt: Callable[[], Awaitable[T]],
    *,
    on: tuple[type[UpstreamError], ...] = (RetryableAnswer,),
) -> T:
    """Await `attempt()` until it returns; only the errors `on` are tried again."""
    async for trial in stamina.retry_context(
        on=on,
        attempts=policy.retries + 1,
        timeout=None,
        wait_initial=policy.backoff,
        wait_max=max(LONGEST_PAUSE, policy.backoff),
        wait_jitter=policy.backoff,
    ):
        with trial:
            return await attempt()
    raise AssertionError("stamina re-raises the last error")


def _port(url: "httpx.URL") -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in walk_causes(error))
