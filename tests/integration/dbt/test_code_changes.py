"""The history of a stock whose code changed goes on under the new code, also adjusted."""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import chain

import psycopg
import pytest

from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import action, add_line, bar, land, security, trading_day, weekdays

DAYS = weekdays(date(2025, 4, 28), 12)
CHANGED = DAYS.index(date(2025, 5, 6))
Bar = dict[str, object]
OLD, NEW, OLD_TOO, NEW_TOO = "bj833819", "bj920819", "bj830799", "bj920799"
ALONE = "sh600000"
EVENTS = {
    DAYS[2]: {"cash_per10_yuan": "1.3", "bonus_total_per10": "2"},
    DAYS[CHANGED + 2]: {"cash_per10_yuan": "0.7", "bonus_total_per10": "5"},
}
BUILD = (
    "run",
    "-s",
    "+adjustment_segments,config.materialized:followed",
    "+symbol_dim,config.materialized:followed",
    "+kline_weekly_qfq,config.materialized:followed",
    "kline_monthly_qfq",
)
MEMBER = {"sector_kind": "concept", "sector_name": "x", "valid_from": date(2025, 1, 1)}
# what counts stocks
COUNTS = (
    "run",
    "-s",
    "+market_stats_snapshot,config.materialized:followed",
    "+sectors,config.materialized:followed",
    "int_code_changes__found",
)
PAIRS_FOUND = ("run", "-s", "int_code_changes__found")
FINDINGS = (*PAIRS_FOUND, "+symbol_dim,config.materialized:followed")
# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
Conn = psycopg.Connection


def prices(code: str, at: int) -> dict[str, object]:
    return bar(code, DAYS[at], f"{9 + at * 0.37:.2f}", high=16_000 + at * 10)


def build_changed(conn: Conn, dbt: Dbt) -> None:
    """Two stocks under two codes each, and another with the same bars and events under one.

    The second stock has its whole history under its new code too.
    """
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "security", [security(code) for code in (OLD, NEW, OLD_TOO, NEW_TOO, ALONE)])
    for at, _ in enumerate(DAYS):
        codes = (NEW, NEW_TOO) if at >= CHANGED else (OLD, OLD_TOO, NEW_TOO)
        land(conn, "kline_daily", [prices(code, at) for code in (ALONE, *codes)])
    for day, what in EVENTS.items():
        codes = (NEW, NEW_TOO) if day >= DAYS[CHANGED] else (OLD, OLD_TOO, NEW_TOO)
        land(conn, "corporate_action", [action(code, day, **what) for code in (ALONE, *codes)])
    dbt(*BUILD)


CHANGED_CODES = pytest.mark.warehouse(Parsed.build_models, build_changed)


def joined(conn: Conn, table: str, code: str) -> list[tuple[object, ...]]:
    return conn.execute(
        "select trade_date, open, high, low, close, volume_shares, is_final "
        f"from market.{table} where code = %s order by trade_date",
        (code,),
    ).fetchall()


def rows(conn: Conn, query: str, code: str) -> list[tuple[object, ...]]:
    return conn.execute(f"{query} where code = %s order by 1".encode(), (code,)).fetchall()


@CHANGED_CODES
def test_a_stock_with_a_new_code_has_the_prices_of_one_that_kept_its(conn: Conn) -> None:
    for table in ("kline_daily", "kline_daily_qfq"):
        whole = joined(conn, table, ALONE)
        name = f"kline_daily_joined{table.removeprefix('kline_daily')}"
        assert len(whole) == len(DAYS)
        assert joined(conn, name, NEW) == joined(conn, name, ALONE) == whole
        # the old code is answered where it was loaded
        assert joined(conn, name, OLD) == []
        assert len(joined(conn, table, OLD)) == CHANGED
    for table, start in (("kline_weekly", "week_start"), ("kline_monthly", "month_start")):
        bars = f"select {start}, open, high, low, close, volume_shares, bar_count, is_final from "
        alone = rows(conn, f"{bars} market.{table}_qfq", ALONE)
        assert len(alone) > 1
        for code in (NEW, ALONE):
            assert rows(conn, f"{bars} market.{table}_joined_qfq", code) == alone
        assert rows(conn, f"{bars} market.{table}_joined_qfq", OLD) == []
    codes = conn.execute(
        "select traded_code, count(*) from market.kline_daily_joined where code = %s group by 1 "
        "order by 1",
        (NEW,),
    )
    assert codes.fetchall() == [(OLD, CHANGED), (NEW, len(DAYS) - CHANGED)]
    dimension = "select code, current_code, former_code from market.symbol_dim order by 1"
    assert conn.execute(dimension.encode()).fetchall() == [
        (OLD_TOO, NEW_TOO, None),
        (OLD, NEW, None),
        (NEW_TOO, NEW_TOO, OLD_TOO),
        (NEW, NEW, OLD),
        (ALONE, ALONE, None),
    ]
    known = conn.execute(
        "select new_code, valid_from from market.code_changes where old_code = %s", (OLD,)
    )
    assert known.fetchall() == [(NEW, DAYS[CHANGED])]
    [finding] = conn.execute("select check_name, severity, evidence from qa.qa_code_changes")
    assert finding[:2] == ("code_change_known", "info")
    assert finding[2].startswith(f"{OLD_TOO} is now {NEW_TOO}, {OLD} is now {NEW}: ")


@CHANGED_CODES
def test_a_history_that_the_new_code_has_too_counts_once(conn: Conn) -> None:
    whole = joined(conn, "kline_daily_qfq", ALONE)
    assert joined(conn, "kline_daily_joined_qfq", NEW_TOO) == whole
    # bars of the old code alone, with all events under the new one
    conn.execute(
        "delete from raw_tdx.kline_daily where code = %s and trade_date < %s", (NEW_TOO, DAYS[2])
    )
    assert joined(conn, "kline_daily_joined_qfq", NEW_TOO) == whole


def test_a_chain_of_changes_leads_to_its_last_code(conn: Conn, dbt: Dbt) -> None:
    seed = "code_changes_known"
    conn.execute(f"delete from quotemill_intermediate.{seed}".encode())
    add_line(conn, seed, "bj430090,none,,another stock")
    add_line(conn, seed, "bj430300,bj430301,2024-10-09,notice")
    add_line(conn, seed, "bj430301,bj430302,2025-10-09,notice")

    dbt("run", "-s", "code_changes")
    changes = conn.execute("select * from market.code_changes order by 1")
    assert changes.fetchall() == [
        ("bj430300", "bj430302", date(2024, 10, 9), "notice"),
        ("bj430301", "bj430302", date(2025, 10, 9), "notice"),
    ]


# from January on, the last bars of old files in the middle of March
LONG = weekdays(date(2025, 1, 1), 70)
LAST = LONG.index(date(2025, 3, 11))
SHAPES = {"a part": slice(0, LAST + 1), "all": slice(None)}


def walk(code: str, days: list[date], start: int = 900, **changes: object) -> Iterator[Bar]:
    """Bars of different prices, a cent apart; another `start`: another stock."""
    for at, day in enumerate(LONG):
        if day in days:
            yield bar(code, day, f"{(start + at) / 100}", **changes)


def land_walks(conn: Conn, *walks: Iterable[Bar]) -> None:
    land(conn, "trading_day", [trading_day(day) for day in LONG])
    for rows in map(list, walks):
        land(conn, "security", [security(str(rows[0]["code"]))])
        land(conn, "kline_daily", rows)


def counts(conn: Conn, exchange: str, column: str = "stock_count") -> set[object]:
    query = f"select {column} from market.market_stats_snapshot where exchange = %s"
    return {count for (count,) in conn.execute(query.encode(), (exchange,))}


# of each exchange a stock under two codes by the shape of the old one's history, and another
PAIRS = {
    "a part": [("bj830999", "bj920998"), ("sz000099", "sz001899"), ("sh601399", "sh601599")],
    "all": [("bj830997", "bj920996"), ("sz000097", "sz001897"), ("sh601397", "sh601597")],
}
OTHERS = {"bj": "bj920005", "sz": "sz000001", "sh": "sh600000"}


def test_a_stock_with_one_history_under_two_codes_counts_once_by_a_line(
    conn: Conn, dbt: Dbt
) -> None:
    shape_by_pair = {pair: shape for shape, pairs in PAIRS.items() for pair in pairs}
    days = {shape: LONG[part] for shape, part in SHAPES.items()}
    follows = {"a part": LONG[LAST + 1], "all": None}
    for (old, new), shape in shape_by_pair.items():
        start = {"a part": 900, "all": 1500}[shape]
        land_walks(conn, walk(old, days[shape], start), walk(new, LONG, start))
    land_walks(conn, *(walk(other, LONG, 500) for other in OTHERS.values()))
    codes = [*chain.from_iterable(shape_by_pair), *OTHERS.values()]
    land(conn, "sector_member", [{**MEMBER, "member": code[2:]} for code in codes])

    dbt(*COUNTS)

    assert {exchange: max(counts(conn, exchange)) for exchange in OTHERS} == dict.fromkeys(
        OTHERS, 5
    )
    findings = conn.execute("select * from qa.qa_code_changes order by subject").fetchall()
    assert findings == [
        (
            "code_change_unknown",
            "warning",
            old,
            follows[shape],
            f"{old} and {new} have the same prices and turnover on 40 days from "
            f"{days[shape][-40]} to {days[shape][-1]}: one stock, counted twice; fix: add "
            f"{old},{new},{follows[shape] or 'the first day of the new code'} and the source to "
            f"seeds/code_changes_known.csv, or {old},none,, and the reason if they are two stocks",
        )
        for (old, new), shape in sorted(shape_by_pair.items())
    ]

    for old, new in shape_by_pair:
        add_line(conn, "code_changes_known", f"{old},{new},2025-03-12,notice")
    dbt(*COUNTS)
    for exchange in OTHERS:
        assert counts(conn, exchange) == {3}
        assert counts(conn, exchange, "suspended_count") == {0}
    assert conn.execute(
        "select member_count, unlisted_member_count from market.sectors"
    ).fetchall() == [(9, 0)]
    # bars of both codes are read as loaded, joined ones have each day once
    bars = "select code, count(*) from market.{} group by 1 order by 1"
    loaded = dict(conn.execute(bars.format("kline_daily").encode()).fetchall())
    joined_bars = dict(conn.execute(bars.format("kline_daily_joined").encode()).fetchall())
    for (old, new), shape in shape_by_pair.items():
        assert (loaded[old], loaded[new]) == (len(days[shape]), len(LONG)), old
    assert joined_bars == dict.fromkeys(
        [*(new for _, new in shape_by_pair), *OTHERS.values()], len(LONG)
    )
    severities = "select severity, evidence from qa.qa_code_changes"
    [(severity, evidence)] = conn.execute(severities)
    known = ", ".join(f"{old} is now {new}" for old, new in sorted(shape_by_pair)[:5])
    assert (severity, evidence.partition(":")[0]) == ("info", f"{known} and 1 more")

    for old, _ in shape_by_pair:
        conn.execute(
            "delete from quotemill_intermediate.code_changes_known where old_code = %s", (old,)
        )
        add_line(conn, "code_changes_known", f"{old},none,,two stocks")
    dbt(*COUNTS)
    assert {exchange: max(counts(conn, exchange)) for exchange in OTHERS} == dict.fromkeys(
        OTHERS, 5
    )
    assert conn.execute("select * from qa.qa_code_changes").fetchall() == []


# of the first code, the second and the last, whose history begins in February
CHAINS = {
    "copies": (slice(45), slice(LAST + 1), slice(None)),
    "parts": (slice(45), slice(66), slice(23, None)),
}


# of each chain a stock without a known line, and one whose first change is known
THREE_CODES = {
    "copies": (("sz000099", "sz000199", "sz001899"), ("sz000098", "sz000198", "sz001898")),
    "parts": (("sz000097", "sz000197", "sz001897"), ("sz000096", "sz000196", "sz001896")),
}


def test_a_stock_with_three_codes_counts_once_under_the_last(conn: Conn, dbt: Dbt) -> None:
    """By the lines that the finding proposes."""
    start = 900
    for name, stocks in THREE_CODES.items():
        days = [LONG[part] for part in CHAINS[name]]
        for codes in stocks:
            land_walks(conn, *(walk(*each, start) for each in zip(codes, days, strict=True)))
            start += 600
    land_walks(conn, walk("sz000001", LONG, 500))
    unknown, known = (list(stocks) for stocks in zip(*THREE_CODES.values(), strict=True))
    for first, second, _ in known:
        add_line(conn, "code_changes_known", f"{first},{second},2025-03-05,notice")

    def built(*arguments: str) -> list[list[tuple[object, ...]]]:
        dbt(*COUNTS, *arguments)
        assert counts(conn, "sz") == {5}
        assert counts(conn, "sz", "suspended_count") == {0}
        queries = (
            "select old_code, new_code, valid_from from market.code_changes "
            "where new_code like 'sz00189_'",
            "select code, current_code, former_code from market.symbol_dim",
            "select * from market.market_stats_snapshot",
            "select code, traded_code, trade_date, close from market.kline_daily_joined",
        )
        return [conn.execute(f"{query} order by 1, 2, 3".encode()).fetchall() for query in queries]

    dbt(*FINDINGS)
    findings = conn.execute(
        "select subject, evidence from qa.qa_code_changes where severity <> 'info' order by 1"
    ).fetchall()
    proposed = [code for codes in unknown for code in codes[:2]] + [codes[1] for codes in known]
    assert [subject for subject, _ in findings] == sorted(proposed)
    for _, text in findings:
        [line] = re.findall(r"add (\S+) and the source", text)
        add_line(conn, "code_changes_known", f"{line},notice")

    after = built()
    changes, dimension, _, joined_bars = after
    for codes in (*unknown, *known):
        assert [row[:2] for row in changes if row[1] == codes[2]] == [
            (code, codes[2]) for code in codes[:2]
        ]
        assert [row for row in dimension if row[0] in codes] == [
            (codes[0], codes[2], None),
            (codes[1], codes[2], None),
            (codes[2], codes[2], codes[1]),
        ]
        assert [row[2] for row in joined_bars if row[0] == codes[2]] == LONG, codes
    assert len(joined_bars) == 5 * len(LONG)
    assert conn.execute("select severity from qa.qa_code_changes").fetchall() == [("info",)]
    assert built("--full-refresh") == after


def build_alike(conn: Conn, dbt: Dbt) -> None:
    """Bars alike for other reasons than a change of code, and halves of pairs."""
    before, after = LONG[: LAST + 1], LONG[LAST + 1 :]
    untraded = [
        bar(c, day, "10", volume=0, amount=0) for c in ("sz000010", "sz000011") for day in LONG
    ]
    land_walks(
        conn,
        # another exchange
        walk("sh600001", LONG),
        walk("sz000001", LONG),
        # the same prices, another turnover
        walk("sz000002", LONG, amount=1_000_000),
        # few days
        walk("sz000003", LONG[:30]),
        # a long suspension
        untraded[: len(LONG)],
        untraded[len(LONG) :],
        # 430047 ends where 920047 begins; of 832000 only the old file is there, of 920017 the new
        walk("bj430047", before),
        walk("bj920047", after),
        walk("bj832000", LONG, 500),
        walk("bj920017", LONG, 300),
    )
    dbt(*COUNTS)


ALIKE = pytest.mark.warehouse(Parsed.build_models, build_alike)
FOUND = "quotemill_intermediate.int_code_changes__found"


@ALIKE
def test_bars_that_are_alike_for_other_reasons_are_no_change(conn: Conn) -> None:
    assert conn.execute(f"select * from {FOUND}").fetchall() == []
    # of bj430047
    assert conn.execute("select severity from qa.qa_code_changes").fetchall() == [("info",)]


@ALIKE
def test_one_code_of_two_counts_where_the_other_has_no_bar(conn: Conn) -> None:
    assert counts(conn, "bj") == {3}
    assert counts(conn, "bj", "suspended_count") == {0}
    stocks = (
        "select code, count(*) from market.kline_daily_joined where code like 'bj%' "
        "group by 1 order by 1"
    )
    assert conn.execute(stocks).fetchall() == [
        ("bj920000", len(LONG)),
        ("bj920017", len(LONG)),
        ("bj920047", len(LONG)),
    ]


def test_a_pair_is_found_and_left_as_its_bars_change(conn: Conn, dbt: Dbt) -> None:
    land_walks(conn, walk("sz000099", LONG[:20]), walk("sz001899", LONG))
    pairs = f"select old_code, new_code from {FOUND}"
    for days, expected in (([], []), (LONG[20:LAST], [("sz000099", "sz001899")])):
        land(conn, "kline_daily", list(walk("sz000099", days)))
        dbt(*PAIRS_FOUND)
        assert conn.execute(pairs).fetchall() == expected
    land(conn, "kline_daily", [bar("sz000099", LONG[LAST - 20], "1")])
    dbt(*PAIRS_FOUND)
    assert conn.execute(pairs).fetchall() == []


def test_many_codes_that_change_on_a_day_are_one_finding(conn: Conn, dbt: Dbt) -> None:
    pairs = [(f"bj8300{n:02}", f"bj9203{n:02}") for n in range(10, 16)]
    walks = [
        walk(code, LONG if code == new else LONG[:LAST], 900 + 100 * at)
        for at, (old, new) in enumerate(pairs)
        for code in (old, new)
    ]
    land_walks(conn, *walks)

    dbt(*FINDINGS)

    [finding] = conn.execute("select subject, trade_date, evidence from qa.qa_code_changes")
    assert finding[:2] == ("6 codes", LONG[LAST])
    assert "int_code_changes__found" in finding[2]
    rows = conn.execute(f"select old_code, new_code, valid_from from {FOUND} order by 1")
    assert rows.fetchall() == [(*pair, LONG[LAST]) for pair in pairs]
