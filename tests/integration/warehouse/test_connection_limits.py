"""Limits of connections of a role or a database, and sessions on a standby."""

import os
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pytest

import quotemill
from loaders.warehouse.migrate import warehouse_id
from orchestration.checks import gather
from quotemill.errors import UpstreamError
from quotemill.warehouse.connections import set_up_session
from tests.bench import prepared_warehouse, settings_at


@pytest.mark.parametrize("kind", ["role", "database"])
def test_a_connection_limit_is_named_with_the_statement_that_lifts_it(
    kind: str, foreign_server: Any, tmp_path: Path
) -> None:
    database, writer = foreign_server.fresh_database()
    name = {"role": writer, "database": database}[kind]
    url = foreign_server.url(writer, foreign_server.writer_password, database)
    settings = settings_at(url, tmp_path)

    def judge() -> dict[str, tuple[str, str]]:
        checks = gather.examine(settings, names=["connections"])
        return {check.name: (check.sentence, check.fix) for check in checks}

    assert "connections" not in judge()
    with foreign_server.admin() as admin, ExitStack() as held:
        admin.execute(f"alter {kind} {name} connection limit 3".encode())
        sentence, fix = judge()["connections"]
        assert f"the {kind} {name} allows 3" in sentence
        for _ in range(3):
            held.enter_context(psycopg.connect(url))
        with pytest.raises(UpstreamError) as caught:
            quotemill.open(url)
        assert caught.value.hint.endswith(fix)
        admin.execute(fix.partition(": ")[2].encode())
        quotemill.open(url).close()
    assert "connections" not in judge()


def test_dump_and_psql_of_a_standby_follow_options_of_the_url(
    foreign_server: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    database, _ = foreign_server.fresh_database()
    place = "postgres", foreign_server.admin_password, database
    warehouse = prepared_warehouse(foreign_server.url(*place), tmp_path, [])
    warehouse_id(warehouse)
    url = request.getfixturevalue("standby").url(*place)
    url += "?options=-c%20default_transaction_isolation%3Dserializable"
    environ = os.environ | {"QUOTEMILL_WAREHOUSE_URL": url, "QUOTEMILL_HOME": str(tmp_path)}
    program = Path(sys.executable).with_name("quotemill")
    for words in (
        ["backup", "--folder", "backups"],
        ["warehouse", "psql", "-c", "table ops.settings"],
    ):
        done = subprocess.run(
            [program, *words], cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_a_standby_that_defaults_to_serializable_is_read(standby: Any, tmp_path: Path) -> None:
    url = standby.url("postgres", standby.admin_password, "postgres")
    url += "?options=-c%20default_transaction_isolation%3Dserializable"
    with psycopg.connect(url) as conn, pytest.raises(psycopg.errors.FeatureNotSupported):
        conn.execute("select 1")
    with quotemill.open(url) as reader:
        assert [*reader.sql("select pg_is_in_recovery() as is_standby")] == [{"is_standby": True}]
    verdicts = {check.name: check.exit_code for check in gather.examine(settings_at(url, tmp_path))}
    assert 1 not in verdicts.values()
    with closing(psycopg2.connect(url)) as ours:
        ours.autocommit = True
        set_up_session(ours)
        ours.autocommit = False
        with ours.cursor() as cursor:
            cursor.execute("show transaction_isolation")
            assert cursor.fetchall() == [("read committed",)]
