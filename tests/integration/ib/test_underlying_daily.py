"""Day bars and dividends of underlyings by the simulated gateway."""

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.request import LoadRequest
from loaders.ib.client import ib_client
from loaders.ib.client.history_budget import REQUESTS, HistoryBudget
from loaders.loads import run_load
from loaders.sandbox.ib.dividends import describe, ex_dates, quarterly_amount
from loaders.sandbox.ib.splits import Split
from tests.integration.ib.bench import Bench, bench

UNIVERSE = "symbol,weight,group,enabled,sec_type\nAAPL,9,A,true,\nSPX,8,A,true,IND\n"
DAY = date(2026, 11, 19)
FACTORS = (
    "select trade_date, close, adjusted_close from raw_ib.underlying_daily "
    "where symbol = 'AAPL' order by 1"
)


@pytest.fixture
def market(filled_database: Callable[..., str], tmp_path: Path) -> Iterator[Bench]:
    """A stock, which splits, and an index, whose contracts are known."""
    universe = tmp_path / "universe.csv"
    universe.write_text(UNIVERSE)
    world: dict[str, Any] = {"symbols": ("AAPL", "SPX"), "universe": universe}
    world["splits"] = [Split("AAPL", date(2026, 11, 20), 4)]

    def fill(dsn: str) -> None:
        with bench(dsn, tmp_path / "discovery", **world) as first:
            assert first.load("discover").status == "succeeded"

    dsn = filled_database("a stock and an index", fill)
    with bench(dsn, tmp_path / "home", **world) as made:
        yield made


def test_bars_tell_dividends_by_their_ratio_and_follow_a_split(market: Bench) -> None:
    market.at("2026-11-19T18:15:00")
    assert market.load("daily").exit_code == 0
    stock = market.sandbox.world.stocks["AAPL"]
    rows = market.rows(FACTORS)
    close = Decimal(str(market.sandbox.world.close_price("AAPL", DAY)))
    assert rows[-1] == (DAY, close, close)
    # a step of the ratio is an ex-date
    steps = [
        after[0]
        for before, after in pairwise(rows)
        if abs(before[2] / before[1] - after[2] / after[1]) > Decimal("0.0005")
    ]
    assert steps == ex_dates(stock, rows[1][0], DAY)
    assert len(steps) == 4
    [(past, following, ex_date, amount)] = market.rows(
        "select past_12_months, next_12_months, next_ex_date, next_amount "
        "from raw_ib.underlying_dividends"
    )
    said = f"{past:.2f},{following:.2f},{ex_date:%Y%m%d},{amount:.2f}"
    assert said == describe(stock, DAY)
    assert amount == Decimal(str(quarterly_amount(stock)))
    # an index has a level, and no dividends
    assert market.rows(
        "select count(*) > 200, count(adjusted_close)::int from raw_ib.underlying_daily "
        "where symbol = 'SPX'"
    ) == [(True, 0)]
    # the bars of the day are loaded
    assert market.load("daily").total("rows_new") == 0
    market.at("2026-11-20T18:15:00")
    assert market.load("daily").exit_code == 0
    # by the next morning the bars may be in the shares after a split of that day
    assert market.at("2026-11-23T08:00:00").load("daily").status == "not due"
    split = {day: close for day, close, _ in market.rows(FACTORS)}
    assert split[DAY] == pytest.approx(rows[-1][1] / 4, abs=Decimal("0.001"))


def test_without_history_or_permission_a_symbol_is_left_out(market: Bench) -> None:
    market.at("2026-11-19T18:15:00")
    text = "Historical Market Data Service error message, No market data permissions for NYSE"
    market.sandbox.faults.add(f"history:symbol=AAPL:message={text}")
    done = market.load("daily")
    # no alarm each night for a subscription that is missing
    assert done.exit_code == 0
    assert sum("permissions" in line for line in market.heard.lines) == 1
    assert market.rows("select distinct symbol from raw_ib.underlying_daily") == [("SPX",)]


def test_a_silent_socket_costs_no_dividends(market: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ib_client, "SIGN_OF_LIFE", 0.5)
    market.sandbox.faults.add("stall:at=quotes")
    done = market.at("2026-11-19T18:15:00").with_settings(quote_timeout=0.5).load("daily")
    assert (done.exit_code, done.warnings) == (0, ())
    assert market.rows("select symbol from raw_ib.underlying_dividends") == [("AAPL",)]


def test_a_retry_on_a_later_day_dates_no_bars_back(market: Bench) -> None:
    """By the next day the bars may be in the shares after a split, as here they are."""
    failing = market.sandbox.faults.add("history:symbol=AAPL")
    failed = market.at("2026-11-19T18:15:00").load("daily")
    assert failed.exit_code == 6
    market.sandbox.faults.remove(failing)
    request = LoadRequest("ib", mode="incremental")
    whys = {
        "2026-11-20T08:00:00": "are final at 18:00 in New York",
        "2026-11-20T18:15:00": "as of 2026-11-19 are no longer available",
    }
    for clock, why in whys.items():
        market.at(clock)
        retried = run_load(
            market.settings, request, market.heard, retry=True, retry_job=failed.job_id
        )
        assert retried.exit_code == 0
        assert why in retried.warnings[0]
        assert market.rows(FACTORS) == []
    assert market.load("daily").exit_code == 0
    assert market.rows(
        "select distinct adjusted_as_of::text from raw_ib.underlying_daily where symbol = 'AAPL'"
    ) == [("2026-11-20",)]


def test_requests_wait_for_the_service() -> None:
    budget = HistoryBudget()
    assert all(budget.take(2) for _ in range(REQUESTS // 2))
    assert not budget.take()
    assert 590 < budget.seconds_until(1) <= 600
