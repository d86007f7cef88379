"""The securities and sectors that the warehouse knows, by their names."""

import difflib
from dataclasses import dataclass
from datetime import date

import psycopg

from quotemill.errors import UsageError
from quotemill.readers.listed import NotListed, require_built, require_known
from quotemill.warehouse.schemas import has_relation

TODAY = "9999-12-31"  # to which what still holds is valid


@dataclass(frozen=True)
class Named:
    """A code, or the id of a sector; its name, its kind, and whether it is of today."""

    key: str
    name: str
    kind: str
    is_current: bool = True


def has_any(conn: psycopg.Connection, market: str) -> bool:
    """Whether any security is known; no build has made one before the first load."""
    table = f"{market}.symbol_dim"
    if not has_relation(conn, table):
        return False
    [(is_there,)] = conn.execute(f"select exists (select 1 from {table})".encode())
    return bool(is_there)


def find_end(conn: psycopg.Connection, market: str, code: str, days: int) -> date | None:
    """The last day of a code that traded on none of the newest trading days; None for others."""
    require_built(conn, f"{market}.trading_calendar")
    query = f"""
        select d.last_trade_date from {market}.symbol_dim as d
        where d.code = %s and {days} <= (
            select count(*) from {market}.trading_calendar as c
            where c.trade_date > d.last_trade_date
                and c.trade_date <= (select max(n.last_trade_date) from {market}.symbol_dim as n)
        )
    """
    row = conn.execute(query.encode(), (code,)).fetchone()
    return row[0] if row else None


def list_securities(conn: psycopg.Connection, market: str) -> list[Named]:
    """Every security and index by its code."""
    require_built(conn, f"{market}.symbol_dim")
    query = (
        "select code, coalesce(name, ''), instrument_type, coalesce(is_listed, true) "
        f"from {market}.symbol_dim order by code"
    )
    return [Named(*row) for row in conn.execute(query.encode())]


def list_sectors(conn: psycopg.Connection, market: str) -> list[Named]:
    """The sectors that have members today, by kind and name."""
    if not has_relation(conn, f"{market}.sectors"):
        return []
    query = (
        f"select sector_id, sector_name, sector_kind from {market}.sectors "
        "where member_count > 0 order by sector_kind, sector_name"
    )
    return [Named(*row) for row in conn.execute(query.encode())]


def list_members(conn: psycopg.Connection, market: str, sector: str) -> list[Named]:
    """Today's members of a sector by code. Raises NotListed."""
    require_built(conn, f"{market}.sector_members")
    query = f"""
        select d.code, coalesce(d.name, ''), d.instrument_type
        from {market}.sector_members as m
        inner join {market}.symbol_dim as d on m.code = d.code
        where m.sector_id = %s and m.valid_to = %s
        order by d.code
    """
    rows = conn.execute(query.encode(), (sector, TODAY)).fetchall()
    if not rows:
        raise NotListed(f"there is no sector {sector}", hint="Choose one on the page Prices.")
    return [Named(*row) for row in rows]


def require_members(conn: psycopg.Connection, market: str, day: date | None) -> None:
    """Raises UsageError for a day before the first of which members of sectors are known."""
    require_built(conn, f"{market}.sector_members")
    query = f"select min(valid_from) from {market}.sector_members"
    [(first,)] = conn.execute(query.encode()).fetchall()
    if day and first and day < first:
        raise UsageError(
            f"sector members are only known since {first}", hint=f'Use on="{first}" or later.'
        )


def find_sectors(
    conn: psycopg.Connection, market: str, text: str | None, kind: str | None = None
) -> list[str]:
    """The ids of the sectors of a name, which several kinds may have, or of an id; of a kind.

    Raises NotListed for an unknown name, or if no sectors are loaded.
    """
    require_built(conn, f"{market}.sectors")
    query = f"select sector_id, sector_name, sector_kind from {market}.sectors order by sector_id"
    known = conn.execute(query.encode()).fetchall()
    if text is not None and not known:
        raise NotListed("no sectors are loaded", hint="Set tdx.client, then run `quotemill run`.")
    if kind is not None and known:
        require_known("kind", [kind], sorted({theirs for _, _, theirs in known}))
        known = [sector for sector in known if sector[2] == kind]
    ids = [key for key, name, _ in known if text in (None, key, name)]
    if ids or text is None:
        return ids
    near = difflib.get_close_matches(text, [name for _, name, _ in known], n=5)
    hint = f"Choose a similar one: {', '.join(near)}." if near else "List all with sectors()."
    raise NotListed(f"there is no sector {text}", hint=hint)
