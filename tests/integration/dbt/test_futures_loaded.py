"""Rows loaded from the simulated futures servers build a schedule without findings."""

import importlib.util
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.sandbox.tq.world import World
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.tq.bench import bench
from tests.requirements import require

# all is built; the tests land rows and build the tables
pytestmark = MODELS
TABLES = (
    "run",
    "-s",
    "path:models/core/futures,config.materialized:followed",
    "path:models/marts/futures,config.materialized:followed",
)
FINDINGS = "select severity, check_name, subject, trade_date, evidence from qa.findings"


@pytest.mark.long
def test_a_loaded_schedule_equals_the_servers_and_ticks_cover_it(
    conn: psycopg.Connection, warehouse: Warehouse, dbt: Dbt, tmp_path: Path
) -> None:
    present = importlib.util.find_spec("tqsdk") is not None
    require("tq", present, "the extra tq is not installed")
    world = World(
        ("SHFE.cu",),
        first=date(2025, 10, 14),
        end=date(2025, 10, 22),
        ticks_per_day=100,
        default_ticks=100,
    )

    def rows(query: str) -> list[tuple[Any, ...]]:
        return conn.execute(query.encode()).fetchall()

    with bench(world, warehouse.url, tmp_path / "home") as made:
        conn.execute(f"set quotemill.as_of = '{made.sandbox.clock}+08'".encode())
        assert made.load().status == "succeeded"
        dbt(*TABLES)

        served = [day for day in made.sandbox.schedule("SHFE.cu") if day[1] is not None]
        built = rows(
            "select trading_day, underlying_contract from futures.main_schedule order by 1"
        )
        assert built == served
        assert {row[0] for row in rows("select coverage from futures.tick_coverage")} == {"missing"}
        assert [row for row in rows(FINDINGS) if row[0] != "info"] == []

        assert made.load("ticks").status == "succeeded"

    assert rows("select coverage, count(*) from futures.tick_coverage group by 1") == [
        ("complete", 7)
    ]
    counts = rows(
        "select trading_day_count, present_count, missing_count, ticks_total > 0, first_l5_day, "
        "l5_count "
        "from futures.tick_coverage_by_variety"
    )
    assert counts == [(7, 7, 0, True, world.first, 7)]
    assert [row for row in rows(FINDINGS) if row[0] != "info"] == []
    fresh = (
        "select dataset, is_stale from qa.freshness "
        "where dataset in ('main_events', 'ticks') order by 1"
    )
    assert rows(fresh) == [("main_events", False), ("ticks", False)]
    # the one switch by the servers, by the closes that were loaded
    [(before, after)] = [
        (day, following) for day, following in pairwise(served) if day[1] != following[1]
    ]
    assert rows(
        "select r.trading_day, r.price_day, r.prev_contract, r.underlying_contract, "
        "r.price_step = n.close - o.close, r.back_adjust_step = r.price_step "
        "from futures.roll_gaps as r "
        "join raw_tq.contract_daily as o on (o.contract, o.trade_date) = (r.prev_contract, "
        "r.price_day) "
        "join raw_tq.contract_daily as n "
        "on (n.contract, n.trade_date) = (r.underlying_contract, r.price_day)"
    ) == [(after[0], before[0], before[1], after[1], True, True)]
    # the newest day's own price is published an hour after this load
    settled = rows(
        "select trading_day, settlement_price is null, prev_settlement_price is null "
        "from futures.main_daily order by 1"
    )
    first, last = served[0][0], served[-1][0]
    assert settled == [(day, day == last, day == first) for day, _ in served]
    # of the day's quotes; two sources agree on the settlement price before, or it is a finding
    assert rows(
        "select distinct t.trading_day, t.variety from futures.contract_daily_terms as t "
        "join futures.main_daily as d on d.underlying_contract = t.contract "
        "and d.trading_day = t.trading_day "
        "where d.prev_settlement_price = t.prev_settlement_price and t.margin_cny_per_lot > 0"
    ) == [(last, "SHFE.cu")]
    by_oi = rows("select trading_day from futures.main_schedule_by_oi order by 1")
    assert {day for (day,) in by_oi} >= {day for day, _ in served[1:]}
