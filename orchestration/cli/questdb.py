"""`quotemill questdb`: the QuestDB server of this QUOTEMILL_HOME."""

import dataclasses
import sys
from contextlib import closing
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import DeleteYes, JsonFlag
from loaders.settings import load_settings
from quotemill.errors import DataQualityError, UsageError

app = typer.Typer(
    help="Fetch, start, stop and remove the QuestDB server of this home.",
    no_args_is_help=True,
)


@app.command()
def fetch(json: JsonFlag = False) -> None:
    """Fetch QuestDB's jar into the cache, compared with its pinned checksum, unless it is there.

    Example: quotemill questdb fetch
    """
    from loaders.ticks.questdb.jar import VERSION, fetch_jar, find_java

    settings = load_settings().questdb
    jar, java = fetch_jar(settings), find_java(settings)
    if json:
        facts = {"version": VERSION, "jar": jar.path, "origin": jar.origin}
        shell.print_json(facts | {"java": java.program, "java_version": java.major})
        return
    typer.echo(f"QuestDB {VERSION}: {jar.path} ({jar.origin})")
    typer.echo(f"Java {java.major}: {java.program}")


@app.command()
def start(json: JsonFlag = False) -> None:
    """Start the server on the loopback address, fetched first if needed, unless it runs.

    Example: quotemill questdb start
    """
    from loaders.ticks.questdb import server
    from loaders.ticks.questdb.jar import VERSION

    settings = load_settings()
    folder = server.server_folder(settings.home)
    address = server.start(folder, settings.questdb)
    if json:
        shell.print_json(dataclasses.asdict(server.status(folder)))
        return
    typer.echo(f"running: QuestDB {VERSION}, {address.url}, user {address.user}")
    typer.echo(f"password: in {folder / 'password'}")
    if settings.questdb_url is None:
        typer.echo("set QUOTEMILL_QUESTDB_URL=local to make it the tick store")


@app.command()
def stop(json: JsonFlag = False) -> None:
    """Stop the server of this QUOTEMILL_HOME; acknowledged writes stay.

    Example: quotemill questdb stop
    """
    from loaders.ticks.questdb import server

    stopped = server.stop(server.server_folder(load_settings().home))
    if json:
        shell.print_json({"stopped": stopped})
        return
    typer.echo("stopped" if stopped else "was not running")


@app.command()
def status(json: JsonFlag = False) -> None:
    """Print where ticks go, then whether this home's server runs, and where its data are.

    Starts nothing.

    Example: quotemill questdb status --json
    """
    from loaders.ticks.open_store import store_label
    from loaders.ticks.questdb import server

    settings = load_settings()
    status = dataclasses.asdict(server.status(server.server_folder(settings.home)))
    store = {"tick_store": store_label(settings), "origin": settings.origin("questdb_url")}
    facts = {**store, "server": f"the QuestDB of {settings.home}", **status}
    if json:
        shell.print_json(facts)
        return
    for name, value in facts.items():
        if name == "size_bytes":
            name, value = "size", f"{int(str(value)) / 1e6:.1f} MB"
        if name == "server" and value != store["tick_store"]:
            value = f"{value}, which is not the tick store"
        if name == "running":
            value = "yes" if value else "no"
        typer.echo(f"{name.replace('_', ' '):11} {'-' if value is None else value}")


@app.command()
def resume(
    skip: Annotated[
        bool,
        typer.Option("--skip", help="Leave out writes of a damaged log; names and asks for each."),
    ] = False,
    yes: DeleteYes = False,
    json: JsonFlag = False,
) -> None:
    """Make suspended tables of the tick store apply their pending writes.

    Example: quotemill questdb resume
    """
    from loaders.ticks.open_store import open_questdb

    settings = load_settings()
    if settings.questdb_url is None:
        raise UsageError("questdb_url is not set: ticks are stored in the warehouse")
    lost: list[str] = []

    def leave_out(write: str) -> bool:
        if not skip:
            return False
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError(f"this loses {write}", hint="--yes leaves it out without asking")
            typer.confirm(f"Lose {write}?", abort=True, err=True)
        lost.append(write)
        if not json:
            typer.echo(f"lost: {write}")
        return True

    with closing(open_questdb(settings)) as store:
        resumed = store.resume(leave_out)
    if json:
        shell.print_json({"resumed": resumed, "lost": lost})
        return
    typer.echo("\n".join(f"resumed: {name}" for name in resumed) or "no table is suspended")
    if lost:
        typer.echo("next: `loaders verify tq --repair` downloads what is lost")


@app.command()
def copy(
    to: Annotated[str, typer.Option(help="The store that gets the ticks: questdb or warehouse.")],
    take_out: Annotated[
        bool,
        typer.Option(
            "--take-out",
            help="Replace or take out days that the other store has otherwise or not at all.",
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Copy all ticks, their index and the schedule between the warehouse and QuestDB.

    Nothing is downloaded. Both stores must be up, and no load of ticks may run (exit code 75).
    Each day is compared with the index, and read back. A copy that was stopped goes on where it
    was: days that are equal are not written again. A day whose ticks are damaged is named and left
    out, the rest is copied, and the exit code is 5.

    Example: QUOTEMILL_QUESTDB_URL=local quotemill questdb copy --to questdb
    """
    from loaders import loads
    from loaders.cli.progress import reporter
    from loaders.tq.tick_days.copy import PLACES, copy_ticks
    from loaders.warehouse.postgres import require_warehouse

    if to not in PLACES:
        raise UsageError(f"unknown store {to}", hint=f"stores: {', '.join(PLACES)}")
    settings = load_settings()
    shell.start_logs(settings)
    require_warehouse(settings)
    with reporter() as progress:
        warehouse = loads.prepare_warehouse(settings, progress)
        done = copy_ticks(settings, warehouse, to, progress, take_out=take_out)
    if json:
        shell.print_json(done.as_json())
    else:
        for key, text in done.damaged.items():
            typer.echo(f"damaged, not copied: {key}: {text}")
        there = done.days - done.copied - len(done.damaged)
        typer.echo(
            f"{done.copied:,} days, {done.ticks:,} ticks copied from {done.source} to "
            f"{done.target}; {there:,} days were there, {done.taken_out:,} taken out"
        )
        setting = "leave QUOTEMILL_QUESTDB_URL set" if to == "questdb" else "unset questdb_url"
        typer.echo(f"next: {setting}, then `loaders verify tq`")
    if done.damaged:
        raise DataQualityError(
            f"{len(done.damaged):,} damaged days were not copied",
            hint="with the old store `loaders verify tq --repair` downloads them, then copy again; "
            "with the new one the next `loaders run tq` does",
        )


@app.command()
def remove(
    yes: DeleteYes = False,
    json: JsonFlag = False,
) -> None:
    """Stop the server and delete its data; the cached jar and the rest of the home stay.

    Example: quotemill questdb remove
    """
    from loaders.ticks.questdb import server

    folder = server.server_folder(load_settings().home)
    status = server.status(folder)
    if folder.is_dir() and not yes:
        what = f"{folder} ({status.size_bytes / 1e6:.1f} MB)"
        if not sys.stdin.isatty():
            raise UsageError(f"this deletes {what}", hint="--yes deletes without asking")
        typer.confirm(f"Delete {what} for good?", abort=True)
    existed = folder.is_dir()
    server.remove(folder)
    if json:
        shell.print_json({"removed": str(folder) if existed else None})
        return
    typer.echo(f"deleted {folder}" if existed else f"{folder} does not exist")
