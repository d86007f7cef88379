"""Signing in: a browser on another machine gives the token once."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field, SecretStr

from orchestration.console import security
from orchestration.console.access import SIGNED_IN
from orchestration.console.api.answers import Answer, Call
from orchestration.console.context import Console
from quotemill.errors import UsageError


class Token(Call):
    token: Annotated[SecretStr, Field(max_length=200)]


class SignedIn(Answer):
    ok: bool


def routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["session"])

    @router.post("/session")
    def sign_in(call: Token, request: Request, response: Response) -> SignedIn:
        """Exchange the console's token for a session of this browser, of 30 days."""
        if not console.access.is_token(call.token.get_secret_value().strip()):
            raise UsageError(
                "this is not the console's token", hint="`quotemill console --token` makes another"
            )
        session = console.access.new_session(console.clock())
        name = security.cookie_name(request.scope, "session")
        seconds = int(SIGNED_IN.total_seconds())
        response.headers["set-cookie"] = security.set_cookie(name, session, seconds=seconds)
        return SignedIn(ok=True)

    return router
