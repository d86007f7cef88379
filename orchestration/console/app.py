"""The routes of the console, and the guard around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from loaders.errors import QuotemillError, UsageError
from orchestration.console.api import (
    commands,
    connection,
    health,
    ingestion,
    jobs,
    plans,
    prices,
    quality,
    sandbox,
    schedules,
    session,
    settings,
    testing,
)
from orchestration.console.api.answers import ERRORS
from orchestration.console.context import Console
from orchestration.console.errors import describe, find_status, record_fault
from orchestration.console.pages import routes as pages
from orchestration.console.security import Application, Guard
from orchestration.console.watching import JobWatch

DESCRIPTION = (
    "Each call is the function behind a command of quotemill, which its description names. A call "
    "that changes something needs `authorization: Bearer TOKEN` from a script; "
    "`quotemill console --token` makes the token. An error has `error`, `hint` and the `exit_code` "
    "of the command."
)


def create_app(
    console: Console, *, names: tuple[str, ...] = (), needs_token: bool = False
) -> Guard:
    """The whole application.

    names: hosts that requests may name, beside loopback and the address they came in by
    needs_token: whether every caller must have the token, as away from loopback
    """
    watch = JobWatch(console)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        console.readers.close()

    app = FastAPI(
        title="quotemill console",
        version=version("quotemill"),
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    api = APIRouter(prefix="/api", responses=ERRORS)
    for router in (
        health.routes(console),
        session.routes(console),
        connection.routes(console),
        settings.routes(console),
        testing.routes(console),
        schedules.routes(console),
        ingestion.routes(console, watch),
        jobs.routes(console, watch),
        plans.routes(console),
        prices.routes(console),
        quality.routes(console),
        commands.routes(console),
        sandbox.routes(console),
    ):
        api.include_router(router)
    app.include_router(api)
    app.include_router(quality.report_routes(console), responses=ERRORS)
    app.include_router(pages.routes(console, watch, needs_token=needs_token))
    app.add_exception_handler(QuotemillError, _answer_error)
    app.add_exception_handler(Exception, _answer_fault)
    app.add_exception_handler(RequestValidationError, _answer_wrong_call)
    app.add_exception_handler(HTTPException, _answer_refusal)
    inner: Application = app
    return Guard(
        inner,
        console.access,
        console.clock,
        console.limits,
        names=names,
        needs_token=needs_token,
    )


async def _answer_error(_: Request, error: Any) -> JSONResponse:
    return JSONResponse(describe(error), find_status(error))


async def _answer_fault(_: Request, error: Any) -> JSONResponse:
    """An error that is not one of ours, or of the warehouse, as a command would end with it."""
    known = record_fault(error)
    return JSONResponse(describe(known), find_status(known))


async def _answer_wrong_call(_: Request, error: Any) -> JSONResponse:
    """Name each wrong field, without its value, which may be a secret."""
    texts = []
    for wrong in error.errors():
        place = ".".join(
            str(part) for part in wrong["loc"] if part not in ("body", "query", "path")
        )
        texts.append(f"{place or wrong['loc'][0]}: {wrong['msg']}")
    known = UsageError("; ".join(texts[:5]), hint="GET /api/openapi.json describes each call")
    return JSONResponse(describe(known), 422)


async def _answer_refusal(request: Request, error: Any) -> JSONResponse:
    """A path or a method that there is not, or a body that is no text."""
    status = 422 if error.status_code == 400 else error.status_code
    texts = {
        404: f"there is no {request.url.path[:200]}",
        405: "not by this method",
        422: "the body is no JSON in UTF-8",
    }
    known = UsageError(texts.get(status, str(error.detail)), hint="/ is the first page")
    return JSONResponse(describe(known), status, headers=error.headers)
