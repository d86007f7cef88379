"""Contracts that never tick: delisted ones above all. Asked of the warehouse.

A contract is silent in a session once CAPTURES of it, those again included, brought no price at all, and none
has since; and as long as half of its symbol's contracts are not, else it is the gateway that is. A contract
that was not asked, since the time was over before its turn, has not been silent. It is asked
once a slot all the same, after the others, so that it comes back with its first tick. Its rows are errors,
flagged `no_quote`, and counted apart: they wait for nothing, and make no slot partial.

What was silent or refused when a symbol was last captured is looked up again before it is put into a
session's set: what the gateway knows no more leaves the contracts that are known.
"""

from collections.abc import Sequence
from datetime import date

import psycopg

from loaders.ib.capture.flags import SILENT, SPENT
from loaders.ib.client.error_codes import NO_ANSWER, NO_CONTRACT, NO_PRICE

CAPTURES = 3
KINDS = (NO_ANSWER, NO_PRICE, NO_CONTRACT)  # failures that are silence


def silent(conn: psycopg.Connection, day: date, symbols: Sequence[str]) -> frozenset[int]:
    """The contracts of some symbols that are silent in a session."""
    rows = conn.execute(
        """
        with in_vain as (
            select c.symbol, c.conid
            from raw_ib.chain_snapshot as c
            left join raw_ib.recapture as r using (trade_date, sample_time, conid)
            where c.trade_date = %(day)s and c.symbol = any(%(symbols)s)
                and c.snapshot_error and c.error_type = any(%(kinds)s)
                -- of these kinds only what was never asked is given up as well
                and not %(spent)s = any(string_to_array(c.data_quality_flag, ','))
                and not exists (
                    select 1 from raw_ib.chain_snapshot as g
                    where g.trade_date = c.trade_date and g.symbol = c.symbol and g.conid = c.conid
                        and not g.snapshot_error and g.captured_at > c.captured_at
                )
            group by c.symbol, c.conid
            having sum(coalesce(r.attempts, 1)) >= %(captures)s
        ),

        captured as (
            select symbol, count(distinct conid) as contract_count
            from raw_ib.chain_snapshot
            where trade_date = %(day)s and symbol in (select symbol from in_vain)
            group by symbol
        )

        select v.conid
        from in_vain as v
        inner join captured as c using (symbol)
        where 2 * (select count(*) from in_vain as i where i.symbol = v.symbol) <= c.contract_count
        """,
        {
            **{"day": day, "symbols": list(symbols), "kinds": list(KINDS)},
            **{"spent": SPENT, "captures": CAPTURES},
        },
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
