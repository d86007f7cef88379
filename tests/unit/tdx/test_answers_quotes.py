"""Shapes of quotes, of the parts of stock-info, and of counts."""

import re
from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from fake_tdx import bar, days, quote, reply, upper

from loaders.tdx.client.answers import PermanentAnswer
from loaders.tdx.client.answers_quotes import (
    Counts,
    Quote,
    StockInfo,
    read_counts,
    read_quotes,
    read_stats,
    read_stock_info,
)
from loaders.tdx.client.reply import WrongShape


def read(rows: Any, *codes: str, **counters: Counter[str]) -> list[Quote]:
    return read_quotes(reply("quote", rows, **counters), codes)


def info(data: Any, **counters: Counter[str]) -> StockInfo:
    return read_stock_info(reply("stock-info", data, **counters), "sz000001")


def test_a_quote_comes_through_with_its_units() -> None:
    (result,) = read([quote()], "sz000001")
    assert result.code == "sz000001"
    assert (result.previous_close, result.open, result.close) == (12_250, 12_300, 12_500)
    assert (result.total_hand, result.current_hand) == (1_235_000, 100)
    assert result.amount_yuan == Decimal(1_560_000_000)
    assert result.bids[:2] == ((12_500, 1), (12_490, 2))
    assert (len(result.bids), len(result.asks), result.asks[4]) == (5, 5, (12_540, 5))


@pytest.mark.parametrize(
    ("amount", "yuan"),
    [
        (5.877471754111438e-39, "0"),
        (-1e-31, "0"),
        (0, "0"),
        (4123.39990234375, "4123.400"),
        (1.2345679e19, "12345679000000000000.000"),
    ],
)
def test_turnover_is_rounded_to_li_and_the_false_zero_is_zero(amount: float, yuan: str) -> None:
    assert read([quote(Amount=amount)], "sz000001")[0].amount_yuan == Decimal(yuan)


def test_quotes_keep_the_order_of_the_question_duplicates_included() -> None:
    codes = ("sh600000", "bj430047", "sh600000")
    assert [q.code for q in read([quote(c) for c in codes], *codes)] == list(codes)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [quote("sz000001")],
        [quote("sh600000"), quote("sz000001")],
        [quote("sz000001"), quote("sz600000")],
        None,
        {"sz000001": quote()},
    ],
    ids=["none", "one too few", "other order", "other exchange", "null", "object"],
)
def test_quotes_of_other_codes_than_asked_for_are_refused(rows: Any) -> None:
    with pytest.raises(WrongShape):
        read(rows, "sz000001", "sh600000")


@pytest.mark.parametrize(
    "name", sorted(set(quote()) - {"Rate", "ReversedBytes0", "ReversedBytes1", "ReversedBytes9"})
)
def test_a_quote_without_one_of_its_fields_refuses_the_answer(name: str) -> None:
    row = quote()
    del row[name]
    with pytest.raises(WrongShape, match=f"row 0 field {name}: "):
        read([row], "sz000001")


@pytest.mark.parametrize(
    "change",
    [
        {"K": {"Last": 1, "Open": 1, "High": 1, "Low": 1}},
        {"K": {"Last": 1.5, "Open": 1, "High": 1, "Low": 1, "Close": 1}},
        {"BuyLevel": quote()["BuyLevel"][:4]},
        {"BuyLevel": quote()["SellLevel"]},
        {"SellLevel": [{"Buy": False, "Price": 1}] * 5},
        {"Amount": "0"},
        {"Amount": 1e21},
        {"Active1": 2**63},
        {"K": {"Last": 1, "Open": 1, "High": 2**63, "Low": 1, "Close": 1}},
        {"ServerTime": 14585643},
        {"TotalHand": 1.0},
    ],
)
def test_a_quote_of_another_form_refuses_the_answer(change: dict[str, Any]) -> None:
    with pytest.raises(WrongShape, match="row 0"):
        read([quote(**change)], "sz000001")


def test_an_unknown_field_of_a_quote_is_counted_a_reserved_one_is_not() -> None:
    unknown: Counter[str] = Counter()
    row = quote(Depth=10)
    row["K"] = row["K"] | {"Average": 3}
    read([row], "sz000001", unknown=unknown)
    assert unknown == {"quote.Depth": 1, "quote.K.Average": 1}


def parts(**changes: Any) -> dict[str, Any]:
    minute = upper([{"Time": "09:31", "Price": 1, "Number": 2}], date="20241108")
    return {
        "quote": quote(),
        "kline_day": upper([bar(d) for d in days(30)]),
        "minute": minute,
    } | changes


def test_a_complete_stock_info_has_three_parts_and_no_fault() -> None:
    result = info(parts())
    assert result.quote is not None
    assert result.kline_day is not None
    assert result.minute is not None
    assert (result.quote.close, len(result.kline_day), result.minute.day) == (
        12_500,
        30,
        date(2024, 11, 8),
    )
    assert result.faults == {}


@pytest.mark.parametrize("name", ["quote", "kline_day", "minute"])
@pytest.mark.parametrize("broken", [True, False], ids=["broken", "missing"])
def test_a_bad_part_of_stock_info_leaves_the_others(name: str, broken: bool) -> None:
    data = parts()
    if broken:
        data[name] = {"List": 3}
    else:
        del data[name]
    result = info(data)
    assert list(result.faults) == [name]
    assert result.faults[name].startswith("field ") is broken
    there = {n for n in ("quote", "kline_day", "minute") if getattr(result, n) is not None}
    assert there == {"quote", "kline_day", "minute"} - {name}


def test_stock_info_of_another_stock_is_a_fault_of_its_quote() -> None:
    faults = info(parts(quote=quote("sh600000"))).faults
    assert re.search("sh600000 .* sz000001", faults["quote"])


def test_an_empty_stock_info_is_three_faults() -> None:
    assert info({}).faults == dict.fromkeys(("quote", "kline_day", "minute"), "left out")


def test_a_day_outside_the_session_has_no_minutes_and_that_is_no_fault() -> None:
    result = info(parts(minute=upper(None, date="20241108")))
    assert result.minute is not None
    assert (len(result.minute), result.faults) == (0, {})


def test_stock_info_of_another_form_is_refused_and_strangers_are_counted() -> None:
    with pytest.raises(WrongShape):
        info(None)
    unknown: Counter[str] = Counter()
    info(parts(news=[]), unknown=unknown)
    assert unknown == {"stock-info.news": 1}


ONE = {"total": 3, "up": 2, "down": 0, "flat": 1}


def stats(data: Any) -> dict[str, Counts]:
    return read_stats(reply("market-stats", data))


def test_the_services_counts_are_taken_for_what_they_are() -> None:
    result = stats({"sh": ONE, "sz": ONE, "bj": ONE, "update_time": ""})
    assert result == dict.fromkeys(("sh", "sz", "bj"), Counts(3, 2, 0, 1))


@pytest.mark.parametrize(
    "data",
    [
        {"sh": ONE, "sz": ONE},
        {"sh": ONE, "sz": ONE, "bj": 0},
        {"sh": ONE, "sz": ONE, "bj": ONE | {"up": "2"}},
        {"sh": ONE, "sz": ONE, "bj": ONE | {"up": -2}},
        [ONE],
    ],
)
def test_counts_of_another_form_are_refused(data: Any) -> None:
    with pytest.raises(WrongShape):
        stats(data)


def instruments(**counts: int) -> list[dict[str, Any]]:
    return [{"exchange": name, "count": count} for name, count in counts.items()]


def test_instruments_are_counted_by_exchange() -> None:
    data = {"total": 60, "exchanges": instruments(sh=30, sz=20, bj=10)}
    assert read_counts(reply("market-count", data)) == {"sh": 30, "sz": 20, "bj": 10}


@pytest.mark.parametrize(
    "data",
    [
        {"total": 61, "exchanges": instruments(sh=30, sz=20, bj=10)},
        {"total": 50, "exchanges": instruments(sh=30, sz=20)},
        {"total": 60, "exchanges": [*instruments(sh=30, sz=20), *instruments(sz=10)]},
        {"total": 60, "exchanges": instruments(sh=50, sz=20, bj=-10)},
        {"total": 60, "exchanges": None},
    ],
)
def test_a_count_that_does_not_add_up_is_refused(data: Any) -> None:
    with pytest.raises(WrongShape):
        read_counts(reply("market-count", data))


def in_yuan(**changes: Any) -> dict[str, Any]:
    """A quote as the build of April 2026 has it."""
    levels = [{"level": i, "price": 12.5, "volume": i} for i in range(1, 6)]
    prices = {"price": 12.5, "prev_close": 12.25, "open": 12.3, "high": 12.6, "low": 12.28}
    more = {"volume": 123_500, "amount": 1560.25, "bids": levels, "asks": levels}
    return {"full_code": "sz000001"} | prices | more | changes


def test_a_quote_in_yuan_is_one_in_li_without_what_the_build_does_not_have() -> None:
    (quoted,) = read_quotes(reply("quote", in_yuan()), ["sz000001"])
    assert (quoted.close, quoted.previous_close, quoted.total_hand) == (12_500, 12_250, 1235)
    assert (str(quoted.amount_yuan), quoted.bids[0]) == ("1560.250", (12_500, 1))
    assert quoted.current_hand is quoted.inside_dish is quoted.server_time is None


@pytest.mark.parametrize(
    "changes",
    [
        {"full_code": "sh000001"},
        {"volume": 123_501},
        {"price": 12.50004},
        {"amount": 1e21},
        {"bids": []},
        {"asks": None},
    ],
)
def test_a_quote_in_yuan_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WrongShape):
        read_quotes(reply("batch-quote", {"count": 1, "items": [in_yuan(**changes)]}), ["sz000001"])


def test_a_service_between_sessions_counts_nothing() -> None:
    with pytest.raises(PermanentAnswer, match="out_of_session"):
        stats({"status": "out_of_session", "status_hint": ""})
