"""`quotemill questdb`: the QuestDB server of this QUOTEMILL_HOME."""

import dataclasses
from contextlib import closing
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import DeleteYes, JsonFlag
from loaders.settings import load_settings

app = typer.Typer(
    help="Fetch, start, stop and remove this home's QuestDB server.",
    no_args_is_help=True,
)


@app.command()
def fetch(json: JsonFlag = False) -> None:
    """Download QuestDB's jar into the cache if needed, and verify its checksum.

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
    """Start the server on the loopback address. Downloads it first if needed.

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
    if not settings.has_own_questdb:
        typer.echo("warning: questdb_url is another tick store; fix: unset it to use this one")


@app.command()
def stop(json: JsonFlag = False) -> None:
    """Stop the server. Acknowledged writes are kept.

    Example: quotemill questdb stop
    """
    from loaders.ticks.questdb import server

    stopped = server.stop(server.server_folder(load_settings().home))
    shown = "stopped" if stopped else "was not running"
    shell.print_answer({"stopped": stopped}, json, lambda: typer.echo(shown))


@app.command()
def status(json: JsonFlag = False) -> None:
    """Print where ticks are stored, and whether this home's server is running.

    Does not start the server.

    Example: quotemill questdb status --json
    """
    from loaders.ticks.open_store import store_label
    from loaders.ticks.questdb import server

    settings = load_settings()
    status = dataclasses.asdict(server.status(server.server_folder(settings.home)))
    store = {"tick_store": store_label(settings), "origin": settings.origin("questdb_url")}
    facts = {**store, "server": f"the QuestDB of {settings.home}", **status}
    other = "" if facts["server"] == store["tick_store"] else ", which is not the tick store"
    shown = facts | {"server": f"{facts['server']}{other}"}
    shell.print_answer(facts, json, lambda: shell.print_facts(shown))


@app.command()
def resume(
    skip: Annotated[
        bool,
        typer.Option("--skip", help="Skip writes of a damaged log. Lists each and asks first."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Skip writes without asking.")] = False,
    json: JsonFlag = False,
) -> None:
    """Resume suspended QuestDB tables, so that they apply pending writes.

    Example: quotemill questdb resume
    """
    from loaders.ticks.open_store import open_store

    settings = load_settings()
    lost: list[str] = []

    def leave_out(write: str) -> bool:
        if not skip:
            return False
        if not yes:
            hint = "Add --yes to skip it without asking."
            shell.confirm(f"Lose {write}?", f"loses {write}", hint)
        lost.append(write)
        if not json:
            typer.echo(f"lost: {write}")
        return True

    with closing(open_store(settings)) as store:
        resumed = store.resume(leave_out)
    if json:
        shell.print_json({"resumed": resumed, "lost": lost})
        return
    typer.echo("\n".join(f"resumed: {name}" for name in resumed) or "no table is suspended")
    if lost:
        typer.echo("next: run `loaders verify tq --repair` to download the lost ticks")


@app.command()
def remove(
    yes: DeleteYes = False,
    json: JsonFlag = False,
) -> None:
    """Stop the server and delete its data.

    The cached jar and the rest of the home are kept.

    Example: quotemill questdb remove
    """
    from loaders.ticks.questdb import server

    folder = server.server_folder(load_settings().home)
    status = server.status(folder)
    if folder.is_dir() and not yes:
        what = f"{folder} ({status.size_bytes / 1e6:.1f} MB)"
        shell.confirm(f"Delete {what} for good?", f"deletes {what}")
    existed = folder.is_dir()
    server.remove(folder)
    shown = f"deleted {folder}" if existed else f"{folder} does not exist"
    document = {"removed": str(folder) if existed else None}
    shell.print_answer(document, json, lambda: typer.echo(shown))
