"""The futures client itself: log-in, connections, and what has to be taken from its inside. No other module
imports it or reads a name of its that begins with an underscore."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from typing import Any

from loaders.tq.client.program.failure import Failure

CST = timezone(timedelta(hours=8))
LOGIN_SECONDS = 30


def cst(ns: int) -> datetime:
    """Exchange time of an instant, to the microsecond."""
    whole = datetime.fromtimestamp(ns // 1_000_000_000, CST)
    return whole + timedelta(microseconds=ns % 1_000_000_000 // 1000)


def midnight(day: date) -> int:
    """In ns."""
    return int(datetime(day.year, day.month, day.day, tzinfo=CST).timestamp()) * 1_000_000_000


class Session:
    """`api` is the client, opened when it is first asked for. `tell` sends a line to whoever asked."""

    def __init__(self, access: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        self._account, self._password = access["account"], access["password"]
        self._md_url = access.get("md_url")
        self._api: Any = None
        self._let_in = False
        self.tell = tell

    def login(self) -> None:
        """Everything that can fail before the first question; told apart here, where it can be."""
        _ = self.api

    def calendar(self, first: str, last: str) -> list[str]:
        """Trading days of the range that the published list of holidays reaches."""
        days = trading_days(self.api, date.fromisoformat(first), date.fromisoformat(last))
        return [day.isoformat() for day in days]

    @property
    def api(self) -> Any:
        if self._api is None:
            self._api = self._open()
        return self._api

    @contextmanager
    def backtest(self, first: date, last: date) -> Iterator[Any]:
        """A client whose clock goes through the days; `finished` is what it raises at their end."""
        import tqsdk

        if self._api is not None:  # beside it would be a second connection
            _close(self._api)
            self._api = None
        api = self._open(backtest=tqsdk.TqBacktest(first, last))
        try:
            yield api
        finally:
            _close(api)

    @property
    def finished(self) -> type[BaseException]:
        import tqsdk

        finished: type[BaseException] = tqsdk.BacktestFinished
        return finished

    def may(self, feature: str) -> bool:
        return bool(self.api._auth._has_feature(feature))

    def check_known(self, symbols: list[str]) -> None:
        """The client waits half a minute for a symbol that does not exist; so its variety's list is
        asked first, and one by name where that list leaves it out."""
        api, unknown = self.api, []
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

    def ticks_in_memory(self, contract: str) -> dict[str, dict[str, Any]]:
        """By their numbers, as the servers sent them; grows while a download runs."""
        rows: dict[str, dict[str, Any]] = self.api._data["ticks"][contract]["data"]
        return rows

    def _open(self, **options: Any) -> Any:
        import tqsdk

        if not self._let_in:
            self._preflight()
            self._let_in = True
        auth = tqsdk.TqAuth(self._account, self._password)
        return tqsdk.TqApi(auth=auth, disable_print=True, debug=False, **options)

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


def trading_days(api: Any, first: date, last: date) -> list[date]:
    """Outside the years of the published holidays the client would raise."""
    from tqsdk.calendar import _init_chinese_rest_days

    known_first, known_last = _init_chinese_rest_days()
    start, end = max(first, known_first), min(last, known_last)
    if start > end:
        return []
    frame = api.get_trading_calendar(start, end)
    return [stamp.date() for stamp in frame["date"][frame["trading"]]]


def continuous_symbols() -> set[str]:
    """Those that a backtest knows the main contracts of, once it runs."""
    from tqsdk.calendar import TqContCalendar

    return set(TqContCalendar.continuous or ())


def underlying(api: Any, symbol: str) -> str:
    return str(api._data["quotes"][symbol]["underlying_symbol"] or "")


def backtest_clock(api: Any) -> int:
    return int(api._data["_tqsdk_backtest"]["current_dt"])


def empty_cache() -> None:
    from tqsdk import data_series

    shutil.rmtree(data_series.CACHE_DIR, ignore_errors=True)


def _close(api: Any) -> None:
    try:
        api.close()
    except Exception as error:  # after an error the client cannot be closed in order
        sys.stderr.write(f"close: {type(error).__name__}\n")
