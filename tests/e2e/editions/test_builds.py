"""All editions have the same rows in the same objects at every build, by any command."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.engine.progress import Silent
from loaders.settings import load_settings
from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from orchestration.run.build import build
from tests.conftest import DBT_DATABASE
from tests.dbt_parse import PROJECT, Parsed
from tests.integration.dbt import raw
from tests.integration.dbt.conftest import NO_TESTS

DAYS = raw.weekdays(date(2024, 5, 27), 8)  # over the border of two chunks
CODES = ("sh600000", "sz000002")
SCHEMAS = ["raw_tdx", "market", "quotemill_staging", "quotemill_intermediate"]
# what only a test of the market reads, as our command selects it for that
SELECTED = ("--select", "+path:models/marts/market", "int_index_bars__findings", *NO_TESTS)
COMPRESS = """
    select compress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass)
    from timescaledb_information.chunks where hypertable_schema in ('raw_tdx', 'market')
"""
Rows = dict[str, list[str]]


def noon(day: date, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day} {clock}+08:00")


def first_days(conn: psycopg.Connection) -> None:
    raw.land(conn, "security", [raw.security(code) for code in CODES])
    raw.land(conn, "trading_day", [raw.trading_day(day) for day in DAYS[:6]])
    raw.land(conn, "kline_daily", [raw.bar(code, day, "10") for code in CODES for day in DAYS[:6]])
    raw.land(conn, "corporate_action", [raw.action(CODES[0], DAYS[3], cash_per10_yuan="1.3")])
    ends = [end for day in DAYS[3:6] for end in raw.session_minutes(day)]
    raw.land(
        conn, "kline_minute", [raw.minute(code, end, "10") for code in CODES for end in ends[:-60]]
    )
    # a day with both labels of noon
    raw.land(conn, "kline_minute", [raw.minute(CODES[0], noon(DAYS[4], "13:00"), "10.5")])


def late_and_corrected(conn: psycopg.Connection) -> None:
    late = [
        raw.minute(code, end, "11") for code in CODES for end in raw.session_minutes(DAYS[5])[-60:]
    ]
    raw.land(conn, "kline_minute", late)
    raw.land(
        conn, "kline_minute", [raw.minute(CODES[1], noon(DAYS[3], "09:33"), "12", amount=None)]
    )
    raw.land(
        conn, "kline_daily", [raw.bar(CODES[1], DAYS[1], "9.5"), raw.bar(CODES[0], DAYS[0], "10.2")]
    )
    raw.land(conn, "corporate_action", [raw.action(CODES[1], DAYS[5], bonus_total_per10="2")])


def gone_and_new(conn: psycopg.Connection) -> None:
    gone = (noon(DAYS[4], "10:01"), noon(DAYS[4], "10:05"))
    conn.execute(
        "delete from raw_tdx.kline_minute where code = %s and bar_end between %s and %s",
        (CODES[1], *gone),
    )
    raw.touch(conn, "kline_minute", CODES[1])
    raw.land(conn, "trading_day", [raw.trading_day(day) for day in DAYS[6:]])
    raw.land(conn, "kline_daily", [raw.bar(code, day, "8.8") for code in CODES for day in DAYS[6:]])
    ends = [end for day in DAYS[6:] for end in raw.session_minutes(day)]
    raw.land(conn, "kline_minute", [raw.minute(CODES[0], end, "8.8") for end in ends])


def contents(conn: psycopg.Connection) -> Rows:
    """The rows of every relation of the market, except the feed, which holds times."""
    names = conn.execute(
        "select relname from pg_class where relnamespace = 'market'::regnamespace "
        "and relkind in ('r', 'p', 'v', 'm') and relname <> 'changes' order by 1"
    ).fetchall()
    return {
        name: [
            row
            for (row,) in conn.execute(f"select row(t.*)::text from market.{name} as t order by 1")
        ]
        for (name,) in names
    }


def objects(conn: psycopg.Connection, edition: str) -> list[tuple[Any, ...]]:
    """What the builds made, each with its oid, and the policies, each with its number."""
    made = conn.execute(
        "select relnamespace::regnamespace::text, relname, relkind, oid from pg_class "
        "where relnamespace::regnamespace::text = any(%s) order by 1, 2",
        (SCHEMAS,),
    ).fetchall()
    if edition != "none":
        made += conn.execute(
            "select hypertable_schema::text, hypertable_name, proc_name, job_id "
            "from timescaledb_information.jobs where hypertable_name is not null order by 4"
        ).fetchall()
    return made


@pytest.fixture
def played(
    database_of: Callable[..., str],
    parsed: Parsed,
    monkeypatch: pytest.MonkeyPatch,
    quick_builds: None,
    tmp_path: Path,
) -> Callable[..., list[Rows]]:
    """Play the steps on an edition with builds by both commands, which find the same objects.

    Returns the rows after each step.
    """

    def play(edition: str, is_daily: bool = False) -> list[Rows]:
        home = tmp_path / edition
        home.mkdir()
        made = Parsed.prepared(database_of(edition, DBT_DATABASE), home)
        prepare(made, landed_tables(), {"timescale_daily": str(is_daily).lower()})
        environment = {"QUOTEMILL_WAREHOUSE_URL": made.url, "QUOTEMILL_HOME": str(home)}
        settings = load_settings(environment, cwd=home)

        def plain_dbt() -> None:
            outcome = parsed.commands(made, monkeypatch)("build", *SELECTED)
            assert outcome.success, outcome.error

        def quotemill() -> None:
            result = build(settings, made, Silent, arguments=SELECTED)
            assert result is not None
            assert result.succeeded, result.failures

        after, first = list[Rows](), list[Any]()
        with made.connect(autocommit=True) as conn:
            for step, commands in (
                (first_days, (plain_dbt, quotemill)),
                (late_and_corrected, (quotemill,)),
                (gone_and_new, (plain_dbt,)),
            ):
                step(conn)
                for command in commands:
                    command()
                    first = first or objects(conn, edition)
                    assert objects(conn, edition) == first
                kind = conn.execute("select relkind from pg_class where relname = 'kline_5m'")
                assert kind.fetchall() == [("v" if edition == "tsl" else "r",)]
                days = "select count(*) from show_chunks('market.kline_daily_qfq')"
                if is_daily:
                    assert conn.execute(days).fetchone() == (1,)
                if edition == "tsl":
                    conn.execute(COMPRESS)
                after.append(contents(conn))
        return after

    return play


@pytest.mark.parametrize("is_daily", [False, pytest.param(True, marks=pytest.mark.soak)])
@pytest.mark.parametrize("edition", ["apache", "tsl"])
def test_both_editions_make_the_rows_and_objects_of_plain_postgresql(
    edition: str, is_daily: bool, played: Callable[..., list[Rows]]
) -> None:
    theirs, plain = played(edition, is_daily), played("none")

    assert theirs == plain
    layers = [PROJECT / "models" / layer / "market" for layer in ("core", "marts")]
    models = {model.stem for layer in layers for model in layer.glob("*.sql")}
    assert plain[0].keys() == models - {"changes"}
    assert [len(rows["kline_5m"]) for rows in plain] == [264, 288, 383]
