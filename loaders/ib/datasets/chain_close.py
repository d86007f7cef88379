"""Dataset `chain_close`: final quotes of a session, by frozen data. Keys are `AAPL 2026-11-19`.

A repeated load requests only contracts without a row, and rows that are errors.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from operator import itemgetter

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.ib.capture.flags import DELAYED_TYPES
from loaders.ib.capture.outcomes import Target, capture
from loaders.ib.capture.rows import CLOSE
from loaders.ib.context import Context, Dataset
from loaders.ib.queries.landed import read_captures
from loaders.ib.slots import (
    Session,
    date_in_new_york,
    parse_point,
    parse_symbol,
    require_session,
)
from loaders.ib.tables import CHAIN_CLOSE, SLOT_RUN

FROZEN, FROZEN_DELAYED = 2, 4
LONGEST = timedelta(hours=2)


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    day = date.fromisoformat(parse_point(keys[0]))
    session, symbols, now = require_session(day), [parse_symbol(key) for key in keys], ctx.now()
    if now < session.close_at:
        for key in keys:
            yield Outcome(key, failure=f"the session of {day} has not ended")
        return
    if why := why_too_late(session, now):
        yield from (Outcome(key, skipped=why) for key in keys)
        return
    chains = ctx.chains(day, symbols)
    target = _make_target(ctx, session, now)
    stored = ctx.ask(lambda conn: read_captures(conn, target.table, day, target.at, symbols))
    yield from capture(
        ctx,
        target,
        chains=chains,
        symbols=symbols,
        contracts={symbol: chain.contracts for symbol, chain in chains.items()},
        settled={conid for conid, row in stored.items() if not row["snapshot_error"]},
    )


def _make_target(ctx: Context, session: Session, now: datetime) -> Target:
    is_delayed = ctx.settings.market_data_type in DELAYED_TYPES
    return Target(
        session,
        CHAIN_CLOSE.name,
        run_type=CLOSE,
        market_data_type=FROZEN_DELAYED if is_delayed else FROZEN,
        deadline=now + LONGEST,
    )


def why_too_late(session: Session, now: datetime) -> str | None:
    """Why a session's close cannot be had any more: on a later day that day's is shown."""
    if date_in_new_york(now) == session.trade_date:
        return None
    return f"the day of {session.trade_date} has ended: its close is no longer available"


DATASET = Dataset(
    "chain_close",
    CHAIN_CLOSE,
    "market_data",
    fetch,
    beside=SLOT_RUN,
    keys=Keys(row_key=itemgetter("symbol")),
    recurs=False,
)
