"""`loaders verify`: is what was loaded still there, and does it agree with the source?"""

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from loaders import log
from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.progress import reporter
from loaders.cli.shell import AsOf, JsonFlag
from loaders.settings import Settings, load_settings
from loaders.warehouse.postgres import find_warehouse, require_current_warehouse
from quotemill.errors import (
    DataQualityError,
    LockHeldError,
    QuotemillError,
    SettingsError,
    UsageError,
)
from quotemill.wording import say_count

if TYPE_CHECKING:
    from loaders.engine.result import LoadResult
    from loaders.tdx.verify.spot_checks import Verification


def verify_command(
    source: Annotated[str, typer.Argument(help="Source: tdx or tq.")] = "tdx",
    sample: Annotated[int, typer.Option(min=1, help="Number of securities to draw.")] = 3,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Random seed. The same seed draws the same securities.", show_default="random"
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Download differing days again (tq only).")
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="KEY",
            help="Remove a differing day that the servers no longer have (tq only). Can "
            "be repeated.",
        ),
    ] = None,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Check that loaded data is present and correct.

    Exits with 5 if a check fails.

    tdx: spot-checks code counts, random securities, indices, rollups, snapshots and disk space. It
    compares with the service if there is one, otherwise with the client's files.

    tq: recomputes row counts and hashes of every day in the tick store, and compares its index and
    schedule with the warehouse. Days with fewer ticks than their day bar are listed, but are not
    failures, because loads retry them. Exits with 75 if differences may come from a running load.

    --repair never replaces a day with fewer ticks. If a day cannot be downloaded again, --accept
    "KQ.m@SHFE.cu SHFE.cu2601 2025-11-25" removes it, and the next load requests it like any
    missing day.

    Example: loaders verify tdx --sample 5 --seed 7
    """
    if source == "tq":
        _verify_ticks(repair, accept or [], as_of, json)
        return
    if accept:
        raise UsageError(f"--accept works only with tq, not with {source}")
    if source != "tdx":
        raise UsageError(f"unknown source: {source}", hint="Use tdx or tq.")
    from loaders import sources
    from loaders.engine import check_runs
    from loaders.tdx.verify.spot_checks import verify
    from loaders.warehouse import migrate

    settings = load_settings()
    _start_logs(settings)
    warehouse = require_current_warehouse(settings)
    now = shell.parse_time(as_of) or datetime.now(UTC)
    with reporter() as progress:
        verification = verify(
            settings,
            warehouse,
            schemas=migrate.schemas(warehouse, sources.landed_tables()),
            sample=sample,
            seed=secrets.randbelow(2**31) if seed is None else seed,
            as_of=now,
            clock=lambda: datetime.now(UTC),
            reporter=progress,
        )
        recorded = replace(verification, schedule=os.environ.get(log.SCHEDULE))
        check_runs.record(settings, lambda: warehouse, recorded, progress.line)
    shell.print_answer(verification.document(), json, lambda: _print(verification))
    if verification.status == "failed":
        failed = verification.count("failed")
        is_internal = any(
            check.exit_code == QuotemillError.exit_code for check in verification.checks
        )
        raise (QuotemillError if is_internal else DataQualityError)(
            f"{failed} of {len(verification.checks)} checks failed",
            hint="Read above what is missing, then run `loaders run tdx`.",
        )


def _start_logs(settings: Settings) -> None:
    """Log to the home, unless there is neither a home nor a warehouse: reading makes none."""
    if settings.home.is_dir() or find_warehouse(settings) is not None:
        shell.start_logs(settings)


def _verify_ticks(repair: bool, accept: Sequence[str], as_of: str | None, json: bool) -> None:
    from loaders import loads
    from loaders.engine import metrics
    from loaders.engine.request import LoadRequest
    from loaders.ticks.store_state import is_used
    from loaders.tq.tick_days.repair import verify_and_repair

    settings, started = load_settings(), time.monotonic()
    _start_logs(settings)
    if find_warehouse(settings) is None or not is_used(settings):
        raise _nothing_to_verify(settings)
    at = shell.parse_time(as_of)

    def load(request: LoadRequest) -> "LoadResult":
        return loads.load_with_progress(settings, request, reporter, as_of=at)

    with reporter() as progress:
        warehouse = (
            loads.prepare_warehouse(settings, progress)
            if repair or accept
            else require_current_warehouse(settings)
        )
    verification, repaired = verify_and_repair(
        settings, warehouse, load, reporter, repair=repair, accept=accept
    )
    if not verification.days and not verification.differences and not repaired:
        raise _nothing_to_verify(settings)
    figures = {
        "seconds": round(time.monotonic() - started, 2),
        "days": verification.days,
        "rows_read": verification.rows,
        "differences": len(verification.differences),
    }
    metrics.record(settings, metrics.measure_stage("verify", "tq", figures))
    if json:
        shell.print_json(verification.as_json() | {"repaired": repaired})
    else:
        print_checks(verification.checks)
        shown_repairs = f", {repaired} repaired" if repair else ""
        shown_short = (
            f", {say_count(len(verification.short), 'day')} short" if verification.short else ""
        )
        print(
            f"{say_count(verification.days, 'day')}, {say_count(verification.rows, 'tick')}: "
            f"{say_count(len(verification.differences), 'difference')}{shown_repairs}{shown_short}"
        )
    if verification.differences and verification.is_busy:
        raise LockHeldError(
            f"a load of ticks was running, so the {len(verification.differences)} "
            "differences may be temporary",
            hint="Verify again when that load has ended (`quotemill loads` shows it).",
        )
    if verification.differences:
        raise DataQualityError(
            f"{len(verification.differences)} differences between the ticks and their index",
            hint="Run `loaders verify tq --repair` to download differing days again. Add "
            "`--accept KEY` to remove a day that can no longer be downloaded.",
        )


def _nothing_to_verify(settings: Settings) -> SettingsError:
    from loaders import sources

    _, missing = sources.configured(settings)
    first = f", but first configure tq: {why}" if (why := missing.get("tq")) else "."
    hint = f"Run `loaders run tq` to load ticks{first}"
    return SettingsError("nothing to verify: no ticks are stored", hint=hint)


def _print(verification: "Verification") -> None:
    print(f"seed {verification.options['seed']} drew {', '.join(verification.sample)}")
    print_checks(verification.checks)
    counts = ", ".join(f"{verification.count(s)} {s}" for s in ("passed", "failed", "skipped"))
    size = sum(table["total_bytes"] for table in verification.space)
    print(
        f"{len(verification.checks)} checks: {counts}; {len(verification.space)} tables take "
        f"{size / 2**20:,.1f} MiB (--json lists them)"
    )
