"""A role or server that may not write or read is a wrong setting, in any language."""

from pathlib import Path

import psycopg
import pytest

from loaders import log
from quotemill.warehouse.refusals import name_role

DENIED = psycopg.errors.InsufficientPrivilege


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    away = f"postgresql://reader:secret@/market?host={tmp_path}"
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", away)


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (
            DENIED("permission denied for schema ops"),
            "`quotemill doctor`",
        ),
        (DENIED("对模式 ops 权限不够"), "`quotemill doctor`"),
        (
            psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only …"),
            "alter role reader set default_transaction_read_only = off",
        ),
        (
            psycopg.errors.ReadOnlySqlTransaction("不能在一个只读模式的事务中执行INSERT"),
            "alter role reader set default_transaction_read_only = off",
        ),
        (
            psycopg.errors.QueryCanceled("由于用户请求而正在取消查询"),
            "Run again.",
        ),
    ],
)
def test_what_a_warehouse_refuses_is_exit_3_though_it_is_away(error: Exception, fix: str) -> None:
    wrapped = RuntimeError("dlt failed")
    wrapped.__cause__ = error
    for raised in (error, wrapped):
        known = log.explain(raised)
        assert known.exit_code == 3
        assert str(error) in str(known)
        assert fix in known.hint
        assert "internal" not in str(known)


def test_a_role_is_named_as_statements_take_it() -> None:
    names = [name_role(user) for user in ("reader_2", "app-user", 'My "own"', None)]
    assert names == ["reader_2", '"app-user"', '"My ""own"""', "current_user"]


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("consuming input failed: server closed the connection"),
        psycopg.errors.AdminShutdown("terminating connection due to administrator command"),
        psycopg.errors.TooManyConnections("sorry, too many clients already"),
        psycopg.errors.DiskFull("could not extend file"),
    ],
)
def test_a_connection_that_breaks_is_exit_4_with_a_fix(error: Exception) -> None:
    known = log.explain(error)
    assert known.exit_code == 4
    assert str(error) in str(known)
    assert "report" not in known.hint.lower()
    assert "secret" not in f"{known} {known.hint}"


@pytest.mark.parametrize("error", [psycopg.errors.UndefinedColumn, psycopg.errors.DeadlockDetected])
def test_another_error_of_the_warehouse_stays_internal(error: type[psycopg.Error]) -> None:
    known = log.explain(error("column x does not exist"))
    assert known.exit_code == 1
    assert "report" in known.hint.lower()
