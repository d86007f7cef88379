"""Checks of a request before anything is opened, and the loads it consists of."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Literal

from loaders import trading_time
from loaders.engine.request import LoadRequest, unknown_dataset
from loaders.settings import Settings
from loaders.tq.errors import TqMissing
from loaders.tq.operations import missing_settings
from loaders.tq.settings import VARIETY
from quotemill.errors import SettingsError, UsageError
from quotemill.installation import install_hint
from quotemill.warehouse.postgres import Warehouse

MAPPING, TICKS, CROSS_CHECK, LIVE = MODES = ("mapping", "ticks", "cross-check", "live")
TICK_LANE, LIVE_LANE = "tq_ticks", "tq_live"
MAPPING_DATASETS = (
    "trading_day",
    "trading_session",
    "contract",
    "main_events",
    "contract_daily",
    "contract_terms",
    "settlement",
)
TICK_DATASETS = ("ticks", "tick_index", "no_data_day", "tick_minute")
CROSS_CHECK_DATASETS = ("main_events", "contract_minute")
RECORDING = "recording"
# a contract-day, as verification asks for it
DAY = r"^KQ\.m@\S+ \S+ \d{4}-\d{2}-\d{2}$"
# read complete days again: those of a window, or one of them
OPTIONS = ("refetch", "date")
NEWEST_DAY = "last"  # of --date: the newest settled one
# words of the command line that mean both; each load asks for whole windows anyway
BOTH = ("incremental", "init")
DATASETS_BY_MODE: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(BOTH, (*MAPPING_DATASETS, *TICK_DATASETS)),
    MAPPING: MAPPING_DATASETS,
    TICKS: TICK_DATASETS,
    CROSS_CHECK: CROSS_CHECK_DATASETS,
    LIVE: (RECORDING,),
}


def check_client(settings: Settings) -> None:
    """Raise SettingsError without an account, TqMissing without the client."""
    if missing := missing_settings(settings):
        raise SettingsError(
            f"no account for China futures is configured: {missing}",
            hint="Set QUOTEMILL_TQ__ACCOUNT and QUOTEMILL_TQ__PASSWORD, or try `loaders "
            "sandbox tq`.",
        )
    if importlib.util.find_spec("tqsdk") is None:
        raise TqMissing("the futures client tqsdk is not installed", hint=install_hint("tq"))


def check_request(settings: Settings, request: LoadRequest) -> None:
    """Raise UsageError or SettingsError for all that can be known before opening."""
    check_client(settings)
    if request.mode not in DATASETS_BY_MODE:
        raise UsageError(
            f"unknown mode: --mode {request.mode}", hint=f"Choose one of: {', '.join(MODES)}."
        )
    if foreign := sorted(request.options.keys() - set(OPTIONS)):
        raise UsageError(f"--{foreign[0]} is not an option of tq")
    _check_refetch(request)
    names = DATASETS_BY_MODE[request.mode]
    if foreign := [name for name in request.datasets or () if name not in names]:
        raise unknown_dataset(foreign, names)
    allowed = rf"{VARIETY}|{DAY}" if request.mode == TICKS else VARIETY
    if wrong := [key for key in request.keys or () if not re.match(allowed, key)]:
        raise UsageError(
            f"not a product: {', '.join(wrong)}", hint="Write it as SHFE.cu (capitals matter)."
        )
    if request.mode == LIVE and (request.since or request.until):
        raise UsageError(
            "--mode live records the current session, so it cannot be used with --since or --until"
        )
    if request.since and request.until and request.since > request.until:
        raise UsageError("--since is later than --until")


def _check_refetch(request: LoadRequest) -> None:
    """Raise UsageError for days to read again that the request does not name well."""
    day = request.options.get("date")
    if request.mode in (MAPPING, CROSS_CHECK, LIVE) and request.options:
        raise UsageError(f"--refetch works only with --mode {TICKS}", hint=f"Use --mode {TICKS}.")
    if day is not None and (request.since or request.until):
        raise UsageError("--date cannot be used with --since or --until")
    if day is None and request.options and not (request.since or request.until):
        raise UsageError(
            "--refetch needs --since and --until, or --date",
            hint="Add --since and --until, or only --date.",
        )
    if day is not None and day != NEWEST_DAY:
        trading_time.parse_day(day, date.max)  # what a word means, `resolve` says


def resolve(_: Settings, __: Warehouse, request: LoadRequest, now: datetime) -> LoadRequest:
    """The request with `--date today` or `yesterday` as a day."""
    named = request.options.get("date", NEWEST_DAY)
    if named == NEWEST_DAY:
        return request
    day = trading_time.parse_day(named, now.astimezone(trading_time.SHANGHAI).date())
    return replace(request, options={**request.options, "date": f"{day}"})


def parts(_: Settings, request: LoadRequest, __: datetime | None) -> Sequence[LoadRequest]:
    """The main contracts, then the ticks of the schedule that dbt makes of them."""
    if request.mode not in BOTH:
        return (request,)
    if request.options:  # days of ticks to read again
        return (replace(request, mode=TICKS),)
    if request.datasets is None:
        return tuple(replace(request, mode=mode) for mode in (MAPPING, TICKS))
    ticks = tuple(name for name in request.datasets if name in TICK_DATASETS)
    # the first part refuses an unknown name
    mapping = tuple(name for name in request.datasets if name not in TICK_DATASETS)
    loads = tuple(
        replace(request, mode=mode, datasets=names)
        for mode, names in ((MAPPING, mapping), (TICKS, ticks))
        if names
    )
    return loads or (request,)


def lane(request: LoadRequest) -> str:
    """A load of ticks may take weeks, a recorder a session: neither blocks the main contracts."""
    return {TICKS: TICK_LANE, LIVE: LIVE_LANE}.get(request.mode, "tq")


def when_busy(_: Settings, request: LoadRequest) -> Literal["fail", "skip", "wait"]:
    """A load of ticks may take weeks: another one is skipped, unless it names days.

    So is a second recorder.
    """
    if request.mode == LIVE:
        return "skip"
    return "skip" if request.mode == TICKS and not request.keys else "fail"
