"""The bars of minutes are the same on every edition, as tables and as continuous aggregates."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from threading import Event
from types import SimpleNamespace
from typing import Any

import jinja2
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import QueryCanceled

from loaders.trading_time import SHANGHAI
from quotemill.warehouse.postgres import Warehouse
from tests.conftest import ROOT
from tests.databases import EDITIONS
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import wait_for_others
from tests.integration.dbt.editions.aggregates import (
    BARS,
    BUILD,
    DAYS,
    content,
    continuous,
    materialized,
    one_day,
    policies,
)
from tests.integration.dbt.editions.hypertables import make_hypertable
from tests.integration.dbt.raw import land, minute, session_minutes
from tests.integration.dbt.test_rollups import Stored, assert_built
from tests.integration.dbt.two_codes import oids


@pytest.fixture
def edition() -> str:
    """The one with continuous aggregates."""
    return "tsl"


@pytest.mark.long
@pytest.mark.parametrize("edition", EDITIONS)
def test_bars_are_those_of_their_minutes_on_every_edition(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    if edition != "none":
        make_hypertable(conn)
    stored = Stored(conn, {})
    codes = ("sh600000", "sz000002", "sh510300")
    for day in DAYS[:4]:
        stored.land(minute(code, end, "10") for code in codes for end in session_minutes(day)[:9])
    stored.land([minute(codes[0], datetime(2024, 6, 4, 13, tzinfo=SHANGHAI), "11")])
    stored.land([minute(codes[0], datetime(2024, 6, 4, 11, 30, tzinfo=SHANGHAI), "10.5")])
    dbt(*BUILD)
    assert_built(conn, stored.rows)
    if edition == "tsl":
        assert continuous(conn) == sorted(f"market.{name}" for name in BARS)
    conn.execute("create view public.mine as select * from market.kline_5m where close > 10")
    before = oids(conn, *(f"market.{name}" for name in BARS))

    # late, corrected, known by the price alone, gone, and a new day; then nothing; then everything
    stored.land([minute(codes[1], session_minutes(DAYS[1])[20], "9")])
    stored.land([minute(codes[2], end, "12") for end in session_minutes(DAYS[0])[:9]])
    stored.land([minute(codes[2], session_minutes(DAYS[2])[100], "12") | {"amount": None}])
    stored.delete([key for key in stored.rows if key[0] == codes[0] and key[1].day == DAYS[2].day])
    stored.land(minute(code, end, "10") for code in codes for end in session_minutes(DAYS[4])[:7])
    for arguments in ((), (), ("--full-refresh",)):
        dbt(*BUILD, *arguments)
        assert_built(conn, stored.rows)
    assert oids(conn, *(f"market.{name}" for name in BARS)) == before
    assert conn.execute("select count(*) from public.mine").fetchone() != (0,)


def recorded_changes(conn: psycopg.Connection, number: int) -> list[tuple[Any, ...]]:
    """Changes of the five-minute bars after `number`, by number."""
    return conn.execute(
        "select xid::text::bigint, key, dates::text from ops.changes "
        "where table_name = 'market.kline_5m' and xid::text::bigint > %s order by 1, 2",
        (number,),
    ).fetchall()


@pytest.mark.parametrize(
    ("edition", "chunk"),
    [("apache", "36 hours"), ("tsl", "1 hour"), ("tsl", "36 hours"), ("tsl", "30 days")],
)
def test_bars_follow_minutes_in_chunks_of_any_span(
    edition: str, chunk: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    make_hypertable(conn)
    conn.execute(f"select set_chunk_time_interval('raw_tdx.kline_minute', interval '{chunk}')")
    stored = Stored(conn, {})
    stored.land(row for day in DAYS[:4] for row in one_day(day, "sh600000", "sz000002"))
    dbt(*BUILD)
    assert_built(conn, stored.rows)
    if edition == "tsl":
        assert materialized(conn) == DAYS[:4]

    stored.delete([key for key in stored.rows if key[1].date() == DAYS[0]][:7])
    stored.land([minute("sh600000", session_minutes(DAYS[1])[3], "11")])
    dbt(*BUILD)

    assert_built(conn, stored.rows)


def test_a_refresh_cut_short_is_repeated(built: Stored, conn: psycopg.Connection, dbt: Dbt) -> None:
    number = recorded_changes(conn, 0)[-1][0]
    cursors = "select reader, seen::text from ops.change_cursors order by 1"
    before = conn.execute(cursors).fetchall()
    built.land(minute("sh600000", session_minutes(DAYS[0])[n], "11") for n in range(3))
    # a stand-in for a kill between the commit and the refresh
    conn.execute("alter procedure refresh_continuous_aggregate rename to away")
    failed = dbt.fails("run", "-s", "kline_5m")
    assert "refresh_continuous_aggregate" in failed.error
    assert conn.execute(cursors).fetchall() == before
    assert recorded_changes(conn, number) == []
    conn.execute("alter procedure away rename to refresh_continuous_aggregate")

    dbt(*BUILD)

    assert_built(conn, built.rows)
    assert [row[1:] for row in recorded_changes(conn, number)] == [
        ("sh600000", "{[2024-06-03,2024-06-04)}")
    ]


def test_a_first_refresh_cut_short_is_repeated_over_all_history(
    built: Stored, conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute("drop materialized view market.kline_5m cascade")
    conn.execute("alter procedure refresh_continuous_aggregate rename to away")
    dbt.fails("run", "-s", "kline_5m")
    conn.execute("alter procedure away rename to refresh_continuous_aggregate")
    built.land(minute("sh600000", session_minutes(DAYS[-1])[n], "11") for n in range(3))

    dbt(*BUILD)

    assert_built(conn, built.rows)


def test_policies_exist_once_and_match_the_settings(
    built: Stored, conn: psycopg.Connection, dbt: Dbt
) -> None:
    before = policies(conn)
    assert [row[1] for row in before].count("policy_refresh_continuous_aggregate") == 3
    assert [row[1] for row in before].count("policy_compression") == 3
    dbt(*BUILD)
    assert policies(conn) == before

    # as an earlier version left it
    conn.execute(f"comment on table {content(conn, 'kline_5m')} is 'other settings'")
    conn.execute("call remove_columnstore_policy('market.kline_5m')")
    dbt(*BUILD)
    assert sorted(row[1:3] for row in policies(conn)) == sorted(row[1:3] for row in before)


def test_a_refresh_waits_for_the_policy(
    built: Stored, conn: psycopg.Connection, warehouse: Warehouse, dbt: Dbt
) -> None:
    """A stand-in for the server's own, by its name."""
    [name] = [
        row[-1] for row in policies(conn) if row[1].startswith("policy_r") and row[2] == BARS[0]
    ]
    built.land(minute("sh600000", session_minutes(DAYS[0])[n], "11") for n in range(3))
    ended = Event()
    sleeps = (
        "select 1 from pg_stat_activity "
        "where wait_event = 'PgSleep' and datname = current_database()"
    )

    def end_when_awaited(refreshing: psycopg.Connection) -> bool:
        while not ended.is_set():
            if conn.execute(sleeps).fetchone():
                refreshing.close()
                return True
        return False

    with (
        warehouse.connect(application_name=name) as refreshing,
        ThreadPoolExecutor(1) as other,
    ):
        awaited = other.submit(end_when_awaited, refreshing)
        try:
            outcome = dbt("run", "-s", "kline_5m")
        finally:
            ended.set()

    assert outcome.success, outcome.error
    assert awaited.result()
    dbt(*BUILD)
    assert_built(conn, built.rows)


@pytest.mark.parametrize("edition", ["apache"])
def test_a_refresh_waits_for_that_of_a_writer_alone(
    edition: str, conn: psycopg.Connection, warehouse: Warehouse
) -> None:
    macro = (ROOT / "macros" / "timescale" / "wait_for_refresh.sql").read_text("utf-8")
    bars = SimpleNamespace(schema="market", identifier="kline_5m")
    made: Any = jinja2.Template(macro).module
    wait = made.wait_for_refresh(bars, "its.rows")
    conn.execute("create role stranger login")
    refresh = b"select pg_sleep(300) -- call refresh_continuous_aggregate('\"kline_5m\"')"
    sleeping = "select 1 from pg_stat_activity where pid = %s and wait_event = 'PgSleep'"
    conn.execute("set statement_timeout = '1s'")
    other = make_conninfo(warehouse.url, user="stranger")
    with warehouse.connect() as writer, psycopg.connect(other) as stranger:
        for session, is_awaited in ((stranger, False), (writer, True)):
            session.pgconn.send_query(refresh)
            while not conn.execute(sleeping, (session.info.backend_pid,)).fetchone():
                pass
            with pytest.raises(QueryCanceled) if is_awaited else nullcontext():
                conn.execute(wait)
        for session in (stranger, writer):
            conn.execute("select pg_terminate_backend(%s, 10000)", (session.info.backend_pid,))
            session.close()
    conn.execute(wait)
    conn.execute("drop role stranger")


def test_one_new_day_writes_and_reads_the_same_at_four_times_the_history(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    make_hypertable(conn)
    stored = Stored(conn, {})
    counts = []
    for days in (DAYS[:3], DAYS[3:]):
        stored.land(row for day in days[:-1] for row in one_day(day, "sh600000", "sz000002"))
        dbt(*BUILD)
        stored.land(one_day(days[-1], "sh600000", "sz000002"))
        before = touched(conn)
        dbt(*BUILD)
        after = touched(conn)
        counts.append({name: after[name] - before[name] for name in after})
    assert_built(conn, stored.rows)
    assert counts[0] == counts[1]
    assert counts[0]["written"] == 2 * (2 + 1 + 1)
    assert counts[0]["read"] > 0


def touched(conn: psycopg.Connection) -> dict[str, int]:
    """Rows written into continuous aggregates and read from landed minutes."""

    wait_for_others(conn)
    [(written, read)] = conn.execute(
        "select coalesce(sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del) "
        "filter (where c.hypertable_name like '_materialized%'), 0)::integer, "
        "coalesce(sum(s.seq_tup_read + coalesce(s.idx_tup_fetch, 0)) "
        "filter (where c.hypertable_name = 'kline_minute'), 0)::integer "
        "from pg_stat_user_tables as s inner join timescaledb_information.chunks as c "
        "on (s.schemaname, s.relname) = (c.chunk_schema, c.chunk_name)"
    )
    return {"written": written, "read": read}


COLUMNS = [
    ("code", "text"),
    ("bar_end", "timestamp with time zone"),
    ("trade_date", "date"),
    *((price, "numeric(18,3)") for price in ("open", "high", "low", "close")),
    ("volume_shares", "bigint"),
    ("amount_cny", "numeric(20,3)"),
    ("bar_count", "integer"),
    ("is_price_only", "boolean"),
    ("is_final", "boolean"),
    ("source_minutes", "smallint"),
]


@pytest.mark.parametrize("edition", ["none", "tsl"])
def test_readers_find_the_same_columns_comments_and_rights(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    if edition == "tsl":
        make_hypertable(conn)
    # a role that every server has, and that may read nothing of ours
    conn.execute("update ops.settings set value = 'pg_checkpoint' where key = 'reader_role'")
    dbt(*BUILD)

    for name in BARS:
        columns = conn.execute(
            "select attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) "
            "<> '' "
            "from pg_attribute where attrelid = %s::regclass and attnum > 0 order by attnum",
            (f"market.{name}",),
        ).fetchall()
        assert columns == [(*column, True) for column in COLUMNS]
        [(comment, readable)] = conn.execute(
            "select obj_description(%(name)s::regclass, 'pg_class'), "
            "has_table_privilege('pg_checkpoint', %(name)s, 'select')",
            {"name": f"market.{name}"},
        )
        assert comment.startswith("One row per code and bar of")
        assert readable


def test_a_corrected_day_of_very_many_compressed_bars_is_refreshed(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    make_hypertable(conn)
    # both days in each batch of a compressed chunk
    ends = [end for day in DAYS[:2] for end in session_minutes(day)[::5]]
    codes = [f"sh{number}" for number in range(600000, 601100)]
    conn.execute(
        "insert into raw_tdx.kline_minute (code, bar_end, trade_date, source_label, open, high, "
        "low, close, "
        "volume, amount, route_no, file_no, fetched_at, is_final) select code, bar_end, "
        "bar_end::date, '', 10000, "
        "10000, 10000, 10000, 10, 10000000, 1, 1, now(), true "
        "from unnest(%s::text[]) as code, unnest(%s::timestamptz[]) as bar_end",
        (codes, ends),
    )
    build = ("run", "-s", "+kline_5m")
    dbt(*build)
    conn.execute(
        "select compress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass) "
        "from timescaledb_information.chunks where hypertable_name like '_materialized%'"
    )
    land(conn, "kline_minute", [minute(codes[0], ends[0], "12")])

    dbt(*build)
    assert conn.execute(
        "select count(*), count(*) filter (where close = 12) from market.kline_5m"
    ).fetchone() == (len(codes) * len(ends), 1)
