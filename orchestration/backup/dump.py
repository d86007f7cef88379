"""Dump of what is ours, in pg_dump's custom format, with the rows of hypertables beside it.

An external warehouse is dumped by claimed schemas: the rest of it is its user's. The embedded
server is ours alone and is dumped whole. A hypertable's rows are in chunks outside its schema, so
they are copied one table after the other, in the snapshot that pg_dump reads.
"""

import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

from loaders.files.process import running
from loaders.warehouse.embedded.binaries import client_tool
from loaders.warehouse.hypertables import Hypertable, hypertables
from loaders.warehouse.ownership import owned_schemas
from orchestration.backup import dump_file
from quotemill.errors import SettingsError, UpstreamError, UsageError
from quotemill.warehouse.postgres import Warehouse

# of the rows: 189 MB/s to 16 % of their text; zlib's own default makes 12 % of it, at 59 MB/s
_COMPRESSION = 1


@dataclass(frozen=True)
class DumpResult:
    """A dump that was written or restored.

    entries: number of objects in the dump's table of contents
    hypertables: names of those whose rows the dump holds, or which the restore has made
    """

    path: Path
    size_bytes: int
    entries: int
    hypertables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Server:
    """The facts that decide which of PostgreSQL's programs fit, and our schemas."""

    version: int
    encrypted: bool
    schemas: list[str]

    def tool(self, name: str) -> Path:
        return client_tool(name, server_version=self.version, encrypted=self.encrypted)


def dump(warehouse: Warehouse, file: Path, *, overwrite: bool = False) -> DumpResult:
    """Write a consistent dump; `file` appears only when it is complete and read back whole.

    Raises UsageError when the file exists, SettingsError for a warehouse that cannot be dumped so
    (nothing of ours in it, no fitting pg_dump), UpstreamError when pg_dump fails.
    """
    file = file.absolute()
    if file.exists() and not overwrite:
        raise UsageError(f"{file} exists", hint="choose another name, or --overwrite")
    part = file.with_name(f"{file.name}.part")
    with warehouse.connect() as conn:
        server = inspect_server(conn)
        if not server.schemas and not warehouse.embedded:
            raise SettingsError(f"the warehouse {warehouse.label} holds nothing of quotemill yet")
        program = server.tool("pg_restore")
        try:
            part.unlink(missing_ok=True)  # one left over keeps its mode, and may be a link
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            _write(warehouse, conn, server, part)
            conn.rollback()
            read = dump_file.read_dump(part, program)
            names = tuple(table.qualified for table in read.hypertables)
            result = DumpResult(file, part.stat().st_size, len(read.entries), names)
            part.replace(file)
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from None
        except psycopg.Error as error:
            raise failure(warehouse, "the dump", str(error)) from None
        finally:
            part.unlink(missing_ok=True)
    return result


def inspect_server(conn: psycopg.Connection) -> Server:
    """Read the facts and end the transaction: what follows takes long."""
    server = Server(conn.info.server_version, conn.pgconn.ssl_in_use, sorted(owned_schemas(conn)))
    conn.rollback()
    return server


def _write(warehouse: Warehouse, conn: psycopg.Connection, server: Server, part: Path) -> None:
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    # good for as long as this transaction, which waits for pg_dump
    [snapshot] = conn.execute("select pg_export_snapshot()").fetchone() or ("",)
    beside = [] if warehouse.embedded else hypertables(conn, server.schemas)
    conninfo, _ = warehouse.without_password()
    command: list[str | Path] = [server.tool("pg_dump"), "--format=custom", "--no-password"]
    command += [f"--dbname={conninfo}", f"--snapshot={snapshot}", "--encoding=UTF8"]
    # its transaction ids mean nothing elsewhere
    command += [f"--exclude-table-data=ops.{name}" for name in ("changes", "change_cursors")]
    if not warehouse.embedded:
        # quoted: no letter of it is a wildcard
        command += [f"--schema={sql.Identifier(name).as_string(None)}" for name in server.schemas]
    for table in beside:
        # of a continuous aggregate no view either
        part_name = "table-data" if table.time else "table"
        command.append(f"--exclude-{part_name}={table.identifier.as_string(None)}")
    if not beside:
        _run(warehouse, [*command, f"--file={part}"])
        return
    with zipfile.ZipFile(part, "w", compresslevel=_COMPRESSION) as file:
        file.writestr(dump_file.HYPERTABLES, dump_file.hypertables_text(beside))
        with file.open(zipfile.ZipInfo(dump_file.PG_DUMP), "w", force_zip64=True) as out:
            _run(warehouse, command, out)
        for table in beside:
            rows = zipfile.ZipInfo(dump_file.member(table))
            rows.compress_type = zipfile.ZIP_DEFLATED
            part_file: Any = file.open(rows, "w", force_zip64=True)
            with (
                io.BufferedWriter(part_file, dump_file.BLOCK) as blocks,
                conn.cursor().copy(_copy_out(table)) as lines,
            ):
                for line in lines:
                    blocks.write(line)


def _copy_out(table: Hypertable) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in table.columns)
    return sql.SQL("copy (select {} from {}) to stdout").format(names, table.identifier)


def _run(warehouse: Warehouse, command: Sequence[str | Path], out: IO[bytes] | None = None) -> None:
    """Run a program of PostgreSQL's; what it prints goes to `out`."""
    _, secret = warehouse.without_password()
    fail = partial(failure, warehouse, Path(command[0]).name)
    with running(command, fail, env=dict(os.environ) | secret, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if out is not None:
            shutil.copyfileobj(process.stdout, out, dump_file.BLOCK)
        else:
            process.stdout.read()


def failure(warehouse: Warehouse, what: str, message: str) -> UpstreamError:
    lines = warehouse.scrub(message).splitlines()[-12:]
    return UpstreamError(
        f"{what} failed; nothing was changed:\n" + "\n".join(f"  {line}" for line in lines)
    )
