"""The addresses of pages, of parts of them, and of the files beside them."""

from datetime import date
from typing import Annotated

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
from quotemill.readers import main_contracts
from quotemill.readers.klines import Adjustment, Frequency

A_YEAR = "public, max-age=31536000, immutable"
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
# an empty field of a form names no day
Day = Annotated[date | None, BeforeValidator(lambda value: value or None), Query()]
StateName = Annotated[str, Query(max_length=20, alias="state")]
ClassName = Annotated[str, Query(max_length=200, alias="class")]
BuildId = Annotated[int, Path(ge=1, lt=2**63)]
JobNumber = Annotated[int | None, Query(ge=1, lt=2**63)]
RunId = Annotated[str, Path(max_length=40, pattern=r"^[^\x00]*$")]


def routes(console: Console, watch: JobWatch, site: Site) -> APIRouter:
    """All pages; they are no part of the API's description."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    def read_file(name: str) -> Response:
        file = read_static(name)
        return Response(file.body, media_type=file.kind, headers={"cache-control": A_YEAR})

    @router.get(SIGN_IN)
    def show_sign_in(request: Request) -> Response:
        return site.render(request, "sign_in.html", {})

    @router.get("/")
    def show_overview(request: Request) -> Response:
        return site.show(request, "overview.html", lambda: overview.gather(console))

    @router.get("/glance")
    def show_glance(request: Request) -> Response:
        return site.render(request, "_glance.html", glance.gather(console))

    @router.get("/new")
    def show_new(request: Request) -> Response:
        return site.render(request, "_new.html", state.gather_new(console))

    @router.get("/starts")
    def show_starts(request: Request) -> Response:
        return site.render(request, "_starts.html", overview.gather_starts(console))

    @router.get("/load")
    def show_load(request: Request) -> Response:
        return site.show(request, "load.html", lambda: loading.gather_form(console))

    @router.get("/jobs/{job_id}")
    def show_job(request: Request, job_id: JobId, tasks: Text = "") -> Response:
        return site.show(
            request,
            "job.html",
            lambda: loading.gather_job(console, watch, job_id, with_all_tasks=tasks == "all"),
        )

    @router.get("/jobs/{job_id}/part")
    def show_job_part(request: Request, job_id: JobId, tasks: Text = "") -> Response:
        values = loading.gather_job(console, watch, job_id, with_all_tasks=tasks == "all")
        return site.render(request, "_job.html", values)

    @router.get("/commands/{run_id}")
    def show_command(request: Request, run_id: RunId) -> Response:
        return site.show(request, "command.html", lambda: loading.gather_command(console, run_id))

    @router.get("/commands/{run_id}/part")
    def show_command_part(request: Request, run_id: RunId) -> Response:
        return site.render(request, "_command.html", loading.gather_command(console, run_id))

    @router.get("/sources")
    def show_sources(request: Request) -> Response:
        return site.show(request, "sources.html", lambda: state.gather_sources(console))

    @router.get("/chains")
    def show_chains(request: Request) -> Response:
        return site.show(request, "chains.html", lambda: chains.gather_chains(console))

    @router.get("/chains/due")
    def show_due_chains(request: Request) -> Response:
        return site.render(request, "_chains_due.html", chains.gather_due(console))

    @router.get("/futures")
    def show_ticks(
        request: Request, variety: Text = "", until: Day = None, lacking: Text = ""
    ) -> Response:
        return site.show(
            request,
            "futures.html",
            lambda: futures.gather_futures(console, variety, until, is_lacking=bool(lacking)),
        )

    @router.get("/futures/due")
    def show_due_ticks(request: Request) -> Response:
        return site.render(request, "_plan.html", futures.gather_due(console))

    @router.get("/schedules")
    def show_schedules(request: Request) -> Response:
        return site.show(request, "schedules.html", lambda: configuration.gather_schedules(console))

    @router.get("/history")
    def show_history(request: Request, before: JobNumber = None) -> Response:
        return site.show(request, "history.html", lambda: runs.gather(console, before))

    @router.get("/runs/{run_id}")
    def show_run(request: Request, run_id: RunId) -> Response:
        return site.show(request, "record.html", lambda: runs.gather_run(console, run_id))

    @router.get("/runs/{run_id}/part")
    def show_run_part(request: Request, run_id: RunId) -> Response:
        return site.render(request, "_record.html", runs.gather_run(console, run_id))

    @router.get("/builds/{build_id}")
    def show_build(request: Request, build_id: BuildId) -> Response:
        return site.show(request, "record.html", lambda: runs.gather_build(console, build_id))

    @router.get("/builds/{build_id}/part")
    def show_build_part(request: Request, build_id: BuildId) -> Response:
        return site.render(request, "_record.html", runs.gather_build(console, build_id))

    @router.get("/findings")
    def show_findings(
        request: Request,
        severity: Text = "",
        state_: StateName = "",
        text: Text = "",
        code: Text = "",
        dataset: Text = "",
    ) -> Response:
        return site.show(
            request,
            "findings.html",
            lambda: state.gather_findings(
                console, severity, state_, text, code=code, dataset=dataset
            ),
        )

    @router.get("/prices")
    def show_prices(
        request: Request,
        code: Text = "",
        freq: Frequency = "1d",
        adjust: Adjustment = "qfq",
        end: Day = None,
        sector: Text = "",
    ) -> Response:
        return site.show(
            request,
            "prices.html",
            lambda: prices.gather_klines(console, code, freq, adjust, end, sector),
        )

    @router.get("/prices/search")
    def show_found(request: Request, text: Text) -> Response:
        return site.render(request, "_found.html", search.gather_found(console, text))

    @router.get("/prices/bars")
    def show_bars(
        request: Request, code: Text, freq: Frequency, adjust: Adjustment, start: date, end: date
    ) -> Response:
        values = prices.gather_bars(console, code, freq, adjust, start, end)
        return site.render(request, "_bars.html", values)

    @router.get("/prices/futures")
    def show_futures(
        request: Request,
        variety: Text = "",
        freq: main_contracts.Frequency = "1d",
        adjust: main_contracts.Adjustment = "none",
        end: Day = None,
    ) -> Response:
        return site.show(
            request,
            "prices_futures.html",
            lambda: contracts.gather_futures(console, variety, freq, adjust, end),
        )

    @router.get("/prices/futures/days")
    def show_days(
        request: Request,
        variety: Text,
        freq: main_contracts.Frequency,
        adjust: main_contracts.Adjustment,
        start: date,
        end: date,
    ) -> Response:
        values = contracts.gather_days(console, variety, freq, adjust, start, end)
        return site.render(request, "_main_days.html", values)

    @router.get("/prices/options")
    def show_options(
        request: Request,
        symbol: Text = "",
        day: Day = None,
        slot: Text = "",
        expiry: Day = None,
        class_: ClassName = "",
    ) -> Response:
        return site.show(
            request,
            "prices_options.html",
            lambda: options.gather_options(console, symbol, day, slot, expiry, class_),
        )

    @router.get("/settings")
    def show_settings(request: Request, section: Text = "") -> Response:
        return site.show(
            request, "settings.html", lambda: configuration.gather_settings(console, section)
        )

    return router
