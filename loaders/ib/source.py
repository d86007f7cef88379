"""The source of US option chains, and the way of its data.

    lane ib_discover   session ▶ underlying ▶ option parameters ▶ what fits a slot ▶ contract ▶ session_contract
    lane ib_snapshot   session_contract ▶ chain_snapshot, recapture ▶ slot_run, gateway_event
    lane ib_close      session_contract ▶ chain_close ▶ slot_run, gateway_event
    lane ib_enrich     session_contract of the day before ▶ open_interest, enrichment

A task is one connection (service/, of which one module knows the client). A batch is a token; a contract that
answered nothing is a row with its error, and waits to be captured again while its session lasts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from loaders.engine.load import Load
from loaders.engine.operations import DISCONNECT_WORDS
from loaders.engine.source import Source
from loaders.ib.check import check
from loaders.ib.client.events import masked
from loaders.ib.context import Context
from loaders.ib.jobs import JOBS
from loaders.ib.pacing import MachineWaits, Waits
from loaders.ib.planning.plan import DATASETS, plan, waits_of
from loaders.ib.planning.preview import preview
from loaders.ib.planning.remaining import due
from loaders.ib.planning.request import (
    CLOSE,
    SNAPSHOT,
    check_request,
    lane,
    missing_settings,
    now,
    parts,
    resolve,
    when_busy,
)
from loaders.ib.tables import REJECTED_ROW, TABLES
from loaders.settings import Settings

SLICE = 50  # symbols in one package of rows
LOG_KEYWORDS = {
    "pacing": ("pacing", "too many requests"),
    "disconnect": (
        *DISCONNECT_WORDS,
        "gateway_gone",
        "gatewaygone",
        "connectivity",
        "lost its servers",
    ),
    "permission": ("permission", "notpermitted", "not subscribed", "subscription"),
    "delayed": ("delayed",),
    "no answer": ("no_answer", "nothing came", "gatewaytimeout"),
    "client id": ("client id", "clientidinuse"),
    "stale discovery": ("discovery_stale", "older session"),
}


@contextmanager
def opened(
    load: Load, waits: Callable[[Callable[[], bool]], Waits] = MachineWaits
) -> Iterator[Context]:
    """The gateway of the load; a slot and the close wait a little for one that is not there yet."""
    from loaders.ib.client import live_gateway

    ib, passed = load.settings.ib, waits(load.cancelling)
    urgent = load.request.mode in (SNAPSHOT, CLOSE)
    as_of = load.as_of

    def frozen() -> datetime:
        assert as_of is not None
        return as_of

    held: list[Context] = []  # it needs the gateway, which is to pause as it says

    with live_gateway.gateway(
        ib,
        clock=frozen if as_of else None,
        sleep=lambda seconds: held[0].pause(seconds),
        cancelling=lambda: held[0].must_end(),
        first_waits=waits_of(ib.retry_waits, ib.slot_grace_seconds) if urgent else (),
    ) as gateway:
        held.append(Context(load, gateway, passed))
        yield held[0]


TOLD = (
    *("risk_free_rate", "dividend_yield", "min_slot_coverage", "max_delayed_share"),
    *("max_fallback_share", "min_oi_share", "close_snapshot_until", "open_interest_published_at"),
)


def told_to_dbt(settings: Settings) -> dict[str, str]:
    told = {f"ib_{name}": str(getattr(settings.ib, name)) for name in TOLD}
    return told | {"ib_slot_range": settings.ib.slot_range or ""}


SOURCE = Source(
    name="ib",
    tables=TABLES,
    rejected=REJECTED_ROW,
    datasets=DATASETS,
    slice_size=lambda _: SLICE,
    missing=missing_settings,
    check=check,
    check_request=check_request,
    now=now,
    resolve=resolve,
    open=opened,
    plan=plan,
    lane=lane,
    when_busy=when_busy,
    parts=parts,
    preview=preview,
    due=due,
    jobs=JOBS,
    log_keywords=LOG_KEYWORDS,
    mask=masked,
    told_to_dbt=told_to_dbt,
)
