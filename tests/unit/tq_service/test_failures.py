"""The client raises bare exceptions: what each of them means to us."""

import json

import pytest

from loaders.tq.service.tqsdk_client import Failure, failure_of


class TqTimeoutError(Exception):
    """Named as the client's own, which is told by its name."""


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
        (TqTimeoutError("获取数据超时"), "timeout"),
        (Exception("调用名称服务失败: 502"), "transport"),
        (ConnectionRefusedError("refused"), "transport"),
        (json.JSONDecodeError("Expecting value", "<html>", 0), "transport"),
        (ModuleNotFoundError("No module named 'tqsdk'"), "missing"),
        (KeyError("quotes"), "transport"),
        (Failure("unknown", "no contract", ["SHFE.zz"]), "unknown"),
    ],
)
def test_an_exception_of_the_client_has_a_kind(error: Exception, kind: str) -> None:
    found = failure_of(error)
    assert found.kind == kind
    assert str(error).strip("'") in str(found)
