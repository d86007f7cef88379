"""`quotemill options snapshot`, `close-snapshot` and `enrichment`: `loaders run ib --task …`."""

from typing import Annotated, Any

import typer

from loaders.cli import load
from orchestration.cli.options import taking
from quotemill.errors import UsageError

_SHARED = ("symbols", "as_of", "verbose", "json")
Today = Annotated[
    str | None,
    typer.Option("--date", help="Today in New York. Quotes of other days are not available."),
]


@taking(load.run_command, *_SHARED, "slot", "run_day", "retry_missed")
def snapshot_command(
    day: Today = None,
    run_once: Annotated[
        bool, typer.Option("--run-once", help="Capture the slot of this minute (the default).")
    ] = False,
    **given: Any,
) -> None:
    """Capture a slot of the running session: `loaders run ib --task snapshot`.

    Example: quotemill options snapshot --date today --slot now --symbols AAPL
    """
    if run_once and given["run_day"]:
        raise UsageError(
            "--run-once and --run-day can't be combined", hint="Give only one of them."
        )
    load.run_command("ib", task="snapshot", day=day, **given)


@taking(load.run_command, *_SHARED)
def close_command(day: Today = None, **given: Any) -> None:
    """Capture the close, from 17:00 in New York on: `loaders run ib --task close`.

    Example: quotemill options close-snapshot --date today
    """
    load.run_command("ib", task="close", day=day, **given)


@taking(load.run_command, "day", *_SHARED)
def enrichment_command(
    fields: Annotated[
        str, typer.Option(help="Fields to request: open_interest.")
    ] = "open_interest",
    **given: Any,
) -> None:
    """Request the open interest of a session: `loaders run ib --task enrich`.

    A session's open interest is available the next morning. Without --date, or with yesterday, it
    is the session before today's.

    Example: quotemill options enrichment --date yesterday --fields open_interest
    """
    if fields != "open_interest":
        raise UsageError(f"unknown --fields: {fields}", hint="Give --fields open_interest.")
    load.run_command("ib", task="enrich", **given)
