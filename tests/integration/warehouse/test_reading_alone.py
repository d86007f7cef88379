"""`import quotemill` beside folders of a user that are named as ours are."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import quotemill
from loaders.warehouse.embedded import server as embedded
from tests.conftest import ROOT

READ = """
import sys
import quotemill
with quotemill.open() as market:
    [(number,)] = market.sql("select 7 as n").to_arrow().to_pandas().itertuples(index=False)
ours = [name for name in sys.modules if name.partition(".")[0] in ("loaders", "orchestration")]
print(number, ours)
"""
POSIX_ONLY = {"fcntl", "grp", "pwd", "resource", "termios", "pty", "syslog"}


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_reader_beside_folders_of_our_names_starts_the_server(
    tmp_path: Path, stopped_home: Path, is_killed: bool
) -> None:
    folder, home = tmp_path / "mine", stopped_home
    (folder / "loaders").mkdir(parents=True)
    for name in ("loaders/__init__.py", "orchestration.py"):
        (folder / name).write_text("raise RuntimeError('the module of a user')\n")
    server = embedded.ensure_running(home)
    try:
        if is_killed:  # its postmaster.pid stays
            os.kill(server.pid, signal.SIGKILL)
        else:
            embedded.stop(home)
        (folder / "read.py").write_text(READ)
        environment = os.environ | {"QUOTEMILL_HOME": str(home), "PYTHONPATH": str(folder)}
        done = subprocess.run(
            [sys.executable, "read.py"], cwd=folder, env=environment, capture_output=True, text=True
        )
    finally:
        embedded.stop(home)
    assert (done.stdout, done.stderr) == ("7 []\n", "")


def test_reading_imports_no_module_that_windows_lacks() -> None:
    imported = set()
    for path in (ROOT / "quotemill").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert imported & (POSIX_ONLY | {"loaders", "orchestration"}) == set()
    assert "psycopg" in imported


# each would write where `sql()` took it: x, a row of kept, or a file
END = "commit; select * from (select 1"
WRITING = [
    f"select 1) as q; commit; start transaction read write; create table x(); {END}",
    f"select 1) as q; rollback; create table x(); {END}",
    f"select 1) as q; commit; begin; set transaction read write; create table x(); {END}",
    f"select 1) as q; commit; set default_transaction_read_only to off; create table x(); {END}",
    f"select 1 /* ) as q; commit; */) as q; commit; /* (( */ create table x(); {END}",
    f"select $$ ) as q $$) as q; commit; create table x(); {END}",
    f"select 1) as q; commit; prepare p as insert into kept values (2); execute p; {END}",
    f"select 1) as q; commit; do $$begin create table x(); end$$; {END}",
    f"select 1) as q; commit; copy (select 1) to program 'touch {{file}}'; {END}",
    f"select 1) as q; copy (select 1) to '{{file}}'; {END}",
    f"select 1) as q; commit; select write_kept(); {END}",
    "select 1) to stdout; commit; create table x(); copy (select 1",
    "select 1; create table x()",
    "select 1) to program 'touch {file}' --",
    "select 1) to '{file}' --",
    "do $$begin create table x(); end$$",
    "create table x()",
    "copy (select 1) to program 'touch {file}'",
    "copy kept from program 'echo 1'",
    "set transaction read write",
    "prepare p as select 1",
    "begin",
    "insert into kept values (2) returning n",
    "with w as (insert into kept values (2) returning n) select * from w",
    "select 1 as n into x",
    "select n from kept for update",
    "select write_kept()",
    "select set_config('transaction_read_only', 'off', false), write_kept()",
    "select nextval('numbers')",
    "select lo_from_bytea(0, 'x')",
]


# what a superuser may, and a role that reads tables may not
OF_A_SUPERUSER = [
    "select pg_read_file('{file}')",
    "select pg_read_binary_file('{file}')",
    "select * from pg_stat_file('{file}')",
    "select * from pg_ls_dir('{folder}')",
    "select set_config('role', 'none', false), pg_read_file('{file}')",
    "select 1) to program 'cat {file}' --",
    "select lo_import('{file}')",
    "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()",
]


def test_the_query_of_a_superuser_reads_no_file(warehouse_dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x")
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        assert conn.execute("select size is not null from pg_stat_file('base')").fetchone() == (
            True,
        )
        conn.execute("create table kept as select 1 as n")
        with quotemill.open(warehouse_dsn) as market:
            for query in OF_A_SUPERUSER:
                with pytest.raises(quotemill.Error, match=r"denied|syntax"):
                    market.sql(query.format(file=file, folder=tmp_path))
            roles = "select n, current_user::text as role from kept"
            assert market.sql(roles).to_arrow().to_pylist() == [
                {"n": 1, "role": "pg_read_all_data"}
            ]


def test_a_query_writes_nothing(warehouse_dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "written"
    setup = """
        create table kept (n int);
        create sequence numbers;
        create function write_kept() returns int language sql
            as 'insert into kept values (2) returning n';
    """
    objects = """
        select (select count(*) from kept), (select is_called from numbers),
            (select count(*) from pg_largeobject_metadata), to_regclass('x')
    """
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        conn.execute(setup.encode())
        before = conn.execute(objects.encode()).fetchone()
        with quotemill.open(warehouse_dsn) as market:
            for query in WRITING:
                with pytest.raises(quotemill.Error):
                    market.sql(query.format(file=file) if "{file}" in query else query)
                assert conn.execute(objects.encode()).fetchone() == before, query
                assert not file.exists(), query
            percent = market.sql("select '5%' as share; ").to_arrow().to_pylist()
            assert percent == [{"share": "5%"}]
            market.sql("select set_config('search_path', 'other', false)")
            [row] = (
                market.sql("select current_setting('search_path') as path").to_arrow().to_pylist()
            )
            assert row["path"] != "other"  # the next reading finds the session as it was
