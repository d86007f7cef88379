"""A role or server that may not write or read is a wrong setting, with the grant."""

from pathlib import Path

import psycopg
import pytest

from loaders import log

DENIED = psycopg.errors.InsufficientPrivilege


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", "postgresql://reader:secret@db/market")


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (DENIED("permission denied for schema ops"), "grant usage, create on schema ops to reader"),
        (DENIED("permission denied for table changes"), "grant select on changes to reader"),
        (
            DENIED("permission denied for database market"),
            "grant create on database market to reader",
        ),
        (
            DENIED("permission denied for materialized view days"),
            "grant select on days to reader (name the materialized view with its schema)",
        ),
        (DENIED("must be owner of table changes"), "grant the owner's role to reader"),
        (
            psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only …"),
            "alter role reader reset default_transaction_read_only",
        ),
    ],
)
def test_what_the_warehouse_refuses_is_exit_3_with_the_grant(error: Exception, fix: str) -> None:
    wrapped = RuntimeError("dlt failed")
    wrapped.__cause__ = error
    for raised in (error, wrapped):
        known = log.explain(raised)
        assert known.exit_code == 3
        assert str(error) in str(known)
        assert fix in known.hint
        assert "internal error" not in str(known)


def test_another_error_of_the_warehouse_stays_internal() -> None:
    known = log.explain(psycopg.errors.UndefinedColumn("column x does not exist"))
    assert known.exit_code == 1
    assert "please report it" in known.hint
