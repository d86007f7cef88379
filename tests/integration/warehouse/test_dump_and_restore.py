"""Dumps come back whole, appear only when complete, and replace nothing of a user's."""

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.warehouse import migration_files
from loaders.warehouse.migrate import prepare
from loaders.warehouse.migration_files import is_current, shipped
from loaders.warehouse.ownership import claim_schemas
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import restore
from quotemill.errors import QuotemillError, SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

OpenAt = Callable[..., Warehouse]


def _fill(warehouse: Warehouse) -> None:
    with warehouse.connect() as conn:
        claim_schemas(conn, ["raw_tdx", "market"])
        conn.execute("create table raw_tdx.bar (code text primary key, close numeric(18, 4))")
        conn.execute(
            "insert into raw_tdx.bar select 'sh' || i, i / 7.0 from generate_series(1, 500) i"
        )
        conn.execute("create view market.bar as select * from raw_tdx.bar")


def _checksum(warehouse: Warehouse) -> Any:
    with warehouse.connect() as conn:
        return conn.execute(
            "select count(*), md5(string_agg(b::text, ',' order by code)) from market.bar b"
        ).fetchone()


@pytest.fixture
def filled(foreign_server: Any) -> Warehouse:
    database, writer = foreign_server.fresh_database()
    warehouse: Warehouse = foreign_server.warehouse(
        writer, foreign_server.writer_password, database
    )
    _fill(warehouse)
    return warehouse


@pytest.fixture
def another(foreign_server: Any) -> Warehouse:
    database, writer = foreign_server.fresh_database()
    warehouse: Warehouse = foreign_server.warehouse(
        writer, foreign_server.writer_password, database
    )
    return warehouse


@pytest.fixture
def dumped(filled: Warehouse, tmp_path: Path) -> Path:
    """A dump of `filled`."""
    dump(filled, tmp_path / "w.dump")
    return tmp_path / "w.dump"


def test_a_dump_restores_into_another_database_under_another_owner(
    filled: Warehouse, another: Warehouse, tmp_path: Path
) -> None:
    result = dump(filled, tmp_path / "w.dump")
    assert result.entries > 5
    assert result.size_bytes == (tmp_path / "w.dump").stat().st_size
    assert (tmp_path / "w.dump").stat().st_mode & 0o077 == 0
    restore(another, tmp_path / "w.dump", clean=False)
    assert _checksum(another) == _checksum(filled)
    with another.connect() as conn:
        claim_schemas(conn, ["raw_tdx", "market"])  # the record of ownership came along


def test_the_embedded_server_is_dumped_and_restored_whole(
    stopped_home: Path, another: Warehouse, open_at: OpenAt, tmp_path: Path
) -> None:
    warehouse = open_at(stopped_home)
    _fill(warehouse)
    with warehouse.connect() as conn:
        conn.execute("create table public.research as select 42 as x")
    before = _checksum(warehouse)
    dump(warehouse, tmp_path / "w.dump")
    with warehouse.connect() as conn:
        conn.execute("delete from raw_tdx.bar")
        conn.execute("drop table public.research")
    restore(warehouse, tmp_path / "w.dump", clean=True)
    assert _checksum(warehouse) == before
    with warehouse.connect() as conn:
        assert conn.execute("select x from public.research").fetchone() == (42,)


def test_a_warehouse_that_holds_rows_is_replaced_only_on_request(
    filled: Warehouse, dumped: Path
) -> None:
    before = _checksum(filled)
    with filled.connect() as conn:
        conn.execute("delete from raw_tdx.bar where code < 'sh2'")
    after = _checksum(filled)
    with pytest.raises(UsageError) as caught:
        restore(filled, dumped, clean=False)
    assert "--yes" in caught.value.hint
    assert _checksum(filled) == after
    restore(filled, dumped, clean=True)
    assert _checksum(filled) == before


@pytest.mark.parametrize(
    "reader",
    [
        "create view mine.report as select * from market.bar",
        "create table mine.notes (code text references raw_tdx.bar)",
        "create table mine.copy (row raw_tdx.bar)",
        "create table mine.child () inherits (raw_tdx.bar)",
        "create materialized view mine.report as select * from raw_tdx.bar",
        "create function mine.bars() returns setof raw_tdx.bar stable begin atomic "
        "select b.* from raw_tdx.bar as b; end",
        "create function mine.count(bar raw_tdx.bar) returns int return 1",
    ],
    ids=["view", "foreign key", "type", "inheritance", "materialized view", "function", "argument"],
)
def test_whatever_reads_ours_is_named_before_anything_changes(
    filled: Warehouse, dumped: Path, reader: str
) -> None:
    with filled.connect() as conn:
        conn.execute("create schema mine")
        conn.execute(reader.encode())
    before = _checksum(filled)
    with pytest.raises(SettingsError, match=r": mine\.\w+$"):
        restore(filled, dumped, clean=True)
    assert _checksum(filled) == before


def test_a_restore_replaces_our_schemas_whole(filled: Warehouse, tmp_path: Path) -> None:
    prepare(filled, [])
    dump(filled, tmp_path / "w.dump")
    before = _checksum(filled)
    with filled.connect() as conn:
        conn.execute("create view market.later as select * from raw_tdx.bar")
        conn.execute("create or replace view market.bar as select * from market.later")
        conn.execute("create table market.made as select * from market.later")
        record = "insert into ops.managed_relation values ('market', 'later'), ('market', 'made')"
        conn.execute(record)
    restore(filled, tmp_path / "w.dump", clean=True)
    assert _checksum(filled) == before
    with filled.connect() as conn:
        assert not has_relation(conn, "market.later")
        assert not has_relation(conn, "market.made")  # the next build makes both
        made = conn.execute("select relation_name from ops.managed_relation order by 1")
        assert made.fetchall() == []


def test_a_schema_that_the_dump_lacks_goes_with_the_record_of_it(
    filled: Warehouse, dumped: Path
) -> None:
    with filled.connect() as conn:
        claim_schemas(conn, ["raw_tq"])
        conn.execute("create table raw_tq.later as select 1 as x")
    restore(filled, dumped, clean=True)
    prepare(filled, [])
    with filled.connect() as conn:
        assert conn.execute("select to_regnamespace('raw_tq')").fetchone() == (None,)


def test_a_warehouse_with_an_older_dump_is_brought_up_to_date_again(
    filled: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(migration_files, "shipped", lambda: shipped()[:1])
        prepare(filled, [])
    dump(filled, tmp_path / "w.dump")
    prepare(filled, [])
    restore(filled, tmp_path / "w.dump", clean=True)
    prepare(filled, [])
    with filled.connect() as conn:
        assert is_current(conn)


def test_a_dump_of_a_newer_version_is_refused(
    filled: Warehouse, another: Warehouse, tmp_path: Path
) -> None:
    prepare(filled, [])
    with filled.connect() as conn:
        conn.execute("insert into ops.schema_migrations (name) values ('9999_later.sql')")
    dump(filled, tmp_path / "w.dump")
    with psycopg.connect(filled.url) as conn:
        conn.execute("delete from ops.schema_migrations where name = '9999_later.sql'")
    for warehouse, clean in [(filled, True), (another, False)]:
        with pytest.raises(SettingsError, match=r"w\.dump .* newer quotemill, with 9999_later"):
            restore(warehouse, tmp_path / "w.dump", clean=clean)
    with another.connect() as conn:
        assert not has_relation(conn, "market.bar")


def test_cursors_do_not_outlive_the_rows_that_a_dump_lacks(filled: Warehouse, dumped: Path) -> None:
    find = "select to_regclass('raw_tdx._dlt_pipeline_state')::text"
    with filled.connect() as conn:  # as the first load after the dump
        conn.execute("create table raw_tdx._dlt_pipeline_state (state text)")
        conn.execute("insert into raw_tdx._dlt_pipeline_state values ('cursors')")
    restore(filled, dumped, clean=True)
    with filled.connect() as conn:
        assert conn.execute(find).fetchone() == (None,)


def test_a_users_schema_of_the_same_name_is_never_replaced(
    another: Warehouse, dumped: Path
) -> None:
    with another.connect() as conn:
        conn.execute("create schema market")
        conn.execute("create table market.bar as select 1 as theirs")
    with pytest.raises(SettingsError, match="did not create"):
        restore(another, dumped, clean=True)
    with another.connect() as conn:
        assert conn.execute("select theirs from market.bar").fetchone() == (1,)


def test_tables_of_the_user_outside_our_schemas_are_not_dumped(
    filled: Warehouse, another: Warehouse, tmp_path: Path
) -> None:
    with filled.connect() as conn:
        conn.execute("create schema mine")
        conn.execute("create table mine.diary (x int)")
    dump(filled, tmp_path / "w.dump")
    restore(another, tmp_path / "w.dump", clean=False)
    with another.connect() as conn:
        assert conn.execute("select to_regnamespace('mine')").fetchone() == (None,)


def test_an_existing_file_is_kept_without_overwrite(filled: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "w.dump"
    file.write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        dump(filled, file)
    assert file.read_text() == "precious"
    dump(filled, file, overwrite=True)
    assert file.read_bytes().startswith(b"PGDMP")


def test_a_leftover_partial_file_does_not_matter(filled: Warehouse, tmp_path: Path) -> None:
    part, file = tmp_path / "w.dump.part", tmp_path / "w.dump"
    part.write_text("left over")
    part.chmod(0o666)
    dump(filled, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    part.symlink_to(elsewhere)
    dump(filled, file, overwrite=True)
    assert elsewhere.read_text() == "mine"
    assert not file.is_symlink()


def test_a_failed_dump_leaves_no_file(filled: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        dump(filled, tmp_path / "no such folder" / "w.dump")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [0, 100, 0.6, "changed"])
def test_a_damaged_dump_is_refused_before_anything_changes(
    filled: Warehouse, tmp_path: Path, damage: float | str
) -> None:
    file = tmp_path / "w.dump"
    dump(filled, file)
    whole = file.read_bytes()
    if isinstance(damage, str):
        # among the rows, which a checksum covers; a byte of the list before them may mean nothing
        place = len(whole) * 5 // 6
        file.write_bytes(whole[:place] + bytes([255 - whole[place]]) + whole[place + 1 :])
    else:
        file.write_bytes(whole[: int(damage) if damage >= 1 else int(len(whole) * damage)])
    before = _checksum(filled)
    with pytest.raises(QuotemillError, match="not a readable dump"):
        restore(filled, file, clean=True)
    assert _checksum(filled) == before


def test_an_unclaimed_warehouse_has_nothing_to_dump(another: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no quotemill data"):
        dump(another, tmp_path / "w.dump")


def test_no_password_is_on_a_command_line(
    filled: Warehouse, tmp_path: Path, foreign_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: Any, *args: Any, **kwargs: Any) -> None:
            seen.extend(str(part) for part in command)
            super().__init__(command, *args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    dump(filled, tmp_path / "w.dump")
    restore(filled, tmp_path / "w.dump", clean=True)
    assert {Path(part).name for part in seen} >= {"pg_dump", "pg_restore", "psql"}
    assert not any(foreign_server.writer_password in part or "%40ss" in part for part in seen)


def test_a_table_of_the_dump_replaces_a_view_of_its_name(filled: Warehouse, dumped: Path) -> None:
    before = _checksum(filled)
    with filled.connect() as conn:
        conn.execute("create table raw_tdx.renamed as select * from raw_tdx.bar")
        conn.execute("drop table raw_tdx.bar cascade")
        conn.execute("create view raw_tdx.bar as select * from raw_tdx.renamed where code < 'sh3'")
    restore(filled, dumped, clean=True)
    assert _checksum(filled) == before
    with filled.connect() as conn:
        kinds = conn.execute(
            "select relkind::text from pg_class where oid = 'raw_tdx.bar'::regclass"
        )
        assert kinds.fetchall() == [("r",)]
