"""Market data lines: a stream or a snapshot of one contract, until it ends or is cancelled."""

import asyncio
from typing import TYPE_CHECKING

from loaders.sandbox.ib.desk import Served
from loaders.sandbox.ib.listing import Instrument

if TYPE_CHECKING:
    from loaders.sandbox.ib.session import Session

REFRESH = 1.0  # seconds between two rounds of a stream
SNAPSHOT_ENDS = 0.02  # seconds after its last tick, where no fault says otherwise


async def run_line(
    session: "Session", request: int, instrument: Instrument, generic: list[str], *, snapshot: bool
) -> None:
    desk = session.desk
    await session.lag()
    served = desk.serve(instrument, session.data_type)
    if served.code:
        session.error(request, served.code, served.message)
    if not served.type:
        session.lines.pop(request, None)
        return
    muted = desk.find_rule("mute", instrument) is not None
    late = desk.number("greeks-late", "seconds", 0.0)
    ends = desk.number("snapshot-end", "seconds", SNAPSHOT_ENDS)
    while True:
        if not muted and not desk.has_lost("quotes"):
            _send_quick(session, request, instrument, served)
            if not snapshot or late <= ends:  # otherwise the snapshot ends before they come
                await asyncio.sleep(late)
                _send_slow(session, request, instrument, generic, served)
        if snapshot:
            await asyncio.sleep(max(0.0, ends - (late if late <= ends else 0.0)))
            session.lines.pop(request, None)
            session.send(57, 1, request)
            return
        await asyncio.sleep(REFRESH)


def _send_quick(session: "Session", request: int, instrument: Instrument, served: Served) -> None:
    session.send(81, request, 0.01, "9c0001", 3)
    session.send(58, 1, request, served.type)
    for kind, version, *rest in session.desk.quick_ticks(instrument, served):
        session.send(kind, version, request, *rest)


def _send_slow(
    session: "Session", request: int, instrument: Instrument, generic: list[str], served: Served
) -> None:
    for tick, values in session.desk.computations(instrument, served):
        old = session.version < 156
        head = (21, 6, request, tick) if old else (21, request, tick, 0)
        session.send(*head, *values)
    if "101" in generic:
        for tick, contracts in session.desk.open_interest(instrument):
            session.send(2, 6, request, tick, contracts)
    if "106" in generic and not instrument.is_option:
        session.send(45, 6, request, 24, instrument.stock.volatility)
