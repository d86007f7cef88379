"""Contracts listed of each symbol, by the gateway, and the slot that they take."""

from collections.abc import Mapping
from dataclasses import replace

from loaders.ib.client.gateway import Gateway
from loaders.ib.client.values import SMART, ChainParams, Underlying
from loaders.ib.context import Context
from loaders.ib.contracts.discovery import Discovery, Reference, choose_candidates
from loaders.ib.errors import NotPermitted
from loaders.ib.planning.due import named_day
from loaders.ib.planning.estimate import Estimate, estimate_slot
from loaders.ib.queries import landed
from loaders.ib.slots import oldest_set, session_before
from quotemill.errors import DataQualityError, UpstreamError


def find_candidates(ctx: Context, symbol: str) -> Discovery:
    """Contracts that may be listed of a symbol, or why they are unknown."""
    discovery, day = Discovery(symbol), named_day(ctx.load.request)
    underlying = ctx.ask(lambda conn: landed.read_underlying(conn, symbol))
    if underlying is None or ctx.gone is not None:
        failure = str(ctx.gone) if ctx.gone else f"unknown symbol: {symbol}"
        return replace(discovery, underlying=underlying, failure=failure)
    discovery.underlying = underlying
    try:
        discovery.reference = _find_reference(ctx, underlying)
        params = read_params(ctx.gateway, underlying)
    except (UpstreamError, DataQualityError, NotPermitted) as error:
        ctx.count_unanswered(symbol, error)
        discovery.failure = str(error)
        return discovery
    ctx.reset_unanswered()
    if others := sorted({p.exchange for p in params} - {SMART}):
        where = ", ".join(others)
        ctx.load.reporter.line(f"{symbol}: no options listed on SMART. Using those on {where}")
    impossible = ctx.ask(lambda conn: landed.read_impossible(conn, day, day, symbol))
    lately = ctx.ask(lambda conn: landed.read_impossible(conn, oldest_set(day), day, symbol))
    discovery.candidates, further = choose_candidates(
        underlying,
        discovery.reference,
        params=params,
        today=day,
        ib=ctx.settings,
        impossible=impossible,
    )
    # replacements must not be looked up in vain day after day
    discovery.further = [
        c for c in further if (c.trading_class, c.expiry, c.strike, c.right) not in lately
    ]
    return discovery


def read_params(gateway: Gateway, underlying: Underlying) -> list[ChainParams]:
    """Trading classes of an underlying. Raises UpstreamError where the gateway names none."""
    params = gateway.option_params(underlying)
    if not params:
        raise UpstreamError(f"the gateway lists no options of {underlying.symbol}")
    return params


def _find_reference(ctx: Context, underlying: Underlying) -> Reference:
    """The previous close by the gateway, else by the newest captured close."""
    day = named_day(ctx.load.request)
    try:
        close = ctx.gateway.previous_close(underlying)
    except (UpstreamError, NotPermitted) as error:
        ctx.count_unanswered(underlying.symbol, error)
        own = ctx.ask(lambda conn: landed.read_own_close(conn, underlying.symbol, day))
        if ctx.gone is not None or own is None:
            raise
        return Reference(own[0], own[1], "own_close")
    return Reference(close.price, close.close_date or session_before(day).trade_date, close.source)


def measure_slot(ctx: Context, counts: Mapping[str, int]) -> Estimate:
    """An estimate of a slot, by the time of recent batches."""
    size = ctx.settings.max_concurrent_snapshots
    hold_s = ctx.ask(lambda conn: landed.measure_batch_seconds(conn, size))
    return estimate_slot(ctx.settings, counts, hold_s)
