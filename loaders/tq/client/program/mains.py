"""The main contract of each trading day, by either of two routes."""

import time
from datetime import date, datetime
from typing import Any

from loaders.landing.no_value import is_unset
from loaders.tq.client.program.codes import own_code
from loaders.tq.client.program.failure import Failure
from loaders.tq.client.program.session import (
    CST,
    Session,
    backtest_clock,
    continuous_symbols,
    cst,
    midnight,
    trading_days,
    underlying,
    undescribed,
)

DAY_SECONDS = 86_400


def main_events(
    session: Session, variety: str, first: str, last: str, route: str
) -> dict[str, Any]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    if route == "history":
        return _history(session, variety, start, end)
    return _backtest(session, variety, start, end)


def _backtest(session: Session, variety: str, first: date, last: date) -> dict[str, Any]:
    """Read switches from a backtest whose clock is driven by days.

    A switch is dated by the clock at which it comes, 18:00 of the evening before its trading day.
    Minutes would take a thousand times as many steps.
    """
    symbol = f"KQ.m@{variety}"
    with session.backtest(first, last) as api:
        days = trading_days(api, first, last)
        if symbol not in continuous_symbols() or undescribed(api, [symbol]):
            raise Failure("unknown", f"no main contracts of {variety}", [variety])
        main = underlying(api, symbol)
        opening = days[0] if days else first
        events = [[midnight(opening), _own(main, opening)]]
        bars = api.get_kline_serial(symbol, DAY_SECONDS, data_length=10)
        reported, newest = time.monotonic(), 0
        try:
            while True:
                now = underlying(api, symbol)
                clock = backtest_clock(api)
                if now != main:
                    main = now
                    events.append([clock, _own(main, cst(clock).date())])
                stamp = bars["datetime"].iloc[-1]
                newest = max(newest, int(stamp) if stamp > 0 else 0)
                if time.monotonic() - reported > 1:
                    reported = time.monotonic()
                    session.send({"progress": f"{variety} at {cst(clock):%Y-%m-%d}"})
                api.wait_update()
        except session.finished:
            pass
    last_bar = cst(newest).date() if newest > 0 else None
    if last_bar is None or last_bar < opening:
        if main:
            raise Failure(
                "answer",
                f"{symbol} has no bar from {first} to {last}, though {main} was its contract",
            )
        last_bar = days[-1] if days else last
    covered = [day for day in days if day <= last_bar]
    return _answer("backtest", covered, events)


def _history(session: Session, variety: str, first: date, last: date) -> dict[str, Any]:
    """Read the vendor's table by trading day, up to today."""
    api, symbol = session.api, f"KQ.m@{variety}"
    today = datetime.now(CST).date()
    count = max(1, (today - first).days + 7)
    try:
        frame = api.query_his_cont_quotes([symbol], n=count)
    except Exception as error:
        if str(error).startswith("参数错误"):
            raise Failure("unknown", f"no main contracts of {variety}", [variety]) from error
        raise
    covered, events, main = [], list[list[Any]](), object()
    for stamp, contract in zip(frame["date"], frame[symbol], strict=True):
        day = stamp.date()
        if not first <= day <= last:
            continue
        covered.append(day)
        if (own := _own(contract, day)) != main:
            main = own
            events.append([midnight(day), own])
    return _answer("history", covered, events)


def _own(contract: Any, day: date) -> str | None:
    """Our code of a main contract; None where nothing is listed."""
    return None if is_unset(contract) else own_code(contract, day)


def _answer(route: str, days: list[date], events: list[list[Any]]) -> dict[str, Any]:
    return {
        "route": route,
        "first_day": days[0].isoformat() if days else None,
        "last_day": days[-1].isoformat() if days else None,
        "events": events if days else [],
    }
