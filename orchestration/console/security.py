"""Checks that every request passes first: its origin, its sender, how much and how often.

A page of another site, or a name that another site's DNS points here, gets nothing. Every caller,
also another user of this machine, needs the session of a browser that used a link, or the console's
token. A call that changes something brings that token, or one of an open page, which no other site
can read.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiolimiter import AsyncLimiter
from starlette.requests import Request
from starlette.responses import Response

from orchestration.console.access import Access
from orchestration.console.errors import describe, find_status, record_fault, send_json
from orchestration.console.limits import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SIGN_IN = "/sign-in"
NO_SESSION = "open the console with a link from `quotemill console --link`"
TOO_MANY, WAIT = "too many failed attempts", "Wait a minute."
_SESSION = "/api/session"
# without a session: the page of a link, what it looks like, and where its key is sent
_OPEN_PATHS = (SIGN_IN, _SESSION)
_OPEN_FOLDER = "/static/"
PAGE_HEADER = "x-quotemill-page"
_READING = ("GET", "HEAD")
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
    """

    app: Application
    access: Access
    clock: Callable[[], datetime]
    limits: Limits = field(default_factory=Limits)
    names: Collection[str] = ()
    _calls: AsyncLimiter = field(init=False)
    _strangers: AsyncLimiter = field(init=False)  # take nothing from the calls of others
    _sign_ins: AsyncLimiter = field(init=False)  # of an owner, who is a stranger before
    _changes: AsyncLimiter = field(init=False)

    def __post_init__(self) -> None:
        self._calls = AsyncLimiter(self.limits.calls, 1)
        self._strangers = AsyncLimiter(self.limits.calls, 1)
        self._sign_ins = AsyncLimiter(self.limits.calls, 1)
        self._changes = AsyncLimiter(self.limits.changes, 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = _Request(scope)
        started = is_refused = False

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _add_headers(message["headers"])
                if is_refused:
                    message["status"] = 401
            await send(message)

        try:
            if not await self._admit(request):
                is_refused = True
                scope["path"] = SIGN_IN
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

    async def _admit(self, request: "_Request") -> bool:
        """Let a request pass; False where a person gets the page to sign in. Raises Refused."""
        self._check_host(request)
        _check_origin(request)
        is_script = await self._is_token(request)
        is_known = is_script or self.access.is_session(request.session, self.clock())
        request.scope["is_known"] = is_known  # its connection is not ended for a stranger's
        strangers = self._sign_ins if request.path == _SESSION else self._strangers
        await _take(self._calls if is_known else strangers)
        if not is_known and not _is_open(request.path):
            await self._note_failure(request, "without a session")
            if request.wants_page:
                return False
            raise Refused(
                401,
                NO_SESSION,
                "In a script, send the token that `quotemill console --token` prints.",
            )
        if request.method in _READING:
            return True
        if is_known:
            await _take(self._changes)
        kind = request.header("content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(
                415,
                "a call that changes something must be JSON",
                "Send content-type: application/json.",
            )
        given = request.header(PAGE_HEADER)
        if is_script or _is_open(request.path) or self.access.is_page_token(request.session, given):
            return True
        raise Refused(
            403,
            "this call needs the token of an open page, or the console's own",
            "Open the page again. In a script, send `authorization: Bearer TOKEN` with the token "
            "from `quotemill console --token`.",
        )

    async def _note_failure(self, request: "_Request", why: str) -> bool:
        text = f"{request.method} {request.path[:200]} {why}"
        return await self.access.note_failure(text, request.client)

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
                "Open the address that `quotemill console` printed.",
            )

    async def _is_token(self, request: "_Request") -> bool:
        """Whether the request brings the token. Raises Refused for another one."""
        given = request.headers("authorization")
        if not given:
            return False
        kind, _, token = given[0].partition(" ")
        if len(given) == 1 and kind.lower() == "bearer" and self.access.is_token(token.strip()):
            return True
        if not await self._note_failure(request, "with a wrong token"):
            raise Refused(429, TOO_MANY, WAIT, ("retry-after", "60"))
        raise Refused(
            401,
            "this is not the console's token",
            "Run `quotemill console --token` for a new token.",
            ("www-authenticate", "Bearer"),
        )

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
                        raise Refused(413, f"a request can have at most {size}", "send fewer codes")
                    if message["type"] != "http.request" or not message.get("more_body"):
                        break
        except TimeoutError:
            raise Refused(408, "the request did not arrive in time", "send it again") from None
        is_sent = False

        async def replay() -> MutableMapping[str, Any]:
            nonlocal is_sent
            if is_sent:
                return await receive()
            is_sent = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return replay


class _Request:
    """A request's own parts."""

    def __init__(self, scope: Scope) -> None:
        request = Request(scope)
        self.scope, self.headers = scope, request.headers.getlist
        self.method, self.path = scope["method"], scope["path"]
        self.session = read_cookie(request, "session")
        self.client = request.client.host if request.client else ""

    def header(self, name: str) -> str:
        """A header that may come once; empty otherwise."""
        values = self.headers(name)
        return values[0] if len(values) == 1 else ""

    @property
    def wants_page(self) -> bool:
        is_page = self.method in _READING and not self.path.startswith("/api/")
        return is_page and "text/html" in self.header("accept")


def cookie_name(scope: Scope, name: str) -> str:
    """The name of a cookie: browsers share them between the ports of a host."""
    port = (scope.get("server") or ("", 0))[1]
    return f"quotemill_{port}_{name}"


def read_cookie(request: Request, name: str) -> str:
    return str(request.cookies.get(cookie_name(request.scope, name), ""))


def set_cookie(
    response: Response, request: Request, name: str, value: str, lasts: timedelta
) -> None:
    """Set a cookie which no script and no other site can use."""
    response.set_cookie(
        cookie_name(request.scope, name),
        value,
        int(lasts.total_seconds()),
        httponly=True,
        samesite="strict",
    )


def _check_origin(request: _Request) -> None:
    """Refuse what a page of another site sends, or embeds."""
    host = request.header("host").lower()
    origins = request.headers("origin")
    if any(origin.lower() not in (f"http://{host}", f"https://{host}") for origin in origins):
        raise Refused(
            403, "this request came from another site's page", "open the console's own address"
        )
    is_opened = request.method == "GET" and request.header("sec-fetch-mode") == "navigate"
    if request.headers("sec-fetch-site") not in ([], ["same-origin"], ["none"]) and not is_opened:
        raise Refused(
            403, "this request came from another site's page", "open the console's own address"
        )


async def _take(limiter: AsyncLimiter) -> None:
    if not limiter.has_capacity():
        raise Refused(429, "too many calls at once", "wait a second", ("retry-after", "1"))
    await limiter.acquire()


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def _add_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Our headers, where the answer has none of that name."""
    own = [(name.lower(), value) for name, value in headers]
    names = {name for name, _ in own}
    return own + [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.encode() not in names]
