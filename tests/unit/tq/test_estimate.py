"""What a backfill takes, and the licence in words."""

from datetime import date

from loaders.settings import Settings
from loaders.ticks.tables import MAIN_TICKS
from loaders.tq.check import describe_end, describe_licence
from loaders.tq.client.answers import Licence
from loaders.tq.estimate import BYTES_PER_TICK, Measured, count_unplanned, estimate
from loaders.tq.settings import TqSettings

SETTINGS = TqSettings(concurrency=2, pace=0.2, days_per_process=5)


def test_a_backfill_is_estimated_by_earlier_loads_where_there_are_any() -> None:
    assumed = estimate(1000, SETTINGS, Measured())
    # 30,000 ticks at 9,000 a second, a fifth of a second, and a fifth of a start, by two
    assert (assumed.hours, assumed.gigabytes) == (0.57, 7.71)
    questdb = Settings(questdb_url="http://127.0.0.1:9000")
    assert "assumed" in assumed.describe(questdb)
    known = estimate(1000, SETTINGS, Measured(ticks_per_day=10_000, seconds_per_day=3.6))
    assert (known.ticks, known.hours, known.gigabytes) == (10_000_000, 1.0, 2.57)
    assert known.describe(questdb) == (
        "1,000 days of ticks are due: some 1 h 0 min to load, 2.6 GB in QuestDB (by earlier loads)"
    )
    few = estimate(10, SETTINGS, Measured(ticks_per_day=10_000, seconds_per_day=3.6))
    assert few.describe(questdb) == (
        "10 days of ticks are due: some 36 s to load, 26 MB in QuestDB (by earlier loads)"
    )
    assert few.describe(Settings()) == (
        "10 days of ticks are due: some 36 s to load (by earlier loads)"
    )


def test_without_a_due_day_nothing_is_estimated() -> None:
    assert estimate(0, SETTINGS, Measured()).describe(Settings()) == "no day of ticks is due"


def test_a_tick_takes_the_width_of_the_columns_of_questdb() -> None:
    widths = {"TIMESTAMP": 8, "LONG": 8, "DOUBLE": 8, "SYMBOL": 4, "INT": 4, "BOOLEAN": 1}
    kinds = [MAIN_TICKS.questdb_type(name) for name in MAIN_TICKS.names]
    assert sum(widths[kind] for kind in kinds) == BYTES_PER_TICK


def test_days_that_no_load_planned_yet_are_of_a_new_variety_or_an_earlier_start() -> None:
    window = [date(2025, 11, day) for day in (10, 11, 12, 13)]
    planned = {"SHFE.cu": date(2025, 11, 12), "SHFE.au": date.min}
    assert count_unplanned(["SHFE.cu", "SHFE.au"], window, planned) == 2
    assert count_unplanned(["SHFE.cu", "DCE.m"], window, planned) == 2 + 4


def test_a_licence_reads_as_free_or_professional_with_its_end() -> None:
    free = Licence(("futr", "lmt_idx"), "free", 27_066, date(2099, 12, 31))
    assert describe_licence(free) == "free licence (free) without end"
    paid = Licence(("futr", "tq_dl"), "pro", 12, date(2026, 12, 4))
    assert describe_licence(paid) == "professional licence (pro) until 2026-12-04 (12 days)"
    over = Licence(("futr",), "pro", -3, date(2026, 11, 20))
    assert describe_licence(over) == "free licence (pro) until 2026-11-20 (over)"
    assert describe_end(over).startswith("the licence ended 2026-11-20:")
    silent = Licence(("futr", "tq_dl"), None, None, None)
    assert "do not say when it ends" in describe_licence(silent)
