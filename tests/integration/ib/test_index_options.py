"""Options of indices over the expiration of November 2026, by the simulated gateway."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from loaders.ib.check import check
from loaders.ib.client.gateway import open_gateway
from loaders.ib.queries.landed import read_chains
from tests.integration.ib.bench import Bench, bench, new_york

UNIVERSE = "symbol,weight,group,enabled,sec_type\nSPX,9,A,true,IND\nVIX,8,A,true,IND\n"
THURSDAY, FRIDAY = date(2026, 11, 19), date(2026, 11, 20)


@pytest.fixture
def market(new_database: Callable[[], str], tmp_path: Path) -> Iterator[Bench]:
    universe = tmp_path / "universe.csv"
    universe.write_text(UNIVERSE)
    clock = "2026-11-19T09:25:00"
    symbols = ("SPX", "VIX")
    with bench(
        new_database(), tmp_path / "home", symbols=symbols, clock=clock, universe=universe
    ) as prepared:
        yield prepared


def planned(market: Bench, day: date) -> list[tuple[str, date]]:
    """Classes and last days of trading of a session's set."""
    return market.rows(
        "select distinct c.trading_class, c.expiry from raw_ib.session_contract as s "
        "join raw_ib.contract as c using (conid) where s.trade_date = %s order by 1, 2",
        day,
    )


@pytest.mark.soak
def test_classes_that_settle_at_the_open_leave_after_their_last_day(market: Bench) -> None:
    """Thursday is the last day of SPX, Friday that of SPXW; each slot of both days is whole."""
    assert market.load("discover").status == "succeeded"
    terms = market.rows(
        "select distinct trading_class, expiry, expiration_date, settlement, expires_at, "
        "trades_until from raw_ib.contract where expiry < '2026-12-01' order by 1, 2"
    )
    assert terms == [
        ("SPX", THURSDAY, FRIDAY, "AM", new_york("2026-11-20T09:30"), "16:15"),
        ("SPXW", FRIDAY, FRIDAY, "PM", new_york("2026-11-20T16:00"), "16:15"),
    ]
    assert market.rows("select symbol, sec_type, exchange from raw_ib.underlying order by 1") == [
        ("SPX", "IND", "CBOE"),
        ("VIX", "IND", "CBOE"),
    ]
    december = [
        ("SPX", date(2026, 12, 17)),
        ("SPXW", FRIDAY),
        ("SPXW", date(2026, 12, 18)),
        ("SPXW", date(2026, 12, 31)),
        ("VIX", date(2026, 12, 15)),
    ]
    far = [("SPX", date(2027, 1, 14)), ("SPXW", date(2027, 1, 15))]
    listed = sorted([*december, *far, ("SPX", THURSDAY)])
    assert planned(market, THURSDAY) == listed
    for day in (THURSDAY, FRIDAY):
        market.at(f"{day}T09:25:00")
        if day == FRIDAY:
            assert market.load("discover").status == "succeeded"
            within_60_days = ("VIX", date(2027, 1, 19))
            assert planned(market, FRIDAY) == sorted([*december, *far, within_60_days])
        market.at(f"{day}T09:29:00")
        assert market.load("snapshot", run_day="true").exit_code == 0
        assert market.at(f"{day}T17:00:00").load("close").exit_code == 0
    runs = market.rows(
        "select trade_date, symbol, ingest_run_type, count(*)::int, bool_and(status = 'complete') "
        "from raw_ib.slot_run group by 1, 2, 3"
    )
    assert sorted((day, symbol, kind, count) for day, symbol, kind, count, _ in runs) == [
        (day, symbol, kind, count)
        for day in (THURSDAY, FRIDAY)
        for symbol in ("SPX", "VIX")
        for kind, count in (("close", 1), ("intraday", 14))
    ]
    assert all(is_complete for *_, is_complete in runs)
    # the morning after: what has expired since has no open interest to come
    market.at("2026-11-20T07:30:00")
    assert market.load("enrich").exit_code == 0
    attempts = market.rows(
        "select symbol, expired > 0, failed, status from raw_ib.enrichment order by 1"
    )
    assert attempts == [("SPX", True, 0, "complete"), ("VIX", False, 0, "complete")]


def test_an_index_has_a_level_and_no_bid(market: Bench) -> None:
    assert market.load("discover").status == "succeeded"
    market.at("2026-11-19T16:00:05")
    market.sandbox.log.clear()
    assert market.load("snapshot", slot="now").exit_code == 0
    rows = market.rows(
        "select bool_and(und_last > 0 and und_bid is null and und_ask is null), "
        "bool_and(bid is not null and ask is not null and iv is not null), "
        "string_agg(distinct data_quality_flag, ' ') from raw_ib.chain_snapshot"
    )
    assert rows[0][:2] == (True, True)
    assert not {"missing_price", "underlying_stale", "snapshot_error"} & set(rows[0][2].split(","))
    # an index is requested where it is quoted; SMART would refuse it
    places = {
        entry.fields[10]
        for entry in market.sandbox.asked("reqMktData")
        if entry.fields[3] in ("416904", "13455763")
    }
    assert places == {"CBOE"}
    assert check(market.settings, new_york("2026-11-19T16:00")).verdict == "ok"


def test_options_of_an_index_trade_until_a_quarter_past_the_close(market: Bench) -> None:
    """But those that settle at a close only until then."""
    assert market.at("2026-11-20T09:25:00").load("discover").status == "succeeded"
    market.at("2026-11-20T16:10:00")
    with market.connect() as conn:
        (chain,) = read_chains(conn, FRIDAY, ["SPX"]).values()
    with open_gateway(market.settings.ib) as gateway:
        quotes = gateway.quotes(chain.contracts, 1)
    assert {(q.contract.expiry == FRIDAY, q.bid is not None) for q in quotes} == {
        (True, False),
        (False, True),
    }
