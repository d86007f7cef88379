"""Signing in: a browser gives the key of a link, or the token, once."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field, SecretStr

from orchestration.console import security
from orchestration.console.access import SIGNED_IN
from orchestration.console.api.answers import Answer, Call
from orchestration.console.context import Console
from orchestration.console.errors import Busy, Forbidden


class Token(Call):
    token: Annotated[SecretStr, Field(max_length=200)]


class SignedIn(Answer):
    ok: bool


def routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["session"])

    @router.post("/session")
    async def sign_in(call: Token, request: Request, response: Response) -> SignedIn:
        """Exchange a link's key or the token for a 30-day session of this browser."""
        given, now = call.token.get_secret_value().strip(), console.clock()
        access = console.access
        if not access.use_link(given, now) and not access.is_token(given):
            client = request.client.host if request.client else ""
            if not await access.note_failure("a wrong or used link", client):
                raise Busy(security.TOO_MANY, hint=security.WAIT)
            raise Forbidden(
                "the link was already used or has expired, or the token is wrong",
                hint="Run `quotemill console --link` for a new link.",
            )
        session = access.new_session(now)
        security.set_cookie(response, request, "session", session, SIGNED_IN)
        return SignedIn(ok=True)

    @router.delete("/session")
    async def sign_out(request: Request, response: Response) -> SignedIn:
        """End the session of this browser."""
        name = security.cookie_name(request.scope, "session")
        console.access.end_session(request.cookies.get(name, ""))
        response.delete_cookie(name)
        return SignedIn(ok=True)

    return router
