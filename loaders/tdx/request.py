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
            hint="QUOTEMILL_TDX__DOWNLOAD=true, QUOTEMILL_TDX__SERVERS=public, "
            "QUOTEMILL_TDX__BASE_URL=http://host:8080, QUOTEMILL_TDX__CLIENT=/srv/tdx, "
            "or try `loaders sandbox tdx`",
        )


def check_request(settings: Settings, request: LoadRequest) -> None:
    """Check a request at the start. Raises UsageError, SettingsError."""
    require_settings(settings)
    check_folder(settings)
    if request.mode not in plan.DEFAULTS:
        raise UsageError(
            f"--mode {request.mode}: unknown", hint=f"allowed: {', '.join(plan.DEFAULTS)}"
        )
    if foreign := sorted(set(request.options) - set(OPTIONS)):
        raise UsageError(f"--{foreign[0]} is not an option of tdx")
    exchange = request.options.get("exchange")
    if exchange not in (None, *EXCHANGES):
        raise UsageError(f"--exchange {exchange}: unknown", hint=f"allowed: {', '.join(EXCHANGES)}")
    unknown = [d for d in request.datasets or () if d not in plan.NAMES]
    if unknown:
        raise unknown_dataset(unknown, plan.NAMES)
    wanted = plan.REALTIME if request.mode == "realtime" else request.datasets or ()
    service_only = [name for name in wanted if name not in plan.FILE_DATASETS]
    if settings.tdx.servers and (foreign := sorted(plan.NOT_OF_SERVERS.intersection(wanted))):
        raise SettingsError(
            f"{', '.join(foreign)}: the quote servers do not have it, only a TDX service has",
            hint="QUOTEMILL_TDX__BASE_URL=http://host:8080 in place of QUOTEMILL_TDX__SERVERS",
        )
    if not settings.tdx.has_service and service_only:
        raise SettingsError(
            f"{', '.join(service_only)}: no TDX service is configured, and only one has these",
            hint="QUOTEMILL_TDX__BASE_URL=http://host:8080; a folder has "
            + ", ".join(plan.FILE_DATASETS),
        )
    if settings.tdx.client is None:
        _check_without_client(settings, request)
    day = request.options.get("date")
    if request.mode == "realtime":
        others = [d for d in request.datasets or () if d not in plan.REALTIME]
        if others:
            raise UsageError(
                f"{', '.join(others)}: not a dataset of --mode realtime",
                hint=f"--mode realtime loads {', '.join(plan.REALTIME)}",
            )
        if request.since or request.until or day:
            raise UsageError("--mode realtime loads today; leave out --since, --until and --date")
    if day and (request.since or request.until):
        raise UsageError("--date excludes --since and --until")
    if day and day != LAST:
        trading_time.parse_day(day, date.max)  # what a word means, `resolve` says
    if request.since and request.until and request.since > request.until:
        raise UsageError("--since is later than --until")
    _check_codes(settings, request)


def _check_without_client(settings: Settings, request: LoadRequest) -> None:
    if settings.tdx.corporate_actions == "gbbq":
        raise SettingsError(
            f"setting tdx.corporate_actions ({settings.origin('tdx.corporate_actions')}): "
            "gbbq is a file of the desktop client, and no folder of it is configured",
            hint="QUOTEMILL_TDX__CLIENT=/srv/tdx",
        )
    needs_client = {*plan.CLIENT_DATASETS, minute_5m.NAME}
    if client_only := sorted(needs_client.intersection(request.datasets or ())):
        raise SettingsError(
            f"dataset {client_only[0]}: no folder of the desktop client is configured",
            hint="QUOTEMILL_TDX__CLIENT=/srv/tdx",
        )


def _check_codes(settings: Settings, request: LoadRequest) -> None:
    named_indices = [c for c in read_codes(request.keys or ()) if c in settings.tdx.indices]
    if named_indices:
        raise UsageError(
            f"{', '.join(named_indices)}: an index, not a stock or fund",
            hint="`loaders run tdx --dataset index_kline`, without codes, loads the indices",
        )
    for dataset, what in (
        (index_kline.DATASET.name, "the indices of the setting tdx.indices"),
        (market_stats_snapshot.DATASET.name, "the figures of each exchange"),
        *((name, "the client's files whole") for name in plan.CLIENT_DATASETS),
    ):
        if request.keys is not None and dataset in (request.datasets or ()):
            raise UsageError(
                f"--codes and --dataset {dataset} exclude each other",
                hint=f"without --codes it loads {what}",
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
            raise UsageError(f"--date {wanted} is in the future", hint=f"--date {LAST}")
    if day is None:
        raise UsageError(
            f"{wanted} is not a trading day"
            + (f"; the trading day before it is {known[-1]}" if known else ""),
            hint=f"--date {known[-1]}, or --date {LAST} for the newest day that has ended"
            if known
            else f"the first trading day was {trading_time.FIRST_SHANGHAI_DAY}",
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
            "whole histories of all codes, from quote servers, while the market trades",
            hint=f"run it after {close} in Shanghai, or `loaders run tdx --mode init --yes`",
        )


def _has_day_bars(conn: "psycopg.Connection") -> bool:
    name = kline_daily.DATASET.name
    return has_relation(conn, f"{RAW_TDX}.{name}") and has_rows(conn, RAW_TDX, name)


def when_busy(settings: Settings, request: LoadRequest) -> Literal["fail", "skip", "wait"]:
    """The choice while another load of the source runs; a realtime load may skip."""
    if request.mode != "realtime":
        return "fail"
    return "wait" if settings.tdx.realtime_when_busy == "queue" else "skip"
