"""Contracts that never tick: delisted ones above all.

A contract is silent in a session once CAPTURES of it, repeated ones included, brought no price, and
none has since; and as long as half of its symbol's contracts are not, else the gateway is silent. A
capture counts only where others of the symbol answered in the same batch, or the gateway refused
the contract: a contract whose turn never came, or that was requested in an outage, was not silent.
Silent contracts are still requested once a slot, after the others, so that they come back with
their first tick. Their rows are errors, flagged `no_quote`, and counted apart: they wait for
nothing, and make no slot partial.

Discovery looks up again what was silent or refused when its symbol was last captured: a contract
that the gateway no longer knows leaves the known ones.
"""

from collections.abc import Sequence
from datetime import date

import psycopg

from loaders.ib.capture.flags import SILENT, SPENT
from loaders.ib.client.error_codes import NO_ANSWER, NO_CONTRACT, NO_PRICE
from loaders.ib.queries.landed import run_sql

CAPTURES = 3
KINDS = (NO_ANSWER, NO_PRICE, NO_CONTRACT)  # failures that are silence


def read_silent(conn: psycopg.Connection, day: date, symbols: Sequence[str]) -> frozenset[int]:
    """The contracts of some symbols that are silent in a session."""
    rows = run_sql(
        conn,
        "silent_contracts",
        day=day,
        symbols=list(symbols),
        kinds=list(KINDS),
        refused=NO_CONTRACT,
        spent=SPENT,
        captures=CAPTURES,
    )
    return frozenset(conid for (conid,) in rows)


def read_doubtful(conn: psycopg.Connection, symbol: str, day: date) -> frozenset[int]:
    """Contracts of a symbol whose newest row, on `day` or before, is silent or refused."""
    rows = run_sql(
        conn, "doubtful_contracts", symbol=symbol, day=day, refused=NO_CONTRACT, flag=SILENT
    )
    return frozenset(conid for (conid,) in rows)
