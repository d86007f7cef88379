"""Whether a request makes sense, before anything is opened, and what loads it is made of."""

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from loaders.engine.request import LoadRequest
from loaders.errors import SettingsError, UsageError
from loaders.settings import Settings
from loaders.tq.errors import TqMissing
from loaders.tq.settings import VARIETY

MAPPING, TICKS = "mapping", "ticks"
TICK_LANE = "tq_ticks"
OF_MAPPING = ("trading_day", "trading_session", "contract", "main_events", "contract_daily")
OF_TICKS = ("ticks", "tick_index", "no_data_day")
# a contract-day, as verification asks for one
DAY = r"^KQ\.m@\S+ \S+ \d{4}-\d{2}-\d{2}$"
# words of the command line that mean both; whole windows are asked for each time anyway
BOTH = ("incremental", "init")


def missing_settings(settings: Settings) -> str | None:
    """Why this source cannot be loaded with these settings, or None."""
    tq = settings.tq
    if (tq.account and tq.password) or (tq.auth_url and tq.md_url):
        return None
    lacking = "ACCOUNT" if not tq.account else "PASSWORD"
    return f"QUOTEMILL_TQ__{lacking} is not set"


def check_client(settings: Settings) -> None:
    """Raises SettingsError where there is no account, TqMissing where the client is not installed."""
    if missing := missing_settings(settings):
        raise SettingsError(
            f"no account for China futures is configured: {missing}",
            hint="QUOTEMILL_TQ__ACCOUNT and QUOTEMILL_TQ__PASSWORD, or try `loaders sandbox tq`",
        )
    if importlib.util.find_spec("tqsdk") is None:
        raise TqMissing(
            "the futures client tqsdk is not installed", hint="pip install 'quotemill[tq]'"
        )


def check_request(settings: Settings, request: LoadRequest) -> None:
    """Raises UsageError, SettingsError for what can be known before anything is opened."""
    check_client(settings)
    if request.mode not in (*BOTH, MAPPING, TICKS):
        raise UsageError(f"--mode {request.mode}: unknown", hint=f"allowed: {MAPPING}, {TICKS}")
    if request.options:
        raise UsageError(f"tq knows no option --{sorted(request.options)[0]}")
    names = {MAPPING: OF_MAPPING, TICKS: OF_TICKS}.get(request.mode, (*OF_MAPPING, *OF_TICKS))
    if foreign := [name for name in request.datasets or () if name not in names]:
        raise UsageError(
            f"unknown dataset {', '.join(foreign)}", hint=f"datasets: {', '.join(names)}"
        )
    allowed = rf"{VARIETY}|{DAY}" if request.mode == TICKS else VARIETY
    if wrong := [key for key in request.keys or () if not re.match(allowed, key)]:
        raise UsageError(
            f"not a variety: {', '.join(wrong)}", hint="written as SHFE.cu; capitals count"
        )
    if request.since and request.until and request.since > request.until:
        raise UsageError("--since is later than --until")


def parts(_: Settings, request: LoadRequest, __: datetime | None) -> Sequence[LoadRequest]:
    """The main contracts, then the ticks of the schedule that dbt makes of them."""
    if request.mode not in BOTH:
        return (request,)
    if request.datasets is None:
        return tuple(replace(request, mode=mode) for mode in (MAPPING, TICKS))
    found = []
    for mode, names in ((MAPPING, OF_MAPPING), (TICKS, OF_TICKS)):
        # a name that is none goes with the first, which refuses it
        of_mode = [
            d for d in request.datasets if d in names or (mode == MAPPING and d not in OF_TICKS)
        ]
        if of_mode:
            found.append(replace(request, mode=mode, datasets=tuple(of_mode)))
    return tuple(found) or (request,)


def lane(request: LoadRequest) -> str:
    """A load of ticks may take weeks, and never blocks the evening's main contracts."""
    return TICK_LANE if request.mode == TICKS else "tq"


def when_busy(_: Settings, request: LoadRequest) -> Literal["fail", "skip", "wait"]:
    """While ticks of weeks come in, another load of them has nothing to do; days that are asked for by
    name are wanted now."""
    return "skip" if request.mode == TICKS and not request.keys else "fail"
