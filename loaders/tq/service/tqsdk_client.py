"""The program that runs the futures client, in a process of its own; started by harvest.py, never imported.

It speaks lines of JSON. First line in: account, password and addresses. Then requests
`{"call": name, "args": {...}}`, one at a time. Out, for each: any number of `{"progress": text}` and
`{"item": {...}}`, then one `{"result": ...}` or `{"error": {"kind", "message", "symbols"}}`. Days are ISO
texts, instants nanoseconds since 1970 UTC. When the input ends, because whoever started it asked or
died, it ends at once, whatever it is doing.

Why a process: the client keeps tables, calendars and every tick in memory for good, caches ticks in the
home directory and never looks at them again, and cannot be used after an error. Home and working
directory belong to this process alone; the tick cache is emptied after each day, else a day without
ticks would answer with a row of another day.
"""

from __future__ import annotations

import json
import math
import os
import queue
import shutil
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TextIO

CST = timezone(timedelta(hours=8))
DAY_SECONDS = 86_400
BARS_OF_A_LIFE = 2_000  # no contract is listed for longer than some 750 trading days
NEWEST_TICKS = 8_000  # what a chart may show
SYMBOLS_PER_QUESTION = 100
LOGIN_SECONDS = 30
BOOK = [
    f"{side}_{what}{level}"
    for level in range(1, 6)
    for side in ("bid", "ask")
    for what in ("price", "volume")
]
TICK_FIELDS = [
    *("last_price", "highest", "lowest", "average", "volume", "amount", "open_interest"),
    *BOOK,
]


class Failure(Exception):
    """What the caller is told: kinds are auth, permission, missing, unknown, answer, timeout, transport,
    client (none of these: an error in the client's own code)."""

    def __init__(self, kind: str, message: str, symbols: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind, self.symbols = kind, symbols or []


class Client:
    """The futures client behind plain calls. `tell` sends a line to whoever asked."""

    def __init__(self, access: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        self._account, self._password = access["account"], access["password"]
        self._md_url = access.get("md_url")
        self._tell = tell
        self._api: Any = None
        self._let_in = False

    # ------------------------------------------------------------------ calls
    def login(self) -> None:
        """Everything that can fail before the first question; told apart here, where it can be."""
        self._session()

    def calendar(self, first: str, last: str) -> list[str]:
        """Trading days of the range that the published list of holidays reaches."""
        days = _trading_days(self._session(), date.fromisoformat(first), date.fromisoformat(last))
        return [day.isoformat() for day in days]

    def instruments(self, varieties: list[str]) -> dict[str, Any]:
        api = self._session()
        listed: dict[str, list[str]] = {}
        for variety in varieties:
            exchange, _, product = variety.partition(".")
            found = api.query_quotes(ins_class="FUTURE", exchange_id=exchange, product_id=product)
            listed[variety] = sorted(found)
        unknown = [variety for variety, found in listed.items() if not found]
        if unknown:
            raise Failure("unknown", f"no contract of {', '.join(unknown)}", unknown)
        contracts, sessions, left_out = [], {}, list[str]()
        for variety, codes in listed.items():
            self._tell({"progress": f"contracts of {variety}"})
            rows = self._symbol_rows(codes)
            whole = [row for row in rows if _has_numbers(row)]
            left_out += [row["instrument_id"] for row in rows if not _has_numbers(row)]
            contracts += [_contract(row, variety) for row in whole]
            newest = max(rows, key=lambda row: (not row["expired"], row["expire_datetime"]))
            sessions[variety] = _sessions(newest)
        seen = {variety: self._seen_at(variety) for variety in varieties}
        return {"sessions": sessions, "contracts": contracts, "seen_at": seen, "left_out": left_out}

    def main_events(self, variety: str, first: str, last: str, route: str) -> dict[str, Any]:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
        if route == "history":
            return self._history(variety, start, end)
        return self._backtest(variety, start, end)

    def daily(self, contracts: list[str], first: str, last: str, path: str) -> int:
        api = self._session()
        self._check_known(contracts)
        rows: list[dict[str, Any]] = []
        for contract in contracts:
            self._tell({"progress": f"days of {contract}"})
            bars = api.get_kline_serial(contract, DAY_SECONDS, data_length=BARS_OF_A_LIFE)
            for bar in bars[bars["datetime"] > 0].to_dict("records"):
                day = _cst(int(bar["datetime"])).date().isoformat()
                if first <= day <= last:
                    rows.append({"contract": contract, "trade_date": day, **_numbers(bar)})
        _write(path, rows, ["open", "high", "low", "close", "volume", "open_oi", "close_oi"])
        return len(rows)

    def ticks(self, contract: str, ranges: list[list[Any]], folder: str, pace: float) -> None:
        """One `item` for each range (trading day, first ns, end ns).

        The ranges' own order is kept. A day without a tick is told once it is known whether another
        day of the contract had some in this session, or, after the last, whether the service has any
        tick of the contract at all.
        """
        api = self._session()
        if not api._auth._has_feature("tq_dl"):
            raise Failure("permission", "the account may not download the history of ticks (tq_dl)")
        self._check_known([contract])
        any_rows, held_back = False, list[dict[str, Any]]()
        for number, (day, start, end) in enumerate(ranges):
            if number and pace:
                time.sleep(pace)
            with self._watching_ticks(contract):
                frame = api.get_tick_data_series(contract, _cst(start), _cst(end - 1000))
            _empty_cache()
            item = {"trading_day": day, "path": None, "rows": 0}
            kept = self._whole(contract, frame, start, end)
            if len(kept):
                path = str(Path(folder) / f"{contract}-{day}.parquet")
                _write_ticks(path, kept)
                item |= {"path": path, "rows": len(kept)}
                any_rows = True
            held_back.append(item)
            if any_rows:
                self._tell_items(held_back, True)
        if held_back:
            newest = api.get_tick_serial(contract, data_length=1)
            self._tell_items(held_back, bool((newest["datetime"] > 0).any()))

    def _whole(self, contract: str, frame: Any, start: int, end: int) -> Any:
        """The rows of a range, no other: a cached row before it may stand first. And all of them: where
        the first rows carry one stamp, or come in another order, the client leaves out all but the last
        of those; they are still in its memory."""
        import pandas as pd

        if not len(frame):
            return frame
        kept = frame[(frame["datetime"] >= start) & (frame["datetime"] < end)]
        known, left_out = self._api._data["ticks"][contract]["data"], list[dict[str, Any]]()
        number = int(frame["id"].iloc[0]) - 1
        while str(number) in known and start <= known[str(number)]["datetime"] < end:
            row = known[str(number)]
            left_out.append(
                {"id": number, **{n: row[n] for n in ("datetime", *TICK_FIELDS) if n in row}}
            )
            number -= 1
        return pd.concat([pd.DataFrame(left_out[::-1]), kept]) if left_out else kept

    def recent_ticks(self, contract: str, n: int, path: str) -> int:
        api = self._session()
        self._check_known([contract])
        frame = api.get_tick_serial(contract, data_length=min(n, NEWEST_TICKS))
        frame = frame[frame["datetime"] > 0]
        _write_ticks(path, frame)
        return len(frame)

    # ------------------------------------------------------------------ main contracts
    def _backtest(self, variety: str, first: date, last: date) -> dict[str, Any]:
        """Days drive the clock: a switch is dated by the clock at which it comes, 18:00 of the evening
        before its trading day. Minutes would take a thousand times as many steps."""
        from tqsdk import BacktestFinished, TqBacktest
        from tqsdk.calendar import TqContCalendar

        symbol = f"KQ.m@{variety}"
        self._close()  # a second client beside the first would hold a second connection
        api = self._open(backtest=TqBacktest(first, last))
        try:
            days = _trading_days(api, first, last)
            if symbol not in (TqContCalendar.continuous or {}):
                raise Failure("unknown", f"no main contracts of {variety}", [variety])
            main = _underlying(api, symbol)
            opening = days[0] if days else first
            events = [[_midnight(opening), main or None]]
            bars = api.get_kline_serial(symbol, DAY_SECONDS, data_length=10)
            told, newest = time.monotonic(), 0
            try:
                while True:
                    now = _underlying(api, symbol)
                    clock = int(api._data["_tqsdk_backtest"]["current_dt"])
                    if now != main:
                        main = now
                        events.append([clock, main or None])
                    stamp = bars["datetime"].iloc[-1]
                    newest = max(newest, int(stamp) if stamp > 0 else 0)
                    if time.monotonic() - told > 1:
                        told = time.monotonic()
                        self._tell({"progress": f"{variety} at {_cst(clock):%Y-%m-%d}"})
                    api.wait_update()
            except BacktestFinished:
                pass
        finally:
            _close(api)
        seen = _cst(newest).date() if newest > 0 else None
        if seen is None or seen < opening:
            if main:
                raise Failure(
                    "answer",
                    f"{symbol} has no bar from {first} to {last}, though {main} was its contract",
                )
            seen = days[-1] if days else last
        covered = [day for day in days if day <= seen]
        return _covered("backtest", covered, events)

    def _history(self, variety: str, first: date, last: date) -> dict[str, Any]:
        """The vendor's table by trading day, up to today."""
        api, symbol = self._session(), f"KQ.m@{variety}"
        today = datetime.now(CST).date()
        count = max(1, (today - first).days + 7)
        try:
            frame = api.query_his_cont_quotes([symbol], n=count)
        except Exception as error:
            if str(error).startswith("参数错误"):
                raise Failure("unknown", f"no main contracts of {variety}", [variety]) from error
            raise
        covered, events, main = [], [], object()
        for stamp, contract in zip(frame["date"], frame[symbol], strict=True):
            day = stamp.date()
            if not first <= day <= last:
                continue
            covered.append(day)
            if contract != main:
                main = contract
                events.append([_midnight(day), contract or None])
        return _covered("history", covered, events)

    # ------------------------------------------------------------------ instruments
    def _check_known(self, symbols: list[str]) -> None:
        """The client waits half a minute for a symbol that does not exist; so its variety's list is
        asked first, and one by name where that list leaves it out."""
        api, unknown = self._session(), []
        by_product: dict[tuple[str, str], set[str]] = {}
        for symbol in symbols:
            exchange, _, code = symbol.partition(".")
            product = code.rstrip("0123456789")
            key = (exchange, product)
            if key not in by_product:
                found = api.query_quotes(
                    ins_class="FUTURE", exchange_id=exchange, product_id=product
                )
                by_product[key] = set(found)
            if symbol not in by_product[key] and symbol not in api._pre20_ins_info:
                unknown.append(symbol)
        if unknown:
            raise Failure("unknown", f"no contract {', '.join(unknown)}", unknown)

    def _symbol_rows(self, symbols: list[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for start in range(0, len(symbols), SYMBOLS_PER_QUESTION):
            part = symbols[start : start + SYMBOLS_PER_QUESTION]
            rows += self._session().query_symbol_info(part).to_dict("records")
        return rows

    def _seen_at(self, variety: str) -> int | None:
        """Stamp of the newest quote of the main contract."""
        exchange, _, product = variety.partition(".")
        mains = self._session().query_cont_quotes(exchange_id=exchange, product_id=product)
        if not mains:
            return None
        text = self._session().get_quote(mains[0]).datetime
        if not text:
            return None
        stamp = datetime.fromisoformat(text).replace(tzinfo=CST)
        return (int(stamp.timestamp()) * 1_000_000 + stamp.microsecond) * 1000

    # ------------------------------------------------------------------ the client itself
    def _session(self) -> Any:
        if self._api is None:
            self._api = self._open()
        return self._api

    def _open(self, **options: Any) -> Any:
        import tqsdk

        if not self._let_in:
            self._preflight()
            self._let_in = True
        auth = tqsdk.TqAuth(self._account, self._password)
        return tqsdk.TqApi(auth=auth, disable_print=True, debug=False, **options)

    def _close(self) -> None:
        if self._api is not None:
            _close(self._api)
            self._api = None

    def _preflight(self) -> None:
        """A refused connection for market data looks like a time-out of a minute to the client."""
        import tqsdk
        from websockets.exceptions import InvalidStatus, WebSocketException
        from websockets.sync.client import connect

        auth = tqsdk.TqAuth(self._account, self._password)
        auth.login()
        url = self._md_url or auth._get_md_url(True, False)
        headers = {"Authorization": auth._base_headers["Authorization"]}
        try:
            with connect(
                url, additional_headers=headers, open_timeout=LOGIN_SECONDS, close_timeout=2
            ):
                pass
        except InvalidStatus as error:
            status = error.response.status_code
            kind = "auth" if status in (401, 403) else "transport"
            raise Failure(kind, f"market data were refused with HTTP status {status}") from error
        except (OSError, WebSocketException) as error:
            raise Failure("transport", f"no connection for market data: {error}") from error

    def _watching_ticks(self, contract: str) -> _Watch:
        def count() -> int:
            return len(self._api._data["ticks"][contract]["data"])

        return _Watch(count, lambda n: self._tell({"progress": f"{contract}: {n} ticks"}))

    def _tell_items(self, items: list[dict[str, Any]], any_rows: bool) -> None:
        for item in items:
            self._tell({"item": {**item, "more_days_had_rows": any_rows}})
        items.clear()


class _Watch:
    """Says every second that a number grew, while something else stands in a long call."""

    def __init__(self, count: Callable[[], int], say: Callable[[int], None]) -> None:
        self._count, self._say = count, say
        self._done = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _watch(self) -> None:
        seen = 0
        while not self._done.wait(1.0):
            try:
                now = self._count()
            except Exception:  # looked at from another thread, in the middle of a change
                continue
            if now != seen:
                seen = now
                self._say(now)


# ---------------------------------------------------------------------- plain values of the client's
def _cst(ns: int) -> datetime:
    whole = datetime.fromtimestamp(ns // 1_000_000_000, CST)
    return whole + timedelta(microseconds=ns % 1_000_000_000 // 1000)


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=CST).timestamp()) * 1_000_000_000


def _trading_days(api: Any, first: date, last: date) -> list[date]:
    """Outside the years of the published holidays the client would raise."""
    from tqsdk.calendar import _init_chinese_rest_days

    known_first, known_last = _init_chinese_rest_days()
    start, end = max(first, known_first), min(last, known_last)
    if start > end:
        return []
    frame = api.get_trading_calendar(start, end)
    return [stamp.date() for stamp in frame["date"][frame["trading"]]]


def _underlying(api: Any, symbol: str) -> str:
    return str(api._data["quotes"][symbol]["underlying_symbol"] or "")


def _covered(route: str, days: list[date], events: list[list[Any]]) -> dict[str, Any]:
    return {
        "route": route,
        "first_day": days[0].isoformat() if days else None,
        "last_day": days[-1].isoformat() if days else None,
        "events": events if days else [],
    }


def _numbers(bar: dict[str, Any]) -> dict[str, float]:
    return {n: bar[n] for n in ("open", "high", "low", "close", "volume", "open_oi", "close_oi")}


def _has_numbers(row: dict[str, Any]) -> bool:
    """Of some contracts, long expired ones, the servers may tell no more than the name."""
    values = (row[n] for n in ("price_tick", "volume_multiple", "delivery_year", "delivery_month"))
    return all(isinstance(v, int | float) and math.isfinite(v) for v in values)


def _contract(row: dict[str, Any], variety: str) -> dict[str, Any]:
    expires = row["expire_datetime"]
    known = isinstance(expires, int | float) and expires == expires and expires > 0
    return {
        "contract": row["instrument_id"],
        "variety": variety,
        "exchange": row["exchange_id"],
        "name": row["instrument_name"] or row["instrument_id"],
        "expire_date": _cst(int(expires) * 1_000_000_000).date().isoformat() if known else None,
        "price_tick": repr(float(row["price_tick"])),
        "volume_multiple": int(row["volume_multiple"]),
        "delivery_year": int(row["delivery_year"]),
        "delivery_month": int(row["delivery_month"]),
    }


def _sessions(row: dict[str, Any]) -> list[list[Any]]:
    found = []
    for session in ("day", "night"):
        hours = row[f"trading_time_{session}"]
        for number, (start, end) in enumerate(hours if isinstance(hours, list) else ()):
            found.append([session, number, _seconds(start), _seconds(end)])
    return found


def _seconds(text: str) -> int:
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def _write(path: str, rows: list[dict[str, Any]], floats: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ["contract", "trade_date"]
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in texts}
    for name in floats:
        columns[name] = pa.array([row[name] for row in rows], pa.float64(), from_pandas=True)
    pq.write_table(pa.table(columns), path)


def _write_ticks(path: str, frame: Any) -> None:
    """id and datetime_ns as integers, all else as the float64 that the client makes of it; what is not
    there (a level of the book without an order, or below the first on most exchanges) is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.array(frame["id"].to_numpy(), pa.int64()),
        "datetime_ns": pa.array(frame["datetime"].astype("int64").to_numpy(), pa.int64()),
    }
    for name in TICK_FIELDS:
        if name in frame:
            values = frame[name].astype("float64").to_numpy()
            columns[name] = pa.array(values, pa.float64(), from_pandas=True)
        else:
            columns[name] = pa.nulls(len(frame), pa.float64())
    pq.write_table(pa.table(columns), path)


def _empty_cache() -> None:
    from tqsdk import data_series

    shutil.rmtree(data_series.CACHE_DIR, ignore_errors=True)


def _close(api: Any) -> None:
    try:
        api.close()
    except Exception as error:  # after an error the client cannot be closed in order
        sys.stderr.write(f"close: {type(error).__name__}\n")


# ---------------------------------------------------------------------- errors
def failure_of(error: BaseException) -> Failure:
    """What the client's bare exceptions mean, by their text where there is nothing else."""
    import requests

    if isinstance(error, Failure):
        return error
    text = str(error) or type(error).__name__
    if isinstance(error, ImportError):
        return Failure("missing", text)
    if text.startswith("用户权限认证失败"):
        refused = any(f"({status}," in text for status in (400, 401, 403))
        told = text if refused else f"the futures servers failed: {text}"
        return Failure("auth" if refused else "transport", told)
    if text.startswith(("快期账户", "请输入 auth")):
        return Failure("auth", text)
    if "不支持查看" in text or "专业版" in text or text.startswith("您的账户不支持"):
        return Failure("permission", text)
    if type(error).__name__ == "TqTimeoutError":
        return Failure("timeout", text)
    broken = requests.RequestException | OSError | json.JSONDecodeError  # the last: an error page
    if isinstance(error, broken) or "名称服务" in text:
        return Failure("transport", f"the futures servers failed: {type(error).__name__}: {text}")
    traceback.print_exception(error)
    return Failure("client", f"the futures client failed: {type(error).__name__}: {text}")


# ---------------------------------------------------------------------- the program
def prepare() -> None:
    """Before the first import of the client, in this order.

    The notice of changes is fetched from a fixed host, 22 seconds without an internet; loopback never
    goes through a proxy.
    """
    sys.modules["tqsdk.changelog_notification"] = types.ModuleType("tqsdk.changelog_notification")
    for name in ("NO_PROXY", "no_proxy"):
        given = os.environ.get(name)
        os.environ[name] = ",".join(filter(None, (given, "127.0.0.1", "localhost")))


def requests_of(lines: TextIO) -> Iterator[dict[str, Any]]:
    """Read ahead by a thread, so that the end of the input ends the process in the middle of a call."""
    waiting: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        for line in lines:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def main() -> None:
    # the client and what it imports print; lines of ours go where it cannot write
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    speaking = threading.Lock()

    def tell(message: dict[str, Any]) -> None:
        with speaking:
            out.write(json.dumps(message) + "\n")
            out.flush()

    prepare()
    asked = requests_of(sys.stdin)
    access = next(asked)
    client = Client(access, tell)
    calls = {
        name: getattr(client, name)
        for name in (
            "login",
            "calendar",
            "instruments",
            "main_events",
            "daily",
            "ticks",
            "recent_ticks",
        )
    }
    for request in asked:
        try:
            tell({"result": calls[request["call"]](**request["args"])})
        except BaseException as error:
            failure = failure_of(error)
            secret = access["password"] or "\0"
            message = str(failure).replace(secret, "***")
            tell({"error": {"kind": failure.kind, "message": message, "symbols": failure.symbols}})


if __name__ == "__main__":
    main()
