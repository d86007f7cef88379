"""`quotemill options rollup`, `logscan` and `schedule`."""

import inspect
from datetime import date as date_type
from typing import Annotated, Any

import typer

from loaders.cli import shell
from loaders.cli.shell import EvaluatedAt, JsonFlag
from loaders.landing import change_feed
from loaders.settings import Settings, load_settings
from orchestration.cli import build, logscan
from orchestration.cli.options import taking
from orchestration.cli.options.checks import parse_session
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation


def rollup_command(
    date: Annotated[
        str,
        typer.Option(help="Session: 2026-11-25, today or yesterday (the session before today's)."),
    ] = "today",
    as_of: EvaluatedAt = None,
    json: JsonFlag = False,
) -> None:
    """Build a session's rows again from its quotes: `quotemill build` of these models.

    Example: quotemill options rollup --date 2026-11-25
    """

    def choose_models(settings: Settings, warehouse: Warehouse) -> list[str]:
        day = parse_session(settings, date, shell.parse_time(as_of))
        assert day is not None
        return touch_quotes(warehouse, day)

    build.build_chosen(choose_models, json=json)


def touch_quotes(warehouse: Warehouse, day: date_type) -> list[str]:
    """Mark a day's quotes as changed, and return the arguments of a build of their models.

    The first build builds everything. Raises UsageError for a day without quotes.
    """
    from loaders.ib.tables import CHAIN_CLOSE, CHAIN_SNAPSHOT

    quotes = (CHAIN_SNAPSHOT, CHAIN_CLOSE)
    with warehouse.connect() as conn:
        stored = [
            table
            for table in quotes
            if conn.execute(
                f"select 1 from {table.qualified} where trade_date = %s limit 1".encode(), (day,)
            ).fetchone()
        ]
        if not stored:
            raise UsageError(
                f"no quotes of {day} are stored", hint="Give --date of a captured session."
            )
        for table in stored:
            change_feed.touch(conn, table, since=day, until=day)
        if not has_relation(conn, f"{warehouse.inner_schema('qa')}.qa_option_day"):
            return []
    selected = [f"source:{table.qualified}+" for table in quotes]
    return ["--select", *selected, "--exclude", "resource_type:unit_test"]


@taking(logscan.logscan_command, *list(inspect.signature(logscan.logscan_command).parameters)[1:])
def logscan_command(**options: Any) -> None:
    """Count problems in the log: `quotemill logscan ib`.

    Example: quotemill options logscan --date today --keywords pacing
    """
    if options["date"] is not None:  # a word means the day that loads have
        as_of = shell.parse_time(options["as_of"])
        options["date"] = f"{parse_session(load_settings(), options['date'], as_of)}"
    logscan.logscan_command("ib", **options)


def schedule_command(
    simulate: Annotated[
        bool,
        typer.Option("--simulate", help="Print what would start. Required."),
    ] = False,
    date: Annotated[
        str, typer.Option(help="Day: 2026-11-27 or today, in each job's time zone.")
    ] = "today",
    json: JsonFlag = False,
) -> None:
    """Print a day's jobs and slots: `quotemill schedule simulate`.

    Example: quotemill options schedule --simulate --date 2026-11-27
    """
    from orchestration.cli.schedule.preview import simulate_command

    if not simulate:
        raise UsageError(
            "--simulate is missing", hint="Add it, or run `quotemill schedule serve` to start jobs."
        )
    day = parse_session(load_settings(), date, None)
    simulate_command(f"{day}", json=json)
