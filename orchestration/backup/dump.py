"""Dump of what is ours, in pg_dump's custom format.

An external warehouse is dumped by claimed schemas: the rest of it is its user's. The embedded
server is ours alone and is dumped whole. So is a database with hypertables of ours, whose chunks
and catalogue are outside its schemas.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from loaders.files.process import running
from loaders.warehouse.embedded.binaries import client_tool
from loaders.warehouse.hypertables import list_hypertables
from loaders.warehouse.ownership import owned_schemas
from orchestration.backup import dump_file
from quotemill.errors import SettingsError, UpstreamError, UsageError
from quotemill.warehouse.connections import find_options
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class DumpResult:
    """A dump that was written or restored.

    entries: number of objects in the dump's table of contents
    hypertables: names of those in a dump that was written
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
    options: dict[str, str]

    def tool(self, name: str) -> Path:
        return client_tool(name, server_version=self.version, encrypted=self.encrypted)


def dump(warehouse: Warehouse, file: Path, *, overwrite: bool = False) -> DumpResult:
    """Write a consistent dump; `file` appears only when it is complete and read back whole.

    Raises UsageError when the file exists, SettingsError for a warehouse that cannot be dumped so
    (nothing of ours in it, no fitting pg_dump), UpstreamError when pg_dump fails.
    """
    file = file.absolute()
    if file.exists() and not overwrite:
        raise UsageError(f"{file} already exists", hint="Choose another name, or use --overwrite.")
    part = file.with_name(f"{file.name}.part")
    with warehouse.connect() as conn:
        server = inspect_server(conn)
        if not server.schemas and not warehouse.embedded:
            raise SettingsError(f"the warehouse {warehouse.label} has no quotemill data yet")
        program = server.tool("pg_restore")
        try:
            part.unlink(missing_ok=True)  # one left over keeps its mode, and may be a link
            names = tuple(list_hypertables(conn, server.schemas))
            conn.rollback()
            is_whole = bool(names) or warehouse.embedded
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as output:
                _write(warehouse, server, output, is_whole=is_whole)
                os.fsync(output.fileno())
            read = dump_file.read_dump(part, program)
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
    schemas = sorted(owned_schemas(conn))
    version, encrypted = conn.info.server_version, conn.pgconn.ssl_in_use
    server = Server(version, encrypted, schemas, find_options(conn))
    conn.rollback()
    return server


def _write(warehouse: Warehouse, server: Server, output: IO[bytes], *, is_whole: bool) -> None:
    """Write what pg_dump prints: one whose reader was killed ends, too."""
    conninfo, secret = warehouse.without_password()
    command: list[str | Path] = [server.tool("pg_dump"), "--format=custom", "--no-password"]
    command += [f"--dbname={conninfo}", "--encoding=UTF8"]
    # its transaction ids mean nothing elsewhere
    command += [f"--exclude-table-data=ops.{name}" for name in ("changes", "change_cursors")]
    if not is_whole:
        # quoted: no letter of it is a wildcard
        command += [f"--schema={sql.Identifier(name).as_string(None)}" for name in server.schemas]
    fail = partial(failure, warehouse, "pg_dump")
    env = dict(os.environ) | secret | server.options
    with running(command, fail, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        shutil.copyfileobj(process.stdout, output)


def failure(warehouse: Warehouse, what: str, message: str) -> UpstreamError:
    lines = warehouse.scrub(message).splitlines()[-12:]
    return UpstreamError(
        f"{what} failed; nothing was changed:\n" + "\n".join(f"  {line}" for line in lines)
    )
