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


def test_a_chart_has_a_mark_for_each_point_and_needs_two_times() -> None:
    noon = datetime(2024, 5, 6, 12, tzinfo=UTC)
    points = [Point(noon + timedelta(days=n), float(n), f"day {n}") for n in range(5)]
    svg = drawing.chart("took", "What it took", "seconds", {"tdx": points[:3], "ib": points[3:]})
    titles = [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("title")]
    assert titles[1:] == [f"day {n}" for n in range(5)]
    assert len(re.findall("<circle", svg)) == 3
    for too_few in ([], points[:1]):  # one time is no course
        assert drawing.chart("took", "What it took", "seconds", {"tdx": too_few}) == ""


@pytest.mark.parametrize(
    ("hours", "labels"),
    [
        (10, [f"05-06 {hour}:00" for hour in (12, 14, 16, 18, 20, 22)]),
        (240, ["2024-05-06", "2024-05-08", "2024-05-10", "2024-05-12", "2024-05-14", "2024-05-16"]),
    ],
)
def test_a_chart_says_its_unit_and_each_time_once(hours: int, labels: list[str]) -> None:
    noon = datetime(2024, 5, 6, 12, tzinfo=UTC)
    points = [Point(noon, 0.0, ""), Point(noon + timedelta(hours=hours), 1_098_000.0, "")]
    svg = drawing.chart("rows", "Rows that loads wrote", "rows", {"tdx": points})
    texts = [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("text")]
    assert texts == ["0", "549 k", "1.1 M", "rows", *labels]


def test_joined_points_are_a_line_over_an_axis_of_their_values() -> None:
    points = [Point(strike, iv, f"{strike:g}") for strike, iv in ((90.0, 0.3), (110.0, 0.2))]
    svg = drawing.chart("smile", "A", "volatility", {"call": points, "put": []}, joined=True)
    assert re.findall('class="line" d="([^"]+)"', svg) == ["M70.0 26.0L984.0 182.0"]
    texts = [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("text")]
    assert texts == ["0.2", "0.25", "0.3", "volatility", "90", "94", "98", "102", "106", "110"]


@pytest.mark.parametrize("count", [1, 7, 120, 121, 2500])
def test_there_are_at_most_so_many_columns_and_the_first_starts_first(count: int) -> None:
    starts = split_columns(list(range(count)))
    assert len(starts) == min(count, MOST_COLUMNS)
    assert starts[0] == 0
    assert starts == sorted(set(starts))


def test_dates_and_options_of_a_text_are_not_broken_and_the_text_is_escaped() -> None:
    text = keep_whole("<b> ends 2026-11-20: `x --new`, sh-1")
    assert text == (
        '&lt;b&gt; ends <span class="d">2026-11-20</span>: `x <span class="d">--new</span>`, sh-1'
    )
