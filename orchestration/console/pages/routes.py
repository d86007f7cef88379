"""The addresses of pages, of parts of them, and of the files beside them."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from orchestration.console.context import Console
from orchestration.console.pages import overview
from orchestration.console.pages.site import Site, read_static
from orchestration.console.security import SIGN_IN

A_YEAR = "public, max-age=31536000, immutable"


def routes(console: Console, *, needs_token: bool) -> APIRouter:
    """All pages; they are no part of the API's description."""
    router = APIRouter(include_in_schema=False)
    site = Site(console, needs_token)

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

    return router
