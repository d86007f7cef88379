"""The client's routes of the moment."""

from typing import Any

import httpx
import pytest
from fake_tdx import FETCHED_AT, Service, asked, failing, good, quote

from loaders.requests.http import RetryableAnswer
from loaders.tdx.client.answers import EmptyAnswer, NeedsRestart, UnknownCode
from loaders.tdx.client.client import TdxClient
from quotemill.errors import UsageError

CODES = ["sz000001", "sh600000", "sh510300"]
QUOTES = good([quote(code) for code in CODES])


def test_a_batch_is_posted_and_its_quotes_keep_the_order() -> None:
    service = Service(lambda *_: QUOTES)
    result = asked(service, lambda c: c.quotes(CODES))
    assert [q.code for q in result] == CODES
    assert result[0].fetched_at == FETCHED_AT
    assert service.requests == [("batch-quote", {"codes": CODES, "full_codes": CODES})]


def test_the_older_route_takes_the_codes_in_its_address() -> None:
    service = Service(lambda *_: QUOTES)
    assert [q.code for q in asked(service, lambda c: c.quote(CODES))] == CODES
    listed = "sz000001,sh600000,sh510300"
    assert service.requests == [("quote", {"code": listed, "full_code": listed})]


@pytest.mark.parametrize("count", [0, 51])
def test_no_code_and_more_than_fifty_are_never_sent(count: int) -> None:
    service = Service(lambda *_: QUOTES)
    codes = [f"sh6{i:05}" for i in range(count)]
    with pytest.raises(ValueError, match="only 1 to 50 "):
        asked(service, lambda c: c.quotes(codes))
    with pytest.raises(UsageError):
        asked(service, lambda c: c.quotes(["SH510300"]))
    assert not service.requests


@pytest.mark.parametrize(
    ("text", "kind", "requests"),
    [
        ("获取行情失败: 未查询到代码[sh510300]相关信息", UnknownCode, 1),
        ("获取行情失败: 预期3个，实际2个", UnknownCode, 1),
        ("获取行情失败: DefaultCodes未初始化", NeedsRestart, 1),
        ("获取行情失败: EOF", RetryableAnswer, 4),
    ],
)
def test_a_batch_fails_as_a_whole_by_the_kind_of_its_failure(
    text: str, kind: type, requests: int
) -> None:
    for call in (lambda c: c.quotes(CODES), lambda c: c.quote(CODES)):
        service = Service(lambda *_: failing(text))
        with pytest.raises(kind) as caught:
            asked(service, call)
        assert type(caught.value) is kind
        assert "sz000001 to sh510300" in str(caught.value)
        assert len(service.requests) == requests


def test_success_without_a_quote_is_tried_again() -> None:
    service = Service(lambda _r, _p, n: QUOTES if n == 3 else good([]))
    assert len(asked(service, lambda c: c.quotes(CODES))) == 3
    with pytest.raises(EmptyAnswer, match="without a quote"):
        asked(Service(lambda *_: good([])), lambda c: c.quotes(CODES))


def test_a_posted_batch_is_retried_over_a_broken_connection() -> None:
    def answer(_route: str, _params: dict[str, Any], n: int) -> httpx.Response:
        if n == 1:
            raise httpx.ReadError("reset")
        return QUOTES

    assert len(asked(Service(answer), lambda c: c.quotes(CODES))) == 3


def test_stock_info_and_counts_are_asked_for_by_their_routes() -> None:
    counts = {"total": 1, "up": 1, "down": 0, "flat": 0}
    answers: dict[str, Any] = {
        "stock-info": {},
        "market-stats": {"sh": counts, "sz": counts, "bj": counts, "update_time": ""},
        "market-count": {
            "total": 3,
            "exchanges": [{"exchange": name, "count": 1} for name in ("sh", "sz", "bj")],
        },
    }
    service = Service(lambda route, *_: good(answers[route]))

    async def all_three(client: TdxClient) -> tuple[Any, ...]:
        return (
            await client.stock_info("sh600000"),
            await client.market_stats(),
            await client.market_count(),
        )

    info, stats, count = asked(service, all_three)
    assert (info.quote, len(info.faults)) == (None, 3)
    assert stats["bj"].total == 1
    assert count == {"sh": 1, "sz": 1, "bj": 1}
    assert list(service.routes()) == list(answers)
