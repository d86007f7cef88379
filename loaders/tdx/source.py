"""The TDX source, and the flow of its data.

    codes ▶ trading_calendar ▶ kline_daily · index_kline ▶ minutes, ticks, quotes …
      ▶ corporate_actions

Every load except a realtime one refreshes the code list and the calendar, because the other
datasets depend on them. A task is a batch of codes of one exchange. Requests run on an event loop
of the load (client/event_loop.py). Routes and shapes of answers are in client/, files in files/,
the checks of bars and ticks in bars/; each dataset has a module with its name in datasets/.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time

from loaders.engine.load import Load
from loaders.engine.operations import DISCONNECT_WORDS
from loaders.engine.source import Insight, Requests, Source
from loaders.settings import Settings
from loaders.tdx.check import check
from loaders.tdx.client.answers import EXCHANGES
from loaders.tdx.client.client import TdxClient
from loaders.tdx.client.event_loop import EventLoop
from loaders.tdx.context import Context
from loaders.tdx.coverage import read_coverage
from loaders.tdx.doctor import check_setup
from loaders.tdx.plan import DATASETS, DEFAULTS, plan
from loaders.tdx.request import check_request, resolve, when_busy
from loaders.tdx.tables import TABLES
from loaders.trading_time import resting_since

READY = time(16, 0)  # by then the service has the complete day


@contextmanager
def opened(load: Load) -> Iterator[Context]:
    """Open the client on an event loop; at the end warn of oddities in answers and files."""
    tdx = load.settings.tdx
    client = TdxClient(tdx, now=load.clock) if tdx.has_service else None
    with EventLoop(load.cancelling) as loop:
        ctx = Context(load, client, loop)
        try:
            if tdx.download and ctx.mode != "realtime":
                from loaders.tdx.packages import download

                ctx.package_failures += download(ctx)
            yield ctx
        finally:
            for opened_here in (client, ctx.__dict__.get("quote_servers")):
                if opened_here is not None:
                    loop.close(opened_here)
            ctx.file_notes.say(load.warn)  # of a load that was stopped too
    if client is not None:
        for name, count in sorted((client.unknown_fields + client.oddities).items()):
            load.warn(f"the service's responses: {name} ({count:,} times)")


def _slice_size(settings: Settings) -> int:
    """Codes in a package: a task's where nothing but files is read, as no answer can be lost."""
    tdx = settings.tdx
    asks = tdx.has_service or tdx.actions_source == "xdxr"
    return tdx.slice_size if asks or "slice_size" in tdx.model_fields_set else sys.maxsize


def _rests_since(settings: Settings, now: datetime) -> datetime | None:
    """The time since which the service has nothing new; None for a client's folder."""
    return None if settings.tdx.client else resting_since(now, ready=READY)


SOURCE = Source(
    name="tdx",
    tables=TABLES,
    datasets=DATASETS,
    slice_size=_slice_size,
    check=check,
    open=opened,
    plan=plan,
    requests=Requests(
        modes=DEFAULTS,
        exchanges=EXCHANGES,
        check=check_request,
        resolve=resolve,
        when_busy=when_busy,
        rests_since=_rests_since,
    ),
    insight=Insight(
        log_keywords={
            "disconnect": (*DISCONNECT_WORDS, "is down", "outage"),
            "timeout": ("no response in time", "timed out", "timeout"),
            "partial": ("in part", "lacks minutes"),
        },
        coverage=read_coverage,
        doctor=check_setup,
        needs_holidays=True,
    ),
)
