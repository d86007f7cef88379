"""`quotemill questdb`: the QuestDB server of this QUOTEMILL_HOME."""

import dataclasses
from contextlib import closing
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import DeleteYes, JsonFlag
from loaders.settings import load_settings

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
    if not settings.has_own_questdb:
        typer.echo("questdb_url names another tick store: unset it to use this one")


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
    other = "" if facts["server"] == store["tick_store"] else ", which is not the tick store"
    running = "yes" if status["running"] else "no"
    shell.print_facts(facts | {"server": f"{facts['server']}{other}", "running": running})


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
    from loaders.ticks.open_store import open_store

    settings = load_settings()
    lost: list[str] = []

    def leave_out(write: str) -> bool:
        if not skip:
            return False
        if not yes:
            hint = "--yes leaves it out without asking"
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
        typer.echo("next: `loaders verify tq --repair` downloads what is lost")


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
        shell.confirm(f"Delete {what} for good?", f"deletes {what}")
    existed = folder.is_dir()
    server.remove(folder)
    if json:
        shell.print_json({"removed": str(folder) if existed else None})
        return
    typer.echo(f"deleted {folder}" if existed else f"{folder} does not exist")
