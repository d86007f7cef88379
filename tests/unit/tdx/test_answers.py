"""Shapes of the answers: what is taken, what is refused, and how it is named."""

from collections import Counter
from datetime import date
from typing import Any

import pytest
from fake_tdx import bar, bars_of, days, envelope, kline_data, reply
from hypothesis import given
from hypothesis import strategies as st

from loaders.requests.http import RetryableAnswer
from loaders.tdx.client.answers import (
    Bars,
    BarShape,
    NeedsRestart,
    Outage,
    PermanentAnswer,
    UnknownCode,
    UpstreamTimeout,
    classify_failure,
    open_envelope,
    read_bars,
    read_listings,
    read_workdays,
)
from loaders.tdx.client.reply import WrongShape
from quotemill.errors import UpstreamError

RAW_DAYS = BarShape("list", "count", "day", "tdx")
EXTREME = st.integers(-(2**63), 2**63 - 1)


def read(data: Any, shape: BarShape = RAW_DAYS, **counters: Counter[str]) -> Bars:
    return read_bars(reply("kline-all", data, **counters), shape)


def opened(content: bytes, status: int = 200) -> Any:
    return open_envelope("kline-all", "sh600000", status, content, Counter())


@given(
    st.lists(
        st.tuples(st.dates(), *[EXTREME] * 8),
        max_size=50,
        unique_by=lambda row: row[0],
    ),
    st.sampled_from(["+08:00", "Z", "+09:00", "-05:00"]),
)
def test_bars_written_by_the_service_come_back_as_they_were(
    values: list[tuple[Any, ...]], offset: str
) -> None:
    names = ("Open", "High", "Low", "Close", "Volume", "Amount", "UpCount", "DownCount")
    rows = [
        bar(v[0], Time=f"{v[0]}T15:00:00{offset}", **dict(zip(names, v[1:], strict=True)))
        for v in sorted(values)
    ]
    assert read(opened(envelope(kline_data(rows or None)))) == bars_of(rows)


@pytest.mark.parametrize("empty", [None, []])
def test_both_spellings_of_an_empty_list_are_no_bars(empty: Any) -> None:
    assert len(read(kline_data([]) | {"list": empty})) == 0


@pytest.mark.parametrize("offset", ["Z", "+08:00", "+09:00", ""])
def test_the_offset_of_a_stamp_never_moves_its_day(offset: str) -> None:
    bars = read(kline_data([bar(date(1991, 6, 3), Time=f"1991-06-03T15:00:00{offset}")]))
    assert bars.dates == [date(1991, 6, 3)]


@pytest.mark.parametrize("name", sorted(bar(date(2019, 2, 1))))
def test_a_bar_without_one_of_its_fields_refuses_the_answer(name: str) -> None:
    rows = [bar(d) for d in days(3)]
    del rows[1][name]
    with pytest.raises(WrongShape) as caught:
        read(kline_data(rows))
    error = caught.value
    refused = (error.route, error.row, error.field, error.rule)
    assert refused == ("kline-all", 1, f"list.{name}", "is missing")


@pytest.mark.parametrize("value", [10000.0, "10000", True, None, [1]])
def test_a_number_in_another_json_type_refuses_the_answer(value: Any) -> None:
    with pytest.raises(WrongShape) as caught:
        read(kline_data([bar(d, **({"Close": value} if i else {})) for i, d in enumerate(days(2))]))
    assert (caught.value.row, caught.value.field) == (1, "list.Close")


def test_a_number_beyond_64_bits_refuses_the_answer() -> None:
    with pytest.raises(WrongShape, match="row 0 field Volume"):
        read(kline_data([bar(date(2019, 2, 1), Volume=2**63)]))


@pytest.mark.parametrize(
    "stamp",
    ["2019-02-01T10:30:00+08:00", "2019-02-01", "2019-02-30T15:00:00Z", "20190201 15:00", "", "-"],
)
def test_a_stamp_that_is_not_the_close_of_a_day_refuses_the_answer(stamp: str) -> None:
    with pytest.raises(WrongShape, match="row 1 field Time"):
        read(kline_data([bar(date(2019, 1, 31)), bar(date(2019, 2, 1), Time=stamp)]))


def test_unknown_fields_are_dropped_and_counted_by_place() -> None:
    unknown: Counter[str] = Counter()
    data = kline_data([bar(d, Colour="red") for d in days(3)]) | {"page": 1}
    data["meta"]["region"] = "cn"
    assert read(data, unknown=unknown) == bars_of([bar(d) for d in days(3)])
    assert unknown == {"kline-all.list.Colour": 3, "kline-all.page": 1, "kline-all.meta.region": 1}


@pytest.mark.parametrize("broken", [{"source": "ths"}, {"type": "minute1"}])
def test_bars_of_another_source_or_period_are_refused(broken: dict[str, str]) -> None:
    data = kline_data([bar(date(2019, 2, 1))])
    data["meta"] |= broken
    with pytest.raises(WrongShape, match=r"meta\."):
        read(data)


@pytest.mark.parametrize(
    "data", [None, [], "x", {"count": 1}, {"list": []}, {"count": 0, "list": 3}]
)
def test_data_of_another_form_is_refused(data: Any) -> None:
    with pytest.raises(WrongShape):
        read(data, shape=BarShape("list", "count", "day"))


def test_unsorted_bars_are_sorted_and_reported() -> None:
    oddities: Counter[str] = Counter()
    rows = [bar(d) for d in days(5)]
    assert read(kline_data(rows[::-1]), oddities=oddities) == bars_of(rows)
    assert oddities == {"kline-all.unsorted": 1}


def test_a_bar_repeated_at_a_page_border_is_taken_once_and_reported() -> None:
    oddities: Counter[str] = Counter()
    rows = [bar(d) for d in days(1600)]
    # the repeated one carries another Last, which is computed per page
    repeated = [*rows[:800], rows[799] | {"Last": 7}, *rows[800:]]
    assert read(kline_data(repeated), oddities=oddities) == bars_of(rows)
    assert oddities == {"kline-all.repeated_bar": 1}


def test_contradicting_bars_of_one_day_both_stay_for_the_checks() -> None:
    first, second = bar(date(2019, 2, 1), 10_000), bar(date(2019, 2, 1), 10_010)
    assert len(read(kline_data([first, second]))) == 2


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("获取K线失败: 超时", UpstreamTimeout),
        (
            "获取K线失败: write tcp 1.2.3.4:5->6.7.8.9:7709: use of closed network connection",
            Outage,
        ),
        ("获取K线失败: 不支持的K线类型: x", PermanentAnswer),
        ("获取K线失败: 股票代码长度错误,例如:SZ000001", PermanentAnswer),
        ("start_date 参数格式错误，应为 YYYYMMDD 或 YYYY-MM-DD", PermanentAnswer),
        ("股票代码不能为空", PermanentAnswer),
        ("end 必须大于或等于 start", PermanentAnswer),
        ("交易日模块未初始化", NeedsRestart),
        ("获取行情失败: DefaultCodes未初始化", NeedsRestart),
        ("获取行情失败: 未查询到代码[SH510300]相关信息", UnknownCode),
        ("获取行情失败: 预期3个，实际2个", UnknownCode),
        ("获取K线失败: EOF", RetryableAnswer),
    ],
)
def test_a_failure_is_named_by_what_helps_against_it(message: str, kind: type) -> None:
    with pytest.raises(kind) as caught:
        opened(envelope(None, -1, message))
    assert isinstance(caught.value, kind)
    assert "sh600000" in str(caught.value)
    assert message in str(caught.value)


def test_a_half_initialised_service_is_advised_to_be_restarted() -> None:
    assert "Restart" in classify_failure("codes", "股票代码缓存未初始化").hint


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_of_html_is_of_another_service_and_is_not_printed(status: int) -> None:
    with pytest.raises(UpstreamError, match="HTML") as caught:
        opened(b"\n<!DOCTYPE html><html><title>My NAS</title></html>", status)
    assert "NAS" not in str(caught.value)
    assert "tdx.base_url" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (404, b"404 page not found\n", PermanentAnswer),
        (301, b"", PermanentAnswer),
        (200, b"", PermanentAnswer),
        (502, b"<html>Bad Gateway</html>", RetryableAnswer),
        (429, b"slow down", RetryableAnswer),
        (200, b'{"code":0,"message":"succ', RetryableAnswer),
        (200, b"\xff\xfe", RetryableAnswer),
        (200, b"[]", WrongShape),
        (200, b'{"code":7,"message":"","data":null}', WrongShape),
        (200, b'{"code":"0","message":"","data":null}', WrongShape),
        (200, b'{"code":0,"message":"success"}', WrongShape),
    ],
)
def test_an_answer_that_is_no_envelope_is_refused_by_its_kind(
    status: int, content: bytes, kind: type
) -> None:
    with pytest.raises(kind) as caught:
        opened(content, status)
    assert isinstance(caught.value, kind)


def test_an_empty_body_has_a_message_of_its_own() -> None:
    with pytest.raises(PermanentAnswer, match="HTTP 200") as caught:
        opened(b"")
    assert "index" in caught.value.hint


def test_a_code_listed_twice_is_taken_once_with_its_last_name() -> None:
    rows = [
        {"code": "600000", "exchange": "sh", "name": "浦发"},
        {"code": "000001", "exchange": "sz", "name": "平安银行"},
        {"code": "600000", "exchange": "sh", "name": "浦发银行\0 "},
    ]
    oddities: Counter[str] = Counter()
    data = {"total": 3, "exchanges": {}, "codes": rows}
    result = read_listings(reply("codes", data, oddities=oddities), "codes")
    assert result == [("sh600000", "浦发银行"), ("sz000001", "平安银行")]
    assert oddities == {"codes.repeated_code": 1}


@pytest.mark.parametrize("digits", ["60000", "sh600000", "６０００００", "60000x"])
def test_a_listed_code_is_six_digits(digits: str) -> None:
    data = {"total": 1, "codes": [{"code": digits, "exchange": "sh", "name": "x"}]}
    with pytest.raises(WrongShape, match=f"row 0 .*{digits}"):
        read_listings(reply("codes", data), "codes")


def test_a_stale_last_price_is_neither_read_nor_called_unknown() -> None:
    row = {"code": "510300", "name": "沪深300ETF", "exchange": "sh", "last_price": 5.8e-39}
    unknown: Counter[str] = Counter()
    data = {"total": 1, "list": [row]}
    assert read_listings(reply("etf", data, unknown=unknown), "list")
    assert not unknown


def day_object(day: date) -> dict[str, str]:
    return {"iso": day.isoformat(), "numeric": f"{day:%Y%m%d}"}


def test_workdays_ascend_and_lie_in_the_range_asked_for() -> None:
    start, end = date(2019, 2, 1), date(2019, 2, 12)
    result = [date(2019, 2, 12), date(2019, 2, 1), date(2019, 2, 11)]
    data = {"count": 3, "list": [day_object(d) for d in result]}
    assert read_workdays(reply("r", data), start, end) == sorted(result)
    with pytest.raises(WrongShape, match="outside"):
        read_workdays(reply("r", data), start, date(2019, 2, 11))


def test_a_workday_whose_two_spellings_differ_is_refused() -> None:
    data = {"count": 1, "list": [{"iso": "2019-02-01", "numeric": "20190202"}]}
    with pytest.raises(WrongShape, match="20190202"):
        read_workdays(reply("r", data), date(2019, 1, 1), date(2019, 3, 1))


def test_a_row_is_shown_with_its_day_as_text() -> None:
    row = bars_of([bar(date(2019, 2, 1))]).row(0)
    assert row["trade_date"] == "2019-02-01"
