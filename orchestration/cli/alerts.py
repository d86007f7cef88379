"""`quotemill alerts`: whom to tell, what was told."""

import socket
from typing import Annotated, Any

import typer

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.errors import UpstreamError
from loaders.settings import load_settings
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import find_warehouse

app = typer.Typer(help="What is wrong, told once to the right place.", no_args_is_help=True)


@app.command("test")
def tell_all_command(json: JsonFlag = False) -> None:
    """Send a message to each channel of the settings, and ask for the dead man's switch.

    Leaves with 4 where one does not take it.

    Example: quotemill alerts test
    """
    from orchestration.alerts import channels

    settings = load_settings()
    shell.start_logs(settings)
    shown: list[dict[str, Any]] = []
    for channel in channels.require(settings):
        title = f"quotemill on {socket.gethostname()}, a test"
        why = channel.send(title, "Alerts of quotemill reach this channel.", is_bad=False)
        shown.append({"channel": channel.name, "error": why or None})
    if settings.alerts.ping_url is not None:
        shown.append({"channel": "ping_url", "error": channels.ping(settings) or None})
    if json:
        shell.print_json(shown)
    else:
        for row in shown:
            print(f"{row['channel']}: {row['error'] or 'taken'}")
    if failed := [row["channel"] for row in shown if row["error"]]:
        places = {"alerts.ping_url" if name == "ping_url" else "alerts.urls" for name in failed}
        raise UpstreamError(
            f"{len(failed)} of {len(shown)} channels did not take it: {', '.join(failed)}",
            hint=f"{' and '.join(sorted(places))} in quotemill.toml; "
            "docs/how-to/alerts.md lists forms of addresses",
        )


@app.command("list")
def list_command(
    all: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    json: JsonFlag = False,
) -> None:
    """What is wrong now, since when, whether it was told, and the command that shows more.

    Example: quotemill alerts list --all
    """
    from orchestration.alerts import book, file_book

    settings = load_settings()
    # what the warehouse could not keep, or was found before there was one
    found = file_book.read(settings.home)
    warehouse = find_warehouse(settings)
    if warehouse is not None:
        with warehouse.connect() as conn:
            if has_relation(conn, "ops.alerts"):
                found = file_book.newest(book.read(conn), found)
    entries = [entry for entry in found.values() if all or entry.is_open]
    entries.sort(key=lambda entry: entry.last_at, reverse=True)
    if json:
        shell.print_json([entry.__dict__ for entry in entries])
        return
    for entry in entries:
        told = f"told {entry.told_at:%Y-%m-%d %H:%M}" if entry.told_at else "not told"
        if not entry.told_at and entry.channels:
            told = f"told to {', '.join(entry.channels)} alone"
        if entry.recovered_at:
            told = f"over {entry.recovered_at:%Y-%m-%d %H:%M}"
        since = f"{entry.first_at:%Y-%m-%d %H:%M}"
        print(f"{entry.severity:<7} {entry.cause} since {since} UTC, {told}: {entry.message}")
        print(f"        {entry.command}")
    if not entries:
        print("no alert is open" if not all else "there was no alert yet")


@app.command("look")
def look_command(json: JsonFlag = False) -> None:
    """Look at what needs no run: disk, calendar, scheduled jobs, self-tests, delayed data; tell what is new or over.

    `quotemill run` does it at its end. Exit code 0 whatever is open: it is told elsewhere.

    Example: quotemill alerts look
    """
    from orchestration import alerts
    from orchestration.alerts.unreadable import read_settings

    settings = read_settings()
    shell.start_logs(settings)
    looked = alerts.look(settings, {})
    if json:
        shell.print_json(looked.__dict__)
    else:
        missing = f", {looked.untold} could not be told" if looked.untold else ""
        print(f"{len(looked.open)} open, {looked.told} messages told{missing}")
        for name in looked.open:
            print(name)
