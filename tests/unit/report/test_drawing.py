"""Pictures: classes of cells, rectangles of many cells, a size that does not grow with the data."""

import itertools
import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from orchestration.report import drawing
from orchestration.report.drawing import Point
from orchestration.report.grid import MOST_COLUMNS, MOST_LINES, Grid, Line, split_columns
from orchestration.report.page import keep_whole


def grid(*lines: tuple[str, list[tuple[int, int]]]) -> Grid:
    made = tuple(
        Line(name, sum(w for w, _ in cells), sum(t for _, t in cells), tuple(cells))
        for name, cells in lines
    )
    columns = tuple(f"2024-01-{n + 1:02}" for n in range(len(made[0].cells)))
    return Grid(
        "bars", "Bars: codes by days", "bars", "", "", len(made), columns, columns[-1], made, ()
    )


@pytest.mark.parametrize(
    ("wanted", "there", "kind"),
    [(0, 0, None), (9, 9, 0), (100, 99, 1), (10, 9, 2), (2, 1, 3), (9, 1, 4), (9, 0, 5)],
)
def test_a_cell_is_of_the_class_of_its_share(wanted: int, there: int, kind: int | None) -> None:
    assert drawing.level(wanted, there) == kind


@pytest.mark.parametrize(
    ("wanted", "there", "text"),
    [
        (0, 0, "–"),
        (3, 3, "100.0 %"),
        (8, 2, "25.0 %"),
        (100_000, 99_999, "99.9 %"),
        (10_000, 1, "0.1 %"),
        (7, 0, "0.0 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(wanted: int, there: int, text: str) -> None:
    assert drawing.share(wanted, there) == text


def test_cells_of_a_class_that_lie_side_by_side_are_one_rectangle() -> None:
    svg = drawing.heat_map(grid(("sh600000", [(1, 1), (1, 1), (1, 0), (0, 0), (1, 1)])))
    paths = re.findall(r'<path class="c(\d)" d="([^"]+)"', svg)
    assert [(kind, path.count("M")) for kind, path in paths] == [("0", 2), ("5", 1)]
    [long] = set(re.findall(r"h(\d+\.\d)v", paths[1][1]))
    [double] = set(re.findall(r"h(\d+\.\d)v", paths[0][1])) - {long}
    assert float(double) == pytest.approx(2 * float(long), abs=0.2)


@pytest.mark.parametrize("count", [1, 2, 5, 7, 120])
def test_the_newest_column_of_a_heat_map_is_named_at_its_end(count: int) -> None:
    svg = drawing.heat_map(grid(("sh600000", [(1, 1)] * count)))
    labels = re.findall(r'<text x="([\d.]+)"[^>]*>(2024-01-[^<]*)<', svg)
    assert labels[-1][1] == f"2024-01-{count:02}"
    starts = [float(x) for x, _ in labels[:-1]] + [float(labels[-1][0]) - 80]
    assert all(b - a >= 80 for a, b in itertools.pairwise(starts))


def test_a_heat_map_of_any_market_stays_small() -> None:
    cells = [(9, n % 10) for n in range(MOST_COLUMNS)]
    names = [f"sh{n} … sh{n + 1}" for n in range(600_000, 600_000 + MOST_LINES)]
    assert len(drawing.heat_map(grid(*((name, cells) for name in names)))) < 400_000


def test_names_from_outside_are_text_in_a_picture() -> None:
    svg = drawing.heat_map(grid(("<b>&", [(1, 1)])))
    ElementTree.fromstring(svg)
    assert "<b>" not in svg


def test_a_chart_has_each_second_of_a_series_once_and_needs_two_times() -> None:
    noon = datetime(2024, 5, 6, 12, tzinfo=UTC)
    points = [Point(noon + timedelta(days=n), float(n), f"day {n}") for n in range(5)]
    lines = drawing.arrange_lines({"tdx": [*points[2::-1], points[1]], "ib": points[3:]})
    assert lines is not None
    at = int(noon.timestamp())
    rows = [[at + n * 86400, float(n), f"day {n}"] for n in range(5)]
    assert lines["series"] == {"tdx": rows[:3], "ib": rows[3:]}
    for too_few in ([], points[:1]):  # one time is no course
        assert drawing.arrange_lines({"tdx": too_few}) is None


@pytest.mark.parametrize("count", [1, 7, 120, 121, 2500])
def test_there_are_at_most_so_many_columns_and_the_first_starts_first(count: int) -> None:
    starts = split_columns(list(range(count)))
    assert len(starts) == min(count, MOST_COLUMNS)
    assert starts[0] == 0
    assert starts == sorted(set(starts))


def test_dates_and_options_of_a_text_are_not_broken_and_the_text_is_escaped() -> None:
    text = keep_whole({"t": str}, "<b> ends 2026-11-20: `x --new`, sh-1")
    assert text == (
        '&lt;b&gt; ends <span class="d">2026-11-20</span>: <code>x <span class="d">--new</span>'
        "</code>, sh-1"
    )
