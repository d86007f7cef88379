"""Dataset `contract_minute`: the vendor's own minutes, to compare with those made of ticks.

A cross-check asks for those of the newest day of each variety that has minutes of complete ticks.
`qa.qa_main_minutes` compares them.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import psycopg

from loaders.engine.outcome import Outcome
from loaders.tq.context import Context, Dataset, add_columns, concat_rows
from loaders.tq.tables import CONTRACT_MINUTE
from loaders.tq.trading_day import bounds

ROUTE = "minutes"
NEWEST = """
    select distinct on (d.symbol) d.symbol, d.contract, d.trading_day
    from raw_tq.symbol_day as d
    inner join raw_tq.tick_minute_day as m
        on
            d.contract = m.contract
            and d.trading_day = m.trading_day
            and d.row_hash = m.row_hash
            and m.minute_count > 0
    where d.symbol = any(%s) and d.status = 'complete'
    order by d.symbol, d.trading_day desc
"""


def list_keys(ctx: Context, varieties: Sequence[str]) -> tuple[str, ...]:
    """`SHFE.cu2601 2025-11-25`: the newest day of each variety, in their order."""
    newest = ctx.ask(lambda conn: _read_newest(conn, varieties))
    return tuple(newest[variety] for variety in varieties if variety in newest)


def _read_newest(conn: psycopg.Connection, varieties: Sequence[str]) -> dict[str, str]:
    rows = conn.execute(NEWEST, ([f"KQ.m@{variety}" for variety in varieties],))
    return {symbol.removeprefix("KQ.m@"): f"{contract} {day}" for symbol, contract, day in rows}


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    def load(key: str) -> Outcome:
        contract, _, text = key.partition(" ")
        day = date.fromisoformat(text)
        bars = ctx.harvest.minutes(contract, *bounds(day, ctx.days))
        if bars is None or not bars.num_rows:
            return Outcome(key, skipped="the source's latest minute bars do not include the day")
        lineage = {"source_route": ROUTE} | ctx.lineage
        return Outcome(key, add_columns(bars, {"trading_day": day} | lineage))

    return ctx.load_each(keys, load)


DATASET = Dataset("contract_minute", CONTRACT_MINUTE, ROUTE, fetch, concat_rows)
