"""`quotemill warehouse`: the embedded PostgreSQL, or the configured one."""

import dataclasses
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from loaders import log
from loaders.cli import shell
from loaders.cli.shell import DeleteYes, JsonFlag, ReplaceYes
from loaders.settings import Settings, load_settings
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.embedded.access import READER
from loaders.warehouse.embedded.binaries import client_tool
from loaders.warehouse.postgres import open_warehouse, require_warehouse
from loaders.warehouse.reader import admit_reader
from orchestration.backup import dump as dumps
from orchestration.backup import dump_restore as restores
from orchestration.cli import distribute, upgrade_timescale
from orchestration.report.space import Space, format_bytes, format_growth, read_space
from orchestration.run import build as builds
from quotemill.errors import QuotemillError, SettingsError, UsageError
from quotemill.warehouse.connections import find_options
from quotemill.warehouse.opening import allow_embedded
from quotemill.wording import say_count

app = typer.Typer(
    help="Start, stop, inspect, dump, restore and remove the warehouse.", no_args_is_help=True
)
app.add_typer(upgrade_timescale.app, name="upgrade-timescale")
app.command("distribute")(distribute.distribute_command)
LARGEST = 10  # tables that `status` prints
_File = Annotated[Path, typer.Argument(help="Dump file.")]


@app.command()
def start() -> None:
    """Start the embedded server if it is not running.

    Example: quotemill warehouse start
    """
    settings = load_settings()
    _require_embedded(settings, "Start that server with its own tools, or remove the setting.")
    allow_embedded(settings)
    server = embedded.ensure_running(settings.home, settings.server)
    typer.echo(f"running: PostgreSQL {server.major}, process {server.pid}, {server.socket_dir}")


@app.command()
def stop() -> None:
    """Stop the embedded server. Running transactions are rolled back.

    Example: quotemill warehouse stop
    """
    typer.echo("stopped" if embedded.stop(load_settings().home) else "was not running")


@app.command()
def status(json: JsonFlag = False) -> None:
    """Print the warehouse in use, its largest tables, their growth, and when the disk is full.

    Does not start the server, and lists no tables while the embedded server is stopped.

    Example: quotemill warehouse status --json
    """
    settings = load_settings()
    warehouse = open_warehouse(settings, start=False)
    facts: dict[str, object] = {"warehouse": warehouse.label, "origin": warehouse.origin}
    if warehouse.embedded:
        facts |= dataclasses.asdict(embedded.status(settings.home))
    space = None
    if facts.get("running", True):
        try:
            space = warehouse.ask(lambda conn: read_space(conn, settings), patient=False)
        except (QuotemillError, psycopg.Error) as error:
            facts["problem"] = f"tables cannot be read: {log.explain(error)}"
    if space and not warehouse.embedded:  # it is not on a disk of this machine
        space = dataclasses.replace(space, disks=[])
    if json:
        shell.print_json(facts | (space.as_json() if space else {"tables": None}))
        return
    if "readers_at" in facts:
        facts["listens for readers"] = facts.pop("readers_at") or False
    shell.print_facts(facts)
    if space is not None and space.tables:
        _print_space(space)


def _print_space(space: Space) -> None:
    rows = [
        (f"{table['schema']}.{table['relation']}", table["total_bytes"], table["rows_estimate"])
        for table in space.tables[:LARGEST]
    ]
    lines = [
        (name, format_bytes(size), format_growth(space.growth.get(name)), f"{rows or 0:,}")
        for name, size, rows in rows
    ]
    total = ("all tables", format_bytes(space.total), format_growth(space.growth.get("")), "")
    typer.echo()
    shell.print_table([("table", "size", "growth a month", "rows (estimate)"), *lines, total])
    if space.disks:
        disk, days = space.disks[0], space.days_left
        left = "" if days is None else f", full in about {_say_days(days)}"
        typer.echo(f"disk of {disk.folder}: {format_bytes(disk.free)} free{left}")


def _say_days(days: int) -> str:
    return say_count(days, "day") if days < 730 else say_count(days // 365, "year")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql on the warehouse. Arguments are passed on to it.

    Example: quotemill warehouse psql -c 'select count(*) from market.kline_daily'
    """
    warehouse = require_warehouse(load_settings())
    with warehouse.connect() as conn:
        version, encrypted = conn.info.server_version, conn.pgconn.ssl_in_use
        options = find_options(conn)
    program = client_tool("psql", server_version=version, encrypted=encrypted)
    conninfo, secret = warehouse.without_password()
    environment = (
        {"PGAPPNAME": "quotemill psql", "PGTZ": "UTC"} | dict(os.environ) | secret | options
    )
    sys.stdout.flush()
    os.execve(program, [str(program), "-d", conninfo, *context.args], environment)


class ReaderForm(StrEnum):
    URL = "url"
    JDBC = "jdbc"
    ODBC = "odbc"
    R = "r"


@app.command()
def url(
    reader: Annotated[
        bool,
        typer.Option("--reader", help="URL of the read-only role, at `server.listen`."),
    ] = False,
    form: Annotated[
        ReaderForm,
        typer.Option(help="With --reader: format for DBeaver (jdbc), Excel (odbc) or R."),
    ] = ReaderForm.URL,
) -> None:
    """Print the warehouse's URL with its password. Starts the server if needed.

    Example: psql "$(quotemill warehouse url)"
    """
    settings = load_settings()
    if not reader:
        if form is not ReaderForm.URL:
            raise UsageError(
                "--form is for --reader", hint="Run `quotemill warehouse url --reader`."
            )
        typer.echo(require_warehouse(settings).url)
        return
    typer.echo(_reader_line(settings, form))


def _reader_line(settings: Settings, form: ReaderForm) -> str:
    """The address for programs on this machine that read. Creates the role at first."""
    _require_embedded(
        settings,
        "Create a login role there, set reader_role to its name, then run `quotemill build`.",
    )
    if settings.server.address is None:
        raise UsageError(
            "the embedded server listens only on a socket, which other users cannot open",
            hint="Run `quotemill settings --set server.listen=127.0.0.1:5433 && "
            "quotemill warehouse stop`.",
        )
    warehouse = require_warehouse(settings)
    server = embedded.running(settings.home)
    if server is None or server.listens != settings.server.address:
        at = server.listens if server and server.listens else "a socket only"
        raise SettingsError(
            f"the embedded server listens on {at} until its next start, then on "
            f"{settings.server.address} ({settings.origin('server.listen')})",
            hint="Run `quotemill warehouse stop` when no load and no build is running.",
        )
    password, (host, port) = admit_reader(warehouse), settings.server.address
    match form:
        case ReaderForm.JDBC:
            return (
                f"jdbc:postgresql://{settings.server.address}/postgres"
                f"?user={READER}&password={password}"
            )
        case ReaderForm.ODBC:
            return (
                f"Driver={{PostgreSQL Unicode}};Server={host};Port={port};Database=postgres;"
                f"Uid={READER};Pwd={password}"
            )
        case ReaderForm.R:
            return (
                f'DBI::dbConnect(RPostgres::Postgres(), host = "{host}", port = {port}, '
                f'dbname = "postgres", user = "{READER}", password = "{password}")'
            )
    return f"postgresql://{READER}:{password}@{settings.server.address}/postgres"


@app.command()
def migrate() -> None:
    """Upgrade the tables of an older version, as the first load does.

    Example: quotemill warehouse migrate
    """
    from loaders.loads import prepare_warehouse

    warehouse = prepare_warehouse(load_settings(), builds.stderr)
    typer.echo(f"{warehouse.label} is up to date. Run `quotemill build` to upgrade the models")


@app.command()
def dump(
    file: _File,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it exists.")] = False,
) -> None:
    """Dump all quotemill schemas to FILE, in pg_dump's custom format.

    The file appears only after it has been verified. With TimescaleDB's hypertables it contains the
    whole database.

    Example: quotemill warehouse dump backup.dump
    """
    result = dumps.dump(require_warehouse(load_settings()), file, overwrite=overwrite)
    typer.echo(f"{result.path}: {result.entries} objects, {result.size_bytes / 1e6:.1f} MB")


@app.command()
def restore(
    file: _File,
    yes: ReplaceYes = False,
) -> None:
    """Replace all quotemill schemas with FILE, in one transaction.

    Asks before it replaces anything. A dump with TimescaleDB's hypertables needs an empty database.

    Example: quotemill warehouse restore backup.dump
    """
    warehouse = open_warehouse(load_settings())
    if not yes and sys.stdin.isatty():
        held = restores.count_occupied(warehouse, file)
        question = f"{warehouse.label} holds {held} relations. Replace all of them with {file}?"
        yes = held > 0 and typer.confirm(question, abort=True)
    result = restores.restore(warehouse, file, clean=yes)
    typer.echo(f"{result.entries} objects restored from {result.path} into {warehouse.label}")


@app.command()
def remove(
    yes: DeleteYes = False,
) -> None:
    """Stop the embedded server and delete its data.

    The rest of QUOTEMILL_HOME is kept.

    Example: quotemill warehouse remove
    """
    settings = load_settings()
    _require_embedded(settings, "Drop its schemas or database with that server's own tools.")
    server = embedded.status(settings.home)
    if server.version is None:
        typer.echo(f"{settings.home} has no warehouse")
        return
    what = f"{server.data_directory} ({server.size_bytes / 1e6:.1f} MB)"
    if not yes:
        shell.confirm(f"Delete {what} for good?", f"deletes {what}")
    embedded.remove(settings.home)
    typer.echo(f"deleted {what}")


def _require_embedded(settings: Settings, fix: str) -> None:
    if settings.warehouse_url is not None:
        raise UsageError(
            f"{settings.origin('warehouse_url')} sets a warehouse other than the embedded server",
            hint=fix,
        )
