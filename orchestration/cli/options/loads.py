"""`quotemill options snapshot`, `close-snapshot` and `enrichment`: `loaders run ib --task …`."""

from typing import Annotated

import typer

from loaders.cli import load
from loaders.cli.shell import AsOf, JsonFlag, Verbose
from quotemill.errors import UsageError

Symbols = Annotated[str | None, typer.Option(help="Only these of the universe: AAPL,MSFT,BRK_B")]
Today = Annotated[
    str | None,
    typer.Option("--date", help="Today in New York: no other day's quotes can be had."),
]


def snapshot_command(
    day: Today = None,
    slot: Annotated[
        str | None, typer.Option(help="`now`, or a slot that lasts, New York time: 10:30.")
    ] = None,
    symbols: Symbols = None,
    run_day: Annotated[
        bool, typer.Option("--run-day", help="Wait for each remaining slot of today.")
    ] = False,
    run_once: Annotated[
        bool, typer.Option("--run-once", help="The slot of this minute, as without any option.")
    ] = False,
    retry_missed: Annotated[
        bool, typer.Option("--retry-missed", help="Request again what the slot lacks.")
    ] = False,
    # beside the other name help of 80 columns would cut it
    replay_missed: Annotated[
        bool, typer.Option("--replay-missed", hidden=True, help="The same.")
    ] = False,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Capture a slot of the running session: `loaders run ib --task snapshot`.

    Example: quotemill options snapshot --date today --slot now --symbols AAPL
    """
    if run_once and run_day:
        raise UsageError("give one of --run-once and --run-day")
    load.run_command(
        "ib",
        task="snapshot",
        day=day,
        slot=slot,
        symbols=symbols,
        run_day=run_day,
        retry_missed=retry_missed or replay_missed,
        as_of=as_of,
        verbose=verbose,
        json=json,
    )


def close_command(
    day: Today = None,
    symbols: Symbols = None,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Capture the close view, from 17:00 in New York on: `loaders run ib --task close`.

    Example: quotemill options close-snapshot --date today
    """
    load.run_command(
        "ib", task="close", day=day, symbols=symbols, as_of=as_of, verbose=verbose, json=json
    )


def enrichment_command(
    day: Annotated[
        str | None,
        typer.Option(
            "--date",
            help="The session whose open interest it is, which the next morning has: 2026-11-25; "
            "yesterday, or none, is the one before today's.",
        ),
    ] = None,
    fields: Annotated[
        str, typer.Option(help="open_interest: nothing else comes later.")
    ] = "open_interest",
    symbols: Symbols = None,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Request the open interest of a session: `loaders run ib --task enrich`.

    Example: quotemill options enrichment --date yesterday --fields open_interest
    """
    if fields != "open_interest":
        raise UsageError(f"--fields {fields}: nothing of it comes later", hint="open_interest")
    load.run_command(
        "ib", task="enrich", day=day, symbols=symbols, as_of=as_of, verbose=verbose, json=json
    )
