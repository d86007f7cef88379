"""Restore of a dump in one transaction: all of it, or nothing changes.

Hypertables are hypertables again where the server has TimescaleDB, made while they are
empty, and plain tables elsewhere. A continuous aggregate comes back as a plain table of its rows.
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
from loaders.warehouse.hypertables import (
    Hypertable,
    extension_schema,
    hypertables,
    make_hypertable,
)
from loaders.warehouse.ownership import foreign_relations
from orchestration.backup import dump_file
from orchestration.backup.dump import DumpResult, Server, failure, inspect_server
from orchestration.backup.dump_file import DumpFile, schema_entry
from quotemill.errors import SettingsError, UpstreamError, UsageError
from quotemill.warehouse.connections import SESSION
from quotemill.warehouse.postgres import Warehouse, WarehouseAway
from quotemill.warehouse.schemas import has_relation

# PostgreSQL 17.12 (November 2026) numbers columns by this option. A pg_dump older than the server
# writes it as a user's option; servers without it refuse it, and one that has it sets it by itself.
_COLUMN_NUMBER = re.compile(rb"(?:, )?\bpg_attver=\d+")
_RELATION = re.compile(r"\d+; \d+ \d+ (TABLE|VIEW) (\S+) (\S+) ")


def restore(warehouse: Warehouse, file: Path, *, clean: bool) -> DumpResult:
    """Restore a dump.

    With `clean` what the dump holds replaces what is there under the same names; without, a
    warehouse that holds rows of ours is refused (UsageError). Relations that quotemill did not
    create are never replaced (SettingsError), nor anything while a load or a build runs
    (LockHeldError). Owners become the connecting role; grants are left to the next build.
    """
    from orchestration.archive.alone import alone  # it imports pyarrow

    file = file.absolute()
    if not file.is_file():
        raise UsageError(f"{file} is not a file")
    with alone(warehouse):
        with warehouse.connect() as conn:
            server = inspect_server(conn)
            dumped = dump_file.read_dump(file, server.tool("pg_restore"))
            relations = _count_relations(conn, dumped.schemas)
            if relations and not clean:
                raise UsageError(
                    f"the warehouse {warehouse.label} holds {relations} relations already",
                    hint="--yes replaces those that the dump holds too",
                )
            made = _made_hypertables(conn, dumped)
            script = _Script(warehouse, server, dumped)
            built = _read_built(conn)
            drops = _drop_statements(conn, dumped, built) if relations else []
            present = {name for (name,) in conn.execute("select nspname from pg_namespace")}
            former = find_content(conn)
        content = secrets.token_hex(6)
        last = [_rename_content(content), *_record_built(built)]
        parts = _parts(script, dumped, made, drops, present, last, clean=relations > 0)
        try:
            script.run(parts)
        except UpstreamError as error:
            if _ask_content(warehouse, error) != content:
                raise
        if former is not None:  # rows that were fetched for it and never landed
            shutil.rmtree(fetched_folder(warehouse, former), ignore_errors=True)
    names = tuple(table.qualified for table, _ in made)
    return DumpResult(file, file.stat().st_size, len(dumped.entries), names)


def count_occupied(warehouse: Warehouse, file: Path) -> int:
    """The number of relations that the warehouse already holds in the schemas of the dump."""
    with warehouse.connect() as conn:
        dumped = dump_file.read_dump(file, inspect_server(conn).tool("pg_restore"))
        return _count_relations(conn, dumped.schemas)


def _read_built(conn: psycopg.Connection) -> list[tuple[str, str]]:
    """Schema and name of each relation that builds made here."""
    if not has_relation(conn, "ops.managed_relation"):
        return []
    query = "select schema_name, relation_name from ops.managed_relation"
    return conn.execute(query).fetchall()


def _record_built(built: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """The statements that record them again: a build refuses tables that it did not make."""
    for row in built:
        yield _line(
            sql.SQL(
                "insert into ops.managed_relation (schema_name, relation_name) values ({}) "
                "on conflict do nothing"
            ).format(sql.SQL(", ").join(map(sql.Literal, row)))
        )


def _ask_content(warehouse: Warehouse, error: UpstreamError) -> str | None:
    """The name of the content after an error. Raises UpstreamError where nobody can tell it."""
    try:
        return warehouse.ask(find_content)
    except WarehouseAway as away:
        reason = str(error).partition("\n")[2].strip()
        raise UpstreamError(
            f"the restore broke off, all of it is there or nothing was changed: {reason}; {away}",
            hint=f"{away.hint}; when it answers, restore again: that is right in both cases",
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


def _count_relations(conn: psycopg.Connection, schemas: list[str]) -> int:
    foreign = foreign_relations(conn, schemas)
    if foreign:
        names = "\n".join(f"  {schema}: {', '.join(r[:20])}" for schema, r in foreign.items())
        raise SettingsError(
            f"the warehouse holds relations that quotemill did not create:\n{names}",
            hint="restore into another database: QUOTEMILL_WAREHOUSE_URL=postgresql://…/another",
        )
    row = conn.execute(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = any(%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')",
        (schemas,),
    ).fetchone()
    return int(row[0]) if row else 0


def _made_hypertables(
    conn: psycopg.Connection, dumped: DumpFile
) -> list[tuple[Hypertable, sql.Composed]]:
    """The hypertables that this server can have, with the statement that makes each."""
    if extension_schema(conn) is None:
        return []
    return [
        (table, make_hypertable(conn, table.identifier, table.time, table.chunk))
        for table in dumped.hypertables
        if table.time and table.chunk
    ]


def _drop_statements(
    conn: psycopg.Connection, dumped: DumpFile, made: Iterable[tuple[str, str]]
) -> list[bytes]:
    """Statements that drop what those of pg_restore do not.

    A continuous aggregate is no table to them, a hypertable's key cannot be dropped by ONLY, and
    they do not know a table that a dump holds as an aggregate, or that is a view now, nor dlt's
    tables of cursors that it lacks. Views that read them go before, and come back with the dump, or
    with a build those that it lacks; one of the user stops the restore.
    """
    relations = [match.groups() for line in dumped.entries if (match := _RELATION.match(line))]
    named = {t.qualified for t in dumped.hypertables if t.time is None}
    dumped_names = named | {f"{schema}.{name}" for _, schema, name in relations}
    built = {f"{schema}.{name}" for schema, name in made} - dumped_names
    stored = hypertables(conn, dumped.schemas)
    aggregates = {t.qualified for t in stored if t.time is None} & (dumped_names | built)
    tables = named | {t.qualified for t in stored if t.time} & dumped_names
    # what was a table when the dump was made may be a view now
    replaced = {f"{schema}.{name}" for kind, schema, name in relations if kind == "TABLE"}
    replaced -= aggregates | tables
    views = {f"{schema}.{name}" for kind, schema, name in relations if kind == "VIEW"} - aggregates
    if not aggregates | tables | built:
        views = set()
    present = conn.execute(
        "select format('%%I.%%I', n.nspname, c.relname), n.nspname || '.' || c.relname, "
        "c.relkind::text from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid "
        "where n.nspname || '.' || c.relname = any(%s) and c.relkind::text in ('v', 'r', 'p')",
        ([*views, *built, *replaced, *aggregates, *tables],),
    ).fetchall()
    gone = views | replaced | built - aggregates
    plain = [name for name, qualified, kind in present if kind == "v" and qualified in gone]
    dropped = [f"drop view {', '.join(plain)}"] if plain else []
    dropped += [f"drop materialized view {name}" for name, q, _ in present if q in aggregates]
    dropped += [f"drop table {name}" for name, q, kind in present if q in tables and kind != "v"]
    # of a dump before the first load: the cursors that are there would lead its rows
    cursors = conn.execute(
        "select format('%%I.%%I', schemaname, tablename) from pg_tables where schemaname = any(%s) "
        "and starts_with(tablename, '_dlt_') and schemaname || '.' || tablename <> all(%s)",
        (dumped.schemas, list(dumped_names)),
    ).fetchall()
    dropped += [f"drop table {name}" for (name,) in cursors]
    return [f"{statement};\n".encode() for statement in dropped]


def _parts(
    script: "_Script",
    dumped: DumpFile,
    made: Sequence[tuple[Hypertable, sql.Composed]],
    drops: Iterable[bytes],
    present: set[str],
    last: Iterable[bytes],
    *,
    clean: bool,
) -> Generator[bytes, None, None]:
    """The script, in blocks. Keys and indexes of hypertables come after their rows."""
    schemas = [line for line in dumped.entries if schema_entry(line)]
    later = [line for line in dumped.entries if _belongs_to(line, dumped.hypertables)]
    rest = [
        line
        for line in dumped.entries
        if line not in (*schemas, *later) and not _is_trigger(line, dumped.hypertables)
    ]
    yield from drops
    # schemas that are there stay: they may hold what is not in the dump, or belong to another
    yield from script.restored([line for line in schemas if schema_entry(line) not in present])
    for table in dumped.hypertables:
        if table.time is None:
            yield _line(_create(table))
    yield from script.restored(rest, clean=clean)
    for _, statement in made:
        yield _line(statement)
    for table in dumped.hypertables:
        names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in table.columns)
        yield _line(sql.SQL("copy {} ({}) from stdin").format(table.identifier, names))
        with dumped.rows(table) as rows:
            yield from iter(lambda: rows.read(dump_file.BLOCK), b"")
        yield b"\\.\n"
        if table.key:
            key = sql.SQL(", ").join(map(sql.Identifier, table.key))
            yield _line(
                sql.SQL("alter table {} add primary key ({})").format(table.identifier, key)
            )
    for block in script.restored(later):
        yield block.replace(b"ALTER TABLE ONLY ", b"ALTER TABLE ")  # its chunks have the key too
    yield from last


def _create(table: Hypertable) -> sql.Composed:
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in table.columns
    ]
    return sql.SQL("create table {} ({})").format(table.identifier, sql.SQL(", ").join(columns))


def _belongs_to(line: str, tables: Iterable[Hypertable]) -> bool:
    """Whether an entry is the key or an index of one of the tables."""
    what = line.split(" ", 3)[-1]
    return any(
        what.startswith(f"CONSTRAINT {table.schema} {table.name} ")
        or any(what.startswith(f"INDEX {table.schema} {name} ") for name in table.indexes)
        for table in tables
    )


def _is_trigger(line: str, tables: Iterable[Hypertable]) -> bool:
    """Whether an entry is a trigger by which TimescaleDB guards a hypertable."""
    what = line.split(" ", 3)[-1]
    return any(what.startswith(f"TRIGGER {table.schema} {table.name} ts_") for table in tables)


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
        env = dict(os.environ) | secret
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
