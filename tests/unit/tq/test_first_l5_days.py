"""The first day with five levels of the order book."""

from datetime import date

from loaders.ticks.store import IndexRow
from loaders.tq.tick_days.verify import find_first_l5_days
from tests.unit.tq.loads import index_row, scheduled


def row(variety: str, day: int, levels: int) -> IndexRow:
    return index_row(scheduled(date(2025, 10, day)), symbol=f"KQ.m@{variety}", book_levels=levels)


def test_the_first_day_with_five_levels_is_named_for_each_variety() -> None:
    rows = [row("DCE.m", 14, 1), row("DCE.m", 15, 1), row("SHFE.cu", 14, 1)]
    rows += [row("SHFE.cu", 15, 5), row("SHFE.cu", 16, 5), row("SHFE.cu", 17, 1)]
    assert find_first_l5_days(rows) == {"DCE.m": None, "SHFE.cu": date(2025, 10, 15)}
