"""Counts of the exchanges: two calls for all of them, and what is left if one fails."""

from types import SimpleNamespace
from typing import Any

from loaders.engine.outcome import Outcome, SourceGone, records
from loaders.engine.window import Window
from loaders.landing.screening import screen
from loaders.tdx.client.answers_quotes import Counts
from loaders.tdx.datasets import market_stats_snapshot
from loaders.tdx.tables import MARKET_STATS
from quotemill.errors import UpstreamError
from tests.unit.tdx.fake_context import fake_context
from tests.unit.tdx.test_quotes import BEGAN, FRIDAY

EXCHANGES = ("sh", "sz", "bj")
STATS = {"sh": Counts(2200, 2199, 0, 1), "sz": Counts(2800, 2800, 0, 0), "bj": Counts(0, 0, 0, 0)}
COUNT = {"sh": 26_000, "sz": 21_700, "bj": 300}


def outcomes(stats: Any, count: Any) -> list[Outcome]:
    async def answer(what: Any) -> Any:
        if isinstance(what, Exception):
            raise what
        return what

    window = Window(days=[FRIDAY], due=FRIDAY, overlap=10, closed=lambda day: False, today=FRIDAY)
    client = SimpleNamespace(market_stats=lambda: answer(stats), market_count=lambda: answer(count))
    run = fake_context(client=client, window=window, began=BEGAN)

    return list(market_stats_snapshot.fetch(run, EXCHANGES))


def counts(result: list[Outcome]) -> dict[str, tuple[Any, ...]]:
    rows = screen(records(result), MARKET_STATS).rows.to_pylist()
    return {r["exchange"]: (r["stock_count"], r["up_count"], r["instrument_count"]) for r in rows}


def test_both_calls_make_one_row_of_each_exchange() -> None:
    result = outcomes(STATS, COUNT)
    assert counts(result)["sh"] == (2200, 2199, 26_000)
    assert {(o.key, o.cursor) for o in result} == {(e, FRIDAY) for e in EXCHANGES}


def test_an_exchange_of_which_no_stock_is_counted_has_no_count() -> None:
    result = outcomes(STATS, COUNT)
    assert counts(result)["bj"] == (None, None, 300)
    assert str(result[2].fallback).endswith(" bj")


def test_a_call_that_fails_leaves_its_columns_null_and_is_said() -> None:
    without_stats = outcomes(UpstreamError("503"), COUNT)
    assert counts(without_stats)["sh"] == (None, None, 26_000)
    assert without_stats[0].fallback == "/api/market-stats → nothing: 503"
    assert counts(outcomes(STATS, UpstreamError("down")))["sh"] == (2200, 2199, None)


def test_two_calls_that_fail_are_a_failure_of_each_exchange() -> None:
    result = outcomes(UpstreamError("503"), UpstreamError("504"))
    assert all("504" in (o.failure or "") and o.rows is None for o in result)


def test_a_service_that_is_gone_fails_what_is_left() -> None:
    result = outcomes(STATS, SourceGone("gone"))
    assert all(o.gone and o.failure == "gone" for o in result)
