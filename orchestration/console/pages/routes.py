"""The addresses of pages, of parts of them, and of the files beside them."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BeforeValidator

from orchestration.console.api.answers import JobId
from orchestration.console.context import Console
from orchestration.console.pages import (
    chains,
    configuration,
    contracts,
    futures,
    glance,
    loading,
    options,
    overview,
    prices,
    runs,
    search,
    state,
)
from orchestration.console.pages.site import Site, read_static
from orchestration.console.security import SIGN_IN
from orchestration.console.watching import JobWatch

A_YEAR = "public, max-age=31536000, immutable"
# what a parameter of a page takes, by its type, or by its name
KINDS: dict[Any, Any] = {
    str: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")],
    # an empty field of a form names no day
    date | None: Annotated[date | None, BeforeValidator(lambda value: value or None), Query()],
    int | None: Annotated[int | None, Query(ge=1, lt=2**63)],
}
NAMED: dict[str, Any] = {
    "job_id": JobId,
    "build_id": Annotated[int, Path(ge=1, lt=2**63)],
    "run_id": Annotated[str, Path(max_length=40, pattern=r"^[^\x00]*$")],
    "class_": Annotated[str, Query(max_length=200, alias="class")],
}


def routes(console: Console, watch: JobWatch, site: Site) -> APIRouter:
    """All pages; they are no part of the API's description."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    def read_file(name: str) -> Response:
        file = read_static(name)
        return Response(file.body, media_type=file.kind, headers={"cache-control": A_YEAR})

    def add(path: str, template: str, gather: Callable[..., Mapping[str, Any]]) -> None:
        """Add a page, or a part of one, whose queries are the parameters of `gather`."""
        read = partial(gather, console)

        def show(request: Request, **values: Any) -> Response:
            return site.show(request, template, partial(read, **values))

        queries = [
            Parameter(
                known.name,
                Parameter.KEYWORD_ONLY,
                default=known.default,
                annotation=NAMED.get(known.name, KINDS.get(known.annotation, known.annotation)),
            )
            for known in signature(read).parameters.values()
        ]
        first = Parameter("request", Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)
        show.__signature__ = Signature(  # type: ignore[attr-defined]  # which FastAPI reads
            [first, *queries], return_annotation=Response
        )
        router.get(path)(show)

    def gather_job(console: Console, job_id: int, tasks: str = "") -> Mapping[str, Any]:
        return loading.gather_job(console, watch, job_id, tasks)

    add(SIGN_IN, "sign_in.html", lambda _: {})
    add("/", "overview.html", overview.gather)
    add("/glance", "_glance.html", glance.gather)
    add("/new", "_new.html", state.gather_new)
    add("/starts", "_starts.html", overview.gather_starts)
    add("/load", "load.html", loading.gather_form)
    add("/jobs/{job_id}", "job.html", gather_job)
    add("/jobs/{job_id}/part", "_job.html", gather_job)
    add("/commands/{run_id}", "command.html", loading.gather_command)
    add("/commands/{run_id}/part", "_command.html", loading.gather_command)
    add("/sources", "sources.html", state.gather_sources)
    add("/chains", "chains.html", chains.gather_chains)
    add("/chains/due", "_chains_due.html", chains.gather_due)
    add("/futures", "futures.html", futures.gather_futures)
    add("/futures/due", "_plan.html", futures.gather_due)
    add("/schedules", "schedules.html", configuration.gather_schedules)
    add("/history", "history.html", runs.gather)
    add("/runs/{run_id}", "record.html", runs.gather_run)
    add("/runs/{run_id}/part", "_record.html", runs.gather_run)
    add("/builds/{build_id}", "record.html", runs.gather_build)
    add("/builds/{build_id}/part", "_record.html", runs.gather_build)
    add("/findings", "findings.html", state.gather_findings)
    add("/prices", "prices.html", prices.gather_klines)
    add("/prices/search", "_found.html", search.gather_found)
    add("/prices/bars", "_bars.html", prices.gather_bars)
    add("/prices/futures", "prices_futures.html", contracts.gather_futures)
    add("/prices/futures/days", "_main_days.html", contracts.gather_days)
    add("/prices/options", "prices_options.html", options.gather_options)
    add("/settings", "settings.html", configuration.gather_settings)
    return router
