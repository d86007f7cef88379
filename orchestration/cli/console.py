"""`quotemill console`."""

import sys
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import AsOf, JsonFlag
from loaders.settings import load_settings


def console_command(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to listen on.", show_default="8765, or the next free one"
        ),
    ] = None,
    open_page: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open", help="Open the page in a browser.", show_default="at a terminal"
        ),
    ] = None,
    token: Annotated[
        bool,
        typer.Option("--token", help="Create a new token for scripts, print it once, and exit."),
    ] = False,
    link: Annotated[
        bool,
        typer.Option("--link", help="Print another link to the running console, and exit."),
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Start the web console and HTTP API.

    At a terminal it prints a link that signs one browser in, once and within an hour. Ctrl-C stops
    the server, but loads that it started continue. With --as-of, commands that it starts act as of
    that time, for a sandbox. Scripts send the token as `authorization: Bearer TOKEN`. Only its hash
    is kept.

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
        print("run `quotemill console --link` for a link for another browser", file=sys.stderr)
        if not address.is_local:
            print(
                "warning: other machines can reach this address, without encryption",
                file=sys.stderr,
            )
        print("press Ctrl-C to stop the server (loads continue)", file=sys.stderr, flush=True)

    opens = open_page if open_page is not None else is_terminal and not json
    serve.serve(host, port, as_of=at.isoformat() if at else None, announce=announce, opens=opens)
