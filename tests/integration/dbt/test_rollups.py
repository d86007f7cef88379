"""Bars of 5, 15, 30 and 60 minutes equal a separate computation in any order."""

import csv
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from loaders.sandbox.world.market import SyntheticMarket
from loaders.trading_time import SHANGHAI
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import (
    land,
    minute,
    session_minutes,
    touch,
    weekdays,
)

DAYS = weekdays(date(2024, 6, 3), 3)
MINUTES = [end for day in DAYS for end in session_minutes(day)]
LENGTHS = (5, 15, 30, 60)
# all is built over no row; a test lands its minutes and builds the tables
pytestmark = MODELS
ROLLUPS = ("-s", "kline_5m", "kline_15m", "kline_30m")


def expected(
    minutes: dict[tuple[str, datetime], dict[str, Any]], length: int
) -> list[tuple[Any, ...]]:
    """What the bars of `length` minutes must be: by the position of a minute in its session, with
    integers, and no clock arithmetic in common with the models."""
    members: dict[tuple[str, datetime], list[dict[str, Any]]] = defaultdict(list)
    for (code, end), row in sorted(minutes.items(), key=itemgetter(0)):
        labels = session_minutes(end.date())
        at = bisect_left(labels, end)
        members[code, labels[at - at % length + length - 1]].append(row)

    def merge(rows: list[dict[str, Any]]) -> tuple[Any, ...]:
        price_only = any(row["amount"] is None for row in rows)
        prices = (
            rows[0]["open"],
            max(row["high"] for row in rows),
            min(row["low"] for row in rows),
            rows[-1]["close"],
        )
        return (
            rows[0]["trade_date"],
            *(Decimal(price) / 1000 for price in prices),
            100 * sum(row["volume"] for row in rows),
            None if price_only else Decimal(sum(row["amount"] for row in rows)) / 1000,
            len(rows),
            price_only,
            not price_only and all(row["is_final"] for row in rows),
        )

    return [(code, end, *merge(rows)) for (code, end), rows in sorted(members.items())]


def built(conn: psycopg.Connection, length: int) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select code, bar_end, trade_date, open, high, low, close, volume_shares, amount_cny, "
        f"bar_count, is_price_only, is_final from market.kline_{length}m order by code, bar_end"
    ).fetchall()


def assert_built(
    conn: psycopg.Connection, minutes: dict[tuple[str, datetime], dict[str, Any]]
) -> None:
    for length in LENGTHS:
        assert built(conn, length) == expected(minutes, length), length


@dataclass
class Stored:
    """The minutes in the warehouse, and the same in a dictionary."""

    conn: psycopg.Connection
    rows: dict[tuple[str, datetime], dict[str, Any]]

    def land(self, rows: Iterable[dict[str, Any]]) -> None:
        batch: dict[tuple[str, datetime], dict[str, Any]] = {
            (r["code"], r["bar_end"]): {"is_final": True, **r} for r in rows
        }
        land(self.conn, "kline_minute", batch.values())
        self.rows |= batch

    def delete(self, keys: Iterable[tuple[str, datetime]]) -> None:
        gone = list(keys)
        self.conn.execute(
            "delete from raw_tdx.kline_minute where (code, bar_end) in "
            "(select * from unnest(%s::text[], %s::timestamptz[]))",
            ([code for code, _ in gone], [end for _, end in gone]),
        )
        touch(self.conn, "kline_minute", *{code for code, _ in gone})
        for key in gone:
            self.rows.pop(key, None)


# what happens to one code before each of the builds: (build, minute, what, price)
EVENT = st.tuples(
    st.integers(0, 2),
    st.integers(0, len(MINUTES) - 1),
    st.sampled_from(("lands", "lands", "lands", "lands unfinished", "lands as a price", "goes")),
    st.integers(1000, 1040),
)
CODES = st.lists(st.lists(EVENT, min_size=3, max_size=25), min_size=12, max_size=25)


def _play(
    stored: Stored, codes: list[list[tuple[int, int, str, int]]], build: Callable[[], object]
) -> None:
    for number in range(3):
        comes: dict[tuple[str, datetime], dict[str, Any]] = {}
        goes = []
        for index, events in enumerate(codes):
            code = f"sh600{index:03d}"
            for _, at, what, price in (event for event in events if event[0] == number):
                end = MINUTES[at]
                if what == "goes":
                    goes.append((code, end))
                    continue
                high, low = price + at % 7, price - at % 5
                changes = {"open": price, "high": high, "low": low, "close": low}
                if what == "lands as a price":
                    changes = dict.fromkeys(changes, price)
                amount = None if what == "lands as a price" else price * 100 * (100 + at)
                row = minute(code, end, "1", volume=100 + at, amount=amount, **changes)
                comes[code, end] = row | {"is_final": what != "lands unfinished"}
        # in no order of time
        stored.land(sorted(comes.values(), key=itemgetter("close")))
        stored.delete(goes)
        build()
        assert_built(stored.conn, stored.rows)


@pytest.mark.long
@pytest.mark.parametrize(
    "examples", [pytest.param(2, id="few"), pytest.param(60, marks=pytest.mark.soak, id="many")]
)
def test_any_minutes_in_any_order_give_the_bars_of_those_stored(
    examples: int, conn: psycopg.Connection, dbt: Dbt
) -> None:
    stored = Stored(conn, {})

    def build() -> None:
        dbt("run", *ROLLUPS)

    # bars of days older than the oldest minute stay
    oldest = ("sh000001", MINUTES[0])
    stored.land([minute(*oldest, "10")])

    @settings(
        max_examples=examples,
        database=None,
        derandomize=examples < 10,
        phases=[Phase.generate],  # to shrink would build for hours
        suppress_health_check=list(HealthCheck),
    )
    @given(codes=CODES)
    def play(codes: list[list[tuple[int, int, str, int]]]) -> None:
        stored.delete([key for key in stored.rows if key != oldest])
        _play(stored, codes, build)

    play()
    as_they_came = {length: built(conn, length) for length in LENGTHS}
    again = dbt("run", *ROLLUPS)
    assert again.written == {"kline_5m": 0, "kline_15m": 0, "kline_30m": 0}
    dbt("run", "--full-refresh", *ROLLUPS)
    assert {length: built(conn, length) for length in LENGTHS} == as_they_came


def read_real_minutes(folder: Path) -> list[dict[str, Any]]:
    """24,000 bars of an index as captured, noon repaired; 13:01 is missing on nearly all days."""
    with (folder / "minute1_bars_SH000001_2017.csv").open(newline="") as file:
        lines = [(datetime.fromisoformat(r["bar_end"] + "+08:00"), r) for r in csv.DictReader(file)]
    noons = {end.date() for end, _ in lines if (end.hour, end.minute) == (11, 30)}
    return [
        minute(
            "sh000001",
            end - timedelta(minutes=90)
            if (end.hour, end.minute) == (13, 0) and end.date() not in noons
            else end,
            "1",
            **{p: int(Decimal(line[p]) * 1000) for p in ("open", "high", "low", "close")},
            volume=int(line["raw_vol_field"]),
            amount=int(line["raw_vol_field"]) * 100_000,
        )
        for end, line in lines
    ]


def read_sandbox_minutes() -> tuple[list[dict[str, Any]], dict[tuple[str, date], dict[str, Any]]]:
    """Minutes of three codes of the sandbox, and their days."""
    market = SyntheticMarket(codes=4, days=40)
    days: dict[tuple[str, date], dict[str, Any]] = {}
    minutes = []
    for code in ("sh600000", "sz000001", "sh510300"):
        bars = market.day_bars(code)
        for at, stamp in list(enumerate(bars.stamps))[-5:]:
            day = date.fromisoformat(stamp[:10])
            columns = ("open", "high", "low", "close", "volume", "amount")
            days[code, day] = {c: int(getattr(bars, c)[at]) for c in columns}
            parts = market.minutes(code, day)
            minutes += [
                minute(
                    code,
                    datetime.fromisoformat(label + "+08:00"),
                    "1",
                    **{c: int(getattr(parts, c)[n]) for c in columns},
                )
                for n, label in enumerate(parts.stamps)
            ]
    return minutes, days


def test_minutes_of_a_session_of_an_index_and_of_the_sandbox_add_up(
    conn: psycopg.Connection, dbt: Dbt, real_tdx_data: Path
) -> None:
    stored = Stored(conn, {})
    stored.land(minute("sh600001", end, "10") for end in MINUTES[:240])
    # beside 11:30: then it opens the afternoon
    stored.land([minute("sh600001", datetime(2024, 6, 3, 13, tzinfo=SHANGHAI), "11")])
    stored.land(read_real_minutes(real_tdx_data))
    minutes, days = read_sandbox_minutes()
    stored.land(minutes)
    dbt("run", *ROLLUPS)
    assert len(stored.rows) == 241 + 24_000 + 240 * len(days)
    assert_built(conn, stored.rows)

    labels = {
        length: [
            f"{row[1].astimezone(SHANGHAI):%H:%M}"
            for row in built(conn, length)
            if row[0] == "sh600001"
        ]
        for length in LENGTHS
    }
    assert labels[60] == ["10:30", "11:30", "14:00", "15:00"]
    assert " ".join(labels[30]) == "10:00 10:30 11:00 11:30 13:30 14:00 14:30 15:00"
    assert labels[15][:2] + labels[15][7:9] == ["09:45", "10:00", "11:30", "13:15"]
    assert [len(labels[length]) for length in LENGTHS] == [48, 16, 8, 4]
    assert labels[5][23:25] == ["11:30", "13:05"]

    hours = conn.execute(
        "select to_char(bar_end at time zone 'Asia/Shanghai', 'HH24:MI'), bar_count, count(*) "
        "from market.kline_60m where code = 'sh000001' "
        "and trade_date between '2017-03-06' and '2017-07-28' group by 1, 2 order by 1, 2"
    ).fetchall()
    whole = [(label, 60, 99) for label in ("10:30", "11:30", "15:00")]
    assert hours == [*whole[:2], ("14:00", 59, 98), ("14:00", 60, 1), whole[2]]

    for length in (5, 60):
        rows = conn.execute(
            "select code, trade_date, (array_agg(open order by bar_end))[1] * 1000, "
            "max(high) * 1000, min(low) * 1000, (array_agg(close order by bar_end))[count(*)] * "
            "1000, sum(volume_shares) / 100, sum(amount_cny) * 1000, sum(bar_count) "
            f"from market.kline_{length}m where code not in ('sh600001', 'sh000001') "
            "group by code, trade_date"
        ).fetchall()
        assert len(rows) == len(days)
        for code, day, *prices, hands, amount, count in rows:
            wanted = days[code, day]
            assert prices == [wanted[p] for p in ("open", "high", "low", "close")]
            # the odd shares of each minute are cut off
            assert 0 <= int(str(wanted["volume"])) - hands <= 240
            assert (amount, count) == (wanted["amount"], 240)


def test_minutes_landed_without_a_cursor_or_before_a_failed_build_are_built(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    stored = Stored(conn, {})
    stored.land(minute("sh600000", end, "10") for end in MINUTES[:7])
    dbt("run", *ROLLUPS)
    # as after a restore, or 90 days without a build
    stored.land(minute("sz000002", end, "10.5") for end in MINUTES[:3])
    stored.land([minute("sh600000", MINUTES[2], "9")])
    conn.execute("truncate ops.changes, ops.change_cursors")
    dbt("run", *ROLLUPS)
    assert_built(conn, stored.rows)

    conn.execute("alter table market.kline_30m add constraint broken check (high < 11)")
    stored.land([minute("sh600000", MINUTES[7], "12")])
    dbt.fails("run", *ROLLUPS)
    conn.execute("alter table market.kline_30m drop constraint broken")
    dbt("run", *ROLLUPS)
    assert_built(conn, stored.rows)
