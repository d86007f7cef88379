"""What changed reaches every reader of the change feed once, whatever is built, and nothing else."""

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.tdx.schemas import KLINE_DAILY, TABLES
from loaders.warehouse import changes
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import Warehouse
from loaders.warehouse.profiles import write_profile
from tests.conftest import DBT_DATABASE
from tests.integration.dbt.conftest import MARTS, PROJECT, Outcome, prepared
from tests.integration.dbt.raw import action, bar, land, security, touch, trading_day, weekdays

Dbt = Callable[..., Outcome]
DAYS = weekdays(date(2023, 12, 18), 40)
CODES = ("sh600000", "sz000002")
TABLES_OF_BARS = [f"kline_{length}_qfq" for length in ("daily", "weekly", "monthly")]


def land_days(conn: psycopg.Connection, days: list[date], close: str = "10") -> None:
    land(conn, "trading_day", [trading_day(day) for day in days])
    land(conn, "kline_daily", [bar(code, day, close) for code in CODES for day in days])


@pytest.fixture
def built_dsn(
    filled_database: Callable[..., str], dbt_on: Callable[[Warehouse], Dbt], tmp_path: Path
) -> str:
    """The URL of a warehouse with two codes and thirty days, built."""

    def fill(dsn: str) -> None:
        made = prepared(dsn, tmp_path)
        with made.connect(autocommit=True) as conn:
            land(conn, "security", [security(code) for code in CODES])
            land_days(conn, DAYS[:30])
        assert dbt_on(made)("build", *MARTS).success

    return filled_database("change feed", fill, DBT_DATABASE)


@pytest.fixture
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """Empty; with `built` that of `built_dsn`."""
    built = "built" in request.fixturenames
    return prepared(request.getfixturevalue("built_dsn" if built else "warehouse_dsn"), tmp_path)


@pytest.fixture
def built(dbt: Dbt) -> Dbt:
    """dbt on a warehouse that is built."""
    return dbt


def closes(
    conn: psycopg.Connection, day: date, schema: str = "market", table: str = "kline_daily_qfq"
) -> list[object]:
    rows = conn.execute(
        f"select close from {schema}.{table} where trade_date = %s order by code", (day,)
    )
    return [float(close) for (close,) in rows]


def oids(conn: psycopg.Connection, *relations: str) -> list[object]:
    return [conn.execute("select %s::regclass::oid", (r,)).fetchone() for r in relations]


def told(conn: psycopg.Connection, table: str) -> list[tuple[object, ...]]:
    return conn.execute(
        "select key, dates::text from ops.changes where table_name = %s order by xid, key", (table,)
    ).fetchall()


def reads(conn: psycopg.Connection, *tables: str) -> int:
    """Rows that scans took from tables so far, by PostgreSQL's own count."""
    conn.execute("select pg_stat_force_next_flush()")
    row = conn.execute(
        "select sum(coalesce(s.seq_tup_read, 0) + coalesce((select sum(i.idx_tup_read) "
        "from pg_stat_user_indexes as i where i.relid = s.relid), 0))::bigint "
        "from pg_stat_user_tables as s where s.relid = any(%s::regclass[])",
        (list(tables),),
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_old_day_and_today_cost_two_days(conn: psycopg.Connection, built: Dbt) -> None:
    land_days(conn, weekdays(date(2020, 1, 1), 1000))
    assert built("run", *MARTS).success
    conn.execute("vacuum analyze")
    conn.execute("truncate ops.changes")
    days = [date(2020, 1, 1), DAYS[29]]
    before = reads(conn, "raw_tdx.kline_daily", "market.kline_daily_qfq")

    land(conn, "kline_daily", [bar(CODES[0], day, "11") for day in days])
    assert built("run", "-s", "kline_daily_qfq").written == {"kline_daily_qfq": 2}

    ranges = ",".join(f"[{day},{date.fromordinal(day.toordinal() + 1)})" for day in days)
    assert told(conn, "raw_tdx.kline_daily") == [(CODES[0], f"{{{ranges}}}")]
    assert told(conn, "market.kline_daily_qfq") == [(CODES[0], f"{{{ranges}}}")]
    # each twice: by the query, and where it is compared; and the statement that wrote
    assert reads(conn, "raw_tdx.kline_daily", "market.kline_daily_qfq") - before <= 10


def test_a_build_with_nothing_new_reads_no_bars(conn: psycopg.Connection, built: Dbt) -> None:
    big = ["raw_tdx.kline_daily", *(f"market.{table}" for table in TABLES_OF_BARS)]
    assert built("run", *MARTS).success
    before = reads(conn, *big[1:]), reads(conn, big[0])

    outcome = built("run", *MARTS)

    assert outcome.success
    assert [n for n in outcome.written.values() if n > 0] == []
    assert reads(conn, *big[1:]) == before[0]
    # the first and last day of each code, and the market's newest: none of the history
    assert reads(conn, big[0]) - before[1] <= 10 * len(CODES)


def test_part_by_part_nothing_is_lost(conn: psycopg.Connection, built: Dbt) -> None:
    land_days(conn, DAYS[30:31], "11")
    assert built("run", "-s", "kline_weekly_qfq").written == {"kline_weekly_qfq": 0}
    assert built("run", "-s", "kline_daily_qfq").written == {"kline_daily_qfq": 2}
    land(conn, "kline_daily", [bar(CODES[0], DAYS[3], "12")])
    assert built("run", "-s", "kline_daily_qfq").written == {"kline_daily_qfq": 1}

    assert built("run", "-s", "kline_weekly_qfq").written == {"kline_weekly_qfq": 3}
    assert built("run", "-s", "int_bars__findings").success
    assert built("run", *MARTS).success

    assert closes(conn, DAYS[30], table="kline_monthly_qfq") == [11, 11]
    assert closes(conn, DAYS[4], table="kline_weekly_qfq") == [10, 10]
    high = conn.execute("select max(high) from market.kline_weekly_qfq where code = %s", CODES[:1])
    assert high.fetchone() == (12,)


def test_a_change_in_flight_is_neither_skipped_nor_waited_for(
    warehouse: Warehouse, conn: psycopg.Connection, built: Dbt
) -> None:
    with warehouse.connect() as slow:
        slow.execute("select 1")  # so the transaction outlives the landing
        land(slow, "kline_daily", [bar(CODES[0], DAYS[2], "12")])
        land_days(conn, DAYS[30:31], "11")

        assert built("run", *MARTS).success
        assert closes(conn, DAYS[30]) == [11, 11]
        assert closes(conn, DAYS[2]) == [10, 10]
        slow.commit()

    assert built("run", *MARTS).success
    assert closes(conn, DAYS[2]) == [12, 10]


@pytest.fixture
def second(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: Dbt
) -> Callable[[str], Dbt]:
    """dbt for a market schema of another name in the same database, by name."""
    folder = tmp_path / "second"

    def of(schema: str) -> Dbt:
        other = replace(warehouse, market_schema=schema)
        prepare(other, TABLES)
        profiles = folder / schema
        write_profile(other, profiles)

        def run(*args: str) -> Outcome:
            with monkeypatch.context() as patch:
                patch.setenv("DBT_PROFILES_DIR", str(profiles))
                patch.setenv("DBT_TARGET_PATH", str(profiles / "target"))
                return built(*args)

        return run

    return of


def test_two_market_schemas_each_see_every_change(
    conn: psycopg.Connection, built: Dbt, second: Callable[[str], Dbt]
) -> None:
    research = second("research")
    assert research("build", *MARTS).success
    land(conn, "kline_daily", [bar(CODES[0], DAYS[2], "12")])

    assert research("run", *MARTS).written["kline_daily_qfq"] == 1
    assert built("run", *MARTS).written["kline_daily_qfq"] == 1

    assert closes(conn, DAYS[2], "research") == closes(conn, DAYS[2]) == [12, 10]
    schemas = conn.execute(
        "select table_schema, count(*) > 0 from information_schema.tables "
        "where table_schema like '%research' group by 1 order by 1"
    ).fetchall()
    assert [name for name, _ in schemas] == [
        "quotemill_intermediate_research",
        "quotemill_staging_research",
        "research",
    ]


def test_another_view_above_reaches_old_rows_of_a_table_built_alone(
    conn: psycopg.Connection, built: Dbt
) -> None:
    row = conn.execute("select pg_get_viewdef('quotemill_staging.stg_tdx__kline_daily')").fetchone()
    assert row is not None
    # as after a new release of the staging view
    other = row[0].replace("(close)::numeric * 0.001", "(close)::numeric * 0.002")
    assert other != row[0]
    conn.execute(f"create or replace view quotemill_staging.stg_tdx__kline_daily as {other}")
    before = oids(conn, "market.kline_daily_qfq")

    assert built("run", "-s", "kline_daily_qfq").written == {"kline_daily_qfq": 60}

    assert closes(conn, DAYS[0]) == [20, 20]
    assert oids(conn, "market.kline_daily_qfq") == before
    assert built("run", "-s", "kline_daily_qfq").written == {"kline_daily_qfq": 0}


def test_another_macro_reaches_old_rows_at_the_next_build(
    conn: psycopg.Connection, built: Dbt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    root = PROJECT.parent
    for part in ("dbt_project", "macros", "seeds", "tests/dbt", "docs/dbt"):
        if (root / part).is_dir():
            ignored = shutil.ignore_patterns("target", "logs", "profiles.yml")
            shutil.copytree(root / part, checkout / part, ignore=ignored)
    macro = checkout / "macros" / "adjust" / "forward_adjusted.sql"
    macro.write_text(macro.read_text("utf-8").replace("round(", "1 + round("), "utf-8")
    monkeypatch.setattr("tests.integration.dbt.conftest.PROJECT", checkout / "dbt_project")
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))

    outcome = built("run", *MARTS)

    assert outcome.written["kline_daily_qfq"] == 60
    assert closes(conn, DAYS[0]) == closes(conn, DAYS[29]) == [11, 11]
    assert closes(conn, DAYS[4], table="kline_weekly_qfq") == [11, 11]


def test_full_refresh_mends_in_place_and_drops_nothing(
    conn: psycopg.Connection, built: Dbt
) -> None:
    conn.execute("create schema research")
    conn.execute("create view research.mine as select * from market.kline_daily_qfq")
    conn.execute("create view research.days as select * from market.trading_calendar")
    conn.execute("update market.kline_daily_qfq set close = 1 where trade_date = %s", (DAYS[0],))
    conn.execute("delete from market.kline_daily_qfq where trade_date = %s", (DAYS[1],))
    conn.execute(
        "insert into market.kline_daily_qfq select 'sh1', trade_date, open, high, low, close, "
        "volume_shares, amount_cny, has_inferred_action, is_final from market.kline_daily_qfq "
        "where trade_date = %s and code = 'sh600000'",
        (DAYS[2],),
    )
    relations = [f"market.{t}" for t in (*TABLES_OF_BARS, "adjustment_segments", "changes")]
    before = oids(conn, *relations)

    alone = built("run", "--full-refresh", "-s", "kline_daily_qfq")

    assert alone.written == {"kline_daily_qfq": 4}
    assert conn.execute("select count(*), min(close) from research.mine").fetchone() == (60, 10)
    everything = built("run", "--full-refresh", *MARTS)
    assert everything.success
    assert [n for n in everything.written.values() if n > 0] == []
    assert oids(conn, *relations) == before
    assert conn.execute("select count(*) from research.days").fetchone() == (30,)


def test_a_column_that_is_new_is_added_and_filled(conn: psycopg.Connection, built: Dbt) -> None:
    conn.execute("alter table market.kline_daily_qfq drop column amount_cny")
    before = oids(conn, "market.kline_daily_qfq")

    assert built("run", "--full-refresh", "-s", "kline_daily_qfq").success

    filled = conn.execute("select count(amount_cny) from market.kline_daily_qfq").fetchone()
    assert filled == (60,)
    assert oids(conn, "market.kline_daily_qfq") == before


def test_a_table_that_does_not_fit_says_what_would_go_with_it(
    conn: psycopg.Connection, built: Dbt
) -> None:
    conn.execute("create schema research")
    conn.execute("alter table market.kline_daily_qfq alter column close type double precision")
    conn.execute("create view research.mine as select * from market.kline_daily_qfq")

    refused = built("run", *MARTS)

    assert not refused.success
    for part in ("market.kline_daily_qfq", "column close", "research.mine", "--full-refresh"):
        assert part in refused.error
    assert conn.execute("select count(*) from research.mine").fetchone() == (60,)
    conn.execute("drop view research.mine")
    assert built("run", *MARTS).success
    assert closes(conn, DAYS[0]) == [10, 10]


def test_a_touch_reaches_rows_edited_by_hand(conn: psycopg.Connection, built: Dbt) -> None:
    conn.execute("update raw_tdx.kline_daily set close = 11000, high = 11000")
    assert built("run", "-s", "kline_daily_qfq").written == {"kline_daily_qfq": 0}

    changes.touch(conn, KLINE_DAILY, ["sh600000"], DAYS[20])
    assert built("run", "-s", "kline_daily_qfq").written == {"kline_daily_qfq": 10}
    changes.touch(conn, KLINE_DAILY, since=DAYS[19])
    assert built("run", "-s", "kline_daily_qfq").written == {"kline_daily_qfq": 12}
    conn.execute("truncate raw_tdx.kline_daily")
    touch(conn, "kline_daily")
    assert built("run", *MARTS).success

    for table in TABLES_OF_BARS:
        assert conn.execute(f"select count(*) from market.{table}").fetchone() == (0,), table


def test_a_dump_restored_into_another_cluster_is_read_anew(
    warehouse: Warehouse, conn: psycopg.Connection, built: Dbt
) -> None:
    land(conn, "kline_daily", [bar(CODES[0], DAYS[2], "12")])
    conn.execute("update ops.settings set value = 'another' where key = 'cluster'")

    prepare(warehouse, TABLES)

    for table in ("changes", "change_cursors"):
        assert conn.execute(f"select count(*) from ops.{table}").fetchone() == (0,)
    assert built("run", "-s", "kline_daily_qfq").written == {"kline_daily_qfq": 1}


def test_old_changes_are_folded_up_and_an_idle_cursor_is_forgotten(
    conn: psycopg.Connection, built: Dbt
) -> None:
    conn.execute("truncate ops.changes")
    land_days(conn, DAYS[30:31], "11")
    land(conn, "kline_daily", [bar(CODES[0], DAYS[2], "12")])
    conn.execute("update ops.changes set changed_at = changed_at - interval '31 days'")
    assert built("run", "-s", "trading_calendar").success
    # the bars were taken by nobody yet
    assert len(told(conn, "raw_tdx.kline_daily")) == 3

    assert built("run", *MARTS).success
    assert closes(conn, DAYS[2]) == [12, 10]
    assert built("run", *MARTS).success
    assert told(conn, "raw_tdx.kline_daily") == [("", "{(,)}")]

    conn.execute("update ops.change_cursors set moved_at = moved_at - interval '91 days'")
    conn.execute("update raw_tdx.kline_daily set close = 13000, high = 13000")  # nobody tells
    assert built("run", "-s", "trading_calendar").success
    assert conn.execute("select count(*) from ops.change_cursors").fetchone() == (0,)
    assert built("run", *MARTS).success
    assert closes(conn, DAYS[0]) == [13, 13]


def test_numbers_for_outside_readers_never_skip_a_late_commit(
    warehouse: Warehouse, conn: psycopg.Connection, built: Dbt
) -> None:
    def numbers(since: int) -> list[int]:
        rows = conn.execute(
            "select distinct change_no from market.changes where change_no > %s "
            "and table_name = 'raw_tdx.kline_daily' order by 1",
            (since,),
        )
        return [no for (no,) in rows]

    last = numbers(0)[-1]
    with warehouse.connect() as slow:
        slow.execute("select 1")
        land(slow, "kline_daily", [bar(CODES[0], DAYS[2], "12")])
        land(conn, "kline_daily", [bar(CODES[0], DAYS[3], "12")])
        assert numbers(last) == []  # an older one is in flight
        slow.commit()

    assert len(numbers(last)) == 2
    # and who has seen nearly all reads only what is new, however much is kept
    conn.execute(
        "insert into ops.changes (xid, table_name, key) "
        "select g::text::xid8, t, g::text from generate_series(1, 20000) as g, unnest('{a,b}'::text[]) as t"
    )
    conn.execute("analyze ops.changes")
    for also in ("", " and table_name = 'a'"):
        asked = f"explain select * from market.changes where change_no > 19990{also}"
        steps = " ".join(line for (line,) in conn.execute(asked))
        assert "changes_no_idx" in steps
        assert "Seq Scan" not in steps


def test_the_reader_of_the_how_to_follows_corrections_and_adjustments(
    conn: psycopg.Connection, built: Dbt
) -> None:
    page = (PROJECT.parent / "docs" / "how-to" / "follow-changes.md").read_text("utf-8")
    names: dict[str, Any] = {"psycopg": psycopg, "sqlite3": sqlite3}
    exec(page.split("```python\n")[1].split("```")[0], names)
    copy = sqlite3.connect(":memory:")

    def follow() -> int:
        spans: int = names["follow"](conn, copy)
        stored = conn.execute(
            "select code, trade_date::text, close::text from market.kline_daily_qfq order by 1, 2"
        ).fetchall()
        assert copy.execute("select * from bars order by 1, 2").fetchall() == stored
        return spans

    assert follow() > 0
    assert follow() == 0
    land(conn, "kline_daily", [bar(CODES[0], day, "12") for day in (DAYS[0], DAYS[29])])
    assert built("run", *MARTS).success
    assert follow() == 2
    land(conn, "corporate_action", [action(CODES[1], DAYS[20], cash_per10_yuan="1")])
    conn.execute("delete from raw_tdx.kline_daily where trade_date = %s", (DAYS[3],))
    touch(conn, "kline_daily", *CODES)
    assert built("run", *MARTS).success
    assert follow() > 0


def test_an_event_is_followed_over_the_whole_code(conn: psycopg.Connection, built: Dbt) -> None:
    conn.execute("truncate ops.changes")
    land(conn, "corporate_action", [action(CODES[0], DAYS[20], cash_per10_yuan="1")])

    outcome = built("run", *MARTS)

    assert outcome.written["kline_daily_qfq"] == 20
    [(code, dates)] = told(conn, "market.kline_daily_qfq")
    assert code == CODES[0]
    assert str(dates).startswith(f"{{[{DAYS[0]},")


def test_a_week_ends_for_a_suspended_code_too(conn: psycopg.Connection, dbt: Dbt) -> None:
    land(conn, "security", [security(code) for code in CODES])
    land(conn, "trading_day", [trading_day(day) for day in DAYS[:3]])
    land(conn, "trading_day", [trading_day(day, "exchange_calendar") for day in DAYS])
    land(conn, "kline_daily", [bar(code, DAYS[2], "10") for code in CODES])  # a Wednesday

    def final() -> list[tuple[object, ...]]:
        return conn.execute(
            "select code, is_final from market.kline_weekly_qfq where week_start = %s order by 1",
            (DAYS[0],),
        ).fetchall()

    assert dbt("build", *MARTS).success
    assert final() == [(CODES[0], False), (CODES[1], False)]

    # the first goes on trading, the second does not
    land(conn, "trading_day", [trading_day(day) for day in DAYS[3:5]])
    land(conn, "kline_daily", [bar(CODES[0], day, "10") for day in DAYS[3:5]])
    outcome = dbt("run", *MARTS)
    assert outcome.written["kline_weekly_qfq"] == 2
    assert final() == [(CODES[0], True), (CODES[1], True)]


def test_bars_filled_in_before_a_jump_find_what_a_build_from_nothing_finds(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "security", [security(CODES[0])])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    # with no five bars before it a jump is that of a new listing
    prices = {10: "10", 11: "20", 12: "20", 13: "40"}
    land(conn, "kline_daily", [bar(CODES[0], DAYS[n], price) for n, price in prices.items()])
    assert dbt("build", *MARTS).success

    def findings() -> list[tuple[object, ...]]:
        return conn.execute(
            "select trade_date, evidence from quotemill_intermediate.int_bars__findings "
            "where check_name = 'price_jump' order by 1"
        ).fetchall()

    assert findings() == []
    land(conn, "kline_daily", [bar(CODES[0], day, "10") for day in (*DAYS[1:4], *DAYS[7:9])])
    assert dbt("run", *MARTS).success
    day_by_day = findings()
    assert [day for day, _ in day_by_day] == [DAYS[11], DAYS[13]]

    conn.execute("truncate quotemill_intermediate.int_bars__findings")
    assert dbt("run", "--full-refresh", "-s", "int_bars__findings").success
    assert findings() == day_by_day

    # and without them it is one again
    conn.execute("delete from raw_tdx.kline_daily where trade_date < %s", (DAYS[4],))
    touch(conn, "kline_daily", CODES[0])
    assert dbt("run", *MARTS).success
    assert [day for day, _ in findings()] == [DAYS[13]]
