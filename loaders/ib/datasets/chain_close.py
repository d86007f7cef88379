"""Dataset `chain_close`: the final quotes of a session, by frozen data. Keys are `AAPL 2026-11-19`."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from loaders.engine.outcome import Outcome, records
from loaders.ib.context import Context, Dataset
from loaders.ib.quality import DELAYED_TYPES
from loaders.ib.rows import CLOSE
from loaders.ib.schemas import CHAIN_CLOSE
from loaders.ib.slot_capture import Moment, captured, moment_of, symbol_of

FROZEN, FROZEN_DELAYED = 2, 4
LONGEST = timedelta(hours=2)


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    day = date.fromisoformat(moment_of(keys[0]))
    session, symbols = run.session(day), [symbol_of(key) for key in keys]
    if run.now() < session.close_at:
        for key in keys:
            yield Outcome(key, failure=f"the session of {day} is not over")
        return
    chains = run.chains(day, symbols)
    contracts = {symbol: chain.contracts for symbol, chain in chains.items()}
    delayed = run.settings.market_data_type in DELAYED_TYPES
    wanted = FROZEN_DELAYED if delayed else FROZEN
    moment = Moment(session, CHAIN_CLOSE.name, CLOSE, wanted, run.now() + LONGEST)
    yield from captured(run, moment, chains, symbols, contracts)


DATASET = Dataset(
    "chain_close",
    CHAIN_CLOSE,
    "market_data",
    fetch,
    records,
    key_of=lambda row: str(row["symbol"]),
)
