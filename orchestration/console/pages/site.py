"""The parts that every page shares: templates, the language, its token, files beside it."""

import contextlib
import hashlib
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib import metadata
from importlib.resources import files
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from loaders import sources
from orchestration.console import security
from orchestration.console.context import Console
from orchestration.console.errors import NotThere, describe, find_status, record_fault
from orchestration.console.pages.words import LANGUAGES, choose_words, mark
from orchestration.report.page import format_time, keep_options, keep_whole, make_environment
from quotemill.errors import QuotemillError, UsageError

# path, label
NAVIGATION: tuple[tuple[str, str], ...] = (
    ("/", mark("Overview")),
    ("/load", mark("Load")),
    ("/sources", mark("Sources")),
    ("/chains", mark("Option chains")),
    ("/futures", mark("Futures")),
    ("/schedules", mark("Schedules")),
    ("/history", mark("History")),
    ("/findings", mark("Findings")),
    ("/prices", mark("Prices")),
    ("/settings", mark("Settings")),
)
A_YEAR = timedelta(days=365)
# files by name: their package and what they are called there
STATIC = {
    "report.css": ("orchestration.report", "page.css"),
    "console.css": ("orchestration.console.static", "console.css"),
    "lightweight-charts.js": ("orchestration.report", "charts/lightweight-charts.js"),
    "charts.js": ("orchestration.report", "charts/charts.js"),
    "prices.js": ("orchestration.console.static", "prices.js"),
    "console.js": ("orchestration.console.static", "console.js"),
}


@dataclass(frozen=True)
class StaticFile:
    body: bytes
    kind: str
    digest: str


@cache
def read_static(name: str) -> StaticFile:
    """A file beside the pages. Raises NotThere: only those listed are."""
    if name not in STATIC:
        raise NotThere(f"there is no /static/{name[:100]}", hint="See / for the first page.")
    package, own = STATIC[name]
    body = (files(package) / own).read_bytes()
    kind = mimetypes.guess_type(own)[0] or "application/octet-stream"
    return StaticFile(body, kind, hashlib.sha256(body).hexdigest()[:12])


def name_static(name: str) -> str:
    """The address of a file, which changes with its content."""
    return f"/static/{name}?{read_static(name).digest}"


def write_price(price: Decimal | None) -> str:
    """A price in yuan, exact: two decimals, or as many as it needs."""
    if price is None:
        return "–"
    return f"{price:.2f}" if price == round(price, 2) else f"{price.normalize():f}"


@jinja2.pass_context
def write_line(
    context: Mapping[str, Any], line: Mapping[str, Any], source: str | None = None
) -> str:
    """A line of a log, of a source or not, in the language of the reader as far as it goes."""
    t = context["t"]
    zone = sources.find_zone(source) or context["zone"]
    at = t(format_time(datetime.fromisoformat(line["at"]), zone=zone))
    event, dataset = str(line.get("event") or ""), str(line.get("dataset") or "")
    # an event that stands alone in other logs begins with it
    beside = "" if event.startswith(f"{dataset}: ") else dataset
    words = (beside, line.get("code"), t.try_text(event))
    return f"{at} {t(line['level']):<7} {' '.join(str(word) for word in words if word)}"


@jinja2.pass_context
def write_origin(context: Mapping[str, Any], place: str) -> Markup:
    """Where the value of a setting comes from: a file, or a variable of the environment."""
    name = place.removeprefix("environment ")
    return keep_whole(context, place.replace(name, f"`{name}`"))


def type_command(text: str) -> Markup:
    """A command as people type it: with its program, without the option of an answer as JSON."""
    program = "" if text.startswith(("quotemill ", "loaders ")) else "quotemill "
    return keep_options(f"{program}{text}".removesuffix(" --json"))


@cache
def _environment() -> jinja2.Environment:
    environment = make_environment(jinja2.PackageLoader("orchestration.console", "templates"))
    environment.filters["plain"] = lambda number: f"{number:f}"
    environment.filters |= {"price": write_price, "logged": write_line, "typed": type_command}
    environment.filters["origin"] = write_origin
    environment.globals |= {
        "link": lambda path, name: Markup('<a href="{}{}">{}</a>').format(path, name, name),
        "static": name_static,
        "titles": {name: sources.find_operations(name).title for name in sources.MODULES},
        "navigation": NAVIGATION,
        "languages": LANGUAGES,
        "version": metadata.version("quotemill"),
    }
    return environment


def add_or_explain(
    values: Mapping[str, Any],
    read: Callable[[], Mapping[str, Any]],
    expected: type[QuotemillError] = UsageError,
) -> dict[str, Any]:
    """The values of a page with those that `read` adds, or with the `error` that it raised.

    Only an `expected` error stands beside a form; any other becomes a page of its own.
    """
    try:
        return {"error": None, **values, **read()}
    except expected as error:
        return {**values, "error": describe(error)}


@dataclass(frozen=True)
class Site:
    """Renders pages of a console."""

    console: Console

    def render(
        self, request: Request, template: str, values: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        """A page, or a part of one, in the language of its reader."""
        t = choose_words(request)
        session = security.read_cookie(request, "session")
        text = (
            _environment()
            .get_template(template)
            .render(
                t=t,
                language=t.language,
                page_token=self.console.access.page_token(session) if session else "",
                path=request.url.path,
                query=request.query_params,
                as_of=self.console.at,
                **{"zone": self._find_zone(), **values},
            )
        )
        response = HTMLResponse(text, status)
        if request.query_params.get("lang") == t.language:
            security.set_cookie(response, request, "language", t.language, A_YEAR)
        return response

    def _find_zone(self) -> str:
        """The time zone of the exchanges of all sources that are configured, if that is one."""
        with contextlib.suppress(QuotemillError):  # settings that cannot be read have their page
            return sources.find_common_zone(sources.configured(self.console.settings())[0])
        return ""

    def show(
        self, request: Request, template: str, gather: Callable[[], Mapping[str, Any]]
    ) -> Response:
        """A page of what `gather` reads; an error becomes a page that says what to do.

        A part of a page, whose template begins with `_`, raises it.
        """
        if template.startswith("_"):
            return self.render(request, template, gather())
        try:
            return self.render(request, template, gather())
        except Exception as error:
            known = error if isinstance(error, QuotemillError) else record_fault(error)
            values = {"error": describe(known)}
            return self.render(request, "error.html", values, find_status(known))
