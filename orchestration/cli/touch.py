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
    table: Annotated[str, typer.Argument(help="A landed table: raw_tdx.kline_daily, kline_daily.")],
    codes: Annotated[
        str | None, typer.Option(help="Only rows of these codes: sh600000,sz000002")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only rows from this day on.")] = None,
) -> None:
    """Announce rows that were edited by hand, for the next build.

    It reads them again from the table. Loads tell of what they write themselves. After TRUNCATE
    touch the whole table.

    Example: quotemill touch kline_daily --codes sh600000 && quotemill build
    """
    landed = change_feed.find_table(sources.landed_tables(), table)
    chosen = codes.replace(",", " ").split() if codes is not None else []
    if codes is not None and not chosen:
        raise UsageError("no code is given")
    warehouse = loads.prepare_warehouse(load_settings(), builds.stderr)
    with warehouse.connect() as conn:
        unknown = change_feed.touch(conn, landed, chosen, shell.parse_day(since))
    for code in unknown:
        print(f"{code}: {landed.qualified} has no row of it", file=sys.stderr)
    what = ", ".join(chosen) or "every row"
    print(f"touched {landed.qualified}: {what}; `quotemill build` reads it", file=sys.stderr)
