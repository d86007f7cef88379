"""`quotemill schedule list`, `next` and `simulate`."""

import sys
from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from loaders.cli import shell
from loaders.cli.shell import AsOf, JsonFlag
from loaders.errors import SettingsError, UsageError, most_severe
from loaders.settings import load_settings
from orchestration.cli.schedule.jobs import (
    find_command,
    parse_now,
    read_jobs,
    read_rows,
    warn_if_no_job,
)
from orchestration.cli.schedule.run import OneJob
from orchestration.schedule import due
from orchestration.schedule.jobs import Job, Row, survey
from orchestration.schedule.preview import simulate


def list_command(as_of: AsOf = None, json: JsonFlag = False) -> None:
    """List the jobs of configured sources and settings: rule, next start, last run, exit code.

    A job that cannot be read is shown as `wrong`, with the reason; then the exit code is 3. The
    others are started all the same.

    Example: quotemill schedule list --json
    """
    now = parse_now(as_of)
    settings = load_settings()
    rows = read_rows(settings)
    known, wrong = survey(settings, rows.values())
    for job in known.values():
        try:
            find_command(job)
        except SettingsError as error:
            wrong[job.name] = error
    right = [job for job in known.values() if job.name not in wrong]
    shown = [_describe_job(job, rows.get(job.name), now) for job in right]
    shown += [_describe_unreadable(name, rows.get(name)) for name in wrong]
    shell.print_answer(shown, json, lambda: _print(shown))
    warn_if_no_job(shown)
    for why in wrong.values():
        shell.print_error(why)
    raise typer.Exit(most_severe(why.exit_code for why in wrong.values()))


def _print(shown: list[dict[str, Any]]) -> None:
    table = [("job", "state", "rule", "next (UTC)", "last run (UTC)", "exit", "command")]
    table += [
        (
            x["job"],
            x["state"],
            x["rule"],
            _minute(x["next_start"]),
            _minute(x["last_run_at"]),
            "" if x["last_exit_code"] is None else str(x["last_exit_code"]),
            x["command"],
        )
        for x in shown
    ]
    shell.print_table(table)


def next_command(job: OneJob = None, as_of: AsOf = None, json: JsonFlag = False) -> None:
    """The next start of each job, the soonest first.

    Example: quotemill schedule next tdx_daily
    """
    now = parse_now(as_of)
    known, rows = read_jobs(load_settings(), job)
    warn_if_no_job(known)
    shown = [_describe_job(job, rows.get(name), now) for name, job in known.items()]
    coming = sorted((x for x in shown if x["next_start"]), key=lambda x: str(x["next_start"]))
    if json:
        shell.print_json(coming)
        return
    for x in coming:
        at = x["next_start"].astimezone(ZoneInfo(x["time_zone"]))
        print(f"{x['next_start']:%Y-%m-%d %H:%M} UTC  {at:%a %H:%M %Z}  {x['job']}  {x['command']}")
    for x in shown:
        if not x["next_start"]:
            print(f"{x['job']}: {x['state']}", file=sys.stderr)


def simulate_command(
    day: Annotated[
        str, typer.Option("--date", help="The day, 2026-11-27; of each job's own zone.")
    ],
    until: Annotated[str | None, typer.Option(help="The last day; only one if absent.")] = None,
    job: OneJob = None,
    json: JsonFlag = False,
) -> None:
    """Print exactly what would start on a day, with calendars, early closes and clock changes.

    Starts and writes nothing.

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
        at = planned.begins_at.astimezone(ZoneInfo(planned.job.zone))
        print(
            f"{planned.begins_at:%Y-%m-%d %H:%M:%S} UTC  {at:%a %H:%M %Z}  {planned.job.name}  "
            f"{' '.join(planned.job.command)}"
        )
    for name, why in day_plan.idle.items():
        print(f"{name}: {why}", file=sys.stderr)


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"


def _describe_unreadable(name: str, row: Row | None) -> dict[str, Any]:
    """Describe a job that cannot be read by what is on record."""
    return {
        **dict.fromkeys(("source", "time_zone", "next_start")),
        **{"job": name, "state": "wrong", "rule": "", "command": ""},
        "last_run_at": row and row.last_run_at,
        "last_finished_at": row and row.last_finished_at,
        "last_exit_code": row and row.last_exit_code,
        "missed_at": row and row.missed_at,
    }


def _describe_job(job: Job, row: Row | None, now: datetime) -> dict[str, Any]:
    is_on = job.timing is not None and (row is None or row.is_enabled)
    start = job.timing.next_after(now) if job.timing and is_on else None
    state = "on" if is_on else "off" if job.timing is None else "disabled"
    return {
        "job": job.name,
        "source": job.source,
        "state": "queued" if row and row.queued_at else state,
        "rule": job.rule,
        "time_zone": job.zone,
        "command": " ".join(job.command),
        "next_start": start and due.delay_start(job.name, start, job.jitter),
        "last_run_at": row and row.last_run_at,
        "last_finished_at": row and row.last_finished_at,
        "last_exit_code": row and row.last_exit_code,
        "missed_at": row and row.missed_at,
        "on_overlap": job.on_overlap,
        "jitter": job.jitter,
        "deadline": job.deadline,
        "catch_up": job.catch_up,
    }
