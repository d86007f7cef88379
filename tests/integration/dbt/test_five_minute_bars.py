"""Bars of 5 to 60 minutes on days that have only landed five-minute bars."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import psycopg

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import land, minute, session_minutes, touch
from tests.integration.dbt.test_rollups import DAYS, LENGTHS, ROLLUPS, built

pytestmark = MODELS
CODE, OTHER = "sh600000", "sz000001"
BY_DAY = """
    select trade_date, source_minutes, count(*), sum(volume_shares), sum(bar_count),
        max(close)::text
    from market.kline_{}m where code = %s group by 1, 2 order by 1, 2
"""


def five_minutes(code: str, day: date, price: str, **changes: Any) -> list[dict[str, object]]:
    """The 48 bars of a day, each of 137 shares."""
    return [
        minute(code, end, price, volume=137, **changes) | {"period": "minute5", "volume_unit": 1}
        for end in session_minutes(day)[4::5]
    ]


def land_bars(conn: psycopg.Connection, rows: Iterable[dict[str, object]]) -> None:
    land(
        conn,
        "kline_period",
        [{n: v for n, v in row.items() if n != "source_label"} for row in rows],
    )


def sources(conn: psycopg.Connection, code: str = CODE) -> list[tuple[date, int]]:
    """Days and the length of the bars that they are made of, the same in each table."""
    by_length = {
        length: [row[:2] for row in conn.execute(BY_DAY.format(length), (code,))]
        for length in LENGTHS
    }
    assert len({tuple(days) for days in by_length.values()}) == 1
    return by_length[5]


def test_each_day_comes_from_its_minutes_else_from_its_landed_bars_in_any_order(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    first, second, third = DAYS
    land_bars(conn, [bar for day in DAYS for bar in five_minutes(CODE, day, "10")])
    dbt("run", *ROLLUPS)

    for length, count in ((5, 48), (15, 16), (30, 8), (60, 4)):
        rows = conn.execute(BY_DAY.format(length), (CODE,)).fetchall()
        assert rows == [(day, 5, count, 48 * 137, 240, "10.000") for day in DAYS]
        for way in ("qfq", "hfq"):
            query = f"select distinct source_minutes from market.kline_{length}m_{way}"
            assert conn.execute(query.encode()).fetchall() == [(5,)], (length, way)

    # minutes of one day arrive later: it is made of them, and counts once
    land(conn, "kline_minute", [minute(CODE, end, "11") for end in session_minutes(second)])
    assert dbt("run", *ROLLUPS).written == {"kline_5m": 48, "kline_15m": 16, "kline_30m": 8}
    assert sources(conn) == [(first, 5), (second, 1), (third, 5)]
    volume = conn.execute(BY_DAY.format(15), (CODE,)).fetchall()[1]
    assert volume == (second, 1, 16, 240_000, 240, "11.000")

    # a correction of a day before the oldest minute, and a day of another code there
    land_bars(conn, five_minutes(CODE, first, "10.5"))
    land_bars(conn, five_minutes(OTHER, first, "9"))
    dbt("run", *ROLLUPS)
    assert next(row[5] for row in conn.execute(BY_DAY.format(60), (CODE,))) == "10.500"
    assert sources(conn, OTHER) == [(first, 5)]

    as_they_came = {length: built(conn, length) for length in LENGTHS}
    assert dbt("run", *ROLLUPS).written == dict.fromkeys(("kline_5m", "kline_15m", "kline_30m"), 0)
    dbt("run", "--full-refresh", *ROLLUPS)
    assert {length: built(conn, length) for length in LENGTHS} == as_they_came

    # without its minutes a day is made of the landed bars again
    conn.execute("delete from raw_tdx.kline_minute")
    land(conn, "kline_minute", [minute(OTHER, end, "9") for end in session_minutes(second)[:1]])
    touch(conn, "kline_minute", CODE)
    dbt("run", *ROLLUPS)
    assert sources(conn) == [(day, 5) for day in DAYS]
    assert sources(conn, OTHER) == [(first, 5), (second, 1)]


def test_minutes_that_are_not_complete_hide_no_landed_bars_and_dropped_ones_do(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    # of each code: minutes, final or not, landed bars, final or not, and which of them count
    cases = {
        "sh600000": (1, False, 48, True, 5),
        "sh600001": (239, True, 48, True, 1),
        "sh600002": (238, True, 48, True, 5),
        "sh600003": (240, False, 48, True, 5),
        "sh600004": (240, False, 48, False, 1),
        "sh600005": (100, True, 48, False, 5),
        "sh600006": (100, False, 20, True, 1),
        "sh600007": (101, False, 21, False, 5),
    }
    first, second, _ = DAYS
    ends = session_minutes(second)
    for code, (minutes, minutes_final, bars, bars_final, _) in cases.items():
        land_bars(conn, five_minutes(code, first, "10"))
        land_bars(conn, five_minutes(code, second, "10", is_final=bars_final)[:bars])
        late = [minute(code, end, "11", is_final=minutes_final) for end in ends[-minutes:]]
        land(conn, "kline_minute", late)
    land(conn, "kline_minute", [minute(OTHER, end, "10") for end in session_minutes(first)])
    dbt("run", *ROLLUPS)
    for code, (minutes, _, bars, _, source) in cases.items():
        assert sources(conn, code) == [(first, 5), (second, source)], code
        count = conn.execute(BY_DAY.format(15), (code,)).fetchall()[1][4]
        assert count == (minutes if source == 1 else 5 * bars), code

    # the rest of the minutes lands: the day is theirs, in a build of what changed
    for code in cases:
        land(conn, "kline_minute", [minute(code, end, "11") for end in ends])
    # older minutes were dropped by age: their bars stay before landed ones
    conn.execute("delete from raw_tdx.kline_minute where trade_date = %s", (first,))
    touch(conn, "kline_minute", OTHER)
    land_bars(conn, five_minutes(OTHER, first, "12"))
    dbt("run", *ROLLUPS)
    for code in cases:
        assert sources(conn, code) == [(first, 5), (second, 1)], code
    assert sources(conn, OTHER) == [(first, 1)]
    as_they_came = {length: built(conn, length) for length in LENGTHS}
    dbt("run", "--full-refresh", *ROLLUPS)
    assert {length: built(conn, length) for length in LENGTHS} == as_they_came
