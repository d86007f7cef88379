"""`quotemill schedule list` and `simulate`."""

import sys
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from loaders.cli import shell
from loaders.cli.shell import AsOf, JsonFlag
from loaders.settings import load_settings
from loaders.trading_time import format_time
from orchestration.cli.schedule.jobs import (
    OneJob,
    find_command,
    parse_now,
    read_jobs,
    warn_if_no_job,
)
from orchestration.schedule import ledger
from orchestration.schedule.listing import list_jobs
from orchestration.schedule.preview import simulate
from quotemill.errors import SettingsError, UsageError, most_severe


def list_command(as_of: AsOf = None, json: JsonFlag = False) -> None:
    """List scheduled jobs with rule, next start, last run and exit code.

    A job that cannot be read is shown as `wrong` with the reason, and the exit code is 3. Other
    jobs still start.

    Example: quotemill schedule list --json
    """
    now = parse_now(as_of)
    listing = list_jobs(load_settings())
    wrong = dict(listing.wrong)
    for job in listing.jobs.values():
        try:
            find_command(job)
        except SettingsError as error:
            wrong[job.name] = error
    right = {name: job for name, job in listing.jobs.items() if name not in wrong}
    shown = replace(listing, jobs=right, wrong=wrong).describe(now)
    shell.print_answer(shown, json, lambda: _print(shown))
    warn_if_no_job(shown)
    if right and not any(row.next_run_at for row in listing.rows.values()):
        text = f"warning: no scheduler is installed on this machine; fix: {ledger.name_install()}"
        shell.print_wrapped(text, file=sys.stderr)
    for why in wrong.values():
        shell.print_error(why)
    raise typer.Exit(most_severe(why.exit_code for why in wrong.values()))


def _print(shown: list[dict[str, Any]]) -> None:
    table = [("job", "state", "rule", "next", "last run", "exit", "command")]
    table += [
        (
            x["job"],
            x["state"],
            x["rule"],
            _minute(x["next_start"], x["time_zone"]),
            _minute(x["last_run_at"], x["time_zone"]),
            "" if x["last_exit_code"] is None else str(x["last_exit_code"]),
            x["command"],
        )
        for x in shown
    ]
    shell.print_table(table)


def simulate_command(
    day: Annotated[
        str, typer.Option("--date", help="Day to simulate (2026-11-27), in each job's time zone.")
    ],
    until: Annotated[str | None, typer.Option(help="Last day.", show_default="--date")] = None,
    job: OneJob = None,
    json: JsonFlag = False,
) -> None:
    """Print what would start on a day, without starting anything.

    Considers calendars, early closes and clock changes.

    Example: quotemill schedule simulate --date 2026-11-27
    """
    first = shell.parse_day(day) or date.min
    last = shell.parse_day(until) or first
    if last < first:
        raise UsageError(f"--until {last} is before --date {first}")
    known, rows = read_jobs(load_settings(), job)
    warn_if_no_job(known)
    day_plan = simulate(known.values(), rows, first, last)
    if json:
        shell.print_json(day_plan.as_json())
        return
    for note in day_plan.notes:
        print(note, file=sys.stderr)
    for planned in day_plan.starts:
        zone, command = planned.job.zone, " ".join(planned.job.command)
        weekday = f"{planned.at.astimezone(ZoneInfo(zone)):%a}"
        print(
            f"{weekday} {format_time(planned.at, zone, 'seconds')}  {planned.job.name}  {command}"
        )
    for name, why in day_plan.idle.items():
        print(f"{name}: {why}", file=sys.stderr)


def _minute(at: datetime | None, zone: str | None) -> str:
    return format_time(at, zone or "", "minutes")
