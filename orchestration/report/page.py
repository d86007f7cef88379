"""The page: one HTML file with style and pictures, no script, nothing external."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from loaders.errors import SettingsError
from loaders.settings import Settings
from orchestration.report import drawing
from orchestration.report.drawing import Point
from orchestration.report.gather import Report
from orchestration.report.space import SIZE, STAGE

SHOWN_RUNS = 25  # in tables; pictures show all of the window
LARGEST = 3  # tables in the picture of sizes, beside the sum of all
STAGES = ("load", "build", "qa", "report")
# series of a picture: the stage of a run, the source (None: the sum of all), and its figure
FINDINGS = {name: ("qa", None, f"{name}_findings") for name in ("error", "warning", "new")}
TROUBLE = {
    name: ("load", None, name) for name in ("retries", "fallbacks", "refused", "failed_keys")
}


def place(settings: Settings) -> Path:
    """The default path of the page."""
    return settings.home / "report.html"


def write(report: Report, path: Path) -> Path:
    """Write the page, whole or not at all; return its path.

    Raises SettingsError if the page cannot be written.
    """
    text = render(report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text, "utf-8")
        part.replace(path)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror}", hint="--out names another place"
        ) from None
    return path


def render(report: Report) -> str:
    """The whole page as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orchestration.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"bytes": told_bytes, "seconds": told_seconds, "moment": told_moment}
    return environment.get_template("page.html").render(
        report=report,
        courses=list(_courses(report)),
        sizes=list(_sizes(report)),
        grown=_grown(report),
        heat_map=drawing.heat_map,
        share=drawing.share,
        words=drawing.WORDS,
        most=SHOWN_RUNS,
        version=metadata.version("quotemill"),
    )


def _courses(report: Report) -> Iterator[tuple[str, str, Markup, list[str]]]:
    """Key, title, picture and names of the series of each picture that has a point."""
    runs = report.runs
    for key, title, unit, series in (
        (
            *("load-seconds", "What loads took", "seconds"),
            _by_source(runs.loads, "seconds", "{:,.1f} s"),
        ),
        (
            *("load-rows", "Rows that loads wrote", "rows"),
            _by_source(runs.loads, "rows", "{:,} rows"),
        ),
        (
            *("build-seconds", "What builds took", "seconds"),
            {"build": _points(runs.builds, "build_id", "seconds", "{:,.1f} s")},
        ),
        ("stage-seconds", "What the stages of runs took", "seconds", _stages(report)),
        ("findings-course", "Findings at the end of runs", "findings", _figures(report, FINDINGS)),
        ("trouble-course", "Tried again, and fallen back", "requests", _figures(report, TROUBLE)),
    ):
        filled = {name: points for name, points in sorted(series.items()) if points}
        if filled:
            yield key, title, drawing.course(key, title, unit, filled), list(filled)


def _sizes(report: Report) -> Iterator[tuple[str, str, Markup, list[str]]]:
    """The picture of the size of all tables and of the largest, up to now."""
    if report.space is None:
        return
    now = report.space.sizes()
    names = {"all tables": "", **{name: name for name in list(now)[1 : 1 + LARGEST]}}
    past = _figures(report, {n: (STAGE, of, SIZE) for n, of in names.items()})
    series = {
        name: [
            *(replace(p, value=p.value / 2**20) for p in past[name]),
            Point(report.as_of, now[of] / 2**20, f"now: {told_bytes(now[of])}"),
        ]
        for name, of in names.items()
    }
    title = "What tables take"
    yield "space-course", title, drawing.course("space-course", title, "MiB", series), list(series)


def _grown(report: Report) -> dict[str, str]:
    """Growth by table since the first run of the window that measured it."""
    first: dict[str, float] = {}
    for run in report.runs.runs:  # newest first, so that the oldest value stays
        first |= {
            of: value
            for (stage, of, name), value in run["figures"].items()
            if (stage, name) == (STAGE, SIZE)
        }
    now = report.space.sizes() if report.space else {}
    changes = {name: now[name] - round(first[name]) for name in now if name in first}
    return {name: ("−" if c < 0 else "+") + told_bytes(abs(c)) for name, c in changes.items()}


def _points(rows: Iterable[Mapping[str, Any]], name: str, value: str, told: str) -> list[Point]:
    """A point for each row that has the value."""
    word = name.partition("_")[0]
    return [
        Point(
            row["started_at"],
            float(row[value]),
            f"{word} {row[name]}, {told_moment(row['started_at'])}: {told.format(row[value])}",
        )
        for row in rows
        if row[value] is not None
    ]


def _by_source(loads: Iterable[Mapping[str, Any]], value: str, told: str) -> dict[str, list[Point]]:
    sources: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for job in loads:
        sources[job["source"]].append({**job, "load_id": f"{job['job_id']} of {job['source']}"})
    return {name: _points(rows, "load_id", value, told) for name, rows in sources.items()}


def _stages(report: Report) -> dict[str, list[Point]]:
    return _figures(report, {stage: (stage, None, "seconds") for stage in STAGES}, "{:,.1f} s")


def _figures(
    report: Report, wanted: Mapping[str, tuple[str, str | None, str]], told: str = "{:,.0f}"
) -> dict[str, list[Point]]:
    """Figures of runs by series, each of a stage, source and figure.

    Without a source, a point is the sum over all sources.
    """
    found: dict[str, list[Point]] = {}
    for series, (stage, source, name) in wanted.items():
        rows = []
        for run in report.runs.runs:
            of_run = [
                value
                for (measure_stage, of, figure), value in run["figures"].items()
                if (measure_stage, figure) == (stage, name) and source in (None, of)
            ]
            rows.append({**run, "value": sum(of_run) if of_run else None})
        found[series] = _points(rows, "run_id", "value", told)
    return found


def told_bytes(count: int | None) -> str:
    """A size in the largest unit in which it is at least 1, such as 3.4 GiB."""
    left = float(count or 0)
    for unit in ("B", "kiB", "MiB", "GiB"):
        if left < 1024:
            return f"{left:,.0f} {unit}" if unit == "B" else f"{left:,.1f} {unit}"
        left /= 1024
    return f"{left:,.1f} TiB"


def told_seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def told_moment(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
