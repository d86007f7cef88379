"""Bars of minutes inside the day: what lands after a build is in them on reading."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.databases import EDITIONS
from tests.dbt_parse import Dbt
from tests.integration.dbt.editions.aggregates import (
    AGAIN,
    BARS,
    BUILD,
    DAYS,
    materialized,
    one_day,
    policies,
)
from tests.integration.dbt.editions.hypertables import make_hypertable
from tests.integration.dbt.raw import bar, land, minute, session_minutes
from tests.integration.dbt.test_rollups import Stored, assert_built, built, expected

CODES = ("sh600000", "sz000002")
ENDS = session_minutes(DAYS[2])


@pytest.fixture
def edition() -> str:
    """The one with continuous aggregates."""
    return "tsl"


@pytest.fixture
def stored(edition: str, conn: psycopg.Connection, dbt: Dbt) -> Stored:
    """Two days, and the first minutes of a third, which runs while all is built."""
    if edition != "none":
        make_hypertable(conn)
    made = Stored(conn, {})
    made.land(row for day in DAYS[:2] for row in one_day(day, *CODES))
    made.land(minute(CODES[0], end, "10", is_final=False) for end in ENDS[:2])
    dbt(*BUILD)
    assert_built(conn, made.rows)
    return made


@pytest.mark.parametrize("edition", EDITIONS)
def test_minutes_after_a_build_in_the_session_are_in_its_bars(
    edition: str, stored: Stored, conn: psycopg.Connection, dbt: Dbt
) -> None:
    stored.land(minute(CODES[0], end, "11", is_final=False) for end in ENDS[2:100])
    stored.land(minute(CODES[1], end, "11", is_final=False) for end in ENDS[:7])
    if edition == "tsl":
        for length in (5, 15, 30):
            assert built(conn, length) == expected(stored.rows, length)
    dbt(*AGAIN)
    assert_built(conn, stored.rows)

    stored.land(minute(CODES[0], end, "12") for end in ENDS)
    dbt(*AGAIN)

    assert_built(conn, stored.rows)
    if edition == "tsl":
        assert materialized(conn) == DAYS[:3]


def test_a_day_that_stays_provisional_is_stored_with_the_next(
    stored: Stored, conn: psycopg.Connection, dbt: Dbt
) -> None:
    for _ in range(2):  # and a build without news
        assert materialized(conn) == DAYS[:2]
        dbt(*AGAIN)

    stored.land(one_day(DAYS[3], CODES[1]))
    dbt(*AGAIN)

    assert_built(conn, stored.rows)
    assert materialized(conn) == DAYS[:4]


def test_a_final_day_bar_ends_a_day_of_provisional_minutes(
    stored: Stored, conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "kline_daily", [bar(CODES[1], DAYS[2], "10", is_final=False)])
    dbt(*AGAIN)
    assert materialized(conn) == DAYS[:2]

    land(conn, "kline_daily", [bar(CODES[1], DAYS[2], "10")])
    dbt(*AGAIN)

    assert materialized(conn) == DAYS[:3]
    assert_built(conn, stored.rows)


def test_a_running_day_that_was_stored_already_is_refreshed(
    stored: Stored, conn: psycopg.Connection, dbt: Dbt
) -> None:
    """As a build of an earlier version left it, or a person's refresh."""
    for name in BARS:
        conn.execute(f"call refresh_continuous_aggregate('market.{name}', null, null)".encode())
    stored.land(minute(CODES[0], end, "11", is_final=False) for end in ENDS[1:90])
    assert materialized(conn) == DAYS[:3]
    assert built(conn, 5) != expected(stored.rows, 5)

    dbt(*AGAIN)

    assert_built(conn, stored.rows)


def test_the_refresh_policy_leaves_the_day_that_runs(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    make_hypertable(conn)
    dbt(*BUILD)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    # today at the next midnight too, if this runs into it
    ends = [midnight + timedelta(days=days, hours=2) for days in (-3, -2, 1)]
    land(conn, "kline_minute", [minute(CODES[0], end, "10", is_final=False) for end in ends])
    [job] = [
        row[0] for row in policies(conn) if row[1].startswith("policy_r") and row[2] == BARS[0]
    ]

    conn.execute(f"call run_job({job})".encode())

    assert materialized(conn) == [end.date() for end in ends[:2]]


def test_a_retention_policy_of_the_server_takes_no_bars(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    make_hypertable(conn)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    ends = [midnight + timedelta(days=days, hours=2) for days in (-6, -5, -1)]
    land(conn, "kline_minute", [minute(CODES[0], end, "10") for end in ends])
    dbt(*BUILD)
    [(dropping,)] = conn.execute(
        "select add_retention_policy('raw_tdx.kline_minute', interval '3 days')"
    )
    dbt(*BUILD)

    conn.execute(f"call run_job({dropping})".encode())
    assert conn.execute("select count(*) from raw_tdx.kline_minute").fetchone() == (1,)
    refreshes = [row[0] for row in policies(conn) if row[1].startswith("policy_r")]
    for job in refreshes:
        conn.execute(f"call run_job({job})".encode())
    dbt(*BUILD)

    for name in BARS:
        rows = conn.execute(f"select bar_end::date from market.{name} order by 1".encode())
        assert [day for (day,) in rows] == [end.date() for end in ends]

    conn.execute("select remove_retention_policy('raw_tdx.kline_minute')")
    conn.execute("select add_retention_policy('raw_tdx.kline_minute', interval '1 day')")
    refused = dbt.fails(*BUILD)
    assert refused.refuses("raw_tdx.kline_minute is dropped after 1 day", "remove_retention")
