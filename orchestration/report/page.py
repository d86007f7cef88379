"""The page: one HTML file with its style and its script of charts, nothing external."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from loaders import sources, trading_time
from loaders.engine.progress import format_duration
from loaders.files import whole_file
from loaders.settings import Settings
from orchestration.checks.status import group_by_fix
from orchestration.report import drawing
from orchestration.report.drawing import Point
from orchestration.report.gather import Report
from orchestration.report.runs import measure_seconds
from orchestration.report.space import SIZE, STAGE, format_bytes, format_growth
from orchestration.schedule.ledger import OVERDUE

SHOWN_RUNS = 25  # in tables; pictures show all of the window
COMMAND = r"(?:quotemill|loaders)(?: [-\w=.,:]+)+"
_FIX = re.compile(rf"(^|: |, then )({COMMAND})$")
_NOT_BROKEN = r'<span class="d">\g<0></span>'
LARGEST = 3  # tables in the picture of sizes, beside the sum of all
Chart = tuple[str, str, str, Mapping[str, Any]]  # key, title, unit, lines
# series of a picture: the stage of a run, the source (None: the sum of all), and its figure
STAGES = {stage: (stage, None, "seconds") for stage in ("load", "build", "qa", "report")}
FINDINGS = {name: ("qa", None, f"{name}_findings") for name in ("error", "warning", "new")}
TROUBLE = {
    name: ("load", None, name) for name in ("retries", "fallbacks", "refused", "failed_keys")
}


def default_path(settings: Settings) -> Path:
    """The default path of the page."""
    return settings.home / "report.html"


def write(report: Report, path: Path) -> Path:
    """Write the page, whole or not at all; return its path.

    Raises SettingsError if the page cannot be written.
    """
    text = render(report)
    with whole_file.explain_unwritable(path, hint="Choose another file with --out."):
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(path, text, mode=0o644)
    return path


def render(report: Report) -> str:
    """The whole page as text."""
    environment = make_environment()
    return environment.get_template("page.html").render(
        t=str,  # the console translates
        zone=find_zone(report.runs.loads),
        style=read_file("page.css"),
        script=read_script(),
        policy=write_policy(),
        report=report,
        status=report.status,
        problems=group_by_fix(report.status.problems),
        buttons=(),
        charts=list(_run_charts(report)),
        sizes=list(_size_charts(report)),
        heat_map=drawing.heat_map,
        share=drawing.share,
        words=drawing.WORDS,
        most=SHOWN_RUNS,
        overdue=OVERDUE,
        version=metadata.version("quotemill"),
    )


@cache
def read_file(name: str) -> Markup:
    """A file beside the page, as it stands."""
    return Markup((files("orchestration.report") / name).read_text("utf-8"))


def read_script() -> Markup:
    """The library of charts, and what draws by it."""
    return read_file("charts/lightweight-charts.js") + read_file("charts/charts.js")


@cache
def write_policy() -> str:
    """A policy for the page: the style and the script that are in it, and nothing else."""
    digests = (hashlib.sha256(text.encode()) for text in (read_file("page.css"), read_script()))
    style, script = (base64.b64encode(digest.digest()).decode() for digest in digests)
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def make_environment(*others: jinja2.BaseLoader) -> jinja2.Environment:
    """The report's templates and `others`, which may include them, with the filters of both."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([*others, jinja2.PackageLoader("orchestration.report", ".")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"bytes": format_bytes, "growth": format_growth}
    environment.filters |= {"seconds": format_seconds, "time": write_time}
    environment.filters |= {
        "whole": keep_whole,
        "typed": keep_options,
        "status_class": name_status_class,
        "count": lambda number: f"{number:,f}" if isinstance(number, Decimal) else f"{number:,}",
        "took": lambda run: format_seconds(measure_seconds(run)),
    }
    environment.globals["link"] = lambda _, name: name  # the console has pages of each
    environment.globals["zone_of"] = find_zone
    return environment


def _run_charts(report: Report) -> Iterator[Chart]:
    """The charts about runs at two times or more."""
    runs = report.runs
    loads = [(job["source"], f"load {job['job_id']} of {job['source']}", job) for job in runs.loads]
    builds = [("build", f"build {build['build_id']}", build) for build in runs.builds]
    stages = _figures(report, STAGES, "{:,.1f} s")
    findings, trouble = _figures(report, FINDINGS), _figures(report, TROUBLE)
    for key, title, unit, series in (
        ("load-seconds", "Load duration", "seconds", _points(loads, "seconds", "{:,.1f} s")),
        ("load-rows", "Rows written by loads", "rows", _points(loads, "rows", "{:,} rows")),
        ("build-seconds", "Build duration", "seconds", _points(builds, "seconds", "{:,.1f} s")),
        ("stage-seconds", "Duration of run stages", "seconds", stages),
        ("findings-chart", "Findings after each run", "findings", findings),
        ("trouble-chart", "Retries, fallbacks and failures", "requests", trouble),
    ):
        if lines := drawing.arrange_lines(dict(sorted(series.items()))):
            yield key, title, unit, lines


def _size_charts(report: Report) -> Iterator[Chart]:
    """The chart of the size of all tables and of the largest, up to now."""
    if report.space is None:
        return
    now = report.space.sizes()
    tables = {"all tables": "", **{name: name for name in list(now)[1 : 1 + LARGEST]}}
    past = _figures(report, {name: (STAGE, table, SIZE) for name, table in tables.items()})
    series = {
        name: [
            *(replace(p, value=p.value / 2**20) for p in past.get(name, ())),
            Point(report.as_of, now[table] / 2**20, f"now: {format_bytes(now[table])}"),
        ]
        for name, table in tables.items()
    }
    if lines := drawing.arrange_lines(series):
        yield "space-chart", "Table sizes", "MiB", lines


def _points(
    rows: Iterable[tuple[str, str, Mapping[str, Any]]], value: str, pattern: str
) -> dict[str, list[Point]]:
    """The points of rows that have a value, by series; a row comes with its series and name."""
    series: dict[str, list[Point]] = {}
    for label, name, row in rows:
        if row[value] is not None:
            started = format_time(row["started_at"], row.get("source"))
            text = f"{name}, {started}: {pattern.format(row[value])}"
            point = Point(row["started_at"], float(row[value]), text)
            series.setdefault(label, []).append(point)
    return series


def _figures(
    report: Report, wanted: Mapping[str, tuple[str, str | None, str]], pattern: str = "{:,.0f}"
) -> dict[str, list[Point]]:
    """Figures of runs by series, each of a stage, source and figure.

    Without a source, a point is the sum over all sources.
    """
    rows = []
    for label, (stage, source, name) in wanted.items():
        for run in report.runs.runs:
            values = [
                value
                for (measured_stage, measured_source, figure), value in run["figures"].items()
                if (measured_stage, figure) == (stage, name) and source in (None, measured_source)
            ]
            total = {**run, "value": sum(values) if values else None}
            rows.append((label, f"run {run['run_id']}", total))
    return _points(rows, "value", pattern)


def format_seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return format_duration(seconds)


@jinja2.pass_context
def keep_whole(context: Mapping[str, Any], text: str) -> Markup:
    """A message in the words of the page: commands marked, dates and options not broken."""
    said = _FIX.sub(r"\1`\2`", context["t"](text))
    marked = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(said)))
    return keep_options(Markup(marked))


def keep_options(text: str) -> Markup:
    """A command as it was typed, in any language; dates and options are not broken."""
    unbroken = r"\d{4}-\d\d-\d\d|(?<![^\s>])--[a-z][a-z-]*"
    return Markup(re.sub(unbroken, _NOT_BROKEN, str(escape(text))))


def name_status_class(status: str) -> str:
    """The class of style for the status of a load, or of a run that has loads."""
    if status == "succeeded":
        return "good"
    return "warn" if status in ("running", "partial", "cancelled") else "bad"


def find_zone(rows: Iterable[Any]) -> str:
    """The time zone of a list of rows that have sources; empty where they have several."""
    return sources.find_common_zone(
        row["source"] if isinstance(row, Mapping) else row.source for row in rows
    )


def format_time(at: datetime | None, source: str | None = None, zone: str = "") -> str:
    """A time in the `zone` of a list, in that of its source, or in that of this machine."""
    return trading_time.format_time(at, zone or sources.find_zone(source))


@jinja2.pass_context
def write_time(
    context: Mapping[str, Any], at: datetime | None, source: str | None = None, zone: str = ""
) -> str:
    """As `format_time`, in the language of the reader; a table sorts by the time itself.

    What is of no source, or in a list of several zones, is in the `zone` of the page.
    """
    own = zone or sources.find_zone(source) or context["zone"]
    said: str = context["t"](format_time(at, zone=own))
    if at is None:
        return said
    return Markup('<time datetime="{}">{}</time>').format(at.astimezone(UTC).isoformat(), said)
