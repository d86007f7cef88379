"""Contracts that never tick: delisted ones above all. Asked of the warehouse.

A contract is silent in a session once CAPTURES of it, those again included, brought no price at all, and none
has since; and as long as half of its symbol's contracts are not, else it is the gateway that is. It is asked
once a slot all the same, after the others, so that it comes back with its first tick. Its rows are errors,
flagged `no_quote`, and counted apart: they wait for nothing, and make no slot partial.

What was silent or refused when a symbol was last captured is looked up again before it is put into a
session's set: what the gateway knows no more leaves the contracts that are known.
"""

from collections.abc import Sequence
from datetime import date

import psycopg

from loaders.ib.quality import SILENT
from loaders.ib.service.error_codes import NO_ANSWER, NO_CONTRACT, NO_PRICE

CAPTURES = 3
KINDS = (NO_ANSWER, NO_PRICE, NO_CONTRACT)  # failures that are silence


def silent(conn: psycopg.Connection, day: date, symbols: Sequence[str]) -> frozenset[int]:
    """The contracts of some symbols that are silent in a session."""
    rows = conn.execute(
        """
        with captures as (
            select c.symbol, c.conid, c.captured_at, c.snapshot_error, c.error_type,
                coalesce(r.attempts, 1) as attempts
            from raw_ib.chain_snapshot as c
            left join raw_ib.recapture as r using (trade_date, sample_time, conid)
            where c.trade_date = %(day)s and c.symbol = any(%(symbols)s)
        ),

        heard as (
            select conid, max(captured_at) as at
            from captures
            where not snapshot_error
            group by conid
        ),

        of_contracts as (
            select c.symbol, c.conid,
                coalesce(sum(c.attempts) filter (
                    where c.error_type = any(%(kinds)s) and c.snapshot_error
                    and (h.at is null or c.captured_at > h.at)
                ), 0) >= %(captures)s as is_silent
            from captures as c
            left join heard as h using (conid)
            group by c.symbol, c.conid
        ),

        of_symbols as (
            select symbol
            from of_contracts
            group by symbol
            having 2 * count(*) filter (where is_silent) <= count(*)
        )

        select conid from of_contracts inner join of_symbols using (symbol) where is_silent
        """,
        {"day": day, "symbols": list(symbols), "kinds": list(KINDS), "captures": CAPTURES},
    )
    return frozenset(conid for (conid,) in rows)


def suspects(conn: psycopg.Connection, symbol: str, day: date) -> frozenset[int]:
    """The contracts of a symbol whose newest row of its last captured session, `day` or before, says that
    they are silent, or not there."""
    rows = conn.execute(
        """
        select conid
        from (
            select distinct on (conid) conid, snapshot_error, error_type, data_quality_flag
            from raw_ib.chain_snapshot
            where symbol = %(symbol)s and trade_date = (
                select max(trade_date) from raw_ib.chain_snapshot
                where symbol = %(symbol)s and trade_date <= %(day)s
            )
            order by conid, sample_time desc
        ) as q
        where snapshot_error
            and (error_type = %(refused)s or %(flag)s = any(string_to_array(data_quality_flag, ',')))
        """,
        {"symbol": symbol, "day": day, "refused": NO_CONTRACT, "flag": SILENT},
    )
    return frozenset(conid for (conid,) in rows)
