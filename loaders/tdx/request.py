"""Checks of a request before anything is fetched, and the days that it means."""

from dataclasses import replace
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Literal

from loaders import trading_time
from loaders.engine.request import LoadRequest, unknown_dataset
from loaders.settings import Settings
from loaders.tdx import plan
from loaders.tdx.client.answers import EXCHANGES
from loaders.tdx.datasets import (
    index_kline,
    kline_daily,
    market_stats_snapshot,
    minute_5m,
    trading_calendar,
)
from loaders.tdx.files.folder import check_folder
from loaders.tdx.operations import missing_settings
from loaders.tdx.tables import RAW_TDX
from quotemill.codes import read_codes
from quotemill.errors import SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation, has_rows

if TYPE_CHECKING:  # it takes long to import
    import psycopg

LAST = "last"
OPTIONS = ("exchange", "date", "yes")
OPENING = time(9, 15)  # of the first auction


def require_settings(settings: Settings) -> None:
    """Raises SettingsError where neither a service nor a folder is named."""
    if missing := missing_settings(settings):
        raise SettingsError(
            f"no source of A shares is configured: {missing}",
            hint="Set QUOTEMILL_TDX__DOWNLOAD=true, QUOTEMILL_TDX__SERVERS=public, "
            "QUOTEMILL_TDX__BASE_URL=http://host:8080 or "
            "QUOTEMILL_TDX__CLIENT=/srv/tdx, or try `loaders sandbox tdx`.",
        )


def check_request(settings: Settings, request: LoadRequest) -> None:
    """Check a request at the start. Raises UsageError, SettingsError."""
    require_settings(settings)
    check_folder(settings)
    if request.mode not in plan.DEFAULTS:
        raise UsageError(
            f"unknown mode: --mode {request.mode}",
            hint=f"Choose one of: {', '.join(plan.DEFAULTS)}.",
        )
    if foreign := sorted(set(request.options) - set(OPTIONS)):
        raise UsageError(f"--{foreign[0]} is not an option of tdx")
    exchange = request.options.get("exchange")
    if exchange not in (None, *EXCHANGES):
        raise UsageError(
            f"unknown exchange: --exchange {exchange}",
            hint=f"Choose one of: {', '.join(EXCHANGES)}.",
        )
    unknown = [d for d in request.datasets or () if d not in plan.NAMES]
    if unknown:
        raise unknown_dataset(unknown, plan.NAMES)
    wanted = plan.REALTIME if request.mode == "realtime" else request.datasets or ()
    service_only = [name for name in wanted if name not in plan.FILE_DATASETS]
    if settings.tdx.servers and (foreign := sorted(plan.NOT_OF_SERVERS.intersection(wanted))):
        raise SettingsError(
            f"{', '.join(foreign)}: not available from quote servers, only from a TDX service",
            hint="Set QUOTEMILL_TDX__BASE_URL=http://host:8080 instead of QUOTEMILL_TDX__SERVERS.",
        )
    if not settings.tdx.has_service and service_only:
        raise SettingsError(
            f"{', '.join(service_only)}: only available from a TDX service, and none is configured",
            hint="Set QUOTEMILL_TDX__BASE_URL=http://host:8080, or load only datasets of a folder: "
            + ", ".join(plan.FILE_DATASETS),
        )
    if settings.tdx.client is None:
        _check_without_client(settings, request)
    day = request.options.get("date")
    if request.mode == "realtime":
        others = [d for d in request.datasets or () if d not in plan.REALTIME]
        if others:
            raise UsageError(
                f"{', '.join(others)}: not available with --mode realtime",
                hint=f"Choose from: {', '.join(plan.REALTIME)}.",
            )
        if request.since or request.until or day:
            raise UsageError(
                "--mode realtime loads today, so it cannot be used with --since, --until or --date"
            )
    if day and (request.since or request.until):
        raise UsageError("--date cannot be used with --since or --until")
    if day and day != LAST:
        trading_time.parse_day(day, date.max)  # what a word means, `resolve` says
    if request.since and request.until and request.since > request.until:
        raise UsageError("--since is later than --until")
    _check_codes(settings, request)


def _check_without_client(settings: Settings, request: LoadRequest) -> None:
    if settings.tdx.corporate_actions == "gbbq":
        raise SettingsError(
            f"setting tdx.corporate_actions ({settings.origin('tdx.corporate_actions')}): "
            "gbbq is a file of the desktop client, but no client folder is configured",
            hint="Set QUOTEMILL_TDX__CLIENT=/srv/tdx.",
        )
    needs_client = {*plan.CLIENT_DATASETS, minute_5m.NAME}
    if client_only := sorted(needs_client.intersection(request.datasets or ())):
        raise SettingsError(
            f"dataset {client_only[0]}: no folder of the desktop client is configured",
            hint="Set QUOTEMILL_TDX__CLIENT=/srv/tdx.",
        )


def _check_codes(settings: Settings, request: LoadRequest) -> None:
    named_indices = [c for c in read_codes(request.keys or ()) if c in settings.tdx.indices]
    if named_indices:
        raise UsageError(
            f"{', '.join(named_indices)}: an index, not a stock or fund",
            hint="Run `loaders run tdx --dataset index_kline` without --codes to load indices.",
        )
    for dataset, what in (
        (index_kline.DATASET.name, "the indices of the setting tdx.indices"),
        (market_stats_snapshot.DATASET.name, "the numbers of each exchange"),
        *((name, "the client's complete files") for name in plan.CLIENT_DATASETS),
    ):
        if request.keys is not None and dataset in (request.datasets or ()):
            raise UsageError(
                f"--codes and --dataset {dataset} cannot be used together",
                hint=f"Leave out --codes: this dataset loads {what}.",
            )


def resolve(
    settings: Settings, warehouse: Warehouse, request: LoadRequest, now: datetime
) -> LoadRequest:
    """Complete a request: codes like sh600000, `--date` as first and last day.

    Raises UsageError for a day without trading, whose text names the trading day before, and for
    whole histories of the market by quote servers while it trades.
    """
    if settings.tdx.servers:
        _refuse_in_session(warehouse, request, now.astimezone(trading_time.SHANGHAI))
    if request.keys is not None:
        request = replace(request, keys=read_codes(request.keys))
    named = request.options.get("date")
    if named is None:
        return request
    today = now.astimezone(trading_time.SHANGHAI).date()
    wanted = today if named == LAST else trading_time.parse_day(named, today)
    known = trading_calendar.trading_days(warehouse.ask(trading_calendar.stored), wanted)
    if named == LAST:
        day = trading_time.newest_final(known, now)
    else:
        day = wanted if wanted in known else None
        if wanted > today:
            raise UsageError(f"--date {wanted} is in the future", hint=f"Use --date {LAST}.")
    if day is None:
        raise UsageError(
            f"{wanted} is not a trading day"
            + (f". The previous trading day is {known[-1]}" if known else ""),
            hint=f"Use --date {known[-1]}, or --date {LAST} for the latest finished day."
            if known
            else f"Use a later day: the first trading day was {trading_time.FIRST_SHANGHAI_DAY}.",
        )
    options = {k: v for k, v in request.options.items() if k != "date"}
    return replace(request, options=options, since=day, until=day)


def _refuse_in_session(warehouse: Warehouse, request: LoadRequest, now: datetime) -> None:
    is_session = OPENING <= now.time() < trading_time.SHANGHAI_FINAL
    if not is_session or request.keys is not None or "yes" in request.options:
        return
    if not {*plan.PER_CODE} & {*plan.choose_datasets(request)}:
        return
    is_whole = request.mode == "init" or (
        request.mode == "incremental" and not warehouse.ask(_has_day_bars)
    )
    if is_whole and trading_time.published_days(now.date(), now.date()):
        close = f"{trading_time.SHANGHAI_FINAL:%H:%M}"
        raise UsageError(
            "full history of all codes cannot be loaded from quote servers while the "
            "market is open",
            hint=f"Run it after {close} in Shanghai, or run `loaders run tdx --mode init --yes`.",
        )


def _has_day_bars(conn: "psycopg.Connection") -> bool:
    name = kline_daily.DATASET.name
    return has_relation(conn, f"{RAW_TDX}.{name}") and has_rows(conn, RAW_TDX, name)


def when_busy(settings: Settings, request: LoadRequest) -> Literal["fail", "skip", "wait"]:
    """The choice while another load of the source runs; a realtime load may skip."""
    if request.mode != "realtime":
        return "fail"
    return "wait" if settings.tdx.realtime_when_busy == "queue" else "skip"
