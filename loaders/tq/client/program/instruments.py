"""Contracts of varieties and their trading hours."""

from datetime import date
from typing import Any

from loaders.tq.client.program.codes import own_code
from loaders.tq.client.program.failure import Failure
from loaders.tq.client.program.quotes import number, stamp
from loaders.tq.client.program.session import TOGETHER, Session, cst


def instruments(session: Session, varieties: list[str]) -> dict[str, Any]:
    listed: dict[str, list[str]] = {}
    expired: dict[str, list[dict[str, Any]]] = {}
    for variety in varieties:
        exchange, _, product = variety.partition(".")
        symbols = session.api.query_quotes(
            ins_class="FUTURE", exchange_id=exchange, product_id=product
        )
        listed[variety] = sorted(symbols)
        expired[variety] = session.expired_contracts(exchange, product)
    unknown = [variety for variety in varieties if not listed[variety] and not expired[variety]]
    if unknown:
        raise Failure("unknown", f"unknown contracts: {', '.join(unknown)}", unknown)
    contracts, sessions, left_out, undescribed = [], {}, list[str](), list[str]()
    for variety, codes in listed.items():
        session.send({"progress": f"contracts of {variety}"})
        lacking = session.undescribed(codes)
        undescribed += sorted(lacking)
        described = [code for code in codes if code not in lacking]
        rows = [_with_own_code(row) for row in _symbol_rows(session, described)]
        known = {row["instrument_id"] for row in rows}
        others = [_with_own_code(row) for row in expired[variety]]
        rows += [row for row in others if row["instrument_id"] not in known]
        complete = [row for row in rows if _has_numbers(row)]
        left_out += [row["instrument_id"] for row in rows if not _has_numbers(row)]
        contracts += [_contract(row, variety) for row in complete]
        newest = max(rows, key=lambda row: (not row["expired"], row["expire_datetime"]), default={})
        sessions[variety] = _sessions(newest)
    seen = {variety: _seen_at(session, variety) for variety in varieties}
    return {
        "sessions": sessions,
        "contracts": contracts,
        "seen_at": seen,
        "left_out": left_out,
        "undescribed": undescribed,
    }


def _symbol_rows(session: Session, symbols: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for start in range(0, len(symbols), TOGETHER):
        part = symbols[start : start + TOGETHER]
        rows += session.api.query_symbol_info(part).to_dict("records")
    return rows


def _with_own_code(row: dict[str, Any]) -> dict[str, Any]:
    if not _has_numbers(row):
        return row
    delivery = date(int(row["delivery_year"]), int(row["delivery_month"]), 1)
    return row | {"instrument_id": own_code(row["instrument_id"], delivery)}


def _seen_at(session: Session, variety: str) -> int | None:
    """The stamp of the newest quote of the main contract."""
    exchange, _, product = variety.partition(".")
    mains = session.api.query_cont_quotes(exchange_id=exchange, product_id=product)
    if not mains or session.undescribed(mains[:1]):
        return None
    return stamp(session.api.get_quote(mains[0]).datetime)


def exchange_seen_at(session: Session, exchange: str) -> int | None:
    """The stamp of the newest quote of all main contracts of an exchange."""
    mains = session.api.query_cont_quotes(exchange_id=exchange)
    stamps = [stamp(str(quote.get("datetime") or "")) for quote in session.quotes(mains)]
    return max(filter(None, stamps), default=None)


def _has_numbers(row: dict[str, Any]) -> bool:
    """Whether all numbers are given; old contracts may have the name only."""
    values = (row[n] for n in ("price_tick", "volume_multiple", "delivery_year", "delivery_month"))
    return all(number(v, is_price=True) is not None for v in values)


def _contract(row: dict[str, Any], variety: str) -> dict[str, Any]:
    expires = row["expire_datetime"]
    has_expiry = number(expires, is_price=False) is not None and expires > 0
    return {
        "contract": row["instrument_id"],
        "variety": variety,
        "exchange": row["exchange_id"],
        "name": row["instrument_name"] or row["instrument_id"],
        "expire_date": cst(int(expires) * 1_000_000_000).date().isoformat() if has_expiry else None,
        "price_tick": repr(float(row["price_tick"])),
        "volume_multiple": int(row["volume_multiple"]),
        "delivery_year": int(row["delivery_year"]),
        "delivery_month": int(row["delivery_month"]),
    }


def _sessions(row: dict[str, Any]) -> list[list[Any]]:
    sessions = []
    for session in ("day", "night"):
        hours = row.get(f"trading_time_{session}")
        for index, (start, end) in enumerate(hours if isinstance(hours, list) else ()):
            sessions.append([session, index, _seconds(start), _seconds(end)])
    return sessions


def _seconds(text: str) -> int:
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return hours * 3600 + minutes * 60 + seconds
