"""Whether the console and its warehouse answer."""

from importlib.metadata import version

from fastapi import APIRouter, Response

from orchestration.console.api.answers import Answer
from orchestration.console.context import Console
from orchestration.console.errors import describe
from quotemill.errors import QuotemillError


class Health(Answer):
    """`status`: ok, no warehouse (before the first load) or away."""

    status: str
    version: str
    home: str
    warehouse: str | None
    error: str | None = None
    hint: str = ""


def routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health", responses={503: {"model": Health}})
    def read_health(response: Response) -> Health:
        """Check that the console and its warehouse respond. See also `quotemill status`."""
        home = str(console.settings().home)
        shown = Health(status="ok", version=version("quotemill"), home=home, warehouse=None)
        try:
            warehouse = console.find_warehouse()
            if warehouse is None:
                shown.status = "no warehouse"
                return shown
            shown.warehouse = warehouse.label
            warehouse.ask(lambda conn: conn.execute("select 1"), patient=False)
        except QuotemillError as error:
            known = describe(error)
            shown.status, shown.error, shown.hint = "away", known["error"], known["hint"]
            response.status_code = 503
        return shown

    return router
