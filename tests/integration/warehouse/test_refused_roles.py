"""A role without a grant: the statement that helps, in whatever language the server speaks."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from loaders import log
from tests.integration.warehouse.conftest import DEBIAN

REFUSED = {
    "select * from raw_tdx.gone": "grant usage, create on schema raw_tdx to READER",
    "create schema other": "grant create on database DATABASE to READER",
    "create table ops.other ()": "grant create on schema ops to READER",
    "select * from ops.changes": "grant select on ops.changes to READER",
    "delete from ops.known": "grant select, insert, update, delete on ops.known to READER",
    "select * from ops.days": "grant select on ops.days to READER",
    "select nextval('ops.numbers')": "grant usage on sequence ops.numbers to READER",
    "drop table ops.whole": "grant WRITER to READER",
}
Refuse = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def refuse(foreign_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Refuse:
    """The text of a refused statement, and the grant that its hint names.

    The server speaks German in the locale C.utf8 where it has the translation.
    """
    database, writer = foreign_server.fresh_database()
    reader, home = f"r_{database}", tmp_path_factory.mktemp("home")
    with foreign_server.admin(database) as admin:
        admin.execute(f"create role {reader} login password 'r'".encode())
    owner = foreign_server.warehouse(writer, foreign_server.writer_password, database)
    with owner.connect() as conn:
        conn.execute(
            "create schema ops; create schema raw_tdx; create table ops.changes (); "
            "create table ops.known (n int); create table ops.whole (); "
            "create materialized view ops.days as select 1; create sequence ops.numbers; "
            f"grant usage on schema ops to {reader}; grant select on ops.known to {reader}; "
            f"grant all on ops.whole to {reader}".encode()
        )
    url = foreign_server.url(reader, "r", database)

    def run(statement: str, locale: str = "C", text: str = "") -> tuple[str, str]:
        with foreign_server.admin() as admin:
            admin.execute(f"alter role {reader} set lc_messages = '{locale}'".encode())
        with pytest.MonkeyPatch.context() as patch, psycopg.connect(url) as conn:
            patch.setenv("QUOTEMILL_HOME", str(home))
            patch.setenv("QUOTEMILL_WAREHOUSE_URL", url)
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
                conn.execute(statement.encode())
            known = log.explain(type(caught.value)(text) if text else caught.value)
        assert known.exit_code == 3
        hint = known.hint.removeprefix("as the owner: ").partition("; loads and")[0]
        for name, word in {reader: "READER", writer: "WRITER", database: "DATABASE"}.items():
            hint = hint.replace(name, word)
        return str(caught.value), hint

    return run


@pytest.mark.parametrize("statement", REFUSED)
def test_a_refusal_names_the_same_grant_in_each_language(refuse: Refuse, statement: str) -> None:
    english, hint = refuse(statement)
    german, same = refuse(statement, "C.utf8")

    assert (hint, same) == (REFUSED[statement], REFUSED[statement])
    assert (english != german) == DEBIAN.is_dir()


def test_a_refusal_without_blanks_around_the_name_is_understood(refuse: Refuse) -> None:
    _, hint = refuse("select * from ops.changes", text="对表changes权限不够")
    assert hint == REFUSED["select * from ops.changes"]
