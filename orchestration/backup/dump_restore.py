"""Restore of a dump in one transaction: our schemas are replaced whole, or nothing changes.

A dump with hypertables is of a whole database, and restores into an empty one by TimescaleDB's own
functions: its catalogue numbers every chunk.
"""

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from loaders.files.process import running
from loaders.warehouse.content import CONTENT_ID, fetched_folder, find_content
from loaders.warehouse.hypertables import extension_schema
from loaders.warehouse.ownership import foreign_relations
from loaders.warehouse.sql_files import read_sql
from orchestration.backup import dump_file
from orchestration.backup.dump import DumpResult, Server, failure, inspect_server
from orchestration.backup.dump_file import DumpFile, schema_entry
from quotemill.errors import SettingsError, UpstreamError, UsageError
from quotemill.warehouse.connections import SESSION
from quotemill.warehouse.migrations import newer
from quotemill.warehouse.postgres import Warehouse, WarehouseAway
from quotemill.wording import join_hints

# PostgreSQL 17.12 (November 2026) numbers columns by this option. A pg_dump older than the server
# writes it as a user's option; servers without it refuse it, and one that has it sets it by itself.
_COLUMN_NUMBER = re.compile(rb"(?:, )?\bpg_attver=\d+")
_EXTENSION = re.compile(r" EXTENSION (- )?timescaledb ")


def restore(warehouse: Warehouse, file: Path, *, clean: bool) -> DumpResult:
    """Restore a dump.

    With `clean` our schemas are replaced whole, also what the dump lacks; without, a warehouse that
    holds relations of ours is refused (UsageError). Relations that quotemill did not create are
    never replaced, nor ours that others read (SettingsError), nor anything while a load or a build
    runs (LockHeldError). Owners become the connecting role; grants are left to the next build.
    """
    from orchestration.archive.alone import alone  # it imports pyarrow

    file = file.absolute()
    if not file.is_file():
        raise UsageError(f"{file} is not a file")
    with alone(warehouse):
        with warehouse.connect() as conn:
            server = inspect_server(conn)
            dumped = dump_file.read_dump(file, server.tool("pg_restore"))
            script = _Script(warehouse, server, dumped)
            _refuse_newer(script)
            held = _count_held(conn, warehouse, server, dumped)
            if held and not clean:
                raise UsageError(
                    f"the warehouse {warehouse.label} already has {held} relations",
                    hint="Replace all of them with --yes.",
                )
            _refuse_readers(conn, server.schemas)
            functions = extension_schema(conn) if dumped.has_hypertables else None
            present = {name for (name,) in conn.execute("select nspname from pg_namespace")}
            former = find_content(conn)
        content = secrets.token_hex(6)
        remaining = present.difference(server.schemas)
        parts = _parts(script, remaining, functions, content, clean=held > 0)
        try:
            script.run(parts)
        except UpstreamError as error:
            if _ask_content(warehouse, error) != content:
                raise
        if former is not None:  # rows that were fetched for it and never landed
            shutil.rmtree(fetched_folder(warehouse, former), ignore_errors=True)
    return DumpResult(file, file.stat().st_size, len(dumped.entries))


def count_occupied(warehouse: Warehouse, file: Path) -> int:
    """The number of relations that a restore of the dump replaces."""
    with warehouse.connect() as conn:
        server = inspect_server(conn)
        dumped = dump_file.read_dump(file, server.tool("pg_restore"))
        return _count_held(conn, warehouse, server, dumped)


def _ask_content(warehouse: Warehouse, error: UpstreamError) -> str | None:
    """The name of the content after an error. Raises UpstreamError where nobody can tell it."""
    try:
        return warehouse.ask(find_content)
    except WarehouseAway as away:
        reason = str(error).partition("\n")[2].strip()
        raise UpstreamError(
            "the restore was interrupted, so all of it is there or nothing was changed: "
            f"{reason} ({away})",
            hint=join_hints([away.hint, "Restore again, which is right in both cases."]),
        ) from None


def _rename_content(content: str) -> bytes:
    """The statement that gives what was restored a name of its own, where it has settings."""
    return f"""
        do $$
        begin
            if to_regclass('ops.settings') is not null then
                insert into ops.settings values ('{CONTENT_ID}', '{content}')
                on conflict (key) do update set value = excluded.value;
            end if;
        end
        $$;
    """.encode()


def _refuse_newer(script: "_Script") -> None:
    """Raises SettingsError for a dump with later migrations: this version may break its rows."""
    entries = script.dumped.entries
    recorded = [line for line in entries if " TABLE DATA ops schema_migrations " in line]
    rows = (line.decode().split("\t") for line in script.restored(recorded))
    if later := newer(row[0] for row in rows if len(row) == 2):
        raise SettingsError(
            f"{script.dumped.path.name} was created by a newer quotemill, with {', '.join(later)}",
            hint="Install that version, or a later one.",
        )


def _count_held(
    conn: psycopg.Connection, warehouse: Warehouse, server: Server, dumped: DumpFile
) -> int:
    """The relations in our schemas and those of the dump, none of which may be others'."""
    if dumped.has_hypertables:
        _require_empty(conn, warehouse)
        return 0
    foreign = foreign_relations(conn, dumped.schemas)
    if foreign:
        names = "\n".join(f"  {schema}: {', '.join(r[:20])}" for schema, r in foreign.items())
        raise SettingsError(
            f"the warehouse has relations that quotemill did not create:\n{names}",
            hint="Restore into another database: QUOTEMILL_WAREHOUSE_URL=postgresql://…/another.",
        )
    row = conn.execute(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = any(%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')",
        ([*server.schemas, *dumped.schemas],),
    ).fetchone()
    return int(row[0]) if row else 0


def _require_empty(conn: psycopg.Connection, warehouse: Warehouse) -> None:
    """Raises SettingsError for a database that takes no dump with hypertables."""
    [(has_extension, relations)] = conn.execute(
        "select exists (select 1 from pg_extension where extname = 'timescaledb'), "
        "(select count(*) from pg_class as c "
        "inner join pg_namespace as n on c.relnamespace = n.oid "
        "where c.relkind in ('r', 'p', 'v', 'm', 'f') "
        "and n.nspname !~ '^(pg_|_timescaledb|timescaledb_|information_schema$)' "
        "and not exists (select 1 from pg_depend as d where d.classid = 'pg_class'::regclass "
        "and d.objid = c.oid and d.deptype = 'e'))"
    )
    if relations or not has_extension:
        lack = f"has {relations} relations" if relations else "lacks TimescaleDB"
        raise SettingsError(
            f"a dump with hypertables needs an empty database with TimescaleDB, but "
            f"{warehouse.label} {lack}",
            hint="Create database another as a superuser, then in it, in the version of the dump, "
            "create extension timescaledb, and set QUOTEMILL_WAREHOUSE_URL to it.",
        )


def _refuse_readers(conn: psycopg.Connection, schemas: Sequence[str]) -> None:
    """Raises SettingsError for relations and functions outside our schemas that read ours."""
    query = read_sql("orchestration.backup", "readers").encode()
    names = [name for (name,) in conn.execute(query, {"schemas": list(schemas)})]
    if names:
        raise SettingsError(
            f"nothing was changed: other objects depend on quotemill's tables: {', '.join(names)}",
            hint="Drop them, restore, then recreate any that the dump did not have.",
        )


def _parts(
    script: "_Script", remaining: set[str], functions: str | None, content: str, *, clean: bool
) -> Generator[bytes, None, None]:
    """The script, in blocks.

    remaining: schemas that are there and not replaced
    functions: the schema of TimescaleDB's, for a dump with hypertables
    """
    for name in script.server.schemas:
        yield _line(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name)))
    if functions is not None:
        call = sql.SQL("select {}.timescaledb_pre_restore()")
        yield _line(call.format(sql.Identifier(functions)))
    entries = [
        line
        for line in script.dumped.entries
        if schema_entry(line) not in remaining and not _EXTENSION.search(line)
    ]
    # of an embedded server the dump has tables of its user too
    yield from script.restored(entries, clean=clean)
    if functions is not None:
        call = sql.SQL("select {}.timescaledb_post_restore()")
        yield _line(call.format(sql.Identifier(functions)))
    yield _rename_content(content)


def _without_unknown_settings(script: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of pg_restore's script, without settings that older servers refuse."""
    rows = False
    for line in script:
        if rows:
            rows = line != b"\\.\n"
        elif line == b"SET transaction_timeout = 0;\n":
            continue
        elif line.startswith(b"COPY "):
            rows = True
        elif line.startswith(b"ALTER ") and b"pg_attver=" in line:
            line = _COLUMN_NUMBER.sub(b"", line).replace(b" SET (, ", b" SET (")
            if line.endswith(b" SET ();\n"):
                continue
        yield line


def _line(statement: sql.Composed) -> bytes:
    return f"{statement.as_string(None)};\n".encode()


class _Script:
    """A script for psql.

    By itself pg_restore of version 17 or newer sets a parameter that older servers refuse, and it
    does not know hypertables.
    """

    def __init__(self, warehouse: Warehouse, server: Server, dumped: DumpFile) -> None:
        self.warehouse, self.server, self.dumped = warehouse, server, dumped
        self.fail = partial(failure, warehouse, "the restore")

    def restored(self, entries: Sequence[str], *, clean: bool = False) -> Iterator[bytes]:
        """pg_restore's script of some entries. Raises UpstreamError where it breaks off."""
        if not entries:
            return
        with tempfile.NamedTemporaryFile("w", suffix=".list", encoding="utf-8") as selection:
            selection.write("\n".join(entries) + "\n")
            selection.flush()
            arguments = ["--no-owner", "--no-privileges", "--file=-"]
            arguments += ["--clean", "--if-exists"] if clean else []
            arguments.append(f"--use-list={selection.name}")
            program = self.server.tool("pg_restore")
            with dump_file.pg_restore(program, self.dumped.path, arguments, self.fail) as script:
                yield from _without_unknown_settings(script)

    def run(self, parts: Generator[bytes, None, None]) -> None:
        """Send the parts in one transaction. COMMIT is sent once all were written to their end."""
        conninfo, secret = self.warehouse.without_password()
        psql: list[str | Path] = [self.server.tool("psql"), "-X", "-q", "-w", "-d", conninfo]
        psql += ["-v", "ON_ERROR_STOP=1"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
        env = dict(os.environ) | secret | self.server.options
        with (
            contextlib.closing(parts),
            running(psql, self.fail, env=env, **pipes) as writer,
            # psql met an error and ended; it says which
            contextlib.suppress(BrokenPipeError),
        ):
            assert writer.stdin is not None
            writer.stdin.write(f"{SESSION};\nbegin;\n".encode())
            for part in parts:
                writer.stdin.write(part)
            writer.stdin.write(b"commit;\n")
