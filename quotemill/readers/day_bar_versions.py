"""Day bars as they had been fetched at a time, from the old versions that landing keeps."""

import re
from datetime import UTC, datetime

import psycopg

from quotemill.errors import UsageError
from quotemill.readers.listed import require_built
from quotemill.warehouse.history import KNOWN_UNTIL, SUFFIX, find_start

TABLE = "raw_tdx.kline_daily"
_FROM = re.compile(rf"\bFROM {re.escape(TABLE)}(?=\s+WHERE\b)")
# the view between market.kline_daily and the landed table, which gives its rows their units
_STAGING = """
    select distinct pg_get_viewdef(c.oid)
    from pg_rewrite as r
    inner join pg_depend as d on r.oid = d.objid and d.refclassid = 'pg_class'::regclass
    inner join pg_class as c on d.refobjid = c.oid and c.relkind = 'v' and c.oid <> r.ev_class
    where r.ev_class = to_regclass(%s)
"""


def select_versions(conn: psycopg.Connection, market: str, known_at: datetime) -> str:
    """The query for the day bars that were known at the parameter `known_at`.

    It is the text of the view that gives landed rows their units, over the versions of that time.
    Raises UsageError if versions were not kept at that time.
    """
    if known_at.tzinfo is None:
        raise UsageError(
            "known_at has no time zone", hint="Write it with one: 2026-11-24T10:00:00+08:00."
        )
    start = find_start(conn, TABLE)
    if start is None:
        raise UsageError(
            f"old versions of {TABLE} are not kept",
            hint=f'Set keep = "{TABLE}" under [history] in quotemill.toml, so that loads keep the '
            "versions that they replace.",
        )
    since = datetime.fromisoformat(start)
    if known_at < since:
        shown = since.astimezone(UTC).isoformat(timespec="seconds")
        raise UsageError(f"old versions of {TABLE} are only kept since {shown}")
    require_built(conn, f"{market}.kline_daily")
    views = conn.execute(_STAGING, (f"{market}.kline_daily",)).fetchall()
    texts = [text for (text,) in views if _FROM.search(text)]
    if len(texts) != 1:
        raise UsageError(
            f"{market}.kline_daily was built by another version", hint="Run `quotemill build`."
        )
    [(columns,)] = conn.execute(
        "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        (TABLE,),
    )
    versions = (
        f"(select {columns} from {TABLE} where fetched_at <= %(known_at)s "
        f"union all select {columns} from {TABLE}{SUFFIX} "
        f"where fetched_at <= %(known_at)s and {KNOWN_UNTIL} > %(known_at)s) as kline_daily"
    )
    text = texts[0].replace("%", "%%")
    return _FROM.sub(lambda _: f"FROM {versions}", text).rstrip().rstrip(";")
