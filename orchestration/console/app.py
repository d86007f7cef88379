"""The routes of the console, and the guard around them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

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
from orchestration.console.pages.site import Site
from orchestration.console.pages.words import choose_words
from orchestration.console.security import Application, Guard
from orchestration.console.watching import JobWatch
from quotemill.errors import QuotemillError, UsageError
from quotemill.settings import allowed

DESCRIPTION = (
    "Each call does the same as the command in its description. A script sends "
    "`authorization: Bearer TOKEN`, with a token from `quotemill console --token`. An error has "
    "`error`, `hint` and the `exit_code` of the command."
)

# what is wrong with a value, by pydantic's names; of kinds by the beginning of these
WRONG = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "literal_error": "must be {expected}",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "string_pattern_mismatch": "has an invalid format",
}
KINDS = {kind.__name__: words for kind, words in allowed.KINDS.items()}
KINDS |= {"string": "a text", "list": "a list", "dict": "an object"}


def create_app(console: Console, *, names: tuple[str, ...] = ()) -> Guard:
    """The whole application.

    names: hosts that requests may name, beside loopback and the address they came in by
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
    site = Site(console)
    app.include_router(pages.routes(console, watch, site))
    _answer_errors(app, site)
    inner: Application = app
    return Guard(inner, console.access, console.clock, console.limits, names=names)


def _explain_wrong_call(error: Any) -> UsageError:
    """Name each wrong field, without its value, which may be a secret."""
    texts = []
    for wrong in error.errors():
        place = ".".join(
            str(part) for part in wrong["loc"] if part not in ("body", "query", "path")
        )
        texts.append(f"{place or wrong['loc'][0]} {_explain_value(wrong)}")
    return UsageError("; ".join(texts[:5]), hint="See GET /api/openapi.json for each call.")


def _explain_value(wrong: Mapping[str, Any]) -> str:
    """What is wrong with a value, in words."""
    kind, limits = wrong["type"], wrong.get("ctx", {})
    if kind in WRONG:
        return WRONG[kind].format(**limits)
    for name, words in allowed.BOUNDS.items():
        if name in limits:
            return f"must be {words} {limits[name]}"
    what = KINDS.get(kind.partition("_")[0])
    return f"must be {what}" if what else "is not valid here"


def _explain_refusal(path: str, status: int, detail: str) -> UsageError:
    """A path or a method that there is not, or a body that is no text."""
    texts = {
        404: f"there is no {path[:200]}",
        405: "method not allowed",
        422: "the body is not JSON in UTF-8",
    }
    return UsageError(texts.get(status, detail), hint="See / for the first page.")


def _answer_errors(app: FastAPI, site: Site) -> None:
    """Answer each error as a document, or as a page where a person opens one."""

    def answer(
        request: Request,
        known: QuotemillError,
        status: int,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        is_page = request.method == "GET" and not request.url.path.startswith(("/api/", "/static/"))
        if is_page and "text/html" in request.headers.get("accept", ""):
            return site.render(request, "error.html", {"error": describe(known)}, status)
        t = choose_words(request)
        document = describe(known)
        document |= {name: t(document[name]) for name in ("error", "hint")}
        return JSONResponse(document, status, headers=headers)

    async def answer_error(request: Request, error: Any) -> Response:
        return answer(request, error, find_status(error))

    async def answer_fault(request: Request, error: Any) -> Response:
        """An error that is not one of ours, or of the warehouse, as a command would end with it."""
        known = record_fault(error)
        return answer(request, known, find_status(known))

    async def answer_wrong_call(request: Request, error: Any) -> Response:
        return answer(request, _explain_wrong_call(error), 422)

    async def answer_refusal(request: Request, error: Any) -> Response:
        status = 422 if error.status_code == 400 else error.status_code
        known = _explain_refusal(request.url.path, status, str(error.detail))
        return answer(request, known, status, error.headers)

    app.add_exception_handler(QuotemillError, answer_error)
    app.add_exception_handler(Exception, answer_fault)
    app.add_exception_handler(RequestValidationError, answer_wrong_call)
    app.add_exception_handler(HTTPException, answer_refusal)
