"""A subscription to market data: a stream or a snapshot of one contract."""

import asyncio

from loaders.sandbox.ib.dividends import describe
from loaders.sandbox.ib.listing import Instrument
from loaders.sandbox.ib.market_data import Service
from loaders.sandbox.ib.session import Session

REFRESH = 1.0  # seconds between two rounds of a stream
SNAPSHOT_END = 0.02  # seconds after its last tick, unless a fault says otherwise


async def run_subscription(
    session: Session, request: int, instrument: Instrument, generic: list[str], *, snapshot: bool
) -> None:
    data = session.market_data
    await session.lag()
    session.notify(request, "quotes")
    service = data.serve(instrument, session.data_type)
    if service.code:
        session.error(request, service.code, service.message)
    if not service.type:
        session.lines.pop(request, None)
        return
    muted = data.strike("mute", instrument) is not None
    late = data.number("greeks-late", "seconds", 0.0)
    end = data.number("snapshot-end", "seconds", SNAPSHOT_END)
    while True:
        if not muted and not data.is_cut_off:
            _send_quote(session, request, instrument, service)
            if not snapshot or late <= end:  # otherwise the snapshot ends before they come
                await asyncio.sleep(late)
                _send_computed(session, request, instrument, generic, service)
        if snapshot:
            await asyncio.sleep(max(0.0, end - (late if late <= end else 0.0)))
            session.lines.pop(request, None)
            session.send(57, 1, request)
            return
        await asyncio.sleep(REFRESH)


def _send_quote(session: Session, request: int, instrument: Instrument, service: Service) -> None:
    session.send(81, request, 0.01, "9c0001", 3)
    session.send(58, 1, request, service.type)
    for kind, version, *rest in session.market_data.quote_ticks(instrument, service):
        session.send(kind, version, request, *rest)


def _send_computed(
    session: Session, request: int, instrument: Instrument, generic: list[str], service: Service
) -> None:
    """Greeks, open interest and volatility, which lag behind the quote."""
    for tick, values in session.market_data.computations(instrument, service):
        old = session.version < 156
        head = (21, 6, request, tick) if old else (21, request, tick, 0)
        session.send(*head, *values)
    if "101" in generic:
        for tick, contracts in session.market_data.open_interest(instrument):
            session.send(2, 6, request, tick, contracts)
    if "456" in generic and not instrument.is_option and not instrument.stock.is_index:
        text = describe(instrument.stock, session.market_data.clock.now().date())
        session.send(46, 6, request, 59, text)
    if "106" in generic and not instrument.is_option:
        session.send(45, 6, request, 24, instrument.stock.volatility)
