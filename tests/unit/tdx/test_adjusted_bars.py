"""The vendor's adjusted days: whatever their prices, whole, and never of an index."""

from datetime import date
from typing import Any

import pytest
from fake_tdx import bar, bars_of, days

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.window import Window
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.client.answers import Bars
from loaders.tdx.datasets import kline_adjusted
from loaders.tdx.settings import TdxSettings
from tests.unit.tdx.fake_context import fake_context

CODE = "sh600000"
DAYS = days(40)


class Vendor:
    def __init__(self, answer: Bars) -> None:
        self.answer, self.asked = answer, list[str]()

    async def kline_adjusted(self, code: str) -> Bars:
        self.asked.append(code)
        return self.answer


def outcome(
    vendor: Vendor, *, kind: str = "stock", span: Stored | None = None, cursor: date | None = None
) -> Outcome:
    open_days = [day for day in DAYS if day != DAYS[3]]
    window = Window(open_days, DAYS[-1], 10, lambda day: day == DAYS[3], DAYS[-1])
    run = fake_context(
        client=vendor,
        settings=TdxSettings(),
        window=window,
        ask=lambda query: {CODE: span} if span else {},
        cursors=lambda name: {CODE: cursor} if cursor else {},
        room=lambda: True,
        instrument_type=lambda code: kind,
    )

    (result,) = kline_adjusted.fetch(run, [CODE])
    return result


def series(**changes: Any) -> list[dict[str, Any]]:
    """Bars of every open day; the one of day 10 changed."""
    return [bar(day, **(changes if day == DAYS[10] else {})) for day in DAYS if day != DAYS[3]]


def test_an_index_is_never_asked_for() -> None:
    vendor = Vendor(bars_of(series()))
    assert outcome(vendor, kind="index").skipped == kline_adjusted.IS_INDEX
    assert vendor.asked == []


def test_prices_may_be_negative() -> None:
    deep = series(Open=-50, High=100, Low=-100, Close=-20)
    result = outcome(Vendor(bars_of(deep)))
    assert (result.rejected, result.cursor) == ([], DAYS[-1])
    assert kline_adjusted.DATASET.table([result])["close"].to_pylist()[9] == -20


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"Open": 20_000}, "open"),
        ({"Close": 20_000}, "close"),
        ({"Volume": -1}, "volume"),
        ({"Time": f"{DAYS[3]}T15:00:00"}, "trade_date"),  # a closed day
    ],
)
def test_a_bar_that_cannot_be_true_is_refused_and_the_rest_is_kept(
    changes: dict[str, Any], field: str
) -> None:
    result = outcome(Vendor(bars_of(series(**changes))))
    assert {refused.field for refused in result.rejected} == {field}
    assert len(result.rows) == 38


def test_bars_of_one_day_that_contradict_each_other_are_both_refused() -> None:
    rows = series()
    result = outcome(Vendor(bars_of([*rows[:10], bar(DAYS[10], 11_000), *rows[10:]])))
    assert [refused.row_key for refused in result.rejected] == [f"{CODE} {DAYS[10]}"] * 2
    assert len(result.rows) == 38


def test_an_answer_that_is_mostly_impossible_is_refused_as_a_whole() -> None:
    rows = [bar(day, High=0) for day in DAYS if day != DAYS[3]]
    assert f"{len(rows)} of {len(rows)} " in (outcome(Vendor(bars_of(rows))).failure or "")


@pytest.mark.parametrize("span", [Stored(DAYS[0], DAYS[-1]), Stored(DAYS[5], DAYS[-2])])
def test_a_series_narrower_than_the_stored_one_changes_nothing(
    span: Stored,
) -> None:
    result = outcome(Vendor(bars_of(series()[5:-2])), span=span)
    assert result.rows is None
    assert str(span.first) in (result.failure or "")


def test_a_series_whose_newest_day_is_stored_is_not_asked_for() -> None:
    vendor = Vendor(bars_of(series()))
    assert outcome(vendor, cursor=DAYS[-1]).skipped == NOT_DUE
    assert vendor.asked == []
