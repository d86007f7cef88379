"""Heat maps as SVG, and the points of charts over time.

Colours are classes, so that the page decides them for light, dark and paper. Every picture has a
table of the same figures beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from orchestration.report.grid import Grid, Line

WIDTH = 1000  # of a picture
_LETTER, _DAY = 6.4, 90  # width of a letter, and of a label of the columns with its distance
# lowest share of each class; two more classes follow: less, and nothing
LEVELS = (1.0, 0.99, 0.9, 0.5)
WORDS = ("all", "99 %", "90 %", "50 %", "less", "none")
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
        f"{grid.wanted:,} {grid.unit} are present</title>",
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
    """A value at a time, and the text that a pointer over it shows."""

    at: datetime
    value: float
    text: str


def arrange_lines(series: Mapping[str, Sequence[Point]]) -> Mapping[str, Any] | None:
    """Points by the second, as the script of charts draws them.

    None before there are two times: the tables have the figures.
    """
    lines = {
        name: sorted({int(p.at.timestamp()): [p.value, p.text] for p in points}.items())
        for name, points in series.items()
    }
    if len({at for line in lines.values() for at, _ in line}) < 2:
        return None
    shown = {name: [[at, *point] for at, point in line] for name, line in lines.items()}
    return {"times": True, "joined": False, "series": shown}
