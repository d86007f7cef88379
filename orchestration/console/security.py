"""Checks that every request passes first: its origin, its sender, how much and how often.

A page of another site, or a name that another site's DNS points here, gets nothing. A call that
changes something comes from an open page, which has a token that no other site can read, or from a
script with the console's token. Away from loopback every call needs a session or that token.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any

from aiolimiter import AsyncLimiter

from orchestration.console.access import Access
from orchestration.console.errors import describe, find_status, record_fault, send_json
from orchestration.console.limits import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SIGN_IN = "/sign-in"
# without a session: the form for the token, what it looks like, and where it is sent
_OPEN_PATHS = (SIGN_IN, "/api/session")
_OPEN_FOLDER = "/static/"
PAGE_HEADER = "x-quotemill-page"
PAGE_ID = "quotemill.page_id"  # in the scope
_READING = ("GET", "HEAD")
_PAGE_ID = re.compile(r"[A-Za-z0-9_-]{20,64}")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Refused(Exception):
    """A request that gets no further, with the status and the words of its answer."""

    def __init__(self, status: int, text: str, hint: str = "", *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.status, self.hint = status, hint
        self.headers = tuple((name.encode(), value.encode()) for name, value in headers)


@dataclass
class Guard:
    """An ASGI application around another.

    names: hosts that a request may name, beside loopback and the address that it came in by
    needs_token: whether each caller must have the token, as away from loopback
    """

    app: Application
    access: Access
    clock: Callable[[], datetime]
    limits: Limits = field(default_factory=Limits)
    names: Collection[str] = ()
    needs_token: bool = False
    _calls: AsyncLimiter = field(init=False)
    _changes: AsyncLimiter = field(init=False)

    def __post_init__(self) -> None:
        self._calls = AsyncLimiter(self.limits.calls, 1)
        self._changes = AsyncLimiter(self.limits.changes, 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = _Request(scope)
        started = False

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _add_headers(message["headers"], request)
            await send(message)

        try:
            await self._admit(request)
            if request.method not in _READING:
                receive = await self._take_body(receive)
            await self.app(scope, receive, answer)
        except Refused as refused:
            document = {"error": str(refused), "hint": refused.hint, "exit_code": 2}
            await send_json(answer, refused.status, document, refused.headers)
        except Exception as error:  # the application has answered those of its routes itself
            if not started:
                known = record_fault(error)
                await send_json(answer, find_status(known), describe(known))

    async def _admit(self, request: "_Request") -> None:
        """Let a request pass. Raises Refused."""
        self._check_host(request)
        _check_origin(request)
        await _take(self._calls)
        is_known = self._is_token(request)
        if self.needs_token and not is_known and not _is_open(request.path):
            session = request.cookies.get(request.cookie("session"), "")
            if not self.access.is_session(session, self.clock()):
                _ask_for_token(request)
        if request.method in _READING:
            _give_page_id(request)
            return
        await _take(self._changes)
        kind = request.header("content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(
                415, "a call that changes something is JSON", "content-type: application/json"
            )
        page_id = request.cookies.get(request.cookie("page"), "")
        if not is_known and not self.access.is_page_token(page_id, request.header(PAGE_HEADER)):
            raise Refused(
                403,
                "this call needs the token of an open page, or the console's own",
                "open the page again; a script sends `authorization: Bearer TOKEN`, and "
                "`quotemill console --token` makes the token",
            )

    def _check_host(self, request: "_Request") -> None:
        """Refuse a name that is not ours: DNS of another site may point here."""
        hosts = request.headers("host")
        name = re.sub(r":\d+$", "", hosts[0].lower()) if len(hosts) == 1 else ""
        server = (request.scope.get("server") or ("",))[0]
        own = {*LOOPBACK, *self.names, f"[{server}]" if ":" in server else server} - {""}
        if name not in own:
            raise Refused(
                421,
                f"this console is not {hosts[0] if len(hosts) == 1 else 'of several names'}",
                "open it by the address that `quotemill console` printed",
            )

    def _is_token(self, request: "_Request") -> bool:
        """Whether the request brings the token. Raises Refused for another one."""
        given = request.headers("authorization")
        if not given:
            return False
        kind, _, token = given[0].partition(" ")
        if len(given) > 1 or kind.lower() != "bearer" or not self.access.is_token(token.strip()):
            raise Refused(
                401,
                "this is not the console's token",
                "`quotemill console --token` makes another one",
                ("www-authenticate", "Bearer"),
            )
        return True

    async def _take_body(self, receive: Receive) -> Receive:
        """Read the whole body, in bounds of size and time; pass it on as one message."""
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.receiving):
                while True:
                    message = await receive()
                    body += message.get("body", b"")
                    if len(body) > self.limits.body:
                        size = f"{self.limits.body:,} bytes"
                        raise Refused(413, f"a call has at most {size}", "name fewer codes")
                    if message["type"] != "http.request" or not message.get("more_body"):
                        break
        except TimeoutError:
            raise Refused(408, "the call did not arrive in time", "send it again") from None
        is_sent = False

        async def replay() -> MutableMapping[str, Any]:
            nonlocal is_sent
            if is_sent:
                return await receive()
            is_sent = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return replay


class _Request:
    """A request's own parts, and the cookie that its answer sets."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method, self.path = scope["method"], scope["path"]
        self.cookies = _read_cookies(self.headers("cookie"))
        self.sets: str | None = None

    def headers(self, name: str) -> list[str]:
        wanted = name.encode()
        return [v.decode("latin-1") for n, v in self.scope["headers"] if n.lower() == wanted]

    def header(self, name: str) -> str:
        """A header that may come once; empty otherwise."""
        values = self.headers(name)
        return values[0] if len(values) == 1 else ""

    def cookie(self, name: str) -> str:
        """The name of a cookie: browsers share them between the ports of a host."""
        port = (self.scope.get("server") or ("", 0))[1]
        return f"quotemill_{port}_{name}"


def set_cookie(name: str, value: str, *, seconds: int | None = None) -> str:
    """A header that sets a cookie which no script and no other site can use."""
    age = "" if seconds is None else f"; Max-Age={seconds}"
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{age}"


def cookie_name(scope: Scope, name: str) -> str:
    return _Request(scope).cookie(name)


def read_cookie(scope: Scope, name: str) -> str:
    request = _Request(scope)
    return request.cookies.get(request.cookie(name), "")


def _check_origin(request: _Request) -> None:
    """Refuse what a page of another site sends, or embeds."""
    host = request.header("host").lower()
    origins = request.headers("origin")
    if any(origin.lower() not in (f"http://{host}", f"https://{host}") for origin in origins):
        raise Refused(403, "a page of another site sent this", "open the console's own page")
    is_opened = request.method == "GET" and request.header("sec-fetch-mode") == "navigate"
    if request.headers("sec-fetch-site") not in ([], ["same-origin"], ["none"]) and not is_opened:
        raise Refused(403, "a page of another site asked for this", "open the console's own page")


async def _take(limiter: AsyncLimiter) -> None:
    if not limiter.has_capacity():
        raise Refused(429, "too many calls at once", "wait a second", ("retry-after", "1"))
    await limiter.acquire()


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def _ask_for_token(request: _Request) -> None:
    """Send a person to the form for the token, and tell a script to bring it."""
    if request.method == "GET" and not request.path.startswith("/api/"):
        raise Refused(303, "sign in first", SIGN_IN, ("location", SIGN_IN))
    raise Refused(
        401,
        "this console is open to other machines, so each caller needs its token",
        "send `authorization: Bearer TOKEN`, as `quotemill console` printed it",
        ("www-authenticate", "Bearer"),
    )


def _give_page_id(request: _Request) -> None:
    """Put the id of the caller's page into the scope; a page gets one at its first visit."""
    name = request.cookie("page")
    page_id = request.cookies.get(name, "")
    if not _PAGE_ID.fullmatch(page_id):
        page_id = secrets.token_urlsafe(24)
        if not request.path.startswith(("/api/", _OPEN_FOLDER)):
            request.sets = set_cookie(name, page_id)
    request.scope[PAGE_ID] = page_id


def _add_headers(
    headers: Iterable[tuple[bytes, bytes]], request: _Request
) -> list[tuple[bytes, bytes]]:
    """Our headers, where the answer has none of that name."""
    own = [(name.lower(), value) for name, value in headers]
    names = {name for name, _ in own}
    own += [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.encode() not in names]
    if request.sets is not None:
        own.append((b"set-cookie", request.sets.encode()))
    return own


def _read_cookies(headers: Iterable[str]) -> dict[str, str]:
    cookies: dict[str, str] = {}
    for header in headers:
        try:
            cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        except CookieError:
            continue
    return cookies
