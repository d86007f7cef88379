"""The client raises bare exceptions: the meaning of each."""

import errno
import json
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from loaders.tq.client.program.failure import Failure, classify
from loaders.tq.client.program.instruments import instruments
from loaders.tq.client.program.session import Session, undescribed

NUMBERS = (
    "expire_datetime",
    "price_tick",
    "volume_multiple",
    "delivery_year",
    "delivery_month",
)


class TqTimeoutError(Exception):
    """Named as the client's own, which is recognised by its name."""


class TqBacktestPermissionError(Exception):
    """Likewise."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Exception("用户权限认证失败 (401,{'error': 'invalid_grant'})"), "auth"),
        (Exception("用户权限认证失败 (503,{'error': 'busy'})"), "transport"),
        (Exception("快期账户密码不能为空"), "auth"),
        (Exception("get_tick_data_series 数据获取方式仅限专业版用户使用"), "permission"),
        (
            Exception("您的账户不支持查看 SHFE.cu2601 的行情数据，需要购买后才能使用。"),
            "permission",
        ),
        (Exception("您的账户不支持 TqSim，需要购买后才能使用。升级网址："), "permission"),
        (TqBacktestPermissionError("免费账户每日可以回测3次，今日暂无回测权限"), "backtests"),
        (TqTimeoutError("获取数据超时"), "timeout"),
        (Exception("调用名称服务失败: 502"), "transport"),
        # in the servers' maintenance the client wraps what it caught
        (
            Exception("Max retries exceeded, 每日 19:00-19:30 为日常运维时间，请稍后再试"),
            "transport",
        ),
        (Exception("与 wss://x 的连接失败，每日 19:00-19:30 为日常运维时间"), "transport"),
        (ConnectionRefusedError("refused"), "transport"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "transport"),
        # no end of a maintenance helps
        (
            Exception(
                "(Caused by ProxyError('Cannot connect to proxy.', OSError(407))), "
                "每日 19:00-19:30 为日常运维时间，请稍后再试"
            ),
            "barred",
        ),
        (OSError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "barred"),
        (OSError("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred"), "transport"),
        # this machine's own, for which no servers are waited for
        (OSError(errno.ENOSPC, "No space left on device"), "client"),
        (PermissionError(errno.EACCES, "Permission denied", "ticks.parquet"), "client"),
        (json.JSONDecodeError("Expecting value", "<html>", 0), "transport"),
        (ModuleNotFoundError("No module named 'tqsdk'"), "missing"),
        (KeyError("quotes"), "client"),
        (Failure("unknown", "no contract", ["SHFE.zz"]), "unknown"),
    ],
)
def test_an_exception_of_the_client_has_a_kind(error: Exception, kind: str) -> None:
    failure = classify(error)
    assert failure.kind == kind
    assert str(error).strip("'") in str(failure)


class Servers:
    """The client's answers about two contracts, one of them with its name alone."""

    _pre20_ins_info: ClassVar[dict[str, Any]] = {}

    def query_quotes(self, **_: Any) -> list[str]:
        return ["SHFE.cu2601", "SHFE.cu0001"]

    def query_graphql(self, *_: Any) -> dict[str, Any]:
        nodes = [{"instrument_id": code, "price_tick": 1.0} for code in self.query_quotes()]
        return {"result": {"multi_symbol_info": nodes}}

    def query_symbol_info(self, symbols: list[str]) -> Any:
        rows = [
            {
                "instrument_id": symbol,
                "exchange_id": "SHFE",
                "instrument_name": symbol,
                "expired": symbol == "SHFE.cu0001",
                "trading_time_day": [["09:00:00", "15:00:00"]],
                "trading_time_night": None,
            }
            | dict.fromkeys(NUMBERS, number)
            for symbol, number in zip(symbols, (float("nan"), 1.0), strict=True)
        ]
        return SimpleNamespace(to_dict=lambda _: rows)

    def query_cont_quotes(self, **_: Any) -> list[str]:
        return []


def test_one_contract_with_an_error_hides_no_undescribed_one_of_its_batch() -> None:
    class Failing(Servers):
        def query_graphql(self, query: str, *_: Any) -> dict[str, Any]:
            if "cu0001" in query:
                return {"error": "boom"}
            return {"result": {"multi_symbol_info": []}}

    assert undescribed(Failing(), ["SHFE.cu0001", "SHFE.cu2601"]) == {"SHFE.cu2601"}


def test_a_contract_without_its_numbers_costs_no_other() -> None:
    session = Session({"account": "a", "password": "b"}, lambda _: None)
    session._api = Servers()
    answer = instruments(session, ["SHFE.cu"])
    assert [row["contract"] for row in answer["contracts"]] == ["SHFE.cu2601"]
    assert answer["left_out"] == ["SHFE.cu0001"]
