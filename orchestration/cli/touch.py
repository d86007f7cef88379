"""`quotemill touch`."""

import sys
from typing import Annotated

import typer

from loaders import loads, sources
from loaders.cli import shell
from loaders.landing import change_feed
from loaders.settings import load_settings
from orchestration.run import build as builds
from quotemill.errors import UsageError


def touch_command(
    table: Annotated[str, typer.Argument(help="Landed table: raw_tdx.kline_daily or kline_daily.")],
    codes: Annotated[
        str | None,
        typer.Option(help="Mark only these codes: sh600000,sz000002.", show_default="all"),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Mark only rows from this day on.")] = None,
) -> None:
    """Mark manually edited rows as changed for the next build.

    The build reads them again from the table. You don't need this after a load. After TRUNCATE,
    touch the whole table.

    Example: quotemill touch kline_daily --codes sh600000 && quotemill build
    """
    landed = change_feed.find_table(sources.landed_tables(), table)
    chosen = codes.replace(",", " ").split() if codes is not None else []
    if codes is not None and not chosen:
        raise UsageError("--codes has no code", hint="Give codes such as sh600000,sz000002.")
    warehouse = loads.prepare_warehouse(load_settings(), builds.stderr)
    with warehouse.connect() as conn:
        unknown = change_feed.touch(conn, landed, chosen, shell.parse_day(since))
    for code in unknown:
        print(f"{code}: no rows in {landed.qualified}", file=sys.stderr)
    what = ", ".join(chosen) or "all rows"
    print(
        f"touched {landed.qualified}: {what}. Run `quotemill build` to read them", file=sys.stderr
    )
