"""Answers about contracts: details, option parameters, historical bars."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from loaders.sandbox.ib.hours import (
    is_session,
    session_at,
    session_close,
    session_number,
    session_open,
    session_until,
)
from loaders.sandbox.ib.listing import Instrument
from loaders.sandbox.ib.market_data import MarketData
from loaders.sandbox.ib.session import Session
from loaders.sandbox.ib.wire import NO_ADJUSTED_BARS, NO_DAILY_BARS, Field, in_zone, query_at
from loaders.sandbox.ib.world import Query, Quote

UNKNOWN_CODE = 9876
SECOND = 500_000_000  # numbers of second listings
NEAR = timedelta(days=14)  # to the last day of trading
EXCHANGES = ("AMEX", "CBOE", "ISE", "SMART")
HOURS = {"30 mins": 0.5, "1 hour": 1.0, "8 hours": 8.0, "1 day": 24.0}


async def contract_details(session: Session, fields: list[str]) -> None:
    request, data = int(fields[2]), session.market_data
    await session.lag()
    session.notify(request, "contracts")
    today = data.clock.now().date()
    matches = _list_matches(data, query_at(fields, 3), today)
    if matches and data.strike("details-hang", matches[0]):
        return
    if not matches or data.strike("flaky-contract", matches[0]):
        session.error(request, 200)
        return
    for instrument in matches:
        session.send(10, *_details(data, instrument, today, request, version=session.version))
    if data.strike("details-cut", matches[0]):
        session.error(request, UNKNOWN_CODE)
        return
    session.send(52, 1, request)


def _list_matches(data: MarketData, query: Query, today: date) -> list[Instrument]:
    """The contracts of a query, and those that faults add."""
    matches = data.world.find(query, today)
    matches += [match for match in matches if data.is_hit("row-twice", match)]
    listed = data.world.stocks.get(query.symbol)
    rules = data.faults.find_rules("two-listings", symbol=query.symbol)
    if query.kind == "STK" and listed is not None and rules:
        place = rules[-1].option("exchange")
        twin = replace(listed, conid=SECOND + listed.number, primary=place)
        if query.primary in ("", place):
            matches.append(Instrument(twin.conid, twin))
    return matches


def _details(
    data: MarketData, i: Instrument, today: date, request: int, *, version: int
) -> list[Field]:
    old = version < 164
    conid: Field = i.conid
    if i.is_option and data.is_hit("conid-zero", i):
        conid = 0
    if i.is_option and (other := data.find_rule("same-conid", i)):
        conid = other.option("of")
    multiplier: Field = 100 if i.is_option else ""
    if i.is_option and (other := data.find_rule("bad-multiplier", i)):
        multiplier = other.option("value")
    zone = "US/Central" if i.stock.is_index else "US/Eastern"
    if is_session(today):
        times = session_open(today), i.closes_at(today)
        opens, closes = (f"{at.astimezone(ZoneInfo(zone)):%Y%m%d:%H%M}" for at in times)
        hours = f"{opens}-{closes}"
    else:
        hours = f"{today:%Y%m%d}:CLOSED"
    stock_routes = i.stock.primary if i.stock.is_index else f"SMART,{i.stock.primary}"
    routes = "SMART,AMEX,CBOE,ISE" if i.is_option else stock_routes
    place = "SMART" if i.is_option or not i.stock.is_index else i.stock.primary
    fields: list[Field] = [8, request] if old else [request]
    kind = "OPT" if i.is_option else i.stock.sec_type
    last_day = i.expiry_text
    if i.expiry is not None and i.expiry - today <= NEAR:
        last_day = in_zone(i.closes_at(i.expiry), data.zone)
    fields += [i.symbol, kind, last_day, i.strike, i.right]
    fields += [place, "USD", i.local_symbol, i.trading_class or i.symbol]
    fields += [i.trading_class or "NMS", conid, 0.01]
    fields += [100] if old else []
    fields += [multiplier, "ACTIVETIM,LMT,MKT", routes, 1]
    fields += [i.stock.conid if i.is_option else 0, i.stock.name]
    # an index has no primary exchange
    primary = "" if i.is_option or i.stock.is_index else i.stock.primary
    fields += [primary, i.expiry_text[:6], "Technology", "", ""]
    fields += [zone, hours, hours, "", 0, 0, 1]
    fields += [i.symbol, i.stock.sec_type] if i.is_option else ["", ""]
    expires = f"{i.expires:%Y%m%d}" if i.expires else i.expiry_text
    fields += ["32,32", expires, "COMMON" if kind == "STK" else ""]
    return fields if old else [*fields, 1, 1, 1 if i.is_option else 100]


async def option_parameters(session: Session, fields: list[str]) -> None:
    """Expiries and strikes of each trading class: the same unions for every exchange."""
    request, symbol, kind, conid = int(fields[1]), fields[2], fields[4], int(fields[5] or 0)
    data = session.market_data
    await session.lag()
    session.notify(request, "contracts")
    if data.faults.strike("secdef-hang", symbol=symbol):
        return
    stock = data.world.stocks.get(symbol)
    if stock is None or (stock.sec_type, stock.conid) != (kind, conid):
        text = "Error validating request.-'cb' : cause - Invalid contract id"
        session.error(request, 321, text)
        return
    rows = list(data.world.chain(symbol, data.clock.now().date()).values())
    if data.faults.strike("secdef-empty", symbol=symbol):
        rows = []
    places = ["CBOE", "SMART"] if stock.is_index else list(EXCHANGES)
    if data.faults.strike("secdef-elsewhere", symbol=symbol):
        places.remove("SMART")
    for trading_class in sorted({row.trading_class for row in rows}):
        own = [row for row in rows if row.trading_class == trading_class]
        expiries = sorted({row.expiry_text for row in own})
        strikes = sorted({row.strike for row in own})
        for exchange in places:
            head: list[Field] = [75, request, exchange, conid, trading_class, 100]
            session.send(*head, len(expiries), *expiries, len(strikes), *strikes)
    session.send(76, request)


async def historical_bars(session: Session, fields: list[str]) -> None:
    """Bars of regular hours up to now; options have none of a day, as at the real one."""
    request, query, size, duration = int(fields[1]), query_at(fields, 2), fields[16], fields[17]
    until, what = fields[15], fields[19]
    data = session.market_data
    await session.lag()
    session.notify(request, "history")
    now = data.clock.now()
    matches = data.world.find(query, now.date())
    if not matches:
        session.error(request, 200)
    elif rule := data.faults.strike("history", symbol=matches[0].symbol):
        session.error(request, rule.integer("code"), rule.option("message"))
    elif matches[0].is_option and size == "1 day":
        session.error(request, 162, NO_DAILY_BARS)
    elif what == "ADJUSTED_LAST" and (until or matches[0].stock.is_index or matches[0].is_option):
        session.error(request, 321, NO_ADJUSTED_BARS)
    else:
        adjusted = what == "ADJUSTED_LAST"
        hours, days = HOURS.get(size, 24.0), _days(duration)
        bars = _bars(
            session, matches[0], now, hours, days, adjusted=adjusted, as_seconds=fields[20] == "2"
        )
        if data.faults.strike("no-history", symbol=matches[0].symbol):
            bars = []
        session.send(17, request, "", "", len(bars) // 8, *bars)


def _days(duration: str) -> int:
    count, unit = duration.split()
    return int(count) * {"W": 5, "M": 21, "Y": 252}.get(unit, 1)


def _bars(
    session: Session,
    instrument: Instrument,
    now: datetime,
    hours: float,
    days: int,
    *,
    adjusted: bool,
    as_seconds: bool,
) -> list[Field]:
    """Bars as fields: date, open, high, low, close, volume, average, count.

    Prices are in the shares of today; `adjusted` for dividends since. Times within a day are
    seconds since 1970, or texts in the zone of the log-in.
    """
    data, fields = session.market_data, list[Field]()
    world, today = data.world, now.date()
    has_opened = is_session(today) and now >= session_open(today)
    newest = session_number(today if has_opened else session_until(today - timedelta(days=1)))
    for number in range(max(1, newest - days + 1), newest + 1):
        day = session_at(number)
        start, close = session_open(day), min(session_close(day), now)
        while start < close:
            end = min(start + timedelta(hours=hours), close)
            more = 1.0 if instrument.is_option else world.ratio(instrument.symbol, day, today)
            if adjusted:
                more /= world.dividend_factor(instrument.symbol, day, today)
            quotes = (world.quote(instrument, at) for at in (start, end))
            first, last = (round(_middle(each) / more, 4) for each in quotes)
            within = f"{start.timestamp():.0f}" if as_seconds else in_zone(start, data.zone)
            label = f"{day:%Y%m%d}" if hours > 8 else within
            middle = round((first + last) / 2, 4)
            fields += [label, first, max(first, last), min(first, last), last, 100, middle, 10]
            start = end
    return fields


def _middle(quote: Quote) -> float:
    return round((quote.bid + quote.ask) / 2, 4)
