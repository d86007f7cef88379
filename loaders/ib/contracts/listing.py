"""Contracts listed of each symbol, by the gateway, and which of them fit a slot."""

from collections.abc import Mapping
from dataclasses import replace

from loaders.ib.client.gateway import Gateway
from loaders.ib.client.values import ChainParams, Underlying
from loaders.ib.context import Context
from loaders.ib.contracts.discovery import Discovery, Reference, choose_candidates, distances
from loaders.ib.errors import NotPermitted
from loaders.ib.planning.due import named_day
from loaders.ib.planning.estimate import Estimate, estimate_slot, nearest, overflow_error, shares
from loaders.ib.queries import landed
from loaders.ib.slots import oldest_set, session_before
from quotemill.errors import DataQualityError, SettingsError, UpstreamError


def find_candidates(ctx: Context, symbol: str) -> Discovery:
    """Contracts that may be listed of a symbol, or why they are unknown."""
    discovery, day = Discovery(symbol), named_day(ctx.load.request)
    underlying = ctx.ask(lambda conn: landed.read_underlying(conn, symbol))
    if underlying is None or ctx.gone is not None:
        failure = str(ctx.gone) if ctx.gone else f"{symbol} is unknown"
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
        raise UpstreamError(f"the gateway names no options of {underlying.symbol}")
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


def fit_slot(ctx: Context) -> SettingsError | None:
    """Leave out candidates that do not fit a slot beside the contracts of other symbols.

    With `ib.overflow = refuse` no new contract is taken, so that older sets stand in; the error
    that says so is returned.
    """
    day = named_day(ctx.load.request)
    others = ctx.ask(lambda conn: landed.count_contracts(conn, day))
    wanted = {symbol: len(d.candidates) for symbol, d in ctx.discoveries.items()}
    slot = measure_slot(ctx, {s: n for s, n in others.items() if s not in wanted} | wanted)
    if slot.fits:
        return None
    if ctx.settings.overflow == "refuse":
        refusal = overflow_error(slot)
        for discovery in ctx.discoveries.values():
            discovery.failure = discovery.failure or str(refusal)
        return refusal
    room = slot.capacity - sum(n for s, n in others.items() if s not in wanted)
    for symbol, share in shares(wanted, max(room, 0)).items():
        discovery = ctx.discoveries[symbol]
        if share < wanted[symbol]:
            distance = distances(discovery)
            chosen = nearest(discovery.candidates, distance, share)
            rest = set(discovery.candidates) - set(chosen)
            left_out = sorted(
                (c for c in discovery.candidates if c in rest), key=distance.__getitem__
            )
            discovery.candidates = chosen
            discovery.further = left_out + discovery.further
    ctx.load.warn(f"the chains do not fit a slot, so the nearest strikes are taken: {slot}")
    return None


def measure_slot(ctx: Context, counts: Mapping[str, int]) -> Estimate:
    """An estimate of a slot, by the time of recent batches."""
    size = ctx.settings.max_concurrent_snapshots
    hold_s = ctx.ask(lambda conn: landed.measure_batch_seconds(conn, size))
    return estimate_slot(ctx.settings, counts, hold_s)
