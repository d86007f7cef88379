"""Ticks by day: their sums, their fit to the day bar, and the cost of a change."""

import csv
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS, NO_TESTS
from tests.integration.dbt.raw import bar, land, security, touch, trading_day, weekdays
from tests.integration.dbt.raw_intraday import at, ticks

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
TICKS = (
    "--select",
    "int_ticks__days",
    "int_ticks__findings",
    "trading_calendar",
    "int_listings__dated",
    "symbol_dim",
)
DAYS = weekdays(date(2024, 6, 3), 6)
DAY = [("09:25", "10.00", 40, 2), ("09:31", "10.20", 30, 0), ("15:00", "10.10", 30, 1)]


def summaries(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    return conn.execute(
        "select * from market.tick_daily_summary order by code, trade_date"
    ).fetchall()


Trades = dict[tuple[str, date], list[tuple[str, str, int, int]]]


def land_real_ticks(conn: psycopg.Connection, real_tdx_data: Path) -> Trades:
    """Of two codes; the volume of their day bars is what their minutes have."""
    trades: Trades = defaultdict(list)
    for code in ("SH600000", "SZ000002"):
        with (real_tdx_data / f"ticks_{code}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                trade = (
                    row["minute"],
                    row["price_yuan"],
                    int(row["volume_hands"]),
                    int(row["side"]),
                )
                trades[code.lower(), date.fromisoformat(row["date"])].append(trade)
        with (real_tdx_data / f"minute_line_{code}.csv").open(newline="") as file:
            hands: dict[date, int] = defaultdict(int)
            for row in csv.DictReader(file):
                hands[date.fromisoformat(row["bar_start"][:10])] += int(row["volume_hands"])
        land(
            conn,
            "kline_daily",
            [
                bar(
                    code.lower(),
                    day,
                    "20",
                    low=1000,
                    high=99_000,
                    volume=sum_,
                    amount=sum_ * 2_000_000,
                )
                for day, sum_ in hands.items()
            ],
        )
    for (code, day), rows in trades.items():
        land(conn, "tick_trade", ticks(code, day, rows))

    return trades


def test_ticks_sum_to_their_day_bars_and_each_way_to_miss_them_has_its_verdict(
    real_tdx_data: Path, conn: psycopg.Connection, dbt: Dbt
) -> None:
    def of(code: str, hands: int, **changes: object) -> dict[str, object]:
        prices = {"open": 10_000, "high": 10_200, "low": 10_000, "volume": hands}
        return bar(code, DAYS[0], "10.10", **prices, amount=hands * 1_010_000, **changes)

    trades = land_real_ticks(conn, real_tdx_data)
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    codes = [f"sh60000{n}" for n in range(7)]
    land(conn, "security", [security(code) for code in codes])
    for code in codes:
        land(conn, "tick_trade", ticks(code, DAYS[0], DAY))
    land(conn, "tick_trade", ticks(codes[5], DAYS[0], DAY, is_final=False))
    # one of the STAR market, where each of three ticks may have lost a hand
    land(conn, "tick_trade", ticks("sh688001", DAYS[0], DAY))
    land(
        conn,
        "kline_daily",
        [
            of(codes[0], 101),
            of(codes[1], 130),
            of(codes[2], 1),
            of(codes[3], 100) | {"high": 10_100},
            of(codes[5], 100),
            of(codes[6], 100) | {"amount": 1},
            of("sh688001", 104),
        ],
    )

    dbt("run", "--full-refresh", *TICKS)

    verdicts = dict(
        conn.execute(
            "select code, verdict from market.tick_daily_summary where trade_date = %s",
            (DAYS[0],),
        ).fetchall()
    )
    assert verdicts == {
        codes[0]: "ok",
        codes[1]: "ticks_missing",
        codes[2]: "ticks_too_many",
        codes[3]: "price_outside_day",
        codes[4]: "no_day_bar",
        codes[5]: "provisional",
        codes[6]: "day_volume_unreliable",
        "sh688001": "ok",
    }
    rows = conn.execute(
        "select subject, severity, evidence from qa.qa_tick_days where trade_date = %s order by 1",
        (DAYS[0],),
    ).fetchall()
    expected = {
        codes[1]: "10000 shares in 3 trade ticks, 13000 in the day bar",
        codes[2]: "10000 shares in 3 trade ticks, 100 in the day bar: its ticks count in another "
        "unit",
        codes[3]: "trade ticks between 10.000 and 10.200, outside the day bar",
        codes[4]: "3 trade ticks on a day without a bar",
    }
    assert rows == [
        (
            code,
            "error" if code == codes[3] else "warning",
            f"{text}; fix: loaders run tdx --dataset "
            f"{'kline_daily' if code == codes[4] else 'tick_trade'} --codes {code} "
            f"--date {DAYS[0]}",
        )
        for code, text in expected.items()
    ]

    # on that day the collector lost no tick of it: 191,193 hands, as its minutes
    lossless = date(2019, 2, 1)
    days = conn.execute(
        "select tick_count, volume_shares, verdict, first_price, last_price, "
        "buy_shares + sell_shares + neutral_shares - volume_shares, first_traded_at "
        "from market.tick_daily_summary where trade_date = %s and code = 'sh600000'",
        (lossless,),
    ).fetchall()
    real = trades["sh600000", lossless]
    ends = Decimal(real[0][1]), Decimal(real[-1][1])
    assert days == [(len(real), 19_119_300, "ok", *ends, 0, at(lossless, real[0][0]))]
    # weighted by volume, within the prices of the day
    averages = conn.execute(
        "select count(*) from market.tick_daily_summary where vwap not between low and high"
    ).fetchone()
    assert averages == (0,)


@pytest.mark.long
def test_only_days_whose_ticks_changed_are_summed_again(conn: psycopg.Connection, dbt: Dbt) -> None:
    codes = ("sh600000", "sz000002")
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "security", [security(code) for code in codes])
    for code in codes:
        land(conn, "kline_daily", [bar(code, day, "10.10") for day in DAYS])
        for day in DAYS[:4]:
            land(conn, "tick_trade", ticks(code, day, DAY))
    dbt("run", "--full-refresh", *TICKS)

    # a new day, a day read again with a tick less and another price, a day taken out, a late bar
    land(conn, "tick_trade", ticks("sh600000", DAYS[4], DAY))
    conn.execute(
        "delete from raw_tdx.tick_trade where code = 'sz000002' and trade_date = %s and ordinal = "
        "3",
        (DAYS[1],),
    )
    land(conn, "tick_trade", ticks("sz000002", DAYS[1], [("09:25", "9.90", 40, 2)]))
    conn.execute(
        "delete from raw_tdx.tick_trade where code = 'sz000002' and trade_date = %s", (DAYS[2],)
    )
    touch(conn, "tick_trade", "sz000002")
    land(conn, "kline_daily", [bar("sh600000", DAYS[0], "10.10", volume=70, high=10_200)])
    conn.execute("vacuum analyze raw_tdx.tick_trade")
    outcome = dbt("run", *TICKS)
    assert outcome.written["int_ticks__days"] == 2

    day_by_day = summaries(conn)
    assert len(day_by_day) == 4 + 1 + 3
    gap = conn.execute(
        "select volume_gap_shares, verdict from market.tick_daily_summary "
        "where code = 'sh600000' and trade_date = %s",
        (DAYS[0],),
    ).fetchone()
    assert gap == (-3000, "price_outside_day")
    assert dbt("run", *TICKS).written["int_ticks__days"] == 0
    dbt("run", "--full-refresh", *TICKS)
    conn.execute("drop schema quotemill_intermediate cascade")
    dbt("build", "--select", "+tick_daily_summary", *NO_TESTS)
    assert summaries(conn) == day_by_day
