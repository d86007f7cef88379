"""Columns with one number in every row: what a source does not know must be null, not a number.

What rightly has one is listed with its reason, by the market it is seen in.
"""

from collections.abc import Mapping
from fnmatch import fnmatch

import psycopg
from psycopg import sql

FEWEST = 30  # fewer numbers may well agree
NUMERIC = """
    select n.nspname, c.relname, array_agg(a.attname::text order by a.attnum)
    from pg_attribute as a
    inner join pg_class as c on a.attrelid = c.oid
    inner join pg_namespace as n on c.relnamespace = n.oid
    where
        n.nspname in ('raw_tdx', 'raw_tq', 'raw_ib', 'market', 'futures', 'options', 'qa')
        and left(c.relname, 4) <> '_dlt' and c.relkind in ('r', 'v', 'm', 'p')
        and a.attnum > 0 and not a.attisdropped
        and a.atttypid::regtype::text in ('numeric', 'integer', 'bigint', 'smallint', 'real',
            'double precision')
        and a.attname not in ('file_no', 'route_no', 'change_no')
    group by 1, 2 order by 1, 2
"""
_FILES = {"raw_tdx.kline_*.volume_unit": "files count shares"}
_SEQ = {"*.seq": "numbers events of a kind and day, of which these have one"}
_NO_COUNTS = {
    "raw_tdx.index_kline.*_count": "the file has 0 and 0 on each day: null from staging on",
}
_INDEX = {
    "raw_tdx.index_kline.[av]*": "the index is made, with one volume",
    "market.index_kline_daily.[av]*": "the same",
}
_BREADTH = {"market.market_stats_snapshot.*_count": "counts of a few stocks"}
_BAR_COUNTS = {"market.kline_*.bar_count": "minutes of a bar"}
_MINUTES = _BAR_COUNTS | {"market.kline_*.source_minutes": "all are made of minutes"}
_VOLUMES = {
    "market.*.volume_shares": "made bars with one volume",
    "raw_tdx.kline_*.volume": "the same",
}
_UNADJUSTED = {"market.kline_daily_hfq.ratio_factor": "no event"}
_LIMIT = {"market.*.limit_percent": "one board"}
# by market, a case by its folder: columns by pattern, and why they have one number
CONSTANT: dict[str, Mapping[str, str]] = {
    "client": _FILES | _SEQ,
    "02-saturdays-of-1991": _FILES | _SEQ | _BREADTH | _LIMIT,
    "05-odd-shares": (_FILES | _NO_COUNTS | _INDEX | _BREADTH | _MINUTES | _VOLUMES | _UNADJUSTED),
    "06-beijing-switch": _FILES | _NO_COUNTS | _INDEX | _BREADTH | _LIMIT,
    "08-suspended-flat-rows": _FILES | _NO_COUNTS | _INDEX | _BREADTH | _UNADJUSTED | _LIMIT,
    "29-index-advances": {},
    "30-minutes-of-suspended-days": _FILES | _NO_COUNTS | _MINUTES | _VOLUMES | _UNADJUSTED,
    "31-events-under-the-new-code": _FILES
    | _NO_COUNTS
    | _INDEX
    | _BREADTH
    | _LIMIT
    | {
        "market.adjustment_segments.*": "one stock",
        "market.corporate_actions.[cs]*": "dividends, one a day",
        "market.corporate_actions.rights_*": "0 of an event without rights, as its formula has it",
    },
    "tdx sandbox": _BREADTH
    | _BAR_COUNTS
    | {"raw_tdx.kline_*.volume_unit": "the service counts hands"},
    "tq sandbox": {
        "*contract*.price_tick": "one variety",
        "*contract*.volume_multiple": "the same",
        "futures.main_*m.minute_count": "minutes of a bar",
    },
    "ib sandbox": {
        "options.*.multiplier": "no adjusted series",
        "*.market_data_type": "live",
        "*.requested_data_type": "the same",
        "*.capture_lag_s": "the gateway's clock stands",
        "*.pv_dividend": "no dividend before these expiries",
    },
}


def check_constant_columns(conn: psycopg.Connection, market: str) -> None:
    """Fail for a column with one number that is not listed, and for a line that none fits."""
    constant, listed = find_constant_columns(conn), CONSTANT[market]
    unlisted = {n: v for n, v in constant.items() if not any(fnmatch(n, p) for p in listed)}
    stale = [p for p in listed if not any(fnmatch(name, p) for name in constant)]
    assert not unlisted, f"{market}: not listed: {unlisted}"
    assert not stale, f"{market}: no column has one number: {stale}"


def find_constant_columns(conn: psycopg.Connection) -> dict[str, object]:
    """Columns with one number in every row that has one, where more than a few have."""
    constant = dict[str, object]()
    for schema, table, names in conn.execute(NUMERIC).fetchall():
        columns = sql.SQL(", ").join(
            sql.SQL("count({0}), min({0}), max({0})").format(sql.Identifier(n)) for n in names
        )
        query = sql.SQL("select {} from {}").format(columns, sql.Identifier(schema, table))
        figures = conn.execute(query).fetchone() or ()
        for name, place in zip(names, range(0, len(figures), 3), strict=True):
            known, least, most = figures[place : place + 3]
            if known >= FEWEST and least == most:
                constant[f"{schema}.{table}.{name}"] = least
    return constant
