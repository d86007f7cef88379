"""The page: one file of HTML with its style and pictures inside, no script, nothing from elsewhere."""

from collections import defaultdict
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2

from orchestration.report import drawing
from orchestration.report.drawing import Point
from orchestration.report.gather import Report

SHOWN_RUNS = 25  # in tables; pictures have all of the window


def write(report: Report, path: Path) -> None:
    """Write the page, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(render(report), "utf-8")
    part.replace(path)


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
        heat_map=drawing.heat_map,
        share=drawing.share,
        words=drawing.WORDS,
        most=SHOWN_RUNS,
        version=metadata.version("quotemill"),
    )


def _courses(report: Report) -> list[tuple[str, str, Any, list[str]]]:
    """Key, title, picture and the names of the series of each picture of runs."""
    loads: dict[str, list[Point]] = defaultdict(list)
    rows: dict[str, list[Point]] = defaultdict(list)
    for job in report.runs.loads:
        told = f"load {job['job_id']} of {job['source']}, {told_moment(job['started_at'])}"
        if job["seconds"] is not None:
            point = Point(job["started_at"], job["seconds"], f"{told}: {job['seconds']:,.1f} s")
            loads[job["source"]].append(point)
        rows[job["source"]].append(
            Point(job["started_at"], job["rows"], f"{told}: {job['rows']:,} rows")
        )
    builds = [
        Point(
            build["started_at"],
            build["seconds"],
            f"build {build['build_id']}, {told_moment(build['started_at'])}: "
            f"{build['seconds']:,.1f} s",
        )
        for build in report.runs.builds
        if build["seconds"] is not None
    ]
    found = [
        ("load-seconds", "What loads took", "seconds", dict(sorted(loads.items()))),
        ("build-seconds", "What builds took", "seconds", {"build": builds}),
        ("load-rows", "Rows that loads wrote", "rows", dict(sorted(rows.items()))),
    ]
    return [
        (key, title, picture, list(series))
        for key, title, unit, series in found
        if (picture := drawing.course(key, title, unit, series))
    ]


def told_bytes(count: int | None) -> str:
    """In the unit that leaves a figure or two before the point: 3.4 GiB."""
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
