"""`quotemill console`."""

import sys
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import AsOf, JsonFlag
from loaders.settings import load_settings


def console_command(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port; 8765, or the next free one, if absent."),
    ] = None,
    open_page: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open the page; by default at a terminal."),
    ] = None,
    token: Annotated[
        bool,
        typer.Option("--token", help="Make a new token for scripts, print it once, and exit."),
    ] = False,
    link: Annotated[
        bool,
        typer.Option("--link", help="Print another link of the console that runs, and exit."),
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Open a page for everything, and its HTTP API.

    Settings, loads, schedules, findings, prices. A terminal gets the link of the page, which signs
    one browser in, once and within an hour. Ctrl-C ends the server; loads that it started go on,
    and the next one shows them. With --as-of the commands that it starts act as of that time, as a
    sandbox wants it. A script sends the token as `authorization: Bearer TOKEN`; only its hash
    stays.

    Example: quotemill console --port 9000 --no-open
    """
    from orchestration.console import serve

    at = shell.parse_time(as_of)
    settings = load_settings()
    if token:
        made = serve.make_token(settings)
        shell.print_answer({"token": made}, json, lambda: print(made))
        return
    if link:
        made = serve.make_link(settings, port)
        shell.print_answer({"link": made}, json, lambda: print(made))
        return
    shell.start_logs(settings)
    is_terminal = sys.stdout.isatty()

    def announce(address: serve.Address) -> None:
        document = {"url": address.url, "link": address.link}
        # what is no terminal may be a log
        shown = address.link if is_terminal else address.url
        shell.print_answer(document, json, lambda: print(shown))
        sys.stdout.flush()
        print("`quotemill console --link` prints a link for each browser", file=sys.stderr)
        if not address.is_local:
            print(
                "other machines reach this address, and what they send can be read on the way",
                file=sys.stderr,
            )
        print("Ctrl-C ends the server, and no load", file=sys.stderr, flush=True)

    opens = open_page if open_page is not None else is_terminal and not json
    serve.serve(host, port, as_of=at.isoformat() if at else None, announce=announce, opens=opens)
