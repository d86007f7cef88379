"""The plan of a load, and the work that is left."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from loaders import sources
from loaders.engine.jobs import JOBS
from loaders.engine.request import LoadRequest
from orchestration.console.api.answers import Answer, ErrorAnswer
from orchestration.console.api.ingestion import Word
from orchestration.console.context import Console
from orchestration.console.errors import describe, scrub
from quotemill.errors import UsageError
from quotemill.warehouse.schemas import has_relation


class PlanAnswer(Answer):
    """The plan of a load: lines for people, `detail` for scripts.

    left: remaining work, with the command for it
    refusal: the error that this load would end with
    """

    source: str
    lines: list[str]
    left: list[str]
    detail: dict[str, Any]
    refusal: ErrorAnswer | None


def routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["loads"])

    @router.get("/ingestion/plan")
    def read_plan(source: Annotated[Word, Query()]) -> PlanAnswer:
        """Show the plan of a load: `loaders run ib --dry-run`, `loaders run tq`."""
        return describe_plan(console, source)

    return router


def describe_plan(console: Console, name: str) -> PlanAnswer:
    """The plan of a source's load of what is due. Raises UsageError where it has none.

    May ask the source: raises what that raises.
    """
    source = sources.find(name)
    if source.insight.preview is None:
        raise UsageError(
            f"loads of {name} have no plan", hint="Load it with POST /api/ingestion/start."
        )
    settings, warehouse = console.settings(), console.find_warehouse()
    # before the first load there are no tables that say what is left
    is_loaded = console.read_any(lambda conn: has_relation(conn, JOBS))
    plan = source.insight.preview(settings, warehouse, LoadRequest(name), console.at)
    return PlanAnswer(
        source=name,
        lines=[scrub(line) for line in plan.lines],
        left=[scrub(line) for line in source.insight.due(settings, warehouse)]
        if warehouse and is_loaded
        else [],
        detail=scrub(plan.detail),
        refusal=ErrorAnswer(**describe(plan.error)) if plan.error else None,
    )
