"""The window's start is moved back: nothing that is there is fetched again, and nothing is lost."""

from pathlib import Path
from typing import Any

from tests.integration.tq.bench import Bench, bench, build_schedule, count_days
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import DAYS, FIRST, INDEX, NEW, OLD, ROLL, TRADED, world

LATE = TRADED[2]
BARS = "select contract, trade_date, volume from raw_tq.contract_daily order by 1, 2"


def hours(made: Bench) -> list[Any]:
    return made.rows(
        "select valid_from, session, idx, start_s, end_s from raw_tq.trading_session "
        "order by 1, 2, 3"
    )


def test_an_earlier_start_costs_its_own_days_and_stamps_the_rest(
    new_database: Any, tmp_path: Path
) -> None:
    dsn = new_database()
    assert FIRST < LATE < ROLL, "a segment that begins earlier, and one that does not"
    with bench(world(), dsn, tmp_path, start=LATE) as made:
        assert made.load().status == "succeeded"
        build_schedule(made, LATE)
        assert count_days(made.load("ticks")) == DAYS - 2
        before, bars, first_hours = made.rows(INDEX), made.rows(BARS), hours(made)
    assert {day for _, day, _ in bars} == set(TRADED[2:])

    with bench(world(), dsn, tmp_path, start=FIRST) as made:
        result = made.load()
        assert (result.status, result.warnings) == ("succeeded", ())
        assert made.rows("select distinct first_day from raw_tq.main_harvest") == [(FIRST,)]
        after = made.rows(BARS)
        assert [bar for bar in after if bar[1] >= LATE] == bars
        added = {bar[:2] for bar in after if bar[1] < LATE}
        assert added >= {(contract, day) for contract in (OLD, NEW) for day in TRADED[:2]}
        assert hours(made) == [(FIRST, *row[1:]) for row in first_hours] + first_hours
        again = made.load(datasets=("trading_session", "contract_daily"))
        assert again.total("rows_new") + again.total("rows_changed") == 0
        assert sum(task.done for task in again.tasks if task.dataset == "contract_daily") == 0

        build_schedule(made)
        made.asked()
        assert made.load("ticks").status == "succeeded"
        assert asked_days(made) == 2
        days = made.rows(INDEX)
        assert [day for _, day, *_ in days] == TRADED
        for old, new in zip(before, days[2:], strict=True):
            assert (old[:2], old[4:]) == (new[:2], new[4:]), "the same ticks"
            assert old[3] != new[3], "by another hash"
        assert made.load("ticks").tasks == ()
