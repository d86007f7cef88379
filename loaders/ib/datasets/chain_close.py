"""Dataset `chain_close`: the final quotes of a session, by frozen data. Keys are `AAPL 2026-11-19`.

Again it asks only for what it lacks: contracts without a row, and rows that are errors.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from loaders.engine.outcome import Outcome, records
from loaders.ib.capture.flags import DELAYED_TYPES, is_silent
from loaders.ib.capture.rows import CLOSE
from loaders.ib.capture.slot_capture import Moment, captured, moment_of, symbol_of
from loaders.ib.context import Context, Dataset
from loaders.ib.planning import stored
from loaders.ib.slots import Session, date_in_new_york
from loaders.ib.tables import CHAIN_CLOSE

FROZEN, FROZEN_DELAYED = 2, 4
LONGEST = timedelta(hours=2)


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    day = date.fromisoformat(moment_of(keys[0]))
    session, symbols, now = run.session(day), [symbol_of(key) for key in keys], run.now()
    if now < session.close_at:
        for key in keys:
            yield Outcome(key, failure=f"the session of {day} is not over")
        return
    if why := too_late(session, now):
        yield from (Outcome(key, skipped=why) for key in keys)
        return
    chains = run.chains(day, symbols)
    table, at = CHAIN_CLOSE.name, session.close_at
    have = run.ask(lambda conn: stored.captured(conn, table, day, at, symbols))
    contracts = {symbol: chain.contracts for symbol, chain in chains.items()}
    delayed = run.settings.market_data_type in DELAYED_TYPES
    wanted = FROZEN_DELAYED if delayed else FROZEN
    moment = Moment(session, table, CLOSE, wanted, now + LONGEST)
    settled = {conid for conid, row in have.items() if not row["snapshot_error"] or is_silent(row)}
    yield from captured(run, moment, chains, symbols, contracts, settled)


def too_late(session: Session, now: datetime) -> str | None:
    """Why a session's close cannot be had any more: what is shown on a later day is that day's."""
    if date_in_new_york(now) == session.trade_date:
        return None
    return f"the day of {session.trade_date} is over: its close cannot be had any more"


DATASET = Dataset(
    "chain_close",
    CHAIN_CLOSE,
    "market_data",
    fetch,
    records,
    key_of=lambda row: str(row["symbol"]),
)
