"""Dump and restore of what is ours, in pg_dump's custom format.

An external warehouse is dumped by claimed schemas: the rest of it is its user's. The embedded
server is ours alone and is dumped whole.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from loaders.errors import QuotemillError, SettingsError, UpstreamError, UsageError
from loaders.warehouse.embedded.binaries import client_tool
from loaders.warehouse.ownership import foreign_relations, owned_schemas
from loaders.warehouse.postgres import Warehouse

_PREAMBLE = 40  # lines at the start of pg_restore's script where its SET statements are


@dataclass(frozen=True)
class DumpResult:
    """`entries` counts the objects in the dump's table of contents."""

    path: Path
    size_bytes: int
    entries: int


@dataclass(frozen=True)
class _Server:
    version: int
    encrypted: bool
    schemas: list[str]

    def tool(self, name: str) -> Path:
        return client_tool(name, server_version=self.version, encrypted=self.encrypted)


def dump(warehouse: Warehouse, file: Path, *, overwrite: bool = False) -> DumpResult:
    """Write a consistent dump; `file` appears only when it is complete and read back whole.

    Raises UsageError when the file exists, SettingsError for a warehouse that cannot be dumped so
    (nothing of ours in it, hypertables, no fitting pg_dump), UpstreamError when pg_dump fails.
    """
    file = file.absolute()
    if file.exists() and not overwrite:
        raise UsageError(f"{file} exists", hint="choose another name, or --overwrite")
    server = _look_at(warehouse)
    if not server.schemas and not warehouse.embedded:
        raise SettingsError(f"the warehouse {warehouse.label} holds nothing of quotemill yet")
    _refuse_hypertables(warehouse, server.schemas)
    command: list[str | Path] = [server.tool("pg_dump"), "--format=custom", "--no-password"]
    # its transaction ids mean nothing elsewhere
    command += [f"--exclude-table-data=ops.{name}" for name in ("changes", "change_cursors")]
    if not warehouse.embedded:
        # quoted: no letter of it is a wildcard
        command += [f"--schema={sql.Identifier(name).as_string(None)}" for name in server.schemas]
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)  # one left over keeps its mode, and may be a link
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        conninfo, _ = warehouse.without_password()
        _run(warehouse, [*command, f"--file={part}", f"--dbname={conninfo}"])
        entries = len(_contents(server.tool("pg_restore"), part))
        result = DumpResult(file, part.stat().st_size, entries)
        part.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return result


def restore(warehouse: Warehouse, file: Path, *, clean: bool) -> DumpResult:
    """Restore a dump in one transaction: all of it, or nothing changes.

    With `clean` what the dump holds replaces what is there under the same names; without, a
    warehouse that holds rows of ours is refused (UsageError). Relations that quotemill did not
    create are never replaced (SettingsError). Owners become the connecting role; grants are left
    to the next build.
    """
    file = file.absolute()
    if not file.is_file():
        raise UsageError(f"{file} is not a file")
    server = _look_at(warehouse)
    program = server.tool("pg_restore")
    contents = _contents(program, file)
    schemas = [name for line in contents if (name := _schema_entry(line))]
    held = _held(warehouse, schemas)
    if held and not clean:
        raise UsageError(
            f"the warehouse {warehouse.label} holds {held} relations already",
            hint="--yes replaces those that the dump holds too",
        )
    with warehouse.connect() as conn:
        present = {name for (name,) in conn.execute("select nspname from pg_namespace")}
    command: list[str | Path] = [program, "--no-owner", "--no-privileges", "--file=-"]
    command += ["--clean", "--if-exists"] if held else []
    with tempfile.NamedTemporaryFile("w", suffix=".list", encoding="utf-8") as selection:
        # schemas that are there stay: they may hold what is not in the dump, or belong to another
        kept = [line for line in contents if _schema_entry(line) not in present]
        selection.write("\n".join(kept) + "\n")
        selection.flush()
        _execute(warehouse, server, [*command, f"--use-list={selection.name}", file])
    return DumpResult(file, file.stat().st_size, len(contents))


def occupied(warehouse: Warehouse, file: Path) -> int:
    """How many relations the warehouse already holds in the schemas of the dump."""
    program = _look_at(warehouse).tool("pg_restore")
    return _held(warehouse, [n for line in _contents(program, file) if (n := _schema_entry(line))])


def _look_at(warehouse: Warehouse) -> _Server:
    with warehouse.connect() as conn:
        return _Server(
            conn.info.server_version, conn.pgconn.ssl_in_use, sorted(owned_schemas(conn))
        )


def _held(warehouse: Warehouse, schemas: list[str]) -> int:
    with warehouse.connect() as conn:
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


def _refuse_hypertables(warehouse: Warehouse, schemas: list[str]) -> None:
    """A hypertable's rows are in chunks outside its schema: a dump by schemas would lose them."""
    with warehouse.connect() as conn:
        if not conn.execute("select 1 from pg_extension where extname = 'timescaledb'").fetchone():
            return
        found = conn.execute(
            "select format('%%I.%%I', hypertable_schema, hypertable_name) "
            "from timescaledb_information.hypertables where hypertable_schema = any(%s)",
            (schemas,),
        ).fetchall()
    if found:
        raise SettingsError(
            f"hypertables cannot be dumped by schema: {', '.join(row[0] for row in found)}",
            hint="dump the whole database as TimescaleDB's manual says",
        )


def _contents(program: Path, file: Path) -> list[str]:
    """Entries of the dump's table of contents, once every byte of it was read."""
    for arguments in (["--file=/dev/null"], ["--list"]):
        done = subprocess.run([program, *arguments, file], capture_output=True, text=True)
        if done.returncode != 0:
            raise QuotemillError(
                f"{file} is not a readable dump: {done.stderr.strip()}",
                hint="a dump is a file that quotemill warehouse dump (or pg_dump -Fc) has written",
            )
    entries = [line for line in done.stdout.splitlines() if line and not line.startswith(";")]
    if not entries:
        raise QuotemillError(f"{file} is a dump of nothing")
    return entries


def _schema_entry(line: str) -> str | None:
    """`market` of `5; 2615 16389 SCHEMA - market postgres`."""
    _, found, rest = line.partition(" SCHEMA - ")
    return rest.rpartition(" ")[0] if found else None


def _run(warehouse: Warehouse, command: Sequence[str | Path]) -> None:
    _, secret = warehouse.without_password()
    done = subprocess.run(
        command, env=dict(os.environ) | secret, capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0:
        raise _failure(warehouse, Path(command[0]).name, done.stderr)


def _execute(warehouse: Warehouse, server: _Server, command: Sequence[str | Path]) -> None:
    """Run pg_restore's script through psql: by itself pg_restore of version 17 or newer sets a
    parameter that older servers refuse. COMMIT is sent once the script was written to its end."""
    conninfo, secret = warehouse.without_password()
    psql: list[str | Path] = [server.tool("psql"), "-X", "-q", "-w", "-d", conninfo]
    psql += ["-v", "ON_ERROR_STOP=1"]
    with tempfile.TemporaryFile() as trouble:
        writer = subprocess.Popen(
            psql,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=trouble,
            env=dict(os.environ) | secret,
        )
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=trouble)
        assert reader.stdout is not None
        assert writer.stdin is not None
        try:
            writer.stdin.write(b"begin;\n")
            for _ in range(_PREAMBLE):
                line = reader.stdout.readline()
                if line.strip() != b"SET transaction_timeout = 0;":
                    writer.stdin.write(line)
            shutil.copyfileobj(reader.stdout, writer.stdin, 1 << 20)
            if reader.wait() == 0:
                writer.stdin.write(b"commit;\n")
        except BrokenPipeError:
            pass  # psql met an error and left; it says which
        except BaseException:
            writer.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                writer.stdin.close()
            reader.stdout.close()
            reader.kill()
            failed = reader.wait() != 0, writer.wait() != 0
        trouble.seek(0)
        message = trouble.read().decode(errors="replace")
    if any(failed):
        raise _failure(warehouse, "the restore", message)


def _failure(warehouse: Warehouse, what: str, message: str) -> UpstreamError:
    lines = warehouse.scrub(message.strip()).splitlines()[-12:]
    return UpstreamError(
        f"{what} failed; nothing was changed:\n" + "\n".join(f"  {line}" for line in lines)
    )
