"""Pictures as SVG: heat maps and charts over time.

Colours are classes, so that the page decides them for light, dark and paper. Every picture has a
table of the same figures beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from orchestration.report.grid import Grid, Line

WIDTH = 1000  # of a picture
_LETTER, _DAY = 6.4, 90  # width of a letter, and of a label of the columns with its distance
# lowest share of each class; two more classes follow: less, and nothing
LEVELS = (1.0, 0.99, 0.9, 0.5)
WORDS = ("all", "99 %", "90 %", "50 %", "less", "nothing")
_TICKS = 6  # labels of the columns


def level(wanted: int, there: int) -> int | None:
    """Class of a cell: 0 (all is there) to 5 (nothing); None if nothing is wanted."""
    if not wanted:
        return None
    share = there / wanted
    for number, least in enumerate(LEVELS):
        if share >= least:
            return number
    return len(LEVELS) if there else len(LEVELS) + 1


def share(wanted: int, there: int) -> str:
    """A share in per cent, never rounded up to all or down to nothing."""
    if not wanted:
        return "–"
    per_cent = 100 * there / wanted
    if there < wanted and per_cent > 99.9:
        return "99.9 %"
    return f"{per_cent:.1f} %" if per_cent >= 0.1 or not there else "0.1 %"


def heat_map(grid: Grid) -> Markup:
    """Draw lines of cells; neighbours of the same class are one rectangle."""
    height = max(6, min(18, 480 // max(len(grid.lines), 1)))
    names = [n.name if len(n.name) <= 28 else f"{n.name[:27]}…" for n in grid.lines]
    # names stand at the right, beside the newest days, with which a narrow screen starts
    edge = WIDTH - 12 - _LETTER * max(map(len, names), default=0)
    width = edge / len(grid.columns)
    total = height * len(grid.lines)
    every = -(-11 // height)  # lines from one name to the next, so that names do not touch
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {total + 22}" role="img" aria-labelledby="{grid.key}-title">',
        f'<title id="{grid.key}-title">{escape(grid.title)}: {share(grid.wanted, grid.there)} of '
        f"{grid.wanted:,} {grid.unit} are there</title>",
    ]
    for number, line in enumerate(grid.lines):
        top = number * height
        missing = f"{line.wanted - line.there:,} missing"
        text = f"{line.name}: {share(line.wanted, line.there)}, {missing}"
        parts.append(f"<g><title>{escape(text)}</title>")
        if number % every == 0:
            y = top + height / 2 + 3.5
            parts.append(f'<text x="{edge + 6:g}" y="{y:g}">{escape(names[number])}</text>')
        for kind, path in _paths(line, top, height - 1, width):
            parts.append(f'<path class="c{kind}" d="{path}"/>')
        parts.append("</g>")
    step = max(1, -(-len(grid.columns) // _TICKS))
    for column in range(0, len(grid.columns) - 1, step):
        if edge - column * width >= 2 * _DAY:  # the newest has a label in any case
            label = escape(grid.columns[column])
            parts.append(f'<text x="{column * width:.1f}" y="{total + 15}">{label}</text>')
    parts.append(
        f'<text x="{edge:g}" y="{total + 15}" text-anchor="end">{escape(grid.newest)}</text>'
    )
    return Markup("".join([*parts, "</svg>"]))


def _paths(line: Line, top: int, height: int, width: float) -> Iterator[tuple[int, str]]:
    """One path for each class of a line, with its class."""
    runs: dict[int, list[str]] = {}
    kinds = [level(*cell) for cell in line.cells]
    column = 0
    while column < len(kinds):
        end = column + 1
        while end < len(kinds) and kinds[end] == kinds[column]:
            end += 1
        kind = kinds[column]
        if kind is not None:
            left, long = column * width, (end - column) * width
            rectangle = f"M{left:.1f} {top}h{long:.1f}v{height}h-{long:.1f}z"
            runs.setdefault(kind, []).append(rectangle)
        column = end
    yield from ((kind, "".join(parts)) for kind, parts in sorted(runs.items()))


@dataclass(frozen=True)
class Point:
    """A value at a time, or at another figure, and the text that a pointer over it shows."""

    at: Any  # a datetime, or a float; the same kind in all of a chart
    value: float
    text: str


def chart(
    key: str,
    title: str,
    unit: str,
    series: Mapping[str, Sequence[Point]],
    *,
    joined: bool = False,
) -> Markup:
    """Draw values over time, a mark each; series differ by colour and by shape.

    Nothing before there are two times: the tables have the figures. Points that are `joined` by a
    line have an axis of their own values, which needs no zero.
    """
    points = [point for line in series.values() for point in line]
    if len({point.at for point in points}) < 2:
        return Markup("")
    first, last = min(p.at for p in points), max(p.at for p in points)
    least, most = min(p.value for p in points), max(p.value for p in points)
    if not joined:
        least, most = min(0.0, least), max(0.0, most)
    if least == most:
        most += 1.0
    left, right, top, bottom = 70, WIDTH - 16, 26, 182
    parts = [
        f'<svg viewBox="0 0 {WIDTH} 210" role="img" aria-labelledby="{key}-title">',
        f'<title id="{key}-title">{escape(title)}, in {escape(unit)}, at most {most:,.1f}</title>',
    ]
    for part in (0.0, 0.5, 1.0):
        y = bottom - part * (bottom - top)
        parts.append(f'<path class="rule" d="M{left} {y:.1f}H{right}"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{_short_number(least + part * (most - least))}</text>"
        )
    parts.append(f'<text x="{left - 6}" y="13" text-anchor="end">{escape(unit)}</text>')
    for share_of_span, label in _labels(first, last):
        x = left + (right - left) * share_of_span
        anchor = "start" if share_of_span == 0 else "end" if share_of_span == 1 else "middle"
        parts.append(f'<text x="{x:.1f}" y="204" text-anchor="{anchor}">{label}</text>')
    for number, line in enumerate(series.values()):
        parts.append(f'<g class="s{number % 4}">')
        places = [
            (
                left + (right - left) * ((point.at - first) / (last - first)),
                bottom - (bottom - top) * (point.value - least) / (most - least),
            )
            for point in line
        ]
        if joined:
            steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            parts.append(f'<path class="line" d="M{steps}"/>' if steps else "")
        for point, (x, y) in zip(line, places, strict=True):
            parts.append(f"<g><title>{escape(point.text)}</title>{_mark(number, x, y)}</g>")
        parts.append("</g>")
    return Markup("".join([*parts, "</svg>"]))


def _short_number(value: float) -> str:
    """A value of an axis: 1.1 M, 250 k, 12, 0.5."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _labels(first: Any, last: Any) -> Iterator[tuple[float, str]]:
    """Places on the axis, 0 to 1, with labels that differ: figures, days, minutes of two days."""
    pattern = "{:.4g}"
    if isinstance(first, datetime):
        pattern = "{:%Y-%m-%d}" if last - first > timedelta(days=2) else "{:%m-%d %H:%M}"
    before = ""
    for number in range(_TICKS):
        place = number / (_TICKS - 1)
        label = pattern.format(first + (last - first) * place)
        if label != before:
            yield place, label
        before = label


def _mark(number: int, x: float, y: float) -> str:
    if number % 4 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    shapes = {
        1: f"M{x - 3.5:.1f} {y - 3.5:.1f}h7v7h-7z",
        2: f"M{x:.1f} {y - 4.5:.1f}l4.5 8h-9z",
        3: f"M{x:.1f} {y - 4.5:.1f}l4.5 4.5l-4.5 4.5l-4.5 -4.5z",
    }
    return f'<path d="{shapes[number % 4]}"/>'
