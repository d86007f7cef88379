"""The source of US option chains, and the way of its data.

    lane ib_discover   session ▶ underlying ▶ option parameters ▶ contract ▶ session_contract
    lane ib_snapshot   session_contract ▶ chain_snapshot, slot_run ▶ gateway_event
    lane ib_close      session_contract ▶ chain_close, slot_run ▶ gateway_event
    lane ib_enrich     session_contract of the day before ▶ open_interest, enrichment
    lane ib_daily      underlying ▶ underlying_daily, underlying_dividends

A task is one connection (client/, of which one module knows the library). A batch is a token; a
contract that answered nothing is a row with its error, and is requested again until the next slot
begins.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate

from loaders.engine.load import Load
from loaders.engine.operations import DISCONNECT_WORDS
from loaders.engine.source import Insight, Requests, Source
from loaders.ib.check import check
from loaders.ib.client.events import mask
from loaders.ib.client.gateway import open_gateway
from loaders.ib.context import Context
from loaders.ib.coverage import read_coverage
from loaders.ib.datasets import (
    chain_close,
    chain_snapshot,
    contract,
    gateway_event,
    open_interest,
    session,
    session_contract,
    underlying,
    underlying_daily,
)
from loaders.ib.doctor import check_setup
from loaders.ib.pacing import MachineWaits, Waits
from loaders.ib.planning.dry_run import preview
from loaders.ib.planning.due import resolve, split_request
from loaders.ib.planning.execution import execute
from loaders.ib.planning.request import (
    ANY_TASK,
    CLOSE,
    SNAPSHOT,
    TASKS,
    check_request,
    current_time,
    lane_name,
    task_name,
    when_busy,
)
from loaders.ib.slots import GRACE
from loaders.ib.tables import TABLES

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
def open_context(
    load: Load, waits: Callable[[Callable[[], bool]], Waits] = MachineWaits
) -> Iterator[Context]:
    """The context of a load; a slot and the close wait a little for a gateway that is away."""
    ib, as_of = load.settings.ib, load.as_of
    is_urgent = load.request.mode in (SNAPSHOT, CLOSE)
    totals = zip(ib.retry_waits, accumulate(ib.retry_waits), strict=True)
    in_grace = [wait for wait, total in totals if total <= GRACE.total_seconds()]

    def frozen() -> datetime:
        assert as_of is not None
        return as_of

    made: list[Context] = []  # it needs the gateway, whose pauses it makes
    load.holds["gateway"] = ""  # comes before the words of a capture

    def pause(seconds: float) -> None:
        load.hold("gateway", "waiting for the gateway")
        made[0].pause(seconds)
        load.hold("gateway")

    with open_gateway(
        ib,
        clock=frozen if as_of else None,
        sleep=pause,
        cancelling=lambda: made[0].must_stop_waiting(),
        first_waits=in_grace if is_urgent else (),
    ) as gateway:
        made.append(Context(load, gateway, waits(load.cancelling)))
        yield made[0]


SOURCE = Source(
    name="ib",
    tables=TABLES,
    datasets=(
        session.DATASET,
        underlying.DATASET,
        underlying_daily.DATASET,
        contract.DATASET,
        session_contract.DATASET,
        chain_snapshot.DATASET,
        chain_close.DATASET,
        open_interest.DATASET,
        gateway_event.DATASET,
    ),
    slice_size=lambda _: SLICE,
    check=check,
    open=open_context,
    plan=execute,
    requests=Requests(
        modes=dict.fromkeys((ANY_TASK[0], *TASKS), ()),
        check=check_request,
        now=current_time,
        resolve=resolve,
        lane=lambda request: lane_name(task_name(request)),
        when_busy=when_busy,
        parts=split_request,
    ),
    insight=Insight(
        preview=preview,
        log_keywords=LOG_KEYWORDS,
        mask=mask,
        coverage=read_coverage,
        doctor=check_setup,
    ),
)
