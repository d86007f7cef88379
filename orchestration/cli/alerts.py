"""`quotemill alerts`: test channels, list alerts, check for problems."""

import socket
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loaders.check import Check
from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings
from loaders.trading_time import format_time
from loaders.warehouse.postgres import find_warehouse
from quotemill.errors import UpstreamError

if TYPE_CHECKING:
    from orchestration.alerts.book import Entry

_format = partial(format_time, timespec="minutes")
app = typer.Typer(help="Send, list and close alerts.", no_args_is_help=True)


@app.command("test")
def send_test_command(json: JsonFlag = False) -> None:
    """Send a test message to each channel, and request the dead man's switch.

    Exits with 4 if one of them fails.

    Example: quotemill alerts test
    """
    from orchestration.alerts import channels

    settings = load_settings()
    shell.start_logs(settings)
    results: list[dict[str, Any]] = []
    for channel in channels.require_channels(settings):
        title = f"quotemill on {socket.gethostname()}, a test"
        error = channel.send(title, "quotemill's alerts reach this channel.", is_bad=False)
        results.append({"channel": channel.name, "error": error or None})
    if settings.alerts.ping_url is not None:
        results.append({"channel": "ping_url", "error": channels.ping(settings) or None})
    if json:
        shell.print_json(results)
    else:
        for row in results:
            print(f"{row['channel']}: {row['error'] or 'accepted'}")
    if failed := [row["channel"] for row in results if row["error"]]:
        places = {"alerts.ping_url" if name == "ping_url" else "alerts.urls" for name in failed}
        raise UpstreamError(
            f"{len(failed)} of {len(results)} channels failed: {', '.join(failed)}",
            hint=f"Correct {' and '.join(sorted(places))} in quotemill.toml. Use Apprise's "
            "addresses, such as mailtos://user:secret@example.com.",
        )


@app.command("list")
def list_command(
    all: Annotated[bool, typer.Option("--all", help="Include resolved alerts.")] = False,
    json: JsonFlag = False,
) -> None:
    """List open alerts with their start, whether they were sent, and a fix.

    Example: quotemill alerts list --all
    """
    from orchestration.alerts.check import list_entries

    settings = load_settings()
    entries = list_entries(settings, find_warehouse(settings), with_resolved=all)
    if json:
        shell.print_json([entry.__dict__ | entry.check.as_json() for entry in entries])
        return
    print_checks(map(_add_state, entries))
    if not entries:
        print("no alerts so far" if all else "no open alerts")


def _add_state(entry: "Entry") -> Check:
    """The check of an alert by its cause, with its times."""
    state = f"sent {_format(entry.told_at)}" if entry.told_at else "not sent"
    if not entry.told_at and entry.channels:
        state = f"sent only to {', '.join(entry.channels)}"
    if entry.recovered_at:
        state = f"resolved {_format(entry.recovered_at)}"
    text = f"{entry.message} (since {_format(entry.first_at)}, {state})"
    return replace(entry.check, name=entry.cause, sentence=text)


@app.command("close")
def close_command(
    cause: Annotated[str, typer.Argument(help="Alert name, from `quotemill alerts list`.")],
    json: JsonFlag = False,
) -> None:
    """Close an alert that will not resolve by itself.

    You need this for a removed source, for example. The next check reports that the alert ended, or
    opens it again if the problem persists.

    Example: quotemill alerts close load:tq
    """
    from orchestration.alerts.check import close

    settings = load_settings()
    closed = close(settings, cause)
    shown = f"{cause} is closed. The next check reports that, or opens the alert again"
    shell.print_answer(closed.__dict__, json, lambda: print(shown))


@app.command("check")
def check_command(json: JsonFlag = False) -> None:
    """Check for problems, and send new and resolved alerts.

    Checks disk, calendar, scheduled jobs, self-tests and delayed data. `quotemill run` does this at
    its end. Exits with 0 even if alerts are open.

    Example: quotemill alerts check
    """
    from orchestration.alerts.check import check_and_notify, load_settings_or_notify

    settings = load_settings_or_notify()
    shell.start_logs(settings)
    result = check_and_notify(settings, {})
    if json:
        shell.print_json(result.__dict__)
    else:
        unsent = f", {result.unsent} not sent" if result.unsent else ""
        print(f"{len(result.open)} open, {result.sent} messages sent{unsent}")
        for name in result.open:
            print(name)
