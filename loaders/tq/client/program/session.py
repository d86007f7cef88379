"""The futures client itself: log-in, connections and its internals.

No other module imports it or reads a name of it that starts with an underscore.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta, timezone
from typing import Any

from loaders.tq.client.program.codes import server_code
from loaders.tq.client.program.failure import Failure, is_barred
from quotemill.foreign import TQ_MESSAGE

CST = timezone(timedelta(hours=8))
LOGIN_SECONDS = 30
TOGETHER = 100  # contracts in one question
FIELDS = "{ ... on basic { instrument_id price_tick } }"
BY_NAME = f"query {{ multi_symbol_info(instrument_id: %s) {FIELDS} }}"
BY_VARIABLE = (
    "query ($instrument_id: [String]) "
    f"{{ multi_symbol_info(instrument_id: $instrument_id) {FIELDS} }}"
)
NO_BACKTEST = "Backtest Permission Denied"  # a header of the refusal


def cst(ns: int) -> datetime:
    """The exchange time of nanoseconds since 1970, to the microsecond."""
    whole = datetime.fromtimestamp(ns // 1_000_000_000, CST)
    return whole + timedelta(microseconds=ns % 1_000_000_000 // 1000)


def midnight(day: date) -> int:
    """00:00 exchange time in ns."""
    return int(datetime(day.year, day.month, day.day, tzinfo=CST).timestamp()) * 1_000_000_000


class Session:
    """`api`: the client, opened at first use. `send`: sends a line to the parent."""

    def __init__(self, access: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> None:
        self._account, self._password = access["account"], access["password"]
        self._sandbox = access.get("sandbox")
        self._md_url = self._sandbox and f"ws{self._sandbox.removeprefix('http')}/md"
        self._api: Any = None
        self._has_access = False
        self._listed: set[str] = set()  # codes of products that were asked for
        self._described: set[str] = set()
        self._paced_at = -math.inf
        self.send = send

    def login(self) -> None:
        """Do all that can fail before the first question, where errors are distinct."""
        _ = self.api

    def calendar(self, first: str, last: str) -> list[str]:
        """The trading days of the range, as far as the published list of holidays reaches."""
        days = trading_days(self.api, date.fromisoformat(first), date.fromisoformat(last))
        return [day.isoformat() for day in days]

    @property
    def api(self) -> Any:
        if self._api is None:
            self._api = self._open()
        return self._api

    @contextmanager
    def backtest(self, first: date, last: date) -> Iterator[Any]:
        """A client whose clock goes through the days; it raises `finished` at their end."""
        import tqsdk

        if self._api is not None:  # else there would be two connections
            _close(self._api)
            self._api = None
        # as the name service has it for a backtest
        url = {"_md_url": f"{self._md_url}?backtest=true"} if self._md_url else {}
        api = self._open(backtest=tqsdk.TqBacktest(first, last), **url)
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

    def licence(self) -> dict[str, Any]:
        """The account's permissions, and their end; None where the servers do not say."""
        auth, ends = self.api._auth, None
        with suppress(Exception):  # the client raises a bare one for any answer it cannot read
            _ = auth.expire_datetime
        if auth._expire_datetime is not None:  # read before what the answer lacks
            ends = auth._expire_datetime.date().isoformat()
        return {
            "features": sorted(auth._grants["features"]),
            "account_type": auth._product_type,
            "days_left": auth._expire_days_left,
            "ends": ends,
        }

    def check_known(self, symbols: list[str]) -> None:
        """Raise Failure for symbols that do not exist, or that are listed and not described.

        The client waits half a minute or more for each; so the list of its product is asked first,
        and the client's own list of old contracts if that leaves it out. One that was listed is
        known.
        """
        api, unknown = self.api, []
        for symbol in symbols:
            code = server_code(symbol)
            if code not in self._listed:
                exchange, _, name = code.partition(".")
                product = name.rstrip("0123456789")
                self._listed.update(
                    api.query_quotes(ins_class="FUTURE", exchange_id=exchange, product_id=product)
                )
            if code not in self._listed and code not in api._pre20_ins_info:
                unknown.append(symbol)
        if unknown:
            raise Failure("unknown", f"unknown contracts: {', '.join(unknown)}", unknown)
        lacking = self.undescribed([server_code(symbol) for symbol in symbols])
        if named := [symbol for symbol in symbols if server_code(symbol) in lacking]:
            raise Failure("undescribed", f"no description of {', '.join(named)}", named)

    def undescribed(self, codes: list[str]) -> set[str]:
        """The codes that the servers' query of contracts answers without, each asked for once.

        Any call of the client about such a code waits for its tick size, which never comes.
        """
        asked = [code for code in codes if code not in self._described]
        lacking = undescribed(self.api, asked)
        self._described.update(set(asked) - lacking)
        return lacking

    def keep_pace(self, seconds: float) -> None:
        """Wait until the call before this one began so long ago."""
        time.sleep(max(0.0, self._paced_at + seconds - time.monotonic()))
        self._paced_at = time.monotonic()

    def quotes(self, symbols: list[str]) -> list[dict[str, Any]]:
        """The quotes of symbols, empty without one.

        The client waits half a minute for all of them, and raises if one has none.
        """
        from tqsdk.exceptions import TqTimeoutError

        lacking = self.undescribed(symbols)
        known = [symbol for symbol in symbols if symbol not in lacking]
        with suppress(TqTimeoutError):
            self.api.get_quote_list(known)
        quotes = self.api._data["quotes"]
        return [dict(quotes.get(symbol, {})) for symbol in symbols]

    def settlements(self, contract: str, first: date, days: int) -> Any:
        """A frame of datetime, symbol and settlement: of so many trading days from the first."""
        if self._sandbox:
            # the client has a variable for every address but this one
            http, url = self._http_session(), f"{self._sandbox}/mss"
            get = type(http).get
            http.get = lambda _, **options: get(http, url, **options)
        return self.api.query_symbol_settlement(contract, days=days, start_dt=first)

    def _http_session(self) -> Any:
        async def made() -> Any:
            return self.api._http_session

        return self.api._loop.run_until_complete(made())

    def expired_contracts(self, exchange: str, product: str) -> list[dict[str, Any]]:
        """Contracts of before October 2020, which the client knows and the servers do not list.

        In the form of `query_symbol_info`.
        """
        return [
            {
                **info,
                "instrument_name": info.get("instrument_name", ""),
                **{f"trading_time_{s}": info["trading_time"].get(s) for s in ("day", "night")},
            }
            for info in self.api._pre20_ins_info.values()
            if (info["ins_class"], info["exchange_id"], info["product_id"])
            == ("FUTURE", exchange, product)
        ]

    def ticks_in_memory(self, contract: str) -> dict[str, dict[str, Any]]:
        """Ticks by their numbers, as the servers sent them; grows during a download."""
        rows: dict[str, dict[str, Any]] = self.api._data["ticks"][contract]["data"]
        return rows

    def forget_ticks(self, contract: str, *, before: int) -> None:
        """Free the ticks before a number: the client keeps all that ever came, some 3 kB each.

        Charts that are complete have copies, and read the newest row alone.
        """
        if before >= 0:
            rows = self.ticks_in_memory(contract)
            for number in [number for number in rows if int(number) < before]:
                del rows[number]

    def _open(self, **options: Any) -> Any:
        import tqsdk

        adapt_connections()
        if not self._has_access:
            self._preflight()
            self._has_access = True
        auth = tqsdk.TqAuth(self._account, self._password)
        return tqsdk.TqApi(auth=auth, disable_print=True, debug=False, **options)

    def _preflight(self) -> None:
        """Connect to market data once: to the client a refusal looks like a time-out."""
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
            raise Failure(
                kind, f"the market data server refused with HTTP status {status}"
            ) from error
        except (OSError, WebSocketException) as error:
            kind = "barred" if is_barred(error) else "transport"
            why = f"no connection to the market data server: {type(error).__name__}: {error}"
            raise Failure(kind, why) from error


def adapt_connections() -> None:
    """Limit what one message unpacks to, and let a refused backtest raise the client's own error.

    The client takes messages of any size. A refusal raised up to version 13 of websockets; with
    later ones the client tries for a minute, and then reports a time-out.
    """
    import websockets
    from tqsdk.exceptions import TqBacktestPermissionError
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    class Connect(connect):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "max_size": TQ_MESSAGE.most})

        async def __aenter__(self) -> Any:
            try:
                return await super().__aenter__()
            except InvalidStatus as error:
                if error.response.headers.get("x-shinny-auth-check") != NO_BACKTEST:
                    raise
                raise TqBacktestPermissionError(NO_BACKTEST) from error

    websockets.connect = Connect  # type: ignore[misc]


def trading_days(api: Any, first: date, last: date) -> list[date]:
    """The trading days in years of published holidays; the client raises for others."""
    from tqsdk.calendar import _init_chinese_rest_days

    known_first, known_last = _init_chinese_rest_days()
    start, end = max(first, known_first), min(last, known_last)
    if start > end:
        return []
    frame = api.get_trading_calendar(start, end)
    return [stamp.date() for stamp in frame["date"][frame["trading"]]]


def undescribed(api: Any, codes: Sequence[str]) -> set[str]:
    """The codes that the servers' query of contracts answers without, or without a tick size.

    An error is the answer about a contract of the client's own list, which describes it.
    """
    old = [code for code in codes if code in api._pre20_ins_info]
    new = [code for code in codes if code not in api._pre20_ins_info]
    questions: list[tuple[list[str], str, dict[str, Any]]] = [
        ([code], BY_VARIABLE, {"instrument_id": [code]}) for code in old
    ]
    parts = [new[start : start + TOGETHER] for start in range(0, len(new), TOGETHER)]
    questions += [(part, BY_NAME % json.dumps(part), {}) for part in parts]
    lacking = set[str]()
    for named, query, variables in questions:
        answer = api.query_graphql(query, variables)
        if not answer.get("error"):
            nodes = answer["result"]["multi_symbol_info"]
            ticks = {node["instrument_id"]: node["price_tick"] or 0 for node in nodes if node}
            lacking.update(code for code in named if not ticks.get(code, 0) > 0)
        elif len(named) > 1:  # one of them may be the reason
            for code in named:
                lacking |= undescribed(api, [code])
    return lacking


def continuous_symbols() -> set[str]:
    """The symbols whose main contracts a running backtest knows."""
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
    except Exception as error:  # after an error the client cannot close properly
        sys.stderr.write(f"close: {type(error).__name__}\n")
