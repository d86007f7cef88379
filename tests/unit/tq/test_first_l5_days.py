"""Where five levels of the order book begin."""

from datetime import UTC, date, datetime
from itertools import starmap

from loaders.ticks.store import IndexRow
from loaders.tq.tick_days.verify import first_l5_days

AT = datetime(2025, 10, 20, tzinfo=UTC)


def row(variety: str, day: int, levels: int) -> IndexRow:
    of_day = (f"KQ.m@{variety}", f"{variety}2601", date(2025, 10, day), 1, "one", 9, AT, AT)
    return IndexRow(*of_day, 1, 2, "hash", levels, "run", AT)


def test_the_first_day_with_five_levels_is_told_and_that_there_is_none() -> None:
    days = [("DCE.m", 14, 1), ("DCE.m", 15, 1), ("SHFE.cu", 14, 1), ("SHFE.cu", 15, 5)]
    days += [("SHFE.cu", 16, 5), ("SHFE.cu", 17, 1)]
    assert first_l5_days(list(starmap(row, days))) == {
        "DCE.m": None,
        "SHFE.cu": date(2025, 10, 15),
    }
