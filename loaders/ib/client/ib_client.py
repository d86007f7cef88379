"""One connection to a gateway: the only module that knows ib_async, or ib_insync in its place.

Answers are the library's own objects, as they came: read them within `foreign.reading`, and with
the rules of `clean`. Every request has its own number, a new contract object, and an end: an
answer, an error of that number, a lost connection, or a deadline that the caller sets. The
library's convenience calls do not distinguish these, and return the values of an earlier request
again. So requests are made as the library itself makes them (`startReq`, `startTicker`), alike in
both.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from loaders.ib.client.error_codes import (
    CUT_OFF,
    GATEWAY_GONE,
    NO_ANSWER,
    RESTORED,
    UNKNOWN,
    classify_code,
)
from loaders.ib.client.events import mask
from loaders.ib.client.open_request import (
    ADVISORY,
    BROKE,
    CLIENT_ID_IN_USE,
    ENDS_NOTHING,
    TOO_FAST,
    Request,
)
from loaders.ib.client.option_terms import find_last_day
from loaders.ib.client.values import Failure
from loaders.ib.errors import GatewayGone, GatewayTimeout
from loaders.requests.counts import count
from quotemill.errors import DataQualityError
from quotemill.foreign import IB_MESSAGE, check_size

try:
    from ib_async import IB, Contract, Ticker
except ImportError:  # its predecessor, which is no longer kept
    from ib_insync import IB, Contract, Ticker

# its lines hold positions and account numbers; what matters comes through `_on_error`
for name in ("ib_insync", "ib_async"):
    logging.getLogger(name).setLevel(logging.CRITICAL + 1)

log = logging.getLogger(__name__)
OnMessage = Callable[[int, int, str, int | None], None]
SIGN_OF_LIFE = 5.0  # seconds in which a gateway that answers nothing must send its time
CONTRACT_DETAILS = 10  # number of the message
LONGEST_GREETING = 100  # bytes
LOG_IN_TIME = re.compile(rb"\0\d{8} \d\d:\d\d:\d\d ([^\0]+)\0")


class ClientIdTaken(Exception):
    """Another connection has that client id."""


class Connection:
    """A connection.

    on_message  gets (request, code, text, conid) of everything that the gateway says, masked
    is_cut_off  whether the gateway has lost its servers, by its own words
    cut_offs    how often it said so
    """

    nothing = Ticker()  # of a line on which nothing came

    def __init__(self, on_message: OnMessage, messages_per_second: int) -> None:
        self._ib = IB()
        self._ib.client.MaxRequests = messages_per_second
        self._ib.RaiseRequestErrors = False
        self._on_message = on_message
        self._requests: dict[int, Request] = {}
        self._refused = asyncio.Event()
        self._asking = asyncio.Lock()
        self.is_silent = False  # left, because the gateway answered nothing any more
        self._data_type: int | None = None
        self.lost_messages = 0  # refused by the gateway, because too many came
        self.is_cut_off, self.cut_offs = False, 0
        self.client_id = 0
        self.time_zone: str | None = None  # of the log-in, as the first message names it
        self._greeting = b""
        # the library would end a request at any number that it does not know as a warning
        self._ib.wrapper.error = self._on_error
        self._ib.client.conn.hasData += self._on_data
        self._read_last_days()

    async def open(self, host: str, port: int, client_id: int, timeout: float) -> None:
        """Raises ClientIdTaken, GatewayTimeout or GatewayGone."""
        self.client_id = client_id
        opening = asyncio.ensure_future(
            self._ib.connectAsync(host, port, clientId=client_id, timeout=timeout, readonly=True)
        )
        refused = asyncio.ensure_future(self._refused.wait())
        try:
            # the library itself waits the whole time-out after a refusal, and the same time again
            # for each of its first questions
            await asyncio.wait(
                {opening, refused}, return_when=asyncio.FIRST_COMPLETED, timeout=4 * timeout
            )
            if self._refused.is_set():
                raise ClientIdTaken
            if not opening.done():
                raise TimeoutError
            await opening
        except TimeoutError as error:
            raise GatewayTimeout(
                f"the gateway at {host}:{port} accepted the connection but did not "
                f"respond for {timeout:g} s",
                hint="Check that it is logged in, that its API is enabled, and that no "
                "login dialog is open.",
            ) from error
        except OSError as error:
            raise GatewayGone(
                f"no gateway at {host}:{port}: {error.strerror or type(error).__name__}",
                hint="Start the gateway, or set IB_HOST and IB_PORT (4001 live, 4002 "
                "paper; TWS 7496, 7497).",
            ) from error
        finally:
            refused.cancel()
            if not opening.done():
                opening.cancel()
            await asyncio.gather(opening, refused, return_exceptions=True)

    def _read_last_days(self) -> None:
        """Replace each last day of trading by that in New York, before the library cuts it.

        It drops the zone, or splits the text where that has a hyphen.
        """
        decoder = self._ib.client.decoder
        handle = decoder.handlers[CONTRACT_DETAILS]

        def handle_details(fields: list[str]) -> None:
            at = 4 if decoder.serverVersion >= 164 else 5
            day = find_last_day(fields[at], fields[at + 5], fields[at + 7])
            handle([*fields[:at], f"{day:%Y%m%d}" if day else "", *fields[at + 1 :]])

        decoder.handlers[CONTRACT_DETAILS] = handle_details

    def _on_data(self, data: bytes) -> None:
        count("bytes", len(data))
        # what the library holds of a message that has not come whole
        held: bytes = self._ib.client._data
        announced = int.from_bytes(held[:4], "big") if len(held) >= 4 else 0
        try:
            check_size("a message of the gateway", announced, IB_MESSAGE)
        except DataQualityError as error:
            log.warning("%s: the connection is dropped", error)
            self._ib.client.conn.transport.abort()  # the library then fails what waits
        if self.time_zone is None and len(self._greeting) < LONGEST_GREETING:
            self._greeting += data  # it may come in pieces
            if said := LOG_IN_TIME.search(self._greeting):
                self.time_zone = said[1].decode(errors="replace")

    def close(self) -> None:
        self._ib.disconnect()

    @property
    def is_open(self) -> bool:
        return bool(self._ib.isConnected())

    @property
    def server_version(self) -> int:
        return int(self._ib.client.serverVersion())

    @property
    def accounts(self) -> list[str]:
        return [str(account) for account in self._ib.wrapper.accounts]

    @property
    def messages_per_second(self) -> int:
        return int(self._ib.client.MaxRequests)

    def slow_down(self) -> None:
        """A fifth less messages a second from now on."""
        self._ib.client.MaxRequests = max(5, int(self._ib.client.MaxRequests * 0.8))

    def _on_error(self, number: int, code: int, text: str, _: object) -> None:
        text = mask(str(text), self.accounts)
        request = self._requests.get(number)
        self._on_message(number, code, text, request.conid if request else None)
        row = classify_code(code, text)
        is_end = row.action not in ENDS_NOTHING and code != ADVISORY
        if request is not None:
            request.codes.append((row, text))
            request.changed.set()
        elif row.error_type == UNKNOWN:
            is_end = True  # of a request of the library's own, at the log-in
        if is_end:
            self._ib.wrapper._endReq(number)
        if code == CLIENT_ID_IN_USE:
            self._refused.set()
        if code == TOO_FAST and request is None:
            self.lost_messages += 1
            self.slow_down()
        if code in CUT_OFF:
            self.is_cut_off = True
            self.cut_offs += 1
        elif code in RESTORED:
            self.is_cut_off = False

    async def server_time(self, timeout: float) -> datetime:
        count("requests")
        try:
            at = await asyncio.wait_for(self._ib.reqCurrentTimeAsync(), timeout)
        except TimeoutError as error:
            raise GatewayTimeout(f"the gateway did not send its time for {timeout:g} s") from error
        except OSError as error:
            raise GatewayGone(BROKE) from error
        return at.astimezone(UTC)  # type: ignore[no-any-return]

    async def is_alive(self) -> bool:
        """Whether the gateway, which did not answer something, still answers; else leave it.

        One that was stopped or restarted may leave a socket that stays open.
        """
        async with self._asking:
            if self.is_open:
                try:
                    await self.server_time(SIGN_OF_LIFE)
                except GatewayGone:
                    self.is_silent = True
                    self.close()
            return self.is_open

    async def details(self, timeout: float, **contract: Any) -> tuple[list[Any], Failure | None]:
        """`ContractDetails` of what fits a description in the library's own names."""
        described = Contract(**contract)
        send = self._ib.client.reqContractDetails
        return await self._answer(lambda n: send(n, described), timeout, described)

    async def chains(
        self, symbol: str, sec_type: str, conid: int, timeout: float
    ) -> tuple[list[Any], Failure | None]:
        """An `OptionChain` for each exchange and trading class."""
        send = self._ib.client.reqSecDefOptParams
        return await self._answer(lambda n: send(n, symbol, "", sec_type, conid), timeout)

    async def bars(
        self,
        conid: int,
        duration: str,
        size: str,
        timeout: float,
        *,
        route: str = "SMART",
        what: str = "TRADES",
    ) -> tuple[list[Any], Failure | None]:
        """`BarData` of regular hours until now, oldest first."""
        contract, client = Contract(conId=conid, exchange=route), self._ib.client

        def send(number: int) -> None:
            # times within a day as seconds: a zone of the log-in such as HKT has no known name
            client.reqHistoricalData(number, contract, "", duration, size, what, True, 2, False, [])

        return await self._answer(send, timeout, contract)

    async def _answer(
        self, send: Callable[[int], object], timeout: float, contract: Any = None
    ) -> tuple[list[Any], Failure | None]:
        rows, failure = await self._wait_for(send, timeout, contract)
        # one that is cut off from its servers answers nothing, and is alive
        is_unanswered = failure is not None and failure.error_type == NO_ANSWER
        if is_unanswered and not self.is_cut_off:
            await self.is_alive()
        return rows, failure

    async def _wait_for(
        self, send: Callable[[int], object], timeout: float, contract: Any
    ) -> tuple[list[Any], Failure | None]:
        request = self._start(contract)
        try:
            send(request.number)
            deadline = time.monotonic() + timeout
            while not request.is_over and time.monotonic() < deadline:
                await request.wait(deadline - time.monotonic())
            failure = None
            if not request.is_over:
                failure = request.explain_silence(f"no response for {timeout:g} s")
                self._ib.wrapper._endReq(request.number)  # with the rows that came
            return list(request.result or []), failure or request.failure()
        except OSError:
            return [], Failure(GATEWAY_GONE, None, BROKE)
        finally:
            self._requests.pop(request.number, None)

    def _start(self, contract: Any, conid: int | None = None) -> Request:
        """Raises ConnectionError without a connection."""
        number = self._ib.client.getReqId()
        request = Request(number, self._ib.wrapper.startReq(number, contract), conid)
        self._requests[number] = request
        count("requests")
        return request

    def use_data_type(self, data_type: int) -> None:
        """A switch of the whole connection: not while requests are under way."""
        if data_type != self._data_type and self.is_open:
            self._ib.reqMarketDataType(data_type)
            self._data_type = data_type

    def open_line(
        self, conid: int, *, snapshot: bool, generic: str = "", route: str = "SMART"
    ) -> "Line":
        """Request a contract's market data. Raises ConnectionError without a connection."""
        contract = Contract(conId=conid, exchange=route)
        request = self._start(contract, conid)
        ticker = self._ib.wrapper.startTicker(request.number, contract, "mktData")
        ticker.updateEvent += lambda _: request.changed.set()
        self._ib.client.reqMktData(request.number, contract, generic, snapshot, False, [])
        return Line(request, ticker, lambda: self._leave(request, ticker, snapshot=snapshot))

    def _leave(self, request: Request, ticker: Any, *, snapshot: bool) -> None:
        wrapper, number = self._ib.wrapper, request.number
        is_stream = not snapshot and request.failure() is None
        goes_on = not request.is_over or request.is_advised or is_stream
        if self.is_open and not request.is_lost and goes_on:
            self._ib.client.cancelMktData(number)
        self._requests.pop(number, None)
        wrapper._endReq(number)
        wrapper.endTicker(ticker, "mktData")
        wrapper.reqId2Ticker.pop(number, None)
        # one library keeps tickers by object, the other by number of the contract
        for key in (id(ticker.contract), hash(ticker.contract)):
            wrapper.tickers.pop(key, None)


class Line:
    """A market data line that is held until `leave`; its `ticker` takes nothing more then."""

    def __init__(self, request: Request, ticker: Any, leave: Callable[[], None]) -> None:
        self.request, self.ticker, self._leave = request, ticker, leave

    def leave(self) -> None:
        """Cancel the request if it is under way."""
        self._leave()
